//! The pauses of one who has to ask again, since there is no event to wait for.

use std::time::Duration;

/// 20 µs (less than it takes to be woken on another thread), and twice as long each time, up to 1 ms (which
/// costs some hundredth of a processor).
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    const FIRST: Duration = Duration::from_micros(20);
    const LAST: Duration = Duration::from_millis(1);

    pub(crate) fn new() -> Pauses {
        Pauses(Pauses::FIRST)
    }

    /// The first one is none: it may have been bad luck.
    pub(crate) fn after_another_try() -> Pauses {
        Pauses(Duration::ZERO)
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> Duration {
        let longer = (self.0 * 2).clamp(Pauses::FIRST, Pauses::LAST);
        std::mem::replace(&mut self.0, longer)
    }
}
