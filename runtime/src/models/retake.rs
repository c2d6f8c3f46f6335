//! The retake handshake (`m/retake.rs`): an M that goes in and out, and the monitor, which takes its
//! P or asks it to yield, and alone makes requests.
//!
//! A P is a cell that loom watches: whoever thinks that it owns the P writes to it. Written out
//! here: what `Window` and `enter_slow` (`sched/window.rs`), `release_p` (`sched/handoff.rs`),
//! and `retake` and `take_from` (`sched/monitor.rs`) do with the handshake.
//! Abstracted: what an M does that finds no idle P. One is there at first.

use super::{check, spawn};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicUsize;
use crate::m::retake::{Entry, Handshake};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

struct World {
    handshake: Handshake,
    /// The Ps: the one that the M has at first, and another.
    ps: [UnsafeCell<u32>; 2],
    /// Which the M has, or had (`m.p`).
    m_p: AtomicUsize,
    /// The idle list.
    idle: Mutex<Vec<usize>>,
    /// Not part of the model: how often the M was asked to yield, and the P was taken.
    yields: Count,
    taken: Count,
}

// SAFETY: the P is only touched by who the protocol says owns it, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    /// An M that runs a goroutine, outside the runtime.
    fn outside() -> Arc<World> {
        let w = World {
            handshake: Handshake::new(),
            ps: [UnsafeCell::new(0), UnsafeCell::new(0)],
            m_p: AtomicUsize::new(0),
            idle: Mutex::new(vec![1]),
            yields: Count::new(0),
            taken: Count::new(0),
        };
        w.handshake.leave();
        Arc::new(w)
    }

    fn use_p(&self, p: usize) {
        // SAFETY: the caller thinks that it owns the P.
        self.ps[p].with_mut(|p| unsafe { *p += 1 });
    }

    /// The M, inside, uses what it thinks is its P.
    fn use_own(&self) {
        self.use_p(self.m_p.load(Ordering::Relaxed));
    }

    /// The M enters. False: it has no P, and finds none.
    fn enter(&self) -> bool {
        if !self.handshake.enter() {
            match self.handshake.resolve() {
                Entry::SliceOver => {
                    self.yields.fetch_add(1, Relaxed);
                }
                // `regain_p`
                Entry::Lost => match self.idle.lock().unwrap().pop() {
                    Some(p) => self.m_p.store(p, Ordering::Relaxed),
                    None => return false,
                },
            }
        }
        true
    }

    /// A call into the runtime. False: the M has no P any more.
    fn call(&self) -> bool {
        if !self.enter() {
            return false;
        }
        self.use_own();
        self.handshake.leave();
        true
    }

    /// The monitor's `take_from`.
    fn take(&self) -> bool {
        let which = || self.m_p.load(Ordering::Relaxed);
        let Some(p) = self.handshake.try_take(which) else {
            return false;
        };
        self.taken.fetch_add(1, Relaxed);
        self.use_p(p);
        self.idle.lock().unwrap().push(p);
        true
    }
}

#[test]
fn the_p_has_one_owner_while_the_m_comes_and_goes() {
    check(5, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            w.take();
        });
        let _ = w.call() && w.call();
        monitor.join().unwrap();
    });
}

/// The monitor tries again, with its old request pending, resolved, or void.
#[test]
fn a_second_try_meets_what_the_first_has_left() {
    check(3, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            let _ = w.take() || w.take();
        });
        let _ = w.call() && w.call();
        monitor.join().unwrap();
    });
}

/// A shutdown has the monitor ask for a yield, before and between its attempts.
#[test]
fn a_request_of_a_shutdown_meets_an_attempt() {
    check(3, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            w.handshake.request();
            if !w.take() {
                w.handshake.request();
                w.take();
            }
        });
        let _ = w.call() && w.call();
        monitor.join().unwrap();
    });
}

/// The M switches goroutines inside: the old one's request is void, and the P stays.
#[test]
fn a_new_slice_voids_a_request_and_keeps_the_p() {
    check(4, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            let _ = w.take() || w.take();
        });
        if w.enter() {
            w.use_own();
            w.handshake.new_slice();
            w.use_own();
            w.handshake.leave();
            w.call();
        }
        monitor.join().unwrap();
    });
}

/// The M gives its P away and passes it on when it is outside already.
#[test]
fn a_p_that_is_given_away_is_not_taken_as_well() {
    check(4, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            let _ = w.take() || w.take();
        });
        if w.enter() {
            w.use_own();
            let p = w.m_p.load(Ordering::Relaxed);
            w.handshake.give_away();
            w.handshake.leave();
            // `hand_off`, by an M outside.
            w.use_p(p);
            w.idle.lock().unwrap().push(p);
            // Back from the blocking call.
            w.call();
        }
        monitor.join().unwrap();
    });
}

/// Whatever an attempt of the monitor has met, it was of some use: the P was taken, the M was
/// asked to yield, or it will be at its next entry.
#[test]
fn a_request_is_not_lost() {
    check(5, || {
        let w = World::outside();
        let monitor = spawn(&w, |w| {
            w.take();
        });
        let has_p = w.call() && w.call();
        monitor.join().unwrap();
        let met = w.yields.load(Relaxed) + w.taken.load(Relaxed);
        assert!(met > 0 || !w.handshake.enter(), "the request has vanished");
        w.handshake.leave();
        // And an M that has a P and stays outside loses it in the end.
        if has_p && w.taken.load(Relaxed) == 0 {
            assert!(w.take(), "an M outside keeps its P");
        }
    });
}
