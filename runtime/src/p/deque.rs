//! A deque of runnable goroutines: crossbeam's (Chase and Lev), but for what it frees in passing.
//!
//! To grow or to shrink, and now and then to steal, is to run what others have deferred: see `m/apart.rs`. So
//! that is told apart from the rest, which is what a P does some ten million times a second.

use super::runq::Runnable;
use crate::m::apart::{as_plain_thread, as_plain_thread_here};
use crossbeam_deque::{Steal, Stealer, Worker};
use std::cell::Cell;

/// Capacity of a deque that has not grown.
const LEAST: usize = 64;

/// The owner's end, and the thieves'.
pub(super) struct Deque {
    worker: Worker<Runnable>,
    stealer: Stealer<Runnable>,
    /// So many can be pushed before it may be full. The owner's.
    room: Cell<usize>,
    /// Its capacity, or more. The owner's.
    capacity: Cell<usize>,
    /// Whether the last one can be popped without a look at whether there is too much room.
    spares_last: bool,
}

impl Deque {
    fn new(worker: Worker<Runnable>, spares_last: bool) -> Deque {
        Deque {
            stealer: worker.stealer(),
            worker,
            room: Cell::new(LEAST),
            capacity: Cell::new(LEAST),
            spares_last,
        }
    }

    /// Whose owner takes the oldest.
    pub(super) fn fifo() -> Deque {
        Deque::new(Worker::new_fifo(), false)
    }

    /// Whose owner takes the newest.
    pub(super) fn lifo() -> Deque {
        Deque::new(Worker::new_lifo(), true)
    }

    /// Owner only.
    #[inline(always)]
    pub(super) fn push(&self, g: Runnable) {
        match self.room.get().checked_sub(1) {
            Some(room) => self.room.set(room),
            None => return self.push_and_grow(g),
        }
        self.worker.push(g);
    }

    #[cold]
    #[inline(never)]
    fn push_and_grow(&self, g: Runnable) {
        let len = self.take_stock();
        if self.room.get() == 0 {
            self.may_have_room_for(2 * len);
            return as_plain_thread(|| self.worker.push(g));
        }
        self.worker.push(g);
        self.room.set(self.room.get() - 1);
    }

    /// Sets `room` by the length, which it returns. (Thieves only take.) The capacity is a power of two, not
    /// below [`LEAST`].
    fn take_stock(&self) -> usize {
        let len = self.worker.len();
        self.room.set(len.next_power_of_two().max(LEAST) - len);
        len
    }

    /// The capacity has been made enough for so many, perhaps.
    fn may_have_room_for(&self, n: usize) {
        let capacity = self.capacity.get().max(n.next_power_of_two());
        self.capacity.set(capacity);
        self.room.set(0);
    }

    /// Owner only, and by the scheduler's loop.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Runnable> {
        if self.capacity.get() > LEAST {
            return self.pop_and_shrink();
        }
        self.worker.pop()
    }

    #[cold]
    #[inline(never)]
    fn pop_and_shrink(&self) -> Option<Runnable> {
        let (before, capacity) = (self.worker.len(), self.capacity.get());
        let popped = as_plain_thread_here(|| self.worker.pop());
        let now = self.take_stock();
        // The deque has seen `before`, or less. So if it was as large as this, it is now half as large.
        let looked = popped.is_some() && !(self.spares_last && now == 0);
        if looked && before <= capacity / 4 {
            self.capacity.set(capacity / 2);
        }
        popped
    }

    /// How many there are, as anybody sees it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.stealer.len()
    }

    /// The oldest.
    pub(super) fn steal(&self) -> Option<Runnable> {
        as_plain_thread(|| retry(|| self.stealer.steal()))
    }

    /// Moves about half of them, but at most so many, to the end of `to`, the caller's own; whether there were any.
    pub(super) fn move_to(&self, to: &Deque, most: usize) -> bool {
        to.may_have_room_for(to.len() + most);
        let steal = || self.stealer.steal_batch_with_limit(&to.worker, most);
        as_plain_thread(|| retry(steal)).is_some()
    }

    /// Moves about half of them, but at most so many, to the end of `to`, the caller's own, but for the first.
    pub(super) fn steal_to(&self, to: &Deque, most: usize) -> Option<Runnable> {
        to.may_have_room_for(to.len() + most);
        let steal = || {
            self.stealer
                .steal_batch_with_limit_and_pop(&to.worker, most)
        };
        as_plain_thread(|| retry(steal))
    }
}

/// A theft that collides with another is tried again: somebody else has made progress.
fn retry<T>(mut f: impl FnMut() -> Steal<T>) -> Option<T> {
    loop {
        match f() {
            Steal::Success(taken) => return Some(taken),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::atomics::Ordering::SeqCst;
    use crate::atomics::atomic::AtomicUsize;
    use crate::m::{M, current, set_current};
    use std::ptr;

    static RAN: AtomicUsize = AtomicUsize::new(0);

    fn defer() {
        as_plain_thread(|| {
            crossbeam_epoch::pin().defer(|| {
                assert!(current().is_null());
                RAN.fetch_add(1, SeqCst);
            });
        });
    }

    /// Pushes and pops, so that the length goes up and down between zero and `most`.
    fn walk(deque: &Deque, thief: &Deque, most: usize, mut random: impl FnMut(usize) -> usize) {
        let g = Runnable(ptr::without_provenance(64));
        for _ in 0..20 {
            let up_to = random(most);
            while deque.len() < up_to {
                defer();
                deque.push(g);
            }
            let down_to = random(up_to + 1);
            while deque.len() > down_to {
                defer();
                let _ = match random(10) {
                    0 => deque.steal_to(thief, 32),
                    1 => thief.move_to(deque, 32).then_some(g),
                    2 => deque.steal(),
                    _ => deque.pop(),
                };
                let _ = thief.pop();
            }
        }
    }

    #[test]
    fn whatever_frees_memory_is_run_apart() {
        let m = M::new(0, ptr::null(), 0);
        set_current(&m);
        for (deque, thief) in [
            (Deque::fifo(), Deque::fifo()),
            (Deque::lifo(), Deque::lifo()),
        ] {
            let mut state = 1;
            let mut random = |n: usize| {
                state = crate::m::xorshift(state);
                state as usize % n.max(1)
            };
            for most in [10, 64, 65, 130, 1000, 5000] {
                walk(&deque, &thief, most, &mut random);
            }
            while deque.pop().is_some() {}
        }
        set_current(ptr::null());
        assert!(RAN.load(SeqCst) > 0);
    }

    #[test]
    fn a_deque_that_was_long_is_as_fast_as_a_new_one_when_it_is_short_again() {
        let g = Runnable(ptr::without_provenance(64));
        for deque in [Deque::fifo(), Deque::lifo()] {
            (0..1000).for_each(|_| deque.push(g));
            assert_eq!(deque.capacity.get(), 1024);
            (0..990).for_each(|_| assert!(deque.pop().is_some()));
            assert_eq!(deque.capacity.get(), LEAST);
        }
    }

    #[test]
    fn the_last_one_of_a_stack_is_popped_without_a_look_at_the_room() {
        let g = Runnable(ptr::without_provenance(64));
        let deque = Deque::lifo();
        (0..200).for_each(|_| deque.push(g));
        (0..199).for_each(|_| assert!(deque.steal().is_some()));
        assert!(deque.pop().is_some());
        assert_eq!(deque.capacity.get(), 256);
    }
}
