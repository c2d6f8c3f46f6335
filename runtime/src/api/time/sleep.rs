//! Sleeping.

use super::from_now;
use crate::g::parker::Token;
use crate::g::status::WaitReason;
use crate::park::Interrupt;
use crate::sched::{Window, interrupt};
use std::time::{Duration, Instant};

/// Waits for so long, at least (Go's `time.Sleep`, asyncio's `sleep`). A goroutine parks, a plain
/// thread blocks. With a duration of zero it is [`yield_now`](crate::yield_now).
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let start = Instant::now();
///     let hs: Vec<_> = (0..100)
///         .map(|_| runtime::go!(|| runtime::time::sleep(Duration::from_millis(10))))
///         .collect();
///     hs.into_iter().for_each(|h| h.join().unwrap());
///     assert!(start.elapsed() >= Duration::from_millis(10));
/// });
/// ```
pub fn sleep(d: Duration) {
    if d.is_zero() {
        return crate::api::calls::yield_now();
    }
    sleep_to(from_now(d));
}

/// Waits until this point in time. If it has passed, as `sleep` with zero.
pub fn sleep_until(at: Instant) {
    if at <= Instant::now() {
        return crate::api::calls::yield_now();
    }
    sleep_to(Some(at));
}

fn sleep_to(at: Option<Instant>) {
    let window = Window::enter();
    // SAFETY: nothing is published: only the deadline or an interrupt ends the wait.
    let (window, token) =
        unsafe { window.park_until(WaitReason::Sleep, Interrupt::Allowed, at, || true) };
    drop(window);
    if token == Token::INTERRUPTED {
        interrupt::interrupted(); // returns if the caller unwinds already, and shall not sleep
    }
}
