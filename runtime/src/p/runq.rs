//! The run queues of one P.
//!
//! ```text
//!   runnext       the one that was made ready last; runs next, in the running slice's rest
//!   started       FIFO: goroutines that have a stack and became ready again
//!   fresh_next    the child that was spawned last
//!   fresh         LIFO for the owner, FIFO for thieves: goroutines that have no stack yet
//! ```
//!
//! Work first: what has been started runs before what has not, and of what has not the newest. A
//! goroutine that blocks is followed by the child it made last, so a recursion unfolds depth
//! first on a handful of hot stacks (Cilk's space bound), while thieves carry off the oldest, that
//! is the largest subtrees.
//!
//! The two slots are words of the owner alone: what this P runs next is not for thieves, and
//! filling a slot wakes nobody. A slot whose owner does not come round to it is the monitor's
//! business: it hands the whole P to another thread. So the hot paths (a message to a waiting
//! receiver, spawn and join) touch no deque, which costs 10 to 15 ns a round.
//!
//! Fairness is bought back by ticks: see [`ROUND`], [`FRESH_MOST`] and [`CHAIN`].

use super::deque::{Deque, Pinned};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicPtr;
use crate::g::G;
use std::cell::Cell;
use std::ptr;

/// A goroutine in a queue: ownership of a runnable G.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runnable(pub(crate) *const G);

// SAFETY: a Runnable is the ownership of its G, which may go to any thread.
unsafe impl Send for Runnable {}

/// Picks per round. Once a round the global queue goes first, so that it does not starve when this P never
/// runs dry. Go's number; a prime, so that it does not beat with a program's own periods.
pub(crate) const ROUND: u32 = 61;

/// After how many picks the oldest fresh goroutine goes first: [`FRESH_MOST`], and about half as many each time that
/// there was always a started one in between. A server that is never idle has thousands of connections that are
/// started; a new one shall not wait longer than they do. Where started ones run dry, work first it is.
pub(crate) const FRESH_MOST: u32 = ROUND;
/// As few at least. Odd, as all of them: a round must not have a factor in common with that of samples.
pub(crate) const FRESH_LEAST: u32 = 3;

/// So many times in a row `runnext` may go before the queues: two goroutines that wake each other
/// delay a third by at most this many switches (about 2 µs).
const CHAIN: u32 = 64;

/// Most goroutines that one theft takes.
const STEAL_MAX: usize = 32;

pub(crate) struct RunQueue {
    runnext: AtomicPtr<G>,
    fresh_next: AtomicPtr<G>,
    started: Deque,
    fresh: Deque,
    /// Picks of `runnext` in a row.
    chain: Cell<u32>,
    /// A pick has found nothing that was started.
    dry: Cell<bool>,
    /// A share of the global queue has come since a fresh one had its turn.
    shared: Cell<bool>,
}

/// How many of the global queue's goroutines may come before those that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    None,
    One,
    All,
}

/// Where a goroutine went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "work in a deque may need another M"]
pub(crate) enum Pushed {
    /// Only into a slot: this P runs it next.
    Slot,
    /// Into a deque (or a slot, and what was there into a deque): others may take it.
    Deque,
}

impl RunQueue {
    pub(crate) fn new() -> RunQueue {
        RunQueue {
            runnext: AtomicPtr::new(ptr::null_mut()),
            fresh_next: AtomicPtr::new(ptr::null_mut()),
            started: Deque::fifo(),
            fresh: Deque::lifo(),
            chain: Cell::new(0),
            dry: Cell::new(true),
            shared: Cell::new(false),
        }
    }

    /// Puts `new` into a slot that only the owner writes; the word is atomic for the monitor's
    /// reads. Returns what was there.
    #[inline(always)]
    fn exchange(slot: &AtomicPtr<G>, new: *mut G) -> *mut G {
        // Relaxed: see above; the G itself is published with the P.
        let old = slot.load(Ordering::Relaxed);
        slot.store(new, Ordering::Relaxed);
        old
    }

    /// A goroutine that was just made ready: runs next.
    #[inline]
    pub(crate) fn push_next(&self, g: Runnable) -> Pushed {
        let old = Self::exchange(&self.runnext, g.0.cast_mut());
        if old.is_null() {
            return Pushed::Slot;
        }
        self.started.push(Runnable(old));
        Pushed::Deque
    }

    /// A started goroutine, at the end of the queue.
    #[inline]
    pub(crate) fn push_started(&self, g: Runnable) {
        self.started.push(g);
    }

    /// A goroutine that has not run yet.
    #[inline]
    pub(crate) fn push_fresh(&self, g: Runnable) -> Pushed {
        let old = Self::exchange(&self.fresh_next, g.0.cast_mut());
        if old.is_null() {
            return Pushed::Slot;
        }
        self.fresh.push(Runnable(old));
        Pushed::Deque
    }

    /// The next goroutine.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Runnable> {
        let next = self.runnext.load(Ordering::Relaxed);
        if !next.is_null() {
            self.runnext.store(ptr::null_mut(), Ordering::Relaxed);
            let chain = self.chain.get();
            if chain < CHAIN {
                self.chain.set(chain + 1);
                return Some(Runnable(next));
            }
            self.started.push(Runnable(next));
        }
        self.chain.set(0);
        if let Some(g) = self.started.pop() {
            return Some(g);
        }
        self.dry.set(true);
        self.shared.set(false);
        let next = self.fresh_next.load(Ordering::Relaxed);
        if !next.is_null() {
            self.fresh_next.store(ptr::null_mut(), Ordering::Relaxed);
            return Some(Runnable(next));
        }
        self.fresh.pop()
    }

    /// Whether started goroutines have kept others from their first run since this was asked last.
    pub(crate) fn keeps_fresh_waiting(&self) -> bool {
        let dry = self.dry.replace(false);
        self.has_fresh() && !dry
    }

    /// How many goroutines of the global queue may come to the end of the started ones.
    pub(crate) fn share(&self) -> Share {
        match (self.has_fresh(), self.shared.get()) {
            (false, _) => Share::All,
            (true, false) => Share::One,
            (true, true) => Share::None,
        }
    }

    /// One of the global queue, as a share.
    pub(crate) fn push_share(&self, g: Runnable) {
        self.shared.set(true);
        self.started.push(g);
    }

    /// Whether there are any that have not run yet.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh_next.load(Ordering::Relaxed).is_null() || self.fresh.len() > 0
    }

    /// The oldest of those that have not run yet, whose turn it is once in a while (see [`FRESH_MOST`]).
    #[cold]
    pub(crate) fn oldest_fresh(&self, pinned: &Pinned) -> Option<Runnable> {
        self.shared.set(false);
        if let Some(g) = self.fresh.pop_oldest(pinned) {
            return Some(g);
        }
        let next = Self::exchange(&self.fresh_next, ptr::null_mut());
        (!next.is_null()).then_some(Runnable(next))
    }

    /// Goroutines that thieves can take, those included that have run if `started_too`.
    #[inline]
    pub(crate) fn stealable(&self, started_too: bool) -> usize {
        self.stealable_started(started_too) + self.fresh.stealable()
    }

    /// Started goroutines, but for one in a slot.
    #[inline]
    pub(crate) fn started_len(&self) -> usize {
        self.started.len()
    }

    /// Those of them that thieves can take, if they may.
    #[inline]
    pub(crate) fn stealable_started(&self, may: bool) -> usize {
        match may {
            true => self.started.stealable(),
            false => 0,
        }
    }

    /// How many started goroutines can be queued, about, so that thieves can take all of them.
    pub(crate) fn room(&self) -> usize {
        self.started.free()
    }

    /// Goroutines in the slots.
    pub(crate) fn in_slots(&self) -> usize {
        usize::from(!self.runnext.load(Ordering::Relaxed).is_null())
            + usize::from(!self.fresh_next.load(Ordering::Relaxed).is_null())
    }

    pub(crate) fn len(&self) -> usize {
        self.started.len() + self.fresh.len() + self.in_slots()
    }

    /// Moves about half of the stealable goroutines of `self` to `into`, the queue of the caller's own P: started
    /// ones to its end; if there are none, and no fresh ones in `into`, which they would go before, fresh ones.
    /// Whether there were any.
    pub(crate) fn move_into(&self, into: &RunQueue, started_too: bool, pinned: &Pinned) -> bool {
        let fresh_too = !into.has_fresh() && (!started_too || self.started.stealable() == 0);
        started_too && self.started.move_to(&into.started, STEAL_MAX, pinned)
            || fresh_too && self.fresh.move_to(&into.fresh, STEAL_MAX, pinned)
    }

    /// How many goroutines [`RunQueue::move_into`] would move at most, as far as can be seen.
    pub(crate) fn most_moved(&self, started_too: bool) -> usize {
        let started = self.stealable_started(started_too);
        let most = started.max(self.fresh.stealable());
        most.div_ceil(2).min(STEAL_MAX)
    }

    /// Takes about half of the stealable goroutines of `self` into `into`, the queue of the
    /// caller's own P, and returns one of them. `started_too`: whether those that have run may
    /// be taken.
    pub(crate) fn steal_into(
        &self,
        into: &RunQueue,
        started_too: bool,
        pinned: &Pinned,
    ) -> Option<Runnable> {
        let started = || self.started.steal_to(&into.started, STEAL_MAX, pinned);
        let fresh = || self.fresh.steal_to(&into.fresh, STEAL_MAX, pinned);
        started_too.then(started).flatten().or_else(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn g(n: usize) -> Runnable {
        Runnable(ptr::without_provenance(n * 64))
    }

    fn order(q: &RunQueue) -> Vec<usize> {
        std::iter::from_fn(|| q.pop())
            .map(|r| r.0.addr() / 64)
            .collect()
    }

    #[test]
    fn started_before_fresh_and_newest_child_first() {
        let q = RunQueue::new();
        for n in 1..=3 {
            let _ = q.push_fresh(g(n));
        }
        q.push_started(g(11));
        q.push_started(g(12));
        assert_eq!(q.push_next(g(21)), Pushed::Slot);
        assert_eq!(q.len(), 6);
        assert_eq!(order(&q), [21, 11, 12, 3, 2, 1]);
    }

    #[test]
    fn the_oldest_fresh_one_has_its_tick() {
        let q = RunQueue::new();
        for n in 1..=3 {
            let _ = q.push_fresh(g(n));
        }
        q.push_started(g(11));
        let first = q.oldest_fresh(&Pinned::new()).unwrap();
        assert_eq!(first.0.addr() / 64, 1);
        assert_eq!(order(&q), [11, 3, 2]);
        let _ = q.push_fresh(g(4));
        q.push_started(g(12));
        assert_eq!(q.oldest_fresh(&Pinned::new()).unwrap().0.addr() / 64, 4);
        assert_eq!(order(&q), [12]);
    }

    #[test]
    fn beside_fresh_ones_a_share_is_one_for_each_that_runs() {
        let q = RunQueue::new();
        assert_eq!(q.share(), Share::All);
        for n in 1..=3 {
            let _ = q.push_fresh(g(n));
        }
        assert_eq!(q.share(), Share::One);
        q.push_share(g(11));
        assert_eq!(q.share(), Share::None);
        assert_eq!(q.pop().unwrap().0.addr() / 64, 11);
        assert_eq!(q.share(), Share::None);
        assert_eq!(q.pop().unwrap().0.addr() / 64, 3);
        assert_eq!(q.share(), Share::One);
        q.push_share(g(12));
        assert_eq!(q.share(), Share::None);
        let _ = q.oldest_fresh(&Pinned::new());
        assert_eq!(q.share(), Share::One);
    }

    #[test]
    fn a_pair_that_wakes_each_other_lets_others_in() {
        let q = RunQueue::new();
        q.push_started(g(99));
        let mut picks = 0;
        let _ = q.push_next(g(1));
        loop {
            picks += 1;
            let x = q.pop().unwrap();
            if x.0.addr() / 64 == 99 {
                break;
            }
            let _ = q.push_next(x);
        }
        assert_eq!(picks, CHAIN + 1);
    }

    #[test]
    fn thieves_take_the_oldest_fresh_and_never_the_slots() {
        let (q, thief) = (RunQueue::new(), RunQueue::new());
        for n in 1..=9 {
            let _ = q.push_fresh(g(n));
        }
        let _ = q.push_next(g(50));
        assert_eq!(q.stealable(true), 8);
        let mut got = vec![
            q.steal_into(&thief, false, &Pinned::new())
                .unwrap()
                .0
                .addr()
                / 64,
        ];
        got.extend(order(&thief));
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3, 4], "the older half");
        while q.steal_into(&thief, true, &Pinned::new()).is_some() {}
        assert_eq!((q.stealable(true), q.in_slots()), (0, 2));
    }

    #[test]
    fn what_is_moved_keeps_its_order_behind_what_is_there() {
        let (q, other) = (RunQueue::new(), RunQueue::new());
        (1..=8).for_each(|n| other.push_started(g(n)));
        (9..=12).for_each(|n| {
            let _ = other.push_fresh(g(n));
        });
        (20..=21).for_each(|n| q.push_started(g(n)));
        assert!(other.move_into(&q, true, &Pinned::new()));
        assert_eq!(order(&q), [20, 21, 1, 2, 3, 4]);
        assert!(other.move_into(&q, false, &Pinned::new()));
        assert_eq!(order(&q), [10, 9], "half of the fresh ones, the oldest");
        while other.move_into(&q, true, &Pinned::new()) {}
        assert_eq!((other.stealable(true), other.in_slots()), (0, 1));
    }
}
