//! The processor: the right to run goroutines, and what goes with it: run queues, free Gs, fibers,
//! counters. Their number bounds how many goroutines run at once.
//!
//! A P is owned by the M that holds it (inside the runtime), by the idle list, or by whoever is
//! handing it over. Only the owner touches the non-atomic parts.

pub(crate) mod counters;
pub(crate) mod deque;
pub(crate) mod lock;
pub(crate) mod runq;
pub(crate) mod thefts;
pub(crate) mod timers;
pub(crate) mod watched;

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
use crate::fiber::{Entry, Fiber};
use crate::g::registry::{self, GList};
use crate::g::{G, GoroutineId};
use crate::m::M;
use crate::stack::{StackError, StackPool};
use crate::timer::heap::Target;
use counters::{Counters, SAMPLE};
use lock::BiasSlot;
use runq::{FRESH_LEAST, FRESH_MOST, ROUND, RunQueue};
use std::cell::{Cell, UnsafeCell};
use std::ptr;
use thefts::Thefts;
use timers::Timers;
use watched::Watched;

/// Free Gs and idle fibers that a P keeps; half goes to the global pool when it has more. 64 Gs
/// are 16 KiB; 64 warm stacks are 256 KiB.
const KEEP: usize = 64;

/// Goroutine numbers that a P takes at a time (as Go's goidcache).
const ID_BATCH: u64 = 16;

/// The next goroutine number of the process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A number for a goroutine that is spawned without a P.
pub(crate) fn next_id() -> GoroutineId {
    // Relaxed: unique is all that is asked.
    GoroutineId(NEXT_ID.fetch_add(1, Ordering::Relaxed))
}

/// What a pick is special for, beside the times that may be taken in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The global queue goes first.
    pub(crate) global: bool,
    /// The oldest fresh goroutine goes first.
    pub(crate) fresh: bool,
}

#[repr(align(128))]
pub(crate) struct P {
    pub(crate) id: u32,
    /// The M that holds it, or null.
    pub(crate) m: AtomicPtr<M>,
    pub(crate) runq: RunQueue,
    /// Picks so far. Written by the owner, watched by the monitor.
    pub(crate) schedtick: AtomicU64,
    /// The number of the next pick that is special. The owner's.
    special: Cell<u32>,
    /// The number of the next pick in which the oldest fresh goroutine goes first, and how many lie between
    /// those. The owner's.
    fresh: Cell<(u32, u32)>,
    pub(crate) counters: Counters,
    pub(crate) bias: &'static BiasSlot,
    /// Whether it is worth it to steal from here.
    pub(crate) thefts: Thefts,
    /// On which other P this one has an eye: see `sched/relief.rs`. The owner's.
    pub(crate) watched: Cell<Watched>,
    /// How many picks it has made when those that waited at its last poll have had their turn; about, as every pick
    /// counts. The owner's.
    pub(crate) poll_from: Cell<u64>,
    /// Goroutines in the global queue wait, and the picks here take long. By the monitor, to be reset by the owner.
    pub(crate) hurry: AtomicBool,
    pub(crate) timers: Timers,
    /// What was taken of some P's timers and waits to be dealt with. The owner's.
    due: UnsafeCell<Vec<Target>>,
    fibers: UnsafeCell<Vec<Fiber>>,
    gfree: UnsafeCell<GList>,
    /// Length of `gfree`, for traces. Written by the owner.
    gfree_len: AtomicU32,
    ids: Cell<(u64, u64)>,
    /// Goroutines that were spawned and that finished on this P. Written by the owner.
    pub(crate) spawned: AtomicU64,
    pub(crate) finished: AtomicU64,
    /// Whether it is on the idle list. Written under the scheduler's lock.
    pub(crate) idle: AtomicBool,
}

// SAFETY: the cells are the owner's; ownership passes with synchronisation (the handshake, the
// scheduler's lock, a note).
unsafe impl Sync for P {}
// SAFETY: as above.
unsafe impl Send for P {}

impl P {
    pub(crate) fn new(id: u32) -> P {
        let bias = BiasSlot::take();
        P {
            id,
            m: AtomicPtr::new(ptr::null_mut()),
            runq: RunQueue::new(),
            schedtick: AtomicU64::new(0),
            special: Cell::new(1),
            fresh: Cell::new((FRESH_MOST / 2, FRESH_MOST)),
            counters: Counters::new(),
            bias,
            thefts: Thefts::new(),
            watched: Cell::new(Watched::first(id)),
            poll_from: Cell::new(0),
            hurry: AtomicBool::new(false),
            timers: Timers::new(bias),
            due: UnsafeCell::new(Vec::new()),
            fibers: UnsafeCell::new(Vec::with_capacity(KEEP + 1)),
            gfree: UnsafeCell::new(GList::new()),
            gfree_len: AtomicU32::new(0),
            ids: Cell::new((0, 0)),
            spawned: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            idle: AtomicBool::new(false),
        }
    }

    /// The P that `m` holds.
    ///
    /// # Safety
    /// `m` is the caller's own M, inside the runtime; its runtime is alive.
    #[inline(always)]
    pub(crate) unsafe fn of(m: &M) -> Option<&P> {
        // SAFETY: Ps live as long as their runtime.
        unsafe { m.p.load(Ordering::Relaxed).cast::<P>().as_ref() }
    }

    /// The P that `m` holds, from outside; it may have changed by now. (An M whose P was taken does not know
    /// yet; the P does.)
    ///
    /// # Safety
    /// The runtime of `m` is alive.
    pub(crate) unsafe fn held_by(m: &M) -> Option<&P> {
        // SAFETY: null, or a P, which lives as long as its runtime.
        let p = unsafe { m.p.load(Ordering::Relaxed).cast::<P>().as_ref() };
        p.filter(|p| ptr::eq(p.m.load(Ordering::Relaxed), m))
    }

    #[inline]
    fn bump(counter: &AtomicU64) {
        // Written by the owner alone: no read-modify-write needed.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Counts a spawn. Owner only.
    #[inline]
    pub(crate) fn count_spawned(&self) {
        Self::bump(&self.spawned);
    }

    /// Counts a finished goroutine. Owner only.
    #[inline]
    pub(crate) fn count_finished(&self) {
        Self::bump(&self.finished);
    }

    /// Counts a pick, and returns the count. Owner only.
    #[inline]
    pub(crate) fn tick(&self) -> u32 {
        let tick = self.schedtick.load(Ordering::Relaxed) + 1;
        self.schedtick.store(tick, Ordering::Relaxed);
        tick as u32
    }

    /// Whether the pick with this number differs from most ([`P::turn`]). One comparison in place of what it
    /// stands for, a remainder by [`ROUND`] and another by [`SAMPLE`]. Owner only.
    #[inline(always)]
    pub(crate) fn is_special(&self, tick: u32) -> bool {
        tick == self.special.get()
    }

    /// What the pick with this number is special for. To be called for each that [`P::is_special`], in turn.
    /// Owner only.
    #[cold]
    pub(crate) fn turn(&self, tick: u32) -> Turn {
        let (mut at, mut every) = self.fresh.get();
        let fresh = at == tick;
        if fresh {
            every = match self.runq.keeps_fresh_waiting() {
                true => ((every / 2) | 1).max(FRESH_LEAST),
                false => ((every * 2) | 1).min(FRESH_MOST),
            };
            at = tick.wrapping_add(every);
            if at.is_multiple_of(ROUND) {
                at = at.wrapping_add(1); // the global queue's turn
            }
            self.fresh.set((at, every));
        }
        let next = (ROUND - tick % ROUND)
            .min(at.wrapping_sub(tick))
            .min(SAMPLE - tick % SAMPLE);
        self.special.set(tick.wrapping_add(next));
        Turn {
            global: tick.is_multiple_of(ROUND),
            fresh,
        }
    }

    /// Whether times are taken in this pick: see `counters.rs`. Owner only.
    #[inline(always)]
    pub(crate) fn is_sampled(&self) -> bool {
        (self.schedtick.load(Ordering::Relaxed) as u32).is_multiple_of(SAMPLE)
    }

    /// A number for a new goroutine. Owner only.
    #[inline]
    pub(crate) fn next_id(&self) -> u64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = NEXT_ID.fetch_add(ID_BATCH, Ordering::Relaxed);
            end = next + ID_BATCH;
        }
        self.ids.set((next + 1, end));
        next
    }

    /// A free G.
    ///
    /// # Safety
    /// The caller owns the P.
    #[inline]
    pub(crate) unsafe fn take_g(&self) -> *const G {
        // SAFETY: owner only.
        let free = unsafe { &mut *self.gfree.get() };
        if free.len() == 0 {
            registry::take(free);
        }
        let g = free.pop_front().expect("the registry gives at least one");
        self.gfree_len.store(free.len() as u32, Ordering::Relaxed);
        g
    }

    /// Takes a freed G back.
    ///
    /// # Safety
    /// The caller owns the P, and the G, which was cleared.
    #[inline]
    pub(crate) unsafe fn give_g(&self, g: *const G) {
        // SAFETY: owner only.
        unsafe {
            let free = &mut *self.gfree.get();
            free.push_front(g);
            if free.len() > KEEP {
                let mut half = GList::new();
                for _ in 0..registry::BATCH {
                    half.push_back(free.pop_front().expect("there are more than a batch"));
                }
                registry::give(&mut half);
            }
            self.gfree_len.store(free.len() as u32, Ordering::Relaxed);
        }
    }

    /// The place for due timers.
    ///
    /// # Safety
    /// The caller owns the P, and calls this anew after anything that could use it too.
    #[expect(clippy::mut_from_ref, reason = "the owner's alone")]
    pub(crate) unsafe fn due(&self) -> &mut Vec<Target> {
        // SAFETY: owner only.
        unsafe { &mut *self.due.get() }
    }

    /// An idle fiber, the warmest first.
    ///
    /// # Safety
    /// The caller owns the P.
    #[inline]
    pub(crate) unsafe fn take_fiber(
        &self,
        pool: &StackPool,
        entry: Entry,
    ) -> Result<Fiber, StackError> {
        // SAFETY: owner only.
        match unsafe { (*self.fibers.get()).pop() } {
            Some(fiber) => Ok(fiber),
            None => Ok(Fiber::new(pool.take()?, entry)),
        }
    }

    /// Takes an idle fiber back.
    ///
    /// # Safety
    /// The caller owns the P; the fiber is idle.
    #[inline]
    pub(crate) unsafe fn give_fiber(&self, fiber: Fiber, pool: &StackPool) {
        // SAFETY: owner only; all fibers here are idle.
        unsafe {
            let fibers = &mut *self.fibers.get();
            fibers.push(fiber);
            if fibers.len() > KEEP {
                pool.give(fibers.drain(..KEEP / 2).map(|f| f.into_slot()));
            }
        }
    }

    /// Free Gs kept here; for traces.
    pub(crate) fn gfree_len(&self) -> u32 {
        self.gfree_len.load(Ordering::Relaxed)
    }

    /// Gives everything that is kept here to the global pools.
    ///
    /// # Safety
    /// The caller owns the P.
    pub(crate) unsafe fn flush(&self, pool: &StackPool) {
        // SAFETY: owner only; all fibers here are idle.
        unsafe {
            pool.give((*self.fibers.get()).drain(..).map(|f| f.into_slot()));
            registry::give(&mut *self.gfree.get());
        }
    }
}

impl Drop for P {
    fn drop(&mut self) {
        self.bias.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runq::Runnable;

    /// The picks of fresh goroutines among the next `n`, if no started one ever waits, or one always.
    fn fresh_turns(p: &P, n: u32, dry: bool) -> Vec<u32> {
        let turn = |_| {
            if dry {
                assert!(p.runq.pop().is_none());
            }
            let tick = p.tick();
            let turn = p.is_special(tick).then(|| p.turn(tick))?;
            assert!(!(turn.fresh && turn.global), "{tick}");
            turn.fresh.then_some(tick)
        };
        (0..n).filter_map(turn).collect()
    }

    #[test]
    fn fresh_ones_that_are_kept_waiting_have_their_turn_sooner() {
        let gaps = |turns: &[u32]| -> Vec<u32> { turns.windows(2).map(|w| w[1] - w[0]).collect() };
        for begin in 0..200 {
            let p = P::new(0);
            (0..begin).for_each(|_| {
                fresh_turns(&p, 1, true);
            });
            p.runq.push_started(Runnable(ptr::without_provenance(64)));
            let _ = p.runq.push_fresh(Runnable(ptr::without_provenance(128)));
            let busy = fresh_turns(&p, 10_000, false);
            assert!(gaps(&busy)[8..].iter().all(|gap| [3, 4].contains(gap)));
            assert!(p.runq.pop().is_some() && p.runq.pop().is_some());
            let dry = fresh_turns(&p, 10_000, true);
            assert!(gaps(&dry)[8..].iter().all(|gap| [61, 62].contains(gap)));
        }
    }

    #[test]
    fn special_picks_are_those_of_the_rounds_and_of_the_samples() {
        for begin in [0, u64::from(u32::MAX) - 5_000] {
            let p = P::new(0);
            p.schedtick.store(begin, Ordering::Relaxed);
            p.special.set(begin as u32 + 1);
            let first = (begin as u32).wrapping_add(FRESH_MOST / 2);
            p.fresh.set((first, FRESH_MOST));
            for _ in 0..20_000 {
                let tick = p.tick();
                let special = p.is_special(tick);
                let turn = special.then(|| p.turn(tick));
                assert!(special || !p.is_sampled(), "{tick}");
                assert_eq!(turn.is_some_and(|t| t.global), tick.is_multiple_of(ROUND));
                let fresh = p.fresh.get().0;
                assert!(fresh.wrapping_sub(tick) <= FRESH_MOST + 1);
                assert!(!turn.is_some_and(|t| t.fresh && t.global));
            }
        }
    }
}
