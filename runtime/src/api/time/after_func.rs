//! Functions that are called later.

use crate::api::runtime::default_sched;
use crate::m::current;
use crate::sched::{Sched, Window};
use crate::timer::heap::Target;
use crate::timer::node::{Action, Call, Node};
use crate::timer::{self, NEVER, Nanos};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Calls `f` on a goroutine of its own after `d` (Go's `time.AfterFunc`). Dropping the handle does
/// not stop it. On a goroutine it belongs to its runtime, on a plain thread to the default one; it
/// is dropped, uncalled, when that is shut down.
///
/// ```
/// use std::time::Duration;
///
/// let rt = runtime::start(1);
/// let (tx, rx) = channels::bounded(1);
/// rt.run(|| {
///     let never = runtime::time::after_func(Duration::from_secs(3600), || unreachable!());
///     runtime::time::after_func(Duration::from_millis(1), move || tx.send("now").unwrap());
///     assert_eq!(rx.recv(), Ok("now"));
///     assert!(never.stop(), "it was still to come");
/// });
/// ```
///
/// # Panics
/// On a plain thread, if no runtime runs.
#[track_caller]
pub fn after_func<F>(d: Duration, f: F) -> AfterFunc
where
    F: FnMut() + Send + 'static,
{
    try_after_func(d, f).unwrap_or_else(|_| panic!("{NO_RUNTIME}"))
}

/// As [`after_func`], for libraries that also work where there is no runtime.
///
/// # Errors
/// On a plain thread, if no runtime runs: `f` comes back.
///
/// ```
/// use std::time::Duration;
///
/// let Err(mut f) = runtime::time::try_after_func(Duration::ZERO, || println!("by myself")) else {
///     unreachable!("no runtime runs");
/// };
/// f();
/// ```
#[track_caller]
pub fn try_after_func<F>(d: Duration, f: F) -> Result<AfterFunc, F>
where
    F: FnMut() + Send + 'static,
{
    let mut sched = None;
    if current().is_null() {
        sched = default_sched();
        if sched.is_none() {
            return Err(f);
        }
    }
    let action = Action::Call {
        call: Some(Box::new(f)),
        due: 0,
        handle: true,
    };
    let when = time_of(d);
    let (node, number) = Node::armed(action, when, Location::caller());
    let node = Arc::new(node);
    add(&node, when, number, || sched);
    Ok(AfterFunc { node })
}

const NO_RUNTIME: &str = "no runtime runs: a function can be called later from a plain thread only \
                          while there is one (keep what runtime::start returned)";

/// The time so far from now. Never is a time too, but not one that a heap takes for "none".
fn time_of(d: Duration) -> Nanos {
    let d = Nanos::try_from(d.as_nanos()).unwrap_or(NEVER);
    timer::now().saturating_add(d).min(NEVER - 1)
}

/// Adds the timer to a heap: that of the caller's P, or on a plain thread any of the runtime that
/// `sched` gives.
fn add(node: &Arc<Node>, when: Nanos, number: u32, sched: impl FnOnce() -> Option<Arc<Sched>>) {
    let target = Target::Node(Arc::clone(node), number);
    let window = Window::enter_quietly();
    if let Err(target) = window.add_timer(when, target) {
        drop(window);
        let Some(sched) = sched() else {
            node.lose_entry(number);
            panic!("{NO_RUNTIME}");
        };
        Sched::add_timer_outside(&sched, when, target);
    }
}

/// A call that is to come. From [`after_func`].
#[must_use = "stop it by `stop`; it is not stopped by being dropped, so `let _ =` is fine too"]
pub struct AfterFunc {
    node: Arc<Node>,
}

impl AfterFunc {
    /// Stops it; whether that prevented a call. False: it was made already (and may still run), or
    /// it was stopped before.
    pub fn stop(&self) -> bool {
        self.node.stop()
    }

    /// Sets the call to `d` from now, whether it is still to come, was stopped, or was made. True
    /// if it was still to come. A call that still runs is not made a second time at once: it is
    /// repeated when it has returned.
    ///
    /// # Panics
    /// On a plain thread, if no runtime runs.
    pub fn reset(&self, d: Duration) -> bool {
        let when = time_of(d);
        let set = self.node.set(when);
        if let Some(number) = set.add {
            add(&self.node, when, number, default_sched);
        }
        set.was_armed
    }
}

impl Drop for AfterFunc {
    fn drop(&mut self) {
        let unused: Option<Call> = self.node.handle_gone();
        drop(unused);
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}
