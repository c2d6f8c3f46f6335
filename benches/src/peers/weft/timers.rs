//! Sleeping and timers, on this runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runtime::time::{Timer, after_func, sleep};
use runtime::{go, yield_now};

use super::super::Pass;
use super::super::sleeps::{self, LATENESS_SLEEPERS, LONG_TIMER, SHORT_SLEEP};
use super::{Countdown, join};

pub(super) fn sleepers(n: usize) -> Pass {
    let (countdown, signal) = Countdown::leaked(n);
    let slept = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    for i in 0..n {
        let slept = Arc::clone(&slept);
        go!(move || {
            let millis = sleeps::sleepers_millis(i);
            sleep(Duration::from_millis(millis));
            slept.fetch_add(millis, Ordering::Relaxed);
            countdown.one_done();
        });
    }
    signal.recv().expect("the last one sends");
    let pass = Pass::since(start, n);
    sleeps::check_sleepers(n, slept.load(Ordering::Relaxed), pass.elapsed);
    pass
}

pub(super) fn start_stop(n: usize) -> Pass {
    let mut stopped = 0;
    let start = Instant::now();
    for _ in 0..n {
        stopped += usize::from(after_func(LONG_TIMER, || ()).stop());
    }
    let pass = Pass::since(start, n);
    assert_eq!(stopped, n);
    pass
}

pub(super) fn reset(n: usize) -> Pass {
    let timer = Timer::new(LONG_TIMER);
    let mut running = 0;
    let start = Instant::now();
    for _ in 0..n {
        running += usize::from(timer.reset(LONG_TIMER));
    }
    let pass = Pass::since(start, n);
    assert_eq!(running, n);
    pass
}

pub(super) fn short_sleeps(n: usize) -> Vec<u64> {
    let mut taken = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        sleep(SHORT_SLEEP);
        taken.push(sleeps::took(start, SHORT_SLEEP));
    }
    taken
}

/// By how much sleeps are longer than asked for, while `busy` goroutines compute.
pub(super) fn lateness(busy: usize, n: usize) -> Vec<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let load = |_| {
        let stop = Arc::clone(&stop);
        go!(move || {
            let mut computed = 0;
            while !stop.load(Ordering::Relaxed) {
                sleeps::compute();
                computed += 1;
                yield_now();
            }
            computed
        })
    };
    let load = (0..busy).map(load).collect();
    let each = n / LATENESS_SLEEPERS;
    let sleeper = |number: usize| {
        go!(move || {
            let mut late = Vec::with_capacity(each);
            for i in number * each..(number + 1) * each {
                let asked = sleeps::lateness_sleep(i);
                let start = Instant::now();
                sleep(asked);
                late.push(sleeps::late(start, asked));
            }
            late
        })
    };
    let sleepers = (0..LATENESS_SLEEPERS).map(sleeper).collect();
    let all: Vec<u64> = join(sleepers).flatten().collect();
    stop.store(true, Ordering::Relaxed);
    assert!(join(load).sum::<usize>() >= busy, "there was no load");
    all
}
