//! `sync::WaitGroup`: counts, waits, misuse.

mod support;

use runtime::sync::WaitGroup;
use runtime::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs};

#[test]
fn all_that_was_added_is_waited_for() {
    with_procs(|rt| {
        let shared = Arc::new((WaitGroup::new(), AtomicUsize::new(0)));
        let rounds = scale(300);
        for round in 1..=rounds {
            shared.0.add(30);
            let at = shared.clone();
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let at = shared.clone();
                    rt.spawn(move || {
                        at.0.wait();
                        at.1.load(SeqCst)
                    })
                })
                .collect();
            crowd(rt, 10, 0, move |i| {
                for _ in 0..3 {
                    if i % 3 == 0 {
                        yield_now();
                    }
                    at.1.fetch_add(1, SeqCst);
                    at.0.done();
                }
            });
            shared.0.wait(); // on a plain thread
            for w in waiters {
                assert_eq!(w.join().unwrap(), 30 * round);
            }
        }
    });
}

#[test]
fn go_adds_before_it_spawns_and_is_done_after_a_panic() {
    with_procs(|rt| {
        let wg = Arc::new(WaitGroup::new());
        let at = wg.clone();
        rt.run(move || {
            let hs: Vec<_> = (0..50)
                .map(|i| {
                    at.go(move || match i % 5 {
                        0 => std::panic::resume_unwind(Box::new(i)),
                        _ => {
                            yield_now();
                            i
                        }
                    })
                })
                .collect();
            at.wait();
            let ok = hs.into_iter().map(|h| h.join());
            assert_eq!(ok.filter(Result::is_ok).count(), 40);
            // They may add to the group that they are in.
            let inner = at.clone();
            drop(at.go(move || {
                for _ in 0..10 {
                    drop(inner.go(yield_now));
                }
            }));
            at.wait();
        });
        assert!(wg.try_wait());
        assert_eq!(Arc::strong_count(&wg), 1);
    });
}

#[test]
fn a_negative_counter_panics_and_changes_nothing() {
    with_procs(|rt| {
        rt.run(|| {
            let wg = WaitGroup::new();
            let fails = |delta| catch_unwind(AssertUnwindSafe(|| wg.add(delta))).is_err();
            assert!(fails(-1));
            assert!(fails(isize::MIN));
            wg.add(2);
            assert!(fails(-3));
            assert!(fails(isize::MAX));
            wg.add(-2);
            wg.wait();
            assert!(catch_unwind(AssertUnwindSafe(|| wg.done())).is_err());
        });
    });
}

#[test]
fn deadlines_are_never_early() {
    with_procs(|rt| {
        let wg = Arc::new(WaitGroup::default());
        wg.add(1);
        let at = wg.clone();
        crowd(rt, 4, 4, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let done = match i % 2 {
                0 => at.wait_timeout(timeout),
                _ => at.wait_deadline(start + timeout),
            };
            assert!(!done && start.elapsed() >= timeout);
            assert!(!at.try_wait());
        });
        let here = Arc::new(AtomicUsize::new(0));
        let (at, h) = (wg.clone(), here.clone());
        let waits = rt.spawn(move || {
            h.store(1, SeqCst);
            at.wait_timeout(Duration::from_secs(50))
        });
        assert!(eventually(|| here.load(SeqCst) == 1));
        wg.done();
        assert!(waits.join().unwrap());
        assert!(wg.wait_timeout(Duration::ZERO));
    });
}
