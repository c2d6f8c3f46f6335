//! How a runtime ends. See docs/scheduler.md, "Shutdown".

use super::deadlock::RUNTIMES;
use super::{Phase, Sched};
use crate::atomics::{Ordering, heavy_fence};
use crate::g::status::Status;
use crate::g::task::AbortOnUnwind;
use crate::p::P;
use std::fmt::Write as _;
use std::ptr;
use std::time::{Duration, Instant};

/// Goroutines that had not ended when a shutdown gave up waiting.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// Who, and what they are doing.
    pub(crate) who: Vec<String>,
    pub(crate) count: u64,
}

/// Goroutines that a report names; the others are counted.
const NAMED: usize = 16;

impl Sched {
    /// Stops the runtime and waits until nothing of it is left but memory that is freed with the
    /// last reference. To be called once, not on one of its goroutines.
    pub(crate) fn shutdown(&self, patience: Duration) -> Result<(), Unfinished> {
        self.begin_stop();
        self.wait_until_done(patience)?;
        self.begin_exit();
        self.join_all_threads();
        crate::trace::runtimes::ended(self.trace_id);
        Ok(())
    }

    /// Nothing new starts from here on; what waits is unwound; what runs is asked to stop. The
    /// runtime's threads end by themselves after the last goroutine if `abandon` is set.
    pub(crate) fn begin_stop(&self) {
        {
            // Under the lock: `spawn_outside` checks the phase under it.
            let _state = self.lock.lock();
            if self.phase() != Phase::Running {
                return;
            }
            self.phase.store(Phase::Stopping as u8, Ordering::SeqCst);
        }
        // Pairs with the light fence in `commit_park`: a goroutine that is not armed when we
        // walk by sees the phase after it has armed, and interrupts itself.
        heavy_fence();
        let mut claimed = Vec::new();
        crate::g::registry::for_each(ptr::from_ref(self).cast(), |g| {
            let Some(waiter) = g.parker.armed() else {
                return;
            };
            // The walk's own look at `sched` may be older than this episode: the G may have been
            // freed and reused by another runtime. This look is ordered by `armed`'s Acquire, and
            // the episode's number keeps it true.
            if !ptr::eq(g.sched.load(Ordering::Relaxed), ptr::from_ref(self).cast()) {
                return;
            }
            // The flag belongs to the episode that `armed` has seen, or the claim fails.
            if !g.parker.interruptible.load(Ordering::Relaxed) {
                return;
            }
            let Some(claim) = waiter.claim(crate::g::parker::Token::INTERRUPTED) else {
                return;
            };
            super::interrupt::settle(&g.parker);
            claimed.push(claim);
        });
        for claim in claimed {
            claim.ready();
        }
        // The monitor asks those that run to come in: it alone makes requests (see retake.rs).
        self.monitor.wake();
    }

    /// Waits until all goroutines have finished.
    fn wait_until_done(&self, patience: Duration) -> Result<(), Unfinished> {
        let deadline = Instant::now().checked_add(patience);
        let mut state = self.lock.lock();
        while self.num_goroutines() > 0 {
            match deadline {
                None => self.all_done.wait(&mut state),
                Some(at) => {
                    if self.all_done.wait_until(&mut state, at).timed_out()
                        && self.num_goroutines() > 0
                    {
                        state.abandoned = true;
                        drop(state);
                        return Err(self.unfinished());
                    }
                }
            }
        }
        Ok(())
    }

    /// A goroutine of a stopping runtime has finished.
    #[cold]
    pub(super) fn goroutine_ended(&self) {
        // SeqCst: two Ps finish their last goroutines at once, each counts its own and reads the
        // other's count: one of them must see both.
        crate::atomics::atomic::fence(Ordering::SeqCst);
        if self.num_goroutines() > 0 {
            return;
        }
        let state = self.lock.lock();
        self.all_done.notify_all();
        let abandoned = state.abandoned;
        drop(state);
        if abandoned {
            self.begin_exit();
        }
    }

    /// No goroutine is left (or none ever was): ends the threads.
    pub(super) fn begin_exit(&self) {
        let mut state = self.lock.lock();
        self.phase.store(Phase::Exiting as u8, Ordering::SeqCst);
        let idle = std::mem::take(&mut state.idle_ms);
        drop(state);
        for m in idle {
            // Without a P: it ends.
            // SAFETY: Ms live as long as their runtime.
            self.wake_m(unsafe { &*m });
        }
        self.close_network();
        self.monitor.wake();
    }

    /// Gives up on a runtime that could not be stopped, because its handle is dropped on one of
    /// its own goroutines: it stops on its own.
    pub(crate) fn abandon(&self) {
        self.lock.lock().abandoned = true;
        self.begin_stop();
    }

    fn unfinished(&self) -> Unfinished {
        let mut who = Vec::new();
        crate::g::registry::for_each(ptr::from_ref(self).cast(), |g| {
            if who.len() < NAMED && g.status.get() != Status::Dead {
                let mut text = format!("goroutine {}", g.id());
                let doing = match g.status.get() {
                    Status::Waiting => g.status.reason().as_str(),
                    Status::Runnable => "runnable",
                    _ => "running, or blocked in a call",
                };
                let _ = write!(text, " [{doing}]");
                who.push(text);
            }
        });
        Unfinished {
            who,
            count: self.num_goroutines(),
        }
    }
}

impl Drop for Sched {
    fn drop(&mut self) {
        let guard = AbortOnUnwind("the end of a runtime");
        crate::trace::runtimes::ended(self.trace_id);
        if self.num_goroutines() > 0 {
            // Parked goroutines that cannot be unwound (panic = "abort"): others may hold
            // pointers to their stacks.
            self.stacks.leak();
        }
        for p in &self.ps {
            // SAFETY: no thread is left that could own a P.
            unsafe { P::flush(p, &self.stacks) };
        }
        if let Some(fiber) = self.reserve.get_mut().take() {
            // SAFETY: the reserve is idle.
            self.stacks.give([unsafe { fiber.into_slot() }]);
        }
        crate::g::registry::leave();
        RUNTIMES.fetch_sub(1, Ordering::Relaxed);
        guard.disarm();
    }
}
