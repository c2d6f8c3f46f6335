//! Criterion benches of channels: alone, in pairs, and with four goroutines on each side.

#![expect(missing_docs, reason = "criterion_group! makes a public function")]

mod support;

use std::hint::black_box;

use channels::{Receiver, Sender, bounded, unbounded};
use criterion::{Criterion, criterion_group, criterion_main};
use runtime::{JoinHandle, go};
use support::{PROCS, on_goroutine, settings};

/// How many senders, and how many receivers, contend for a channel.
const CONTENDERS: usize = 4;

type Channel = (Sender<usize>, Receiver<usize>);
type Kind = (&'static str, fn() -> Channel);

/// Every kind of channel by name.
const KINDS: [Kind; 4] = [
    ("unbuffered", || bounded(0)),
    ("capacity 1", || bounded(1)),
    ("capacity 100", || bounded(100)),
    ("unbounded", unbounded),
];

fn channels(criterion: &mut Criterion) {
    for procs in PROCS {
        let rt = runtime::start(procs);

        let mut group = criterion.benchmark_group(format!("channels/{procs}P/uncontended"));
        for (name, channel) in KINDS {
            // One goroutine alone cannot hand anything to itself without a buffer.
            if name != "unbuffered" {
                on_goroutine(&mut group, &rt, name, |times| uncontended(channel(), times));
            }
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("channels/{procs}P/ping-pong"));
        for (name, channel) in KINDS {
            on_goroutine(&mut group, &rt, name, |times| {
                ping_pong(channel(), channel(), times)
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("channels/{procs}P/stream"));
        for (name, channel) in KINDS {
            on_goroutine(&mut group, &rt, name, |times| stream(channel(), times));
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("channels/{procs}P/contended 4x4"));
        for (name, channel) in KINDS {
            on_goroutine(&mut group, &rt, name, |times| contended(channel(), times));
        }
        group.finish();
    }
}

/// A send and a receive on one goroutine: what the channel itself costs.
fn uncontended((sender, receiver): Channel, times: usize) {
    for i in 0..times {
        sender.send(i).expect("there is a receiver");
        black_box(receiver.recv().expect("there is a value"));
    }
}

/// Round trips between two goroutines.
fn ping_pong((ping, pings): Channel, (pong, pongs): Channel, times: usize) {
    let echo = go!(move || {
        for value in pings {
            pong.send(value).expect("the other side waits");
        }
    });
    for i in 0..times {
        ping.send(i).expect("the other side waits");
        black_box(pongs.recv().expect("the other side answers"));
    }
    drop(ping);
    echo.join().expect("no panics");
}

/// From one goroutine to another.
fn stream((sender, receiver): Channel, times: usize) {
    go!(move || {
        for i in 0..times {
            sender.send(i).expect("the receiver takes all");
        }
    });
    assert_eq!(receiver.iter().count(), times);
}

/// `times` values in all from four goroutines to four others.
fn contended((sender, receiver): Channel, times: usize) {
    let mut counts: Vec<JoinHandle<usize>> = Vec::with_capacity(CONTENDERS);
    for contender in 0..CONTENDERS {
        let sender = sender.clone();
        go!(move || {
            for i in (contender..times).step_by(CONTENDERS) {
                sender.send(i).expect("the receivers take all");
            }
        });
        let receiver = receiver.clone();
        counts.push(go!(move || receiver.iter().count()));
    }
    drop(sender);
    let count: usize = counts
        .into_iter()
        .map(|handle| handle.join().expect("no panics"))
        .sum();
    assert_eq!(count, times);
}

criterion_group!(name = benches; config = settings(); targets = channels);
criterion_main!(benches);
