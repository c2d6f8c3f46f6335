//! Timers in the scheduler: who adds them, who sees that they are due, who sleeps until the next.
//! docs/timers.md tells the whole story; this is its protocol.
//!
//! A timer is added to the heap of the adder's P. It is run by whoever comes first:
//!
//! * its P's M, which looks before its picks (at the clock only now and then, see `p/timers.rs`) and
//!   whenever its queues are empty;
//! * an M without work, which looks at all Ps after its thefts;
//! * the *watcher*: of the idle Ms, the one that sleeps no longer than until the first timer of all Ps;
//! * the monitor, as the last resort, when every P is held by a goroutine that does not come back.
//!
//! Why none is missed by the idle Ms is told in `watch.rs`.
//!
//! A goroutine's timer is announced by its M before the *next pick*, not at once: if there is nothing
//! else to run, the M itself goes to sleep and watches, and nobody was woken for nothing.

use super::pin::LostP;
use super::{Phase, Sched, State};
use crate::atomics::{Ordering, light_fence};
use crate::g::parker::{Claimed, Token};
use crate::m::M;
use crate::p::runq::Runnable;
use crate::p::{P, counters};
use crate::timer::heap::Target;
use crate::timer::node::{Fired, Node};
use crate::timer::{self, NEVER, Nanos};
use crate::trace;
use crate::trace::event::By;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// Timers that are taken from a heap at a time: its lock is held for some 2 µs.
const BATCH: usize = 64;

impl Sched {
    /// Before a pick of `p`, which has timers.
    pub(super) fn check_timers(&self, m: &M, p: &P) -> Result<(), LostP> {
        if p.timers.news.get() {
            p.timers.news.set(false);
            self.announce(p.timers.next());
        }
        if p.timers.wants_look() {
            self.look_at_clock(m, p)?;
        }
        Ok(())
    }

    /// Runs what is due at `p`; whether there was something.
    pub(super) fn look_at_clock(&self, m: &M, p: &P) -> Result<bool, LostP> {
        let now = timer::now();
        p.timers.looked(now);
        let ran = p.timers.next() <= now && self.run_timers(p, p, now);
        // A hundred timers take a while, in which others have not stood still.
        let now = if ran { timer::now() } else { now };
        let relieved = self.relieve(m, p, now)?;
        Ok(ran | relieved | self.poll_if_due(p, now))
    }

    /// A timer was added that is the first of its P: wakes an M for it, if the idle ones sleep longer.
    fn announce(&self, when: Nanos) {
        if self.watch.must_wake(when, || self.idle.npidle()) {
            self.work_in_deque();
        }
    }

    /// Adds a timer of a goroutine on `p`.
    ///
    /// # Safety
    /// The caller owns `p`, inside the runtime, and holds no [`crate::p::lock::Lock`].
    pub(super) unsafe fn add_timer(&self, p: &P, when: Nanos, target: Target) {
        // SAFETY: the caller's promise.
        if unsafe { p.timers.add(Some(p.bias), when, target) } {
            p.timers.news.set(true);
        }
    }

    /// Adds a timer of a plain thread, or of a goroutine of another runtime.
    pub(crate) fn add_timer_outside(&self, when: Nanos, target: Target) {
        // Relaxed: any P will do.
        let at = self.next_timer_p.fetch_add(1, Ordering::Relaxed) % self.ps.len();
        // SAFETY: without a slot the lock may be taken by anybody who holds no other.
        if unsafe { self.ps[at].timers.add(None, when, target) } {
            self.announce(when);
        }
    }

    /// Runs what is due at other Ps than `p`; whether there was something.
    pub(super) fn steal_timers(&self, m: &M, p: &P) -> bool {
        if self.next_timer() == NEVER {
            return false;
        }
        let now = timer::now();
        let n = self.ps.len();
        let first = m.random(n as u32) as usize;
        (0..n)
            .map(|i| &self.ps[(first + i) % n])
            .filter(|victim| victim.timers.next() <= now)
            .any(|victim| self.run_timers(p, victim, now))
    }

    /// Runs the timers of `owner` that are due; `p` is the caller's own P, and gets what they make
    /// ready. Whether there were any.
    pub(super) fn run_timers(&self, p: &P, owner: &P, now: Nanos) -> bool {
        let slot = ptr::eq(p, owner).then_some(p.bias);
        let (mut any, mut first) = (false, true);
        loop {
            // SAFETY: this M owns p, inside the runtime, and holds no lock; `due` is taken out
            // of its place while it is in use.
            let mut due = unsafe {
                let mut due = std::mem::take(p.due());
                owner.timers.take_due(slot, now, BATCH, &mut due);
                due
            };
            let full = due.len() == BATCH;
            counters::add(&p.counters.timers_fired, due.len() as u64);
            if trace::on() && !due.is_empty() {
                trace::emit::timers(p, due.len());
            }
            for target in due.drain(..) {
                any = true;
                let woken = match target {
                    Target::Wake(waiter) => {
                        waiter.claim(Token::TIMEOUT).and_then(|c| self.woken(p, c))
                    }
                    Target::Node(node, number) => self.fire(p, node, number, now),
                };
                // The first is next, the others come behind what is ready already: nobody's
                // deadline waits for a queue, and timers of equal times keep their order.
                match woken {
                    None => {}
                    Some(g) if first => {
                        first = false;
                        let _ = p.runq.push_next(g);
                    }
                    Some(g) => p.runq.push_started(g),
                }
            }
            // SAFETY: as above.
            unsafe { *p.due() = due };
            if !full {
                break;
            }
        }
        if any && p.runq.started_len() > 0 {
            p.thefts.forgive();
            self.work_in_deque();
        }
        any
    }

    /// A waiter that was claimed: a goroutine to be queued, or a plain thread, which is woken.
    fn woken(&self, p: &P, claimed: Claimed) -> Option<Runnable> {
        self.readied(p, claimed, By::Timer)
            .map_err(|claimed| claimed.ready_outside(By::Timer))
            .ok()
    }

    /// Fires a timer that is more than a wait; what is to be queued for it.
    fn fire(&self, p: &P, node: Arc<Node>, number: u32, now: Nanos) -> Option<Runnable> {
        // A call needs a new goroutine, which a stopping runtime does not start. Counted first, as
        // the pair of its phase and this count is what a shutdown looks at.
        p.count_spawned();
        light_fence();
        let mut result = None;
        let mut spawned = false;
        if self.phase() != Phase::Running {
            // Kept until the runtime is gone: what it would call is the user's, and is not dropped
            // on this stack.
            // SAFETY: this M owns p, and holds no lock.
            unsafe { self.add_timer(p, NEVER - 1, Target::Node(node, number)) };
        } else {
            let mut claimed = None;
            let fired = node.fire(number, now, |parker, frame| {
                claimed = super::interrupt::end_frame(parker, frame);
            });
            match fired {
                Fired::Nothing | Fired::Frame => {}
                Fired::Later(when) => {
                    // SAFETY: this M owns p, and holds no lock.
                    unsafe { self.add_timer(p, when, Target::Node(node, number)) };
                }
                Fired::Call => {
                    spawned = true;
                    // SAFETY: this M owns p; the goroutine was counted.
                    let g =
                        unsafe { super::spawn::detached(self, p, node.site, move || node.run()) };
                    result = Some(Runnable(g));
                }
            }
            if let Some(claimed) = claimed {
                result = self.woken(p, claimed);
            }
        }
        if !spawned {
            p.count_finished();
            light_fence();
            if self.phase() != Phase::Running {
                self.goroutine_ended();
            }
        }
        result
    }

    /// When the first timer of all Ps is due.
    pub(super) fn next_timer(&self) -> Nanos {
        self.ps
            .iter()
            .map(|p| p.timers.next())
            .min()
            .unwrap_or(NEVER)
    }

    /// Whether there is any timer.
    pub(super) fn has_timers(&self) -> bool {
        self.next_timer() != NEVER
    }

    /// Whether there are timers that no M would wake up for in time.
    pub(super) fn timers_unwatched(&self) -> bool {
        self.next_timer() < self.watch.until()
    }

    /// Makes `m`, which is on the idle list, the watcher, if there is a timer that the present one
    /// would be late for.
    pub(super) fn watch_timers(&self, state: &mut State, m: &M) {
        if self.watch.begin(|| self.next_timer()) {
            state.watcher = m;
        }
    }

    /// How long the idle `m` may sleep if it is the watcher.
    pub(super) fn watch_time(&self, state: &State, m: &M) -> Option<Duration> {
        ptr::eq(state.watcher, m)
            .then(|| Duration::from_nanos(self.watch.until().saturating_sub(timer::now())))
    }

    /// `m` no longer watches anything, if it did; whether somebody else should.
    pub(super) fn end_watch(&self, state: &mut State, m: &M) -> bool {
        let polled = self.end_network_watch(state, m);
        if !ptr::eq(state.watcher, m) {
            return polled;
        }
        state.watcher = ptr::null();
        self.watch.end();
        polled || self.next_timer() != NEVER
    }
}
