//! Between the choice of a select and its completion: what is chosen can be completed, and if it is not, others get
//! what was promised; and those who only watch are told.

mod common;

use channels::{Receiver, Select, Sender, bounded, internal, never, select};
use common::support::scale;
use common::{everywhere, panic_text, pause, pause_sometimes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(50);

#[test]
fn an_operation_is_completed_by_its_own_handle_and_not_dropped() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(1);
        let (other, other_r) = (s.clone(), r.clone());
        let text = panic_text(|| {
            let mut list = Select::new();
            list.send(&s);
            let _ = list.select().send(&other, 1);
        });
        assert!(text.contains("not the sender"), "{text}");
        // The place that was promised is free again.
        s.try_send(1).unwrap();
        let text = panic_text(|| {
            let mut list = Select::new();
            list.recv(&r);
            let _ = list.select().recv(&other_r);
        });
        assert!(text.contains("not the receiver"), "{text}");
        let text = panic_text(|| {
            let mut list = Select::new();
            list.send(&s);
            drop(list.select());
        });
        assert!(text.contains("without completing"), "{text}");
        s.try_send(1).unwrap();
        assert!(s.try_send(2).is_err());
    });
}

fn no_value(why: &str) -> i32 {
    panic!("{why}")
}

#[test]
fn a_receiver_whose_sender_gives_up_goes_on_waiting() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(0);
        // The receiver waits first: it is claimed, and let go again.
        let r2 = r.clone();
        let receiver = std::thread::spawn(move || r2.recv());
        while internal::queued(&r)[0] == 0 {
            pause();
        }
        let text = panic_text(|| select! { send(s, no_value("no value")) -> _ => {} });
        assert_eq!(text, "no value");
        while internal::queued(&r)[0] == 0 {
            pause();
        }
        s.send(1).unwrap();
        assert_eq!(runtime::blocking(|| receiver.join().unwrap()), Ok(1));

        // The select waits first: the receiver waits for its value, in vain.
        let s2 = s.clone();
        let sender = std::thread::spawn(move || {
            let text = panic_text(|| {
                select! { send(s2, no_value("none")) -> _ => {}, recv(never::<()>()) -> _ => {} }
            });
            s2.send(2).unwrap();
            text
        });
        while internal::queued(&r)[1] == 0 {
            pause();
        }
        assert_eq!(r.recv(), Ok(2));
        assert_eq!(runtime::blocking(|| sender.join().unwrap()), "none");
        assert_eq!(internal::queued(&r), [0; 4]);
    });
}

#[test]
fn a_sender_that_gives_up_does_not_hide_the_one_behind_it() {
    for selects in [false, true] {
        everywhere(move || {
            let (s, r) = bounded::<i32>(0);
            let (s1, s2) = (s.clone(), s);
            let in_vain = std::thread::spawn(move || {
                panic_text(|| {
                    select! { send(s1, no_value("none")) -> _ => {}, recv(never::<()>()) -> _ => {} }
                })
            });
            while internal::queued(&r)[1] != 1 {
                pause();
            }
            let sender = std::thread::spawn(move || s2.send(7).unwrap());
            while internal::queued(&r)[1] != 2 {
                pause();
            }
            let got = match selects {
                false => r.try_recv().ok(),
                true => select! { recv(r) -> v => v.ok(), default => None },
            };
            assert_eq!(got, Some(7));
            assert_eq!(runtime::blocking(|| in_vain.join().unwrap()), "none");
            runtime::blocking(|| sender.join().unwrap());
        });
    }
}

#[test]
fn a_promised_place_is_no_room() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(1);
        let (mut list, mut watch) = (Select::new(), Select::new());
        list.send(&s);
        watch.send(&s);
        let oper = list.select();
        assert!(s.is_full() && r.is_full());
        assert!(watch.try_ready().is_err());
        assert!(watch.ready_timeout(Duration::from_millis(1)).is_err());

        // Who watches for room is told when the place is free after all.
        let s2 = s.clone();
        let watcher = std::thread::spawn(move || {
            let mut watch = Select::new();
            watch.send(&s2);
            watch.ready_timeout(LONG)
        });
        while internal::queued(&r)[3] == 0 {
            pause();
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(oper))).is_err());
        assert_eq!(runtime::blocking(|| watcher.join().unwrap()), Ok(0));
        assert!(!s.is_full());
        assert_eq!(watch.try_ready(), Ok(0));
        list.select().send(&s, 1).unwrap();
        assert!(s.is_full());
    });
}

#[test]
fn a_promised_place_goes_to_the_next_if_it_is_not_used() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(1);
        let mut list = Select::new();
        list.send(&s);
        let oper = list.select();
        assert!(s.try_send(0).is_err(), "the place is promised");
        let s2 = s.clone();
        let sender = std::thread::spawn(move || s2.send(1).unwrap());
        while internal::queued(&r)[1] == 0 {
            pause();
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(oper))).is_err());
        runtime::blocking(|| sender.join().unwrap());
        assert_eq!(r.recv(), Ok(1));

        // A receiver that comes meanwhile gets the value directly.
        let oper = list.select();
        let r2 = r.clone();
        let receiver = std::thread::spawn(move || r2.recv());
        while internal::queued(&r)[0] == 0 {
            pause();
        }
        oper.send(&s, 2).unwrap();
        assert_eq!(runtime::blocking(|| receiver.join().unwrap()), Ok(2));

        // And when it is closed meanwhile, the value comes back.
        let oper = list.select();
        s.close();
        assert_eq!(oper.send(&s, 3).unwrap_err().into_inner(), 3);
    });
}

#[test]
fn a_receive_that_does_not_wait_meets_a_select_that_does() {
    everywhere(|| {
        let (s, r) = bounded::<usize>(0);
        let n = scale(1000);
        let sender = std::thread::spawn(move || {
            for i in 0..n {
                select! {
                    send(s, { pause_sometimes(i); i }) -> v => v.unwrap(),
                    recv(never::<()>()) -> _ => unreachable!(),
                }
            }
        });
        let mut next = 0;
        while next < n {
            let value = match next % 3 {
                0 => r.try_recv().ok(),
                1 => select! { recv(r) -> v => v.ok(), default => None },
                _ => r.recv_timeout(Duration::from_micros(20)).ok(),
            };
            match value {
                Some(v) => {
                    assert_eq!(v, next);
                    next += 1;
                }
                None => pause(),
            }
        }
        runtime::blocking(|| sender.join().unwrap());
    });
}

#[test]
fn those_who_watch_are_woken_by_all_that_makes_ready() {
    everywhere(|| {
        type Make = fn(&Sender<i32>, &Receiver<i32>) -> Option<std::thread::JoinHandle<()>>;
        // Capacity, what is in it, whether the watcher receives, and what makes it ready.
        let cases: [(usize, usize, bool, Make); 9] = [
            (1, 0, true, |s, _| {
                s.send(1).unwrap();
                None
            }),
            (0, 0, true, |s, _| {
                let s = s.clone();
                Some(std::thread::spawn(move || {
                    let _ = s.send_timeout(1, Duration::from_millis(300));
                }))
            }),
            (0, 0, true, |s, _| {
                let s = s.clone();
                Some(std::thread::spawn(
                    move || select! { send(s, 1) -> _ => {}, default(Duration::from_millis(300)) => {} },
                ))
            }),
            (1, 0, true, |s, _| {
                s.close();
                None
            }),
            (1, 0, true, |s, _| {
                select! { send(s, 1) -> v => v.unwrap() }
                None
            }),
            (1, 1, false, |_, r| {
                r.recv().unwrap();
                None
            }),
            (0, 0, false, |_, r| {
                let r = r.clone();
                Some(std::thread::spawn(move || {
                    let _ = r.recv_timeout(Duration::from_millis(300));
                }))
            }),
            (0, 0, false, |_, r| {
                let r = r.clone();
                Some(std::thread::spawn(
                    move || select! { recv(r) -> _ => {}, default(Duration::from_millis(300)) => {} },
                ))
            }),
            (1, 1, false, |s, _| {
                s.close();
                None
            }),
        ];
        for (cap, len, receives, make) in cases {
            let (s, r) = bounded::<i32>(cap);
            (0..len).for_each(|_| s.send(0).unwrap());
            let watchers: Vec<_> = (0..3)
                .map(|_| {
                    let (s, r) = (s.clone(), r.clone());
                    std::thread::spawn(move || {
                        let mut list = Select::new();
                        match receives {
                            true => list.recv(&r),
                            false => list.send(&s),
                        };
                        list.ready_timeout(LONG).is_ok()
                    })
                })
                .collect();
            while internal::queued(&r)[2 + usize::from(!receives)] < 3 {
                pause();
            }
            let peer = make(&s, &r);
            for h in watchers {
                assert!(runtime::blocking(|| h.join().unwrap()));
            }
            if let Some(peer) = peer {
                runtime::blocking(|| peer.join().unwrap());
            }
            assert_eq!(internal::queued(&r), [0; 4]);
        }
    });
}
