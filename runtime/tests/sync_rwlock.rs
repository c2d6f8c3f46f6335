//! `sync::RwLock`: exclusion, preferences, deadlines.

mod support;

use runtime::sync::{RwLock, RwLockWriteGuard, TryLockError};
use runtime::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs, within_minute};

/// Who is inside.
#[derive(Default)]
struct Inside {
    readers: AtomicUsize,
    writers: AtomicUsize,
}

impl Inside {
    fn read(&self, pause: impl FnOnce()) {
        self.readers.fetch_add(1, SeqCst);
        assert_eq!(self.writers.load(SeqCst), 0, "a writer beside a reader");
        pause();
        self.readers.fetch_sub(1, SeqCst);
    }

    fn write(&self, pause: impl FnOnce()) {
        assert_eq!(self.writers.fetch_add(1, SeqCst), 0, "two writers");
        pause();
        assert_eq!(self.readers.load(SeqCst), 0, "a reader beside a writer");
        self.writers.fetch_sub(1, SeqCst);
    }
}

fn maybe_yield(i: usize) {
    if i.is_multiple_of(3) {
        yield_now();
    }
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    with_procs(|rt| {
        let lock = Arc::new((RwLock::new(0_usize), Inside::default()));
        let each = scale(5000);
        let at = lock.clone();
        crowd(rt, 10, 2, move |i| {
            let (lock, inside) = &*at;
            for k in 0..each {
                if (i + k) % 4 == 0 {
                    let mut value = lock.write().unwrap();
                    inside.write(|| maybe_yield(k));
                    *value += 1;
                } else {
                    let _value = lock.read().unwrap();
                    inside.read(|| maybe_yield(k));
                }
            }
        });
        let writes: usize = (0..12)
            .map(|i| (0..each).filter(|k| (i + k) % 4 == 0).count())
            .sum();
        assert_eq!(*lock.0.try_write().unwrap(), writes);
    });
}

#[test]
fn all_readers_are_in_at_once() {
    with_procs(|rt| {
        let lock = Arc::new((RwLock::new(()), AtomicUsize::new(0)));
        let at = lock.clone();
        crowd(rt, 20, 2, move |_| {
            let _in = at.0.read().unwrap();
            at.1.fetch_add(1, SeqCst);
            while at.1.load(SeqCst) < 22 {
                runtime::time::sleep(Duration::from_micros(100));
            }
        });
    });
}

/// Readers overlap all the time, so that the lock is never free of them: a writer gets it all the
/// same, since no reader that comes after it goes before it.
#[test]
fn a_writer_is_not_starved_by_readers() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let (lock, stop) = (lock.clone(), stop.clone());
                rt.spawn(move || {
                    while !stop.load(SeqCst) {
                        let held = lock.read().unwrap();
                        yield_now();
                        drop(held);
                    }
                })
            })
            .collect();
        let at = lock.clone();
        let writes = rt.spawn(move || {
            for _ in 0..scale(1000) {
                *at.write().unwrap() += 1;
                yield_now();
            }
        });
        writes.join().unwrap();
        stop.store(true, SeqCst);
        readers.into_iter().for_each(|h| h.join().unwrap());
        assert_eq!(*lock.read().unwrap(), scale(1000));
    });
}

/// Writers keep the lock all the time: readers get in between two of them.
#[test]
fn a_reader_is_not_starved_by_writers() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(()));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (lock, stop) = (lock.clone(), stop.clone());
                rt.spawn(move || {
                    while !stop.load(SeqCst) {
                        let held = lock.write().unwrap();
                        yield_now();
                        drop(held);
                    }
                })
            })
            .collect();
        let at = lock.clone();
        let reads = rt.spawn(move || {
            for _ in 0..scale(1000) {
                drop(at.read().unwrap());
                yield_now();
            }
        });
        reads.join().unwrap();
        stop.store(true, SeqCst);
        writers.into_iter().for_each(|h| h.join().unwrap());
    });
}

/// Waits until `n` have said that they come, and gives them the time to queue.
fn arrived(here: &AtomicUsize, n: usize) {
    assert!(eventually(|| here.load(SeqCst) == n));
    std::thread::sleep(Duration::from_millis(5));
}

#[test]
fn readers_that_wait_go_before_the_next_writer() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(Vec::new()));
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let here = Arc::new(AtomicUsize::new(0));
        let held = lock.write().unwrap();
        let mut hs = Vec::new();
        for (n, who) in ["writer", "reader", "reader"].into_iter().enumerate() {
            let (lock, order, here2) = (lock.clone(), order.clone(), here.clone());
            hs.push(rt.spawn(move || {
                here2.fetch_add(1, SeqCst);
                if who == "writer" {
                    let mut w = lock.write().unwrap();
                    order.lock().unwrap().push(who);
                    w.push(1);
                } else {
                    let _r = lock.read().unwrap();
                    order.lock().unwrap().push(who);
                }
            }));
            arrived(&here, n + 1);
        }
        drop(held);
        hs.into_iter().for_each(|h| h.join().unwrap());
        assert_eq!(*order.lock().unwrap(), ["reader", "reader", "writer"]);
    });
}

#[test]
fn a_writer_that_waits_stops_new_readers_until_it_gives_up() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(()));
        let held = lock.read().unwrap();
        let at = lock.clone();
        let seen = Arc::new(AtomicBool::new(false));
        let enough = seen.clone();
        let writer = rt.spawn(move || {
            // Again, if nobody has noticed that it waited.
            while !enough.load(SeqCst) {
                let start = Instant::now();
                assert!(at.write_timeout(Duration::from_millis(100)).is_err());
                assert!(start.elapsed() >= Duration::from_millis(100));
            }
        });
        assert!(eventually(|| lock.try_read().is_err()));
        seen.store(true, SeqCst);
        // Queued behind the writer, and let in when it gives up.
        let at = lock.clone();
        crowd(rt, 3, 2, move |i| match i % 2 {
            0 => drop(at.read().unwrap()),
            _ => drop(at.read_timeout(Duration::from_secs(20)).unwrap()),
        });
        writer.join().unwrap();
        assert!(lock.try_read().is_ok());
        drop(held);
        assert!(lock.try_write().is_ok());
    });
}

/// The second writer has not announced itself to the readers yet; when the first gives up, it does.
#[test]
fn the_next_writer_moves_up_when_one_gives_up() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.read().unwrap();
        let at = lock.clone();
        let seen = Arc::new(AtomicBool::new(false));
        let enough = seen.clone();
        let gives_up = rt.spawn(move || {
            while !enough.load(SeqCst) {
                assert!(at.write_timeout(Duration::from_millis(20)).is_err());
            }
        });
        assert!(eventually(|| lock.try_read().is_err()));
        let at = lock.clone();
        let stays = rt.spawn(move || *at.write().unwrap() += 1);
        seen.store(true, SeqCst);
        gives_up.join().unwrap();
        assert!(eventually(|| lock.try_read().is_err()));
        drop(held);
        stays.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 1);
    });
}

#[test]
fn deadlines_are_never_early() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(()));
        let held = lock.write().unwrap();
        let at = lock.clone();
        crowd(rt, 4, 4, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let failed = match i % 4 {
                0 => at.read_timeout(timeout).is_err(),
                1 => at.read_deadline(start + timeout).is_err(),
                2 => at.write_timeout(timeout).is_err(),
                _ => at.write_deadline(start + timeout).is_err(),
            };
            assert!(failed && start.elapsed() >= timeout);
        });
        drop(held);
        drop(lock.try_write().unwrap());
        drop((lock.try_read().unwrap(), lock.try_read().unwrap()));
    });
}

#[test]
fn a_storm_of_deadlines_loses_no_lock() {
    with_procs(|rt| {
        let lock = Arc::new((RwLock::new(0), Inside::default(), AtomicUsize::new(0)));
        let each = scale(2000);
        let at = lock.clone();
        crowd(rt, 12, 3, move |i| {
            let (lock, inside, writes) = &*at;
            for k in 0..each {
                let timeout = Duration::from_micros(((i * 7 + k * 13) % 50) as u64 * 10);
                if (i + k) % 3 == 0 {
                    if let Ok(mut value) = lock.write_timeout(timeout) {
                        inside.write(|| maybe_yield(k));
                        *value += 1;
                        writes.fetch_add(1, SeqCst);
                    }
                } else if let Ok(_value) = lock.read_timeout(timeout) {
                    inside.read(|| maybe_yield(k));
                }
            }
        });
        assert_eq!(*lock.0.try_write().unwrap(), lock.2.load(SeqCst));
    });
}

#[test]
fn only_a_writer_poisons() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(1));
        let at = lock.clone();
        let reader = rt.spawn(move || {
            let _guard = at.read().unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(reader.join().is_err());
        assert!(!lock.is_poisoned());
        let at = lock.clone();
        let writer = rt.spawn(move || {
            *at.write().unwrap() = 2;
            let _guard = at.write().unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(writer.join().is_err());
        assert!(lock.is_poisoned());
        assert_eq!(**lock.read().unwrap_err().get_ref(), 2);
        assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        lock.clear_poison();
        assert_eq!(*lock.write().unwrap(), 2);
        assert_eq!(Arc::into_inner(lock).unwrap().into_inner().unwrap(), 2);
    });
}

#[test]
fn a_downgraded_writer_lets_readers_in_and_writers_not() {
    with_procs(|rt| {
        let lock = Arc::new(RwLock::new(0));
        let mut writer = lock.write().unwrap();
        *writer = 1;
        let here = Arc::new(AtomicUsize::new(0));
        let (at, here2) = (lock.clone(), here.clone());
        let reader = rt.spawn(move || {
            here2.fetch_add(1, SeqCst);
            *at.read().unwrap()
        });
        arrived(&here, 1);
        let reading = RwLockWriteGuard::downgrade(writer);
        assert_eq!(reader.join().unwrap(), 1);
        assert!(lock.try_write().is_err());
        assert_eq!(*lock.read().unwrap(), 1);
        drop(reading);
        // As a writer that came by the queue.
        let (at, here2) = (lock.clone(), here.clone());
        let held = lock.read().unwrap();
        let writer = rt.spawn(move || {
            here2.fetch_add(1, SeqCst);
            let reading = RwLockWriteGuard::downgrade(at.write().unwrap());
            let also = at.read().unwrap();
            *reading + *also
        });
        arrived(&here, 2);
        drop(held);
        assert_eq!(writer.join().unwrap(), 2);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn it_prints_as_std_does() {
    within_minute(|| {
        let (ours, std) = (RwLock::new(7), std::sync::RwLock::new(7));
        assert_eq!(format!("{ours:?}"), format!("{std:?}"));
        let held = ours.write().unwrap();
        assert!(format!("{ours:?}").contains("<locked>"));
        drop(held);
        assert_eq!(*RwLock::from(3).read().unwrap(), 3);
        assert_eq!(*RwLock::<u8>::default().get_mut().unwrap(), 0);
    });
}
