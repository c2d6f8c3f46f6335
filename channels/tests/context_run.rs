//! Work that runs under a context: its waits end with it, and no others.

#[path = "../../runtime/tests/support/mod.rs"]
mod support;

use channels::context::{Context, ContextError};
use runtime::time::{Elapsed, sleep, timeout};
use runtime::{JoinError, go};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Alive, alone, everywhere, scale, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A context that is cancelled from elsewhere, soon.
fn soon() -> Context {
    let (ctx, cancel) = Context::background().with_cancel();
    go!(move || {
        sleep(MS);
        cancel.cancel();
    });
    ctx
}

#[test]
fn every_wait_is_cut_short_and_destructors_run() {
    everywhere(|| {
        let alive = Alive::default();
        let (tx, rx) = channels::bounded::<i32>(0);
        let waits: [&dyn Fn(); 5] = [
            &|| _ = rx.recv(),
            &|| _ = tx.send(1),
            &|| sleep(HOUR),
            &|| _ = go!(|| sleep(10 * MS)).join(),
            &|| _ = channels::Receiver::<i32>::nil().recv(),
        ];
        for wait in waits {
            let result = soon().run(|| {
                let _token = alive.token();
                wait();
                sleep(HOUR);
            });
            assert_eq!(result, Err(ContextError::Canceled));
            assert_eq!(alive.count(), 0);
        }
        assert!(rx.try_recv().is_err(), "no sender was left behind");
    });
}

#[test]
fn deadlines_cut_short_too() {
    everywhere(|| {
        let (ctx, _cancel) = Context::background().with_timeout(2 * MS);
        let result = ctx.run(|| sleep(HOUR));
        assert_eq!(result, Err(ContextError::DeadlineExceeded));
        assert_eq!(
            ctx.run(|| unreachable!()),
            Err::<(), _>(ContextError::DeadlineExceeded)
        );
    });
}

#[test]
fn work_that_waits_no_more_is_done() {
    everywhere(|| {
        let (ctx, cancel) = Context::background().with_cancel();
        let value = ctx.run(|| {
            cancel.cancel();
            7
        });
        assert_eq!(value, Ok(7));
        sleep(MS); // what was asked of the work is not asked of us
        assert_eq!(Context::todo().run(|| 1), Ok(1));
    });
}

#[test]
fn a_later_end_cuts_nothing() {
    everywhere(|| {
        let (ctx, cancel) = Context::background().with_cancel();
        assert_eq!(ctx.run(|| 1), Ok(1));
        cancel.cancel();
        sleep(MS);
        let (tx, rx) = channels::bounded(0);
        go!(move || tx.send(5).unwrap());
        assert_eq!(rx.recv(), Ok(5));
    });
}

#[test]
fn the_outermost_that_ends_wins() {
    everywhere(|| {
        let outer = soon();
        let (inner, _cancel) = outer.with_cancel();
        let mut came_back = false;
        let result = outer.run(|| {
            let result = inner.run(|| sleep(HOUR));
            came_back = true;
            result
        });
        assert_eq!(result, Err(ContextError::Canceled));
        assert!(!came_back);

        let (outer, _cancel) = Context::background().with_cancel();
        let (inner, cancel) = outer.with_cancel();
        go!(move || cancel.cancel());
        let result = outer.run(|| {
            let result = inner.run(|| sleep(HOUR));
            sleep(MS);
            result
        });
        assert_eq!(result, Ok(Err(ContextError::Canceled)));

        let timed = timeout(MS, || outer.run(|| sleep(HOUR)));
        assert_eq!(timed, Err(Elapsed));
        let timed = soon().run(|| timeout(HOUR, || sleep(HOUR)));
        assert_eq!(timed, Err(ContextError::Canceled));
    });
}

#[test]
fn panics_and_cancels_of_goroutines_pass() {
    everywhere(|| {
        let (ctx, cancel) = Context::background().with_cancel();
        let result = catch_unwind(AssertUnwindSafe(|| ctx.run(|| panic!("on purpose"))));
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"on purpose"));
        let h = go!(move || ctx.run(|| sleep(HOUR)));
        sleep(MS);
        h.cancel();
        assert!(matches!(h.join(), Err(JoinError::Cancelled)));
        cancel.cancel();
    });
}

#[test]
fn a_shutdown_goes_through() {
    let _alone = alone();
    within_minute(|| {
        let alive = Alive::default();
        let rt = runtime::start(2);
        for _ in 0..20 {
            let token = alive.token();
            rt.spawn(move || {
                let _token = token;
                let (ctx, _cancel) = Context::background().with_timeout(HOUR);
                let _ = ctx.run(|| sleep(HOUR));
                unreachable!("it is unwound");
            });
        }
        std::thread::sleep(5 * MS);
        drop(rt);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_storm_of_ends_cuts_what_it_should() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let cut = Arc::new(AtomicUsize::new(0));
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let cut = cut.clone();
                    go!(move || {
                        for round in 0..scale(2000) {
                            let (ctx, cancel) = Context::background().with_cancel();
                            let (tx, rx) = channels::bounded::<usize>(0);
                            let other = ctx.clone();
                            let canceller = go!(move || {
                                if (round + worker) % 3 == 0 {
                                    let _ = other.run(|| tx.send(round));
                                }
                                cancel.cancel();
                            });
                            match ctx.run(|| rx.recv().ok()) {
                                Ok(Some(n)) => assert_eq!(n, round),
                                Ok(None) => {} // its sender was dropped first
                                Err(e) => {
                                    assert_eq!(e, ContextError::Canceled);
                                    cut.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                            canceller.join().unwrap(); // and this wait is not cut
                        }
                    })
                })
                .collect();
            workers.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}
