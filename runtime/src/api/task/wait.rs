//! Waiting for some of several goroutines, or for one, for a limited time.

use super::joinable::Joinable;
use super::set::{self, Next, Set};
use crate::api::time::from_now;
use crate::g::task::JoinError;
use crate::sched::interrupt;
use std::fmt;
use std::time::Duration;

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When one of the goroutines has ended, in whichever way.
    FirstCompleted,
    /// When all have ended.
    AllCompleted,
    /// When one has panicked (or got no stack), or all have ended. As in asyncio, one that was
    /// cancelled has not failed.
    FirstException,
}

/// The handles, sorted. Of [`wait`].
#[derive(Debug)]
pub struct Waited<H> {
    /// Those whose goroutines have ended: `join` gives the result at once. In the order in which they
    /// were given.
    pub done: Vec<H>,
    /// The others, in the order in which they were given.
    pub pending: Vec<H>,
}

/// Waits for some of the goroutines, at most for `timeout` (asyncio's `wait`). Nothing is cancelled,
/// neither when the time is over nor when the caller is cancelled, and no result is taken: all handles
/// come back. Without handles it returns at once.
///
/// ```
/// use runtime::task::{Until, wait};
/// use runtime::{go, time::sleep};
/// use std::time::Duration;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let replicas = [1, 3600].map(|s| go!(move || sleep(Duration::from_millis(s * 1000 - 999))));
///     let waited = wait(replicas, Until::FirstCompleted, None);
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
///     waited.pending[0].cancel();
/// });
/// ```
///
/// # Panics
/// If one of the handles is the caller's own.
pub fn wait<I>(handles: I, until: Until, timeout: Option<Duration>) -> Waited<I::Item>
where
    I: IntoIterator<Item: Joinable>,
{
    let at = timeout.and_then(from_now);
    let set = Set::new(handles);
    let ended = match until {
        Until::FirstCompleted => set.wait(set.left().min(1), at),
        Until::AllCompleted => set.wait(set.left(), at),
        Until::FirstException => set.wait_for_failure(at),
    };
    let handles = set.into_handles();
    if ended == set::Waited::Interrupted {
        interrupt::interrupted(); // unwinds, and drops the handles
    }
    let (done, pending) = handles.partition(|h| h.raw().0.join.is_done());
    Waited { done, pending }
}

/// Why [`wait_for`] has no result.
#[derive(Debug)]
pub enum WaitError {
    /// The time was over first. The goroutine was cancelled and has ended, unless it was shielded.
    Elapsed,
    /// The goroutine failed.
    Failed(JoinError),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::Elapsed => f.write_str("the time is over"),
            WaitError::Failed(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for WaitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WaitError::Elapsed => None,
            WaitError::Failed(why) => Some(why),
        }
    }
}

/// Waits for a goroutine, for at most `d` (asyncio's `wait_for`). When the time is over it is
/// cancelled, and waited for, so that nothing of it is left when this returns; if it returns a value
/// all the same, because it had ended meanwhile or does not care, that is the result.
///
/// One that is [shielded](super::shield) is left alone, and goes on detached. A cancel of the caller (or
/// the end of a `timeout` around it) is passed on in the same way as the end of the time.
///
/// ```
/// use runtime::task::{WaitError, wait_for};
/// use runtime::{go, time::sleep};
/// use std::time::Duration;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let eternity = go!(|| sleep(Duration::MAX));
///     let waited = wait_for(Duration::from_millis(5), eternity);
///     assert!(matches!(waited, Err(WaitError::Elapsed)));
///     assert_eq!(wait_for(Duration::from_secs(5), go!(|| 1 + 1)).unwrap(), 2);
/// });
/// ```
///
/// # Errors
/// [`WaitError::Elapsed`] if the time was over first, [`WaitError::Failed`] if the goroutine failed
/// (also by a panic while it unwound from the cancel).
///
/// # Panics
/// If the handle is the caller's own.
pub fn wait_for<H: Joinable>(d: Duration, handle: H) -> Result<H::Output, WaitError> {
    let shielded = handle.is_shielded();
    let mut set = Set::new([handle]);
    let mut over = false;
    let mut until = from_now(d);
    loop {
        match set.next(until) {
            Next::Ended(_, Err(JoinError::Cancelled)) if over => return Err(WaitError::Elapsed),
            Next::Ended(_, result) => return result.map_err(WaitError::Failed),
            Next::TimedOut if shielded => return Err(WaitError::Elapsed),
            Next::TimedOut => {
                over = true;
                until = None;
                set.cancel();
            }
            Next::Interrupted => {
                set.cut_short();
                return Err(WaitError::Failed(JoinError::Cancelled));
            }
        }
    }
}
