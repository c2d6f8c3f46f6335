//! Deadlines for whole pieces of work.

use super::from_now;
use crate::g::interrupt::Frame;
use crate::sched::Window;
use crate::sched::interrupt::{me, next_frame_id};
use crate::timer::heap::Target;
use crate::timer::nanos;
use crate::timer::node::{Action, Node};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
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
    let me = me();
    let mut frame = Frame::new(next_frame_id(), Some(at));
    // SAFETY: left below, in the same place; what could unwind is caught.
    unsafe { me.enter_frame(&mut frame) };
    // A plain thread looks at the time of its frames by itself; for a goroutine a timer does.
    let node = start_timer(at, NonNull::from(me), &frame, Location::caller());
    let result = catch_unwind(AssertUnwindSafe(f));
    if let Some(node) = node {
        node.end_frame();
    }
    me.leave_frame(&frame);
    match result {
        Ok(value) => Ok(value),
        Err(payload) if frame.is_mine(&*payload) => Err(Elapsed),
        Err(payload) => resume_unwind(payload),
    }
}

fn start_timer(
    at: Instant,
    me: NonNull<crate::g::parker::Parker>,
    frame: &Frame,
    site: &'static Location<'static>,
) -> Option<Arc<Node>> {
    let window = Window::enter_quietly();
    if !window.is_goroutine() {
        return None;
    }
    let when = nanos(at);
    let (node, number) = Node::armed(Action::Frame(me, frame), when, site);
    let node = Arc::new(node);
    let added = window.add_timer(when, Target::Node(Arc::clone(&node), number));
    debug_assert!(added.is_ok(), "a goroutine has a P in the window");
    Some(node)
}
