//! The handshake by which a P is taken from an M whose goroutine does not come back.
//!
//! Two words per M. `in_runtime` is stored by the M around every runtime call made on a
//! goroutine; the scheduler's own loop runs with it set. `request` is moved by whoever wants the
//! P (the monitor) and by the M:
//!
//! ```text
//!            monitor: request()                monitor: try_take(), M is out
//!   NONE ---------------------------> REQUESTED ---------------------------> TAKEN
//!    ^                                    |                                    |
//!    +---- M: enter(), its slice is over -+                                    |
//!    +------------------------------------- M: enter(), it has no P any more --+
//! ```
//!
//! # Why the P has one owner
//!
//! M enters: `in_runtime = true`; light fence; read `request`.
//! Monitor: `request = REQUESTED`; heavy fence; read `in_runtime`.
//!
//! *Case 1: the M's store of `in_runtime` comes before the heavy fence.* Then the monitor reads
//! true (or a later value) and, seeing true, leaves the P alone. If it reads a later false, the M
//! has left again, and case 2 holds for its next entry.
//!
//! *Case 2: it comes after.* Then the M's read of `request` comes after the monitor's store, so
//! the M sees REQUESTED or TAKEN. Seeing REQUESTED, it moves REQUESTED to NONE by
//! compare-and-swap, against the monitor's compare-and-swap from REQUESTED to TAKEN: one of them
//! wins. If the M wins it keeps the P, if the monitor wins the M finds TAKEN and goes the slow
//! way.
//!
//! Only one thread, the monitor, makes requests: its last step trusts that REQUESTED is still the
//! one for which it looked at `in_runtime`, and not a newer one of somebody else.
//!
//! A request that is left pending (the M was inside) is seen by the M at its next entry, where it
//! yields; a later `try_take` puts up a fence of its own, so the cases hold again.
//! `in_runtime = false` is a Release store that the monitor reads with Acquire: all that the M did
//! to the P inside is visible to the P's next owner.
//!
//! # Rejected
//!
//! A single word that both sides swap (as Go's `atomicstatus` on system calls): 6 to 8 ns per
//! runtime call for the locked instruction, against 1 ns for the two plain accesses. Signals
//! (Go's preemption): they would interrupt foreign system calls with EINTR, and Rust code cannot
//! be stopped at an arbitrary instruction anyway.

#[cfg(not(loom))]
use crate::atomics::atomic::AtomicU32;
use crate::atomics::atomic::{AtomicBool, AtomicU8};
use crate::atomics::{Ordering, heavy_fence, light_fence};

const NONE: u8 = 0;
const REQUESTED: u8 = 1;
const TAKEN: u8 = 2;

#[derive(Debug)]
pub(crate) struct Handshake {
    in_runtime: AtomicBool,
    request: AtomicU8,
    /// See [`Handshake::met`]. No part of the protocol.
    #[cfg(not(loom))]
    met: AtomicU32,
}

/// What an M finds on entry when somebody wanted its P.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Entry {
    /// It still has its P, but its slice is over: yield.
    SliceOver,
    /// Its P is gone.
    Lost,
}

impl Handshake {
    /// For an M that starts inside the runtime.
    pub(crate) fn new() -> Handshake {
        Handshake {
            in_runtime: AtomicBool::new(true),
            request: AtomicU8::new(NONE),
            #[cfg(not(loom))]
            met: AtomicU32::new(0),
        }
    }

    /// The M enters the runtime. True if nobody wanted its P (the usual case); else it must call
    /// [`Handshake::resolve`] before it touches its P.
    #[inline(always)]
    pub(crate) fn enter(&self) -> bool {
        // Relaxed and a light fence: pairs with the heavy fence in `try_take`.
        self.in_runtime.store(true, Ordering::Relaxed);
        light_fence();
        // Relaxed: `resolve` reads it again with Acquire.
        self.request.load(Ordering::Relaxed) == NONE
    }

    /// After an `enter` that found a request.
    #[cold]
    pub(crate) fn resolve(&self) -> Entry {
        #[cfg(not(loom))]
        self.count_met();
        // Acquire: pairs with the Release of `try_take`, whose caller may have used our P.
        match self
            .request
            .compare_exchange(REQUESTED, NONE, Ordering::Acquire, Ordering::Acquire)
        {
            Ok(_) => Entry::SliceOver,
            Err(now) => {
                debug_assert_eq!(now, TAKEN);
                // Relaxed: only the M leaves TAKEN.
                self.request.store(NONE, Ordering::Relaxed);
                Entry::Lost
            }
        }
    }

    /// The M leaves the runtime: from now on its P can be taken.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Release: pairs with the Acquire in `try_take`.
        self.in_runtime.store(false, Ordering::Release);
    }

    /// The M leaves the runtime and gives its P away itself. Called inside, before the P goes.
    pub(crate) fn give_away(&self) {
        // Relaxed: the M is inside, so nobody else moves the word from here on; a pending request
        // is overwritten, since the P goes anyway.
        #[cfg(not(loom))]
        self.request.store(TAKEN, Ordering::Relaxed);
        // loom lets a compare-and-swap succeed on a value that a plain store has replaced.
        #[cfg(loom)]
        self.request.swap(TAKEN, Ordering::Relaxed);
    }

    /// Whether the M has no P, as far as anybody else can tell: it was taken, or given away, and the M has not come back.
    #[cfg(not(loom))]
    pub(crate) fn has_no_p(&self) -> bool {
        self.request.load(Ordering::Relaxed) == TAKEN
    }

    /// Whether the M is inside the runtime; for traces and debug assertions.
    pub(crate) fn inside(&self) -> bool {
        self.in_runtime.load(Ordering::Relaxed)
    }

    /// The M, inside, is about to run another goroutine: a request that was meant for the last
    /// one is void.
    #[inline]
    pub(crate) fn new_slice(&self) {
        if self.request.load(Ordering::Relaxed) == REQUESTED {
            // May race with another REQUESTED (harmless: it is lost, and made again) but not with
            // TAKEN, since the M is inside.
            #[cfg(not(loom))]
            self.count_met();
            self.request.store(NONE, Ordering::Relaxed);
        }
    }

    /// By the M.
    #[cfg(not(loom))]
    fn count_met(&self) {
        // Relaxed: the M alone writes it, and nothing is read because of it.
        let met = self.met.load(Ordering::Relaxed);
        self.met.store(met.wrapping_add(1), Ordering::Relaxed);
    }

    /// How many requests were met, or were void when the M went on with another goroutine. As long as this stays
    /// the same after a request, the M has not been inside. (That there is a request now says nothing: it may
    /// be a later one.)
    #[cfg(not(loom))]
    pub(crate) fn met(&self) -> u32 {
        self.met.load(Ordering::Relaxed)
    }

    /// Asks the M to yield at its next entry. The monitor only.
    pub(crate) fn request(&self) {
        let _ =
            self.request
                .compare_exchange(NONE, REQUESTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Takes the P of an M that is outside the runtime. The monitor only. If it is inside, the request stays
    /// pending. `Some`: the P is the caller's.
    ///
    /// `which` reads which P that is. It is called while the M is outside and the take not yet
    /// done: after it, the M may come in, find its P lost and get another one. (If the M comes in
    /// before, it resolves the request, and the take fails.)
    pub(crate) fn try_take<P>(&self, which: impl FnOnce() -> P) -> Option<P> {
        self.request();
        heavy_fence();
        // Acquire: pairs with the Release in `leave`.
        if self.in_runtime.load(Ordering::Acquire) {
            return None;
        }
        let p = which();
        self.request
            .compare_exchange(REQUESTED, TAKEN, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(p)
    }
}
