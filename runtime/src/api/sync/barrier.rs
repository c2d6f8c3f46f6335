//! A meeting point: `std::sync::Barrier`, for goroutines.

use super::list::{List, Note, Place};
use super::queue::{Ended, Locked, Queue, Wait, after, enter, ready_all};
use crate::park::{Token, WaitReason, Window};
use std::fmt;
use std::time::{Duration, Instant};

const ALL_HERE: Token = Token::new(0);

/// Where a number of goroutines and threads wait until all of them have come:
/// [`std::sync::Barrier`], in which goroutines park and plain threads block. It can be used again and
/// again.
///
/// ```
/// use runtime::sync::Barrier;
/// use std::sync::Arc;
///
/// let barrier = Arc::new(Barrier::new(3));
/// let rt = runtime::start(1);
/// let hs: Vec<_> = (0..2)
///     .map(|_| {
///         let barrier = barrier.clone();
///         rt.spawn(move || barrier.wait().is_leader())
///     })
///     .collect();
/// let mut leaders = usize::from(barrier.wait().is_leader()); // on a plain thread
/// leaders += hs.into_iter().map(|h| usize::from(h.join().unwrap())).sum::<usize>();
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    n: usize,
    queue: Queue<State>,
}

struct State {
    /// Those who wait, of this generation.
    here: usize,
    waiting: List,
}

fn waiting(state: &mut State) -> &mut List {
    &mut state.waiting
}

/// What [`Barrier::wait`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether the caller is the one of its generation that came last.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for `n`; 0 is the same as 1.
    pub const fn new(n: usize) -> Barrier {
        Barrier {
            n,
            queue: Queue::new(State {
                here: 0,
                waiting: List::new(),
            }),
        }
    }

    /// Waits until `n` have come, the caller included.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding; it then does
    /// not count as having come.
    pub fn wait(&self) -> BarrierWaitResult {
        loop {
            if let Some(result) = self.wait_as(Wait::endless(WaitReason::BarrierWait)) {
                return result;
            }
        }
    }

    /// Passes if the caller is the last that is missing.
    pub fn try_wait(&self) -> Option<BarrierWaitResult> {
        let window = enter();
        let locked = self.queue.lock(&window);
        if locked.here + 1 < self.n {
            locked.unlock();
            return None;
        }
        Some(Barrier::open(window, locked))
    }

    /// Waits until `n` have come, for at most `timeout`. `None`: the time is over, and the caller
    /// does not count as having come.
    ///
    /// ```
    /// let barrier = runtime::sync::Barrier::new(2);
    /// let timeout = std::time::Duration::from_millis(1);
    /// assert!(barrier.wait_timeout(timeout).is_none());
    /// assert!(barrier.wait_timeout(timeout).is_none());
    /// ```
    ///
    /// # Panics
    /// As [`Barrier::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        self.wait_as(Wait::until(WaitReason::BarrierWait, after(timeout)))
    }

    /// Waits until `n` have come, until `deadline` at the latest. As [`Barrier::wait_timeout`].
    ///
    /// # Panics
    /// As [`Barrier::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> Option<BarrierWaitResult> {
        self.wait_as(Wait::until(WaitReason::BarrierWait, Some(deadline)))
    }

    fn wait_as(&self, how: Wait) -> Option<BarrierWaitResult> {
        let window = enter();
        let mut locked = self.queue.lock(&window);
        if locked.here + 1 >= self.n {
            return Some(Barrier::open(window, locked));
        }
        locked.here += 1;
        match locked.wait(window, how, Place::Back, Note::Plain, waiting) {
            Ended::Claimed(..) => Some(BarrierWaitResult(false)),
            Ended::Gone(gave_up, mut locked) => {
                // Not in the list: the last one came first, and counted us.
                let counted = !gave_up.was_queued;
                if !counted {
                    locked.here -= 1;
                }
                locked.unlock();
                gave_up.leave();
                counted.then_some(BarrierWaitResult(false))
            }
        }
    }

    /// The last one has come.
    fn open(window: Window, mut locked: Locked<'_, State>) -> BarrierWaitResult {
        locked.here = 0;
        // SAFETY: locked.
        let woken = unsafe { locked.waiting.claim_all(ALL_HERE) };
        locked.unlock();
        drop(ready_all(window, woken));
        BarrierWaitResult(true)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}
