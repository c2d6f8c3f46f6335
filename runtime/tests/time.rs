//! Sleeps, timers, tickers, calls that come later, timeouts: never early, none lost, in order.

mod support;

use runtime::time::{AfterFunc, Elapsed, Ticker, Timer, after_func, sleep, sleep_until, timeout};
use runtime::{JoinError, go};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{eventually, scale, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn sleeps_are_never_early_and_all_end() {
    with_procs(|rt| {
        rt.run(|| {
            let handles: Vec<_> = (0..scale(5000))
                .map(|i| {
                    go!(move || {
                        let d = Duration::from_micros((i as u64 * 7919) % 20_000);
                        let start = Instant::now();
                        sleep(d);
                        assert!(start.elapsed() >= d);
                    })
                })
                .collect();
            handles.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn a_thread_sleeps_too() {
    within_minute(|| {
        let start = Instant::now();
        sleep(20 * MS);
        assert!(start.elapsed() >= 20 * MS);
        sleep_until(start); // has passed
        sleep(Duration::ZERO);
    });
}

#[test]
fn equal_deadlines_keep_their_order() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let begun = Arc::new(Mutex::new(Vec::new()));
            let ended = Arc::new(Mutex::new(Vec::new()));
            let at = Instant::now() + 50 * MS;
            let handles: Vec<_> = (0..100)
                .map(|i| {
                    let (begun, ended) = (begun.clone(), ended.clone());
                    go!(move || {
                        begun.lock().unwrap().push(i);
                        sleep_until(at);
                        ended.lock().unwrap().push(i);
                    })
                })
                .collect();
            handles.into_iter().for_each(|h| h.join().unwrap());
            assert_eq!(*begun.lock().unwrap(), *ended.lock().unwrap());
        });
    });
}

#[test]
fn centuries_are_never_and_can_be_cancelled() {
    with_procs(|rt| {
        rt.run(|| {
            for d in [Duration::MAX, Duration::from_secs(600 * 365 * 86_400), HOUR] {
                let h = go!(move || sleep(d));
                sleep(MS);
                assert!(!h.is_finished());
                assert!(h.cancel());
                assert!(matches!(h.join(), Err(JoinError::Cancelled)));
            }
        });
    });
}

#[test]
fn a_shutdown_ends_sleeps() {
    within_minute(|| {
        let rt = runtime::start(2);
        for _ in 0..100 {
            rt.spawn(|| sleep(HOUR));
        }
        let start = Instant::now();
        drop(rt);
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn hogs_on_every_p_do_not_stop_timers() {
    for procs in [1, 2, 4] {
        within_minute(move || {
            let rt = runtime::start(procs);
            rt.run(|| {
                let stop = Arc::new(AtomicBool::new(false));
                let hogs: Vec<_> = (0..procs)
                    .map(|_| {
                        let stop = stop.clone();
                        go!(move || {
                            while !stop.load(Ordering::Relaxed) {
                                std::hint::spin_loop();
                            }
                        })
                    })
                    .collect();
                let sleeper = go!(|| {
                    for _ in 0..5 {
                        sleep(5 * MS);
                    }
                });
                // The main goroutine blocks its thread, and with it, for a moment, its P.
                assert!(eventually(|| {
                    std::thread::sleep(MS);
                    sleeper.is_finished()
                }));
                stop.store(true, Ordering::Relaxed);
                hogs.into_iter().for_each(|h| h.join().unwrap());
            });
        });
    }
}

#[test]
fn a_timer_beside_a_blocked_thread_is_kept() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let h = go!(|| {
                let start = Instant::now();
                sleep(20 * MS);
                start.elapsed()
            });
            runtime::yield_now();
            std::thread::sleep(300 * MS);
            let slept = h.join().unwrap();
            assert!(
                slept < 200 * MS,
                "slept {slept:?}: waited for the blocked thread"
            );
        });
    });
}

#[test]
fn calls_come_once_and_stopped_ones_never() {
    with_procs(|rt| {
        let calls = Arc::new(AtomicUsize::new(0));
        let n = scale(2000);
        rt.run(|| {
            let timers: Vec<AfterFunc> = (0..n)
                .map(|i| {
                    let calls = calls.clone();
                    let d = Duration::from_micros(i as u64 % 5000);
                    after_func(d, move || {
                        calls.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            let stopped = timers.iter().step_by(3).filter(|t| t.stop()).count();
            assert!(eventually(|| {
                sleep(MS);
                calls.load(Ordering::Relaxed) == n - stopped
            }));
            sleep(10 * MS);
            assert_eq!(calls.load(Ordering::Relaxed), n - stopped);
        });
    });
}

#[test]
fn a_call_can_be_put_off_repeated_and_made_from_threads() {
    within_minute(|| {
        let rt = runtime::start(2);
        let calls = Arc::new(AtomicUsize::new(0));
        let c = calls.clone();
        let start = Instant::now();
        let t = after_func(5 * MS, move || {
            c.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..10 {
            t.reset(20 * MS);
            std::thread::sleep(MS);
        }
        assert!(eventually(|| calls.load(Ordering::Relaxed) == 1));
        assert!(start.elapsed() >= 20 * MS);
        assert!(!t.reset(MS), "it had been made");
        assert!(eventually(|| calls.load(Ordering::Relaxed) == 2));
        assert!(!t.stop());
        assert!(!t.reset(HOUR));
        assert!(t.reset(MS), "to an earlier time");
        assert!(eventually(|| calls.load(Ordering::Relaxed) == 3));
        drop(rt);
    });
}

#[test]
fn what_a_call_captures_is_dropped_once_whatever_becomes_of_it() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    within_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let rt = runtime::start(2);
        let make = |d| {
            let count = Count(drops.clone());
            after_func(d, move || {
                let _ = &count;
            })
        };
        rt.run(|| {
            let t = make(HOUR);
            assert!(t.stop());
            assert_eq!(drops.load(Ordering::SeqCst), 0, "it may be set again");
            drop(t);
            assert_eq!(drops.load(Ordering::SeqCst), 1);
            drop(make(MS)); // called, without a handle
            assert!(eventually(|| {
                sleep(MS);
                drops.load(Ordering::SeqCst) == 2
            }));
            let t = make(MS);
            sleep(20 * MS);
            drop(t);
            assert!(eventually(|| drops.load(Ordering::SeqCst) == 3));
            drop(make(HOUR)); // still to come at the end
        });
        drop(rt);
        assert_eq!(drops.load(Ordering::SeqCst), 4);
    });
}

#[test]
fn timers_have_no_stale_values() {
    with_procs(|rt| {
        rt.run(|| {
            for _ in 0..20 {
                let t = Timer::new(MS);
                std::thread::sleep(2 * MS); // due
                assert!(t.stop(), "not received, so never");
                assert_eq!(t.try_wait(), None);
                assert!(!t.reset(HOUR));
                assert_eq!(t.try_wait(), None);
                assert!(t.reset(MS));
                assert!(t.wait().is_some());
                assert_eq!(t.try_wait(), None, "once");
            }
        });
    });
}

#[test]
fn a_waiter_follows_a_timer_that_is_set_anew() {
    with_procs(|rt| {
        rt.run(|| {
            let t = Timer::new(HOUR);
            let waiter = {
                let t = t.clone();
                go!(move || t.wait())
            };
            sleep(5 * MS);
            t.stop();
            sleep(5 * MS);
            assert!(!waiter.is_finished());
            t.reset(2 * MS);
            assert!(waiter.join().unwrap().is_some());
        });
    });
}

#[test]
fn a_ticker_keeps_its_rhythm_and_drops_what_is_late() {
    with_procs(|rt| {
        rt.run(|| {
            let start = Instant::now();
            let ticker = Ticker::new(5 * MS);
            let first = ticker.wait().unwrap();
            assert!(first >= start + 5 * MS);
            sleep(52 * MS);
            let late = ticker.wait().unwrap(); // the one that waited
            let next = ticker.wait().unwrap();
            assert!(next > late);
            let phase = (next - first).as_nanos() % (5 * MS).as_nanos();
            assert!(
                !(1000..=4_999_000).contains(&phase),
                "out of step by {phase} ns"
            );
            ticker.stop();
            assert!(timeout(20 * MS, || ticker.wait()).is_err());
        });
    });
}

#[test]
fn timeouts_end_waits_and_run_destructors() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let work = || {
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Flag(dropped.clone());
        let start = Instant::now();
        let result = timeout(10 * MS, move || {
            let _flag = flag;
            sleep(HOUR);
        });
        assert_eq!(result, Err(Elapsed));
        assert!(start.elapsed() >= 10 * MS);
        assert!(dropped.load(Ordering::SeqCst));
        assert_eq!(timeout(HOUR, || 5), Ok(5));
        // Whoever comes after is not hit by what is left of it.
        sleep(5 * MS);
    };
    within_minute(work);
    with_procs(|rt| rt.run(work));
}

#[test]
fn the_outermost_timeout_that_is_over_wins() {
    let work = || {
        let inner_saw = AtomicBool::new(false);
        let outer = timeout(5 * MS, || {
            let inner = timeout(HOUR, || sleep(HOUR));
            inner_saw.store(true, Ordering::SeqCst);
            inner
        });
        assert_eq!(outer, Err(Elapsed));
        assert!(!inner_saw.load(Ordering::SeqCst));
        let outer = timeout(HOUR, || {
            let inner = timeout(2 * MS, || sleep(HOUR));
            assert_eq!(inner, Err(Elapsed));
            sleep(MS);
            7
        });
        assert_eq!(outer, Ok(7));
    };
    within_minute(work);
    with_procs(|rt| rt.run(work));
}

#[test]
fn short_timeouts_that_race_with_their_work_hurt_nobody() {
    with_procs(|rt| {
        rt.run(|| {
            let handles: Vec<_> = (0..8)
                .map(|k| {
                    go!(move || {
                        let mut over = 0;
                        for i in 0..scale(500) as u64 {
                            let d = Duration::from_micros(20 + (i * 13 + k * 7) % 80);
                            let work = Duration::from_micros(20 + (i * 31 + k * 11) % 80);
                            over += usize::from(timeout(d, || sleep(work)).is_err());
                        }
                        sleep(MS); // must not be cut short by what was left
                        over
                    })
                })
                .collect();
            for h in handles {
                h.join().unwrap();
            }
        });
    });
}

#[test]
fn a_million_timers_are_kept() {
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let n = scale(1_000_000);
            let timers: Vec<_> = (0..n)
                .map(|i| {
                    let d = HOUR
                        + Duration::from_nanos(
                            (i as u64).wrapping_mul(0x9E37_79B9) % 1_000_000_000,
                        );
                    after_func(d, || unreachable!())
                })
                .collect();
            let start = Instant::now();
            sleep(MS);
            assert!(start.elapsed() < Duration::from_secs(5));
            assert_eq!(timers.iter().filter(|t| t.stop()).count(), n);
        });
    });
}

#[test]
fn calls_whose_handle_is_dropped_at_once_are_made() {
    for procs in support::PROCS {
        within_minute(move || {
            let rt = runtime::start(procs);
            let made = Arc::new(AtomicUsize::new(0));
            let n = scale(20_000);
            let made_here = made.clone();
            // Handles are dropped at all times: before the call is due, when it is, and later.
            let start = move || {
                let mut handles = Vec::new();
                for i in 0..n {
                    let made = made_here.clone();
                    let call = move || _ = made.fetch_add(1, Ordering::Relaxed);
                    handles.push(after_func(Duration::from_micros(i as u64 % 3), call));
                    if i % 7 == 0 {
                        runtime::yield_now();
                    }
                    if i % 16 == 0 {
                        handles.clear();
                    }
                }
            };
            let other = rt.spawn(start.clone());
            rt.run(start);
            other.join().unwrap();
            let all = || made.load(Ordering::Relaxed) == 2 * n;
            assert!(eventually(all), "{made:?} of {}", 2 * n);
        });
    }
}
