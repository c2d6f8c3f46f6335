//! The network in the scheduler: who polls, and when. docs/netpoll.md tells the whole story.
//!
//! One M polls at a time, whoever comes first:
//!
//! * an M on its way between two goroutines, without waiting, when nobody has polled for [`POLL_EVERY`], and
//!   as many have run as were queued when its own P polled last; in any case after [`POLL_LATEST`];
//! * an M whose queues are empty, without waiting, if the last poll found several things;
//! * one idle M, which sleeps in the poller as others sleep on their notes, until something comes, it is
//!   handed a P, or the first timer is due;
//! * the monitor, as the last resort, when every P is held by a goroutine that does not come back.
//!
//! *An M that sleeps in the poller is woken like any other.* It says on its note that it sleeps elsewhere
//! before it polls; who wakes it by the note then wakes the poller, too. A wake of the poller that comes
//! before the wait ends it at once.
//!
//! *With a P idle, somebody sleeps in the poller, or will soon,* unless enough Ps are busy where CPUs are short (`room.rs`). The last M that goes idle takes it on if
//! nobody has. If the one that does so is given work instead, and runs for long, the monitor polls.

use super::{Sched, State, Window};
use crate::atomics::Ordering;
use crate::g::parker::Claimed;
use crate::m::M;
use crate::netpoll::Poller;
use crate::netpoll::epoll::BATCH;
use crate::p::deque::CAPACITY;
use crate::p::{P, counters};
use crate::timer::{self, Nanos};
use crate::trace;
use crate::trace::event::By;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// How long a busy M goes without a poll, if those that waited at the last have had their turn. One that finds
/// nothing costs 0.3 µs, one that finds something 1 to 3, beside what it finds.
const POLL_EVERY: Nanos = 50_000;
/// How long in any case. What comes goes to the end of the queue: to find it earlier is of use only if
/// something else would come there before it.
const POLL_LATEST: Nanos = 500_000;

// What one poll finds has room in an empty deque, where others can take it.
const _: () = assert!(BATCH <= CAPACITY);

/// How long nobody may have polled until the monitor does.
const LAST_RESORT: Nanos = 1_000_000;

/// How an idle M's sleep ended.
pub(super) enum Slept {
    /// It is on no list any more, and handed a P, or the runtime ends.
    Woken,
    /// It has a P, with work in its queue.
    Working,
    /// It is idle still.
    Over,
}

impl Window {
    /// The poller of the calling goroutine's runtime.
    pub(crate) fn poller(&self) -> Option<Arc<Poller>> {
        let (m, _) = self.m_and_p()?;
        // SAFETY: our own M.
        Some(Arc::clone(&unsafe { Sched::of_m(m) }.net))
    }
}

/// A poll finds so many at least, however long the queue is that they come to.
const POLL_LEAST: usize = 16;

impl Sched {
    /// Polls without waiting, if nobody else does; whether there was something.
    pub(super) fn poll_network(&self, p: &P) -> bool {
        let Some(mut polling) = self.net.try_begin() else {
            return false;
        };
        // No more than others can take over if this M is stopped.
        let most = p.runq.room().clamp(POLL_LEAST, BATCH);
        self.make_ready(p, polling.wait(Some(Duration::ZERO), most))
    }

    /// As [`Sched::poll_network`], if nobody has for a while.
    pub(super) fn poll_if_due(&self, p: &P, now: Nanos) -> bool {
        if !self.net.is_active() {
            return false;
        }
        let since = now.saturating_sub(self.net.looked());
        let in_turn = || p.schedtick.load(Ordering::Relaxed) >= p.poll_from.get();
        (since >= POLL_LATEST || since >= POLL_EVERY && in_turn()) && self.poll_network(p)
    }

    /// Queues on `p`, which the caller holds, what a poll has found; whether there was something.
    fn make_ready(&self, p: &P, ready: impl ExactSizeIterator<Item = Claimed>) -> bool {
        let mut any = false;
        if trace::on() && ready.len() > 0 {
            trace::emit::network(Some(p), self.trace_id, ready.len());
        }
        for claimed in ready {
            match self.readied(p, claimed, By::Network) {
                Ok(g) => {
                    any = true;
                    counters::add(&p.counters.network_readied, 1);
                    p.runq.push_started(g);
                }
                Err(claimed) => claimed.ready_outside(By::Network),
            }
        }
        let waiting = p.runq.len();
        p.poll_from
            .set(p.schedtick.load(Ordering::Relaxed) + waiting as u64);
        let spared = p.thefts.is_spared() && self.network_has_enough();
        if any && waiting > 1 && !spared {
            p.thefts.forgive(); // what came from outside shall not wait
            self.work_in_deque();
        }
        any
    }

    /// Whether no idle P is called in for the network: see `room.rs`.
    pub(super) fn network_has_enough(&self) -> bool {
        let idle = self.idle.npidle() as usize;
        self.room.is_reached(self.ps.len().saturating_sub(idle))
    }

    /// An M that goes idle sleeps in the poller if nobody does. Not without an idle P for what comes: then those that
    /// are busy poll on their way.
    pub(super) fn watch_network(&self, state: &mut State, m: &M) {
        if self.network_unwatched(state) && !state.idle_ps.is_empty() {
            state.poller = m;
        }
    }

    /// Whether nobody sleeps in the poller who should, if a P is idle. (Nobody should if enough are busy.)
    pub(super) fn network_unwatched(&self, state: &State) -> bool {
        let busy = self.ps.len() - state.idle_ps.len();
        state.poller.is_null() && self.net.is_active() && !self.room.is_reached(busy)
    }

    /// `m` is no longer the one that sleeps in the poller, if it was; whether somebody else should.
    pub(super) fn end_network_watch(&self, state: &mut State, m: &M) -> bool {
        let was = ptr::eq(state.poller, m);
        if was {
            state.poller = ptr::null();
        }
        was && self.network_unwatched(state)
    }

    /// The idle `m` sleeps in the poller, at most for `limit`.
    pub(super) fn sleep_polling(&self, m: &M, limit: Option<Duration>) -> Slept {
        let mut polling = loop {
            if let Some(polling) = self.net.try_begin() {
                break polling;
            }
            // Somebody looks without waiting, for a few microseconds.
            if m.note.try_take() {
                return Slept::Woken;
            }
            std::thread::yield_now();
        };
        if !m.note.begin_elsewhere() {
            return Slept::Woken;
        }
        let ready = polling.wait(limit, BATCH);
        if m.note.end_elsewhere() {
            return self.woken_polling(m, ready);
        }
        if ready.len() == 0 {
            return Slept::Over;
        }
        let p = {
            let mut state = self.lock.lock();
            if !state.idle_ms.contains(&ptr::from_ref(m)) {
                drop(state);
                while !m.note.sleep(None) {} // whoever took it from the list wakes it
                return self.woken_polling(m, ready);
            }
            match self.take_idle_locked(&mut state) {
                Some(p) => {
                    self.take_idle_m(&mut state, m);
                    p
                }
                None => {
                    // The Ms of the busy Ps will poll on their way.
                    state.poller = ptr::null();
                    drop(state);
                    ready.for_each(|claimed| claimed.ready_outside(By::Network));
                    return Slept::Over;
                }
            }
        };
        self.attach(m, p);
        self.make_ready(p, ready);
        Slept::Working
    }

    /// `m` was woken while it polled.
    fn woken_polling(&self, m: &M, ready: impl ExactSizeIterator<Item = Claimed>) -> Slept {
        if m.nextp.load(Ordering::Relaxed).is_null() {
            // The runtime ends; what is ready is others'.
            ready.for_each(|claimed| claimed.ready_outside(By::Network));
            return Slept::Woken;
        }
        self.take_handed(m);
        // SAFETY: just attached, inside the runtime.
        let p = unsafe { P::of(m) }.expect("it was handed one");
        self.make_ready(p, ready);
        Slept::Working
    }

    /// The monitor's poll; whether there was something.
    pub(super) fn poll_as_last_resort(&self) -> bool {
        let late = timer::now().saturating_sub(self.net.looked()) >= LAST_RESORT;
        let polling = (late && self.net.is_active()).then(|| self.net.try_begin());
        let Some(mut polling) = polling.flatten() else {
            return false;
        };
        let ready = polling.wait(Some(Duration::ZERO), BATCH);
        let any = ready.len() > 0;
        if trace::on() && any {
            trace::emit::network(None, self.trace_id, ready.len());
        }
        ready.for_each(|claimed| claimed.ready_outside(By::Monitor));
        any
    }

    /// The runtime ends: nobody polls from here on.
    pub(super) fn close_network(&self) {
        // Outside: this may run on an M's own stack.
        self.net
            .close()
            .into_iter()
            .for_each(|claimed| claimed.ready_outside(By::Network));
    }
}
