//! Ps that change hands outside the scheduler's loop: goroutines that lost theirs, calls that
//! give theirs up in advance, and goroutines that are bound to one thread.
//! docs/hand-off.md tells the whole story.

use super::run::LOST;
use super::{Sched, Window};
use crate::atomics::Ordering;
use crate::g::G;
use crate::m::{M, current};
use crate::p::runq::Runnable;
use crate::p::{P, counters};
use crate::timer::{self, NEVER};
use crate::trace;
use crate::trace::event::Kind;
use std::ptr;

impl Sched {
    /// A P without an M: to an M if there is anything to do, else to the idle list (Go's
    /// `handoffp`).
    pub(super) fn hand_off(&self, p: &P) {
        debug_assert!(p.m.load(Ordering::Relaxed).is_null());
        let due = || p.timers.next() != NEVER && p.timers.next() <= timer::now();
        if p.runq.len() > 0 || self.global_len.load(Ordering::Relaxed) > 0 || due() {
            self.start_m(p, false);
            return;
        }
        let mut state = self.lock.lock();
        if state.global.len() > 0 {
            drop(state);
            self.start_m(p, false);
            return;
        }
        self.put_idle(&mut state, p);
        let unwatched = self.network_unwatched(&state);
        drop(state);
        // As when an M goes idle: see `idle.rs`. Its own M does not, so another must watch in its place.
        self.idle.before_second_look();
        if self.any_work() || self.timers_unwatched() || unwatched {
            self.work_in_deque();
        }
    }

    /// A goroutine, on its own stack and inside the runtime, has found its P taken: gets an idle
    /// one, or queues for one. Returns the M that it then runs on, with a P.
    #[cold]
    pub(super) fn regain_p(&self, m: &M) -> *const M {
        m.p.store(ptr::null_mut(), Ordering::Relaxed);
        if let Some(p) = self.take_idle() {
            self.attach(m, p);
            // SAFETY: it runs on this M.
            let g = unsafe { &*m.curg.load(Ordering::Relaxed) };
            if trace::on() {
                // SAFETY: our own M, inside the runtime, with the P just attached.
                unsafe { trace::emit::of_g(m, Kind::Back, g) };
            }
            g.status.running();
            return m;
        }
        let g = m.curg.load(Ordering::Relaxed);
        // SAFETY: the calling goroutine itself.
        let g = unsafe { &*g };
        // While it unwinds, it must go on on this very thread: std counts panics per thread.
        let bound = std::thread::panicking().then(|| bind(m, g, true));
        // SAFETY: this is g's own fiber.
        unsafe { (*g.fiber.as_ptr()).as_ref().expect("it runs").suspend(LOST) };
        if bound.is_some() {
            unbind(g);
        }
        current()
    }

    /// The scheduler's side of `regain_p`, on the M's own stack: an idle P, or the end of the
    /// global queue. Both under one lock, so that an M that goes idle meanwhile sees the one or
    /// leaves the other.
    ///
    /// # Safety
    /// `m` is the caller's own M, without a P; `g` just suspended on it with LOST.
    #[cold]
    pub(super) unsafe fn queue_for_p(&self, m: &M, g: &G) {
        if trace::on() {
            // SAFETY: our own M, without a P.
            unsafe { trace::emit::of_g(m, Kind::LostP, g) };
        }
        g.status.readied();
        let mut state = self.lock.lock();
        if let Some(p) = self.take_idle_locked(&mut state) {
            drop(state);
            self.attach(m, p);
            let _ = p.runq.push_next(Runnable(g));
        } else {
            // SAFETY: g is off its stack and ours.
            unsafe { state.global.push_back(g) };
            self.global_len.store(state.global.len(), Ordering::Relaxed);
        }
    }

    /// Gives this M's P away before a call that will block. The goroutine is outside the runtime
    /// afterwards, without a P; its next call into the runtime gets it one.
    pub(super) fn release_p(&self, m: &M) {
        // SAFETY: our own M, inside the runtime.
        let p = unsafe { P::of(m) }.expect("inside the runtime a goroutine has a P");
        // SAFETY: it runs on this M.
        let g = unsafe { &*m.curg.load(Ordering::Relaxed) };
        if trace::on() {
            // SAFETY: our own M, inside the runtime.
            unsafe { trace::emit::of_g(m, Kind::Blocking, g) };
        }
        g.status.blocked();
        counters::add(&p.counters.given_away, 1);
        m.handshake.give_away();
        self.detach(m, p);
        m.handshake.leave();
        self.hand_off(p);
    }

    /// This M has a goroutine that may run nowhere else: gives its P away and sleeps until
    /// somebody brings one back together with that goroutine's turn.
    #[cold]
    pub(super) fn wait_for_locked(&self, m: &M) -> Runnable {
        // First: its place within the bound on threads is then free for the one that gets the P.
        self.lock.lock().threads.locked_waiting += 1;
        // SAFETY: our own M, inside the runtime.
        if let Some(p) = unsafe { P::of(m) } {
            self.detach(m, p);
            self.hand_off(p);
        }
        // SAFETY: our own M, without a P.
        unsafe { trace::emit::about(m, Kind::Sleep) };
        while !m.note.sleep(None) {}
        // SAFETY: as above.
        unsafe { trace::emit::about(m, Kind::Wake) };
        let handed = self.take_handed(m);
        assert!(handed, "a locked M is woken by a P for its goroutine");
        self.lock.lock().threads.locked_waiting -= 1;
        Runnable(m.locked_g.load(Ordering::Relaxed))
    }

    /// `g` was picked here but may run on another M only: passes it, or the P with it, to that M.
    #[cold]
    pub(super) fn pass_to_its_m(&self, m: &M, g: Runnable) {
        // SAFETY: we own g; Ms live as long as their runtime.
        let its = unsafe { &*(*g.0).locked_m.load(Ordering::Relaxed).cast::<M>() };
        // SAFETY: our own M, inside the runtime.
        let p = unsafe { P::of(m) }.expect("a goroutine is picked with a P");
        if ptr::eq(its.locked_g.load(Ordering::Relaxed), g.0) {
            // It sleeps in `wait_for_locked`, or is on its way there.
            self.detach(m, p);
            return self.hand_over(its, p, false);
        }
        let mut state = self.lock.lock();
        its.pinned.push(g.0);
        // Asleep without a P? Then nobody else will run its queue.
        if self.take_idle_m(&mut state, its) {
            drop(state);
            self.detach(m, p);
            self.hand_over(its, p, false);
        }
    }
}

/// Binds `g` to the M it runs on, and if `alone`, the M to `g`: nobody else runs there. Nests.
pub(super) fn bind(m: &M, g: &G, alone: bool) {
    g.lock_depth.set(g.lock_depth.get() + 1);
    g.locked_m
        .store(ptr::from_ref(m).cast_mut().cast(), Ordering::Relaxed);
    if alone {
        m.locked_g
            .store(ptr::from_ref(g).cast_mut(), Ordering::Relaxed);
    }
}

/// Undoes one `bind`.
pub(super) fn unbind(g: &G) {
    let depth = g.lock_depth.get() - 1;
    g.lock_depth.set(depth);
    if depth == 0 {
        let m = g.locked_m.load(Ordering::Relaxed).cast::<M>();
        // SAFETY: the M that g is bound to is the one it runs on.
        unsafe {
            (*m).locked_g.store(ptr::null_mut(), Ordering::Relaxed);
            if !Sched::of_g(g).config.pin_started {
                g.locked_m.store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
    }
}

/// Ends all locks of a goroutine that finishes with some.
pub(super) fn force_unlock(g: &G) {
    while g.lock_depth.get() > 0 {
        unbind(g);
    }
}

/// Binds the calling goroutine to its thread. False on a plain thread.
pub(crate) fn lock_os_thread() -> bool {
    let window = Window::enter();
    match window.m_and_p() {
        Some((m, _)) => {
            // With pinned goroutines it stays on its thread anyway, and others that are pinned to
            // the same thread, whom it may wait for, must go on.
            // SAFETY: our own M.
            let alone = !unsafe { Sched::of_m(m) }.config.pin_started;
            // SAFETY: the calling goroutine itself.
            bind(m, unsafe { &*m.curg.load(Ordering::Relaxed) }, alone);
            true
        }
        None => false,
    }
}

/// Undoes one `lock_os_thread` of the calling goroutine.
pub(crate) fn unlock_os_thread() {
    let window = Window::enter_quietly();
    if let Some((m, _)) = window.m_and_p() {
        // SAFETY: the calling goroutine itself.
        unbind(unsafe { &*m.curg.load(Ordering::Relaxed) });
    }
}
