//! The commit of a select: two selects on two channels in opposite directions, a closer, a shutdown, on
//! the channels' own queue (`channels/src/waitq.rs`), the lock and the waiter word. Exactly one arm
//! of each fires, and the frame is there for as long as the commit function uses it.
//!
//! Written out here: `run`, `wait` and `Locks::take_slow` (`channels/src/select/run.rs`) for two
//! unbuffered channels, and `commit_park` and the walk of a shutdown as in `park.rs`. Whoever claims
//! a select goes on with it on its own thread, as another M would. The frame of a select, with its
//! sudogs and the order of its locks, is a cell that loom watches.

use super::{check, spawn};
use crate::atomics::atomic::{AtomicBool, AtomicPtr};
use crate::atomics::{Backoff, Ordering, heavy_fence, light_fence};
use crate::g::parker::{Claimed, Kind, Parker, Token};
use crate::p::lock::{BiasSlot, Held, Lock};
use loom::cell::UnsafeCell;
use queue::{CLOSED, DONE, OUTCOMES, Sudog, WaitQueue};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

#[allow(dead_code, reason = "values do not go through the sudog here")]
#[path = "../../../channels/src/waitq.rs"]
mod queue;

/// What a channel's lock protects.
struct State {
    recvq: WaitQueue,
    sendq: WaitQueue,
    closed: bool,
}

struct Chan {
    lock: Lock,
    state: UnsafeCell<State>,
}

/// Select 0 receives from channel 0 and sends to channel 1; select 1 the other way round.
struct Select {
    parker: Parker,
    /// True until the select has left `wait`.
    frame: UnsafeCell<bool>,
    sudogs: std::cell::UnsafeCell<[Option<Sudog>; 2]>,
    committing: AtomicPtr<Parker>,
    /// Not part of the model: how it ended.
    met: Count,
    closed: Count,
    interrupted: Count,
}

struct World {
    chans: [Chan; 2],
    selects: [Select; 2],
    stopping: AtomicBool,
    slot: BiasSlot,
}

// SAFETY: the cells are only touched by who the protocol says owns them, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Chan {
    fn new() -> Chan {
        Chan {
            lock: Lock::biased_to(None),
            state: UnsafeCell::new(State {
                recvq: WaitQueue::new(),
                sendq: WaitQueue::new(),
                closed: false,
            }),
        }
    }

    /// `slot`: that of the caller's P.
    fn lock(&self, slot: Option<&BiasSlot>) -> Held {
        // SAFETY: one thread has the slot, and holds no other lock when it gives it.
        unsafe { self.lock.lock(slot) }
    }

    fn unlock(&self, held: Held) {
        // SAFETY: locked by the caller.
        unsafe { self.lock.unlock(held) };
    }

    /// Under the lock.
    fn state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: locked by the caller, which loom checks.
        self.state.with_mut(|s| f(unsafe { &mut *s }))
    }
}

impl State {
    /// The queue in which select `i` waits at channel `c`, and the one of its counterparts.
    fn queues(&self, i: usize, c: usize) -> (&WaitQueue, &WaitQueue) {
        match i == c {
            true => (&self.recvq, &self.sendq),
            false => (&self.sendq, &self.recvq),
        }
    }
}

impl World {
    fn new() -> Arc<World> {
        let select = || Select {
            parker: Parker::new(Kind::Goroutine),
            frame: UnsafeCell::new(true),
            sudogs: std::cell::UnsafeCell::new([None, None]),
            committing: AtomicPtr::new(ptr::null_mut()),
            met: Count::new(0),
            closed: Count::new(0),
            interrupted: Count::new(0),
        };
        Arc::new(World {
            chans: [Chan::new(), Chan::new()],
            selects: [select(), select()],
            stopping: AtomicBool::new(false),
            slot: BiasSlot::new(),
        })
    }

    /// As `new`, with both locks biased to the P of `slot`.
    fn biased() -> Arc<World> {
        let mut w = World::new();
        // The slot has its final address now.
        let this = Arc::get_mut(&mut w).expect("not shared yet");
        for chan in &mut this.chans {
            chan.lock = Lock::biased_to(Some(&this.slot));
        }
        w
    }

    /// Tries the arm of select `i` at channel `c`: whether it has fired.
    fn attempt(&self, i: usize, c: usize, slot: Option<&BiasSlot>) -> bool {
        let (chan, me) = (&self.chans[c], &self.selects[i]);
        let held = chan.lock(slot);
        let found = chan.state(|state| match state.closed {
            true => Err(()),
            // SAFETY: locked; a queued sudog's frame is there.
            false => Ok(unsafe { state.queues(i, c).1.claim_first(DONE) }),
        });
        chan.unlock(held);
        match found {
            Err(()) => {
                me.closed.fetch_add(1, Relaxed);
                true
            }
            Ok(Some((claimed, _))) => {
                me.met.fetch_add(1, Relaxed);
                self.resume(1 - i, Some(claimed));
                true
            }
            Ok(None) => false,
        }
    }

    fn looks_ready(&self, i: usize) -> bool {
        (0..2).any(|c| self.chans[c].state(|s| s.closed || !s.queues(i, c).1.is_empty()))
    }

    /// `slot`: the caller is on the P that the locks are biased to.
    fn select(&self, i: usize, slot: Option<&BiasSlot>) {
        let me = &self.selects[i];
        loop {
            if (0..2).any(|c| self.attempt(i, c, slot)) {
                return;
            }
            // Pass 2.
            let locks = self.chans.iter().map(|chan| &chan.lock);
            // SAFETY: one thread has the slot; no other lock is held.
            let all = slot.and_then(|slot| unsafe { Lock::lock_all(slot, locks) });
            let mut several = match all {
                Some(_) => [None, None],
                None => [0, 1].map(|c| Some(self.chans[c].lock(None))),
            };
            let release = |all: Option<Held>, several: &mut [Option<Held>; 2]| {
                if let Some(held) = all {
                    return self.chans[0].unlock(held);
                }
                for (chan, held) in self.chans.iter().zip(several) {
                    // The order of the locks, which is in the frame.
                    // SAFETY: loom checks that the select has not left `wait`.
                    me.frame
                        .with(|f| assert!(unsafe { *f }, "the frame is gone"));
                    chan.unlock(held.take().expect("locked above"));
                }
            };
            if self.looks_ready(i) {
                release(all, &mut several);
                continue;
            }
            let waiter = me.parker.episode();
            for c in 0..2 {
                // SAFETY: locked; the sudogs are in the queues until the select has left `wait`.
                self.chans[c].state(|state| unsafe {
                    let sudog = Sudog::of_arm(waiter, ptr::null_mut(), c as u32);
                    let sudog = (*me.sudogs.get())[c].insert(sudog);
                    state.queues(i, c).0.push(sudog);
                });
            }
            // `commit_park`
            let parker = ptr::from_ref(&me.parker).cast_mut();
            me.committing.store(parker, Ordering::Relaxed);
            me.parker.arm(waiter);
            release(all, &mut several);
            me.committing.store(ptr::null_mut(), Ordering::Release);
            light_fence();
            if self.stopping.load(Ordering::Relaxed) {
                self.resume(i, waiter.claim(Token::INTERRUPTED));
            }
            return;
        }
    }

    /// Select `i` goes on, on another M: pass 3.
    fn resume(&self, i: usize, claimed: Option<Claimed>) {
        if claimed.is_none() {
            return;
        }
        let me = &self.selects[i];
        let token = me.parker.token();
        // The lock that is released last.
        let held = self.chans[1].lock(None);
        self.chans[1].unlock(held);
        let (winner, outcome) = (token.get() / OUTCOMES, token.get() % OUTCOMES);
        for c in (0..2).filter(|&c| c as u32 != winner) {
            let chan = &self.chans[c];
            let held = chan.lock(None);
            // SAFETY: locked; the sudog was pushed to this queue.
            chan.state(|state| unsafe {
                let sudog = (*me.sudogs.get())[c].as_mut().expect("it was queued");
                state.queues(i, c).0.remove(sudog);
            });
            chan.unlock(held);
        }
        match (token, outcome) {
            (Token::INTERRUPTED, _) => &me.interrupted,
            (_, CLOSED) => &me.closed,
            _ => &me.met,
        }
        .fetch_add(1, Relaxed);
        // SAFETY: the select runs: its frame is its own.
        me.frame.with_mut(|f| unsafe { *f = false });
    }

    fn close(&self, c: usize) {
        loop {
            let chan = &self.chans[c];
            let held = chan.lock(None);
            // Which of the two selects it is shows in the queue.
            let next = chan.state(|state| {
                state.closed = true;
                let first = |i: usize| {
                    // SAFETY: locked; a queued sudog's frame is there.
                    let claimed = unsafe { state.queues(i, c).0.claim_first(CLOSED) };
                    claimed.map(|(claimed, _)| (i, claimed))
                };
                first(0).or_else(|| first(1))
            });
            chan.unlock(held);
            let Some((i, claimed)) = next else { return };
            self.resume(i, Some(claimed));
        }
    }

    /// As `begin_stop` in `sched/shutdown.rs`.
    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        heavy_fence();
        for (i, me) in self.selects.iter().enumerate() {
            let Some(waiter) = me.parker.armed() else {
                continue;
            };
            let claimed = waiter.claim(Token::INTERRUPTED);
            let mut backoff = Backoff::new();
            while claimed.is_some() && ptr::eq(me.committing.load(Ordering::Acquire), &me.parker) {
                backoff.snooze();
            }
            self.resume(i, claimed);
        }
    }

    /// How the two ended: each exactly once, and both or none by meeting. Nobody is queued.
    fn end(&self) -> [[u32; 3]; 2] {
        let ends = [0, 1].map(|i: usize| {
            let me = &self.selects[i];
            let end = [&me.met, &me.closed, &me.interrupted].map(|c| c.load(Relaxed));
            assert_eq!(end.iter().sum::<u32>(), 1, "select {i}: {end:?}");
            end
        });
        assert_eq!(ends[0][0], ends[1][0], "one has met nobody: {ends:?}");
        for chan in &self.chans {
            chan.state(|s| assert!(s.recvq.is_empty() && s.sendq.is_empty()));
        }
        ends
    }
}

#[test]
fn two_selects_in_opposite_directions() {
    check(3, || {
        let w = World::new();
        let other = spawn(&w, |w| w.select(1, None));
        w.select(0, None);
        other.join().unwrap();
        assert_eq!(w.end(), [[1, 0, 0]; 2]);
    });
}

#[test]
fn two_selects_one_of_which_has_the_bias_of_both_locks() {
    check(3, || {
        let w = World::biased();
        let other = spawn(&w, |w| w.select(1, None));
        w.select(0, Some(&w.slot));
        other.join().unwrap();
        assert_eq!(w.end(), [[1, 0, 0]; 2]);
    });
}

#[test]
fn two_selects_and_a_closer() {
    check(2, || {
        let w = World::new();
        let other = spawn(&w, |w| w.select(1, None));
        let closer = spawn(&w, |w| w.close(0));
        w.select(0, None);
        other.join().unwrap();
        closer.join().unwrap();
        let ends = w.end();
        assert_eq!(ends[0], ends[1]);
    });
}

#[test]
fn two_selects_and_a_shutdown() {
    check(2, || {
        let w = World::new();
        let other = spawn(&w, |w| w.select(1, None));
        let stopper = spawn(&w, |w| w.stop());
        w.select(0, None);
        other.join().unwrap();
        stopper.join().unwrap();
        let ends = w.end();
        assert_eq!(ends[0], ends[1]);
    });
}
