//! What comes out of a channel is what went in, in the order of its senders; and who waits first
//! is served first.

mod common;

use common::support::scale;
use common::{KINDS, Side, World, channel, each_world, join_all};

/// Numbers of senders and receivers.
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 8), (8, 1), (2, 3), (5, 2), (8, 8)];

/// Every value arrives at one receiver, and no receiver sees a sender's values out of order.
fn check(world: &World, kind: Option<usize>, senders: usize, receivers: usize) {
    let n = scale(1600) / senders + 1;
    let (tx, rx) = channel::<(usize, usize)>(kind);
    let receiving: Vec<_> = (0..receivers)
        .map(|_| {
            let rx = rx.clone();
            world.spawn(Side::Receives, move || rx.iter().collect::<Vec<_>>())
        })
        .collect();
    drop(rx);
    let sending: Vec<_> = (0..senders)
        .map(|id| {
            let tx = tx.clone();
            world.spawn(Side::Sends, move || {
                for i in 0..n {
                    tx.send((id, i)).unwrap();
                }
            })
        })
        .collect();
    drop(tx);
    join_all(sending);
    let mut seen = vec![vec![false; n]; senders];
    for got in join_all(receiving) {
        let mut next = vec![0; senders];
        for (id, i) in got {
            assert!(i >= next[id], "{i} of sender {id} after {}", next[id]);
            next[id] = i + 1;
            assert!(!seen[id][i], "{i} of sender {id} came twice");
            seen[id][i] = true;
        }
    }
    for (id, seen) in seen.iter().enumerate() {
        let lost: Vec<_> = (0..n).filter(|&i| !seen[i]).collect();
        assert!(lost.is_empty(), "of sender {id}, lost: {lost:?}");
    }
}

fn check_all(kind: Option<usize>) {
    each_world(|world| {
        for (senders, receivers) in SHAPES {
            check(world, kind, senders, receivers);
        }
    });
}

#[test]
fn unbuffered_values_arrive_once_and_in_order() {
    check_all(Some(0));
}

#[test]
fn values_arrive_once_and_in_order_through_one_slot() {
    check_all(Some(1));
}

#[test]
fn values_arrive_once_and_in_order_through_three_slots() {
    check_all(Some(3));
}

#[test]
fn values_arrive_once_and_in_order_through_64_slots() {
    check_all(Some(64));
}

#[test]
fn values_arrive_once_and_in_order_without_bound() {
    check_all(None);
}

#[test]
fn polling_receivers_lose_nothing_and_keep_the_order() {
    each_world(|world| {
        for kind in KINDS {
            let n = scale(1000);
            let (tx, rx) = channel(kind);
            let sender = world.spawn(Side::Sends, move || {
                for i in 0..n {
                    let mut value = i;
                    // Unbuffered, two that only try never meet: every other value waits.
                    while kind != Some(0) && i % 2 == 0 {
                        match tx.try_send(value) {
                            Ok(()) => break,
                            Err(e) => {
                                assert!(e.is_full());
                                value = e.into_inner();
                                runtime::yield_now();
                            }
                        }
                    }
                    if kind == Some(0) || i % 2 == 1 {
                        tx.send(value).unwrap();
                    }
                }
            });
            let receiver = world.spawn(Side::Receives, move || {
                let mut got = Vec::new();
                loop {
                    match rx.try_recv() {
                        Ok(v) => got.push(v),
                        Err(e) if e.is_disconnected() => return got,
                        Err(_) => runtime::yield_now(),
                    }
                }
            });
            sender.join();
            let got = receiver.join();
            assert!(got.iter().copied().eq(0..n), "{kind:?}: {got:?}");
        }
    });
}

#[test]
fn receivers_that_wait_are_served_in_the_order_in_which_they_came() {
    each_world(|world| {
        for kind in [Some(0), Some(2), None] {
            let (tx, rx) = channel(kind);
            let waiting: Vec<_> = (0..6)
                .map(|i| {
                    let rx = rx.clone();
                    // Goroutines and threads in one queue, where the world has both.
                    let side = [Side::Receives, Side::Sends][i % 2];
                    let task = world.spawn(side, move || rx.recv().unwrap());
                    world.wait_parked(i + 1);
                    task
                })
                .collect();
            for i in 0..6 {
                match i % 2 {
                    0 => tx.send(i).unwrap(),
                    _ => tx.try_send(i).unwrap(),
                }
            }
            assert_eq!(join_all(waiting), [0, 1, 2, 3, 4, 5], "{kind:?}");
            assert!(tx.is_empty());
        }
    });
}

#[test]
fn senders_that_wait_are_taken_in_the_order_in_which_they_came() {
    each_world(|world| {
        for cap in [0, 1, 3] {
            let (tx, rx) = channels::bounded(cap);
            for i in 0..cap {
                tx.try_send(i).unwrap();
            }
            let waiting: Vec<_> = (cap..cap + 6)
                .map(|i| {
                    let tx = tx.clone();
                    let side = [Side::Receives, Side::Sends][i % 2];
                    let task = world.spawn(side, move || tx.send(i).unwrap());
                    world.wait_parked(i + 1 - cap);
                    task
                })
                .collect();
            assert_eq!(rx.len(), cap);
            let half: Vec<_> = rx.iter().take(3).collect();
            let rest: Vec<_> = rx.try_iter().take(cap + 3).collect();
            assert!(half.iter().chain(&rest).copied().eq(0..cap + 6), "{cap}");
            join_all(waiting);
            assert!(rx.is_empty());
        }
    });
}

#[test]
fn values_in_the_buffer_go_before_those_of_waiting_senders() {
    each_world(|world| {
        let (tx, rx) = channels::bounded(2);
        tx.send(0).unwrap();
        tx.send(1).unwrap();
        let late = {
            let tx = tx.clone();
            world.spawn(Side::Sends, move || {
                tx.send(2).unwrap();
                tx.send(3).unwrap();
            })
        };
        world.wait_parked(1);
        assert_eq!(rx.recv(), Ok(0));
        // The waiting sender has moved up already, whether it runs by now or not.
        assert_eq!(rx.len(), 2);
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(rx.recv(), Ok(2));
        assert_eq!(rx.recv(), Ok(3));
        late.join();
    });
}
