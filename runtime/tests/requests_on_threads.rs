//! Scopes and timeouts of plain threads. One test, since the default runtime is the process's.

mod support;

use runtime::scope;
use runtime::time::{Elapsed, sleep, timeout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use support::within;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

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

/// Two goroutines of a scope are cut short by a shutdown.
fn two_cut_short(rt: runtime::Runtime) {
    let stop = std::thread::spawn(move || {
        std::thread::sleep(20 * MS);
        drop(rt);
    });
    let cut = catch_unwind(|| {
        scope(|s| {
            for _ in 0..4 {
                s.spawn(|| sleep(HOUR));
            }
            sleep(HOUR);
        })
    });
    assert!(cut.is_err());
    sleep(MS); // nothing is left of it
    stop.join().unwrap();
}

#[test]
fn what_ends_a_thread_s_scope_leaves_nothing_behind() {
    within(Duration::from_secs(20), || {
        let r = timeout(5 * MS, || scope(|_| sleep(HOUR)));
        assert_eq!(r, Err(Elapsed), "without a runtime too");
        for _ in 0..10 {
            let rt = runtime::start(2);
            two_failures();
            let r = timeout(10 * MS, || {
                scope(|s| {
                    s.spawn(|| sleep(HOUR));
                    sleep(HOUR);
                })
            });
            assert_eq!(r, Err(Elapsed));
            two_cut_short(rt);
        }
    });
}
