//! Threads whose goroutines compute are made nicer where CPUs are short, and end when their goroutines leave them.

#[path = "support/exchange.rs"]
mod exchange;
mod support;
#[path = "support/system.rs"]
mod system;

use exchange::exchange;
use runtime::time::sleep;
use runtime::{Builder, Runtime, blocking, go, lock_os_thread, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{eventually, in_child, scale, within_minute};
use system::burn;

const LIMIT: Duration = Duration::from_secs(200);
/// As if CPUs were always short.
const SHORT: [(&str, &str); 1] = [("RUNTIME_DEBUG", "room=always")];

/// The calling thread.
fn me() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() as u32 }
}

fn nice_of(thread: u32) -> i32 {
    // SAFETY: numbers only.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, thread) }
}

fn all_threads() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.parse().unwrap()).collect()
}

/// Computes until the thread has been made nicer than the main one of the process, or for so long; whether it has.
fn compute(limit: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if nice_of(me()) > nice_of(std::process::id()) {
            return true;
        }
    }
    false
}

/// Runs `f` in `rt`, beside goroutines that exchange messages. At the end, all threads are as before.
fn busy_with(rt: Runtime, f: impl FnOnce(&Runtime) + Send) {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    rt.run(|| {
        let all: Vec<_> = (0..4).map(|_| exchange(&stop, &count)).collect();
        f(&rt);
        let usual = nice_of(std::process::id());
        yield_now(); // from such a thread, perhaps
        let nicer = || {
            all_threads()
                .into_iter()
                .any(|thread| nice_of(thread) > usual)
        };
        assert!(eventually(|| !nicer()), "a nicer thread goes on");
        stop.store(true, SeqCst);
        all.into_iter().for_each(|h| h.join().unwrap());
    });
    assert!(count.load(SeqCst) > 0);
}

#[test]
fn who_computes_is_made_nicer_and_leaves_its_thread() {
    in_child(
        "who_computes_is_made_nicer_and_leaves_its_thread",
        &SHORT,
        LIMIT,
        || {
            within_minute(|| {
                busy_with(runtime::start(1), |rt| {
                    for i in 1..=scale(20) as u64 {
                        let thread = me();
                        assert!(compute(Duration::from_secs(10)), "it is as before");
                        yield_now();
                        assert_ne!(me(), thread);
                        assert!(
                            eventually(|| !all_threads().contains(&thread)),
                            "it goes on"
                        );
                        assert!(rt.metrics().lowered >= i);
                    }
                });
            });
        },
    );
}

#[test]
fn who_cannot_leave_its_thread_is_left_as_it_is() {
    in_child(
        "who_cannot_leave_its_thread_is_left_as_it_is",
        &SHORT,
        LIMIT,
        || {
            within_minute(|| {
                busy_with(runtime::start(1), |_| {
                    let lock = lock_os_thread();
                    let thread = me();
                    assert!(!compute(Duration::from_millis(200)));
                    yield_now();
                    assert_eq!(me(), thread);
                    drop(lock);
                    assert!(compute(Duration::from_secs(10)));
                });
                let pinned = Builder::new().procs(1).pin_started(true).build().unwrap();
                busy_with(pinned, |_| assert!(!compute(Duration::from_millis(200))));
            });
        },
    );
}

#[test]
fn without_room_nobody_is_made_nicer() {
    let never = [("RUNTIME_DEBUG", "room=never")];
    in_child("without_room_nobody_is_made_nicer", &never, LIMIT, || {
        within_minute(|| {
            busy_with(runtime::start(1), |rt| {
                assert!(!compute(Duration::from_millis(200)));
                assert_eq!(rt.metrics().lowered, 0);
            });
        });
    });
}

/// It must go on where it is; the thread ends all the same.
#[test]
fn who_unwinds_is_made_nicer() {
    struct Computes;
    impl Drop for Computes {
        fn drop(&mut self) {
            let thread = me();
            assert!(compute(Duration::from_secs(10)));
            sleep(Duration::from_millis(1));
            assert_eq!(me(), thread, "std counts panics per thread");
        }
    }
    in_child("who_unwinds_is_made_nicer", &SHORT, LIMIT, || {
        within_minute(|| {
            busy_with(runtime::start(1), |_| {
                for _ in 0..scale(10) {
                    let unwinds = AssertUnwindSafe(|| {
                        let _computes = Computes;
                        std::panic::resume_unwind(Box::new("why"));
                    });
                    let thread = me();
                    assert!(catch_unwind(unwinds).is_err());
                    assert!(eventually(|| {
                        yield_now();
                        me() != thread
                    }));
                }
            });
        });
    });
}

#[test]
fn a_storm_of_those_who_compute_loses_nothing() {
    in_child(
        "a_storm_of_those_who_compute_loses_nothing",
        &SHORT,
        LIMIT,
        || {
            for (procs, threads) in [(1, 3), (1, 100), (2, 6), (4, 8), (8, 100)] {
                within_minute(move || {
                    let rt = Builder::new()
                        .procs(procs)
                        .max_threads(threads)
                        .build()
                        .unwrap();
                    busy_with(rt, |rt| {
                        let done = Arc::new(AtomicUsize::new(0));
                        let computes = |i: u64, done: &AtomicUsize| {
                            for round in 0..scale(4) as u64 {
                                burn(Duration::from_millis(5 + (i * 7 + round * 13) % 40));
                                match (i + round) % 5 {
                                    0 => yield_now(),
                                    1 => sleep(Duration::from_micros(100)),
                                    2 => _ = go!(|| 1).join().unwrap(),
                                    3 => blocking(|| _ = burn(Duration::from_millis(1))),
                                    _ => drop(lock_os_thread()),
                                }
                                done.fetch_add(1, SeqCst);
                            }
                        };
                        let all: Vec<_> = (0..12)
                            .map(|i| {
                                let done = done.clone();
                                go!(move || computes(i, &done))
                            })
                            .collect();
                        all.into_iter().for_each(|h| h.join().unwrap());
                        assert_eq!(done.load(SeqCst), 12 * scale(4));
                        assert!(procs > 1 || threads < 12 || rt.metrics().lowered > 0);
                    });
                });
            }
        },
    );
}
