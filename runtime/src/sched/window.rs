//! A goroutine's way into the runtime and out again, and what it can do inside: park and yield.
//!
//! The time between is the *window*: while it is open, the goroutine's P cannot be taken away, so
//! its queues may be used and locks held. It must be short, and no user code may run in it (a
//! value's destructor, a closure, an allocator's hook that parks): collect, leave, then run it.

use super::Sched;
use super::run::{PARK, SLICE_OVER, YIELD};
use crate::atomics::Ordering;
use crate::fiber::Label;
use crate::g::G;
use crate::g::parker::{Parker, Token, Waiter};
use crate::g::wait::Wait;
use crate::m::retake::Entry;
use crate::m::thread::thread_parker;
use crate::m::{M, OpenCommit, Unusual, current};
use crate::p::P;
use crate::p::lock::{Held, Lock};
use crate::timer::Nanos;
use crate::timer::heap::Target;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::time::Instant;

/// Spins before a wait: with their pauses, about as long as Go's.
const SPINS: u32 = 2;
/// Pauses of the first one; they double. Long enough that the owner gets some work done undisturbed
/// (see `Backoff`).
const FIRST_SPIN: u32 = 32;

/// The calling goroutine, inside the runtime; or the calling plain thread, for which "inside" has
/// no meaning. Dropping it leaves.
#[derive(Debug)]
pub struct Window {
    /// Null on a plain thread.
    m: *const M,
    /// Tied to the thread.
    _not_send: PhantomData<*mut ()>,
}

/// Whether a shutdown of the runtime may end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The wait ends with [`Token::INTERRUPTED`].
    Allowed,
    /// The wait ends only by its waker: for waits that something else's safety depends on.
    Forbidden,
}

impl Window {
    pub(super) fn new(m: *const M) -> Window {
        Window {
            m,
            _not_send: PhantomData,
        }
    }

    /// Enters. If the runtime is shutting down, the goroutine is unwound here.
    #[inline(always)]
    pub(crate) fn enter() -> Window {
        let m = current();
        // SAFETY: the calling thread's own M, or null.
        if let Some(m) = unsafe { m.as_ref() } {
            debug_assert!(!m.handshake.inside(), "windows do not nest");
            if !m.handshake.enter() {
                return Window::new(enter_slow(m, true));
            }
        }
        Window::new(m)
    }

    /// Enters, and never unwinds: for destructors.
    #[inline(always)]
    pub(crate) fn enter_quietly() -> Window {
        let m = current();
        // SAFETY: the calling thread's own M, or null.
        if let Some(m) = unsafe { m.as_ref() } {
            debug_assert!(!m.handshake.inside(), "windows do not nest");
            if !m.handshake.enter() {
                return Window::new(enter_slow(m, false));
            }
        }
        Window::new(m)
    }

    /// The M, still inside.
    fn into_m(self) -> *const M {
        ManuallyDrop::new(self).m
    }

    /// Whether the caller is a goroutine.
    #[inline]
    pub fn is_goroutine(&self) -> bool {
        !self.m.is_null()
    }

    #[inline(always)]
    pub(crate) fn m_and_p(&self) -> Option<(&M, &P)> {
        // SAFETY: the calling thread's own M, inside the runtime, where it has a P.
        unsafe {
            let m = self.m.as_ref()?;
            Some((m, P::of(m).unwrap_unchecked()))
        }
    }

    /// The calling goroutine.
    #[inline]
    pub(crate) fn g(&self) -> Option<&G> {
        let (m, _) = self.m_and_p()?;
        // SAFETY: the goroutine that runs on this M is the caller.
        unsafe { m.curg.load(Ordering::Relaxed).as_ref() }
    }

    /// The caller's parker.
    #[inline]
    fn parker(&self) -> &Parker {
        match self.g() {
            Some(g) => &g.parker,
            None => &thread_parker().parker,
        }
    }

    /// Names the caller's next wait, to be published to those who may end it.
    ///
    /// # Safety
    /// The next wait of the caller is a [`Window::park`] on this window, which expects the claims
    /// that are made. The waiter is published by its commit function, or under a lock that this
    /// function releases, so that nobody claims it before. What it was published in forgets it
    /// before the caller goes on after an interrupted wait: nobody claims it after its goroutine
    /// has ended.
    #[inline]
    pub unsafe fn waiter(&self) -> Waiter {
        self.parker().episode()
    }

    /// A lock of which this goroutine's P, if it is one, has the bias.
    #[inline]
    pub fn new_lock(&self) -> Lock {
        Lock::biased_to(self.m_and_p().map(|(_, p)| p.bias))
    }

    /// Tells the runtime how a lock fared that is about to be dropped.
    #[inline]
    pub fn retire_lock(&self, lock: &mut Lock) {
        lock.retire(self.m_and_p().map(|(_, p)| p.bias));
    }

    /// Takes a lock.
    ///
    /// # Safety
    /// The caller holds no other [`Lock`], and releases this one before it leaves the window, or
    /// in the commit function by which it parks.
    #[inline(always)]
    pub unsafe fn lock(&self, lock: &Lock) -> Held {
        // SAFETY: the window keeps the P; the rest is the caller's promise.
        unsafe { lock.lock(self.m_and_p().map(|(_, p)| p.bias)) }
    }

    /// Takes several locks at once, if all of them are biased to this goroutine's P: two plain
    /// accesses for the first, one for each further. Never waits. All are released by one
    /// [`Lock::unlock`] of any of them.
    ///
    /// # Safety
    /// As for [`Window::lock`].
    #[inline(always)]
    pub unsafe fn lock_all<'a>(&self, locks: impl Iterator<Item = &'a Lock>) -> Option<Held> {
        let (_, p) = self.m_and_p()?;
        // SAFETY: the window keeps the P; the rest is the caller's promise.
        unsafe { Lock::lock_all(p.bias, locks) }
    }

    /// A pseudo-random number below `n`, fit for choosing among equals.
    #[inline]
    pub fn random(&self, n: u32) -> u32 {
        match self.m_and_p() {
            Some((m, _)) => m.random(n),
            None => thread_parker().random(n),
        }
    }

    /// Takes one of several locks that the caller holds at once, by the way that takes its bias
    /// away. Whoever takes several takes them in the order of their addresses.
    ///
    /// # Safety
    /// The caller holds no lock by [`Window::lock`], only locks by this function, of lower
    /// addresses; it releases this one before it leaves the window, or in the commit function by
    /// which it parks.
    #[inline(always)]
    pub unsafe fn lock_one_of_several(&self, lock: &Lock) -> Held {
        lock.lock_unbiased()
    }

    /// Parks the caller (Go's `gopark`) until its [`Window::waiter`] is claimed, and returns the
    /// claimer's token.
    ///
    /// `commit` runs when the goroutine is off its stack, on the stack of its M: it publishes the
    /// waiter, releases the caller's lock, and returns true; or returns false if there is nothing
    /// to wait for after all ([`Token::NOT_PARKED`]). From the moment of publication the
    /// goroutine may run again elsewhere, so `commit` must touch nothing of its frame after it.
    ///
    /// A plain thread is blocked, with the same meaning.
    ///
    /// # Safety
    /// `commit` does not unwind, does not call into this crate except to release the lock, and
    /// runs no user code. The waiter is claimed only as [`Window::waiter`] says. What the waiter
    /// was published in must be made to forget it before the frame ends if the wait is
    /// interrupted.
    #[inline(always)]
    pub unsafe fn park<F: FnOnce() -> bool>(
        self,
        wait: impl Into<Wait>,
        interrupt: Interrupt,
        commit: F,
    ) -> (Window, Token) {
        // SAFETY: the caller's promise.
        unsafe { self.park_until(wait, interrupt, None, commit) }
    }

    /// As [`Window::park`], at most until `deadline`: the wait then ends with
    /// [`Token::TIMEOUT`], and the waiter must be forgotten as after an interrupted wait. `None` is
    /// no deadline. A deadline that has passed already still parks, shortly.
    ///
    /// # Safety
    /// As for [`Window::park`].
    #[inline(always)]
    pub unsafe fn park_until<F: FnOnce() -> bool>(
        self,
        wait: impl Into<Wait>,
        interrupt: Interrupt,
        deadline: Option<Instant>,
        commit: F,
    ) -> (Window, Token) {
        // SAFETY: the caller's promise.
        unsafe { self.park_as(false, wait.into(), interrupt, deadline, commit) }
    }

    /// Names the caller's next wait, as [`Window::waiter`], and opens it at once: it may be published,
    /// and claimed, while the caller still runs. For a wait on things that have no common lock.
    /// It ends by [`Window::park_open`], or by the caller's own claim of it.
    ///
    /// # Safety
    /// As for [`Window::waiter`], but for when it is published.
    pub unsafe fn open_waiter(&self) -> Waiter {
        let parker = self.parker();
        let waiter = parker.episode();
        parker.open(waiter);
        waiter
    }

    /// As [`Window::park_until`], for the wait that [`Window::open_waiter`] has opened. If it was
    /// claimed meanwhile, `commit` runs all the same, and the answer comes at once. The waiter is
    /// published already, so the goroutine may run again elsewhere before `commit` has begun: what
    /// `commit` refers to in its frame, it may touch only as long as it holds a lock that the
    /// goroutine takes first of all when it goes on.
    ///
    /// # Safety
    /// As for [`Window::park`]. The caller has opened its next wait on this window.
    pub unsafe fn park_open<F: FnOnce() -> bool>(
        self,
        wait: impl Into<Wait>,
        interrupt: Interrupt,
        deadline: Option<Instant>,
        commit: F,
    ) -> (Window, Token) {
        // SAFETY: the caller's promise.
        unsafe { self.park_as(true, wait.into(), interrupt, deadline, commit) }
    }

    /// # Safety
    /// As for `park_open` if `open`, else for `park`.
    #[inline(always)]
    unsafe fn park_as<F: FnOnce() -> bool>(
        self,
        open: bool,
        wait: Wait,
        interrupt: Interrupt,
        deadline: Option<Instant>,
        commit: F,
    ) -> (Window, Token) {
        let Some((m, p)) = self.m_and_p() else {
            return super::park_thread::park_thread(self, open, wait, interrupt, deadline, commit);
        };
        // SAFETY: the goroutine that runs on this M is the caller.
        let g = unsafe { &*m.curg.load(Ordering::Relaxed) };
        g.status.set_reason(wait.reason);
        p.counters.parked(wait.reason);
        // SAFETY: this is g's own fiber.
        let fiber = unsafe { (*g.fiber.as_ptr()).as_ref().unwrap_unchecked() };
        fiber.set_label(Label {
            on: wait.on,
            what: wait
                .what
                .map_or(ptr::null(), |what| ptr::from_ref(what).cast()),
            // SAFETY: our own M.
            since: unsafe { Sched::of_m(m) }.coarse_now(),
            bounded: deadline.is_some(),
        });
        // Relaxed: published by the Release in `arm`.
        g.parker
            .interruptible
            .store(interrupt == Interrupt::Allowed, Ordering::Relaxed);
        // While it unwinds, it must go on on this very thread: std counts panics per thread.
        let unwinding = std::thread::panicking();
        if unwinding {
            super::handoff::bind(m, g, true);
        }
        if open || deadline.is_some() {
            let open = open.then_some(run_open_commit::<F> as OpenCommit);
            m.unusual.set(Some(Unusual { open, deadline }));
        }
        let mut commit = ManuallyDrop::new(commit);
        m.commit
            .set(Some((run_commit::<F>, (&raw mut commit).cast())));
        std::mem::forget(self); // the scheduler's loop is inside
        // SAFETY: this is g's own fiber.
        unsafe { fiber.suspend(PARK) };
        if unwinding {
            super::handoff::unbind(g);
        }
        (Window::new(current()), g.parker.token())
    }

    /// Lets others run (Go's `Gosched`): to the end of the P's queue.
    pub(crate) fn yield_now(self) -> Window {
        let Some(g) = self.g() else {
            std::thread::yield_now();
            return self;
        };
        if std::thread::panicking() {
            return self; // it must not leave its thread
        }
        // SAFETY: this is g's own fiber.
        unsafe {
            (*g.fiber.as_ptr())
                .as_ref()
                .unwrap_unchecked()
                .suspend(YIELD)
        };
        std::mem::forget(self);
        Window::new(current())
    }

    /// Adds a timer to the caller's P; gives it back on a plain thread. No lock may be held.
    pub(crate) fn add_timer(&self, when: Nanos, target: Target) -> Result<(), Target> {
        let Some((m, p)) = self.m_and_p() else {
            return Err(target);
        };
        // SAFETY: the window keeps the P; the rest is the caller's promise.
        unsafe { Sched::of_m(m).add_timer(p, when, target) };
        Ok(())
    }

    /// Whether to spin once more (for the `n`th time, from zero) rather than to park: Go's
    /// `runtime_canSpin`. It is worth it only if the one who is waited for may be running now.
    #[inline]
    pub(crate) fn may_spin(&self, n: u32) -> bool {
        n < SPINS && self.others_run()
    }

    fn others_run(&self) -> bool {
        let Some((m, p)) = self.m_and_p() else {
            return true; // a thread: what it saves is a system call
        };
        // SAFETY: our own M.
        let sched = unsafe { Sched::of_m(m) };
        let ps = sched.ps.len() as u32;
        ps > 1 && sched.idle.npidle() + sched.idle.nmspinning() + 1 < ps && p.runq.len() == 0 // else there is something better to do
    }

    /// The `n`th spin.
    #[inline]
    pub(crate) fn spin(&self, n: u32) {
        for _ in 0..FIRST_SPIN << n {
            std::hint::spin_loop();
        }
    }

    /// Gives the P away and leaves: for a call that will block.
    pub(crate) fn release_p(self) {
        if let Some((m, _)) = self.m_and_p() {
            // SAFETY: our own M.
            unsafe { Sched::of_m(m) }.release_p(m);
            std::mem::forget(self);
        }
    }
}

impl Drop for Window {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the calling thread's own M, or null.
        if let Some(m) = unsafe { self.m.as_ref() } {
            m.handshake.leave();
        }
    }
}

/// # Safety
/// `data` is the `ManuallyDrop<F>` that `park` left on the goroutine's stack, and is used once.
unsafe fn run_commit<F: FnOnce() -> bool>(data: *mut ()) -> bool {
    // Moved to this stack first: the goroutine's frame may be gone before the function returns.
    // SAFETY: the caller's promise.
    let commit = unsafe { ptr::read(data.cast::<F>()) };
    commit()
}

/// The waiter was published when it was opened: whoever claims it once it is armed makes it run, and
/// then its frame, with `data`, is its own again.
///
/// # Safety
/// As for `run_commit`; `waiter` is `parker`'s, and open.
unsafe fn run_open_commit<F: FnOnce() -> bool>(
    data: *mut (),
    parker: &Parker,
    waiter: Waiter,
) -> (bool, bool) {
    // SAFETY: the caller's promise.
    let commit = unsafe { ptr::read(data.cast::<F>()) };
    let armed = parker.arm_open(waiter);
    (armed, commit())
}

#[cold]
#[inline(never)]
fn enter_slow(m: &M, may_unwind: bool) -> *const M {
    // SAFETY: our own M.
    let sched = unsafe { Sched::of_m(m) };
    let entry = m.handshake.resolve();
    // SAFETY: the goroutine that runs on this M is the caller, whichever M that is.
    let asked = |m: *const M| unsafe {
        let g = &*(*m).curg.load(Ordering::Relaxed);
        !sched.is_running() || g.parker.is_requested()
    };
    let unwind = |m| may_unwind && asked(m) && !std::thread::panicking();
    let m: *const M = match entry {
        Entry::Lost => sched.regain_p(m),
        Entry::SliceOver if std::thread::panicking() || unwind(m) => m,
        Entry::SliceOver => {
            // SAFETY: the goroutine that runs on this M is the caller, on its own fiber.
            unsafe {
                let g = &*m.curg.load(Ordering::Relaxed);
                (*g.fiber.as_ptr())
                    .as_ref()
                    .expect("it runs")
                    .suspend(SLICE_OVER);
            }
            current()
        }
    };
    if unwind(m) {
        drop(Window::new(m));
        super::interrupt::unwind_if_asked();
        return Window::enter_quietly().into_m();
    }
    m
}
