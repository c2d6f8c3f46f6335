//! Submitting work, and waking or starting an M for it.

use super::netpoll::Slept;
use super::thread::IDLE_LIFE;
use super::{Sched, State};
use crate::atomics::atomic::AtomicU32;
use crate::atomics::{MutexGuard, Ordering, light_fence};
use crate::g::G;
use crate::g::parker::{Claimed, Kind};
use crate::m::M;
use crate::m::thread::ThreadParker;
use crate::p::P;
use crate::p::counters::SAMPLE;
use crate::p::runq::{Pushed, Runnable};
use crate::timer::{self, Nanos};
use crate::trace;
use crate::trace::event::{By, Kind as Event};
use crate::trace::report;
use std::ptr;
use std::time::Duration;

impl Claimed {
    /// Makes the waiter run again (Go's `goready`): a goroutine next on the caller's P, or, from
    /// a thread or a goroutine of another runtime, in its own runtime's global queue; a plain
    /// thread by waking it.
    ///
    /// To be called after all locks have been released: the waiter may run at once.
    #[inline]
    pub fn ready(self) {
        let window = super::Window::enter_quietly();
        self.ready_in(&window);
    }

    /// As [`Claimed::ready`], for a caller that is inside the runtime already.
    #[inline]
    pub fn ready_in(self, window: &super::Window) {
        match window.m_and_p() {
            // SAFETY: a window keeps its M inside the runtime, with its P.
            Some((m, p)) => unsafe { Sched::of_m(m).ready_on(p, self, By::Caller) },
            None => self.ready_outside(By::Caller),
        }
    }

    /// As [`Claimed::ready_in`], for a caller that will not wait soon: if a P is idle, or about to be,
    /// the waiter shall run there (each of Go's `ready` ends in a `wakep`). In the caller's own slot
    /// nobody takes it from there, and it would wait for as long as the caller runs.
    #[inline]
    pub(crate) fn ready_beside(self, window: &super::Window) {
        match window.m_and_p() {
            // SAFETY: as in `ready_in`.
            Some((m, p)) => unsafe { Sched::of_m(m).ready_beside(p, self) },
            None => self.ready_outside(By::Caller),
        }
    }

    #[cold]
    pub(super) fn ready_outside(self, by: By) {
        let Some(parker) = self.0 else { return };
        // SAFETY: a claimed parker belongs to a waiter that cannot go away before it is woken.
        unsafe {
            match parker.as_ref().kind() {
                Kind::Thread => ThreadParker::of(parker).note.wake(),
                Kind::Goroutine => {
                    let g = parker.cast::<G>().as_ref();
                    // Held: once queued, the goroutine may run to its end, and its runtime end
                    // with it, while we still look for an M to wake.
                    let sched = Sched::of_g(g).me();
                    if trace::on() {
                        trace::emit::unblocks(g, by);
                    }
                    g.status.readied();
                    if sample_outside() {
                        g.stamp(timer::now());
                    }
                    sched.inject(Runnable(g));
                }
            }
        }
    }
}

/// `g`, the caller's, becomes runnable in a pick that is sampled. Apart from those who call it, which are short.
#[cold]
#[inline(never)]
pub(super) fn stamp_now(g: &G) {
    g.stamp(timer::now());
}

/// Whether the time is taken of a goroutine that is made runnable from outside.
fn sample_outside() -> bool {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: a count.
    COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLE)
}

impl Sched {
    /// # Safety
    /// The caller is inside the runtime and owns `p`, a P of this runtime.
    #[inline(always)]
    pub(super) unsafe fn ready_on(&self, p: &P, claimed: Claimed, by: By) {
        match self.readied(p, claimed, by) {
            Ok(g) => {
                if p.runq.push_next(g) == Pushed::Deque {
                    self.soon_in_deque(p);
                }
            }
            Err(claimed) => claimed.ready_outside(by),
        }
    }

    /// # Safety
    /// As for `ready_on`.
    #[inline]
    unsafe fn ready_beside(&self, p: &P, claimed: Claimed) {
        // An M that spins counts: it may be past our slot already, but looks at the deques once more
        // after it has stopped. In this order: its P is idle before it stops.
        if self.idle.nmspinning() == 0 && self.idle.npidle() == 0 {
            // SAFETY: the caller's promise.
            return unsafe { self.ready_on(p, claimed, By::Caller) };
        }
        match self.readied(p, claimed, By::Caller) {
            Ok(g) => {
                p.thefts.forgive(); // before the push: thieves shall see it
                p.runq.push_started(g);
                self.work_in_deque();
            }
            Err(claimed) => claimed.ready_outside(By::Caller),
        }
    }

    /// Makes a waiter that was claimed a runnable goroutine, to be queued by the caller, the owner of `p`,
    /// if it is a goroutine of this runtime. `by` is who woke it, for traces.
    #[inline]
    pub(super) fn readied(&self, p: &P, claimed: Claimed, by: By) -> Result<Runnable, Claimed> {
        let Some(parker) = claimed.0 else {
            return Err(claimed);
        };
        // SAFETY: a claimed parker belongs to a waiter that cannot go away before it is woken.
        unsafe {
            if parker.as_ref().kind() == Kind::Thread {
                return Err(claimed);
            }
            let g = parker.cast::<G>().as_ref();
            if !ptr::eq(g.sched.load(Ordering::Relaxed), ptr::from_ref(self).cast()) {
                return Err(claimed);
            }
            if trace::on() {
                trace::emit::unblocks(g, by);
            }
            g.status.readied();
            if p.is_sampled() {
                stamp_now(g);
            }
            if let Some(fiber) = &*g.fiber.as_ptr() {
                fiber.prefetch();
            }
            Ok(Runnable(g))
        }
    }

    /// A deque of this P has something that others could run.
    #[inline(always)]
    pub(super) fn work_in_deque(&self) {
        if self.idle.submitted() {
            self.wake_spinning();
        }
    }

    /// As `work_in_deque`, for started goroutines that `p`, the caller's own, will run soon, unless that has
    /// shown to be in vain: see `p/thefts.rs`.
    #[inline(always)]
    pub(super) fn soon_in_deque(&self, p: &P) {
        // As in `Idle::submitted`, which begins with it once more.
        light_fence();
        if self.idle.npidle() > 0 {
            self.soon_in_deque_slow(p);
        }
    }

    #[cold]
    #[inline(never)]
    fn soon_in_deque_slow(&self, p: &P) {
        if self.idle.nmspinning() == 0 && !p.thefts.is_quiet_push() {
            self.work_in_deque();
        }
    }

    /// A runnable goroutine from outside: to the global queue.
    pub(super) fn inject(&self, g: Runnable) {
        {
            let mut state = self.lock.lock();
            // SAFETY: the caller passes the ownership of g on.
            unsafe { state.global.push_back(g.0) };
            self.global_len.store(state.global.len(), Ordering::Relaxed);
        }
        self.work_in_deque();
    }

    /// Wakes an M that shall look for work (Go's `wakep`). The caller owns one spinning state.
    #[cold]
    pub(super) fn wake_spinning(&self) {
        let mut state = self.lock.lock();
        match self.take_idle_locked(&mut state) {
            Some(p) => {
                drop(state);
                self.start_m(p, true);
            }
            // Under the lock, under which Ps go idle: who sees a later idle P does not see this
            // spinning state any more, which would look at no queue.
            None => self.idle.end_spinning(),
        }
    }

    /// Runs `p` on an idle M, or on a new one; if there can be none, `p` goes (back) to the idle
    /// list, and the answer is false. With `spinning`, the caller's spinning state goes to that M.
    pub(super) fn start_m(&self, p: &P, spinning: bool) -> bool {
        let mut state = self.lock.lock();
        if self.is_exiting() {
            // A waker from outside that comes late: what it woke has run, and ended.
            self.put_idle(&mut state, p);
            drop(state);
            if spinning {
                self.idle.end_spinning();
            }
            return false;
        }
        if let Some((m, unwatched)) = self.pop_idle_m(&mut state) {
            drop(state);
            self.hand_over(m, p, spinning);
            // One that spins sees to it: it finds work, and wakes another in its place, or it does not,
            // and watches again. (So this does not go on for ever, however quick it is.)
            if unwatched && !spinning {
                self.work_in_deque();
            }
            return true;
        }
        let started = self.reserve_thread(&mut state).and_then(|m| {
            MutexGuard::unlocked(&mut state, || {
                m.spinning.store(spinning, Ordering::Relaxed);
                // Relaxed: published by the start of the thread.
                m.nextp
                    .store(ptr::from_ref(p).cast_mut().cast(), Ordering::Relaxed);
                self.spawn_thread(m)
            })
            .inspect_err(|_| state.threads.unreserve(m))
        });
        let Err(shortage) = started else { return true };
        self.put_idle(&mut state, p);
        let report = !std::mem::replace(&mut state.shortage_reported, true);
        drop(state);
        if spinning {
            self.idle.end_spinning();
        }
        if report {
            report::soon(format!("weft: {shortage}\n"));
        }
        false
    }

    /// Takes an M from the idle list, the warmest, but one that watches the timers or the network only
    /// if there is no other. Also whether those are without a watcher now.
    fn pop_idle_m(&self, state: &mut State) -> Option<(&M, bool)> {
        let last = state.idle_ms.len().checked_sub(1)?;
        let watches = |m: &&*const M| ptr::eq(**m, state.watcher) || ptr::eq(**m, state.poller);
        let idle = state.idle_ms.iter();
        let at = idle
            .rev()
            .position(|m| !watches(&m))
            .map_or(last, |i| last - i);
        // SAFETY: Ms live as long as their runtime.
        let m = unsafe { &*state.idle_ms.remove(at) };
        let unwatched = self.end_watch(state, m);
        Some((m, unwatched))
    }

    /// Takes this very M from the idle list; false if it is not there.
    pub(super) fn take_idle_m(&self, state: &mut State, m: &M) -> bool {
        let Some(at) = state.idle_ms.iter().position(|&x| ptr::eq(x, m)) else {
            return false;
        };
        state.idle_ms.remove(at);
        // Without a watcher, the next M that goes idle becomes it.
        self.end_watch(state, m);
        true
    }

    /// Gives `p` to an M that sleeps (or is about to) and is on no list any more.
    pub(super) fn hand_over(&self, m: &M, p: &P, spinning: bool) {
        m.spinning.store(spinning, Ordering::Relaxed);
        // Relaxed: published by the note.
        m.nextp
            .store(ptr::from_ref(p).cast_mut().cast(), Ordering::Relaxed);
        self.wake_m(m);
    }

    /// Wakes an M that is on no list any more.
    pub(super) fn wake_m(&self, m: &M) {
        m.note.wake_or(|| self.net.wake());
    }

    /// `m` gets `p`. By m's own thread, inside the runtime.
    pub(super) fn attach(&self, m: &M, p: &P) {
        debug_assert!(p.m.load(Ordering::Relaxed).is_null());
        m.p.store(ptr::from_ref(p).cast_mut().cast(), Ordering::Relaxed);
        // Release: the monitor that finds the M here sees it initialised.
        p.m.store(ptr::from_ref(m).cast_mut(), Ordering::Release);
        // SAFETY: our own M, inside the runtime.
        unsafe { trace::emit::about(m, Event::Attach) };
    }

    /// `m` gives `p` up. By m's own thread, inside the runtime.
    pub(super) fn detach(&self, m: &M, p: &P) {
        debug_assert!(ptr::eq(p.m.load(Ordering::Relaxed), m));
        // SAFETY: our own M, inside the runtime.
        unsafe { trace::emit::about(m, Event::Detach) };
        m.p.store(ptr::null_mut(), Ordering::Relaxed);
        p.m.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Puts a P that nobody holds on the idle list.
    pub(super) fn put_idle(&self, state: &mut State, p: &P) {
        debug_assert!(!p.idle.load(Ordering::Relaxed));
        if trace::on() {
            trace::emit::p_idles(p, self.trace_id, true);
        }
        p.idle.store(true, Ordering::Relaxed);
        state.idle_ps.push(p);
        self.idle.p_idle();
    }

    /// Takes a P from the idle list.
    pub(super) fn take_idle(&self) -> Option<&P> {
        if self.idle.npidle() == 0 {
            return None;
        }
        self.take_idle_locked(&mut self.lock.lock())
    }

    pub(super) fn take_idle_locked(&self, state: &mut State) -> Option<&P> {
        // SAFETY: Ps live as long as their runtime.
        let p = unsafe { &*state.idle_ps.pop()? };
        self.now_busy(state, p);
        Some(p)
    }

    /// Takes this very P from the idle list; false if it is not there.
    pub(super) fn take_idle_p(&self, p: &P) -> bool {
        let mut state = self.lock.lock();
        let Some(at) = state.idle_ps.iter().position(|&x| ptr::eq(x, p)) else {
            return false;
        };
        state.idle_ps.remove(at);
        self.now_busy(&mut state, p);
        true
    }

    fn now_busy(&self, state: &mut State, p: &P) {
        p.idle.store(false, Ordering::Relaxed);
        if trace::on() {
            trace::emit::p_idles(p, self.trace_id, false);
        }
        self.idle.p_busy();
        if std::mem::replace(&mut state.monitor_waits, false) {
            self.set_clock(); // which it has not done for long
            self.monitor.wake();
        }
    }

    /// Puts this M to sleep until it is handed a P. False: it shall end.
    #[cold]
    pub(super) fn stop_m(&self, m: &M) -> bool {
        debug_assert!(!m.spinning.load(Ordering::Relaxed));
        {
            let mut state = self.lock.lock();
            if self.is_exiting() {
                return false;
            }
            if !m.pinned.is_empty() {
                // Queued for this M alone since it last looked: it needs a P after all, or must
                // be found again by whoever has one.
                if let Some(p) = self.take_idle_locked(&mut state) {
                    drop(state);
                    self.attach(m, p);
                    return true;
                }
                while let Some(g) = m.pinned.pop() {
                    // SAFETY: the queue owned g.
                    unsafe { state.global.push_back(g) };
                }
                self.global_len.store(state.global.len(), Ordering::Relaxed);
            }
            state.idle_ms.push(m);
            self.watch_timers(&mut state, m);
            self.watch_network(&mut state, m);
        }
        let since = timer::now();
        loop {
            let reap = match self.config.pin_started {
                true => None,
                false => Some(IDLE_LIFE),
            };
            let (watch, polls) = {
                let state = self.lock.lock();
                (self.watch_time(&state, m), ptr::eq(state.poller, m))
            };
            // SAFETY: our own M, without a P.
            unsafe { trace::emit::about(m, Event::Sleep) };
            let slept = match polls {
                true => self.sleep_polling(m, watch),
                false if m.note.sleep(reap.into_iter().chain(watch).min()) => Slept::Woken,
                false => Slept::Over,
            };
            // SAFETY: our own M, inside the runtime.
            unsafe { trace::emit::about(m, Event::Wake) };
            match slept {
                Slept::Woken => return self.take_handed(m),
                Slept::Working => return true,
                Slept::Over => {}
            }
            let mut state = self.lock.lock();
            if self.watch_time(&state, m) == Some(Duration::ZERO) {
                self.end_watch(&mut state, m);
                // With every P busy, their own Ms see to the timers.
                if let Some(p) = self.take_idle_locked(&mut state) {
                    self.take_idle_m(&mut state, m);
                    drop(state);
                    self.attach(m, p);
                    return true;
                }
                continue;
            }
            // The oldest go first; as many as there are Ps stay.
            if timer::now() - since >= IDLE_LIFE.as_nanos() as Nanos
                && state.idle_ms.len() > self.ps.len()
                && !ptr::eq(state.watcher, m)
                && !ptr::eq(state.poller, m)
                && self.take_idle_m(&mut state, m)
            {
                return false;
            }
        }
    }

    /// Attaches the P that came with a wake-up. False: none came, the runtime ends.
    pub(super) fn take_handed(&self, m: &M) -> bool {
        // Relaxed: ordered by the note.
        let p = m.nextp.swap(ptr::null_mut(), Ordering::Relaxed).cast::<P>();
        // SAFETY: Ps live as long as their runtime.
        match unsafe { p.as_ref() } {
            Some(p) => {
                self.attach(m, p);
                if m.spinning.load(Ordering::Relaxed) {
                    // SAFETY: our own M, inside the runtime.
                    unsafe { trace::emit::about(m, Event::SpinBegin) };
                }
                true
            }
            None => {
                debug_assert!(self.is_exiting());
                false
            }
        }
    }
}
