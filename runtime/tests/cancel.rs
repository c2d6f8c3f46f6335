//! Cancel requests: what is parked unwinds, what runs meets it at its next wait, what has not started
//! never does; destructors run; a scope ends with its first failure.

mod support;

use runtime::time::{sleep, timeout};
use runtime::{JoinError, go, scope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{eventually, scale, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Says when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn flag() -> (Flag, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    (Flag(dropped.clone()), dropped)
}

fn is_cancelled<T>(result: Result<T, JoinError>) -> bool {
    matches!(result, Err(JoinError::Cancelled))
}

#[test]
fn whatever_a_goroutine_waits_for_a_cancel_unwinds_it() {
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = channels::bounded::<u32>(0);
            let (full, _full_rx) = channels::bounded::<u32>(1);
            full.send(1).unwrap();
            let (done, dropped) = flag();
            let sleeper = go!(move || {
                let _done = done;
                sleep(HOUR);
            });
            let receiver = {
                let rx = rx.clone();
                go!(move || rx.recv().unwrap())
            };
            let sender = go!(move || full.send(2).unwrap());
            let nil = go!(|| channels::Receiver::<u32>::nil().recv().unwrap());
            let joiner = go!(|| go!(|| sleep(HOUR)).join().unwrap());
            let scoped = go!(|| scope(|s| {
                s.spawn(|| sleep(HOUR));
                s.spawn(|| sleep(HOUR));
            }));
            sleep(5 * MS);
            assert!(sleeper.cancel());
            assert!(receiver.cancel() && sender.cancel() && nil.cancel());
            assert!(joiner.cancel() && scoped.cancel());
            assert!(is_cancelled(sleeper.join()) && dropped.load(Ordering::SeqCst));
            assert!(is_cancelled(receiver.join()) && is_cancelled(sender.join()));
            assert!(is_cancelled(nil.join()) && is_cancelled(joiner.join()));
            assert!(is_cancelled(scoped.join()));
            // The channels are in order: nobody waits there any more.
            assert!(tx.try_send(1).is_err());
            let h = go!(move || rx.recv().unwrap());
            tx.send(9).unwrap();
            assert_eq!(h.join().unwrap(), 9);
        });
    });
}

#[test]
fn one_that_has_not_started_never_does() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let (done, dropped) = flag();
            let h = {
                let ran = ran.clone();
                go!(move || {
                    let _done = done;
                    ran.store(true, Ordering::SeqCst);
                })
            };
            assert!(h.cancel());
            assert!(is_cancelled(h.join()));
            assert!(!ran.load(Ordering::SeqCst) && dropped.load(Ordering::SeqCst));
        });
    });
}

#[test]
fn one_that_runs_meets_it_at_its_next_wait() {
    with_procs(|rt| {
        rt.run(|| {
            let go_on = Arc::new(AtomicBool::new(false));
            let h = {
                let go_on = go_on.clone();
                go!(move || {
                    while !go_on.load(Ordering::SeqCst) {
                        std::thread::sleep(MS);
                    }
                    sleep(HOUR);
                })
            };
            let quick = go!(|| 5);
            sleep(5 * MS);
            assert!(h.cancel());
            assert!(!quick.cancel(), "too late");
            assert_eq!(quick.join().unwrap(), 5);
            assert!(!h.is_finished());
            go_on.store(true, Ordering::SeqCst);
            assert!(is_cancelled(h.join()));
        });
    });
}

#[test]
fn one_that_never_waits_finishes_as_if_nothing_had_been_asked() {
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let h = go!(|| {
                std::thread::sleep(30 * MS);
                7
            });
            sleep(5 * MS);
            assert!(h.cancel());
            assert_eq!(h.join().unwrap(), 7);
        });
    });
}

#[test]
fn destructors_wait_undisturbed_by_the_cancel_that_runs_them() {
    struct Says(channels::Sender<u32>);
    impl Drop for Says {
        fn drop(&mut self) {
            for n in 0..10 {
                self.0.send(n).unwrap(); // waits, each time
                sleep(MS);
            }
        }
    }
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = channels::bounded(0);
            let (begun, began) = channels::bounded(1);
            let h = go!(move || {
                let _says = Says(tx);
                begun.send(()).unwrap();
                sleep(HOUR);
            });
            began.recv().unwrap();
            h.cancel();
            assert_eq!(rx.iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            assert!(is_cancelled(h.join()));
        });
    });
}

#[test]
fn one_that_catches_it_goes_on_and_can_be_cancelled_again() {
    with_procs(|rt| {
        rt.run(|| {
            let caught = Arc::new(AtomicUsize::new(0));
            let h = {
                let caught = caught.clone();
                go!(move || {
                    let _ = catch_unwind(AssertUnwindSafe(|| sleep(HOUR)));
                    caught.fetch_add(1, Ordering::SeqCst);
                    sleep(2 * MS); // not hit
                    caught.fetch_add(1, Ordering::SeqCst);
                    sleep(HOUR);
                })
            };
            sleep(2 * MS);
            assert!(h.cancel());
            assert!(eventually(|| {
                sleep(MS);
                caught.load(Ordering::SeqCst) == 2
            }));
            assert!(h.cancel());
            assert!(is_cancelled(h.join()));
        });
    });
}

#[test]
fn a_yield_is_a_place_to_end() {
    with_procs(|rt| {
        rt.run(|| {
            let handles: Vec<runtime::JoinHandle<()>> = (0..3)
                .map(|_| {
                    go!(|| {
                        loop {
                            runtime::yield_now();
                        }
                    })
                })
                .collect();
            sleep(2 * MS);
            for h in handles {
                h.cancel();
                assert!(is_cancelled(h.join()));
            }
        });
    });
}

#[test]
fn one_that_is_asked_to_let_others_run_ends_there() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            // Never waits, and takes all of the only P, as long as nobody else wants it.
            let busy: runtime::JoinHandle<()> = go!(|| {
                let (_tx, rx) = channels::unbounded::<u8>();
                loop {
                    let _ = rx.try_recv();
                }
            });
            sleep(2 * MS);
            busy.cancel();
            assert!(is_cancelled(busy.join()));
        });
    });
}

/// Cancels at random moments of a goroutine that sends, receives, sleeps and joins without end: every
/// value is received once or comes back, and nothing hangs.
#[test]
fn a_cancel_at_any_point_of_a_channel_operation_loses_no_value() {
    with_procs(|rt| {
        rt.run(|| {
            for round in 0..scale(400) as u64 {
                let cap = (round % 3) as usize;
                let (tx, rx) = channels::bounded::<u64>(cap);
                let sent = Arc::new(AtomicUsize::new(0));
                let got = Arc::new(AtomicUsize::new(0));
                let workers: Vec<_> = (0..2)
                    .map(|_| {
                        let (tx, sent) = (tx.clone(), sent.clone());
                        go!(move || {
                            loop {
                                tx.send(1).unwrap();
                                sent.fetch_add(1, Ordering::SeqCst);
                            }
                        })
                    })
                    .chain((0..2).map(|_| {
                        let (rx, got) = (rx.clone(), got.clone());
                        go!(move || {
                            loop {
                                rx.recv().unwrap();
                                got.fetch_add(1, Ordering::SeqCst);
                            }
                        })
                    }))
                    .collect();
                for _ in 0..round % 7 {
                    runtime::yield_now();
                }
                sleep(Duration::from_micros(round * 37 % 300));
                let n = workers.len();
                for i in 0..n {
                    workers[(i + round as usize) % n].cancel();
                }
                for h in workers {
                    let h: runtime::JoinHandle<()> = h;
                    assert!(is_cancelled(h.join()));
                }
                let left = rx.try_iter().count();
                assert_eq!(
                    sent.load(Ordering::SeqCst),
                    got.load(Ordering::SeqCst) + left,
                    "round {round}, capacity {cap}"
                );
                let (a, b) = (tx.clone(), rx.clone());
                let h = go!(move || a.send(5).unwrap());
                assert_eq!(b.recv(), Ok(5));
                h.join().unwrap();
            }
        });
    });
}

#[test]
fn cancels_of_finishing_goroutines_hit_nobody_else() {
    with_procs(|rt| {
        rt.run(|| {
            let mut cancelled = 0;
            for i in 0..scale(20_000) {
                // The G of a short one is reused at once by an innocent.
                let h = go!(move || {
                    if i % 3 == 0 {
                        runtime::yield_now();
                    }
                });
                if i % 2 == 0 {
                    runtime::yield_now();
                }
                h.cancel();
                cancelled += usize::from(is_cancelled(h.join()));
                let innocent = go!(runtime::yield_now());
                innocent.join().unwrap();
            }
            assert!(cancelled > 0);
        });
    });
}

#[test]
fn one_failure_ends_a_scope() {
    let work = || {
        let start = Instant::now();
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        struct Count<'a>(&'a AtomicUsize);
        impl Drop for Count<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                for _ in 0..10 {
                    s.spawn(|| {
                        begun.fetch_add(1, Ordering::SeqCst);
                        let _count = Count(&ended);
                        sleep(HOUR);
                    });
                }
                s.spawn(|| {
                    sleep(5 * MS);
                    panic!("on purpose");
                });
                sleep(HOUR); // what the scope's own body waits for ends too
                unreachable!();
            })
        }));
        let payload = result.unwrap_err();
        let text = payload.downcast_ref::<&str>().unwrap();
        assert!(text.contains("a goroutine of the scope panicked"), "{text}");
        assert_eq!(
            begun.load(Ordering::SeqCst),
            ended.load(Ordering::SeqCst),
            "nothing outlives the scope"
        );
        assert!(start.elapsed() < Duration::from_secs(10));
        sleep(2 * MS); // nothing is left of it
    };
    with_procs(|rt| rt.run(work));
}

#[test]
fn a_panic_that_is_joined_fails_no_scope() {
    with_procs(|rt| {
        rt.run(|| {
            let n = scope(|s| {
                let other = s.spawn(|| {
                    sleep(10 * MS);
                    3
                });
                let bad = s.spawn(|| panic!("on purpose"));
                let bad: runtime::ScopedJoinHandle<'_, ()> = bad;
                assert!(bad.join().unwrap_err().is_panic());
                other.join().unwrap()
            });
            assert_eq!(n, 3);
        });
    });
}

#[test]
fn a_scope_can_cancel_its_goroutines() {
    with_procs(|rt| {
        rt.run(|| {
            scope(|s| {
                let hs: Vec<_> = (0..100).map(|_| s.spawn(|| sleep(HOUR))).collect();
                sleep(MS);
                s.cancel();
                for h in hs {
                    assert!(is_cancelled(h.join()));
                }
                assert!(
                    is_cancelled(s.spawn(|| 1).join()),
                    "those that come later too"
                );
            });
        });
    });
}

#[test]
fn a_timeout_around_a_scope_ends_its_goroutines_first() {
    let work = || {
        let inside = AtomicIsize::new(0);
        let r = timeout(10 * MS, || {
            scope(|s| {
                for _ in 0..5 {
                    s.spawn(|| {
                        struct Inside<'a>(&'a AtomicIsize);
                        impl Drop for Inside<'_> {
                            fn drop(&mut self) {
                                self.0.fetch_sub(1, Ordering::SeqCst);
                            }
                        }
                        inside.fetch_add(1, Ordering::SeqCst);
                        let _inside = Inside(&inside);
                        sleep(HOUR);
                    });
                }
            })
        });
        assert!(r.is_err());
        assert_eq!(inside.load(Ordering::SeqCst), 0);
    };
    with_procs(|rt| rt.run(work));
}

#[test]
fn scopes_that_fail_while_they_are_cancelled_and_timed_out_end_all_the_same() {
    with_procs(|rt| {
        rt.run(|| {
            for round in 0..scale(300) as u64 {
                let h = go!(move || {
                    timeout(Duration::from_micros(round * 17 % 400), || {
                        scope(|s| {
                            for k in 0..4u64 {
                                s.spawn(move || {
                                    sleep(Duration::from_micros((round * 31 + k * 57) % 500));
                                    if (round + k) % 3 == 0 {
                                        std::panic::resume_unwind(Box::new("quietly"));
                                    }
                                    sleep(Duration::from_micros((round * 13 + k * 7) % 300));
                                });
                            }
                            sleep(Duration::from_micros(round * 41 % 600));
                        })
                    })
                });
                sleep(Duration::from_micros(round * 23 % 500));
                h.cancel();
                let _ = h.join(); // any of the ends will do
            }
        });
        assert!(eventually(|| rt.num_goroutines() == 0));
    });
}
