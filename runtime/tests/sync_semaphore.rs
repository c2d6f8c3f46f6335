//! `sync::Semaphore`: permits are conserved, in order, whoever gives up.

mod support;

use runtime::sync::Semaphore;
use runtime::yield_now;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs, within_minute};

#[test]
fn no_more_are_inside_than_there_are_permits() {
    with_procs(|rt| {
        let shared = Arc::new((Semaphore::new(3), AtomicUsize::new(0)));
        let each = scale(3000);
        let at = shared.clone();
        crowd(rt, 12, 3, move |i| {
            for k in 0..each {
                let n = 1 + (i + k) % 3;
                let permit = at.0.acquire_many(n);
                assert_eq!(permit.num_permits(), n);
                assert!(at.1.fetch_add(n, SeqCst) + n <= 3);
                if k % 3 == 0 {
                    yield_now();
                }
                at.1.fetch_sub(n, SeqCst);
            }
        });
        assert_eq!(shared.0.available_permits(), 3);
        drop(shared.0.try_acquire_many(3).unwrap());
    });
}

#[test]
fn a_storm_of_deadlines_conserves_the_permits() {
    with_procs(|rt| {
        let shared = Arc::new((Semaphore::new(4), AtomicUsize::new(0), AtomicUsize::new(0)));
        let each = scale(2000);
        let at = shared.clone();
        crowd(rt, 14, 3, move |i| {
            for k in 0..each {
                let n = 1 + (i + k) % 4;
                let timeout = Duration::from_micros(((i * 7 + k * 13) % 50) as u64 * 10);
                let permit = match k % 8 {
                    0 => at.0.try_acquire_many(n),
                    _ => at.0.acquire_many_timeout(n, timeout),
                };
                if let Some(_permit) = permit {
                    assert!(at.1.fetch_add(n, SeqCst) + n <= 4);
                    if k % 3 == 0 {
                        yield_now();
                    }
                    at.1.fetch_sub(n, SeqCst);
                    at.2.fetch_add(1, SeqCst);
                }
            }
        });
        assert_eq!(shared.0.available_permits(), 4);
        drop(shared.0.try_acquire_many(4).unwrap());
        assert!(shared.2.load(SeqCst) > 0);
    });
}

/// Queues `wants`, one after the other, at a semaphore without permits.
fn queue(
    rt: &runtime::Runtime,
    s: &Arc<Semaphore>,
    got: &Arc<Mutex<Vec<usize>>>,
    wants: &[usize],
) -> Vec<runtime::JoinHandle<()>> {
    wants
        .iter()
        .map(|&n| {
            let here = Arc::new(AtomicUsize::new(0));
            let (s, got, here2) = (s.clone(), got.clone(), here.clone());
            let h = rt.spawn(move || {
                here2.store(1, SeqCst);
                let permit = s.acquire_many(n);
                got.lock().unwrap().push(n);
                permit.forget();
            });
            assert!(eventually(|| here.load(SeqCst) == 1));
            std::thread::sleep(Duration::from_millis(3)); // from the mark to the queue
            h
        })
        .collect()
}

#[test]
fn permits_go_to_those_who_came_first() {
    with_procs(|rt| {
        let s = Arc::new(Semaphore::new(0));
        let got = Arc::default();
        let hs = queue(rt, &s, &got, &[3, 1, 2]);
        // The big one in front stops all; nobody barges either.
        s.release(2);
        std::thread::sleep(Duration::from_millis(3));
        assert!(got.lock().unwrap().is_empty());
        assert!(s.try_acquire().is_none());
        assert_eq!(s.available_permits(), 2);
        for n in 1..=3 {
            let short = [1, 1, 2][n - 1];
            s.release(short);
            assert!(eventually(|| got.lock().unwrap().len() == n));
        }
        assert_eq!(*got.lock().unwrap(), [3, 1, 2]);
        assert_eq!(s.available_permits(), 0);
        hs.into_iter().for_each(|h| h.join().unwrap());
    });
}

#[test]
fn when_a_big_one_gives_up_the_small_ones_behind_it_go() {
    with_procs(|rt| {
        let s = Arc::new(Semaphore::new(2));
        let at = s.clone();
        let seen = Arc::new(AtomicUsize::new(0));
        let enough = seen.clone();
        let big = rt.spawn(move || {
            // Again, if nobody has noticed that it waited.
            while enough.load(SeqCst) == 0 {
                let timeout = Duration::from_millis(100);
                let start = Instant::now();
                assert!(at.acquire_many_timeout(3, timeout).is_none());
                assert!(start.elapsed() >= timeout);
            }
        });
        assert!(eventually(|| s.try_acquire().is_none()));
        seen.store(1, SeqCst);
        let got = Arc::default();
        let hs = queue(rt, &s, &got, &[1, 1]);
        let at = s.clone();
        let third = rt.spawn(move || at.acquire_timeout(Duration::from_secs(50)).is_some());
        hs.into_iter().for_each(|h| h.join().unwrap());
        big.join().unwrap();
        s.release(1);
        assert!(third.join().unwrap());
        assert_eq!(s.available_permits(), 1);
    });
}

#[test]
fn deadlines_are_never_early() {
    with_procs(|rt| {
        let s = Arc::new(Semaphore::new(1));
        let at = s.clone();
        crowd(rt, 4, 4, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let got = match i % 4 {
                0 => at.acquire_many_timeout(2, timeout),
                1 => at.acquire_many_deadline(2, start + timeout),
                2 => at.acquire_many_timeout(9, timeout),
                _ => at.acquire_many_deadline(9, start + timeout),
            };
            assert!(got.is_none() && start.elapsed() >= timeout);
        });
        assert!(s.acquire_timeout(Duration::ZERO).is_some());
        assert!(s.acquire_deadline(Instant::now()).is_some());
    });
}

#[test]
fn too_many_permits_are_refused() {
    within_minute(|| {
        let s = Semaphore::new(Semaphore::MAX_PERMITS);
        let more = |n| std::panic::catch_unwind(|| s.release(n)).is_err();
        assert!(more(1));
        assert!(more(usize::MAX));
        assert_eq!(s.available_permits(), Semaphore::MAX_PERMITS);
        s.try_acquire_many(2).unwrap().forget();
        s.release(2);
        drop(s.acquire_many(0));
        assert_eq!(s.available_permits(), Semaphore::MAX_PERMITS);
    });
}
