//! The primitives of `api/sync`: their own files, on the waiting layer of `ground.rs`.
//!
//! What a lock protects is a cell that loom watches, so that two in it at once, or one that does not
//! see what the last one did, are found. A waiter that nobody wakes is a deadlock, which loom reports.

use super::ground::{self, end_wait, i_am};
use super::{Sleeper, check};
use crate::api::sync::queue::Wait;
use crate::api::sync::raw_mutex::RawMutex;
use crate::api::sync::raw_rwlock::RawRwLock;
use crate::api::sync::semaphore::Semaphore;
use crate::atomics::Backoff;
use crate::g::status::WaitReason;
use loom::cell::UnsafeCell;
use std::sync::Arc;

/// What is shared, and the three that use it.
struct World<T> {
    shared: T,
    data: UnsafeCell<u32>,
    who: [Sleeper; 3],
}

// SAFETY: the data is only touched under the lock, which loom checks.
unsafe impl<T> Send for World<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for World<T> {}

impl<T: 'static> World<T> {
    fn new(shared: T) -> Arc<World<T>> {
        Arc::new(World {
            shared,
            data: UnsafeCell::new(0),
            who: [Sleeper::new(), Sleeper::new(), Sleeper::new()],
        })
    }

    /// Runs `f` as the one of that number.
    fn spawn<R: 'static>(
        self: &Arc<Self>,
        n: usize,
        f: impl FnOnce(&World<T>) -> R + 'static,
    ) -> loom::thread::JoinHandle<R> {
        let world = self.clone();
        loom::thread::spawn(move || {
            i_am(&world.who[n]);
            f(&world)
        })
    }

    /// A thread that ends the wait of that one, whenever it comes to it.
    fn deadline_of(self: &Arc<Self>, n: usize) -> loom::thread::JoinHandle<()> {
        let world = self.clone();
        loom::thread::spawn(move || _ = end_wait(&world.who[n]))
    }

    /// One is alone with the data.
    fn bump(&self) {
        // SAFETY: the caller has the lock.
        self.data.with_mut(|d| unsafe { *d += 1 });
    }

    fn look(&self) -> u32 {
        // SAFETY: the caller has the lock, perhaps with others that look.
        self.data.with(|d| unsafe { *d })
    }
}

fn how() -> Wait {
    Wait::until(WaitReason::User, None)
}

impl World<RawMutex> {
    /// One critical section; whether there was one.
    fn section(&self) -> bool {
        let locked = self.shared.lock(how);
        if locked {
            self.bump();
            // SAFETY: locked.
            unsafe { self.shared.unlock() };
        }
        locked
    }

    fn free_after(&self, sections: u32) {
        assert!(self.shared.try_lock(), "the lock is lost");
        assert!(self.shared.nobody_waits(), "a bit is left");
        assert_eq!(self.look(), sections);
    }
}

fn three_lock(bound: usize) {
    check(bound, || {
        let w = World::new(RawMutex::new());
        let others = [
            w.spawn(1, World::<RawMutex>::section),
            w.spawn(2, World::<RawMutex>::section),
        ];
        i_am(&w.who[0]);
        assert!(w.section());
        for other in others {
            assert!(other.join().unwrap());
        }
        w.free_after(3);
    });
}

#[test]
fn three_lock_a_mutex() {
    ground::with(false, 0, || three_lock(3));
}

#[test]
fn three_lock_a_mutex_that_is_handed_over() {
    ground::with(true, 0, || three_lock(3));
}

#[test]
fn three_lock_a_mutex_after_a_spin() {
    ground::with(false, 1, || three_lock(2));
}

/// One of the waiters gives up, perhaps just when it is woken or handed the lock.
fn one_of_three_gives_up(bound: usize) {
    check(bound, || {
        let w = World::new(RawMutex::new());
        let others = [
            w.spawn(1, World::<RawMutex>::section),
            w.spawn(2, World::<RawMutex>::section),
        ];
        let deadline = w.deadline_of(1);
        i_am(&w.who[0]);
        assert!(w.section());
        let [one, two] = others.map(|other| other.join().unwrap());
        deadline.join().unwrap();
        assert!(two);
        w.free_after(2 + u32::from(one));
    });
}

#[test]
fn one_of_three_gives_up_a_mutex() {
    ground::with(false, 0, || one_of_three_gives_up(2));
}

#[test]
fn one_of_three_gives_up_a_mutex_that_is_handed_over() {
    ground::with(true, 0, || one_of_three_gives_up(2));
}

impl World<RawRwLock> {
    fn read(&self) -> bool {
        let locked = self.shared.read(how);
        if locked {
            self.look();
            // SAFETY: locked.
            unsafe { self.shared.unlock_read() };
        }
        locked
    }

    fn write(&self) -> bool {
        let locked = self.shared.write(how);
        if locked {
            self.bump();
            // SAFETY: locked.
            unsafe { self.shared.unlock_write() };
        }
        locked
    }

    fn write_then_read(&self) -> bool {
        let locked = self.shared.write(how);
        if locked {
            self.bump();
            // SAFETY: locked for writing, then for reading.
            unsafe { self.shared.downgrade() };
            self.look();
            // SAFETY: as above.
            unsafe { self.shared.unlock_read() };
        }
        locked
    }

    fn free_after(&self, writes: u32) {
        assert!(self.shared.try_write(), "the lock is lost");
        assert_eq!(self.look(), writes);
    }
}

#[test]
fn two_readers_and_a_writer() {
    ground::with(false, 0, || {
        check(2, || {
            let w = World::new(RawRwLock::new());
            let others = [
                w.spawn(1, World::<RawRwLock>::read),
                w.spawn(2, World::<RawRwLock>::read),
            ];
            i_am(&w.who[0]);
            assert!(w.write());
            for other in others {
                assert!(other.join().unwrap());
            }
            w.free_after(1);
        });
    });
}

#[test]
fn two_writers_and_a_reader() {
    ground::with(false, 0, || {
        check(2, || {
            let w = World::new(RawRwLock::new());
            let others = [
                w.spawn(1, World::<RawRwLock>::write),
                w.spawn(2, World::<RawRwLock>::read),
            ];
            i_am(&w.who[0]);
            assert!(w.write_then_read());
            for other in others {
                assert!(other.join().unwrap());
            }
            w.free_after(2);
        });
    });
}

/// The writer gives up, and lets in those that it has stopped.
#[test]
fn a_writer_gives_up_between_two_readers() {
    ground::with(false, 0, || {
        check(2, || {
            let w = World::new(RawRwLock::new());
            let reader = w.spawn(1, World::<RawRwLock>::read);
            let writer = w.spawn(2, World::<RawRwLock>::write);
            let deadline = w.deadline_of(2);
            i_am(&w.who[0]);
            assert!(w.read());
            assert!(reader.join().unwrap());
            let wrote = writer.join().unwrap();
            deadline.join().unwrap();
            w.free_after(u32::from(wrote));
        });
    });
}

#[test]
fn a_reader_gives_up_behind_two_writers() {
    ground::with(false, 0, || {
        check(2, || {
            let w = World::new(RawRwLock::new());
            let reader = w.spawn(1, World::<RawRwLock>::read);
            let writer = w.spawn(2, World::<RawRwLock>::write);
            let deadline = w.deadline_of(1);
            i_am(&w.who[0]);
            assert!(w.write());
            reader.join().unwrap();
            assert!(writer.join().unwrap());
            deadline.join().unwrap();
            w.free_after(2);
        });
    });
}

impl World<Semaphore> {
    fn take(&self, n: usize) -> bool {
        let far = std::time::Duration::from_secs(1); // the clock is not modelled
        self.shared.acquire_many_timeout(n, far).is_some()
    }
}

/// Of two permits: who wants both may give up, and then those behind it go on.
#[test]
fn permits_are_conserved_when_a_big_one_gives_up() {
    ground::with(false, 0, || {
        check(2, || {
            let w = World::new(Semaphore::new(2));
            i_am(&w.who[0]);
            let one = w.shared.acquire();
            let big = w.spawn(1, |w| w.take(2));
            let small = w.spawn(2, |w| w.take(1));
            let mut backoff = Backoff::new();
            while !end_wait(&w.who[1]) {
                backoff.snooze();
            }
            assert!(!big.join().unwrap());
            assert!(small.join().unwrap());
            drop(one);
            assert!(w.shared.try_acquire_many(2).is_some(), "a permit is lost");
        });
        check(2, || {
            let w = World::new(Semaphore::new(2));
            let big = w.spawn(1, |w| w.take(2));
            let small = w.spawn(2, |w| w.take(1));
            let deadline = w.deadline_of(1);
            i_am(&w.who[0]);
            assert!(w.take(1));
            big.join().unwrap();
            assert!(small.join().unwrap());
            deadline.join().unwrap();
            assert!(w.shared.try_acquire_many(2).is_some(), "a permit is lost");
        });
    });
}
