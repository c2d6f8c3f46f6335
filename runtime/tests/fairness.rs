//! Whose turn it is: nobody is starved. Waits are counted in picks, where they can be.

#[path = "support/busy.rs"]
mod busy;
mod support;
#[path = "support/system.rs"]
mod system;

use busy::Busy;
use runtime::{Runtime, go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{eventually, within_minute};
use system::spin;

/// A pair of goroutines that wake each other until `stop`, and count.
fn pair(picks: &Arc<AtomicUsize>, stop: &Arc<AtomicBool>) {
    let (a_tx, a_rx) = channels::bounded::<()>(0);
    let (b_tx, b_rx) = channels::bounded::<()>(0);
    let (p, s) = (picks.clone(), stop.clone());
    go!(move || {
        while !s.load(SeqCst) {
            p.fetch_add(1, SeqCst);
            if a_tx.send(()).is_err() || b_rx.recv().is_err() {
                return;
            }
        }
    });
    let p = picks.clone();
    go!(move || {
        while a_rx.recv().is_ok() {
            p.fetch_add(1, SeqCst);
            if b_tx.send(()).is_err() {
                return;
            }
        }
    });
}

#[test]
fn an_endless_pair_does_not_starve_a_third() {
    within_minute(|| {
        runtime::start(1).run(|| {
            let picks = Arc::new(AtomicUsize::new(0));
            let stop = Arc::new(AtomicBool::new(false));
            pair(&picks, &stop);
            while picks.load(SeqCst) < 1000 {
                yield_now();
            }
            let n = support::scale(10_000);
            let waits = (0..n).map(|_| {
                let before = picks.load(SeqCst);
                yield_now();
                picks.load(SeqCst) - before
            });
            let long = waits.filter(|&waited| waited > 200).count();
            stop.store(true, SeqCst);
            // If the machine stops this thread for a slice, the one that runs is sent behind all others.
            assert!(
                long <= n / 100,
                "{long} of {n} waits took more than 200 picks"
            );
        });
    });
}

#[test]
fn yielders_do_not_starve_the_global_queue() {
    for procs in support::PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let yielders = Busy::start(2 * procs, |f| rt.spawn(f), yield_now);
            assert!(eventually(|| yielders.turns() > 1000));
            let mut shortest = usize::MAX;
            for _ in 0..100 {
                let picks = yielders.turns.clone();
                let before = picks.load(SeqCst);
                let after = rt.spawn(move || picks.load(SeqCst)).join().unwrap();
                shortest = shortest.min(after - before);
            }
            yielders.end();
            // This thread and the runtime's share the CPUs, so only the best one is a measure.
            assert!(shortest < 20_000, "waited for {shortest} picks at best");
        });
    }
}

/// How many picks each of fifty new goroutines waits for beside ten that yield.
fn picks_before_first_runs() -> Vec<usize> {
    runtime::start(1).run(|| {
        let yielders = Busy::yield_here(10);
        while yielders.turns() < 2000 {
            yield_now();
        }
        let before = yielders.turns();
        let fresh: Vec<_> = (0..50)
            .map(|_| {
                let picks = yielders.turns.clone();
                go!(move || picks.load(SeqCst))
            })
            .collect();
        let waited = fresh.into_iter().map(|h| h.join().unwrap() - before);
        let waited = waited.collect();
        yielders.end();
        waited
    })
}

#[test]
fn yielders_do_not_keep_fresh_goroutines_waiting() {
    within_minute(|| {
        // At first one in 61 has its turn, then one in 31, 15, 7, and from there on every third. Where the
        // machine stops this thread for a slice or more, it is otherwise.
        let most = |i| 61 + 31 + 15 + 7 + 3 * (i + 1) + 20;
        let fair = |waited: Vec<usize>| waited.iter().enumerate().all(|(i, &n)| n <= most(i));
        assert!((0..5).any(|_| fair(picks_before_first_runs())));
    });
}

#[test]
fn the_oldest_of_a_burst_is_not_starved_by_newer_ones() {
    fn link(picks: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
        picks.fetch_add(1, SeqCst);
        if !stop.load(SeqCst) {
            go!(link(picks, stop)); // newer than all that wait
        }
    }
    within_minute(|| {
        runtime::start(1).run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let picks = Arc::new(AtomicUsize::new(0));
            let old: Vec<_> = (0..20)
                .map(|_| {
                    let picks = picks.clone();
                    go!(move || picks.load(SeqCst))
                })
                .collect();
            go!(link(picks.clone(), stop.clone()));
            for (i, h) in old.into_iter().enumerate() {
                let waited = h.join().unwrap();
                assert!(
                    waited <= 61 * (i + 2) + 100,
                    "number {i} waited for {waited} picks"
                );
            }
            stop.store(true, SeqCst);
        });
    });
}

#[test]
fn a_receiver_is_not_starved_by_spawners_on_all_ps() {
    fn spawner(stop: Arc<AtomicBool>) {
        if !stop.load(SeqCst) {
            go!(spawner(stop));
        }
    }
    for procs in [1, 2, 4] {
        within_minute(|| {
            let rt = runtime::start(procs);
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..procs {
                rt.spawn({
                    let stop = stop.clone();
                    move || spawner(stop)
                });
            }
            let (tx, rx) = channels::bounded::<usize>(0);
            let h = rt.spawn(move || rx.iter().sum::<usize>());
            for i in 0..200 {
                tx.send(i).unwrap(); // from a plain thread
            }
            drop(tx);
            assert_eq!(h.join().unwrap(), 199 * 100);
            stop.store(true, SeqCst);
        });
    }
}

/// So many that call what does not park, and nearly all of whose time is inside the runtime: who does nothing else
/// is stopped by the end of its slice only, after 10 ms.
fn callers(rt: &Runtime, n: usize) -> Busy {
    let calls = || {
        let (_tx, rx) = channels::bounded::<u8>(1);
        for _ in 0..1000 {
            let _ = rx.try_recv();
        }
    };
    Busy::start(n, |f| rt.spawn(f), calls)
}

/// How long twenty goroutines take that come from outside, each when the one before it has ended.
fn twenty_in_turn(rt: &Runtime) -> Duration {
    let start = Instant::now();
    (0..20).for_each(|_| rt.spawn(|| ()).join().unwrap());
    start.elapsed()
}

#[test]
fn goroutines_that_use_whole_slices_do_not_starve_the_global_queue() {
    within_minute(|| {
        let rt = runtime::start(1);
        let callers = callers(&rt, 4);
        assert!(eventually(|| callers.turns() >= 4));
        // Four slices are 40 ms. Counted in picks, with 61 between two looks: 610 ms and more.
        let waited = twenty_in_turn(&rt);
        callers.end();
        assert!(
            waited < Duration::from_secs(5),
            "20 in turn waited for {waited:?}"
        );
    });
}

#[test]
fn fresh_ones_that_take_long_do_not_starve_the_global_queue() {
    /// Computes for a while, and leaves the rest to a child.
    fn chain(stop: Arc<AtomicBool>) {
        spin(Duration::from_millis(5));
        if !stop.load(SeqCst) {
            drop(go!(move || chain(stop)));
        }
    }
    within_minute(|| {
        let rt = runtime::start(1);
        let stop = Arc::new(AtomicBool::new(false));
        let s = stop.clone();
        rt.spawn(move || chain(s)).join().unwrap();
        // In turns of 61 picks it would be 0.3 s for each.
        let waited = twenty_in_turn(&rt);
        stop.store(true, SeqCst);
        assert!(
            waited < Duration::from_secs(3),
            "20 in turn waited for {waited:?}"
        );
    });
}

#[test]
fn goroutines_that_use_whole_slices_do_not_starve_fresh_ones() {
    within_minute(|| {
        let rt = runtime::start(1);
        let callers = callers(&rt, 2);
        let ran = Arc::new(AtomicUsize::new(0));
        let spawner = rt.spawn({
            let (stop, ran) = (callers.stop.clone(), ran.clone());
            move || {
                while !stop.load(SeqCst) {
                    let ran = ran.clone();
                    go!(move || ran.fetch_add(1, SeqCst));
                    yield_now();
                }
            }
        });
        // Each round of the callers is 20 ms. In turns of 61 picks it would be 0.6 s.
        let since = Instant::now();
        let many = eventually(|| ran.load(SeqCst) >= 20);
        let took = since.elapsed();
        callers.end();
        spawner.join().unwrap();
        assert!(many && took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn a_spawner_that_uses_whole_slices_does_not_starve_its_children() {
    within_minute(|| {
        // How many of its children have run when it has spawned for six slices.
        let attempt = || {
            let ran = Arc::new(AtomicUsize::new(0));
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(60) {
                let ran = ran.clone();
                go!(move || ran.fetch_add(1, SeqCst));
            }
            ran.load(SeqCst)
        };
        let rt = runtime::start(1);
        let best = (0..5).map(|_| rt.run(attempt)).max();
        assert!(
            best >= Some(100),
            "{best:?} children ran beside their parent"
        );
    });
}

/// Goroutines that compute for some milliseconds between two yields, too short to lose their slice, keep what comes from
/// outside waiting for a few rounds, and not for 61 picks.
#[test]
fn long_picks_do_not_starve_the_global_queue() {
    within_minute(|| {
        let rt = runtime::start(1);
        let computing = Busy::start(
            3,
            |f| rt.spawn(f),
            || {
                spin(Duration::from_millis(5));
                yield_now();
            },
        );
        // 61 picks are 300 ms.
        let waited = |_| {
            let since = Instant::now();
            rt.spawn(|| ()).join().unwrap();
            since.elapsed()
        };
        let mut waits: Vec<_> = (0..21).map(waited).collect();
        waits.sort_unstable();
        computing.end();
        assert!(waits[10] < Duration::from_millis(150), "{waits:?}");
    });
}
