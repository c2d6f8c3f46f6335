//! Channels under load: the programs that channels are used for, with many goroutines, several
//! runtimes, and locks whose bias is taken away all the time.

mod common;

use channels::{Receiver, Sender, bounded, unbounded};
use common::support::{PROCS, in_child, scale, with_procs, within, within_minute};
use common::{KINDS, Side, channel, each_world, join_all};
use runtime::go;
use std::time::Duration;

#[test]
fn goroutines_report_their_end_by_a_channel() {
    with_procs(|rt| {
        rt.run(|| {
            for _ in 0..scale(10) {
                let (tx, rx) = unbounded();
                for i in 0..scale(2000) {
                    let tx = tx.clone();
                    go!(move || tx.send(i).unwrap());
                }
                drop(tx);
                let n = scale(2000);
                assert_eq!(rx.iter().sum::<usize>(), n * (n - 1) / 2);
            }
        });
    });
}

#[test]
fn ping_pong_stays_in_step() {
    each_world(|world| {
        for cap in [0, 1] {
            let n = scale(3000);
            let (ping, pinged) = bounded(cap);
            let (pong, ponged) = bounded(cap);
            let back = world.spawn(Side::Receives, move || {
                pinged.iter().for_each(|v: usize| pong.send(v + 1).unwrap());
            });
            let there = world.spawn(Side::Sends, move || {
                for i in 0..n {
                    ping.send(i).unwrap();
                    assert_eq!(ponged.recv(), Ok(i + 1));
                }
            });
            there.join();
            back.join();
        }
    });
}

#[test]
fn a_pipeline_of_goroutines_and_threads_keeps_the_order() {
    each_world(|world| {
        for kind in KINDS {
            let (first, mut last) = channel(kind);
            let stages: Vec<_> = (0..10)
                .map(|i| {
                    let (tx, rx) = channel(kind);
                    let from = std::mem::replace(&mut last, rx);
                    let side = [Side::Sends, Side::Receives][i % 2];
                    world.spawn(side, move || {
                        from.iter().for_each(|v: usize| tx.send(v + 1).unwrap());
                    })
                })
                .collect();
            let n = scale(500);
            let feed = world.spawn(Side::Sends, move || {
                (0..n).for_each(|v| first.send(v).unwrap());
            });
            assert!(last.iter().eq(10..n + 10));
            feed.join();
            join_all(stages);
        }
    });
}

/// Go's prime sieve: a chain of filters, one goroutine and one channel per prime.
fn sieve(primes: usize, cap: usize) -> Vec<u32> {
    let (tx, mut rx) = bounded(cap);
    go!(move || (2..).take_while(|&n| tx.send(n).is_ok()).count());
    (0..primes)
        .map(|_| {
            let prime: u32 = rx.recv().unwrap();
            let (tx, next) = bounded(cap);
            let from = std::mem::replace(&mut rx, next);
            go!(move || {
                let mut pass = from.iter().filter(|n| n % prime != 0);
                pass.all(|n| tx.send(n).is_ok())
            });
            prime
        })
        .collect()
}

#[test]
fn the_sieve_finds_200_primes() {
    with_procs(|rt| {
        // Each number crosses up to 200 channels: a quarter of a million messages.
        let n = if common::support::migrating() {
            20
        } else {
            200
        };
        for cap in [0, 1, 16] {
            let primes = rt.run(|| sieve(n, cap));
            assert_eq!(primes.len(), n);
            assert_eq!(primes[19], 71);
            assert!(n < 200 || primes[199] == 1223);
        }
    });
}

fn mpmc(tx: Sender<usize>, rx: Receiver<usize>, world: &common::World, tasks: usize) {
    let n = scale(8000) / tasks;
    let receiving: Vec<_> = (0..tasks)
        .map(|_| {
            let rx = rx.clone();
            world.spawn(Side::Receives, move || rx.iter().sum::<usize>())
        })
        .collect();
    drop(rx);
    let sending: Vec<_> = (0..tasks)
        .map(|id| {
            let tx = tx.clone();
            world.spawn(Side::Sends, move || {
                (0..n).for_each(|i| tx.send(id * n + i).unwrap());
            })
        })
        .collect();
    drop(tx);
    join_all(sending);
    let total = n * tasks;
    let sum: usize = join_all(receiving).into_iter().sum();
    assert_eq!(sum, total * (total.max(1) - 1) / 2);
}

#[test]
fn many_to_many_loses_nothing() {
    each_world(|world| {
        for kind in KINDS {
            for tasks in [4, 8] {
                let (tx, rx) = channel(kind);
                mpmc(tx, rx, world, tasks);
            }
        }
    });
}

#[test]
fn a_thousand_goroutines_share_one_channel() {
    with_procs(|rt| {
        for cap in [0, 1, 64] {
            rt.run(|| {
                let (tx, rx) = bounded(cap);
                let all: Vec<_> = (0..1000)
                    .map(|i| {
                        let (tx, rx) = (tx.clone(), rx.clone());
                        go!(move || {
                            // Every one sends and receives as often as every other.
                            for _ in 0..scale(10) {
                                match i % 2 {
                                    0 => tx.send(1).unwrap(),
                                    _ => assert_eq!(rx.recv(), Ok(1)),
                                }
                            }
                        })
                    })
                    .collect();
                all.into_iter().for_each(|h| h.join().unwrap());
                assert!(rx.is_empty());
            });
        }
    });
}

#[test]
fn channels_travel_through_channels() {
    each_world(|world| {
        let n = scale(1000);
        let (tx, rx) = bounded::<(usize, Sender<Receiver<usize>>)>(0);
        let server = world.spawn(Side::Receives, move || {
            for (value, reply) in rx {
                let (tx, rx) = bounded(1);
                reply.send(rx).unwrap();
                tx.send(value * 2).unwrap();
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|id| {
                let tx = tx.clone();
                world.spawn(Side::Sends, move || {
                    for i in 0..n / 4 {
                        let (reply, replied) = bounded(i % 2);
                        tx.send((id * n + i, reply)).unwrap();
                        let answer = replied.recv().unwrap();
                        assert_eq!(answer.recv(), Ok((id * n + i) * 2));
                    }
                })
            })
            .collect();
        drop(tx);
        join_all(clients);
        server.join();
    });
}

#[test]
fn two_runtimes_and_threads_meet_at_one_channel() {
    for kind in KINDS {
        for procs in PROCS {
            within_minute(|| {
                let (one, two) = (runtime::start(procs), runtime::start(2));
                let n = scale(1000);
                let (tx, rx) = one.run(|| channel::<usize>(kind));
                let (log, logged) = two.run(unbounded::<usize>);
                let sends = |tx: Sender<usize>| move || (0..n).for_each(|i| tx.send(i).unwrap());
                let receives = |rx: Receiver<usize>, log: Sender<usize>| {
                    move || rx.iter().for_each(|v| log.send(v).unwrap())
                };
                for rt in [&one, &two] {
                    rt.spawn(sends(tx.clone()));
                    rt.spawn(receives(rx.clone(), log.clone()));
                }
                std::thread::spawn(sends(tx));
                std::thread::spawn(receives(rx, log));
                let mut seen = vec![0; n];
                logged.iter().for_each(|v| seen[v] += 1);
                assert_eq!(seen, vec![3; n], "{kind:?}");
            });
        }
    }
}

/// Threads that come and go while goroutines of a short-lived runtime talk to them.
#[test]
fn runtimes_come_and_go_at_the_other_end() {
    within_minute(|| {
        for i in 0..scale(300) {
            let (tx, rx) = channel(KINDS[i % KINDS.len()]);
            let rt = runtime::start(1 + i % 3);
            let answers = rt.spawn(move || rx.recv().unwrap() + 1);
            let thread = std::thread::spawn(move || tx.send(i).unwrap());
            assert_eq!(answers.join().unwrap(), i + 1);
            // The sender may still be on its way out of the call that woke the goroutine.
            drop(rt);
            thread.join().unwrap();
        }
    });
}

/// Many short channels, made by goroutines and used by threads, goroutines of other Ps, or both:
/// each first use elsewhere takes a bias away, while the maker goes on using the channel.
fn revocations(procs: usize) {
    let rt = runtime::start(procs);
    let (make, made) = unbounded::<(Sender<usize>, Receiver<usize>)>();
    let users: Vec<_> = (0..2)
        .map(|_| {
            let made = made.clone();
            std::thread::spawn(move || use_each(made))
        })
        .collect();
    rt.run(|| {
        let more: Vec<_> = (0..2)
            .map(|_| {
                let made = made.clone();
                go!(move || use_each(made))
            })
            .collect();
        drop(made);
        let makers: Vec<_> = (0..4)
            .map(|m| {
                let make = make.clone();
                go!(move || {
                    for i in 0..scale(4000) / 4 {
                        // The capacity is not zero: the maker shall not wait for its user.
                        let kind = [Some(1), Some(3), None][i % 3];
                        let (tx, rx) = channel(kind);
                        tx.send(m).unwrap();
                        if i % 2 == 0 {
                            make.send((tx.clone(), rx.clone())).unwrap();
                        } else {
                            make.send((tx.clone(), rx)).unwrap();
                            tx.send(1).ok(); // unless its user has dropped the receiver
                            continue;
                        }
                        // Both use it at once from here on.
                        for _ in 0..i % 7 {
                            tx.try_send(m).ok();
                            rx.try_recv().ok();
                        }
                        tx.close();
                        rx.try_iter().for_each(|v| assert!(v < 8));
                    }
                })
            })
            .collect();
        drop(make);
        makers.into_iter().for_each(|h| h.join().unwrap());
        more.into_iter().for_each(|h| h.join().unwrap());
    });
    users.into_iter().for_each(|t| t.join().unwrap());
}

fn use_each(made: Receiver<(Sender<usize>, Receiver<usize>)>) {
    for (tx, rx) in made {
        for v in 4..8 {
            tx.try_send(v).ok();
            rx.try_recv().ok();
            assert!(rx.len() < 10);
        }
        drop(tx);
        rx.try_iter().for_each(|v| assert!(v < 8));
    }
}

#[test]
fn locks_lose_their_bias_while_they_are_used() {
    for procs in PROCS {
        within_minute(|| revocations(procs));
    }
}

#[test]
fn locks_lose_their_bias_while_they_are_used_with_symmetric_fences() {
    const NAME: &str = "locks_lose_their_bias_while_they_are_used_with_symmetric_fences";
    in_child(
        NAME,
        &[("WEFT_NO_MEMBARRIER", "1")],
        Duration::from_secs(150),
        || {
            for procs in PROCS {
                revocations(procs);
            }
            within(Duration::from_secs(100), everything);
        },
    );
}

/// The bias of a channel that is in the middle of its life: a counter that only the lock protects
/// would lose updates.
fn everything() {
    for kind in KINDS {
        for procs in PROCS {
            let rt = runtime::start(procs);
            rt.run(|| {
                let (tx, rx) = channel(kind);
                let n = scale(2000);
                let local = go!({
                    let (tx, rx) = (tx.clone(), rx.clone());
                    move || {
                        for i in 0..n {
                            tx.try_send(i).ok();
                            rx.try_recv().ok();
                        }
                    }
                });
                let far = std::thread::spawn({
                    let (tx, rx) = (tx.clone(), rx.clone());
                    move || {
                        for i in 0..n {
                            tx.try_send(i).ok();
                            rx.try_recv().ok();
                        }
                    }
                });
                local.join().unwrap();
                runtime::blocking(|| far.join().unwrap());
                let left = rx.len();
                drop(tx);
                assert_eq!(rx.iter().count(), left);
            });
        }
    }
}

#[test]
fn a_bias_is_taken_in_the_middle_of_a_channels_life() {
    within_minute(everything);
}
