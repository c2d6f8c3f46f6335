//! Channels give back what they took: counted by the allocator, in children that run nothing
//! else.

mod common;

use channels::{Select, after, bounded, internal, never, select, tick, unbounded};
use common::support::{in_child, scale};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

/// Bytes that are allocated now.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `f` in a child, once to warm up and then to see whether it leaves anything behind.
fn leaves_nothing(name: &str, f: impl Fn()) {
    in_child(name, &[], Duration::from_secs(170), || {
        f();
        let before = LIVE.load(Ordering::SeqCst);
        f();
        let left = LIVE.load(Ordering::SeqCst) - before;
        // Threads and queues of the runtime may have left something; channels leave more.
        assert!(left < 30_000, "{left} bytes are left");
    });
}

/// A channel of each kind, with some use of it.
fn use_one(i: usize) {
    match i % 5 {
        0 => drop(bounded::<u64>(0)),
        1 => {
            let (tx, rx) = bounded(3);
            tx.send(Box::new(i)).unwrap();
            drop((tx.clone(), rx.clone()));
        }
        2 => {
            let (tx, rx) = unbounded();
            for i in 0..i % 80 {
                tx.send(i.to_string()).unwrap();
            }
            rx.try_recv().ok();
        }
        3 => {
            let (tx, rx) = bounded(1);
            tx.send(vec![i]).unwrap();
            assert!(tx.try_send(vec![i]).is_err());
            tx.close();
            assert_eq!(rx.iter().count(), 1);
        }
        _ => {
            let (tx, rx) = unbounded::<[u64; 4]>();
            drop(rx);
            assert!(tx.send([0; 4]).is_err());
        }
    }
}

#[test]
fn a_million_channels_on_a_thread_leave_nothing() {
    leaves_nothing("a_million_channels_on_a_thread_leave_nothing", || {
        (0..scale(1_000_000)).for_each(use_one);
    });
}

#[test]
fn a_million_channels_on_goroutines_leave_nothing() {
    leaves_nothing("a_million_channels_on_goroutines_leave_nothing", || {
        let rt = runtime::start(2);
        rt.run(|| {
            runtime::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| (0..scale(1_000_000) / 4).for_each(use_one));
                }
            });
        });
    });
}

#[test]
fn channels_whose_ends_go_on_different_threads_leave_nothing() {
    leaves_nothing(
        "channels_whose_ends_go_on_different_threads_leave_nothing",
        || {
            let rt = runtime::start(2);
            let (tx, rx) = bounded(64);
            let (tx2, rx2) = bounded(64);
            let dropping = std::thread::spawn(move || rx.iter().for_each(drop));
            let dropping2 = rt.spawn(move || rx2.iter().for_each(drop));
            rt.run(|| {
                for i in 0..scale(100_000) {
                    let (s, r) = unbounded();
                    s.send(i.to_string()).unwrap();
                    tx.send(s).unwrap();
                    tx2.send(r).unwrap();
                }
            });
            drop((tx, tx2));
            dropping.join().unwrap();
            dropping2.join().unwrap();
        },
    );
}

#[test]
fn waits_that_end_in_every_way_leave_nothing() {
    leaves_nothing("waits_that_end_in_every_way_leave_nothing", || {
        for _ in 0..scale(200) {
            let rt = runtime::start(2);
            let (tx, rx) = bounded(0);
            let (tx2, rx2) = bounded::<String>(0);
            for i in 0..6 {
                let (tx, rx2) = (tx.clone(), rx2.clone());
                match i % 2 {
                    0 => drop(rt.spawn(move || tx.send(i.to_string()).is_ok())),
                    _ => drop(rt.spawn(move || rx2.recv().is_ok())),
                }
            }
            rx.recv().unwrap();
            tx2.send("x".to_string()).unwrap();
            drop(rx); // wakes two senders; the shutdown wakes two receivers
            rt.shutdown();
            drop((tx, tx2, rx2));
        }
    });
}

/// Rounds of selects that wait, and of which one of four arms wins.
fn select_often(rounds: usize) {
    let channels: Vec<_> = (0..3).map(|_| bounded::<[u64; 8]>(0)).collect();
    let idle = bounded::<String>(0);
    let senders: Vec<_> = channels.iter().map(|c| c.0.clone()).collect();
    let sender = runtime::spawn(move || {
        for i in 0..rounds {
            let s = &senders[i % 3];
            match i % 2 {
                0 => s.send([i as u64; 8]).unwrap(),
                _ => {
                    select! { send(s, [i as u64; 8]) -> v => v.unwrap(), recv(never::<()>()) -> _ => {} }
                }
            }
        }
    });
    let mut list = Select::new();
    for (_, r) in &channels {
        list.recv(r);
    }
    list.send(&idle.0);
    for i in 0..rounds {
        match i % 3 {
            0 => {
                let oper = list.select();
                let at = oper.index();
                assert_eq!(oper.recv(&channels[at].1).unwrap()[7], i as u64);
            }
            1 => select! {
                recv(channels[0].1) -> v => assert_eq!(v.unwrap()[0], i as u64),
                recv(channels[1].1) -> v => assert_eq!(v.unwrap()[0], i as u64),
                recv(channels[2].1) -> v => assert_eq!(v.unwrap()[0], i as u64),
                recv(idle.1) -> _ => unreachable!(),
            },
            _ => {
                let at = loop {
                    let at = list.ready();
                    if channels[at].1.try_recv().is_ok() {
                        break at;
                    }
                };
                assert_eq!(at, i % 3);
                drop((
                    after(Duration::from_secs(1)),
                    tick(Duration::from_secs(1)).clone(),
                ));
            }
        }
    }
    sender.join().unwrap();
    for (_, r) in &channels {
        assert_eq!(internal::queued(r), [0; 4]);
    }
    assert_eq!(internal::queued(&idle.1), [0; 4]);
}

#[test]
fn a_hundred_thousand_selects_leave_nothing() {
    leaves_nothing("a_hundred_thousand_selects_leave_nothing", || {
        let rt = runtime::start(2);
        rt.run(|| select_often(scale(100_000)));
    });
}
