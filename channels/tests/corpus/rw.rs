//! Reader-writer locks. Beside a goroutine that goes on, waits for them are not judged.

use crate::stage::{Bug, Class, Meet, Stage, Twin, a_while, bugs, pause, twins};
use runtime::sync::{RwLock, RwLockWriteGuard};
use std::sync::Arc;
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    a_reader_behind_a_writer_behind_itself: ["reader", "writer"];
    a_reader_who_wants_to_write: ["upgrader"];
    two_readers_who_want_to_write: ["upgrader", "upgrader"];
    a_writer_who_reads: ["writer"];
    readers_behind_a_writer_who_hangs: ["reader", "reader", "writer"];
    two_in_different_orders: ["ab", "ba"];
    a_reader_holds_what_a_sender_needs: ["reader", "sender"];
];

const TWINS: &[Twin] = twins![
    a_writer_behind_readers_who_sleep,
    readers_behind_a_writer_who_sleeps,
    a_writer_becomes_a_reader,
    a_second_read_that_is_tried,
    a_second_read_with_a_deadline,
];

pub const CLASS: Class = Class {
    name: "reader-writer lock",
    bugs: BUGS,
    twins: TWINS,
    whole: 7,
    partial: 1,
};

type Lock = Arc<RwLock<u32>>;

/// GoBench GOKER cockroach#6181, kind "RWR deadlock": between two reads of one goroutine, a writer comes.
fn a_reader_behind_a_writer_behind_itself(stage: &Stage) {
    let lock = Lock::default();
    let writer = lock.clone();
    let reads = Meet::of(2);
    let reads2 = reads.clone();
    stage.go("reader", move || {
        let first = lock.read().unwrap();
        reads.arrive();
        while lock.try_read().is_ok() {
            runtime::yield_now(); // until the writer waits
        }
        assert_eq!(*first, *lock.read().unwrap());
    });
    stage.go("writer", move || {
        reads2.arrive();
        *writer.write().unwrap() += 1;
    });
}

/// Kind: an upgrade of one's own read lock.
fn a_reader_who_wants_to_write(stage: &Stage) {
    stage.go("upgrader", || {
        let lock = RwLock::new(0);
        let old = lock.read().unwrap();
        *lock.write().unwrap() = *old + 1;
    });
}

/// Kind: two upgrades, each waits for the other's read lock.
fn two_readers_who_want_to_write(stage: &Stage) {
    let (lock, both) = (Lock::default(), Meet::of(2));
    for _ in 0..2 {
        let (lock, both) = (lock.clone(), both.clone());
        stage.go("upgrader", move || {
            let old = lock.read().unwrap();
            both.arrive();
            *lock.write().unwrap() = *old + 1;
        });
    }
}

/// Kind: double locking; a writer calls what reads.
fn a_writer_who_reads(stage: &Stage) {
    stage.go("writer", || {
        let lock = RwLock::new(0);
        let new = lock.write().unwrap();
        assert_eq!(*new, *lock.read().unwrap());
    });
}

/// Kind: a writer waits for ever, and so do those behind it.
fn readers_behind_a_writer_who_hangs(stage: &Stage) {
    let lock = Lock::default();
    let writer = lock.clone();
    let has_it = Meet::of(2);
    let has_it2 = has_it.clone();
    stage.go("writer", move || {
        let guard: RwLockWriteGuard<u32> = writer.write().unwrap();
        has_it2.arrive();
        let (tx, rx) = channels::bounded::<()>(0);
        let _ = rx.recv();
        drop((tx, guard));
    });
    has_it.arrive();
    for _ in 0..2 {
        let lock = lock.clone();
        stage.go("reader", move || assert_eq!(*lock.read().unwrap(), 0));
    }
}

/// Kind: AB-BA, one of the locks a reader-writer lock (as in kubernetes#62464, of GoBench GOKER).
fn two_in_different_orders(stage: &Stage) {
    let (lock, mutex) = (Lock::default(), Arc::new(runtime::sync::Mutex::new(0)));
    let both = Meet::of(2);
    let (lock2, mutex2, both2) = (lock.clone(), mutex.clone(), both.clone());
    stage.go("ab", move || {
        let _a = lock.read();
        both.arrive();
        let _b = mutex.lock();
    });
    stage.go("ba", move || {
        let _b = mutex2.lock();
        both2.arrive();
        let _a = lock2.write();
    });
}

/// Kind: lock and channel; a reader waits for a value whose sender wants to write first.
fn a_reader_holds_what_a_sender_needs(stage: &Stage) {
    let lock = Lock::default();
    let (tx, rx) = channels::bounded(0);
    let reads = Meet::of(2);
    let (lock2, reads2) = (lock.clone(), reads.clone());
    stage.go("reader", move || {
        let _reads = lock.read();
        reads.arrive();
        let _ = rx.recv();
    });
    stage.go("sender", move || {
        reads2.arrive();
        *lock2.write().unwrap() += 1;
        let _ = tx.send(1);
    });
}

/// A writer waits for readers, who sleep.
fn a_writer_behind_readers_who_sleep(stage: &Stage) {
    let (lock, all) = (Lock::default(), Meet::of(4));
    for _ in 0..3 {
        let (lock, all) = (lock.clone(), all.clone());
        stage.go("reader", move || {
            let _reads = lock.read();
            all.arrive();
            a_while();
        });
    }
    all.arrive();
    stage.go("writer", move || *lock.write().unwrap() += 1);
}

/// Readers wait for a writer, who sleeps.
fn readers_behind_a_writer_who_sleeps(stage: &Stage) {
    let (lock, both) = (Lock::default(), Meet::of(2));
    let (lock2, both2) = (lock.clone(), both.clone());
    stage.go("writer", move || {
        let mut n = lock2.write().unwrap();
        both2.arrive();
        a_while();
        *n = 1;
    });
    both.arrive();
    for _ in 0..3 {
        let lock = lock.clone();
        stage.go("reader", move || assert_eq!(*lock.read().unwrap(), 1));
    }
}

/// A writer that reads on, as it may.
fn a_writer_becomes_a_reader(stage: &Stage) {
    let lock = Lock::default();
    for _ in 0..3 {
        let lock = lock.clone();
        stage.go("downgrades", move || {
            let mut n = lock.write().unwrap();
            *n += 1;
            let n = RwLockWriteGuard::downgrade(n);
            pause();
            assert!(*n > 0);
        });
    }
}

/// A reader that reads again, behind a writer, but does not wait.
fn a_second_read_that_is_tried(stage: &Stage) {
    let (lock, both) = (Lock::default(), Meet::of(2));
    let (lock2, both2) = (lock.clone(), both.clone());
    stage.go("reader", move || {
        let _first = lock.read();
        both.arrive();
        a_while();
        let _ = lock.try_read();
    });
    stage.go("writer", move || {
        both2.arrive();
        *lock2.write().unwrap() += 1;
    });
}

/// A reader that reads again, behind a writer, but not for ever.
fn a_second_read_with_a_deadline(stage: &Stage) {
    let (lock, both) = (Lock::default(), Meet::of(2));
    let (lock2, both2) = (lock.clone(), both.clone());
    stage.go("reader", move || {
        let _first = lock.read();
        both.arrive();
        pause();
        let _ = lock.read_timeout(Duration::from_millis(50));
    });
    stage.go("writer", move || {
        both2.arrive();
        *lock2.write().unwrap() += 1;
    });
}
