//! Spinning and idle Ms against submitters, on the counters of `sched/idle.rs`: work that others
//! could run does not stay unseen beside an idle P.
//!
//! Written out here: `find_elsewhere`, `go_idle` and `reset_spinning` (`sched/find.rs`), `inject`,
//! `wake_spinning`, `take_idle` (`sched/wake.rs`) and `hand_off` (`sched/handoff.rs`), with
//! the orders of their accesses. Abstracted: a queue is a word (1: a goroutine waits); the Ps on
//! the idle list are a number; an M that is woken runs on the loom thread of its waker, when that
//! has nothing else to do. There is no monitor, which would find what is left.

use super::{check, spawn};
use crate::atomics::{Ordering, atomic::AtomicU32};
use crate::sched::idle::Idle;
use loom::sync::{Mutex, MutexGuard};
use loom::thread::JoinHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

/// The scheduler's state.
struct State {
    idle_ps: u32,
    global: u32,
}

struct World {
    idle: Idle,
    lock: Mutex<State>,
    global_len: AtomicU32,
    /// What can be stolen from two busy Ps.
    runq: [AtomicU32; 2],
    /// How many Ps there are, in models in which all of them are Ms'; else 0.
    ps: u32,
    /// Not part of the model: goroutines that were run by an M that looked for work.
    ran: Count,
}

/// An M with a P, at the beginning of its loop.
struct M {
    spinning: bool,
    /// What it finds computes without end.
    busy: bool,
}

fn an_m(spinning: bool) -> Option<M> {
    let busy = false;
    Some(M { spinning, busy })
}

impl World {
    /// `idle_ps` Ps are on the idle list; `spinning` Ms spin.
    fn new(idle_ps: u32, spinning: u32) -> Arc<World> {
        let w = World {
            idle: Idle::new(),
            lock: Mutex::new(State { idle_ps, global: 0 }),
            global_len: AtomicU32::new(0),
            runq: [AtomicU32::new(0), AtomicU32::new(0)],
            ps: 0,
            ran: Count::new(0),
        };
        (0..idle_ps).for_each(|_| w.idle.p_idle());
        (0..spinning).for_each(|_| w.idle.begin_spinning());
        Arc::new(w)
    }

    /// One of `ps` Ps has an M, which has nothing to do; the others are idle.
    fn with_one_of(ps: u32) -> Arc<World> {
        let mut w = World::new(ps - 1, 0);
        Arc::get_mut(&mut w).unwrap().ps = ps;
        w
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.lock.lock().unwrap()
    }

    /// A goroutine readies another one on its own P, and then computes on.
    fn submit(&self, queue: usize) {
        self.runq[queue].store(1, Ordering::Release);
        if self.idle.submitted() {
            self.run(self.wake_spinning());
        }
    }

    /// A plain thread readies a goroutine.
    fn inject(&self) {
        let mut state = self.state();
        state.global += 1;
        self.global_len.store(state.global, Ordering::Relaxed);
        drop(state);
        if self.idle.submitted() {
            self.run(self.wake_spinning());
        }
    }

    fn take_idle_locked(&self, state: &mut State) -> bool {
        if state.idle_ps == 0 {
            return false;
        }
        state.idle_ps -= 1;
        self.idle.p_busy();
        true
    }

    fn take_idle(&self) -> bool {
        self.idle.npidle() > 0 && self.take_idle_locked(&mut self.state())
    }

    fn wake_spinning(&self) -> Option<M> {
        let mut state = self.state();
        if self.take_idle_locked(&mut state) {
            return an_m(true);
        }
        // Under the lock: a P that goes idle later is beside nobody who spins.
        self.idle.end_spinning();
        None
    }

    fn put_idle(&self, state: &mut State) {
        state.idle_ps += 1;
        self.idle.p_idle();
    }

    fn any_work(&self) -> bool {
        self.global_len.load(Ordering::Relaxed) > 0
            || self.runq.iter().any(|q| q.load(Ordering::Relaxed) > 0)
    }

    fn global_one(&self) -> bool {
        self.global_len.load(Ordering::Relaxed) > 0 && self.global_locked(&mut self.state())
    }

    fn global_locked(&self, state: &mut State) -> bool {
        if state.global == 0 {
            return false;
        }
        state.global -= 1;
        self.global_len.store(state.global, Ordering::Relaxed);
        true
    }

    fn steal(&self) -> bool {
        self.runq.iter().any(|q| {
            q.load(Ordering::Relaxed) > 0
                && q.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// The loop of an M, and of those that it wakes, until all sleep.
    fn run(&self, m: Option<M>) {
        let mut ms: Vec<M> = m.into_iter().collect();
        while let Some(mut m) = ms.pop() {
            while self.find(&mut m) {
                if std::mem::take(&mut m.spinning) {
                    self.idle.end_spinning();
                    if self.idle.submitted() {
                        ms.extend(self.wake_spinning());
                    }
                }
                self.ran.fetch_add(1, Relaxed);
                if m.busy {
                    break;
                }
            }
            assert!(!m.spinning);
        }
    }

    /// `find_elsewhere`. False: the M sleeps, without a P.
    fn find(&self, m: &mut M) -> bool {
        loop {
            if self.global_one() {
                return true;
            }
            // The only P that is busy has nobody to take work from.
            let alone = self.ps > 0 && self.idle.npidle() + 1 == self.ps;
            if m.spinning || !alone {
                if !std::mem::replace(&mut m.spinning, true) {
                    self.idle.begin_spinning();
                }
                if self.steal() || self.global_one() {
                    return true;
                }
            }
            // `go_idle`
            let last = {
                let mut state = self.state();
                if self.global_locked(&mut state) {
                    return true;
                }
                self.put_idle(&mut state);
                state.idle_ps == self.ps
            };
            let was_spinning = std::mem::take(&mut m.spinning);
            if was_spinning {
                self.idle.end_spinning();
            }
            if last && !was_spinning {
                return false;
            }
            self.idle.before_second_look();
            if !(self.any_work() && self.take_idle()) {
                return false;
            }
        }
    }

    /// A P whose M is blocked: with nothing to do, to the idle list.
    fn hand_off(&self) {
        if self.any_work() {
            return self.run(an_m(false));
        }
        let mut state = self.state();
        if state.global > 0 {
            drop(state);
            return self.run(an_m(false));
        }
        self.put_idle(&mut state);
        drop(state);
        self.idle.before_second_look();
        if self.any_work() && self.idle.submitted() {
            self.run(self.wake_spinning());
        }
    }

    /// When everybody sleeps or computes: nothing waits beside an idle P.
    fn end(&self, threads: impl IntoIterator<Item = JoinHandle<()>>, submitted: u32) {
        threads.into_iter().for_each(|t| t.join().unwrap());
        let ran = self.ran.load(Relaxed);
        assert_eq!(self.idle.nmspinning(), 0);
        assert!(self.idle.npidle() > 0);
        assert!(!self.any_work(), "work is left beside an idle P");
        assert_eq!(ran, submitted);
    }
}

#[test]
fn a_submitter_and_the_last_spinning_m() {
    check(4, || {
        let w = World::new(0, 1);
        let m = spawn(&w, |w| w.run(an_m(true)));
        w.submit(0);
        w.end([m], 1);
    });
}

#[test]
fn a_thread_that_injects_and_the_last_spinning_m() {
    check(4, || {
        let w = World::new(0, 1);
        let m = spawn(&w, |w| w.run(an_m(true)));
        w.inject();
        w.end([m], 1);
    });
}

#[test]
fn two_submitters_and_a_spinning_m() {
    check(2, || {
        let w = World::new(0, 1);
        let m = spawn(&w, |w| w.run(an_m(true)));
        let other = spawn(&w, |w| w.submit(1));
        w.submit(0);
        w.end([m, other], 2);
    });
}

/// Only one of them spins: what it leaves unseen the other must find.
#[test]
fn a_submitter_and_two_ms() {
    check(2, || {
        let w = World::new(0, 1);
        let one = spawn(&w, |w| w.run(an_m(true)));
        let two = spawn(&w, |w| w.run(an_m(false)));
        w.submit(0);
        w.end([one, two], 1);
    });
}

/// The M that finds the first goroutine is busy with it: it must have woken another one.
#[test]
fn a_spinning_m_that_finds_work_passes_the_search_on() {
    check(4, || {
        let w = World::new(1, 1);
        let m = spawn(&w, |w| {
            let (spinning, busy) = (true, true);
            w.run(Some(M { spinning, busy }));
        });
        w.submit(0);
        w.submit(1);
        w.end([m], 2);
    });
}

/// The idle P is taken before the woken M gets it, by a goroutine that had lost its own, and
/// becomes idle again.
#[test]
fn two_submitters_and_a_p_that_is_taken_in_between() {
    check(2, || {
        let w = World::new(1, 0);
        let taker = spawn(&w, |w| {
            if w.take_idle() {
                w.hand_off();
            }
        });
        let other = spawn(&w, |w| w.submit(1));
        w.submit(0);
        w.end([taker, other], 2);
    });
}

#[test]
fn a_submitter_and_a_p_that_is_handed_off() {
    check(4, || {
        let w = World::new(0, 0);
        let monitor = spawn(&w, |w| w.hand_off());
        w.submit(0);
        w.end([monitor], 1);
    });
}

/// The only P that was busy goes idle, without a fence.
#[test]
fn a_thread_that_injects_and_the_last_p() {
    check(4, || {
        let w = World::with_one_of(2);
        let m = spawn(&w, |w| w.run(an_m(false)));
        w.inject();
        w.end([m], 1);
    });
}

#[test]
fn two_threads_that_inject_and_the_last_p() {
    check(2, || {
        let w = World::with_one_of(2);
        let m = spawn(&w, |w| w.run(an_m(false)));
        let other = spawn(&w, |w| w.inject());
        w.inject();
        w.end([m, other], 2);
    });
}

/// A goroutine that had lost its P takes an idle one, submits, and goes idle: now this one is last, now
/// that one.
#[test]
fn a_p_that_is_taken_and_the_last_p() {
    check(2, || {
        let w = World::with_one_of(2);
        let m = spawn(&w, |w| w.run(an_m(false)));
        if w.take_idle() {
            w.submit(0);
            // A P goes idle when its own queue is empty.
            if w.steal() {
                w.ran.fetch_add(1, Relaxed);
            }
            w.run(an_m(false));
            w.end([m], 1);
        } else {
            m.join().unwrap();
        }
    });
}
