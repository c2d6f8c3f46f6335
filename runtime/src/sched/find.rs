//! Where the next goroutine comes from: Go's `schedule` and `findRunnable`.

use super::pin::LostP;
use super::{Phase, SLICE, Sched, State};
use crate::atomics::Ordering;
use crate::g::G;
use crate::m::M;
use crate::p::runq::{Runnable, Share};
use crate::p::{P, Turn, counters};
use crate::timer::{self, NEVER, Nanos};
use crate::trace;
use crate::trace::event::Kind;
use std::ptr;

/// Most goroutines that are moved from the global queue at a time.
const GLOBAL_BATCH: usize = 32;

/// Passes over all Ps before a spinning M gives up, with `PASS_SPINS` pauses after each: about
/// 5 µs in all, a small part of what the sleep and wake-up that it may save would cost.
const PASSES: u32 = 4;
const PASS_SPINS: u32 = 24;

impl Sched {
    /// The next goroutine for this M, with a P in its hands. None: the M shall end.
    #[inline]
    pub(super) fn schedule(&self, m: &M) -> Option<Runnable> {
        loop {
            if !m.locked_g.load(Ordering::Relaxed).is_null() {
                return Some(self.wait_for_locked(m));
            }
            let g = self.find_runnable(m)?;
            if m.spinning.load(Ordering::Relaxed) {
                self.reset_spinning(m);
            }
            // SAFETY: the queue gave us ownership of g.
            let only = unsafe { (*g.0).locked_m.load(Ordering::Relaxed) };
            if only.is_null() || ptr::eq(only, ptr::from_ref(m).cast()) {
                if self.config.migrate && self.migrate(m, g) {
                    continue;
                }
                return Some(g);
            }
            self.pass_to_its_m(m, g);
        }
    }

    #[inline]
    fn find_runnable(&self, m: &M) -> Option<Runnable> {
        loop {
            // SAFETY: our own M, inside the runtime.
            let Some(p) = (unsafe { P::of(m) }) else {
                if !self.stop_m(m) {
                    return None;
                }
                continue;
            };
            if p.timers.next() != NEVER || self.net.is_active() {
                let Ok(()) = self.check_timers(m, p) else {
                    continue;
                };
            }
            if p.hurry.load(Ordering::Relaxed) {
                self.take_share(p);
            }
            let tick = p.tick();
            if p.is_special(tick) {
                let g = self.special_turn(m, p, tick);
                if !g.is_null() {
                    return Some(Runnable(g));
                }
                // SAFETY: our own M, inside the runtime.
                if unsafe { P::of(m) }.is_none() {
                    continue;
                }
            }
            if self.config.pin_started
                && let Some(g) = m.pinned.pop()
            {
                trace_from_elsewhere();
                return Some(g.into());
            }
            if let Some(g) = p.runq.pop() {
                return Some(g);
            }
            let g = self.find_elsewhere(m, p);
            if !g.is_null() {
                return Some(Runnable(g));
            }
        }
    }

    /// A pick that differs from most: others go first, or times are taken. Null: nothing is in the P's queues
    /// or the global one's, or the P has been lost. (One word, as in `find_elsewhere`: an `Option`, which is two, costs
    /// each pick registers.)
    #[cold]
    #[inline(never)]
    fn special_turn(&self, m: &M, p: &P, tick: u32) -> *const G {
        let turn = p.turn(tick);
        let first = match turn {
            Turn { global: true, .. } => self.global_one(),
            Turn { fresh: true, .. } if p.runq.has_fresh() => match self.pin(m) {
                Ok(pinned) => p.runq.oldest_fresh(&pinned),
                Err(LostP) => return ptr::null(),
            },
            _ => None,
        };
        timed(p, first.or_else(|| p.runq.pop()))
    }

    /// One goroutine of the global queue.
    fn global_one(&self) -> Option<Runnable> {
        // Relaxed: a hint; a goroutine that is missed here is found at a later tick.
        if self.global_len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = self.lock.lock();
        let first = state.global.front()?;
        // One that has used up its slice waits until the others have had as much, or a goroutine
        // that spawns without end would come before its own children.
        // SAFETY: the queue owns it, and we hold the lock.
        let ended = unsafe { (*first).slice_ended.get() };
        if ended != 0 && timer::now() < ended + SLICE.as_nanos() as Nanos {
            return None;
        }
        self.pop_global(&mut state)
    }

    /// A share of the global queue to the end of p's own: a turn in 61 picks is not enough if each takes
    /// milliseconds. Beside fresh ones, which run when started ones run dry, only one, and the next when one of those
    /// has had its turn.
    #[cold]
    #[inline(never)]
    fn take_share(&self, p: &P) {
        p.hurry.store(false, Ordering::Relaxed);
        let share = match p.runq.share() {
            Share::None => return,
            Share::One => 1,
            Share::All => self.global_len.load(Ordering::Relaxed) / self.ps.len() + 1,
        };
        (0..share.min(GLOBAL_BATCH))
            .map_while(|_| self.global_one())
            .for_each(|g| p.runq.push_share(g));
    }

    /// Takes the first of the global queue.
    fn pop_global(&self, state: &mut State) -> Option<Runnable> {
        let g = state.global.pop_front()?;
        self.global_len.store(state.global.len(), Ordering::Relaxed);
        // SAFETY: the queue gave us ownership.
        unsafe { (*g).slice_ended.set(0) };
        trace_from_elsewhere();
        Some(Runnable(g))
    }

    /// A fair share of the global queue: one is returned, the others go to p's queue.
    fn global_batch(&self, p: &P) -> Option<Runnable> {
        if self.global_len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut state = self.lock.lock();
        let share = state.global.len() / self.ps.len() + 1;
        let first = self.pop_global(&mut state)?;
        for _ in 1..share.min(GLOBAL_BATCH) {
            let Some(g) = self.pop_global(&mut state) else {
                break;
            };
            // In arrival order, also those that have not run yet.
            p.runq.push_started(g);
        }
        Some(first)
    }

    /// The P's own queues are empty. Null: look at them again, or for a P.
    #[cold]
    #[inline(never)]
    fn find_elsewhere(&self, m: &M, p: &P) -> *const G {
        match self.look_elsewhere(m, p) {
            Ok(found) => timed(p, found),
            Err(LostP) => ptr::null(),
        }
    }

    fn look_elsewhere(&self, m: &M, p: &P) -> Result<Option<Runnable>, LostP> {
        if let Some((victim, since)) = p.thefts.end() {
            let busy = timer::now().saturating_sub(since);
            self.ps[victim].thefts.judge(busy);
        }
        if p.timers.next() != NEVER && self.look_at_clock(m, p)? {
            return Ok(miss(p));
        }
        if let Some(g) = self.global_batch(p) {
            return Ok(Some(g));
        }
        if self.net.is_active() && self.net.is_promising() && self.poll_network(p) {
            return Ok(miss(p));
        }
        // Go's throttle: at most half of the busy Ps look for work at once. The only busy one has
        // nobody to take work from: what comes now comes from outside, and wakes an idle M.
        let procs = self.ps.len() as u32;
        if procs > 1 {
            let spinning = m.spinning.load(Ordering::Relaxed);
            let busy = procs.saturating_sub(self.idle.npidle());
            if spinning || busy > 1 && 2 * self.idle.nmspinning() < busy {
                if !spinning {
                    self.start_spinning(m);
                }
                for _ in 0..PASSES {
                    if let Some(g) = self.steal(m, p)?.or_else(|| self.global_batch(p)) {
                        return Ok(Some(g));
                    }
                    for _ in 0..PASS_SPINS {
                        std::hint::spin_loop();
                    }
                }
            }
        }
        if self.steal_timers(m, p) {
            return Ok(miss(p));
        }
        Ok(self.go_idle(m, p))
    }

    /// One pass over all other Ps, from a random one on.
    fn steal(&self, m: &M, p: &P) -> Result<Option<Runnable>, LostP> {
        let n = self.ps.len();
        let first = m.random(n as u32) as usize;
        for i in 0..n {
            let victim = &self.ps[(first + i) % n];
            if ptr::eq(victim, p) || self.stealable(victim) == 0 {
                continue;
            }
            let pinned = self.pin(m)?;
            let started_too = self.started_too(victim);
            if let Some(g) = victim.runq.steal_into(&p.runq, started_too, &pinned) {
                // Our queue was empty: what is there now was stolen, too.
                has_stolen(m, p, victim, 1 + p.runq.len());
                if started_too {
                    p.thefts.begin(victim.id, timer::now());
                }
                return Ok(Some(g));
            }
        }
        Ok(None)
    }

    /// Nothing to do: gives up the P, looks once more (see `idle.rs`), sleeps. Returns with a
    /// goroutine if the global queue had one after all; else the caller starts over.
    fn go_idle(&self, m: &M, p: &P) -> Option<Runnable> {
        let last = {
            let mut state = self.lock.lock();
            if let Some(g) = self.pop_global(&mut state) {
                return Some(g);
            }
            miss(p); // as long as it is ours
            self.detach(m, p);
            self.put_idle(&mut state, p);
            state.idle_ps.len() == self.ps.len()
        };
        let was_spinning = self.stop_spinning(m);
        // Not if it was the last P, without spinning (see `idle.rs`). If this M was spinning, a goroutine
        // that came to the global queue after the look above was left to it.
        if !last || was_spinning {
            self.idle.before_second_look();
            if self.any_work()
                && let Some(p) = self.take_idle()
            {
                if was_spinning {
                    self.start_spinning(m);
                }
                self.attach(m, p);
            }
        }
        None
    }

    /// The test mode `migrate=always`: a goroutine that last ran on this very thread is passed to
    /// another, with the P. False if it did not, or may not move.
    #[cold]
    fn migrate(&self, m: &M, g: Runnable) -> bool {
        // SAFETY: we own g; our own M, inside the runtime.
        let (g, p) = unsafe { (&*g.0, P::of(m).expect("a goroutine is picked with a P")) };
        let here = ptr::eq(g.m.load(Ordering::Relaxed), ptr::from_ref(m).cast());
        // SAFETY: we own g.
        let started = unsafe { (*g.fiber.as_ptr()).is_some() };
        if !here || !started || !g.locked_m.load(Ordering::Relaxed).is_null() {
            return false;
        }
        {
            let state = self.lock.lock();
            if state.idle_ms.is_empty() && state.threads.is_full(self.config.max_threads) {
                return false; // there is no other thread to be had
            }
        }
        let _ = p.runq.push_next(Runnable(g));
        self.detach(m, p);
        self.start_m(p, false);
        true
    }

    /// This M found work: if there is an idle P, another M looks in its place.
    #[cold]
    fn reset_spinning(&self, m: &M) {
        // If the monitor was first, it has looked.
        if self.stop_spinning(m) && self.idle.submitted() {
            self.wake_spinning();
        }
    }

    /// Whether there is anything that an M with an idle P could do.
    pub(super) fn any_work(&self) -> bool {
        self.global_len.load(Ordering::Relaxed) > 0 || self.ps.iter().any(|p| self.stealable(p) > 0)
    }

    /// Whether thieves may take goroutines of `victim` that have run.
    fn started_too(&self, victim: &P) -> bool {
        !self.config.pin_started && !victim.thefts.is_quiet()
    }

    /// Goroutines of `p` that another P could take.
    pub(super) fn stealable(&self, p: &P) -> usize {
        p.runq.stealable(self.started_too(p))
    }

    /// Whether any queue has anything, slots of Ps included that no thread could be had for.
    pub(super) fn any_work_anywhere(&self) -> bool {
        self.global_len.load(Ordering::Relaxed) > 0 || self.ps.iter().any(|p| p.runq.len() > 0)
    }

    /// Whether the runtime has ended, as far as its Ms are concerned.
    pub(super) fn is_exiting(&self) -> bool {
        self.phase() == Phase::Exiting
    }
}

/// What was picked by `p`, as one word; if the pick is a sample, `execute` shall take the time.
fn timed(p: &P, picked: Option<Runnable>) -> *const G {
    let Some(g) = picked else { return ptr::null() };
    if p.is_sampled() {
        // SAFETY: the queue gave us ownership of g.
        unsafe { (*g.0).status.set_pick_timed() };
    }
    g.0
}

/// `p`, which `m` holds, has taken `n` goroutines away from `victim`.
pub(super) fn has_stolen(m: &M, p: &P, victim: &P, n: usize) {
    counters::add(&p.counters.thefts, 1);
    counters::add(&p.counters.stolen, n as u64);
    if trace::on() {
        // SAFETY: our own M, inside the runtime.
        unsafe { trace::emit::of_m(m, Kind::Steal, n as u64, victim.id.into()) };
    }
}

/// The round has found nothing; the caller, who owns `p`, starts over.
fn miss(p: &P) -> Option<Runnable> {
    counters::add(&p.counters.misses, 1);
    None
}

/// A goroutine comes from another thread: its events shall come after those that it has there.
#[inline]
fn trace_from_elsewhere() {
    if trace::on() {
        trace::emit::from_elsewhere();
    }
}

impl From<*const G> for Runnable {
    fn from(g: *const G) -> Runnable {
        Runnable(g)
    }
}
