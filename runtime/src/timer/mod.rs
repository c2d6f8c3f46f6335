//! Timers, as far as they need no scheduler: the clock, the heap, and what a timer's end is.
//!
//! | file | what it owns |
//! |---|---|
//! | `mod.rs` | the clock: nanoseconds of this process |
//! | `heap.rs` | a 4-ary heap of things to come, lazily deleted |
//! | `node.rs` | a timer that is more than one wait: it can be stopped and set anew |
//!
//! It knows waiters, and nothing of threads, processors and the scheduler: what is due is returned
//! to who asked. docs/timers.md tells the whole story.

pub(crate) mod heap;
pub(crate) mod node;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A point in time: nanoseconds since the process first asked. Enough for 584 years.
pub(crate) type Nanos = u64;

/// Later than everything.
pub(crate) const NEVER: Nanos = u64::MAX;

/// What times are counted from.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Now.
pub(crate) fn now() -> Nanos {
    // Taken first: the origin must not come after it.
    let origin = origin();
    Instant::now().saturating_duration_since(origin).as_nanos() as u64
}

/// The point in time that an `Instant` is; 0 for those before the process asked first.
pub(crate) fn nanos(at: Instant) -> Nanos {
    u64::try_from(at.saturating_duration_since(origin()).as_nanos()).unwrap_or(NEVER)
}

/// The `Instant` of a point in time; `None`: never.
pub(crate) fn instant(at: Nanos) -> Option<Instant> {
    (at != NEVER)
        .then(|| origin().checked_add(Duration::from_nanos(at)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_agree() {
        let before = Instant::now();
        let mid = now();
        assert!(nanos(before) <= mid && mid <= nanos(Instant::now()));
        let far = Instant::now().checked_add(Duration::from_secs(1 << 36));
        assert_eq!(
            far.map_or(NEVER, nanos),
            NEVER,
            "five centuries and more are never"
        );
    }
}
