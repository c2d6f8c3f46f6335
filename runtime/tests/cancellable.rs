//! Work that is told to end: once, whoever tells it and however often, and nothing after it.

mod support;

use runtime::time::{sleep, timeout};
use runtime::{Cancelled, cancellable, go, scope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use support::{scale, with_procs};

const HOUR: Duration = Duration::from_secs(3600);

/// Waits, to be interrupted if something is left over.
#[track_caller]
fn assert_waits_well() {
    let (tx, rx) = channels::bounded(0);
    go!(move || tx.send(1).unwrap());
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn a_canceller_works_from_anywhere_and_at_any_time() {
    let work = || {
        for _ in 0..scale(500) {
            let mut kept = None;
            let result = cancellable(|work| {
                kept = Some(work.clone());
                let (other, again) = (work.clone(), work);
                go!(move || other.cancel());
                std::thread::spawn(move || again.cancel());
                sleep(HOUR);
            });
            assert!(result.is_err());
            assert!(!kept.unwrap().cancel(), "it is over");
            assert_waits_well();
        }
    };
    with_procs(|rt| rt.run(work));
}

#[test]
fn work_can_tell_itself() {
    with_procs(|rt| {
        rt.run(|| {
            let result = cancellable(|work| {
                assert!(work.cancel() && work.cancel());
                runtime::yield_now();
                sleep(HOUR);
            });
            assert_eq!(result, Err(Cancelled));
            let result = cancellable(|work| work.cancel());
            assert_eq!(result, Ok(true), "it does not wait");
            assert_waits_well();
        });
    });
}

#[test]
fn many_that_fail_at_once_end_their_scope_and_no_later_wait() {
    with_procs(|rt| {
        for _ in 0..scale(300) {
            rt.run(|| {
                let failed = catch_unwind(AssertUnwindSafe(|| {
                    scope(|s| {
                        for _ in 0..4 {
                            s.spawn(|| std::panic::resume_unwind(Box::new("lost")));
                        }
                        sleep(HOUR);
                    });
                }));
                assert!(failed.is_err());
                assert_waits_well();
            });
        }
    });
}

#[test]
fn frames_of_all_kinds_end_at_once() {
    with_procs(|rt| {
        for round in 0..scale(2000) as u64 {
            rt.run(|| {
                let d = Duration::from_micros(round % 50);
                let outer = cancellable(|outer| {
                    let inner = timeout(d, || {
                        cancellable(|inner| {
                            go!(move || {
                                inner.cancel();
                                outer.cancel();
                            });
                            sleep(HOUR);
                        })
                    });
                    sleep(HOUR); // the outer one ends, sooner or later
                    inner
                });
                assert_eq!(outer.map(|_| ()), Err(Cancelled));
                assert_waits_well();
            });
        }
    });
}
