//! Waiting for several channels, on this runtime.

use std::time::Instant;

use channels::{Receiver, bounded, select};
use runtime::go;

use super::super::{POPULAR_RECEIVERS, Pass, sum_below};
use super::{Countdown, join};

/// A function that receives `n` values by a select of so many arms and returns their sum.
macro_rules! receive {
    ($name:ident, $($arm:literal)*) => {
        fn $name(receivers: &[Receiver<usize>], n: usize) -> usize {
            let mut sum = 0;
            for _ in 0..n {
                sum += select! {
                    $(recv(receivers[$arm]) -> value => value.expect("senders stay"),)*
                };
            }
            sum
        }
    };
}

receive!(receive_2, 0 1);
receive!(receive_3, 0 1 2);
receive!(receive_8, 0 1 2 3 4 5 6 7);

pub(super) fn select(arms: usize, cap: usize, n: usize) -> Pass {
    let receive = match arms {
        2 => receive_2,
        3 => receive_3,
        8 => receive_8,
        _ => panic!("no select of {arms} is written down"),
    };
    let each = n / arms;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..arms).map(|_| bounded(cap)).unzip();
    let start = Instant::now();
    for sender in &senders {
        // A copy: an arm whose last sender is gone would be ready for ever.
        let sender = sender.clone();
        go!(move || {
            for i in 0..each {
                sender.send(i).expect("the receiver takes all");
            }
        });
    }
    let sum = receive(&receivers, each * arms);
    let pass = Pass::since(start, each * arms);
    assert_eq!(sum, sum_below(each) * arms);
    drop(senders);
    pass
}

pub(super) fn select_default(n: usize) -> Pass {
    let (_a, a) = bounded::<()>(0);
    let (_b, b) = bounded::<()>(0);
    let mut taken = 0;
    let start = Instant::now();
    for _ in 0..n {
        select! {
            recv(a) -> _ => {}
            recv(b) -> _ => {}
            default => taken += 1,
        }
    }
    let pass = Pass::since(start, n);
    assert_eq!(taken, n);
    pass
}

/// Times the sends only: the receivers are there before, and end after.
pub(super) fn select_popular(n: usize) -> Pass {
    let (sender, popular) = bounded(0);
    let (ready, all_ready) = Countdown::leaked(POPULAR_RECEIVERS);
    let mut quits = Vec::with_capacity(POPULAR_RECEIVERS);
    let mut sums = Vec::with_capacity(POPULAR_RECEIVERS);
    for _ in 0..POPULAR_RECEIVERS {
        let (quit, told) = bounded::<()>(0);
        quits.push(quit);
        let popular = popular.clone();
        sums.push(go!(move || {
            ready.one_done();
            let mut sum = 0;
            loop {
                select! {
                    recv(popular) -> value => sum += value.expect("the sender ends last"),
                    recv(told) -> _ => return sum,
                }
            }
        }));
    }
    all_ready.recv().expect("the last one sends");
    let start = Instant::now();
    for i in 0..n {
        sender.send(i).expect("somebody takes it");
    }
    let pass = Pass::since(start, n);
    drop(quits);
    assert_eq!(join(sums).sum::<usize>(), sum_below(n));
    pass
}
