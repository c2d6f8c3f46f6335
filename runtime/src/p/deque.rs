//! A deque of runnable goroutines: crossbeam's (Chase and Lev), as long as it is short.
//!
//! To grow or shrink, a deque of crossbeam's frees memory, and with that comes code of others (see `sched/pin.rs`), which
//! must not run where goroutines are queued. So this one never grows: what is beyond [`CAPACITY`] waits in a
//! queue of the owner's alone. The deque has the oldest, of which thieves can take their fill; the owner moves up
//! the rest as there is room.
//!
//! ```text
//!                 thieves, and the owner of a FIFO           the owner of a LIFO
//!                 take here                                  takes and puts here
//!                    |                                          |
//!                    v                                          v
//!             oldest [ deque, up to 64 ] <--- [ rest, without bound ] newest
//!                                      refill                   ^
//!                                                               |
//!                                                    the owner of a FIFO puts here
//! ```

use super::runq::Runnable;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicUsize;
use crossbeam_deque::{Steal, Stealer, Worker};
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;

/// With so many crossbeam's deque begins, and is never smaller.
pub(crate) const CAPACITY: usize = 64;

/// The memory of a rest that had more is freed when it is empty.
const KEEP: usize = 4096;

/// The right to steal: that the thread is pinned, so that to steal does not pin it first, which may be to run code of
/// others.
#[derive(Debug)]
pub(crate) struct Pinned {
    _guard: crossbeam_epoch::Guard,
}

impl Pinned {
    /// Pins the calling thread. *May run what others have deferred.*
    pub(crate) fn new() -> Pinned {
        Pinned {
            _guard: crossbeam_epoch::pin(),
        }
    }
}

/// The owner's end, and the thieves'.
pub(super) struct Deque {
    worker: Worker<Runnable>,
    stealer: Stealer<Runnable>,
    /// So many can be pushed to `worker` before there is anything to look at; 0 if there is a rest. The owner's.
    room: Cell<usize>,
    /// What is newer than all in `worker`. The owner's.
    rest: UnsafeCell<VecDeque<Runnable>>,
    /// Its length. Written by the owner.
    rest_len: AtomicUsize,
    /// Whether the owner takes the newest.
    lifo: bool,
}

impl Deque {
    fn new(worker: Worker<Runnable>, lifo: bool) -> Deque {
        Deque {
            stealer: worker.stealer(),
            worker,
            room: Cell::new(CAPACITY),
            rest: UnsafeCell::new(VecDeque::new()),
            rest_len: AtomicUsize::new(0),
            lifo,
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
            Some(room) => {
                self.room.set(room);
                self.worker.push(g);
            }
            None => self.push_slow(g),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_slow(&self, g: Runnable) {
        let len = self.worker.len();
        // Relaxed: our own. (Thieves only take: there is as much room, or more.)
        if self.rest_len.load(Ordering::Relaxed) == 0 && len < CAPACITY {
            self.room.set(CAPACITY - len - 1);
            return self.worker.push(g);
        }
        self.with_rest(|rest| rest.push_back(g));
    }

    /// Owner only.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Runnable> {
        // Relaxed: our own.
        match self.rest_len.load(Ordering::Relaxed) {
            0 => self.worker.pop(),
            _ => self.pop_slow(),
        }
    }

    #[cold]
    #[inline(never)]
    fn pop_slow(&self) -> Option<Runnable> {
        match self.lifo {
            true => self.with_rest(VecDeque::pop_back),
            // If thieves have taken all that was older, the oldest is here.
            false => self.with_rest(|rest| self.worker.pop().or_else(|| rest.pop_front())),
        }
    }

    /// The oldest, for its owner. ([`Deque::pop`] of a FIFO needs no right.)
    pub(super) fn pop_oldest(&self, pinned: &Pinned) -> Option<Runnable> {
        let oldest = self.steal(|| self.stealer.steal(), pinned);
        oldest.or_else(|| self.with_rest(VecDeque::pop_front))
    }

    /// Changes the rest, and moves up as much of it as there is room for, if it is worth it. Owner only.
    fn with_rest<T>(&self, f: impl FnOnce(&mut VecDeque<Runnable>) -> T) -> T {
        // SAFETY: the owner's, and nothing that is called here comes back.
        let rest = unsafe { &mut *self.rest.get() };
        let result = f(rest);
        let mut len = self.worker.len();
        if len <= CAPACITY / 2 {
            let up = rest.len().min(CAPACITY - len);
            rest.drain(..up).for_each(|g| self.worker.push(g));
            len += up;
        }
        self.rest_len.store(rest.len(), Ordering::Relaxed);
        let room = match rest.is_empty() {
            true => CAPACITY - len,
            false => 0,
        };
        self.room.set(room);
        if rest.is_empty() && rest.capacity() > KEEP {
            *rest = VecDeque::new();
        }
        result
    }

    /// How many there are, as anybody sees it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.stealable() + self.rest_len.load(Ordering::Relaxed)
    }

    /// How many of them thieves can take.
    #[inline]
    pub(super) fn stealable(&self) -> usize {
        self.stealer.len()
    }

    /// For how many there is room among those, as anybody sees it.
    pub(super) fn free(&self) -> usize {
        CAPACITY.saturating_sub(self.len())
    }

    /// Moves about half of what thieves can take, but at most so many, to the end of `to`, the caller's own; whether
    /// there were any.
    pub(super) fn move_to(&self, to: &Deque, most: usize, pinned: &Pinned) -> bool {
        let most = most.min(to.make_room());
        let steal = || self.stealer.steal_batch_with_limit(&to.worker, most);
        most > 0 && self.steal(steal, pinned).is_some()
    }

    /// Takes about half of what thieves can take, but at most so many, into `to`, the caller's own, and the first one
    /// out again.
    pub(super) fn steal_to(&self, to: &Deque, most: usize, pinned: &Pinned) -> Option<Runnable> {
        let most = most.min(to.make_room()).max(1);
        let steal = || {
            self.stealer
                .steal_batch_with_limit_and_pop(&to.worker, most)
        };
        self.steal(steal, pinned)
    }

    /// For how many there is room behind the last one: none, if there is a rest. Whoever asks will put them there.
    /// Owner only.
    fn make_room(&self) -> usize {
        self.room.set(0);
        match self.rest_len.load(Ordering::Relaxed) {
            0 => CAPACITY - self.worker.len(),
            _ => 0,
        }
    }

    /// A theft that collides with another is tried again: somebody else has made progress.
    fn steal<T>(&self, steal: impl Fn() -> Steal<T>, _: &Pinned) -> Option<T> {
        loop {
            match steal() {
                Steal::Success(taken) => return Some(taken),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::atomics::Ordering::SeqCst;
    use crate::atomics::atomic::AtomicBool;
    use std::ptr;

    fn g(n: usize) -> Runnable {
        Runnable(ptr::without_provenance(n * 64))
    }

    fn number(g: Runnable) -> usize {
        g.0.addr() / 64
    }

    /// Random numbers below the one that is asked.
    fn random() -> impl FnMut(usize) -> usize {
        let mut state = 1;
        move |n| {
            state = crate::m::xorshift(state);
            state as usize % n.max(1)
        }
    }

    /// Against a plain list, with lengths that go up and down.
    #[test]
    fn both_ends_are_what_they_are_of_a_list() {
        let pinned = Pinned::new();
        let mut random = random();
        for deque in [Deque::fifo(), Deque::lifo()] {
            let mut list = VecDeque::new();
            let mut next = 1;
            for most in [10, 64, 65, 130, 1000, 5000, 20_000, 10] {
                for _ in 0..10 {
                    for _ in 0..random(most) {
                        deque.push(g(next));
                        list.push_back(next);
                        next += 1;
                    }
                    for _ in 0..random(list.len() + 2) {
                        let (got, expected) = match (random(4), deque.lifo) {
                            (0, _) => (deque.pop_oldest(&pinned), list.pop_front()),
                            (_, false) => (deque.pop(), list.pop_front()),
                            (_, true) => (deque.pop(), list.pop_back()),
                        };
                        assert_eq!(got.map(number), expected);
                    }
                    assert_eq!(deque.len(), list.len());
                    assert!(list.is_empty() || deque.stealable() > 0);
                }
            }
        }
    }

    #[test]
    fn thieves_get_the_oldest_in_order_and_no_more_than_there_is_room_for() {
        let pinned = Pinned::new();
        for (deque, thief) in [
            (Deque::fifo(), Deque::fifo()),
            (Deque::lifo(), Deque::lifo()),
        ] {
            (1..=1000).for_each(|n| deque.push(g(n)));
            assert_eq!((deque.len(), deque.stealable()), (1000, CAPACITY));
            assert!(deque.move_to(&thief, 20, &pinned));
            let oldest: Vec<_> = (0..20)
                .map(|_| thief.pop_oldest(&pinned).map(number))
                .collect();
            assert!(oldest.iter().copied().eq((1..=20).map(Some)));
            assert!(thief.pop().is_none());
            let one = deque.steal_to(&thief, 10, &pinned);
            let all = one.into_iter().chain(std::iter::from_fn(|| thief.pop()));
            let mut all: Vec<_> = all.map(number).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(21..=30));
            // Its own come first, and it keeps to what it can hold.
            (2001..=2060).for_each(|n| thief.push(g(n)));
            assert!(deque.move_to(&thief, 32, &pinned));
            assert_eq!((thief.len(), thief.stealable()), (CAPACITY, CAPACITY));
            assert!(!deque.move_to(&thief, 32, &pinned));
            thief.push(g(3000));
            assert!(!deque.move_to(&thief, 32, &pinned));
            assert_eq!(thief.len(), CAPACITY + 1);
        }
    }

    struct Shared(Deque);

    // SAFETY: the threads below do what owners and thieves may do.
    unsafe impl Sync for Shared {}

    /// Each is taken once, whoever takes it.
    #[test]
    fn none_is_lost_and_none_is_taken_twice() {
        const ALL: usize = 200_000;
        for deque in [Deque::fifo(), Deque::lifo()] {
            let shared = &Shared(deque);
            let done = &AtomicBool::new(false);
            let taken = std::thread::scope(|scope| {
                let thieves: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(move || {
                            let Shared(victim) = shared;
                            let own = Deque::new(
                                match victim.lifo {
                                    true => Worker::new_lifo(),
                                    false => Worker::new_fifo(),
                                },
                                victim.lifo,
                            );
                            let mut taken = Vec::new();
                            while !done.load(SeqCst) || victim.stealable() > 0 {
                                let pinned = Pinned::new();
                                taken.extend(victim.steal_to(&own, 32, &pinned));
                                taken.extend(std::iter::from_fn(|| own.pop()));
                            }
                            taken
                        })
                    })
                    .collect();
                let mut random = random();
                let mut taken = Vec::new();
                let mut pushed = 0;
                while pushed < ALL {
                    let more = random(300).min(ALL - pushed);
                    (0..more).for_each(|n| shared.0.push(g(pushed + n)));
                    pushed += more;
                    taken.extend((0..random(300)).map_while(|_| shared.0.pop()));
                }
                taken.extend(std::iter::from_fn(|| shared.0.pop()));
                done.store(true, SeqCst);
                let stolen = thieves.into_iter().flat_map(|t| t.join().unwrap());
                taken
                    .into_iter()
                    .chain(stolen)
                    .map(number)
                    .collect::<Vec<_>>()
            });
            let mut count = vec![0; ALL];
            taken.into_iter().for_each(|n| count[n] += 1);
            assert!(count.into_iter().all(|n| n == 1));
        }
    }

    /// What others have deferred never runs while goroutines are queued, taken or stolen.
    #[test]
    fn nothing_is_freed_in_passing() {
        static INSIDE: AtomicBool = AtomicBool::new(false);
        static RAN: AtomicUsize = AtomicUsize::new(0);
        fn inside<T>(f: impl FnOnce() -> T) -> T {
            INSIDE.store(true, SeqCst);
            let result = f();
            INSIDE.store(false, SeqCst);
            result
        }
        let me = std::thread::current().id();
        let mut random = random();
        for (deque, thief) in [
            (Deque::fifo(), Deque::fifo()),
            (Deque::lifo(), Deque::lifo()),
        ] {
            for round in 0..20_000 {
                let pinned = Pinned::new();
                pinned._guard.defer(move || {
                    let here = std::thread::current().id() == me;
                    assert!(!here || !INSIDE.load(SeqCst));
                    RAN.fetch_add(1, SeqCst);
                });
                inside(|| {
                    // Up to some thousands, and down again.
                    let (push, pop) = if round / 5000 % 2 == 0 {
                        (6, 4)
                    } else {
                        (4, 6)
                    };
                    (0..random(push)).for_each(|_| deque.push(g(1)));
                    (0..random(pop)).for_each(|_| {
                        let _ = deque.pop();
                    });
                    let _ = deque.steal_to(&thief, 32, &pinned);
                    thief.move_to(&deque, 32, &pinned);
                    let _ = thief.pop_oldest(&pinned);
                    while thief.pop().is_some() {}
                });
            }
        }
        assert!(RAN.load(SeqCst) > 0);
    }
}
