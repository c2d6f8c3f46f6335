//! `sync::Barrier` and `sync::Event`: generations, leaders, pulses.

mod support;

use runtime::sync::{Barrier, Event};
use runtime::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs};

#[test]
fn each_generation_has_one_leader_and_none_overtakes() {
    with_procs(|rt| {
        let shared = Arc::new((Barrier::new(10), AtomicUsize::new(0), AtomicUsize::new(0)));
        let rounds = scale(1000);
        let at = shared.clone();
        crowd(rt, 8, 2, move |i| {
            let (barrier, came, leaders) = &*at;
            for round in 1..=rounds {
                came.fetch_add(1, SeqCst);
                if (i + round) % 5 == 0 {
                    yield_now();
                }
                if barrier.wait().is_leader() {
                    leaders.fetch_add(1, SeqCst);
                }
                let came = came.load(SeqCst);
                assert!((10 * round..10 * round + 10).contains(&came), "{came}");
            }
        });
        assert_eq!(shared.2.load(SeqCst), rounds);
    });
}

#[test]
fn a_barrier_of_none_or_one_stops_nobody() {
    with_procs(|rt| {
        rt.run(|| {
            for n in [0, 1] {
                let barrier = Barrier::new(n);
                assert!(barrier.wait().is_leader());
                assert!(barrier.try_wait().unwrap().is_leader());
                assert!(barrier.wait_timeout(Duration::ZERO).unwrap().is_leader());
            }
        });
    });
}

#[test]
fn who_gives_up_is_not_counted() {
    with_procs(|rt| {
        let barrier = Arc::new(Barrier::new(8));
        let at = barrier.clone();
        crowd(rt, 4, 2, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let result = match i % 2 {
                0 => at.wait_timeout(timeout),
                _ => at.wait_deadline(start + timeout),
            };
            assert!(result.is_none() && start.elapsed() >= timeout);
        });
        assert!(barrier.try_wait().is_none());
        let leaders = Arc::new(AtomicUsize::new(0));
        let (at, l) = (barrier.clone(), leaders.clone());
        crowd(rt, 6, 2, move |_| {
            let leads = at
                .wait_timeout(Duration::from_secs(50))
                .unwrap()
                .is_leader();
            l.fetch_add(usize::from(leads), SeqCst);
        });
        assert_eq!(leaders.load(SeqCst), 1);
    });
}

/// Who is counted passes, and who is not does not, also when the last one comes in the moment of
/// the deadline.
#[test]
fn a_storm_of_deadlines_lets_whole_generations_pass() {
    with_procs(|rt| {
        let shared = Arc::new((Barrier::new(3), AtomicUsize::new(0), AtomicUsize::new(0)));
        let each = scale(2000);
        let at = shared.clone();
        crowd(rt, 7, 2, move |i| {
            let (barrier, passed, leaders) = &*at;
            for k in 0..each {
                let timeout = Duration::from_micros(((i * 7 + k * 13) % 30) as u64 * 10);
                if let Some(result) = barrier.wait_timeout(timeout) {
                    passed.fetch_add(1, SeqCst);
                    leaders.fetch_add(usize::from(result.is_leader()), SeqCst);
                }
            }
        });
        assert_eq!(shared.1.load(SeqCst), 3 * shared.2.load(SeqCst));
        assert!(shared.0.try_wait().is_none());
    });
}

#[test]
fn an_event_lets_all_go_on_and_stays_set() {
    with_procs(|rt| {
        let shared = Arc::new((Event::new(), AtomicUsize::new(0), AtomicBool::new(false)));
        let at = shared.clone();
        let setter = std::thread::spawn(move || {
            assert!(eventually(|| at.1.load(SeqCst) == 40));
            at.2.store(true, SeqCst);
            at.0.set();
        });
        let at = shared.clone();
        crowd(rt, 36, 4, move |i| {
            at.1.fetch_add(1, SeqCst);
            match i % 3 {
                0 => at.0.wait(),
                1 => assert!(at.0.wait_timeout(Duration::from_secs(50))),
                _ => assert!(at.0.wait_deadline(Instant::now() + Duration::from_secs(50))),
            }
            assert!(at.2.load(SeqCst));
        });
        setter.join().unwrap();
        assert!(shared.0.is_set());
        shared.0.wait();
        shared.0.set();
        shared.0.clear();
        assert!(!shared.0.is_set());
    });
}

#[test]
fn who_waits_at_a_pulse_goes_on_though_the_event_is_cleared_at_once() {
    with_procs(|rt| {
        let shared = Arc::new((Event::new(), AtomicUsize::new(0)));
        let n = 20;
        let hs: Vec<_> = (0..n)
            .map(|_| {
                let at = shared.clone();
                rt.spawn(move || {
                    at.1.fetch_add(1, SeqCst);
                    at.0.wait();
                })
            })
            .collect();
        assert!(eventually(|| shared.1.load(SeqCst) == n));
        std::thread::sleep(Duration::from_millis(5)); // from the mark to the queue
        shared.0.set();
        shared.0.clear();
        hs.into_iter().for_each(|h| h.join().unwrap());
        assert!(!shared.0.is_set());
    });
}

#[test]
fn a_wait_for_an_event_is_never_early() {
    with_procs(|rt| {
        let event = Arc::new(Event::default());
        let at = event.clone();
        crowd(rt, 4, 4, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let set = match i % 2 {
                0 => at.wait_timeout(timeout),
                _ => at.wait_deadline(start + timeout),
            };
            assert!(!set && start.elapsed() >= timeout);
        });
        event.set();
        assert!(event.wait_timeout(Duration::ZERO));
    });
}

/// Two play ping-pong by two events.
#[test]
fn no_set_is_lost() {
    with_procs(|rt| {
        let shared = Arc::new((Event::new(), Event::new()));
        let each = scale(10_000);
        let at = shared.clone();
        crowd(rt, 1, 1, move |i| {
            let (mine, other) = match i {
                0 => (&at.0, &at.1),
                _ => (&at.1, &at.0),
            };
            for k in 0..each {
                if i == 0 || k > 0 {
                    // Both ways to wait.
                    if k % 2 == 0 {
                        mine.wait();
                    } else {
                        while !mine.wait_timeout(Duration::from_micros(20)) {}
                    }
                    mine.clear();
                }
                other.set();
            }
        });
    });
}
