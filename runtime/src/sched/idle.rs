//! The two counters on which submitting work and going idle meet. See docs/scheduler.md for the
//! protocol as a whole; this file is its core, small enough to be model-checked.
//!
//! ```text
//!   submit                               going idle (an M that found nothing)
//!   (1) push the goroutine               (1) put the P on the idle list  (npidle += 1)
//!   (2) light fence                      (2) leave the spinning state    (nmspinning -= 1)
//!   (3) idle P and nobody spinning?      (3) heavy fence
//!       then wake one M, spinning        (4) look at every queue again
//! ```
//!
//! *Case 1: (1) of the submitter comes before the idler's heavy fence.* Then the idler's second
//! look sees the goroutine. *Case 2: it comes after.* Then the submitter's look at the counters
//! sees an idle P, and either wakes an M, or sees another M spinning, for which the same two
//! cases hold. So work that others could run never stays unseen beside an idle P.
//!
//! (The exception is a P that is left in peace, since thefts from it have been in vain: its started
//! goroutines count as work for nobody else, in (3) and (4), until the monitor sees them wait; or since CPUs are
//! short. See `p/thefts.rs` and `room.rs`.)
//!
//! *The last P* to go idle, of an M that was not spinning, needs neither the fence nor the second look.
//! Who submits to a deque owns its P. All Ps being idle, under the scheduler's lock, whoever owns one later has taken
//! it from the idle list under that lock, and sees what was written before: a P that is idle; and what
//! was pushed earlier, its owner has run before its P became idle. A goroutine that comes to the global
//! queue comes under the same lock: before, and the idler finds it there, or after, and the submitter sees
//! an idle P. (The fence costs 12 µs if a thread of the process runs on another CPU. A server with little to do
//! would pay it once for each request.)
//!
//! An M that finds work leaves the spinning state too, without a second look: it wakes another M
//! in its place if there is an idle P, and that one will look.

use crate::atomics::atomic::AtomicU32;
use crate::atomics::{Ordering, heavy_fence, light_fence};

#[derive(Debug)]
pub(crate) struct Idle {
    /// Ps on the idle list. Changed under the scheduler's lock, read without.
    npidle: AtomicU32,
    /// Ms that look for work.
    nmspinning: AtomicU32,
}

impl Idle {
    pub(crate) fn new() -> Idle {
        Idle {
            npidle: AtomicU32::new(0),
            nmspinning: AtomicU32::new(0),
        }
    }

    pub(crate) fn npidle(&self) -> u32 {
        self.npidle.load(Ordering::Relaxed)
    }

    pub(crate) fn nmspinning(&self) -> u32 {
        self.nmspinning.load(Ordering::Relaxed)
    }

    /// A P joins the idle list; the scheduler's lock is held.
    pub(crate) fn p_idle(&self) {
        // Relaxed: the heavy fence in `before_second_look` orders it.
        self.npidle.fetch_add(1, Ordering::Relaxed);
    }

    /// A P leaves the idle list; the scheduler's lock is held.
    pub(crate) fn p_busy(&self) {
        self.npidle.fetch_sub(1, Ordering::Relaxed);
    }

    /// After work was pushed: whether an M should be woken for it. True makes the caller the
    /// owner of one spinning state, to be passed to the M that it wakes or ended by
    /// [`Idle::end_spinning`].
    #[inline(always)]
    pub(crate) fn submitted(&self) -> bool {
        // Pairs with the heavy fence in `before_second_look`.
        light_fence();
        if self.npidle.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.try_spin()
    }

    #[cold]
    fn try_spin(&self) -> bool {
        // AcqRel: a spinning M that is seen here will look at the queues after its own decrement.
        self.nmspinning.load(Ordering::Relaxed) == 0
            && self
                .nmspinning
                .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// An M starts to look for work.
    pub(crate) fn begin_spinning(&self) {
        self.nmspinning.fetch_add(1, Ordering::AcqRel);
    }

    /// It has stopped.
    pub(crate) fn end_spinning(&self) {
        let before = self.nmspinning.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "more Ms stopped spinning than started");
    }

    /// After the P was given up and the spinning state left, before the queues are looked at
    /// again.
    pub(crate) fn before_second_look(&self) {
        heavy_fence();
    }
}
