//! Park against ready: the waiter word (`g/parker.rs`) between the M that parks a goroutine, a
//! waker that found it where it was published, and a shutdown that finds it by its walk.
//!
//! Written out here: `commit_park` (`sched/run.rs`), the walk of `begin_stop`
//! (`sched/shutdown.rs`). The commit function publishes the waiter by one word. Abstracted: the
//! run queue (whoever wins resumes the goroutine itself), the registry of Gs (there is one).

use super::{check, spawn};
use crate::atomics::atomic::{AtomicBool, AtomicPtr};
use crate::atomics::{Backoff, Ordering, heavy_fence, light_fence};
use crate::g::parker::{Claimed, Kind, Parker, Token, Waiter, WaiterCell};
use loom::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

const WOKEN: Token = Token::new(7);

struct World {
    parker: Parker,
    interruptible: AtomicBool,
    /// What the goroutine keeps on its stack; the continuation's alone once it is resumed.
    frame: UnsafeCell<u32>,
    /// What a claimer leaves to a waiter.
    elem: UnsafeCell<u32>,
    /// Where the commit function publishes the waiter.
    published: AtomicBool,
    cell: WaiterCell,
    committing: AtomicPtr<Parker>,
    stopping: AtomicBool,
    /// Not part of the model: how often the goroutine was resumed, by whom.
    woken: Count,
    interrupted: Count,
    not_parked: Count,
}

// SAFETY: the frame is only touched by who the protocol says owns it, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            parker: Parker::new(Kind::Goroutine),
            interruptible: AtomicBool::new(false),
            frame: UnsafeCell::new(0),
            elem: UnsafeCell::new(0),
            published: AtomicBool::new(false),
            cell: WaiterCell::new(),
            committing: AtomicPtr::new(ptr::null_mut()),
            stopping: AtomicBool::new(false),
            woken: Count::new(0),
            interrupted: Count::new(0),
            not_parked: Count::new(0),
        })
    }

    /// The goroutine's side of a park.
    fn before_park(&self, interruptible: bool) {
        // SAFETY: the goroutine runs.
        self.frame.with_mut(|f| unsafe { *f += 1 });
        self.interruptible.store(interruptible, Ordering::Relaxed);
    }

    /// As in `sched/run.rs`.
    fn commit_park(&self, commit: impl FnOnce(Waiter) -> bool) -> Option<Claimed> {
        let waiter = self.parker.episode();
        let interruptible = self.interruptible.load(Ordering::Relaxed);
        self.committing
            .store(ptr::from_ref(&self.parker).cast_mut(), Ordering::Relaxed);
        self.parker.arm(waiter);
        let keep = commit(waiter);
        self.committing.store(ptr::null_mut(), Ordering::Release);
        light_fence();
        if !keep {
            waiter.claim(Token::NOT_PARKED)
        } else if self.stopping.load(Ordering::Relaxed) && interruptible {
            waiter.claim(Token::INTERRUPTED)
        } else {
            None
        }
    }

    /// A commit function that reads its frame, then publishes.
    fn publish(&self, waiter: Waiter) -> bool {
        // SAFETY: nobody resumes the goroutine before it is published and committed.
        self.frame.with(|f| assert_ne!(unsafe { *f }, 0));
        self.cell.set(waiter);
        self.published.store(true, Ordering::Release);
        true
    }

    /// The goroutine runs again.
    fn resume(&self, claimed: Option<Claimed>) -> bool {
        if claimed.is_none() {
            return false;
        }
        match self.parker.token() {
            WOKEN => &self.woken,
            Token::INTERRUPTED => &self.interrupted,
            Token::NOT_PARKED => &self.not_parked,
            other => panic!("woken with {other:?}"),
        }
        .fetch_add(1, Relaxed);
        // SAFETY: the goroutine runs.
        self.frame.with_mut(|f| unsafe { *f += 1 });
        true
    }

    /// A waker that looks once where waiters are published; whether there was one.
    fn wake(&self) -> bool {
        if !self.published.load(Ordering::Acquire) {
            return false;
        }
        let waiter = self.cell.get().expect("published");
        self.resume(waiter.claim(WOKEN));
        true
    }

    /// As `begin_stop` in `sched/shutdown.rs`.
    fn stop(&self) -> Option<Claimed> {
        self.stopping.store(true, Ordering::SeqCst);
        heavy_fence();
        let waiter = self.parker.armed()?;
        if !self.interruptible.load(Ordering::Relaxed) {
            return None;
        }
        let claimed = waiter.claim(Token::INTERRUPTED)?;
        let mut backoff = Backoff::new();
        while ptr::eq(self.committing.load(Ordering::Acquire), &self.parker) {
            backoff.snooze();
        }
        Some(claimed)
    }

    fn counts(&self) -> [u32; 3] {
        [&self.woken, &self.interrupted, &self.not_parked].map(|c| c.load(Relaxed))
    }
}

/// One of the two claimers wins; the shutdown leaves no goroutine armed, whether its walk came
/// before the parking or after; and the commit function's frame is there while it runs.
#[test]
fn a_waker_and_a_shutdown_race_for_a_parking_goroutine() {
    check(4, || {
        let w = World::new();
        let waker = spawn(&w, |w| {
            w.wake();
        });
        let stopper = spawn(&w, |w| {
            let claimed = w.stop();
            w.resume(claimed);
        });
        w.before_park(true);
        let own = w.commit_park(|waiter| w.publish(waiter));
        w.resume(own);
        waker.join().unwrap();
        stopper.join().unwrap();
        let [woken, interrupted, _] = w.counts();
        assert_eq!(woken + interrupted, 1, "resumed exactly once");
    });
}

/// A commit function that finds nothing to wait for, against a shutdown.
#[test]
fn a_wait_that_is_called_off_ends_once() {
    check(5, || {
        let w = World::new();
        let stopper = spawn(&w, |w| {
            let claimed = w.stop();
            w.resume(claimed);
        });
        w.before_park(true);
        let own = w.commit_park(|waiter| !w.publish(waiter));
        w.resume(own);
        stopper.join().unwrap();
        let [_, interrupted, not_parked] = w.counts();
        assert_eq!(interrupted + not_parked, 1);
    });
}

/// A wait that must not be interrupted is not, and its wake-up is not lost.
#[test]
fn a_forbidden_interrupt_leaves_the_wait_to_its_waker() {
    check(4, || {
        let w = World::new();
        let stopper = spawn(&w, |w| assert!(w.stop().is_none()));
        let waker = spawn(&w, |w| {
            if w.wake() {
                assert_eq!(w.counts(), [1, 0, 0], "it was published too early");
            }
        });
        w.before_park(false);
        assert!(w.commit_park(|waiter| w.publish(waiter)).is_none());
        waker.join().unwrap();
        stopper.join().unwrap();
        if w.counts() == [0, 0, 0] {
            assert!(w.wake(), "still published and armed");
        }
        assert_eq!(w.counts(), [1, 0, 0]);
    });
}

/// A thread that polls its word, and a claimer that has nothing but the waiter to go by: each sees
/// what the other wrote before.
#[test]
fn the_word_alone_orders_waiter_and_claimer() {
    check(5, || {
        let w = World::new();
        w.cell.set(w.parker.episode());
        let one = spawn(&w, |w| {
            let waiter = w.cell.get().expect("set before");
            // SAFETY: the claimer's, until it claims.
            w.elem.with_mut(|e| unsafe { *e = 5 });
            if waiter.claim(WOKEN).is_some() {
                // SAFETY: the waiter does not write to it any more.
                w.frame.with(|f| assert_eq!(unsafe { *f }, 1));
            }
        });
        w.before_park(false);
        w.parker.arm(w.parker.episode());
        if w.parker.fired() {
            // SAFETY: the claimer has written it.
            w.elem.with(|e| assert_eq!(unsafe { *e }, 5));
        }
        one.join().unwrap();
    });
}

/// Two wakers hold the same waiter. The one that loses comes in the middle of the next episode and
/// must not end it, nor must a shutdown that read the flag of the wrong episode.
#[test]
fn a_waiter_of_an_earlier_episode_never_wins() {
    fn wake_and_park_again(w: &World) {
        if w.published.load(Ordering::Acquire) {
            let waiter = w.cell.get().expect("published");
            if w.resume(waiter.claim(WOKEN)) {
                w.before_park(false);
                assert!(w.commit_park(|_| true).is_none());
            }
        }
    }
    check(3, || {
        let w = World::new();
        let wakers = [(); 2].map(|()| spawn(&w, wake_and_park_again));
        let stopper = spawn(&w, |w| {
            let claimed = w.stop();
            if w.resume(claimed) {
                w.before_park(false);
                assert!(w.commit_park(|_| true).is_none());
            }
        });
        w.before_park(true);
        let own = w.commit_park(|waiter| w.publish(waiter));
        if w.resume(own) {
            w.before_park(false);
            assert!(w.commit_park(|_| true).is_none());
        }
        for waker in wakers {
            waker.join().unwrap();
        }
        stopper.join().unwrap();
        let [woken, interrupted, _] = w.counts();
        assert_eq!(woken + interrupted, 1, "one wake-up of the first episode");
        assert!(w.parker.armed().is_some(), "the second is not ended");
    });
}
