//! One direction of a descriptor, reading or writing: what is known of its readiness, and who waits for
//! it. Go's `pollDesc.rg` and `wg`, with a state more.
//!
//! # Protocol
//!
//! The kernel reports *edges*: it says once that something has come, and not again until it has been
//! fetched. So the word remembers, and nobody waits who has not found the descriptor empty since the
//! last report.
//!
//! ```text
//!   state    meaning                                         who may leave it, and to what
//!   READY    something was reported since the last attempt   an attempt: TRYING
//!   TRYING   an attempt has begun since; what it found, or   the attempt that found nothing (more): DRAINED;
//!            that there is more, is not known                a report: READY
//!   DRAINED  an attempt that began after the last report     the waiter: WAITING; a report: READY
//!            found nothing (more): there will be a report
//!   WAITING  as DRAINED, and the waiter in `waiter` is to    a report: WAKING; the waiter that gives up:
//!            be woken by it                                  DRAINED
//!   WAKING   a report reads `waiter`                         the same report: READY
//! ```
//!
//! The upper bits count the reports. An attempt notes the count when it begins, and may say DRAINED only
//! if it is still the same: else something may have come after it looked.
//!
//! *No report is lost.* Say that something comes, and one who found nothing before goes to sleep. Its
//! attempt was made with a count c, before the thing came, so the report comes later, and moves the word
//! from (c, s) to (c+1, READY). If s is WAITING, it claims the waiter. Else the waiter's move from
//! (c, DRAINED) to (c, WAITING) comes after, and fails; it tries again.
//!
//! *A waiter does not leave while it is read.* One who gives up (a deadline, an interrupt) moves WAITING
//! to DRAINED, or finds WAKING, and waits the few instructions until it is READY. So `waiter` is that of
//! the wait which the report found, never half of one and half of the next, and its parker is there to be
//! claimed.
//!
//! *A short read.* A stream that gives less than it was asked for is drained, too, and the next read can wait
//! at once. Not if the read may have stopped for another reason: at urgent data, or before the end of the
//! stream, which is not a report's to repeat. Those are remembered (`Desc::boundary`) before their report is
//! made: an attempt that begins after it knows, and one that began before it finds the count changed.
//!
//! There is one waiter per direction; several queue before it (see `api/io/pollable.rs`).

use crate::atomics::atomic::AtomicU32;
use crate::atomics::{Backoff, Ordering};
use crate::g::parker::{Claimed, Token, Waiter, WaiterCell};

const STATE: u32 = 7;
const READY: u32 = 0;
const TRYING: u32 = 1;
const DRAINED: u32 = 2;
const WAITING: u32 = 3;
const WAKING: u32 = 4;
/// One report.
const REPORT: u32 = STATE + 1;

/// What a report wakes with.
pub(crate) const REPORTED: Token = Token::new(0);

#[derive(Debug)]
pub(crate) struct Direction {
    word: AtomicU32,
    /// Written by the waiter before it says WAITING, read while the word says WAKING.
    waiter: WaiterCell,
}

/// An attempt that has begun: the count of reports at that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt(u32);

/// Whether to make an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// It may succeed.
    Try(Attempt),
    /// There is nothing: the next thing to do is to wait.
    Drained(Attempt),
}

impl Direction {
    pub(crate) fn new() -> Direction {
        Direction {
            word: AtomicU32::new(READY),
            waiter: WaiterCell::new(),
        }
    }

    /// Before an attempt: what is known.
    #[inline]
    pub(crate) fn begin(&self) -> Begin {
        // Acquire: pairs with the Release in `report`, also if another has begun an attempt since: what
        // was written before the report (that the descriptor is closed, registered nowhere, or has come to
        // a boundary) is seen.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let attempt = Attempt(word & !STATE);
            match word & STATE {
                DRAINED => return Begin::Drained(attempt),
                READY => {
                    // Relaxed: the load was an Acquire, and so is the one of a failure.
                    match self.word.compare_exchange_weak(
                        word,
                        attempt.0 | TRYING,
                        Ordering::Relaxed,
                        Ordering::Acquire,
                    ) {
                        Ok(_) => return Begin::Try(attempt),
                        Err(now) => word = now,
                    }
                }
                // Somebody else tries, or waits: that does not keep us from trying.
                _ => return Begin::Try(attempt),
            }
        }
    }

    /// The attempt found nothing, or less than it asked for. Only for descriptors that are registered:
    /// there will be a report.
    #[inline]
    pub(crate) fn drained(&self, attempt: Attempt) {
        // Relaxed: publishes nothing. Fails if there was a report meanwhile, or others wait.
        let _ = self.word.compare_exchange(
            attempt.0 | TRYING,
            attempt.0 | DRAINED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Publishes a waiter that is armed, of which there is one at a time. False: there was a report
    /// since the attempt, or the attempt was not said to have found nothing.
    pub(crate) fn publish(&self, attempt: Attempt, waiter: Waiter) -> bool {
        let (parker, seq) = waiter.into_parts();
        self.waiter.set_parts(parker, seq);
        // Release: pairs with the Acquire in `report`, which reads the waiter.
        self.word
            .compare_exchange(
                attempt.0 | DRAINED,
                attempt.0 | WAITING,
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// The waiter does not wait any more, for another reason than a report.
    pub(crate) fn leave(&self) {
        let mut backoff = Backoff::new();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match word & STATE {
                WAITING => {
                    // Relaxed: publishes nothing.
                    match self.word.compare_exchange(
                        word,
                        word & !STATE | DRAINED,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    ) {
                        Ok(_) => return,
                        Err(now) => word = now,
                    }
                }
                WAKING => {
                    backoff.snooze();
                    word = self.word.load(Ordering::Relaxed);
                }
                _ => return,
            }
        }
    }

    /// Something has come, or changed: whoever waits shall try again.
    pub(crate) fn report(&self) -> Option<Claimed> {
        let mut backoff = Backoff::new();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = (word & !STATE).wrapping_add(REPORT);
            let new = match word & STATE {
                WAKING => {
                    // Another report is at it. Ours comes after it: who consumes that one would not
                    // see what was written before ours.
                    backoff.snooze();
                    word = self.word.load(Ordering::Relaxed);
                    continue;
                }
                WAITING => word & !STATE | WAKING,
                // Also from READY: the write is what publishes.
                _ => next | READY,
            };
            // AcqRel: Release pairs with the Acquire in `begin`; Acquire with the Release in `publish`.
            match self
                .word
                .compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Err(now) => word = now,
                Ok(_) if new & STATE == READY => return None,
                Ok(_) => {
                    let (parker, seq) = self.waiter.parts();
                    // SAFETY: set by `publish`, and not changed while the word says WAKING.
                    let claimed = unsafe { Waiter::from_parts(parker, seq) }.claim(REPORTED);
                    // Release: as above. After the claim: a waiter that gave up may leave from here
                    // on, and its goroutine, and its runtime, end.
                    self.word.store(next | READY, Ordering::Release);
                    return claimed;
                }
            }
        }
    }
}
