//! Results as they come.

use super::joinable::Joinable;
use super::set::{Next, Set};
use crate::g::task::JoinError;
use crate::sched::interrupt;
use std::fmt;

/// The results of the goroutines in the order in which they end (asyncio's `as_completed`), each with the
/// place of its handle among `handles`. Those that had ended before the call come in the order of the handles.
///
/// A failure is one of the results. Nothing is ever cancelled: what is left when the iterator is dropped
/// goes on detached. Each step costs the same however many goroutines there are.
///
/// ```
/// use runtime::task::as_completed;
/// use runtime::{go, time::sleep};
/// use std::time::Duration;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let handles = [30, 1, 15].map(|ms| {
///         go!(move || {
///             sleep(Duration::from_millis(ms));
///             ms
///         })
///     });
///     let order: Vec<_> = as_completed(handles).map(|(i, r)| (i, r.unwrap())).collect();
///     assert_eq!(order, [(1, 1), (2, 15), (0, 30)]);
/// });
/// ```
///
/// # Panics
/// If one of the handles is the caller's own.
pub fn as_completed<I>(handles: I) -> AsCompleted<I::Item>
where
    I: IntoIterator<Item: Joinable>,
{
    AsCompleted {
        set: Set::new(handles),
    }
}

/// Results as they come. From [`as_completed`].
#[must_use = "nothing is waited for before the first `next`"]
pub struct AsCompleted<H: Joinable> {
    set: Set<H>,
}

impl<H: Joinable> AsCompleted<H> {
    /// The handles of those whose results were not taken, in their order.
    pub fn into_rest(self) -> Vec<H> {
        self.set.into_handles().collect()
    }
}

impl<H: Joinable> Iterator for AsCompleted<H> {
    type Item = (usize, Result<H::Output, JoinError>);

    /// Waits for the next result. (`None` before the end only if the caller is unwinding, and its waits
    /// are cut short.)
    fn next(&mut self) -> Option<Self::Item> {
        if self.set.left() == 0 {
            return None;
        }
        match self.set.next(None) {
            Next::Ended(number, result) => Some((number, result)),
            Next::TimedOut | Next::Interrupted => {
                interrupt::interrupted();
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.set.left()))
    }
}

impl<H: Joinable> fmt::Debug for AsCompleted<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.set.left())
            .finish_non_exhaustive()
    }
}
