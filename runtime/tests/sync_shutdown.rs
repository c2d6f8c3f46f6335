//! A runtime ends, or a wait is interrupted otherwise, while goroutines wait in each of the
//! primitives: they are unwound, and plain threads can go on to use what they waited at.

mod support;

use runtime::JoinError;
use runtime::sync::{Barrier, Condvar, Event, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{Alive, PROCS, eventually, scale, within_minute};

/// Starts goroutines that call `wait`, from which none returns; gives them the time to get there;
/// ends the runtime.
fn stop_in(procs: usize, wait: impl Fn(usize) + Send + Sync + 'static) {
    let rt = runtime::start(procs);
    let (alive, here, wait) = (
        Alive::default(),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(wait),
    );
    let n = 10;
    let hs: Vec<_> = (0..n)
        .map(|i| {
            let (here, wait, token) = (here.clone(), wait.clone(), alive.token());
            rt.spawn(move || {
                let _token = token;
                here.fetch_add(1, SeqCst);
                wait(i);
            })
        })
        .collect();
    assert!(eventually(|| here.load(SeqCst) == n));
    if procs != 2 {
        std::thread::sleep(Duration::from_millis(3)); // else: some are on their way
    }
    rt.shutdown();
    for h in hs {
        assert!(matches!(h.join(), Err(JoinError::Cancelled)));
    }
    assert_eq!(alive.count(), 0);
}

fn for_procs(f: impl Fn(usize)) {
    for procs in PROCS {
        within_minute(|| (0..scale(30)).for_each(|_| f(procs)));
    }
}

const FAR: Duration = Duration::from_secs(600);

#[test]
fn of_a_mutex() {
    for_procs(|procs| {
        let m = Arc::new(Mutex::new(0));
        let held = m.lock().unwrap();
        let at = m.clone();
        stop_in(procs, move |i| match i % 2 {
            0 => *at.lock().unwrap() += 1,
            _ => *at.lock_timeout(FAR).unwrap() += 1,
        });
        assert!(m.try_lock().is_err());
        drop(held);
        assert_eq!(*m.try_lock().unwrap(), 0); // and not poisoned
        assert_eq!(*m.lock_timeout(FAR).unwrap(), 0);
    });
}

#[test]
fn of_a_read_write_lock() {
    for_procs(|procs| {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.read().unwrap();
        let at = lock.clone();
        stop_in(procs, move |i| match i % 4 {
            0 => *at.write().unwrap() += 1,
            1 => *at.write_timeout(FAR).unwrap() += 1,
            2 => {
                // If no writer is there yet it gets in.
                while at.read().is_ok() {
                    runtime::yield_now();
                }
            }
            _ => {
                while at.read_timeout(FAR).is_ok() {
                    runtime::yield_now();
                }
            }
        });
        assert!(lock.try_write().is_err());
        drop(lock.try_read().unwrap()); // no writer waits any more
        drop(held);
        let held = lock.try_write().unwrap();
        let at = lock.clone();
        stop_in(procs, move |i| match i % 3 {
            0 => *at.write().unwrap() += 1,
            1 => drop(at.read().unwrap()),
            _ => drop(at.read_timeout(FAR).unwrap()),
        });
        drop(held);
        assert_eq!(*lock.try_write().unwrap(), 0);
        assert_eq!(*lock.write().unwrap(), 0);
    });
}

#[test]
fn of_a_condition_variable() {
    for_procs(|procs| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let at = shared.clone();
        stop_in(procs, move |i| {
            let guard = at.0.lock().unwrap();
            match i % 2 {
                0 => drop(at.1.wait(guard).unwrap()),
                _ => drop(at.1.wait_timeout(guard, FAR).unwrap()),
            }
        });
        // The mutex is free; nobody is left to swallow what is meant for others.
        let guard = shared.0.lock().unwrap_or_else(|e| e.into_inner());
        drop(guard);
        shared.0.clear_poison(); // by one that was to be unwound when it had the lock
        let at = shared.clone();
        let waits = std::thread::spawn(move || {
            let guard = at.0.lock().unwrap();
            drop(at.1.wait_while(guard, |n| *n == 0).unwrap());
        });
        *shared.0.lock().unwrap() = 1;
        shared.1.notify_one();
        waits.join().unwrap();
    });
}

#[test]
fn of_what_is_done_once() {
    for_procs(|procs| {
        let shared = Arc::new((Once::new(), OnceLock::new()));
        let at = shared.clone();
        stop_in(procs, move |i| match i % 4 {
            0 => at.0.wait(),
            1 => drop(at.0.wait_timeout(FAR)),
            2 => drop(at.1.wait_timeout(FAR)),
            _ => {
                at.1.wait();
            }
        });
        shared.0.call_once(|| ());
        assert_eq!(*shared.1.get_or_init(|| 1), 1);
    });
}

/// The one who initialises is unwound.
#[test]
fn of_an_initialisation() {
    for_procs(|procs| {
        let cell = Arc::new(OnceLock::new());
        let at = cell.clone();
        let never = Arc::new(Event::new());
        stop_in(procs, move |_| {
            at.get_or_init(|| never.wait());
        });
        assert!(cell.set(()).is_ok());
    });
}

#[test]
fn of_a_semaphore() {
    for_procs(|procs| {
        let s = Arc::new(Semaphore::new(2));
        let at = s.clone();
        stop_in(procs, move |i| match i % 2 {
            0 => drop(at.acquire_many(3)),
            _ => drop(at.acquire_many_timeout(4, FAR)),
        });
        assert_eq!(s.available_permits(), 2);
        drop(s.try_acquire_many(2).unwrap());
        s.release(1);
        drop(s.acquire_many(3));
    });
}

#[test]
fn of_a_barrier() {
    for_procs(|procs| {
        let barrier = Arc::new(Barrier::new(20));
        let at = barrier.clone();
        stop_in(procs, move |i| match i % 2 {
            0 => drop(at.wait()),
            _ => drop(at.wait_timeout(FAR)),
        });
        assert!(barrier.try_wait().is_none());
        let all: Vec<_> = (0..20)
            .map(|_| {
                let barrier = barrier.clone();
                std::thread::spawn(move || barrier.wait().is_leader())
            })
            .collect();
        let leaders = all.into_iter().filter_map(|t| t.join().ok()).filter(|l| *l);
        assert_eq!(leaders.count(), 1);
    });
}

#[test]
fn of_a_wait_group_and_an_event() {
    for_procs(|procs| {
        let shared = Arc::new((WaitGroup::new(), Event::new()));
        shared.0.add(1);
        let at = shared.clone();
        stop_in(procs, move |i| match i % 4 {
            0 => at.0.wait(),
            1 => drop(at.0.wait_timeout(FAR)),
            2 => at.1.wait(),
            _ => drop(at.1.wait_timeout(FAR)),
        });
        shared.0.done();
        shared.0.wait();
        shared.1.set();
        shared.1.wait();
    });
}

/// The goroutines of one runtime are stopped while those of another, and threads, go on: what the
/// stopped ones had, or were just given, comes to those.
#[test]
fn what_the_stopped_had_comes_to_the_others() {
    for procs in PROCS {
        within_minute(|| {
            for _ in 0..scale(100) {
                let (a, b) = (runtime::start(procs), runtime::start(1));
                let shared = Arc::new((Mutex::new(0), Semaphore::new(2), RwLock::new(0)));
                let work = |times: usize| {
                    let at = shared.clone();
                    move || {
                        for _ in 0..times {
                            let permit = at.1.acquire();
                            *at.0.lock().unwrap_or_else(|e| e.into_inner()) += 1;
                            drop(permit);
                            runtime::yield_now();
                            drop(at.2.read().unwrap_or_else(|e| e.into_inner()));
                            *at.2.write().unwrap_or_else(|e| e.into_inner()) += 1;
                        }
                    }
                };
                let endless: Vec<_> = (0..8).map(|_| a.spawn(work(usize::MAX))).collect();
                let some: Vec<_> = (0..4).map(|_| b.spawn(work(100))).collect();
                let thread = std::thread::spawn(work(100));
                a.shutdown();
                endless.into_iter().for_each(|h| assert!(h.join().is_err()));
                some.into_iter().for_each(|h| h.join().unwrap());
                thread.join().unwrap();
                assert_eq!(shared.1.available_permits(), 2);
            }
        });
    }
}

/// The guard of a goroutine that is unwound is released, and poisons as a panic does.
#[test]
fn a_guard_of_a_stopped_goroutine_is_released_and_poisons() {
    for_procs(|procs| {
        let shared = Arc::new((Mutex::new(0), Event::new()));
        let at = shared.clone();
        stop_in(procs, move |_| {
            let _guard = at.0.lock().unwrap_or_else(|e| e.into_inner());
            at.1.wait();
        });
        assert!(shared.0.is_poisoned());
        assert!(shared.0.try_lock().is_err());
        shared.0.clear_poison();
        assert!(shared.0.try_lock().is_ok());
    });
}
