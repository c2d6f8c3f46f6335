//! Waiting for several channels, on tokio. Its channels have a capacity of at least 1, and one
//! receiver; where many receive it is flume's.

use std::future::ready;
use std::time::Instant;

use tokio::select;
use tokio::sync::{mpsc, oneshot};

use super::super::{POPULAR_RECEIVERS, Pass, sum_below};
use super::{Countdown, join_sum};

/// A function that receives `n` values by a select of so many arms and returns their sum.
macro_rules! receive {
    ($name:ident, $($arm:ident)*) => {
        async fn $name(receivers: &mut [mpsc::Receiver<usize>], n: usize) -> usize {
            let [$($arm),*] = receivers else {
                panic!("as many receivers as arms");
            };
            let mut sum = 0;
            for _ in 0..n {
                let value = select! {
                    $(value = $arm.recv() => value,)*
                };
                sum += value.expect("senders stay");
            }
            sum
        }
    };
}

receive!(receive_2, a b);
receive!(receive_3, a b c);
receive!(receive_8, a b c d e f g h);

pub(super) async fn select(arms: usize, cap: usize, n: usize) -> Pass {
    let each = n / arms;
    let channel = |_| mpsc::channel(cap.max(1));
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..arms).map(channel).unzip();
    let start = Instant::now();
    for sender in &senders {
        // A copy: an arm whose last sender is gone would be ready for ever.
        let sender = sender.clone();
        tokio::spawn(async move {
            for i in 0..each {
                sender.send(i).await.expect("the receiver takes all");
            }
        });
    }
    let sum = match arms {
        2 => receive_2(&mut receivers, each * arms).await,
        3 => receive_3(&mut receivers, each * arms).await,
        8 => receive_8(&mut receivers, each * arms).await,
        _ => panic!("no select of {arms} is written down"),
    };
    let pass = Pass::since(start, each * arms);
    assert_eq!(sum, sum_below(each) * arms);
    drop(senders);
    pass
}

/// There is no default; arms in order, the last one ready, are the nearest to it.
pub(super) async fn select_default(n: usize) -> Pass {
    let (_a, mut a) = mpsc::channel::<()>(1);
    let (_b, mut b) = mpsc::channel::<()>(1);
    let mut taken = 0;
    let start = Instant::now();
    for _ in 0..n {
        select! {
            biased;
            _ = a.recv() => {}
            _ = b.recv() => {}
            () = ready(()) => taken += 1,
        }
    }
    let pass = Pass::since(start, n);
    assert_eq!(taken, n);
    pass
}

/// Times the sends only: the receivers are there before, and end after.
pub(super) async fn select_popular(n: usize) -> Pass {
    let (sender, popular) = flume::bounded(0);
    let (ready, mut all_ready) = Countdown::leaked(POPULAR_RECEIVERS);
    let mut quits = Vec::with_capacity(POPULAR_RECEIVERS);
    let mut sums = Vec::with_capacity(POPULAR_RECEIVERS);
    for _ in 0..POPULAR_RECEIVERS {
        let (quit, mut told) = oneshot::channel::<()>();
        quits.push(quit);
        let popular = popular.clone();
        sums.push(tokio::spawn(async move {
            ready.one_done();
            let mut sum = 0;
            loop {
                select! {
                    value = popular.recv_async() => sum += value.expect("the sender ends last"),
                    _ = &mut told => break,
                }
            }
            // A value that was given to a receiver which then was told to end is in the channel.
            popular.try_iter().fold(sum, |sum, value| sum + value)
        }));
    }
    all_ready.recv().await.expect("the last one sends");
    let start = Instant::now();
    for i in 0..n {
        sender.send_async(i).await.expect("somebody takes it");
    }
    let pass = Pass::since(start, n);
    drop(quits);
    assert_eq!(join_sum(sums).await, sum_below(n));
    pass
}
