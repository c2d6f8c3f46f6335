//! When nobody can ever go on: Go's `checkdead`.
//!
//! All goroutines of the process's only runtime are parked, none of them until a point in time or for
//! something that the system does; there is no timer; and each other thread of the process is parked in
//! the runtime, too, without a deadline. Whoever could wake one of them would have to be awake.
//!
//! *No false alarm.* These are many looks, not one. But whoever is parked leaves its wait only by
//! somebody who is awake, and a wait has a number that never comes again. So all waits are noted twice, one
//! after the other, between two looks at the list of threads: if both times everybody is parked, in the same
//! waits, then everybody was parked at the moment between the two, and nobody was awake any more. A thread
//! that is not the runtime's, and does not wait in it, is taken to be able to wake anybody: then nothing is
//! said (docs/deadlocks.md). The library's own that are no Ms say whether they could
//! (`m/helper.rs`).

use super::Sched;
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicUsize, fence};
use crate::g::G;
use crate::g::parker::Waiter;
use crate::g::status::{Status, WaitReason};
use crate::inspect::goroutine::{for_each, look};
use crate::inspect::stop::{Tasks, exists};
use crate::m::helper;
use crate::m::thread::parked_threads;
use crate::trace::report;
use std::ptr;
use std::time::Duration;

/// What the runtime does when all goroutines are asleep and nothing can ever wake one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDeadlock {
    /// Report it on standard error, and cancel the goroutines, so that their destructors run;
    /// [`Runtime::run`](crate::Runtime::run) panics.
    #[default]
    Panic,
    /// Report it and abort the process.
    Abort,
    /// Report it.
    Report,
    /// Nothing.
    Ignore,
}

/// All Ps must be idle for so long: what comes and goes is not looked at.
pub(super) const AFTER: Duration = Duration::from_millis(10);

/// What a report begins with, and `run` panics with. Go's.
pub(crate) const DEADLOCK: &str = "all goroutines are asleep - deadlock!";

/// Runtimes that are up.
pub(super) static RUNTIMES: AtomicUsize = AtomicUsize::new(0);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Somebody can go on, or all is well.
    Alive,
    /// There are threads of which it is not known what they do. It may be worth another look later.
    NotKnown,
    /// It was a deadlock, and seen to.
    Dead,
}

impl Sched {
    /// Looks whether anybody can ever go on, and sees to it if not. By the monitor, with all Ps idle.
    #[cold]
    pub(super) fn check_deadlock(&self) -> Judged {
        if self.config.on_deadlock == OnDeadlock::Ignore
            || !self.is_running()
            || self.num_goroutines() == 0
            || self.has_timers()
        {
            return Judged::Alive;
        }
        // Relaxed: one that is just starting has a thread that is not known here.
        if RUNTIMES.load(Ordering::Relaxed) != 1 {
            return Judged::NotKnown;
        }
        // First, what is seen at once: a program with a thread that is not parked has no deadlock, however many
        // goroutines it has.
        let Some(parked) = self.others_parked() else {
            return Judged::NotKnown;
        };
        let Some(first) = self.all_parked() else {
            return Judged::Alive;
        };
        fence(Ordering::SeqCst); // the looks do not overlap
        let again = (self.all_parked(), self.others_parked());
        if again != (Some(first), Some(parked)) || self.has_timers() {
            return Judged::NotKnown;
        }
        self.is_dead();
        Judged::Dead
    }

    /// The waits of all goroutines; `None` if one is not parked, or in a wait that may end by itself.
    fn all_parked(&self) -> Option<Vec<Waiter>> {
        let mut waits = Vec::new();
        let mut all = true;
        // SAFETY: this runtime does not end while its monitor runs.
        unsafe {
            for_each(ptr::from_ref(self).cast(), |g| {
                if !all {
                    return; // known already: what a select waits for takes time to look up
                }
                match g.parker.armed().filter(|_| is_asleep(g)) {
                    Some(waiter) => waits.push(waiter),
                    None => all = false,
                }
            });
        }
        (all && waits.len() as u64 == self.num_goroutines()).then_some(waits)
    }

    /// The waits of the plain threads, if all of the process's threads are either the runtime's or
    /// parked in it.
    fn others_parked(&self) -> Option<Vec<Waiter>> {
        let parked = parked_threads();
        let tasks = Tasks::open()?.collect::<Vec<_>>();
        // SAFETY: no preconditions.
        let me = unsafe { libc::gettid() };
        // One that ends while the list is read can cut it short: others may be missing.
        if !tasks.iter().all(|&tid| exists(tid)) {
            return None;
        }
        let helpers = helper::idle();
        let state = self.lock.lock();
        let own = |tid: i32| {
            let mut ms = state.threads.records();
            tid == me
                || helpers.clone().any(|helper| helper == tid as u32)
                || ms.any(|m| m.tid.load(Ordering::Relaxed) == tid as u32)
        };
        // What was deferred is run in nobody's name: see `pin.rs`.
        let mut ms = state.threads.records();
        if ms.any(|m| m.collecting.load(Ordering::Relaxed)) {
            return None;
        }
        let others = tasks.iter().filter(|&&tid| !own(tid)).count();
        (others == parked.len() && state.idle_ps.len() == self.ps.len()).then_some(parked)
    }

    /// The report, and what comes of it.
    fn is_dead(&self) {
        report::write(&format!("fatal error: {DEADLOCK}\n\n{}\n", self.dump(true)));
        match self.config.on_deadlock {
            OnDeadlock::Abort => std::process::abort(),
            OnDeadlock::Panic => {
                // Release: pairs with the Acquire in `was_dead`.
                self.dead.store(true, Ordering::Release);
                let mut gs: Vec<*const G> = Vec::new();
                // SAFETY: this runtime does not end while its monitor runs.
                unsafe { for_each(ptr::from_ref(self).cast(), |g| gs.push(g)) };
                // SAFETY: nobody is awake who could free one, and Gs stay while the runtime is up.
                unsafe { super::interrupt::cancel_all(gs.iter().map(|&g| &*g)) };
            }
            OnDeadlock::Report | OnDeadlock::Ignore => {}
        }
    }

    /// Whether its goroutines were cancelled because of a deadlock.
    pub(crate) fn was_dead(&self) -> bool {
        // Acquire: pairs with the Release in `is_dead`.
        self.dead.load(Ordering::Acquire)
    }
}

/// Whether nothing but another goroutine, or a thread, can end its wait.
fn is_asleep(g: &G) -> bool {
    g.status.get() == Status::Waiting
        && match g.status.reason() {
            WaitReason::IoWait | WaitReason::Signal | WaitReason::Timer => false,
            WaitReason::Select => {
                // SAFETY: its runtime does not end while its monitor runs.
                let wait = unsafe { look(g, false) }.and_then(|p| p.wait);
                wait.is_some_and(|mut w| {
                    let asleep = w.on.iter().all(|o| o.reason != WaitReason::Timer);
                    // In freed memory, a search for leaks would take them for the user's.
                    w.on.iter_mut().for_each(|o| o.address = 0);
                    std::hint::black_box(&mut w);
                    asleep
                })
            }
            _ => true,
        }
}
