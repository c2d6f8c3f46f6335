//! Whether a thread or goroutine panicked while it had a lock, as std has it.
//!
//! `std::thread::panicking` is about the thread, and a goroutine that unwinds stays on its thread, so
//! what it says is about the caller. Only a panic that began under the lock poisons: a guard notes
//! whether the caller was panicking already.

use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicBool;
use std::sync::{LockResult, PoisonError};

pub(super) struct Flag {
    failed: AtomicBool,
}

/// What a guard notes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    panicking: bool,
}

impl Flag {
    pub(super) const fn new() -> Flag {
        Flag {
            failed: AtomicBool::new(false),
        }
    }

    /// The lock was taken.
    #[inline]
    pub(super) fn note() -> Noted {
        Noted {
            panicking: std::thread::panicking(),
        }
    }

    /// The lock is about to be released.
    #[inline]
    pub(super) fn done(&self, noted: Noted) {
        if !noted.panicking && std::thread::panicking() {
            // Relaxed: ordered by the lock.
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        // Relaxed: ordered by the lock; without it, a hint.
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        self.failed.store(false, Ordering::Relaxed);
    }

    /// `value`, with the news.
    #[inline]
    pub(super) fn wrap<T>(&self, value: T) -> LockResult<T> {
        match self.get() {
            false => Ok(value),
            true => Err(PoisonError::new(value)),
        }
    }
}
