//! All results, in the order of the handles.

use super::joinable::Joinable;
use super::set::{Next, Set};
use crate::g::task::JoinError;

/// Waits for all goroutines and returns what they returned, in the order of the handles (asyncio's
/// `gather`). If one fails, its error is returned at once: the first *in time*, not in order. The others
/// then go on detached.
///
/// If the caller is cancelled, or its `timeout` is over, or its runtime stops, the goroutines are
/// cancelled (but for those that are [shielded](super::shield)) and waited for, and the caller
/// unwinds. Without handles it returns an empty vector.
///
/// ```
/// use runtime::go;
/// use runtime::task::gather;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let squares = gather((1..=4).map(|n| go!(move || n * n)));
///     assert_eq!(squares.unwrap(), [1, 4, 9, 16]);
/// });
/// // On a plain thread, too:
/// let lengths = gather(["a", "bc"].map(|s| rt.spawn(|| s.len())));
/// assert_eq!(lengths.unwrap(), [1, 2]);
/// ```
///
/// # Errors
/// The first failure: a goroutine panicked, was cancelled, or got no stack.
///
/// # Panics
/// If one of the handles is the caller's own.
pub fn gather<I>(handles: I) -> Result<Vec<<I::Item as Joinable>::Output>, JoinError>
where
    I: IntoIterator<Item: Joinable>,
{
    let mut set = Set::new(handles);
    let mut results: Vec<_> = (0..set.left()).map(|_| None).collect();
    while set.left() > 0 {
        match set.next(None) {
            Next::Ended(number, result) => results[number] = Some(result?),
            Next::TimedOut => unreachable!("there is no deadline"),
            Next::Interrupted => {
                set.cut_short();
                return Err(JoinError::Cancelled);
            }
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// As [`gather`], but waits for all goroutines whatever becomes of them (asyncio's `gather` with
/// `return_exceptions=True`). Cancels and timeouts of the caller are passed on in the same way.
///
/// ```
/// use runtime::go;
/// use runtime::task::gather_all;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let never = go!(|| runtime::time::sleep(std::time::Duration::MAX));
///     never.cancel();
///     let results = gather_all([go!(|| ()), never]);
///     assert!(results[0].is_ok());
///     assert!(results[1].is_err());
/// });
/// ```
///
/// # Panics
/// If one of the handles is the caller's own.
pub fn gather_all<I>(handles: I) -> Vec<Result<<I::Item as Joinable>::Output, JoinError>>
where
    I: IntoIterator<Item: Joinable>,
{
    let mut set = Set::new(handles);
    let mut results: Vec<_> = (0..set.left()).map(|_| None).collect();
    while set.left() > 0 {
        // One wake-up for all of them.
        let _ = set.wait(set.left(), None);
        match set.next(None) {
            Next::Ended(number, result) => results[number] = Some(result),
            Next::TimedOut => unreachable!("there is no deadline"),
            Next::Interrupted => {
                set.cut_short();
                break;
            }
        }
    }
    // Missing are those that a caller who unwinds already could not wait for.
    let missing = || Err(JoinError::Cancelled);
    results
        .into_iter()
        .map(|r| r.unwrap_or_else(missing))
        .collect()
}
