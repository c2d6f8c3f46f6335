//! Timers: adding one against an M that goes to sleep (`sched/watch.rs`), and setting, stopping and
//! firing one (`timer/node.rs`).
//!
//! Written out here: the heap (a list of entries under a lock), the list of idle Ps (its count), and
//! what `announce` and `run_timers` in `sched/timers.rs` do around the two.

use super::{check, spawn};
use crate::atomics::atomic::{AtomicBool, AtomicU64};
use crate::atomics::{Mutex, Ordering};
use crate::g::parker::{Kind, Parker, Token};
use crate::sched::idle::Idle;
use crate::sched::watch::Watch;
use crate::timer::node::{Action, Fired, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

const NEVER: u64 = u64::MAX;

struct Sleepers {
    /// When the first timer of each of two Ps is due.
    next: [AtomicU64; 2],
    idle: Idle,
    watch: Watch,
    /// An M was woken, which will look.
    woken: AtomicBool,
}

impl Sleepers {
    fn new() -> Arc<Sleepers> {
        Arc::new(Sleepers {
            next: [AtomicU64::new(NEVER), AtomicU64::new(NEVER)],
            idle: Idle::new(),
            watch: Watch::new(),
            woken: AtomicBool::new(false),
        })
    }

    fn next(&self) -> u64 {
        let next = |i: usize| self.next[i].load(Ordering::Relaxed);
        next(0).min(next(1))
    }

    fn add(&self, p: usize, when: u64) {
        self.next[p].store(when, Ordering::Release);
        if self.watch.must_wake(when, || self.idle.npidle()) {
            self.woken.store(true, Ordering::Relaxed);
        }
    }
}

/// One M goes to sleep while timers are added on two Ps that stay busy: it wakes up in time for
/// both, or somebody was woken; or its P was not idle yet for the adder to see, and then it has seen
/// the timer.
#[test]
fn no_timer_is_slept_past() {
    check(4, || {
        let w = Sleepers::new();
        let one = spawn(&w, |w| w.add(0, 50));
        let two = spawn(&w, |w| w.add(1, 30));
        w.idle.p_idle();
        w.watch.begin(|| w.next());
        one.join().unwrap();
        two.join().unwrap();
        assert!(
            w.woken.load(Ordering::Relaxed) || w.watch.until() <= 30,
            "sleeps until {}",
            w.watch.until()
        );
    });
}

struct World {
    node: Node,
    /// The entries of the heap: number and time.
    heap: Mutex<Vec<(u32, u64)>>,
    /// Calls that were made.
    fired: Arc<Count>,
}

// SAFETY: all of it is atomic or locked.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        let fired = Arc::new(Count::new(0));
        let calls = Arc::clone(&fired);
        let action = Action::Call {
            call: Some(Box::new(move || _ = calls.fetch_add(1, Relaxed))),
            due: 0,
            handle: true,
        };
        Arc::new(World {
            node: Node::new(action, std::panic::Location::caller()),
            heap: Mutex::new(Vec::new()),
            fired,
        })
    }

    fn set(&self, when: u64) -> bool {
        let set = self.node.set(when);
        if let Some(number) = set.add {
            self.heap.lock().push((number, when));
        }
        set.was_armed
    }

    /// Everything that is due at `now` comes up.
    fn run(&self, now: u64) {
        loop {
            let due = {
                let mut heap = self.heap.lock();
                match heap.iter().position(|e| e.1 <= now) {
                    Some(at) => heap.swap_remove(at),
                    None => return,
                }
            };
            match self.node.fire(due.0, now, |_, _| unreachable!()) {
                Fired::Later(when) => self.heap.lock().push((due.0, when)),
                Fired::Call => self.node.run(), // the goroutine, started at once
                Fired::Nothing => {}
                Fired::Frame => unreachable!(),
            }
        }
    }

    fn sweep(&self) {
        self.heap.lock().retain(|e| self.node.keeps(e.0));
    }
}

/// A timer is stopped while it fires: it fires, or was stopped, and never both.
#[test]
fn a_stop_prevents_the_call_or_comes_too_late() {
    check(5, || {
        let w = World::new();
        w.set(10);
        let runner = spawn(&w, |w| w.run(10));
        let stopped = w.node.stop();
        runner.join().unwrap();
        assert_eq!(w.fired.load(Relaxed), u32::from(!stopped));
    });
}

/// The handle of a timer is dropped before it fires, while a goroutine is on its way to make the call,
/// or later: the call is made.
#[test]
fn a_handle_that_is_dropped_takes_no_call_with_it() {
    check(5, || {
        let w = World::new();
        w.set(10);
        let runner = spawn(&w, |w| w.run(10));
        drop(w.node.handle_gone());
        runner.join().unwrap();
        assert_eq!(w.fired.load(Relaxed), 1);
    });
}

/// A timer is set to an earlier and to a later time, while one M runs what is due and another sweeps:
/// each setting that was not replaced fires once, and in the end an entry is there for what is armed.
#[test]
fn setting_anew_neither_loses_nor_doubles_a_call() {
    for (first, second) in [(50, 10), (10, 50)] {
        check(3, move || {
            let w = World::new();
            assert!(!w.set(first));
            let runner = spawn(&w, |w| w.run(20));
            let sweeper = spawn(&w, |w| w.sweep());
            let replaced = w.set(second);
            runner.join().unwrap();
            sweeper.join().unwrap();
            w.run(100);
            let settings = 2 - u32::from(replaced);
            assert_eq!(w.fired.load(Relaxed), settings);
            assert!(!w.node.stop(), "nothing is armed any more");
            assert!(w.heap.lock().iter().all(|e| !w.node.keeps(e.0)));
        });
    }
}

/// A deadline against a waker: one of them ends the wait.
#[test]
fn a_deadline_and_a_waker_do_not_both_win() {
    check(5, || {
        let parker = Arc::new(Parker::new(Kind::Thread));
        let waiter = parker.episode();
        parker.arm(waiter);
        let timer = loom::thread::spawn(move || waiter.claim(Token::TIMEOUT).is_some());
        let woken = waiter.claim(Token::new(1)).is_some();
        let late = timer.join().unwrap();
        assert!(woken != late);
        assert_eq!(
            parker.token(),
            if woken { Token::new(1) } else { Token::TIMEOUT }
        );
    });
}
