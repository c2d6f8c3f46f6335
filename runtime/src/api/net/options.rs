//! What is said of a socket beside the kernel: timeouts and the non-blocking flag, which copies of it
//! share, as std's share `SO_RCVTIMEO` and `O_NONBLOCK`.

use crate::api::io::pollable::Side;
use crate::atomics::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Options {
    /// Of reading and of writing, in nanoseconds; 0 is none.
    timeouts: [AtomicU64; 2],
    nonblocking: AtomicBool,
    /// A copy of the descriptor has been given to somebody for whom it blocks, and so do all copies.
    blocks: AtomicBool,
}

// Relaxed throughout: each is a value of its own, and publishes nothing.
impl Options {
    pub(super) fn timeout(&self, side: Side) -> Option<Duration> {
        match self.timeouts[side as usize].load(Ordering::Relaxed) {
            0 => None,
            n => Some(Duration::from_nanos(n)),
        }
    }

    /// Not with zero. What is too long (584 years) is as long as can be.
    pub(super) fn set_timeout(&self, side: Side, timeout: Option<Duration>) {
        let nanos = timeout.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
        self.timeouts[side as usize].store(nanos, Ordering::Relaxed);
    }

    pub(super) fn nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    pub(super) fn blocks(&self) -> bool {
        self.blocks.load(Ordering::Relaxed)
    }

    pub(super) fn set_blocks(&self) {
        self.blocks.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_nonblocking(&self, on: bool) {
        self.nonblocking.store(on, Ordering::Relaxed);
    }
}
