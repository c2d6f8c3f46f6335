//! Pieces of work that others can tell to end.

use crate::api::frame;
use crate::sched::interrupt::end_frame;
use crate::timer::node::Node;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The work was told to end before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// Tells the work of a [`cancellable`] to end. From any goroutine or thread, and from the work itself.
#[derive(Clone)]
pub struct Canceller {
    node: Arc<Node>,
}

impl Canceller {
    /// Has the wait that the work is in, or the next one that it begins, unwind to the
    /// [`cancellable`]. Does nothing if it was told already. False if the work is over.
    pub fn cancel(&self) -> bool {
        let mut claimed = None;
        let lives = self.node.end_now(|parker, frame| {
            claimed = end_frame(parker, frame);
        });
        if let Some(claimed) = claimed {
            claimed.ready();
        }
        lives
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Canceller { .. }")
    }
}

/// Runs `f`, on the caller's own goroutine or thread, until it returns or is told to end by the
/// [`Canceller`] that it is given (as a `CancelScope` of Python's trio or anyio). Then the wait that
/// `f` is in (a receive, a sleep, a lock, a join), or the next one that it begins, unwinds to here:
/// destructors run, and the answer is `Cancelled`.
///
/// They nest, with one another and with [`timeout`](crate::time::timeout): the outermost that is told
/// to end wins. `f` is not stopped while it computes or blocks its thread: if it returns a value
/// without waiting again, that value is the answer.
///
/// ```
/// use runtime::{Cancelled, cancellable, go};
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let result = cancellable(|work| {
///         go!(move || work.cancel());
///         runtime::time::sleep(std::time::Duration::from_secs(3600));
///     });
///     assert_eq!(result, Err(Cancelled));
///     assert_eq!(cancellable(|_| 1 + 1), Ok(2));
/// });
/// ```
///
/// # Errors
/// If it was told to end, and a wait was cut short by that.
///
/// # Panics
/// If `f` panics, with its payload.
#[track_caller]
pub fn cancellable<F, T>(f: F) -> Result<T, Cancelled>
where
    F: FnOnce(Canceller) -> T,
{
    let site = Location::caller();
    let teller = |end| Some(Arc::new(Node::new(end, site)));
    let work = |node: Option<&Arc<Node>>| {
        let node = Arc::clone(node.expect("it was just made"));
        f(Canceller { node })
    };
    frame::run(None, teller, work).ok_or(Cancelled)
}
