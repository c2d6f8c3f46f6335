//! Close and disconnect: everybody who waits is woken, what is in the buffer is still received,
//! and every value is accounted for.

mod common;

use channels::{Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError};
use common::support::{scale, within_minute};
use common::{KINDS, Side, channel, each_world, join_all};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The ways in which a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    CloseBySender,
    CloseByReceiver,
    DropOfSenders,
    DropOfReceivers,
}

const ENDS: [End; 4] = [
    End::CloseBySender,
    End::CloseByReceiver,
    End::DropOfSenders,
    End::DropOfReceivers,
];

/// A channel's handles that a test itself holds.
struct Ends<T> {
    tx: Option<Sender<T>>,
    rx: Option<Receiver<T>>,
}

impl<T> Ends<T> {
    fn end(&mut self, how: End) {
        match how {
            End::CloseBySender => assert!(self.tx.as_ref().unwrap().close()),
            End::CloseByReceiver => assert!(self.rx.as_ref().unwrap().close()),
            End::DropOfSenders => self.tx = None,
            End::DropOfReceivers => self.rx = None,
        }
    }
}

#[test]
fn every_receiver_that_waits_is_woken() {
    each_world(|world| {
        for kind in KINDS {
            // (With a receiver waiting, the receivers are not all gone.)
            for how in [End::CloseBySender, End::CloseByReceiver, End::DropOfSenders] {
                let (tx, rx) = channel::<String>(kind);
                let waiting: Vec<_> = (0..5)
                    .map(|i| {
                        let rx = rx.clone();
                        let side = [Side::Receives, Side::Sends][i % 2];
                        world.spawn(side, move || rx.recv())
                    })
                    .collect();
                world.wait_parked(5);
                let mut ends = Ends {
                    tx: Some(tx),
                    rx: Some(rx),
                };
                ends.end(how);
                assert_eq!(join_all(waiting), [const { Err(RecvError) }; 5], "{how:?}");
            }
        }
    });
}

#[test]
fn every_sender_that_waits_is_woken_with_its_value() {
    each_world(|world| {
        for cap in [0, 1, 3] {
            for how in [
                End::CloseBySender,
                End::CloseByReceiver,
                End::DropOfReceivers,
            ] {
                let (tx, rx) = channels::bounded(cap);
                for i in 0..cap {
                    tx.send(format!("in the buffer {i}")).unwrap();
                }
                let waiting: Vec<_> = (0..5)
                    .map(|i| {
                        let tx = tx.clone();
                        let side = [Side::Receives, Side::Sends][i % 2];
                        world.spawn(side, move || tx.send(format!("waits {i}")))
                    })
                    .collect();
                world.wait_parked(5);
                let mut ends = Ends {
                    tx: Some(tx),
                    rx: Some(rx),
                };
                ends.end(how);
                for (i, result) in join_all(waiting).into_iter().enumerate() {
                    assert_eq!(result, Err(SendError(format!("waits {i}"))), "{how:?}");
                }
                let tx = ends.tx.unwrap();
                match ends.rx {
                    Some(rx) => {
                        let rest: Vec<_> = rx.try_iter().collect();
                        let sent: Vec<_> = (0..cap).map(|i| format!("in the buffer {i}")).collect();
                        assert_eq!(rest, sent);
                        assert_eq!(rx.recv(), Err(RecvError));
                    }
                    None => assert_eq!(tx.len(), 0),
                }
                assert_eq!(tx.send("late".into()), Err(SendError("late".into())));
            }
        }
    });
}

#[test]
fn what_is_in_the_buffer_is_received_after_the_end() {
    each_world(|world| {
        for kind in [Some(3), Some(64), None] {
            for how in [End::CloseBySender, End::CloseByReceiver, End::DropOfSenders] {
                let (tx, rx) = channel(kind);
                for i in 0..3 {
                    tx.send(i).unwrap();
                }
                let mut ends = Ends {
                    tx: Some(tx),
                    rx: Some(rx.clone()),
                };
                ends.end(how);
                assert!(rx.is_closed());
                assert_eq!(rx.len(), 3);
                let drain = world.spawn(Side::Receives, move || {
                    assert_eq!(rx.recv(), Ok(0));
                    assert_eq!(rx.try_recv(), Ok(1));
                    assert_eq!(rx.iter().collect::<Vec<_>>(), [2]);
                    assert_eq!(rx.recv(), Err(RecvError));
                    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
                });
                drain.join();
            }
        }
    });
}

#[test]
fn after_each_kind_of_end_both_sides_see_it() {
    for kind in KINDS {
        for how in ENDS {
            let (tx, rx) = channel::<Box<u8>>(kind);
            assert!(!tx.is_closed() && !rx.is_closed());
            let mut ends = Ends {
                tx: Some(tx),
                rx: Some(rx),
            };
            ends.end(how);
            if let Some(tx) = ends.tx {
                assert!(tx.is_closed());
                assert!(!tx.close(), "{how:?}: it is closed already");
                assert_eq!(tx.send(Box::new(7)), Err(SendError(Box::new(7))));
                let refused = TrySendError::Disconnected(Box::new(8));
                assert_eq!(tx.try_send(Box::new(8)), Err(refused));
                assert!(tx.clone().is_closed());
            }
            if let Some(rx) = ends.rx {
                assert!(rx.is_closed());
                assert!(!rx.close(), "{how:?}: it is closed already");
                assert_eq!(rx.recv(), Err(RecvError));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
                assert_eq!(rx.iter().count() + rx.clone().into_iter().count(), 0);
            }
        }
    }
}

#[test]
fn of_many_that_close_at_once_exactly_one_is_told_that_it_did() {
    each_world(|world| {
        for _ in 0..scale(50) {
            let (tx, rx) = channels::bounded::<u8>(1);
            let closing: Vec<_> = (0..6)
                .map(|i| {
                    let (tx, rx) = (tx.clone(), rx.clone());
                    let side = [Side::Sends, Side::Receives][i % 2];
                    world.spawn(side, move || if i < 3 { tx.close() } else { rx.close() })
                })
                .collect();
            assert_eq!(join_all(closing).into_iter().filter(|&c| c).count(), 1);
        }
    });
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_end_in_the_middle_of_traffic_loses_no_value() {
    each_world(|world| {
        for kind in KINDS {
            for (round, how) in ENDS.into_iter().cycle().take(scale(80).max(8)).enumerate() {
                let (tx, rx) = channel(kind);
                let dropped = Arc::new(AtomicUsize::new(0));
                let sending: Vec<_> = (0..3)
                    .map(|_| {
                        let (tx, dropped) = (tx.clone(), Arc::clone(&dropped));
                        world.spawn(Side::Sends, move || {
                            // Bounded: without a receiver-side end only the drop of the
                            // senders, which is their own, ends it.
                            for ok in 0..50 {
                                if let Err(SendError(value)) = tx.send(Counted(dropped.clone())) {
                                    std::mem::forget(value); // it came back
                                    return ok;
                                }
                            }
                            50
                        })
                    })
                    .collect();
                let receiving: Vec<_> = (0..2)
                    .map(|_| {
                        let rx = rx.clone();
                        world.spawn(Side::Receives, move || {
                            // Leaves early in the round in which the receivers go.
                            let most = if how == End::DropOfReceivers {
                                20
                            } else {
                                1000
                            };
                            rx.iter().take(most).map(std::mem::forget).count()
                        })
                    })
                    .collect();
                for _ in 0..round % 7 {
                    common::pause();
                }
                let mut ends = Ends {
                    tx: Some(tx),
                    rx: Some(rx),
                };
                ends.end(how);
                if how != End::DropOfReceivers {
                    ends.tx = None;
                }
                let sent: usize = join_all(sending).into_iter().sum();
                let received: usize = join_all(receiving).into_iter().sum();
                drop(ends);
                let dropped = dropped.load(Ordering::Relaxed);
                assert_eq!(sent, received + dropped, "{kind:?} {how:?}");
                assert!(how == End::DropOfReceivers || dropped == 0);
            }
        }
    });
}

#[test]
fn the_last_handles_of_both_sides_may_go_at_the_same_moment() {
    each_world(|world| {
        for i in 0..scale(300) {
            let kind = KINDS[i % 5];
            let (tx, rx) = channel(kind);
            let dropped = Arc::new(AtomicUsize::new(0));
            let n = match kind {
                Some(cap) => cap.min(3),
                None => 40,
            };
            for _ in 0..n {
                assert!(tx.send(Counted(dropped.clone())).is_ok());
            }
            let (tx2, rx2) = (tx.clone(), rx.clone());
            let going = [
                world.spawn(Side::Sends, move || drop(tx)),
                world.spawn(Side::Receives, move || drop(rx)),
                world.spawn(Side::Sends, move || drop(tx2)),
                world.spawn(Side::Receives, move || drop(rx2)),
            ];
            join_all(going);
            assert_eq!(dropped.load(Ordering::Relaxed), n);
        }
    });
}

#[test]
fn a_channel_in_use_outlives_the_drop_of_all_other_handles() {
    each_world(|world| {
        for _ in 0..scale(100) {
            let (tx, rx) = channels::bounded(0);
            let receiver = world.spawn(Side::Receives, move || rx.iter().count());
            let senders: Vec<_> = (0..4)
                .map(|_| {
                    let tx = tx.clone();
                    world.spawn(Side::Sends, move || tx.send(()).unwrap())
                })
                .collect();
            drop(tx);
            join_all(senders);
            assert_eq!(receiver.join(), 4);
        }
    });
}

#[test]
fn a_thread_that_waits_without_a_runtime_is_woken_by_the_end() {
    within_minute(|| {
        for how in [End::CloseBySender, End::DropOfSenders] {
            let (tx, rx) = channels::bounded::<u8>(0);
            std::thread::scope(|s| {
                let waiting = s.spawn(|| rx.recv());
                std::thread::sleep(std::time::Duration::from_millis(20));
                let mut ends = Ends {
                    tx: Some(tx),
                    rx: None,
                };
                ends.end(how);
                assert_eq!(waiting.join().unwrap(), Err(RecvError));
            });
        }
    });
}
