//! The loop of an M: pick a goroutine, resume it, and do what it wanted when it suspended.
//!
//! All of this runs on the M's own stack and inside the runtime (the M's `in_runtime` is set), so
//! the P cannot be taken away under it. Nothing here may unwind, and no user code runs here.

use super::{Phase, Sched, ScopeState};
use crate::atomics::{Ordering, light_fence};
use crate::fiber::{FINISHED, Fiber};
use crate::g::G;
use crate::g::arrivals::Arrivals;
use crate::g::join::{Finished, Stored};
use crate::g::locals;
use crate::g::parker::Token;
use crate::g::task::{AbortOnUnwind, JoinError, Outcome};
use crate::m::{M, Unusual, current};
use crate::p::P;
use crate::p::runq::{Pushed, Runnable};
use crate::timer::heap::Target;
use crate::timer::{self, nanos};
use crate::trace;
use crate::trace::event::{By, Kind};
use crate::trace::report;
use std::fmt;
use std::ptr;

/// What a goroutine suspends with: to the back of the queue.
pub(super) const YIELD: usize = 1;
/// To be woken by somebody, after the M's commit function has run.
pub(super) const PARK: usize = 2;
/// Its P is gone: to be resumed when it has one again.
pub(super) const LOST: usize = 3;

/// Its slice is over: to the back of the global queue.
pub(super) const SLICE_OVER: usize = 4;

/// What a fiber's entry is told to do with the G whose address the word carries.
const RUN: usize = 0;
const CANCEL: usize = 1;
const NO_STACK: usize = 2;
const TAGS: usize = 3;

impl Sched {
    /// Runs goroutines until the runtime ends or this M is no longer needed.
    pub(super) fn run_loop(&self, m: &M) {
        let guard = AbortOnUnwind("the scheduler's loop");
        while let Some(g) = self.schedule(m) {
            self.execute(m, g);
        }
        guard.disarm();
    }

    /// Resumes `g` on this M, which has a P, until it suspends.
    #[inline]
    fn execute(&self, m: &M, g: Runnable) {
        // SAFETY: our own M, inside the runtime, with a P; the queue gave us ownership of g.
        unsafe {
            if (*g.0).status.is_timed() {
                return self.execute_timed(m, g);
            }
            if let Some(out) = self.resume(m, &*g.0) {
                self.suspended(m, &*g.0, out);
            }
        }
    }

    /// As `execute`, with a look at the clock: how long the goroutine has been runnable, and how long it
    /// runs. See `p/counters.rs`.
    #[cold]
    #[inline(never)]
    fn execute_timed(&self, m: &M, g: Runnable) {
        // SAFETY: as in `execute`. After a yield the goroutine is still ours, with its P.
        unsafe {
            let g = &*g.0;
            let p = P::of(m).unwrap_unchecked();
            let began = timer::now();
            if g.status.is_wait_timed() {
                p.counters.latency.add(g.take_stamp(began));
            }
            g.status.set_untimed();
            let sampled = p.is_sampled();
            let Some(out) = self.resume(m, g) else { return };
            if sampled && out != LOST {
                let now = timer::now();
                let p = P::of(m).expect("only who is lost has no P");
                p.counters.hold.add(now.saturating_sub(began));
                if out == YIELD {
                    g.stamp(now);
                }
            }
            self.suspended(m, g, out);
        }
    }

    /// Runs `g` until it suspends, and says what with. None: it got no stack.
    ///
    /// # Safety
    /// The caller owns `g`; m is its own M, inside the runtime, with a P.
    #[inline(always)]
    unsafe fn resume(&self, m: &M, g: &G) -> Option<usize> {
        // SAFETY: the caller's promise.
        unsafe {
            let word = match (*g.fiber.as_ptr()).is_some() {
                true => 0,
                false => self.bind_fiber(m, g)?,
            };
            if trace::on() {
                trace::emit::starts(m, g);
            }
            g.status.running();
            g.m.store(ptr::from_ref(m).cast_mut().cast(), Ordering::Relaxed);
            m.curg.store(ptr::from_ref(g).cast_mut(), Ordering::Relaxed);
            m.handshake.new_slice();
            // The fiber stays in its place while the goroutine runs: nobody else looks at it.
            let fiber = (*g.fiber.as_ptr()).as_ref().unwrap_unchecked();
            let out = fiber.resume(word);
            m.curg.store(ptr::null_mut(), Ordering::Relaxed);
            Some(out)
        }
    }

    /// Does what the goroutine wanted when it suspended.
    ///
    /// # Safety
    /// As for `resume`, which gave `out`.
    #[inline(always)]
    unsafe fn suspended(&self, m: &M, g: &G, out: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match out {
                FINISHED => self.finish(m, g),
                PARK => self.commit_park(m, g),
                YIELD => self.requeue(m, g),
                LOST => self.queue_for_p(m, g),
                SLICE_OVER => self.requeue_globally(m, g),
                _ => unreachable!("a goroutine suspended with {out}"),
            }
        }
    }

    /// Gives a goroutine that has not run yet its fiber, and says what to resume it with. None:
    /// there is no stack, and none in reserve; the goroutine is back in the global queue.
    ///
    /// # Safety
    /// As in `execute`.
    #[inline(always)]
    unsafe fn bind_fiber(&self, m: &M, g: &G) -> Option<usize> {
        // SAFETY: the caller's promise.
        let p = unsafe { P::of(m) }.expect("an M that runs a goroutine has a P");
        // SAFETY: this M owns the P.
        let (fiber, tag) = match unsafe { p.take_fiber(&self.stacks, goroutine_entry) } {
            Ok(fiber) if self.phase() == Phase::Running && !g.parker.is_requested() => (fiber, RUN),
            Ok(fiber) => (fiber, CANCEL),
            Err(why) => {
                let text = why.to_string();
                self.report_no_stack(g, &text);
                let Some(fiber) = self.reserve.lock().take() else {
                    self.inject(Runnable(g));
                    std::thread::yield_now();
                    return None;
                };
                m.no_stack.set(Some(text));
                (fiber, NO_STACK)
            }
        };
        if self.config.pin_started {
            g.locked_m
                .store(ptr::from_ref(m).cast_mut().cast(), Ordering::Relaxed);
        }
        let word = ptr::from_ref(g) as usize;
        debug_assert_eq!(word & TAGS, 0);
        fiber.set_owner(word as *mut ());
        g.fiber.set(Some(fiber));
        Some(word | tag)
    }

    #[cold]
    fn report_no_stack(&self, g: &G, why: &str) {
        if !self.no_stack_reported.swap(true, Ordering::Relaxed) {
            let mut who = String::new();
            // SAFETY: the M owns g.
            let _ = unsafe { g.describe(&mut who) };
            report::soon(format!(
                "weft: {who} cannot start, no stack: {why}\n\
                 weft: it fails with JoinError::NoStack, and so will others (not reported again)\n"
            ));
        }
    }

    /// The goroutine returned: its fiber serves the next, its handle learns of it.
    ///
    /// # Safety
    /// As in `execute`; g is off its stack.
    #[inline(always)]
    unsafe fn finish(&self, m: &M, g: &G) {
        // SAFETY: the caller's promise; the fiber is idle.
        unsafe {
            let p = P::of(m).expect("a goroutine finishes with a P");
            let fiber = g.fiber.take().expect("it ran on a fiber");
            self.give_fiber(p, fiber);
            g.status.dead();
            // Pairs with the heavy fence in `trace::runtimes::find_all`: who looks there for what exists finds it dead, or
            // its end is later than the look.
            light_fence();
            if trace::on() {
                trace::emit::finishes(m, g);
            }
            p.count_finished();
            match g.join.finish() {
                Finished::Free => {
                    g.clear();
                    p.give_g(g);
                }
                Finished::Wake(waiter) => {
                    if let Some(claimed) = waiter.claim(Token::new(0)) {
                        self.ready_on(p, claimed, By::Ended);
                    }
                }
                Finished::Report(list, number) => {
                    // SAFETY: it was registered with its share of the list, which is ours now.
                    if let Some(claimed) = Arrivals::report(list, number) {
                        self.ready_on(p, claimed, By::Ended);
                    }
                }
                Finished::Leave => {}
            }
        }
        // Pairs with the heavy fence of a shutdown, which then counts: it sees our count, or we
        // see its phase.
        light_fence();
        if self.phase() != Phase::Running {
            self.goroutine_ended();
        }
    }

    /// # Safety
    /// This M owns p; the fiber is idle.
    #[inline]
    unsafe fn give_fiber(&self, p: &P, fiber: Fiber) {
        if self.no_stack_reported.load(Ordering::Relaxed) {
            let mut reserve = self.reserve.lock();
            if reserve.is_none() {
                *reserve = Some(fiber);
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { p.give_fiber(fiber, &self.stacks) };
    }

    /// Publishes a goroutine that parks.
    ///
    /// # Safety
    /// As in `execute`; g is off its stack, and m's commit function is set.
    #[inline(always)]
    unsafe fn commit_park(&self, m: &M, g: &G) {
        let (commit, data) = m.commit.take().expect("a park comes with a commit");
        let unusual = m.unusual.take();
        let waiter = match unusual {
            Some(Unusual { open: Some(_), .. }) => g.parker.opened(),
            _ => g.parker.episode(),
        };
        let interruptible = g.parker.interruptible.load(Ordering::Relaxed);
        if trace::on() {
            // SAFETY: the caller's promise. Before it is armed, and so before it can be woken.
            unsafe { trace::emit::blocks(m, g) };
        }
        g.status.waiting();
        // Who finds g by a walk and claims it waits until `committing` is null again, so the
        // frame that `data` points to stays until commit has returned. The store is ordered
        // before `arm` by the Release there.
        m.committing
            .store(ptr::from_ref(g).cast_mut(), Ordering::Relaxed);
        // SAFETY: the goroutine put them there together, for this call. Once it is armed, g may be
        // running on another M: only `waiter` may be used.
        let (armed, keep) = unsafe {
            match unusual {
                Some(Unusual {
                    open: Some(commit), ..
                }) => commit(data, &g.parker, waiter),
                _ => {
                    g.parker.arm(waiter);
                    (true, commit(data))
                }
            }
        };
        // Release: pairs with the Acquire of the walker that waits for it.
        m.committing.store(ptr::null_mut(), Ordering::Release);
        // Pairs with the heavy fence of a shutdown: either it finds g armed, or we see its phase.
        light_fence();
        if !armed {
            // Claimed while it was still running, and nobody's to make ready but ours.
            if trace::on() {
                // SAFETY: as said.
                unsafe { trace::emit::unblocks(g, By::Itself) };
            }
            g.status.readied();
            // SAFETY: our own M, inside the runtime, with the P it parked the goroutine with.
            let p = unsafe { P::of(m) }.expect("a park keeps the P");
            if p.runq.push_next(Runnable(g)) == Pushed::Deque {
                self.soon_in_deque(p);
            }
        } else if !keep {
            self.unpark_own(m, waiter.claim(Token::NOT_PARKED));
        } else if interruptible && (self.phase() != Phase::Running || g.parker.is_requested()) {
            // (If g has gone on meanwhile, the request may be of its next life: then the claim
            // fails.)
            self.unpark_own(m, waiter.claim(Token::INTERRUPTED));
        }
        if let Some(Unusual {
            deadline: Some(at), ..
        }) = unusual
        {
            // Last, when the waiter can be claimed and no lock is held. If its wait has ended
            // already, the timer is one more that has lost its meaning.
            // SAFETY: our own M, inside the runtime, with the P it parked the goroutine with.
            unsafe {
                let p = P::of(m).expect("a park keeps the P");
                self.add_timer(p, nanos(at), Target::Wake(waiter));
            }
        }
    }

    #[cold]
    fn unpark_own(&self, m: &M, claimed: Option<crate::g::parker::Claimed>) {
        if let Some(claimed) = claimed {
            // SAFETY: our own M, inside the runtime, with the P it parked the goroutine with.
            unsafe { self.ready_on(P::of(m).expect("a park keeps the P"), claimed, By::Itself) };
        }
    }

    /// # Safety
    /// As in `execute`; g is off its stack.
    #[inline(always)]
    unsafe fn requeue(&self, m: &M, g: &G) {
        // SAFETY: the caller's promise.
        let p = unsafe { P::of(m) }.expect("a yield keeps the P");
        if trace::on() {
            // SAFETY: the caller's promise.
            unsafe { trace::emit::yields(m, g) };
        }
        g.status.readied();
        p.runq.push_started(Runnable(g));
        // What this P runs next anyway is no reason to wake another M.
        if p.runq.stealable_started(true) > 1 {
            self.soon_in_deque(p);
        }
    }
}

impl Sched {
    /// As Go does with who was preempted: behind all that waits anywhere. At the end of its P's
    /// own queue it would come again before the fresh goroutines, and before those in the global
    /// queue for 61 picks, each of which may be a whole slice.
    #[cold]
    fn requeue_globally(&self, m: &M, g: &G) {
        if trace::on() {
            // SAFETY: our own M, with a P, off whose stack the goroutine has just come.
            unsafe { trace::emit::of_g(m, Kind::SliceOver, g) };
        }
        g.status.readied();
        g.slice_ended.set(timer::now().max(1));
        self.inject(Runnable(g));
    }
}

/// The body of every fiber: runs one goroutine from its first instruction to its last.
///
/// # Safety
/// Called by a fiber that `execute` resumed with a word of `bind_fiber`.
pub(super) unsafe fn goroutine_entry(word: usize) {
    let guard = AbortOnUnwind("a goroutine's root");
    // SAFETY: bind_fiber made the word; the G is ours until we suspend for the last time.
    let g = unsafe { &*((word & !TAGS) as *const G) };
    // SAFETY: a goroutine runs on an M.
    let m = unsafe { &*current() };
    let no_stack = (word & TAGS == NO_STACK)
        .then(|| m.no_stack.take())
        .flatten();
    // SAFETY: g is not finished.
    let sched = unsafe { Sched::of_g(g) };
    m.handshake.leave();
    // User code runs from here, outside the runtime.
    // SAFETY: the task holds its closure, and the goroutine owns it.
    let outcome = unsafe {
        match word & TAGS {
            RUN => g.task.run(),
            CANCEL => {
                // Met: the closure's destructors may wait.
                let _ = g.parker.take_request();
                g.task.cancel(JoinError::Cancelled);
                Outcome::Cancelled
            }
            _ => {
                g.task
                    .cancel(JoinError::NoStack(no_stack.unwrap_or_default()));
                Outcome::Cancelled
            }
        }
    };
    if outcome == Outcome::Panicked && sched.config.on_panic == super::OnPanic::Abort {
        abort_for_panic();
    }
    let mut unheard = false;
    let mut cut_short = false;
    if (outcome != Outcome::Returned || g.task.result_needs_drop())
        && g.join.stored() == Stored::ByGoroutine
    {
        unheard = outcome == Outcome::Panicked;
        cut_short = outcome == Outcome::Cancelled;
        // SAFETY: the handle is gone, so the result is ours.
        unsafe { g.task.drop_result() };
    }
    if !g.locals.get().is_null() {
        end_locals(g, sched);
    }
    let scope = g.scope.get().cast::<ScopeState>();
    // SAFETY: a scope waits for its goroutines.
    if let Some(scope) = unsafe { scope.as_ref() } {
        if cut_short && !sched.is_running() {
            scope.cut_short();
        }
        if unheard {
            scope.fail(g);
        }
        scope.remove(g);
    }
    let window = super::Window::enter_quietly();
    if g.lock_depth.get() > 0 {
        super::handoff::force_unlock(g);
    }
    std::mem::forget(window); // the scheduler's loop goes on inside
    guard.disarm();
}

/// Drops the goroutine's own values, on the goroutine: user code, which may wait.
#[cold]
fn end_locals(g: &G, sched: &Sched) {
    // It has ended, so a cancel that came too late to be heeded is void.
    let _ = g.parker.take_request();
    // SAFETY: the table of the goroutine that calls this, of which no user code is left but the
    // destructors.
    if unsafe { locals::end(&g.locals) } && sched.config.on_panic == super::OnPanic::Abort {
        abort_for_panic();
    }
}

fn abort_for_panic() -> ! {
    report::write("fatal error: a goroutine panicked, and OnPanic::Abort was asked for\n");
    std::process::abort();
}

/// Says whose stack it is, for the overflow report.
///
/// # Safety
/// `owner` is null or the G that runs on the stack. Async-signal-safe.
pub(crate) unsafe fn describe_owner(owner: *mut (), out: &mut dyn fmt::Write) -> fmt::Result {
    // SAFETY: the caller's promise.
    match unsafe { owner.cast::<G>().as_ref() } {
        // SAFETY: it runs, so it is not freed.
        Some(g) => unsafe { g.describe(out) },
        None => out.write_str("an unnamed goroutine"),
    }
}
