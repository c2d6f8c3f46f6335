//! Model checks of the protocols between threads, by loom: every interleaving, and every value
//! that the memory model lets a load return, up to a bound on preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p weft-runtime --lib
//! ```
//!
//! What is checked is the code that the runtime runs: `g/parker.rs`, `g/join.rs`, `m/retake.rs`,
//! `p/lock.rs`, `api/sync/` (the queue, the mutex, the read-write lock, the semaphore), `sched/idle.rs`,
//! `sched/watch.rs`, `g/interrupt.rs`, `timer/node.rs`, `netpoll/direction.rs`,
//! `trace/ring.rs` and the channels' `waitq.rs`. Around it each model
//! writes out the few steps of the scheduler that use it, and says which. A goroutine is
//! modelled by its frame (a cell that loom watches) and by what it does after it was woken, its
//! *continuation*, which is run by the thread that won the right to wake it: as if it were
//! resumed on another M at once, while its old M is still busy.
//!
//! Two things are not modelled: an asymmetric fence is a full fence on both sides (`atomics.rs`), and
//! loom does not look into the future (a load never returns a store that comes later).
//!
//! Without `LOOM_MAX_PREEMPTIONS` each model has a bound of its own.

pub(crate) mod ground;
mod idle;
mod interrupt;
mod join;
mod lock;
mod netpoll;
mod park;
mod picture;
mod retake;
pub(crate) mod ring;
mod select;
mod sync;
mod timers;
mod waitq;

use crate::g::parker::{Claimed, Kind, Parker};
use loom::sync::{Condvar, Mutex};
use std::sync::Arc;

/// Explores `f`, with at most `bound` preemptions if the environment names no other number.
fn check(bound: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(bound);
    builder.max_branches = 10_000;
    builder.check(f);
}

/// Starts a thread of the model that shares `world`.
fn spawn<W: Send + Sync + 'static>(
    world: &Arc<W>,
    f: impl FnOnce(&W) + 'static,
) -> loom::thread::JoinHandle<()> {
    let world = world.clone();
    loom::thread::spawn(move || f(&world))
}

/// A waiter that sleeps until it is made ready: the plain threads' parker and note.
#[repr(C)]
struct Sleeper {
    /// First, so that a pointer to it leads here.
    parker: Parker,
    /// The note: whether it is set, and what the thread sleeps on.
    set: Mutex<bool>,
    changed: Condvar,
}

impl Sleeper {
    fn new() -> Sleeper {
        Sleeper {
            parker: Parker::new(Kind::Thread),
            set: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Ends when the episode has been claimed and made ready; loom reports a deadlock otherwise.
    fn wait(&self) {
        let mut set = self.set.lock().unwrap();
        while !std::mem::take(&mut *set) {
            set = self.changed.wait(set).unwrap();
        }
        drop(set);
        assert!(self.parker.fired());
    }
}

impl Claimed {
    pub(crate) fn ready_beside(self, _: &ground::Window) {
        self.ready();
    }

    pub(crate) fn ready_in(self, _: &ground::Window) {
        self.ready();
    }

    /// Stands in for the scheduler's `ready`. For waiters that are [`Sleeper`]s only.
    pub(crate) fn ready(self) {
        let Some(parker) = self.0 else { return };
        // SAFETY: the models call it for sleepers, which outlive their threads.
        let sleeper = unsafe { parker.cast::<Sleeper>().as_ref() };
        *sleeper.set.lock().unwrap() = true;
        sleeper.changed.notify_one();
    }
}
