//! Timers that plain threads set, which belong to the default runtime. One test, since that is the
//! process's: it is gone when the runtime that started first is.

mod support;

use runtime::time::after_func;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{eventually, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn threads_set_timers() {
    a_call_can_be_put_off_repeated_and_made();
    a_timer_that_outlives_its_runtime_can_be_set_anew_in_the_next();
}

fn a_call_can_be_put_off_repeated_and_made() {
    within_minute(|| {
        let rt = runtime::start(2);
        let calls = Arc::new(AtomicUsize::new(0));
        let c = calls.clone();
        let start = Instant::now();
        let t = after_func(5 * MS, move || {
            c.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..10 {
            // (A thread that is held up for as long finds that the call was made.)
            if !t.reset(20 * MS) {
                calls.fetch_sub(1, Ordering::Relaxed);
            }
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

fn a_timer_that_outlives_its_runtime_can_be_set_anew_in_the_next() {
    within_minute(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let c = calls.clone();
        let rt = runtime::start(1);
        let t = after_func(50 * MS, move || {
            c.fetch_add(1, Ordering::SeqCst);
        });
        drop(rt);
        assert!(catch_unwind(AssertUnwindSafe(|| t.reset(20 * MS))).is_err());
        let _rt = runtime::start(1);
        assert!(!t.reset(100 * MS), "it was lost with its runtime");
        assert!(eventually(|| calls.load(Ordering::SeqCst) == 1));
    });
}
