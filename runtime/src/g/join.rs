//! The word that the finishing goroutine and its join handle meet on.
//!
//! ```text
//!   HANDLE   the join handle exists           cleared by the handle
//!   RESULT   a result that needs dropping is  set by the goroutine, still on its stack
//!            stored
//!   DONE     the goroutine is off its stack   set by the scheduler
//!   JOINER   somebody waits for DONE          set by the handle's owner, on its way to sleep
//!   LISTED   the joiner is a list of ends     set and cleared together with JOINER
//!            (`arrivals.rs`), not a waiter
//!   turn     a number in the upper bits       changed with each joiner, so that `finish` is not
//!                                             fooled by a second one while it reads the first
//! ```
//!
//! Who owns the result: the goroutine until it sets RESULT; then the handle if HANDLE is still
//! set, else the goroutine, which drops it. Who owns the G: the scheduler until DONE; then the
//! handle if HANDLE is still set, else the scheduler, which frees it. Each question is decided by
//! one read-modify-write on one word, so it has exactly one answer.
//!
//! Who owns the share of a list that LISTED stands for: the goroutine's end, if LISTED is set when it
//! sets DONE; else the handle's owner, who takes it back by [`JoinWord::withdraw`].

use super::parker::{Waiter, WaiterCell};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;

const HANDLE: u32 = 1;
const RESULT: u32 = 2;
const DONE: u32 = 4;
const JOINER: u32 = 8;
const LISTED: u32 = 16;
/// From here up: how often a joiner was registered.
const TURN: u32 = 32;

#[derive(Debug)]
pub(crate) struct JoinWord {
    word: AtomicU32,
    joiner: WaiterCell,
}

/// Who drops the result that was just stored.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Stored {
    /// The handle.
    ByHandle,
    /// The goroutine: its handle is gone.
    ByGoroutine,
}

/// What the scheduler does with a finished goroutine.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Finished {
    /// The handle is gone: free the G.
    Free,
    /// The G belongs to the handle; wake this waiter, if it is still there.
    Wake(Waiter),
    /// The G belongs to the handle; report the end to this list, under this number.
    Report(*const (), u32),
    /// The G belongs to the handle, which nobody waits on.
    Leave,
}

/// What a handle that is about to go away must see to first.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Released {
    /// Nothing: the goroutine still runs, and owns everything. The handle is gone.
    Detached,
    /// The handle still stands. Drop the result if there is one, then call
    /// [`JoinWord::release_owned`].
    Owned { result: bool },
}

impl JoinWord {
    pub(crate) fn new() -> JoinWord {
        JoinWord {
            word: AtomicU32::new(0),
            joiner: WaiterCell::new(),
        }
    }

    /// A new goroutine with a handle. Relaxed: published with the G.
    #[inline]
    pub(crate) fn reset(&self) {
        self.word.store(HANDLE, Ordering::Relaxed);
    }

    /// A new goroutine without a handle.
    #[cfg_attr(loom, allow(dead_code, reason = "no model uses it"))]
    pub(crate) fn reset_detached(&self) {
        self.word.store(0, Ordering::Relaxed);
    }

    /// A goroutine that never enters a queue: its result is there already.
    pub(crate) fn reset_done(&self) {
        self.word.store(HANDLE | RESULT | DONE, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn stored(&self) -> Stored {
        // AcqRel: Release publishes the result to the handle; Acquire pairs with `release`.
        if self.word.fetch_or(RESULT, Ordering::AcqRel) & HANDLE != 0 {
            Stored::ByHandle
        } else {
            Stored::ByGoroutine
        }
    }

    #[inline]
    pub(crate) fn finish(&self) -> Finished {
        // Acquire: pairs with `register`.
        let mut before = self.word.load(Ordering::Acquire);
        loop {
            // Read before DONE is set: afterwards the handle may go away at any moment, and the
            // G may serve another goroutine, with another joiner.
            let joiner = match before & JOINER {
                0 => None,
                _ => Some(self.joiner.parts()),
            };
            // AcqRel: Release publishes the end of the goroutine (and a result without
            // destructor) to the handle; Acquire pairs with `register` and `release`.
            match self.word.compare_exchange_weak(
                before,
                before | DONE,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) if before & HANDLE == 0 => return Finished::Free,
                Ok(_) => {
                    return match joiner {
                        None => Finished::Leave,
                        Some((list, n)) if before & LISTED != 0 => Finished::Report(list, n),
                        Some((parker, seq)) => {
                            // SAFETY: without LISTED, a waiter was registered, and the word has
                            // not changed since its parts were read.
                            Finished::Wake(unsafe { Waiter::from_parts(parker, seq) })
                        }
                    };
                }
                Err(now) => before = now,
            }
        }
    }

    /// The handle goes. As long as a result is there, it must stay until the result is dropped:
    /// without it the scheduler would free the G under the destructor.
    #[inline]
    pub(crate) fn release(&self) -> Released {
        // Acquire: pairs with `stored` and `finish`.
        let mut before = self.word.load(Ordering::Acquire);
        while before & (RESULT | DONE) == 0 {
            // Release: orders what the handle's owner read before the G is reused.
            match self.word.compare_exchange_weak(
                before,
                before & !HANDLE,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Released::Detached,
                Err(now) => before = now,
            }
        }
        Released::Owned {
            result: before & RESULT != 0,
        }
    }

    /// The handle that `release` found to be the result's owner goes, without the result. True:
    /// free the G; else the scheduler does.
    #[inline]
    pub(crate) fn release_owned(&self) -> bool {
        // AcqRel: Acquire pairs with `finish`; Release as in `release`.
        self.word.fetch_and(!HANDLE, Ordering::AcqRel) & DONE != 0
    }

    /// Whether the join handle exists. May be outdated at once.
    pub(crate) fn has_handle(&self) -> bool {
        self.word.load(Ordering::Relaxed) & HANDLE != 0
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire: pairs with the Release in `finish`.
        self.word.load(Ordering::Acquire) & DONE != 0
    }

    /// Publishes who waits for DONE, in place of who waited before, if anybody did. False if there
    /// is nothing to wait for any more.
    #[inline]
    pub(crate) fn register(&self, waiter: Waiter) -> bool {
        // Relaxed: only the handle's owner sets JOINER.
        if self.word.load(Ordering::Relaxed) & JOINER != 0 {
            // Taken back before the cell is written to. A `finish` that has read the old one, or
            // reads a mixture, fails at its compare-and-swap: the number below is another one.
            // AcqRel: not before the reads of an earlier owner's wait, not after the write below.
            // (LISTED is left over only beside DONE.)
            self.word.fetch_and(!(JOINER | LISTED), Ordering::AcqRel);
        }
        self.joiner.set(waiter);
        // AcqRel: Release publishes `joiner`; Acquire pairs with `finish`.
        self.word.fetch_add(JOINER + TURN, Ordering::AcqRel) & DONE == 0
    }

    /// Has DONE reported to a list, in place of who waited before, if anybody did. False if it is
    /// set already, and nothing will be reported.
    pub(crate) fn register_list(&self, list: *const (), number: u32) -> bool {
        // As in `register`.
        // AcqRel: as there.
        let mut before = self.word.fetch_and(!(JOINER | LISTED), Ordering::AcqRel);
        debug_assert!(
            before & LISTED == 0 || before & DONE != 0,
            "it is in another list"
        );
        before &= !(JOINER | LISTED);
        self.joiner.set_parts(list, number);
        while before & DONE == 0 {
            // AcqRel: Release publishes `joiner`; Acquire pairs with `finish`.
            match self.word.compare_exchange_weak(
                before,
                before.wrapping_add(TURN) | JOINER | LISTED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => before = now,
            }
        }
        false
    }

    /// Takes back what [`JoinWord::register_list`] did. True: nothing was reported, nor will be, and
    /// the word's share in the list is the caller's. False: it was reported, or is just being.
    pub(crate) fn withdraw(&self) -> bool {
        // Acquire: pairs with `finish`.
        let mut before = self.word.load(Ordering::Acquire);
        while before & LISTED != 0 && before & DONE == 0 {
            // AcqRel: as in `register`.
            match self.word.compare_exchange_weak(
                before,
                before & !(JOINER | LISTED),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => before = now,
            }
        }
        false
    }
}
