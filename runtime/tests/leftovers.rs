//! What is left of a runtime after its end: nothing, or what is said to be left.

mod support;

use runtime::{Builder, JoinError, Runtime, go, scope, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{Alive, eventually, in_child, within_minute};

const LIMIT: Duration = Duration::from_secs(90);

fn is_cancelled<T>(result: Result<T, JoinError>) -> bool {
    matches!(result, Err(JoinError::Cancelled))
}

fn for_procs(f: impl Fn(Runtime)) {
    for procs in support::PROCS {
        within_minute(|| f(runtime::start(procs)));
    }
}

/// Parks for ever.
fn nothing() {
    let _ = channels::Receiver::<u8>::nil().recv();
}

#[test]
fn a_plain_threads_scope_ends_with_the_runtime_and_says_so() {
    // In a process of its own: a scope on a plain thread uses the default runtime.
    const NAME: &str = "a_plain_threads_scope_ends_with_the_runtime_and_says_so";
    in_child(NAME, &[], LIMIT, || {
        let rt = runtime::start(2);
        let up = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let all = std::panic::AssertUnwindSafe(|| {
                    scope(|s| {
                        for _ in 0..5 {
                            s.spawn(|| {
                                up.fetch_add(1, SeqCst);
                                nothing();
                            });
                        }
                    });
                });
                assert!(std::panic::catch_unwind(all).is_err());
                up.fetch_add(100, SeqCst);
            });
            assert!(eventually(|| up.load(SeqCst) == 5));
            rt.shutdown();
        });
        assert_eq!(up.load(SeqCst), 105);
    });
}

#[test]
fn nothing_is_left_behind() {
    const NAME: &str = "nothing_is_left_behind";
    // How many arenas malloc makes depends on how many threads meet there.
    in_child(NAME, &[("MALLOC_ARENA_MAX", "1")], LIMIT, || {
        let life = || {
            // As many threads in each life: the C library keeps the stacks of those that have ended.
            let rt = Builder::new().procs(4).max_threads(8).build().unwrap();
            let up = Arc::new(AtomicUsize::new(0));
            for i in 0..2000 {
                let up = up.clone();
                rt.spawn(move || {
                    up.fetch_add(1, SeqCst);
                    match i % 100 {
                        0 => std::thread::sleep(Duration::from_millis(20)),
                        _ => nothing(),
                    }
                });
            }
            assert!(eventually(|| up.load(SeqCst) == 2000));
            rt.shutdown();
        };
        let (threads, fds) = (support::threads(), support::fds());
        life(); // malloc's arenas and the like are made once
        let (maps, kib) = (support::mappings(), support::status_kib("VmRSS"));
        for _ in 0..5 {
            life();
        }
        assert!(
            eventually(|| support::threads() == threads),
            "{} threads",
            support::threads()
        );
        assert_eq!(support::fds(), fds);
        assert!(
            support::mappings() <= maps + 10,
            "{maps}, then {}",
            support::mappings()
        );
        let now = support::status_kib("VmRSS");
        assert!(now < kib + 4096, "{kib} KiB, then {now}");
        // No slab of stacks, whose smallest has 64 slots.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let large = maps.lines().filter(|l| {
            let (from, to) = l.split(' ').next().unwrap().split_once('-').unwrap();
            let hex = |s| usize::from_str_radix(s, 16).unwrap();
            l.contains(" rw-p ") && hex(to) - hex(from) == 64 * runtime::DEFAULT_STACK_SIZE
        });
        assert_eq!(large.count(), 0, "{maps}");
    });
}

#[test]
fn handles_may_outlive_the_runtime() {
    for_procs(|rt| {
        let alive = Alive::default();
        let done: Vec<_> = (0..10)
            .map(|_| {
                let token = alive.token();
                rt.spawn(move || token)
            })
            .collect();
        assert!(eventually(|| done.iter().all(|h| h.is_finished())));
        let parked: Vec<_> = (0..10)
            .map(|_| {
                let token = alive.token();
                rt.spawn(move || {
                    nothing();
                    token
                })
            })
            .collect();
        rt.shutdown();
        // The results are the handles'.
        assert_eq!(alive.count(), 10);
        assert!(parked.iter().all(|h| h.is_finished()));
        let text = format!("{:?} {}", done[0], done[0].id());
        assert!(text.contains("JoinHandle"), "{text}");
        for (i, h) in done.into_iter().enumerate() {
            match i % 2 {
                0 => drop(h.join().unwrap()),
                _ => drop(h),
            }
        }
        assert_eq!(alive.count(), 0);
        let mut parked = parked.into_iter();
        assert!(is_cancelled(parked.next().unwrap().join()));
        drop(parked);
        // What the old runtime left behind is used by the next.
        assert_eq!(runtime::start(2).run(|| go!(|| 6).join().unwrap()), 6);
    });
}

#[test]
fn joiners_on_other_threads_are_told() {
    for_procs(|rt| {
        let hs: Vec<_> = (0..8).map(|_| rt.spawn(nothing)).collect();
        let joiners: Vec<_> = hs
            .into_iter()
            .map(|h| std::thread::spawn(move || h.join()))
            .collect();
        std::thread::sleep(Duration::from_millis(5));
        rt.shutdown();
        for j in joiners {
            assert!(is_cancelled(j.join().unwrap()));
        }
    });
}

#[test]
fn goroutines_that_never_come_back_are_named() {
    const NAME: &str = "goroutines_that_never_come_back_are_named";
    in_child(NAME, &[], LIMIT, || {
        let threads = support::threads();
        for block in [true, false] {
            let rt = runtime::start(2);
            let stop = Arc::new(AtomicBool::new(false));
            let up = Arc::new(AtomicBool::new(false));
            let h = {
                let (stop, up) = (stop.clone(), up.clone());
                rt.spawn(move || {
                    up.store(true, SeqCst);
                    while !stop.load(SeqCst) {
                        if block {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                    yield_now();
                })
            };
            let parked = rt.spawn(nothing);
            assert!(eventually(|| up.load(SeqCst)));
            let t = Instant::now();
            let e = rt.shutdown_timeout(Duration::from_millis(100)).unwrap_err();
            assert!(t.elapsed() >= Duration::from_millis(100));
            assert_eq!(e.unfinished(), 1);
            let text = e.to_string();
            assert!(text.contains(&format!("goroutine {} ", h.id())), "{text}");
            assert!(text.contains("running"), "{text}");
            assert!(is_cancelled(parked.join()));
            assert!(!h.is_finished());
            // It comes back after all: its runtime ends then.
            stop.store(true, SeqCst);
            assert!(is_cancelled(h.join()));
            assert!(
                eventually(|| support::threads() == threads),
                "{}",
                support::threads()
            );
        }
    });
}

#[test]
fn a_shutdown_in_time_is_ok() {
    for_procs(|rt| {
        rt.spawn(nothing);
        assert!(rt.shutdown_timeout(Duration::from_secs(30)).is_ok());
    });
}
