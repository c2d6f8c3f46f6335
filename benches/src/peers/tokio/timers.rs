//! Sleeping and timers, on tokio. Its timers count milliseconds.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::{coop, yield_now};
use tokio::time::{Sleep, sleep};

use super::super::Pass;
use super::super::sleeps::{self, LATENESS_SLEEPERS, LONG_TIMER, SHORT_SLEEP};
use super::{Countdown, join_sum};

pub(super) async fn sleepers(n: usize) -> Pass {
    let (countdown, mut signal) = Countdown::leaked(n);
    let slept = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    for i in 0..n {
        let slept = Arc::clone(&slept);
        tokio::spawn(async move {
            let millis = sleeps::sleepers_millis(i);
            sleep(Duration::from_millis(millis)).await;
            slept.fetch_add(millis, Ordering::Relaxed);
            countdown.one_done();
        });
    }
    signal.recv().await.expect("the last one sends");
    let pass = Pass::since(start, n);
    sleeps::check_sleepers(n, slept.load(Ordering::Relaxed), pass.elapsed);
    pass
}

/// A sleep is started by the first poll of it.
async fn started(mut sleep: Pin<&mut Sleep>) {
    poll_fn(|context| {
        assert!(sleep.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Unconstrained: a task that has used up its budget would poll the sleeps without starting them.
pub(super) async fn start_stop(n: usize) -> Pass {
    coop::unconstrained(async {
        let start = Instant::now();
        for _ in 0..n {
            let sleep = pin!(sleep(LONG_TIMER));
            started(sleep).await;
        }
        Pass::since(start, n)
    })
    .await
}

pub(super) async fn reset(n: usize) -> Pass {
    let mut sleep = pin!(sleep(LONG_TIMER));
    started(sleep.as_mut()).await;
    let mut running = 0;
    let start = Instant::now();
    for _ in 0..n {
        running += usize::from(!sleep.is_elapsed());
        sleep
            .as_mut()
            .reset(tokio::time::Instant::now() + LONG_TIMER);
    }
    let pass = Pass::since(start, n);
    assert_eq!(running, n);
    pass
}

pub(super) async fn short_sleeps(n: usize) -> Vec<u64> {
    let mut taken = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        sleep(SHORT_SLEEP).await;
        taken.push(sleeps::took(start, SHORT_SLEEP));
    }
    taken
}

/// By how much sleeps are longer than asked for, while `busy` tasks compute.
pub(super) async fn lateness(busy: usize, n: usize) -> Vec<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let load = |_| {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut computed = 0;
            while !stop.load(Ordering::Relaxed) {
                sleeps::compute();
                computed += 1;
                yield_now().await;
            }
            computed
        })
    };
    let load = (0..busy).map(load).collect();
    let each = n / LATENESS_SLEEPERS;
    let sleeper = |number: usize| {
        tokio::spawn(async move {
            let mut late = Vec::with_capacity(each);
            for i in number * each..(number + 1) * each {
                let asked = sleeps::lateness_sleep(i);
                let start = Instant::now();
                sleep(asked).await;
                late.push(sleeps::late(start, asked));
            }
            late
        })
    };
    let sleepers: Vec<_> = (0..LATENESS_SLEEPERS).map(sleeper).collect();
    let mut all = Vec::with_capacity(n);
    for sleeper in sleepers {
        all.append(&mut sleeper.await.expect("no panics"));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(join_sum(load).await >= busy, "there was no load");
    all
}
