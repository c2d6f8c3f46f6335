//! `sync::Mutex`: exclusion, poisoning, deadlines, and its fairness in numbers.

mod support;

use runtime::sync::{Mutex, TryLockError};
use runtime::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs, within_minute};

/// A counter whose increment is torn when two are in it at once.
#[derive(Default)]
struct Torn {
    n: usize,
    inside: AtomicUsize,
}

impl Torn {
    fn bump(&mut self, pause: impl FnOnce()) {
        assert_eq!(self.inside.fetch_add(1, SeqCst), 0, "two are inside");
        let n = self.n;
        pause();
        self.n = n + 1;
        self.inside.fetch_sub(1, SeqCst);
    }
}

#[test]
fn one_at_a_time_is_inside() {
    with_procs(|rt| {
        let torn = Arc::new(Mutex::new(Torn::default()));
        let each = scale(5000);
        let at = torn.clone();
        crowd(rt, 8, 2, move |_| {
            for _ in 0..each {
                at.lock().unwrap().bump(|| ());
            }
        });
        assert_eq!(torn.lock().unwrap().n, 10 * each);
    });
}

#[test]
fn a_guard_may_be_held_across_a_wait() {
    with_procs(|rt| {
        let torn = Arc::new(Mutex::new(Torn::default()));
        let each = scale(1000);
        let at = torn.clone();
        crowd(rt, 16, 1, move |i| {
            for k in 0..each {
                at.lock().unwrap().bump(|| {
                    if (i + k) % 3 == 0 {
                        yield_now();
                    }
                });
            }
        });
        assert_eq!(torn.lock().unwrap().n, 17 * each);
    });
}

#[test]
fn goroutines_of_two_runtimes_share_one() {
    within_minute(|| {
        let (a, b) = (runtime::start(2), runtime::start(1));
        let torn = Arc::new(Mutex::new(Torn::default()));
        let each = scale(5000);
        let hs: Vec<_> = (0..8)
            .map(|i| {
                let torn = torn.clone();
                [&a, &b][i % 2].spawn(move || {
                    for _ in 0..each {
                        torn.lock().unwrap().bump(yield_now);
                    }
                })
            })
            .collect();
        hs.into_iter().for_each(|h| h.join().unwrap());
        assert_eq!(torn.lock().unwrap().n, 8 * each);
    });
}

#[test]
fn a_panic_under_the_lock_poisons_it() {
    with_procs(|rt| {
        let m = Arc::new(Mutex::new(1));
        let at = m.clone();
        let h = rt.spawn(move || {
            let mut guard = at.lock().unwrap();
            *guard = 2;
            std::panic::resume_unwind(Box::new("under the lock"));
        });
        assert!(h.join().is_err());
        assert!(m.is_poisoned());
        assert_eq!(*m.lock().unwrap_err().into_inner(), 2);
        match m.try_lock() {
            Err(TryLockError::Poisoned(e)) => assert_eq!(**e.get_ref(), 2),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            m.lock_timeout(Duration::ZERO),
            Err(TryLockError::Poisoned(_))
        ));
        m.clear_poison();
        assert_eq!(*m.lock().unwrap(), 2);
        let mut m = Arc::into_inner(m).unwrap();
        assert_eq!(*m.get_mut().unwrap(), 2);
        assert_eq!(m.into_inner().unwrap(), 2);
    });
}

#[test]
fn a_lock_taken_and_released_while_unwinding_is_not_poisoned() {
    struct Locks<'a>(&'a Mutex<u32>);
    impl Drop for Locks<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    with_procs(|rt| {
        rt.run(|| {
            let m = Mutex::new(0);
            let unwinding = catch_unwind(AssertUnwindSafe(|| {
                let _locks = Locks(&m);
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(unwinding.is_err());
            assert_eq!(*m.lock().unwrap(), 1);
        });
    });
}

#[test]
fn a_destructor_waits_for_a_lock_while_its_goroutine_unwinds() {
    struct Locks(Arc<Mutex<u32>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    with_procs(|rt| {
        let m = Arc::new(Mutex::new(0));
        let held = m.lock().unwrap();
        let hs: Vec<_> = (0..4)
            .map(|_| {
                let locks = Locks(m.clone());
                rt.spawn(move || {
                    let _locks = locks;
                    std::panic::resume_unwind(Box::new(()));
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        hs.into_iter().for_each(|h| assert!(h.join().is_err()));
        assert_eq!(*m.lock().unwrap(), 4);
    });
}

#[test]
fn a_deadline_is_never_early_and_leaves_the_mutex_in_order() {
    with_procs(|rt| {
        let m = Arc::new(Mutex::new(0));
        let held = m.lock().unwrap();
        let at = m.clone();
        crowd(rt, 4, 2, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let result = match i % 2 {
                0 => at.lock_timeout(timeout),
                _ => at.lock_deadline(start + timeout),
            };
            assert!(matches!(result, Err(TryLockError::WouldBlock)));
            assert!(start.elapsed() >= timeout);
            assert!(matches!(at.try_lock(), Err(TryLockError::WouldBlock)));
        });
        drop(held);
        assert!(m.try_lock().is_ok());
        let at = m.clone();
        crowd(rt, 4, 2, move |_| *at.lock().unwrap() += 1);
        assert_eq!(*m.lock().unwrap(), 6);
    });
}

#[test]
fn a_deadline_in_the_past_still_takes_a_free_lock() {
    with_procs(|rt| {
        rt.run(|| {
            let m = Mutex::new(());
            let past = Instant::now();
            let held = m.lock_deadline(past).unwrap();
            assert!(m.lock_deadline(past).is_err());
            assert!(m.lock_timeout(Duration::ZERO).is_err());
            drop(held);
            assert!(m.lock_timeout(Duration::MAX).is_ok());
        });
    });
}

/// Waiters that give up at all moments, also when they are woken or handed the lock: whoever
/// reports the lock has it, and it is never lost.
#[test]
fn a_storm_of_deadlines_loses_no_lock() {
    with_procs(|rt| {
        let torn = Arc::new(Mutex::new(Torn::default()));
        let had = Arc::new(AtomicUsize::new(0));
        let each = scale(2000);
        let (at, count) = (torn.clone(), had.clone());
        crowd(rt, 12, 2, move |i| {
            for k in 0..each {
                let timeout = Duration::from_micros(((i * 7 + k * 13) % 50) as u64 * 10);
                if let Ok(mut guard) = at.lock_timeout(timeout) {
                    guard.bump(|| {
                        if k % 4 == 0 {
                            yield_now();
                        }
                    });
                    count.fetch_add(1, SeqCst);
                }
            }
        });
        assert_eq!(torn.try_lock().unwrap().n, had.load(SeqCst));
        assert!(had.load(SeqCst) > 0);
    });
}

/// Others take and release the lock in a loop, and hold it nearly all the time: who waits gets it
/// after the millisecond of patience and a few turns of theirs, not when they pause.
#[test]
fn a_waiter_is_not_starved_by_those_that_barge() {
    with_procs(|rt| {
        let m = Arc::new(Mutex::new(()));
        let stop = Arc::new(AtomicBool::new(false));
        let hogs: Vec<_> = (0..2)
            .map(|_| {
                let (m, stop) = (m.clone(), stop.clone());
                std::thread::spawn(move || {
                    while !stop.load(SeqCst) {
                        let held = m.lock().unwrap();
                        let start = Instant::now();
                        while start.elapsed() < Duration::from_micros(50) {
                            std::hint::spin_loop();
                        }
                        drop(held);
                    }
                })
            })
            .collect();
        let mut waits: Vec<Duration> = (0..20)
            .map(|_| {
                let m = m.clone();
                rt.spawn(move || {
                    let start = Instant::now();
                    drop(m.lock().unwrap());
                    start.elapsed()
                })
                .join()
                .unwrap()
            })
            .collect();
        stop.store(true, SeqCst);
        hogs.into_iter().for_each(|h| h.join().unwrap());
        waits.sort();
        // The machine may be busy with other things: the bound is on the usual wait.
        let usual = waits[waits.len() / 2];
        assert!(usual < Duration::from_millis(30), "{waits:?}");
    });
}

/// Who unlocks computes on for long: the waiter must not stand behind it in its P's queue until the
/// end of its slice (10 ms and more), beside a P that is idle.
#[test]
fn a_woken_waiter_runs_on_an_idle_p() {
    for procs in [2, 4, 8] {
        within_minute(|| {
            let rt = runtime::start(procs);
            let mut delays: Vec<Duration> = (0..40).map(|_| rt.run(delay_of_a_waiter)).collect();
            delays.sort();
            // The machine may be busy with other things: most of them may take longer.
            let quick = delays[delays.len() / 4];
            assert!(quick < Duration::from_millis(5), "{procs} Ps: {delays:?}");
        });
    }
}

/// From an unlock to what the waiter then does, while the one that unlocked does not enter the
/// runtime.
fn delay_of_a_waiter() -> Duration {
    let m = Arc::new(Mutex::new(()));
    let (here, did) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let held = m.lock().unwrap();
    let (at, h, d) = (m.clone(), here.clone(), did.clone());
    let waiter = runtime::spawn(move || {
        h.store(true, SeqCst);
        drop(at.lock().unwrap());
        d.store(true, SeqCst);
    });
    while !here.load(SeqCst) {
        yield_now();
    }
    runtime::time::sleep(Duration::from_millis(1)); // from the mark to the queue
    let start = Instant::now();
    drop(held);
    while !did.load(SeqCst) {
        std::hint::spin_loop();
    }
    let delay = start.elapsed();
    waiter.join().unwrap();
    delay
}

/// In starvation mode those who queue come in the order in which they came.
#[test]
fn starved_waiters_are_served_in_order() {
    with_procs(|rt| {
        rt.run(|| {
            let m = Arc::new(Mutex::new(Vec::new()));
            let held = m.lock().unwrap();
            let hs: Vec<_> = (0..8)
                .map(|i| {
                    let m2 = m.clone();
                    let (here, h) = (Arc::new(AtomicBool::new(false)), i);
                    let at = here.clone();
                    let handle = runtime::spawn(move || {
                        at.store(true, SeqCst);
                        let mut order = m2.lock().unwrap();
                        order.push(h);
                        // Long enough that the next one loses if it has to compete.
                        yield_now();
                    });
                    assert!(eventually(|| here.load(SeqCst)));
                    // Between the flag and the queue there is no mark: give it time.
                    std::thread::sleep(Duration::from_millis(2));
                    handle
                })
                .collect();
            drop(held);
            hs.into_iter().for_each(|h| h.join().unwrap());
            assert_eq!(*m.lock().unwrap(), (0..8).collect::<Vec<_>>());
        });
    });
}

#[test]
fn it_prints_as_std_does() {
    let (ours, std) = (Mutex::new(7), std::sync::Mutex::new(7));
    assert_eq!(format!("{ours:?}"), format!("{std:?}"));
    let held = ours.lock().unwrap();
    assert!(format!("{ours:?}").contains("<locked>"));
    assert_eq!(format!("{held:?} {held}"), "7 7");
    drop(held);
    assert_eq!(*Mutex::from(3).lock().unwrap(), 3);
    assert_eq!(Mutex::<u8>::default().into_inner().unwrap(), 0);
    let unsized_: &Mutex<[u8]> = &Mutex::new([1, 2]);
    assert_eq!(unsized_.lock().unwrap().len(), 2);
}
