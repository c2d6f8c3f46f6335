//! Code of others that the scheduler cannot but run.
//!
//! To steal from a deque of crossbeam's is to pin the thread first, by crossbeam-epoch, whose collector is the whole
//! process's: now and then, to pin is to run *what others have deferred*. With a lock-free map in the program, for
//! example, those are the destructors of its values: the user's code, which sends, spawns, locks and waits as it
//! likes.
//!
//! So an M that is about to steal pins itself at a moment when that is harmless, and steals as long as it is pinned
//! ([`Pinned`]). It has no goroutine in hand and holds no lock; it leaves the runtime for it, so that its P can be
//! taken away and handed on if this takes long, as from a goroutine that blocks, and nobody waits for what it might find
//! ([`Sched::do_not_wait_for`]); and it does not know meanwhile that it is an M: what a destructor makes ready goes to the global queue, what it waits for blocks the thread, as on
//! any plain thread.
//!
//! Nothing else in the scheduler comes to the collector: its deques neither grow nor shrink (`p/deque.rs`).

use super::Sched;
use crate::atomics::Ordering;
use crate::m::retake::Entry;
use crate::m::{M, set_current};
use crate::p::deque::Pinned;
use crate::trace;
use crate::trace::event::Kind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The M has no P any more.
#[derive(Debug)]
pub(super) struct LostP;

impl Sched {
    /// Pins the thread of `m`, the caller's own, in its loop, with a P.
    pub(super) fn pin(&self, m: &M) -> Result<Pinned, LostP> {
        let was_spinning = m.spinning.load(Ordering::Relaxed);
        // Relaxed: for a search for leaks, which stops this thread first, and for the monitor, which looks again when it
        // has taken the P: then this was before, by the handshake.
        m.collecting.store(true, Ordering::Relaxed);
        m.handshake.leave();
        set_current(ptr::null());
        // A destructor that panics has been reported; what else was deferred with it is not run.
        let pinned = loop {
            if let Ok(pinned) = catch_unwind(AssertUnwindSafe(Pinned::new)) {
                break pinned;
            }
        };
        set_current(m);
        let entered = m.handshake.enter() || m.handshake.resolve() != Entry::Lost;
        m.collecting.store(false, Ordering::Relaxed);
        if was_spinning && !m.spinning.load(Ordering::Relaxed) {
            // SAFETY: our own M, inside the runtime.
            unsafe { trace::emit::about(m, Kind::SpinEnd) }; // by the monitor, which cannot say so here
        }
        if entered {
            return Ok(pinned);
        }
        m.p.store(ptr::null_mut(), Ordering::Relaxed);
        if self.stop_spinning(m) {
            self.second_look();
        }
        Err(LostP)
    }

    /// `m`, the caller's own, begins to look for work.
    pub(super) fn start_spinning(&self, m: &M) {
        // Counted first: the monitor, which may have seen it among the code of others a moment ago, takes back what it sees.
        self.idle.begin_spinning();
        // Release: pairs with the Acquire in `take_from_spinners`.
        m.spinning.store(true, Ordering::Release);
        // SAFETY: our own M, inside the runtime.
        unsafe { trace::emit::about(m, Kind::SpinBegin) };
    }

    /// `m`, the caller's own, does not look for work any more, if it did; whether it did.
    pub(super) fn stop_spinning(&self, m: &M) -> bool {
        let was_spinning = self.take_from_spinners(m);
        if was_spinning {
            // SAFETY: our own M, inside the runtime.
            unsafe { trace::emit::about(m, Kind::SpinEnd) };
        }
        was_spinning
    }

    /// By the monitor, which has seen at two looks that `m` does not come on, or has taken its P: if it runs code of others,
    /// nobody shall rely on its looking for work.
    pub(super) fn do_not_wait_for(&self, m: &M) {
        if m.collecting.load(Ordering::Relaxed) && self.take_from_spinners(m) {
            self.second_look();
        }
    }

    /// Whether `m` was one of them. By `m` itself or by the monitor, whoever comes first.
    fn take_from_spinners(&self, m: &M) -> bool {
        // Acquire: whoever sees it set sees it counted.
        let was_spinning = m.spinning.swap(false, Ordering::Acquire);
        if was_spinning {
            self.idle.end_spinning();
        }
        was_spinning
    }

    /// As every spinner when it stops: see `idle.rs`.
    fn second_look(&self) {
        self.idle.before_second_look();
        if self.any_work() {
            self.work_in_deque();
        }
    }
}
