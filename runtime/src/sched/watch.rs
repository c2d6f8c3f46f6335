//! Until when the idle Ms sleep: the word on which adding a timer and going to sleep meet. The core
//! of the protocol in `timers.rs`, small enough to be model-checked.
//!
//! ```text
//!   adder (its timer became the first of its P)      an M that goes to sleep
//!   (1) store the P's `next`                          (1) its P is on the idle list (npidle += 1)
//!   (2) full fence                                    (2) full fence
//!   (3) an idle P, and `until` is later?              (3) read every `next`: less than `until`?
//!       then wake an M, spinning                          store it there, and again from (2)
//! ```
//!
//! The sleeper's last fence is the one that counts. *Case 1: the adder's fence comes before it.* Then
//! the sleeper's (3) sees the timer. *Case 2: it comes after.* Then the adder's (3) sees the idle P
//! and the time until which the watcher sleeps, and wakes an M if that is too late; the woken one
//! finds nothing to do, goes idle, and watches. With no idle P there is nobody to watch for: each P's own M will look.

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicU64, fence};

/// Nobody watches.
const NOBODY: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Watch {
    /// When the watcher looks again. Written under the scheduler's lock.
    until: AtomicU64,
}

impl Watch {
    pub(crate) fn new() -> Watch {
        Watch {
            until: AtomicU64::new(NOBODY),
        }
    }

    pub(crate) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// Steps (2) and (3) of an adder: whether an M must be woken for a timer that is due at `when`.
    pub(crate) fn must_wake(&self, when: u64, npidle: impl FnOnce() -> u32) -> bool {
        // SeqCst: pairs with the fence in `begin`.
        fence(Ordering::SeqCst);
        npidle() > 0 && self.until() > when
    }

    /// Steps (2) and (3) of an M that goes to sleep, under the scheduler's lock. `next` reads when
    /// the first timer of all is due. True: the caller is the watcher now.
    pub(crate) fn begin(&self, next: impl Fn() -> u64) -> bool {
        let mut mine = false;
        loop {
            // SeqCst: pairs with the fence in `must_wake`.
            fence(Ordering::SeqCst);
            let next = next();
            if next >= self.until() {
                return mine;
            }
            mine = true;
            self.until.store(next, Ordering::Relaxed);
        }
    }

    /// The watcher looks now, or does something else. Under the scheduler's lock.
    pub(crate) fn end(&self) {
        self.until.store(NOBODY, Ordering::Relaxed);
    }
}
