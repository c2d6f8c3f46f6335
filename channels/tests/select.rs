//! What a select promises: it chooses fairly, exactly one arm fires, nothing is lost or comes twice, and
//! losers leave nothing behind.

mod common;

use channels::{
    Receiver, Select, Sender, after, bounded, internal, never, select, select_biased, unbounded,
};
use common::support::{PROCS, eventually, within_minute};
use common::{everywhere, panic_text, pause, support::Alive};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(50);

fn is_fair(counts: &[usize], what: &str) {
    let rounds: usize = counts.iter().sum();
    let p = 1.0 / counts.len() as f64;
    let sigma = (rounds as f64 * p * (1.0 - p)).sqrt();
    for &count in counts {
        let off = (count as f64 - rounds as f64 * p).abs();
        assert!(off < 10.0 * sigma, "{what}: {counts:?}");
    }
}

#[test]
fn each_ready_arm_is_chosen_as_often() {
    everywhere(|| {
        for n in [2, 3, 5, 16, 17, 40] {
            let channels: Vec<_> = (0..n).map(|_| unbounded::<usize>()).collect();
            let mut list = Select::new();
            for (s, r) in &channels {
                s.send(0).unwrap();
                list.recv(r);
            }
            let mut counts = vec![0; n];
            for _ in 0..10_000 {
                let oper = list.select();
                let i = oper.index();
                oper.recv(&channels[i].1).unwrap();
                channels[i].0.send(0).unwrap();
                counts[i] += 1;
            }
            is_fair(&counts, "select");
            counts.fill(0);
            (0..10_000).for_each(|_| counts[list.ready()] += 1);
            is_fair(&counts, "ready");
        }
    });
}

#[test]
fn arms_that_are_not_ready_favour_nobody() {
    everywhere(|| {
        let (s, r) = unbounded::<()>();
        let (s2, r2) = bounded::<()>(1);
        let empty: Vec<_> = (0..3).map(|_| bounded::<()>(1)).collect();
        s.send(()).unwrap();
        let mut counts = [0; 2];
        for _ in 0..10_000 {
            select! {
                recv(empty[0].1) -> _ => unreachable!(),
                recv(empty[1].1) -> _ => unreachable!(),
                recv(r) -> _ => { counts[0] += 1; s.send(()).unwrap() }
                recv(never::<()>()) -> _ => unreachable!(),
                recv(empty[2].1) -> _ => unreachable!(),
                send(s2, ()) -> _ => { counts[1] += 1; r2.recv().unwrap() }
            }
        }
        is_fair(&counts, "select!");
    });
}

#[test]
fn a_biased_select_takes_the_first_that_is_ready() {
    everywhere(|| {
        let (s, r) = unbounded::<()>();
        let (gone, closed) = unbounded::<()>();
        drop(gone);
        s.send(()).unwrap();
        let mut list = Select::new_biased();
        let first = [list.recv(never_of(&r)), list.recv(&r), list.recv(&closed)][1];
        for _ in 0..1000 {
            assert_eq!(list.ready(), first);
            select_biased! {
                recv(never::<()>()) -> _ => unreachable!(),
                recv(r) -> v => { v.unwrap(); s.send(()).unwrap() }
                recv(closed) -> _ => unreachable!(),
            }
        }
    });
}

/// A receiver that is never ready, and lives as long as the other.
fn never_of<T>(_: &Receiver<T>) -> &Receiver<T> {
    Box::leak(Box::new(never()))
}

#[test]
fn a_select_never_meets_itself() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(0);
        for _ in 0..100 {
            select! {
                send(s, 1) -> _ => unreachable!(),
                recv(r) -> _ => unreachable!(),
                default(Duration::from_micros(50)) => {}
            }
            let mut list = Select::new();
            let all = [list.send(&s), list.recv(&r), list.send(&s), list.recv(&r)];
            assert_eq!(all, [0, 1, 2, 3]);
            assert!(list.try_select().is_err());
            assert!(list.select_timeout(Duration::from_micros(50)).is_err());
        }
        assert_eq!(internal::queued(&r), [0; 4]);
    });
}

#[test]
fn a_select_on_both_ends_of_a_channel_meets_others_either_way() {
    for procs in PROCS {
        within_minute(move || {
            let rt = runtime::start(procs);
            let (s, r) = bounded::<i32>(0);
            let both = {
                let (s, r) = (s.clone(), r.clone());
                rt.spawn(move || {
                    let mut seen = [0; 2];
                    for _ in 0..200 {
                        select! {
                            send(s, 1) -> v => { v.unwrap(); seen[0] += 1 }
                            recv(r) -> v => { v.unwrap(); seen[1] += 1 }
                        }
                    }
                    seen
                })
            };
            for i in 0..100 {
                match i % 2 {
                    0 => assert_eq!(r.recv_timeout(LONG), Ok(1)),
                    _ => s.send_timeout(2, LONG).unwrap(),
                }
            }
            for _ in 0..50 {
                s.send_timeout(2, LONG).unwrap();
            }
            for _ in 0..50 {
                assert_eq!(r.recv_timeout(LONG), Ok(1));
            }
            assert_eq!(both.join().unwrap(), [100, 100]);
        });
    }
}

#[test]
fn one_channel_may_be_in_several_arms() {
    everywhere(|| {
        let (s, r) = unbounded::<i32>();
        let mut counts = [0; 3];
        for i in 0..3000 {
            s.send(i).unwrap();
            select! {
                recv(r) -> v => { assert_eq!(v, Ok(i)); counts[0] += 1 }
                recv(r) -> v => { assert_eq!(v, Ok(i)); counts[1] += 1 }
                recv(&r) -> v => { assert_eq!(v, Ok(i)); counts[2] += 1 }
            }
        }
        is_fair(&counts, "one channel");
        let peer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            s.send(7).unwrap();
        });
        select! {
            recv(r) -> v => assert_eq!(v, Ok(7)),
            recv(r) -> v => assert_eq!(v, Ok(7)),
        }
        assert_eq!(internal::queued(&r), [0; 4]);
        runtime::blocking(|| peer.join().unwrap());
    });
}

#[test]
fn many_arms_wait_at_once() {
    for procs in [1, 2] {
        within_minute(move || {
            let rt = runtime::start(procs);
            rt.run(|| {
                for n in [15usize, 16, 17, 100] {
                    let channels: Vec<_> = (0..n).map(|_| bounded::<usize>(0)).collect();
                    let receivers: Vec<_> = channels.iter().map(|c| c.1.clone()).collect();
                    let h = runtime::spawn(move || {
                        let mut list = Select::new();
                        receivers.iter().for_each(|r| assert!(list.recv(r) < n));
                        let mut sum = 0;
                        for _ in 0..n * 3 {
                            let oper = list.select();
                            let i = oper.index();
                            assert_eq!(oper.recv(&receivers[i]), Ok(i));
                            sum += i;
                        }
                        sum
                    });
                    for _ in 0..3 {
                        for (i, (s, _)) in channels.iter().enumerate() {
                            s.send(i).unwrap();
                        }
                    }
                    assert_eq!(h.join().unwrap(), 3 * n * (n - 1) / 2);
                    for (_, r) in &channels {
                        assert_eq!(internal::queued(r), [0; 4]);
                    }
                }
            });
        });
    }
}

#[test]
fn nil_channels_are_never_ready_and_closed_ones_at_once() {
    everywhere(|| {
        let (s, r) = (Sender::<i32>::nil(), Receiver::<i32>::nil());
        select! {
            send(s, 1) -> _ => unreachable!(),
            recv(r) -> _ => unreachable!(),
            default(Duration::from_millis(1)) => {}
        }
        let mut list = Select::new();
        assert_eq!([list.send(&s), list.recv(&r)], [0, 1]);
        assert!(list.try_ready().is_err());
        assert!(list.ready_timeout(Duration::from_millis(1)).is_err());
        let (s, r) = bounded::<i32>(0);
        assert!(s.close());
        let mut seen = [0; 2];
        for _ in 0..100 {
            select! {
                send(s, 1) -> v => { assert!(v.is_err()); seen[0] += 1 }
                recv(r) -> v => { assert!(v.is_err()); seen[1] += 1 }
            }
        }
        assert!(seen[0] > 0 && seen[1] > 0);
    });
}

#[test]
fn a_close_wakes_those_who_select() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(0);
        let (s2, r2) = bounded::<i32>(1);
        s2.send(0).unwrap();
        let waiting: Vec<_> = (0..6)
            .map(|i| {
                let (s, r, s2) = (s.clone(), r.clone(), s2.clone());
                std::thread::spawn(move || match i % 3 {
                    0 => select! { recv(r) -> v => v.is_err(), recv(never::<()>()) -> _ => false },
                    1 => select! { send(s2, 1) -> v => v.is_err(), recv(never::<()>()) -> _ => false },
                    _ => {
                        let mut list = Select::new();
                        assert_eq!([list.recv(&r), list.send(&s2)], [0, 1]);
                        list.ready();
                        drop(s);
                        true
                    }
                })
            })
            .collect();
        let waits = || {
            let (a, b) = (internal::queued(&r), internal::queued(&r2));
            a[0] == 2 && b[1] == 2 && a[2] == 2 && b[3] == 2
        };
        while !waits() {
            pause();
        }
        s.close();
        s2.close();
        for h in waiting {
            assert!(runtime::blocking(|| h.join().unwrap()));
        }
        assert_eq!(internal::queued(&r), [0; 4]);
        assert_eq!(internal::queued(&r2), [0; 4]);
    });
}

#[test]
fn a_select_of_nothing_panics_instead_of_waiting_for_ever() {
    within_minute(|| {
        let ready: fn() -> usize = || Select::new().ready();
        let select: fn() -> usize = || Select::new().select().index();
        for f in [ready, select] {
            let f = || assert_eq!(f(), 0);
            assert_eq!(panic_text(f), "no operations have been added to `Select`");
        }
        let start = Instant::now();
        let limit = Duration::from_millis(10);
        assert!(Select::new().select_timeout(limit).is_err());
        assert!(Select::new().ready_timeout(limit).is_err());
        assert!(start.elapsed() >= 2 * limit);
    });
}

#[test]
fn goroutines_in_a_select_end_with_their_runtime() {
    for procs in PROCS {
        within_minute(move || {
            let alive = Alive::default();
            let (s, r) = bounded::<i32>(0);
            let rt = runtime::start(procs);
            for i in 0..40 {
                let (s, r, token) = (s.clone(), r.clone(), alive.token());
                rt.spawn(move || {
                    let _token = token;
                    let idle = bounded::<i32>(0);
                    match i % 5 {
                        0 => select! { recv(r) -> _ => {}, recv(idle.1) -> _ => {} },
                        1 => select! { recv(idle.1) -> _ => {}, recv(after(LONG)) -> _ => {} },
                        2 => select! { send(idle.0, 1) -> _ => {}, recv(never::<()>()) -> _ => {} },
                        3 => {
                            let mut list = Select::new();
                            assert_eq!([list.recv(&r), list.send(&idle.0)], [0, 1]);
                            list.ready();
                        }
                        // A value that never comes, for a receiver that waits for it.
                        _ => select! {
                            send(s, idle.1.recv().unwrap()) -> _ => {},
                            recv(idle.1) -> _ => {},
                        },
                    }
                    unreachable!("nothing becomes ready");
                });
            }
            // Some meet each other: receivers with selects whose value never comes.
            assert!(eventually(|| alive.count() == 40));
            std::thread::sleep(Duration::from_millis(30));
            rt.shutdown();
            assert_eq!(alive.count(), 0);
            assert_eq!(internal::queued(&r), [0; 4]);
        });
    }
}

#[test]
fn a_timeout_ends_a_select() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(0);
        for _ in 0..20 {
            let limit = Duration::from_millis(1);
            let ended = runtime::time::timeout(limit, || {
                select! { recv(r) -> _ => {}, send(s, 1) -> _ => {}, recv(after(LONG)) -> _ => {} }
            });
            assert!(ended.is_err());
            assert!(runtime::time::timeout(limit, || r.recv()).is_err());
            assert!(runtime::time::timeout(limit, || never::<()>().recv()).is_err());
            assert_eq!(internal::queued(&r), [0; 4]);
        }
    });
}
