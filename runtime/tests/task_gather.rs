//! `gather` and `gather_all`: order, the first failure, cancels and timeouts of who waits.

mod support;

use runtime::park::WaitReason;
use runtime::sync::Semaphore;
use runtime::task::{Target, gather, gather_all, shield};
use runtime::time::{Elapsed, sleep, timeout};
use runtime::{GoroutineState, JoinError, JoinHandle, Runtime, go};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Alive, eventually, scale, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Spawns: into `rt`, or into the caller's own runtime. (On a plain thread that would be the runtime of
/// any test that runs beside this one.)
fn spawn<T: Send + 'static>(
    rt: Option<&Runtime>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match rt {
        Some(rt) => rt.spawn(f),
        None => go!(f),
    }
}

fn after<T: Send + 'static>(rt: Option<&Runtime>, d: Duration, value: T) -> JoinHandle<T> {
    spawn(rt, move || {
        sleep(d);
        value
    })
}

#[test]
fn results_come_in_the_order_of_the_handles() {
    let work = |rt: Option<&Runtime>| {
        let handles = (0..50u64).map(|i| after(rt, Duration::from_micros((i * 7919) % 5000), i));
        assert_eq!(gather(handles).unwrap(), (0..50).collect::<Vec<_>>());
        assert!(gather(Vec::<JoinHandle<()>>::new()).unwrap().is_empty());
        assert!(gather_all(Vec::<JoinHandle<()>>::new()).is_empty());
        // Some have ended before.
        let handles: Vec<_> = (0..10u64)
            .map(|i| after(rt, MS * (i as u32 % 2 * 20), i))
            .collect();
        sleep(5 * MS);
        assert_eq!(gather(handles).unwrap(), (0..10).collect::<Vec<_>>());
    };
    with_procs(|rt| {
        rt.run(|| work(None));
        work(Some(rt)); // on a plain thread
    });
}

#[test]
fn large_results_and_results_with_destructors_arrive() {
    with_procs(|rt| {
        rt.run(|| {
            let alive = Alive::default();
            let handles: Vec<_> = (0..20usize)
                .map(|i| {
                    let token = alive.token();
                    go!(move || ([i; 100], token))
                })
                .collect();
            let results = gather(handles).unwrap();
            assert_eq!(alive.count(), 20);
            assert!(results.iter().enumerate().all(|(i, r)| r.0 == [i; 100]));
            drop(results);
            assert_eq!(alive.count(), 0);
        });
    });
}

#[test]
fn the_first_failure_in_time_is_the_answer_and_the_others_go_on() {
    let work = |rt: Option<&Runtime>| {
        let ended = Arc::new(AtomicUsize::new(0));
        let (gate, opened) = channels::bounded::<()>(0);
        let other = || {
            let (ended, opened) = (ended.clone(), opened.clone());
            spawn(rt, move || {
                assert!(opened.recv().is_err());
                ended.fetch_add(1, Ordering::SeqCst);
            })
        };
        let fail = |late: bool| {
            let opened = opened.clone();
            spawn(rt, move || {
                if late {
                    let _ = opened.recv();
                }
                std::panic::resume_unwind(Box::new(late)); // without a report
            })
        };
        let why = gather([other(), fail(true), fail(false), other()]).unwrap_err();
        assert!(!*why.into_panic().downcast::<bool>().unwrap());
        drop(gate);
        assert!(eventually(|| {
            sleep(MS);
            ended.load(Ordering::SeqCst) == 2
        }));
    };
    with_procs(|rt| {
        rt.run(|| work(None));
        work(Some(rt));
    });
}

#[test]
fn all_results_are_given_with_their_failures() {
    with_procs(|rt| {
        rt.run(|| {
            let cancelled = after(None, HOUR, 1);
            cancelled.cancel();
            let failed = go!(|| -> i32 { std::panic::resume_unwind(Box::new(5u8)) });
            let results = gather_all([
                after(None, MS, 0),
                cancelled,
                failed,
                after(None, 2 * MS, 3),
            ]);
            assert!(matches!(results[0], Ok(0)));
            assert!(matches!(results[1], Err(JoinError::Cancelled)));
            assert!(results[2].as_ref().unwrap_err().is_panic());
            assert!(matches!(results[3], Ok(3)));
        });
    });
}

/// Goroutines that say when they were unwound.
fn sleepers(rt: Option<&Runtime>, n: usize, alive: &Alive) -> Vec<JoinHandle<()>> {
    (0..n)
        .map(|_| {
            let token = alive.token();
            spawn(rt, move || {
                let _token = token;
                sleep(HOUR);
            })
        })
        .collect()
}

#[test]
fn a_timeout_cancels_the_goroutines_and_waits_for_them() {
    let work = |rt: Option<&Runtime>| {
        for all in [false, true] {
            let alive = Alive::default();
            let handles = sleepers(rt, 10, &alive);
            let over = timeout(10 * MS, || match all {
                true => drop(gather_all(handles)),
                false => drop(gather(handles)),
            });
            assert_eq!(over, Err(Elapsed));
            assert_eq!(alive.count(), 0, "they were waited for");
            sleep(MS); // nothing is left of the request
        }
    };
    with_procs(|rt| {
        rt.run(|| work(None));
        work(Some(rt));
    });
}

/// All that wait are claimed before one of them unwinds.
#[test]
fn a_cancelled_goroutine_lets_none_of_the_others_go_on() {
    with_procs(|rt| {
        rt.run(|| {
            for _ in 0..scale(20) {
                let permit = Arc::new(Semaphore::new(1));
                let (holds, waits, went_on) = (
                    permit.clone(),
                    permit.clone(),
                    Arc::new(AtomicBool::new(false)),
                );
                let flag = went_on.clone();
                let mut handles = vec![go!(move || {
                    let _permit = holds.acquire();
                    sleep(HOUR);
                })];
                while permit.available_permits() > 0 {
                    runtime::yield_now();
                }
                handles.extend((0..200).map(|_| go!(|| sleep(HOUR))));
                handles.push(go!(move || {
                    let _permit = waits.acquire();
                    flag.store(true, Ordering::SeqCst);
                }));
                // Who does not wait yet is not claimed, and goes on for a while.
                let waiting = |why, n| {
                    let waits = GoroutineState::Waiting(why);
                    let dump = runtime::dump_without_stacks();
                    dump.goroutines().filter(|g| g.state() == waits).count() == n
                };
                while !waiting(WaitReason::Semacquire, 1) || !waiting(WaitReason::Sleep, 201) {
                    sleep(MS);
                }
                assert_eq!(timeout(MS, || gather(handles)).err(), Some(Elapsed));
                assert!(!went_on.load(Ordering::SeqCst));
            }
        });
    });
}

#[test]
fn a_cancel_is_passed_on_before_during_and_after_the_wait_begins() {
    with_procs(|rt| {
        rt.run(|| {
            for pause in [0, 0, 0, 1, 5, 20, 50, 100, 200, 500, 2000] {
                let alive = Alive::default();
                let a = alive.clone();
                let spawned = Arc::new(AtomicBool::new(false));
                let s = spawned.clone();
                let parent = go!(move || {
                    let handles = sleepers(None, 5, &a);
                    s.store(true, Ordering::SeqCst);
                    gather(handles).is_ok()
                });
                while !spawned.load(Ordering::SeqCst) {
                    runtime::yield_now();
                }
                sleep(Duration::from_micros(pause));
                parent.cancel();
                assert!(matches!(parent.join(), Err(JoinError::Cancelled)));
                assert_eq!(alive.count(), 0);
            }
        });
    });
}

#[test]
fn a_cancel_that_is_there_already_is_passed_on() {
    with_procs(|rt| {
        rt.run(|| {
            let alive = Alive::default();
            let a = alive.clone();
            let go_on = Arc::new(AtomicBool::new(false));
            let g = go_on.clone();
            let parent = go!(move || {
                let handles = sleepers(None, 5, &a);
                while !g.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                gather(handles).is_ok()
            });
            while alive.count() < 5 {
                sleep(MS);
            }
            parent.cancel();
            go_on.store(true, Ordering::SeqCst);
            assert!(matches!(parent.join(), Err(JoinError::Cancelled)));
            assert_eq!(alive.count(), 0);
        });
    });
}

#[test]
fn a_cancel_during_a_gather_of_a_destructor_is_met_when_the_panic_was_caught() {
    struct GathersAtItsEnd(Arc<AtomicBool>);
    impl Drop for GathersAtItsEnd {
        fn drop(&mut self) {
            let child = go!(|| sleep(HOUR));
            self.0.store(true, Ordering::SeqCst);
            assert!(gather([child]).is_err());
        }
    }
    with_procs(|rt| {
        rt.run(|| {
            let unwinding = Arc::new(AtomicBool::new(false));
            let gathers = GathersAtItsEnd(unwinding.clone());
            let h = go!(move || {
                let payload = catch_unwind(AssertUnwindSafe(|| {
                    let _gathers = gathers;
                    resume_unwind(Box::new(5u8));
                }));
                assert_eq!(payload.unwrap_err().downcast_ref(), Some(&5u8));
                sleep(HOUR);
            });
            while !unwinding.load(Ordering::SeqCst) {
                sleep(MS);
            }
            sleep(MS);
            h.cancel();
            let ended = h.join_timeout(20_000 * MS).expect("the cancel was lost");
            assert!(matches!(ended, Err(JoinError::Cancelled)));
        });
    });
}

#[test]
fn what_is_shielded_goes_on() {
    let work = |rt: Option<&Runtime>| {
        let alive = Alive::default();
        let mut handles = sleepers(rt, 3, &alive).into_iter();
        let saved = Arc::new(AtomicBool::new(false));
        let s = saved.clone();
        let (gate, opened) = channels::bounded::<()>(0);
        let saving = spawn(rt, move || {
            assert!(opened.recv().is_err());
            s.store(true, Ordering::SeqCst);
        });
        let targets: [Target<_>; 4] = [
            handles.next().unwrap().into(),
            shield(saving),
            handles.next().unwrap().into(),
            handles.next().unwrap().into(),
        ];
        assert!(timeout(5 * MS, || gather(targets)).is_err());
        assert_eq!(alive.count(), 0);
        assert!(!saved.load(Ordering::SeqCst), "nobody waited for it");
        drop(gate);
        assert!(eventually(|| {
            sleep(MS);
            saved.load(Ordering::SeqCst)
        }));
    };
    with_procs(|rt| {
        rt.run(|| work(None));
        work(Some(rt));
    });
}

#[test]
fn who_does_not_care_for_a_cancel_is_waited_for() {
    with_procs(|rt| {
        rt.run(|| {
            let (begin, begun) = channels::bounded(2);
            let ended = Arc::new(AtomicUsize::new(0));
            let stubborn = [(); 2].map(|()| {
                let (begin, ended) = (begin.clone(), ended.clone());
                go!(move || {
                    begin.send(()).unwrap();
                    while std::panic::catch_unwind(|| sleep(HOUR)).is_ok() {}
                    sleep(20 * MS);
                    ended.fetch_add(1, Ordering::SeqCst);
                })
            });
            begun.recv().unwrap();
            begun.recv().unwrap();
            assert!(timeout(5 * MS, || gather(stubborn)).is_err());
            assert_eq!(ended.load(Ordering::SeqCst), 2);
        });
    });
}

#[test]
fn of_nested_timeouts_the_outermost_wins_also_if_it_comes_second() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            sleep(100 * MS);
        }
    }
    with_procs(|rt| {
        rt.run(|| {
            let (begin, begun) = channels::bounded(1);
            let slow_to_end = go!(move || {
                let _slow = Slow;
                begin.send(()).unwrap();
                sleep(HOUR);
            });
            begun.recv().unwrap();
            let inner_saw = AtomicBool::new(false);
            let outer = timeout(15 * MS, || {
                let inner = timeout(5 * MS, || gather([slow_to_end]).map(drop));
                inner_saw.store(true, Ordering::SeqCst);
                inner.map(drop)
            });
            assert_eq!(outer, Err(Elapsed));
            assert!(!inner_saw.load(Ordering::SeqCst));
            sleep(MS);
        });
    });
}

#[test]
fn scoped_goroutines_are_gathered() {
    with_procs(|rt| {
        rt.run(|| {
            let words = ["a", "bc", "def"];
            let lengths = runtime::scope(|s| {
                let handles: Vec<_> = words.iter().map(|w| s.spawn(move || w.len())).collect();
                gather(handles).unwrap()
            });
            assert_eq!(lengths, [1, 2, 3]);
        });
    });
}

#[test]
fn a_goroutine_cannot_gather_itself() {
    within_minute(|| {
        let rt = runtime::start(2);
        let own = Arc::new(Mutex::new(None::<JoinHandle<()>>));
        let o = own.clone();
        let h = rt.spawn(move || {
            loop {
                let handle = o.lock().unwrap().take();
                if let Some(handle) = handle {
                    drop(gather([handle]));
                }
                sleep(MS);
            }
        });
        let id = h.id();
        *own.lock().unwrap() = Some(h);
        // It panics, and with its handle gone nobody hears of it.
        assert!(eventually(|| rt.num_goroutines() == 0), "{id} waits");
    });
}

#[test]
fn goroutines_of_two_runtimes_and_a_shutdown() {
    within_minute(|| {
        let a = runtime::start(2);
        let b = runtime::start(2);
        let alive = Alive::default();
        let on_a: Vec<_> = (0..5).map(|i| a.spawn(move || i)).collect();
        let on_b: Vec<_> = (5..10).map(|i| b.spawn(move || i)).collect();
        let sum = b.run(|| {
            gather(on_a.into_iter().chain(on_b))
                .unwrap()
                .iter()
                .sum::<i32>()
        });
        assert_eq!(sum, 45);
        for _ in 0..10 {
            let token = alive.token();
            b.spawn(move || {
                let _token = token;
                let _ = gather((0..5).map(|_| go!(|| sleep(HOUR))));
            });
        }
        sleep(5 * MS);
        let start = Instant::now();
        drop(b);
        assert_eq!(alive.count(), 0);
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_thousand_are_gathered_again_and_again() {
    with_procs(|rt| {
        for round in 0..scale(50) {
            let n = 1000;
            let sum: usize = rt.run(move || {
                let handles = (0..n).map(|i| {
                    go!(move || {
                        if (i + round) % 3 == 0 {
                            runtime::yield_now();
                        }
                        i
                    })
                });
                gather(handles).unwrap().into_iter().sum()
            });
            assert_eq!(sum, n * (n - 1) / 2);
        }
    });
}

#[test]
fn timeouts_race_with_ends() {
    with_procs(|rt| {
        rt.run(|| {
            let storms: Vec<_> = (0..4)
                .map(|k| {
                    go!(move || {
                        let mut over = 0;
                        for i in 0..scale(300) as u64 {
                            let d = Duration::from_micros(20 + (i * 13 + k * 7) % 150);
                            let works = (0..5).map(|j| {
                                let w = Duration::from_micros(10 + (i * 31 + j * 29 + k) % 100);
                                after(None, w, j)
                            });
                            match timeout(d, || gather(works)) {
                                Ok(r) => assert_eq!(r.unwrap(), [0, 1, 2, 3, 4]),
                                Err(Elapsed) => over += 1,
                            }
                        }
                        over
                    })
                })
                .collect();
            gather(storms).unwrap();
        });
        assert!(eventually(|| rt.num_goroutines() == 0));
    });
}
