//! What cancels, timeouts and failing scopes leave behind, and what they must not forget.

mod support;

use runtime::time::{Elapsed, sleep, timeout};
use runtime::{JoinError, go, scope};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::within;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn short<T: Send + 'static>(f: impl FnOnce() -> T) -> T {
    within(Duration::from_secs(10), f)
}

/// Calls its closure when it is dropped.
struct Then<F: FnMut()>(F);

impl<F: FnMut()> Drop for Then<F> {
    fn drop(&mut self) {
        (self.0)()
    }
}

#[test]
fn a_timeout_that_meets_the_body_of_a_scope_ends_its_goroutines() {
    short(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let start = Instant::now();
            let r = timeout(10 * MS, || {
                scope(|s| {
                    s.spawn(|| sleep(HOUR));
                    sleep(HOUR);
                })
            });
            assert_eq!(r, Err(Elapsed));
            assert!(start.elapsed() < Duration::from_secs(5));
        });
    });
}

#[test]
fn a_cancel_that_meets_the_body_of_a_scope_ends_its_goroutines() {
    short(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let h = go!(|| scope(|s| {
                s.spawn(|| sleep(HOUR));
                sleep(HOUR);
            }));
            sleep(5 * MS);
            h.cancel();
            assert!(matches!(h.join(), Err(JoinError::Cancelled)));
        });
    });
}

fn two_failures() {
    let failed = catch_unwind(AssertUnwindSafe(|| {
        scope(|s| {
            s.spawn(|| {
                sleep(5 * MS);
                resume_unwind(Box::new("first"));
            });
            s.spawn(|| {
                std::thread::sleep(20 * MS);
                resume_unwind(Box::new("second"));
            });
        })
    }));
    assert!(failed.is_err());
    sleep(MS); // nothing is left of it
}

#[test]
fn a_scope_with_two_failures_leaves_nothing_behind() {
    short(|| {
        let rt = runtime::start(2);
        let h = rt.spawn(two_failures);
        h.join().unwrap();
    });
}

#[test]
fn an_outer_timeout_is_not_forgotten_while_an_inner_one_unwinds() {
    let work = || {
        let start = Instant::now();
        let r = timeout(30 * MS, || {
            let inner = timeout(10 * MS, || {
                let _then = Then(|| sleep(60 * MS));
                sleep(HOUR);
            });
            assert_eq!(inner, Err(Elapsed));
            sleep(HOUR);
        });
        assert_eq!(r, Err(Elapsed));
        assert!(start.elapsed() < Duration::from_secs(5));
    };
    short(move || {
        let rt = runtime::start(2);
        rt.run(work);
    });
    short(work);
}

#[test]
fn a_cancel_is_not_forgotten_while_a_panic_is_caught() {
    short(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let h = go!(|| {
                let _ = catch_unwind(|| {
                    let _then = Then(|| sleep(50 * MS));
                    resume_unwind(Box::new("on purpose"));
                });
                sleep(HOUR);
            });
            sleep(10 * MS);
            h.cancel();
            assert!(matches!(h.join(), Err(JoinError::Cancelled)));
        });
    });
}

#[test]
fn a_timeout_is_not_forgotten_while_a_scope_s_panic_is_caught() {
    let work = || {
        let r = timeout(10 * MS, || {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    s.spawn(|| std::thread::sleep(30 * MS));
                    resume_unwind(Box::new("on purpose"));
                })
            }));
            sleep(HOUR);
        });
        assert_eq!(r, Err(Elapsed));
    };
    short(move || {
        let rt = runtime::start(2);
        rt.run(work);
    });
}

/// The failure asks the siblings once; their destructors then wait undisturbed.
#[test]
fn destructors_of_siblings_wait_undisturbed_by_the_failure_that_runs_them() {
    short(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let slept = Arc::new(AtomicUsize::new(0));
            let s2 = slept.clone();
            let (begun, began) = channels::bounded(1);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    s.spawn(move || {
                        let _then = Then(move || {
                            for _ in 0..3 {
                                let start = Instant::now();
                                sleep(10 * MS);
                                let full = start.elapsed() >= 10 * MS;
                                s2.fetch_add(usize::from(full), Ordering::SeqCst);
                            }
                        });
                        begun.send(()).unwrap();
                        sleep(HOUR);
                    });
                    began.recv().unwrap();
                    s.spawn(|| {
                        sleep(5 * MS);
                        resume_unwind(Box::new("on purpose"));
                    });
                    s.spawn(|| {
                        std::thread::sleep(15 * MS);
                        resume_unwind(Box::new("on purpose too"));
                    });
                })
            }));
            assert_eq!(slept.load(Ordering::SeqCst), 3);
        });
    });
}

#[test]
fn a_thread_that_yields_in_a_timeout_ends() {
    short(|| {
        let r = timeout(10 * MS, || {
            loop {
                runtime::yield_now();
            }
        });
        let r: Result<(), Elapsed> = r;
        assert_eq!(r, Err(Elapsed));
    });
}

/// Two timeouts that fire together, on several Ps.
#[test]
fn timeouts_that_fire_together_leave_nothing_behind() {
    within(Duration::from_secs(60), || {
        let rt = runtime::start(4);
        rt.run(|| {
            let hs: Vec<_> = (0..8u64)
                .map(|k| {
                    go!(move || {
                        for i in 0..support::scale(3000) as u64 {
                            let d = Duration::from_micros(30 + (i * 7 + k * 13) % 40);
                            let _ = timeout(d, || {
                                let _ = timeout(d, || sleep(HOUR));
                                sleep(HOUR);
                            });
                            sleep(Duration::from_micros(1));
                        }
                    })
                })
                .collect();
            for h in hs {
                h.join().unwrap();
            }
        });
    });
}

#[test]
fn a_scope_can_be_cancelled_before_any_runtime_runs() {
    // In a process of its own: no runtime has run there.
    support::in_child(
        "a_scope_can_be_cancelled_before_any_runtime_runs",
        &[],
        Duration::from_secs(10),
        || scope(|s| s.cancel()),
    );
}
