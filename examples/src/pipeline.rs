//! A pipeline in two variants: numbers are generated, squared by several workers (fan-out) and
//! merged into one stream again (fan-in).
//!
//! [`squares`] merges in whatever order the workers finish; [`squares_in_order`] numbers the
//! items and puts them back in order, with a bounded number of items under way.

use std::collections::BTreeMap;

use channels::{Receiver, Sender, bounded};
use runtime::go;

/// Room in each of the channels. Any size works; some room saves switches.
const CAPACITY: usize = 16;

/// The squares of `1..=n`, in no particular order, and how many of them each worker made.
pub fn squares(n: u64, workers: usize) -> (Receiver<u64>, Receiver<u64>) {
    let (tx, numbers) = bounded(CAPACITY);
    go!(name = "generator", generate(1, n, tx));

    // Fan-out: the workers receive from the same channel, each sends to its own.
    let (done_tx, done) = bounded(workers);
    let outputs: Vec<_> = (0..workers)
        .map(|_| {
            let (tx, rx) = bounded(CAPACITY);
            let (input, done) = (numbers.clone(), done_tx.clone());
            go!(name = "squarer", move || {
                let mut made = 0;
                for x in input {
                    if tx.send(x * x).is_err() {
                        break;
                    }
                    made += 1;
                }
                // There is room for one count from each worker, so this never waits.
                let _ = done.send(made);
            });
            rx
        })
        .collect();
    (merge(outputs), done)
}

/// Fan-in: one goroutine for each input forwards it into the one output, which ends when all
/// inputs have.
pub fn merge<T: Send + 'static>(inputs: Vec<Receiver<T>>) -> Receiver<T> {
    let (tx, merged) = bounded(CAPACITY);
    for input in inputs {
        let tx = tx.clone();
        go!(name = "merger", move || {
            for item in input {
                if tx.send(item).is_err() {
                    return;
                }
            }
        });
    }
    merged
}

/// The squares of `1..=n`, in order, made by several workers.
///
/// `window` bounds the items that are under way, and with it what is held back while an earlier
/// item is still being worked on: the generator takes a ticket for every item, and the ticket
/// goes back when the item comes out in its place.
pub fn squares_in_order(n: u64, workers: usize, window: usize) -> Receiver<u64> {
    let window = window.max(1);
    let (ticket_tx, tickets) = bounded(window);
    for _ in 0..window {
        ticket_tx.send(()).expect("both ends are here");
    }
    let (tx, numbers) = bounded(CAPACITY);
    go!(name = "generator", move || {
        for item in (0..).zip(1..=n) {
            if tickets.recv().is_err() || tx.send(item).is_err() {
                return;
            }
        }
    });

    let (squared_tx, squared) = bounded(CAPACITY);
    for _ in 0..workers {
        let (input, output) = (numbers.clone(), squared_tx.clone());
        go!(name = "squarer", move || {
            for (seq, x) in input {
                if output.send((seq, x * x)).is_err() {
                    return;
                }
            }
        });
    }

    let (tx, ordered) = bounded(CAPACITY);
    go!(name = "reorder", reorder(squared, tx, ticket_tx));
    ordered
}

/// Sends items on in the order of their sequence numbers, 0 first, and gives a ticket back for
/// each.
fn reorder(items: Receiver<(u64, u64)>, output: Sender<u64>, tickets: Sender<()>) {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (seq, value) in items {
        early.insert(seq, value);
        while let Some(value) = early.remove(&next) {
            next += 1;
            if output.send(value).is_err() {
                return;
            }
            // Never waits: there are as many places as tickets. The generator may have ended.
            let _ = tickets.send(());
        }
    }
}

fn generate(first: u64, last: u64, numbers: Sender<u64>) {
    for x in first..=last {
        if numbers.send(x).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_square_comes_out_once() {
        for procs in [1, 2, 4] {
            let rt = runtime::start(procs);
            for workers in [1, 3, 8] {
                let (mut all, made) = rt.run(|| {
                    let (squares, made) = squares(1000, workers);
                    (squares.iter().collect::<Vec<_>>(), made.iter().sum::<u64>())
                });
                all.sort_unstable();
                assert_eq!(all, (1..=1000u64).map(|x| x * x).collect::<Vec<_>>());
                assert_eq!(made, 1000);
            }
        }
    }

    #[test]
    fn the_ordered_variant_keeps_the_order_with_any_window() {
        for procs in [1, 2, 4] {
            let rt = runtime::start(procs);
            for window in [0, 1, 2, 64] {
                let all = rt.run(|| squares_in_order(500, 4, window).iter().collect::<Vec<_>>());
                assert_eq!(all, (1..=500u64).map(|x| x * x).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_reader_that_stops_early_ends_the_pipeline() {
        let rt = runtime::start(2);
        let first = rt.run(|| {
            squares_in_order(u64::from(u32::MAX), 4, 8)
                .iter()
                .take(3)
                .collect::<Vec<_>>()
        });
        assert_eq!(first, [1, 4, 9]);
        let made = rt.run(|| {
            let (squares, made) = squares(u64::from(u32::MAX), 4);
            assert_eq!(squares.iter().take(10).count(), 10);
            drop(squares);
            made.iter().sum::<u64>()
        });
        assert!(made < 1000, "the workers went on to {made} squares");
    }

    #[test]
    fn nothing_in_nothing_out() {
        let rt = runtime::start(2);
        assert_eq!(rt.run(|| squares(0, 4).0.iter().count()), 0);
        assert_eq!(rt.run(|| squares_in_order(0, 4, 4).iter().count()), 0);
    }
}
