//! Functions that are called later.

use super::from_now;
use crate::api::runtime::default_sched;
use crate::sched::{Sched, Window};
use crate::timer::heap::Target;
use crate::timer::nanos;
use crate::timer::node::{Action, Call, Node};
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
    let action = Action::Call {
        call: Some(Box::new(f)),
        due: 0,
        handle: true,
    };
    let node = Arc::new(Node::new(action, Location::caller()));
    arm(&node, d);
    AfterFunc { node }
}

/// Sets the timer; whether it was armed. Adds it to a heap if need be.
fn arm(node: &Arc<Node>, d: Duration) -> bool {
    let when = from_now(d).map_or(u64::MAX - 1, nanos);
    let set = node.set(when);
    if let Some(number) = set.add {
        let target = Target::Node(Arc::clone(node), number);
        let window = Window::enter_quietly();
        match window.add_timer(when, target) {
            Ok(()) => {}
            Err(target) => {
                drop(window);
                match default_sched() {
                    Some(sched) => Sched::add_timer_outside(&sched, when, target),
                    None => {
                        node.lose_entry(number);
                        panic!(
                            "no runtime runs: a function can be called later from a plain thread \
                             only while there is one (keep what runtime::start returned)"
                        )
                    }
                }
            }
        }
    }
    set.was_armed
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
    pub fn reset(&self, d: Duration) -> bool {
        arm(&self.node, d)
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
