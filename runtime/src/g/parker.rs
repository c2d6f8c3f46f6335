//! The word by which a parked goroutine or thread is woken exactly once.
//!
//! # Protocol
//!
//! Whoever waits has a [`Parker`], in type-stable memory: it is only ever reused as a parker, and
//! not freed as long as any runtime exists, so a waker that comes too late touches valid memory
//! and loses. Each wait is an *episode* with a
//! number of its own:
//!
//! ```text
//!   state   value            owner, and who may leave it
//!   IDLE    (seq-1, t, FIRED) the waiter runs; only it may start an episode
//!   OPEN    (seq,   0, OPEN)  the waiter still runs, and may be claimed already: for a wait that is
//!                             published in several places before it begins
//!   ARMED   (seq,   0, ARMED) the waiter is off its stack (a goroutine) or about to block (a
//!                             thread); whoever wins the compare-and-swap owns the wake-up
//!   FIRED   (seq,   t, FIRED) one waker won, with token t; it, and nobody else, makes the
//!                             waiter run again
//! ```
//!
//! [`Parker::episode`] names the next episode without writing anything; wakers learn of it by
//! whatever the waiter publishes (a sudog in a channel's queue). [`Parker::arm`] is called by the
//! scheduler *after* the goroutine has left its stack and *before* its commit function publishes
//! the waiter, so a waker can neither come too early nor resume a goroutine that still runs.
//! A wait that must be published in places without a common lock (several joins, a timer that may
//! be reset) is *opened* first: [`Parker::open`] starts the episode while the waiter still runs, and
//! [`Parker::arm_open`], off its stack, moves it to ARMED by a compare-and-swap, or finds that
//! somebody has claimed it meanwhile. Who claims an OPEN waiter has nothing to make ready: the
//! waiter, which runs, finds it out itself.
//! [`Waiter::claim`] is one compare-and-swap on the exact (seq, ARMED) word. Two wakers (two
//! arms of a select, a send and a deadline, a send and a shutdown) cannot both win; a waker of an
//! earlier episode fails on the number, which wraps only after 2^32 parks of the same goroutine
//! between a waker's look and its compare-and-swap.

use super::interrupt::Frame;
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64};
use std::ptr::NonNull;

const STATE_BITS: u64 = 2;
const TOKEN_BITS: u64 = 30;
const FIRED: u64 = 0;
const ARMED: u64 = 1;
const OPEN: u64 = 2;

/// What a wake-up carries to the waiter: which of several things it waited for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u32);

impl Token {
    /// The runtime shuts down, or the waiter was cancelled: the wait is over without what was
    /// waited for.
    pub const INTERRUPTED: Token = Token((1 << TOKEN_BITS) - 1);
    /// The commit function decided not to wait.
    pub const NOT_PARKED: Token = Token((1 << TOKEN_BITS) - 2);
    /// The deadline of the wait has passed.
    pub const TIMEOUT: Token = Token((1 << TOKEN_BITS) - 3);
    /// Largest value that [`Token::new`] takes.
    pub const MAX: u32 = (1 << TOKEN_BITS) - 16;

    /// A token of the caller's choice.
    ///
    /// # Panics
    /// If `value` is above [`Token::MAX`].
    #[inline]
    pub const fn new(value: u32) -> Token {
        assert!(value <= Token::MAX, "token out of range");
        Token(value)
    }

    /// The token whose number is greater by `n`, which is known to be in range.
    #[inline]
    pub const fn plus(self, n: u32) -> Token {
        debug_assert!(self.0 + n <= Token::MAX, "token out of range");
        Token(self.0 + n)
    }

    /// The number that [`Token::new`] was given.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What kind of thing waits on a parker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Goroutine,
    Thread,
}

/// The wake-up word of one goroutine or thread. The first field of what it belongs to, so that a
/// pointer to it leads back there.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Parker {
    word: AtomicU64,
    kind: Kind,
    /// What is asked of the waiter (see `interrupt.rs`).
    pub(super) requests: AtomicU8,
    /// Whether the current wait may be interrupted. Written by the waiter before it arms.
    pub(crate) interruptible: AtomicBool,
    /// The innermost frame that can be told to end, or null. The waiter's own.
    pub(crate) frame: AtomicPtr<Frame>,
}

const fn word(seq: u32, token: u32, state: u64) -> u64 {
    ((seq as u64) << (STATE_BITS + TOKEN_BITS)) | ((token as u64) << STATE_BITS) | state
}

impl Parker {
    pub(crate) fn new(kind: Kind) -> Parker {
        Parker {
            word: AtomicU64::new(word(0, 0, FIRED)),
            kind,
            requests: AtomicU8::new(0),
            interruptible: AtomicBool::new(true),
            frame: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// A new goroutine has this parker, or a new thread: nothing is asked of it.
    #[inline]
    pub(crate) fn reset(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.frame.store(std::ptr::null_mut(), Ordering::Relaxed);
    }

    /// Names the next episode. Only the waiter itself calls this.
    #[inline]
    pub(crate) fn episode(&self) -> Waiter {
        // Relaxed: the waiter wrote the sequence number itself, or was woken by an operation
        // that synchronised with it.
        let seq = (self.word.load(Ordering::Relaxed) >> (STATE_BITS + TOKEN_BITS)) as u32;
        Waiter {
            parker: NonNull::from(self),
            seq: seq.wrapping_add(1),
        }
    }

    /// Opens the episode to wakers. Called when the waiter is off its stack, before it is
    /// published.
    #[inline]
    pub(crate) fn arm(&self, waiter: Waiter) {
        debug_assert_eq!(self.episode(), waiter);
        // Release: what the waiter wrote before parking is visible to whoever claims it (the
        // Acquire in `claim`), also when the claimer found the goroutine by a walk over all Gs.
        self.word
            .store(word(waiter.seq, 0, ARMED), Ordering::Release);
    }

    /// Starts the episode of `waiter`, the next one, while the waiter still runs.
    #[inline]
    pub(crate) fn open(&self, waiter: Waiter) {
        debug_assert_eq!(self.episode(), waiter);
        // Release: as in `arm`.
        self.word
            .store(word(waiter.seq, 0, OPEN), Ordering::Release);
    }

    /// The waiter of the episode that was opened last, whoever has claimed it meanwhile. Only the
    /// waiter itself calls this.
    pub(crate) fn opened(&self) -> Waiter {
        // Relaxed: the waiter wrote the sequence number itself.
        let seq = (self.word.load(Ordering::Relaxed) >> (STATE_BITS + TOKEN_BITS)) as u32;
        Waiter {
            parker: NonNull::from(self),
            seq,
        }
    }

    /// The waiter of an open episode is off its stack. False: it was claimed meanwhile, and must
    /// be made to run by the caller.
    #[inline]
    pub(crate) fn arm_open(&self, waiter: Waiter) -> bool {
        // AcqRel: Release as in `arm`; Acquire pairs with the Release in `claim`.
        self.word
            .compare_exchange(
                word(waiter.seq, 0, OPEN),
                word(waiter.seq, 0, ARMED),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// The token of the wake-up that ended the last episode.
    #[inline]
    pub(crate) fn token(&self) -> Token {
        // Acquire: pairs with the Release in `claim`, for a thread that polls this word; a
        // goroutine has synchronised through the run queue already.
        let w = self.word.load(Ordering::Acquire);
        debug_assert_eq!(w & ((1 << STATE_BITS) - 1), FIRED);
        Token((w >> STATE_BITS) as u32 & ((1 << TOKEN_BITS) - 1))
    }

    /// Whether the last episode has ended.
    pub(crate) fn fired(&self) -> bool {
        // Acquire: pairs with the Release in `claim`.
        self.word.load(Ordering::Acquire) & ((1 << STATE_BITS) - 1) == FIRED
    }

    /// The episode that is open to wakers now, if any: for those who find the waiter by a walk
    /// over all goroutines and not by what it published.
    pub(crate) fn armed(&self) -> Option<Waiter> {
        // Acquire: pairs with the Release in `arm`.
        let w = self.word.load(Ordering::Acquire);
        (w & ((1 << STATE_BITS) - 1) == ARMED).then(|| Waiter {
            parker: NonNull::from(self),
            seq: (w >> (STATE_BITS + TOKEN_BITS)) as u32,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

/// One wait of one goroutine or plain thread, to be given to whoever shall end it. Any number of
/// copies may be handed out (a select gives one to each of its channels); only one of them ends
/// the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    parker: NonNull<Parker>,
    seq: u32,
}

// SAFETY: parkers outlive the waiters that are named after them (`Window::waiter`), and all
// access to them is atomic.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// Takes the right to end this wait, with `token` as the reason that the waiter will see.
    /// `None` if somebody else has ended it. The winner must call
    /// [`Claimed::ready`], after it has released its locks.
    #[inline]
    pub fn claim(self, token: Token) -> Option<Claimed> {
        let armed = word(self.seq, 0, ARMED);
        let fired = word(self.seq, token.0, FIRED);
        // AcqRel: Acquire pairs with the Release in `arm`; Release makes what the claimer wrote
        // (the value at the waiter's `elem`) visible to a waiter that polls the word.
        match self
            .parker()
            .word
            .compare_exchange(armed, fired, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => Some(Claimed(Some(self.parker))),
            Err(now) if now == word(self.seq, 0, OPEN) => self.claim_open(now, fired),
            Err(_) => None,
        }
    }

    /// As `claim`, of a waiter that was open a moment ago, and may be armed by now.
    #[cold]
    fn claim_open(self, mut now: u64, fired: u64) -> Option<Claimed> {
        let open = word(self.seq, 0, OPEN);
        while now == open || now == word(self.seq, 0, ARMED) {
            // AcqRel: as in `claim`; here Acquire pairs with the Release in `open` as well.
            match self.parker().word.compare_exchange(
                now,
                fired,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Claimed((now != open).then_some(self.parker))),
                Err(other) => now = other,
            }
        }
        None
    }

    /// Whether the wait has not ended. May be outdated at once.
    pub(crate) fn is_waiting(self) -> bool {
        let now = self.parker().word.load(Ordering::Relaxed);
        now == word(self.seq, 0, ARMED) || now == word(self.seq, 0, OPEN)
    }

    /// The waiter as two words, for [`Waiter::from_parts`].
    pub(crate) fn into_parts(self) -> (*const (), u32) {
        (self.parker.as_ptr().cast_const().cast(), self.seq)
    }

    /// # Safety
    /// The parts are those of a waiter.
    pub(crate) unsafe fn from_parts(parker: *const (), seq: u32) -> Waiter {
        Waiter {
            // SAFETY: the caller's promise.
            parker: unsafe { NonNull::new_unchecked(parker.cast_mut().cast()) },
            seq,
        }
    }

    #[inline]
    pub(crate) fn parker(&self) -> &Parker {
        // SAFETY: the contract of `Window::waiter`.
        unsafe { self.parker.as_ref() }
    }
}

/// A place where a waiter is published, and from which a reader may get an outdated or even a torn
/// one without harm: a claim on it then fails, or at worst wakes a waiter that looks again.
#[derive(Debug)]
pub(crate) struct WaiterCell {
    parker: AtomicPtr<Parker>,
    seq: AtomicU32,
}

impl WaiterCell {
    pub(crate) fn new() -> WaiterCell {
        WaiterCell {
            parker: AtomicPtr::new(std::ptr::null_mut()),
            seq: AtomicU32::new(0),
        }
    }

    /// Relaxed: published by the word that says that there is a waiter.
    pub(crate) fn set(&self, waiter: Waiter) {
        self.parker.store(waiter.parker.as_ptr(), Ordering::Relaxed);
        self.seq.store(waiter.seq, Ordering::Relaxed);
    }

    /// As `set`, of anything that consists of a pointer and a number.
    pub(crate) fn set_parts(&self, pointer: *const (), number: u32) {
        self.parker
            .store(pointer.cast_mut().cast(), Ordering::Relaxed);
        self.seq.store(number, Ordering::Relaxed);
    }

    /// What was set: a waiter's as of [`Waiter::into_parts`].
    pub(crate) fn parts(&self) -> (*const (), u32) {
        (
            self.parker.load(Ordering::Relaxed).cast_const().cast(),
            self.seq.load(Ordering::Relaxed),
        )
    }
}

/// The right and the duty to make a waiter run again.
#[derive(Debug)]
#[must_use = "a claimed waiter sleeps for ever unless `ready` is called"]
pub struct Claimed(
    /// `None`: the waiter runs, and finds out by itself.
    pub(crate) Option<NonNull<Parker>>,
);

// SAFETY: a right over a parker, which is accessed atomically.
unsafe impl Send for Claimed {}

impl Claimed {
    /// Whether the waiter had not parked yet when it was claimed: it needs nobody to make it run,
    /// and may be gone already.
    pub(crate) fn is_running(&self) -> bool {
        self.0.is_none()
    }
}
