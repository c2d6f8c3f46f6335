//! Time: sleeping, timers, deadlines (Go's package `time`, asyncio's `sleep` and `timeout`).
//!
//! All of it works on goroutines, which park, and on plain threads, which block. Times are kept to
//! the microsecond, and nothing ever happens early. A duration that goes beyond what an [`Instant`]
//! can say means "never": centuries and [`Duration::MAX`] are fine.

mod after_func;
mod sleep;
mod ticker;
mod timeout;
mod timer;

pub use after_func::{AfterFunc, after_func, try_after_func};
pub use sleep::{sleep, sleep_until};
pub use ticker::Ticker;
pub use timeout::{Elapsed, timeout, timeout_at};
pub use timer::Timer;

use std::time::{Duration, Instant};

/// The point in time so far from now; `None` is never.
pub(crate) fn from_now(d: Duration) -> Option<Instant> {
    Instant::now().checked_add(d)
}
