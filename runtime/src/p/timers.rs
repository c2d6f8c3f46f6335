//! The timers of a P: the heap, its lock, and when the next one is due.
//!
//! The owner adds and takes; an M without work takes what is due anywhere; a plain thread adds
//! where it likes. `next` is read without the lock: by the owner before each pick, by idle Ms and
//! the monitor.

use super::lock::{BiasSlot, Held, Lock};
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicU32, AtomicU64};
use crate::timer::heap::{Heap, Target};
use crate::timer::{NEVER, Nanos};
use std::cell::{Cell, UnsafeCell};

/// Most picks between two looks at the clock. A look costs 25 ns, a quick pick 10.
const STRIDE_MAX: u32 = 16;
/// As long as this many nanoseconds pass between two looks, a look costs nothing to speak of, and
/// a timer is late by no more than this.
const STRIDE_TIME: Nanos = 5_000;

#[derive(Debug)]
pub(crate) struct Timers {
    /// When the first is due, or [`NEVER`]. Written under the lock.
    next: AtomicU64,
    len: AtomicU32,
    lock: Lock,
    heap: UnsafeCell<Heap>,
    /// Picks until the clock is looked at. Written by the owner, and by the monitor, which sets it
    /// to 0.
    countdown: AtomicU32,
    /// Picks between two looks. The owner's.
    stride: Cell<u32>,
    last_look: Cell<Nanos>,
    /// The owner has added one that is due before all others here: it is not yet sure that an idle
    /// M knows. The owner's.
    pub(crate) news: Cell<bool>,
}

// SAFETY: the heap is protected by the lock, the cells are the owner's.
unsafe impl Sync for Timers {}

impl Timers {
    pub(crate) fn new(slot: &BiasSlot) -> Timers {
        Timers {
            next: AtomicU64::new(NEVER),
            len: AtomicU32::new(0),
            lock: Lock::biased_to(Some(slot)),
            heap: UnsafeCell::new(Heap::new()),
            countdown: AtomicU32::new(0),
            stride: Cell::new(1),
            last_look: Cell::new(0),
            news: Cell::new(false),
        }
    }

    /// When the first is due; [`NEVER`] if there is none.
    #[inline(always)]
    pub(crate) fn next(&self) -> Nanos {
        // Relaxed: who must not miss a change has a fence of its own (sched/timers.rs).
        self.next.load(Ordering::Relaxed)
    }

    /// Timers, those included that have lost their meaning; for traces.
    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    /// # Safety
    /// As for [`Lock::lock`]. The heap is used until `unlock` only.
    #[expect(clippy::mut_from_ref, reason = "the lock makes it exclusive")]
    unsafe fn lock(&self, slot: Option<&BiasSlot>) -> (Held, &mut Heap) {
        // SAFETY: the caller's promise.
        unsafe { (self.lock.lock(slot), &mut *self.heap.get()) }
    }

    /// # Safety
    /// `held` is this lock's.
    unsafe fn unlock(&self, held: Held) {
        // SAFETY: the lock is held until the end of this function.
        let heap = unsafe { &*self.heap.get() };
        self.len.store(heap.len() as u32, Ordering::Relaxed);
        // Release: who sees the time sees what made it.
        self.next.store(heap.next(), Ordering::Release);
        // SAFETY: the caller's promise.
        unsafe { self.lock.unlock(held) };
    }

    /// Adds a timer; whether it is the first to be due now.
    ///
    /// # Safety
    /// As for [`Lock::lock`]: with a slot, the caller owns the P, and holds no other lock.
    pub(crate) unsafe fn add(&self, slot: Option<&BiasSlot>, when: Nanos, target: Target) -> bool {
        // SAFETY: the caller's promise; unlocked below.
        unsafe {
            let (held, heap) = self.lock(slot);
            let first = when < heap.next();
            heap.add(when, target);
            self.unlock(held);
            first
        }
    }

    /// Takes up to `max` timers that are due, into `due`.
    ///
    /// # Safety
    /// As for [`Timers::add`].
    pub(crate) unsafe fn take_due(
        &self,
        slot: Option<&BiasSlot>,
        now: Nanos,
        max: usize,
        due: &mut Vec<Target>,
    ) {
        // SAFETY: the caller's promise; unlocked below.
        unsafe {
            let (held, heap) = self.lock(slot);
            while due.len() < max
                && let Some((_, target)) = heap.pop_due(now)
            {
                due.push(target);
            }
            self.unlock(held);
        }
    }

    /// Whether the owner, who has timers and is about to pick, shall look at the clock.
    #[inline]
    pub(crate) fn wants_look(&self) -> bool {
        let left = self.countdown.load(Ordering::Relaxed);
        if left > 0 {
            self.countdown.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// The monitor has seen that a timer is due: the owner shall look at its next pick. Picks that
    /// become slow all at once would else be up to [`STRIDE_MAX`] before the clock is looked at.
    pub(crate) fn look_soon(&self) {
        // Relaxed: a hint. One that is lost to the owner's own count is given again.
        self.countdown.store(0, Ordering::Relaxed);
    }

    /// The owner has looked at the clock: sets the pace, so that quick picks pay little, and
    /// between slow ones the clock is looked at each time.
    pub(crate) fn looked(&self, now: Nanos) {
        let since = now.saturating_sub(self.last_look.replace(now));
        let stride = if since < STRIDE_TIME / 2 {
            (self.stride.get() * 2).min(STRIDE_MAX)
        } else if since > STRIDE_TIME {
            1
        } else {
            self.stride.get()
        };
        self.stride.set(stride);
        self.countdown.store(stride - 1, Ordering::Relaxed);
    }
}
