//! Storms: every goroutine that is spawned runs exactly once, whoever spawned it, however many
//! runtimes there are.

mod support;

use runtime::{Runtime, go};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;
use support::{in_child, scale, within_minute};

/// One counter per goroutine.
#[derive(Clone)]
struct Census(Arc<Vec<AtomicU8>>);

impl Census {
    fn new(n: usize) -> Census {
        Census(Arc::new((0..n).map(|_| AtomicU8::new(0)).collect()))
    }

    fn ran(&self, i: usize) {
        self.0[i].fetch_add(1, SeqCst);
    }

    #[track_caller]
    fn assert_once(&self) {
        for (i, n) in self.0.iter().enumerate() {
            assert_eq!(n.load(SeqCst), 1, "goroutine {i} of {}", self.0.len());
        }
    }

    fn total(&self) -> usize {
        self.0.iter().map(|n| usize::from(n.load(SeqCst))).sum()
    }
}

#[test]
fn every_goroutine_of_a_burst_runs_once() {
    support::with_procs(|rt| {
        let census = Census::new(scale(200_000));
        rt.run(|| {
            let hs: Vec<_> = (0..census.0.len())
                .map(|i| {
                    let census = census.clone();
                    go!(move || census.ran(i))
                })
                .collect();
            hs.into_iter().for_each(|h| h.join().unwrap());
        });
        census.assert_once();
        assert_eq!(rt.num_goroutines(), 0);
    });
}

#[test]
fn every_detached_goroutine_runs_once() {
    support::with_procs(|rt| {
        let census = Census::new(scale(100_000));
        rt.run(|| {
            for i in 0..census.0.len() {
                let census = census.clone();
                drop(go!(move || census.ran(i)));
            }
        });
        assert!(support::eventually(|| census.total() == census.0.len()));
        census.assert_once();
        assert!(support::eventually(|| rt.num_goroutines() == 0));
    });
}

/// Runs the part `[from, to)` of the census as a tree of goroutines, half of them yielding.
fn tree(census: Census, from: usize, to: usize) {
    census.ran(from);
    if from.is_multiple_of(2) {
        runtime::yield_now();
    }
    let (from, middle) = (from + 1, (from + 1 + to) / 2);
    let left = (from < middle).then(|| go!(tree(census.clone(), from, middle)));
    let right = (middle < to).then(|| go!(tree(census.clone(), middle, to)));
    for h in [left, right].into_iter().flatten() {
        h.join().unwrap();
    }
}

#[test]
fn every_goroutine_of_a_tree_runs_once() {
    support::with_procs(|rt| {
        let census = Census::new(scale(100_000));
        rt.run(|| tree(census.clone(), 0, census.0.len()));
        census.assert_once();
    });
}

#[test]
fn several_plain_threads_may_spawn_at_once() {
    support::with_procs(|rt| {
        let each = scale(10_000);
        let census = Census::new(4 * each);
        std::thread::scope(|s| {
            for t in 0..4 {
                let census = census.clone();
                s.spawn(move || {
                    let hs: Vec<_> = (t * each..(t + 1) * each)
                        .map(|i| {
                            let census = census.clone();
                            rt.spawn(move || census.ran(i))
                        })
                        .collect();
                    // Half are joined, half are left to themselves.
                    for (i, h) in hs.into_iter().enumerate() {
                        if i % 2 == 0 {
                            h.join().unwrap();
                        }
                    }
                });
            }
        });
        assert!(support::eventually(|| census.total() == census.0.len()));
        census.assert_once();
    });
}

#[test]
fn several_plain_threads_may_run_main_goroutines_at_once() {
    support::with_procs(|rt| {
        std::thread::scope(|s| {
            for t in 0..4 {
                s.spawn(move || {
                    for i in 0..scale(300) {
                        let n = rt.run(|| go!(move || t * i).join().unwrap() + 1);
                        assert_eq!(n, t * i + 1);
                    }
                });
            }
        });
    });
}

/// A ring of goroutines, spread over runtimes and one plain thread, around which a token goes.
fn ring(runtimes: &[Runtime], size: usize, rounds: usize) {
    let (first_tx, first_rx) = channels::bounded::<usize>(0);
    let mut rx = first_rx;
    let mut hs = Vec::new();
    for i in 0..size {
        let (tx, next) = channels::bounded::<usize>(0);
        let from = std::mem::replace(&mut rx, next);
        hs.push(runtimes[i % runtimes.len()].spawn(move || {
            for n in from {
                tx.send(n + 1).unwrap();
            }
        }));
    }
    for round in 0..rounds {
        first_tx.send(round).unwrap();
        assert_eq!(rx.recv().unwrap(), round + size);
    }
    drop(first_tx);
    hs.into_iter().for_each(|h| h.join().unwrap());
}

#[test]
fn goroutines_of_several_runtimes_wake_each_other() {
    for (n, procs) in [(2, 1), (2, 2), (3, 1), (3, 4)] {
        within_minute(|| {
            let runtimes: Vec<_> = (0..n).map(|_| runtime::start(procs)).collect();
            ring(&runtimes, 3 * n, scale(3_000));
        });
    }
}

#[test]
fn a_goroutine_may_join_one_of_another_runtime() {
    within_minute(|| {
        let (a, b) = (runtime::start(2), runtime::start(2));
        let census = Census::new(scale(5_000));
        let hs: Vec<_> = (0..census.0.len())
            .map(|i| {
                let census = census.clone();
                b.spawn(move || {
                    if i % 3 == 0 {
                        runtime::yield_now();
                    }
                    census.ran(i);
                    i
                })
            })
            .collect();
        a.run(|| {
            for (i, h) in hs.into_iter().enumerate() {
                assert_eq!(h.join().unwrap(), i);
            }
        });
        census.assert_once();
    });
}

#[test]
fn a_goroutine_may_spawn_into_another_runtime_and_shut_it_down() {
    within_minute(|| {
        let a = runtime::start(2);
        a.run(|| {
            for _ in 0..scale(100) {
                let b = runtime::start(2);
                let h = b.spawn(|| go!(|| 4).join().unwrap());
                assert_eq!(h.join().unwrap(), 4);
                let parked = b.spawn(|| channels::bounded::<u8>(0).1.recv());
                b.shutdown();
                let _ = parked.join();
            }
        });
    });
}

#[test]
fn runtimes_may_come_one_after_another() {
    within_minute(|| {
        for i in 0..scale(300) {
            let rt = runtime::start(1 + i % 4);
            let census = Census::new(50);
            rt.run(|| tree(census.clone(), 0, 50));
            drop(rt);
            census.assert_once();
        }
    });
}

#[test]
fn messages_and_spawns_mix_under_steals() {
    support::with_procs(|rt| {
        let n = scale(20_000);
        let census = Census::new(n);
        rt.run(|| {
            let (tx, rx) = channels::bounded::<usize>(8);
            let workers: Vec<_> = (0..16)
                .map(|w| {
                    let (rx, census) = (rx.clone(), census.clone());
                    go!(move || {
                        for i in rx {
                            // Every job in a goroutine of its own, half of them awaited.
                            let census = census.clone();
                            let h = go!(move || census.ran(i));
                            if w % 2 == 0 {
                                h.join().unwrap();
                            }
                        }
                    })
                })
                .collect();
            drop(rx);
            for i in 0..n {
                tx.send(i).unwrap();
            }
            drop(tx);
            workers.into_iter().for_each(|h| h.join().unwrap());
        });
        assert!(support::eventually(|| census.total() == n));
        census.assert_once();
    });
}

#[test]
fn bursts_with_pauses_between_wake_the_idle_ps_again() {
    // The way from idle to busy and back, many times, where a lost wake-up would show as a hang.
    support::with_procs(|rt| {
        for i in 0..scale(2_000) {
            let h = rt.spawn(move || {
                let hs: Vec<_> = (0..4).map(|k| go!(move || k)).collect();
                hs.into_iter().map(|h| h.join().unwrap()).sum::<usize>()
            });
            assert_eq!(h.join().unwrap(), 6);
            if i % 16 == 0 {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    });
}

#[test]
fn a_thousand_starts_and_shutdowns_leave_nothing() {
    const NAME: &str = "a_thousand_starts_and_shutdowns_leave_nothing";
    in_child(NAME, &[], Duration::from_secs(150), || {
        let cycle = |i: usize| {
            let rt = runtime::start(1 + i % 4);
            let n = rt.run(|| {
                let hs: Vec<_> = (0..5).map(|k| go!(move || k)).collect();
                hs.into_iter().map(|h| h.join().unwrap()).sum::<i32>()
            });
            assert_eq!(n, 10);
            if i.is_multiple_of(3) {
                rt.spawn(|| channels::bounded::<u8>(0).1.recv());
            }
        };
        (0..20).for_each(cycle);
        let (threads, fds, maps) = (support::threads(), support::fds(), support::mappings());
        let kib = support::status_kib("VmRSS");
        (0..scale(1000)).for_each(cycle);
        // A thread that was joined may still be listed for an instant.
        assert!(support::eventually(|| support::threads() <= threads));
        assert_eq!(support::fds(), fds);
        assert!(
            support::mappings() <= maps + 16,
            "{} mappings",
            support::mappings()
        );
        let grown = support::status_kib("VmRSS").saturating_sub(kib);
        assert!(grown < 8 * 1024, "{grown} KiB more");
    });
}
