//! Deadlines for whole pieces of work.

use super::from_now;
use crate::api::frame;
use crate::sched::Window;
use crate::timer::heap::Target;
use crate::timer::nanos;
use crate::timer::node::Node;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time was over before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `f`, on the caller's own goroutine or thread, for at most `d` (asyncio's `timeout` and
/// `wait_for`). When the time is over, the wait that `f` is in (a receive, a sleep, a lock, a join),
/// or the next one that it begins, unwinds to here: destructors run, and the answer is `Elapsed`.
///
/// Timeouts nest; the outermost that is over wins. `f` is not stopped while it computes or blocks
/// its thread: if it returns a value without waiting again, that value is the answer, however late.
///
/// ```
/// use runtime::time::{Elapsed, sleep, timeout};
/// use std::time::Duration;
///
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let slow = timeout(Duration::from_millis(5), || sleep(Duration::from_secs(3600)));
///     assert_eq!(slow, Err(Elapsed));
///     assert_eq!(timeout(Duration::from_secs(3600), || 1 + 1), Ok(2));
/// });
/// ```
///
/// # Errors
/// If the time was over first.
///
/// # Panics
/// If `f` panics, with its payload.
#[track_caller]
pub fn timeout<F, T>(d: Duration, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    run_until(from_now(d), f)
}

/// As [`timeout`], until a point in time.
///
/// # Errors
/// As [`timeout`].
///
/// # Panics
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<F, T>(at: Instant, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    run_until(Some(at), f)
}

#[track_caller]
fn run_until<F, T>(at: Option<Instant>, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T,
{
    let Some(at) = at else { return Ok(f()) };
    let site = Location::caller();
    // A plain thread looks at the time of its frames by itself; for a goroutine a timer does.
    let teller = |end| {
        let window = Window::enter_quietly();
        if !window.is_goroutine() {
            return None;
        }
        let when = nanos(at);
        let (node, number) = Node::armed(end, when, site);
        let node = Arc::new(node);
        let added = window.add_timer(when, Target::Node(Arc::clone(&node), number));
        debug_assert!(added.is_ok(), "a goroutine has a P in the window");
        Some(node)
    };
    frame::run(Some(at), teller, |_| f()).ok_or(Elapsed)
}
