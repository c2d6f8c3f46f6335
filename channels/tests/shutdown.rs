//! The end of a runtime whose goroutines wait at channels: values are dropped once, and who
//! stands at the other end, or stays behind on plain threads, sees a channel in order.

mod common;

use channels::{Receiver, Sender, TryRecvError};
use common::support::{PROCS, eventually, scale, within_minute};
use common::{KINDS, channel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts those that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let before = self.0.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "more drops than values");
    }
}

fn parked(rt: &runtime::Runtime, n: usize) -> bool {
    eventually(|| rt.schedtrace(true).matches("status=4(chan ").count() == n)
}

/// Runs `f` with each number of Ps, with the channels made on a goroutine and on this thread.
fn each(f: impl Fn(&dyn Fn() -> runtime::Runtime, bool)) {
    for procs in PROCS {
        for on_goroutine in [false, true] {
            within_minute(|| f(&|| runtime::start(procs), on_goroutine));
        }
    }
}

fn make<T: Send>(
    rt: &runtime::Runtime,
    kind: Option<usize>,
    on_goroutine: bool,
) -> (Sender<T>, Receiver<T>) {
    match on_goroutine {
        true => rt.run(|| channel(kind)),
        false => channel(kind),
    }
}

/// Threads use the channel as if nothing had happened.
fn usable(tx: Sender<Alive>, rx: Receiver<Alive>) {
    let count = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|s| {
        s.spawn(|| {
            let tx = tx;
            for _ in 0..100 {
                assert!(tx.send(Alive::new(&count)).is_ok());
            }
        });
        let received = s.spawn(|| {
            let rx = rx;
            rx.iter().count()
        });
        assert_eq!(received.join().unwrap(), 100);
    });
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn senders_that_wait_drop_their_values_once_and_the_buffer_stays() {
    each(|start, on_goroutine| {
        for cap in [0, 1, 3] {
            let rt = start();
            let alive = Arc::new(AtomicUsize::new(0));
            let (tx, rx) = make(&rt, Some(cap), on_goroutine);
            for _ in 0..cap {
                assert!(tx.try_send(Alive::new(&alive)).is_ok());
            }
            let handles: Vec<_> = (0..5)
                .map(|_| {
                    let (tx, alive) = (tx.clone(), Arc::clone(&alive));
                    rt.spawn(move || tx.send(Alive::new(&alive)).is_ok())
                })
                .collect();
            assert!(parked(&rt, 5));
            assert_eq!(alive.load(Ordering::SeqCst), 5 + cap);
            rt.shutdown();
            assert_eq!(alive.load(Ordering::SeqCst), cap);
            for h in handles {
                assert!(matches!(h.join(), Err(runtime::JoinError::Cancelled)));
            }
            assert!(!rx.is_closed());
            assert_eq!(rx.try_iter().count(), cap);
            assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)));
            usable(tx, rx);
        }
    });
}

#[test]
fn receivers_that_wait_go_and_the_channel_is_usable() {
    each(|start, on_goroutine| {
        for kind in [Some(0), Some(2), None] {
            let rt = start();
            let alive = Arc::new(AtomicUsize::new(0));
            let (tx, rx) = make::<Alive>(&rt, kind, on_goroutine);
            for _ in 0..5 {
                let rx = rx.clone();
                rt.spawn(move || rx.recv().is_ok());
            }
            assert!(parked(&rt, 5));
            rt.shutdown();
            assert!(!tx.is_closed());
            // Nobody waits any more: unbuffered, a value is refused; otherwise it is stored.
            assert_eq!(tx.try_send(Alive::new(&alive)).is_ok(), kind != Some(0));
            assert_eq!(rx.try_recv().is_ok(), kind != Some(0));
            assert_eq!(alive.load(Ordering::SeqCst), 0);
            usable(tx, rx);
        }
    });
}

#[test]
fn threads_at_the_other_end_learn_that_the_last_goroutine_is_gone() {
    each(|start, on_goroutine| {
        for kind in KINDS {
            let rt = start();
            // Each side has its last handle on a goroutine that waits at another channel.
            let (_never, gate) = make::<()>(&rt, Some(0), on_goroutine);
            let (tx, rx) = make::<Alive>(&rt, kind, on_goroutine);
            let (tx2, rx2) = make::<Alive>(&rt, Some(0), on_goroutine);
            let gate2 = gate.clone();
            rt.spawn(move || {
                let _held = tx;
                gate.recv().unwrap();
            });
            rt.spawn(move || {
                let _held = rx2;
                gate2.recv().unwrap();
            });
            assert!(parked(&rt, 2));
            let alive = Arc::new(AtomicUsize::new(0));
            let value = Alive::new(&alive);
            let receiving = std::thread::spawn(move || rx.recv().is_err());
            let sending = std::thread::spawn(move || tx2.send(value).is_err());
            std::thread::sleep(std::time::Duration::from_millis(5));
            rt.shutdown();
            assert!(receiving.join().unwrap() && sending.join().unwrap());
            assert_eq!(alive.load(Ordering::SeqCst), 0);
        }
    });
}

#[test]
fn an_end_in_the_middle_of_traffic_drops_every_value_once() {
    each(|start, on_goroutine| {
        for i in 0..scale(100).max(5) {
            let kind = KINDS[i % KINDS.len()];
            let alive = Arc::new(AtomicUsize::new(0));
            let rt = start();
            let (tx, rx) = make(&rt, kind, on_goroutine);
            for _ in 0..3 {
                let (tx, alive) = (tx.clone(), Arc::clone(&alive));
                rt.spawn(move || {
                    while tx.send(Alive::new(&alive)).is_ok() {
                        if tx.len() > 1000 {
                            runtime::yield_now();
                        }
                    }
                });
                let rx = rx.clone();
                rt.spawn(move || rx.iter().for_each(drop));
            }
            // And a thread at each end that stays.
            let threads = [true, false].map(|sends| {
                let (tx, rx, alive) = (tx.clone(), rx.clone(), Arc::clone(&alive));
                std::thread::spawn(move || match sends {
                    true => {
                        drop(rx);
                        while tx.len() < 5000 && tx.send(Alive::new(&alive)).is_ok() {}
                    }
                    false => {
                        drop(tx);
                        rx.iter().for_each(drop);
                    }
                })
            });
            std::thread::sleep(std::time::Duration::from_micros(i as u64 * 37 % 2000));
            rt.shutdown();
            assert!(!tx.is_closed());
            tx.close();
            for t in threads {
                t.join().unwrap();
            }
            drop((tx, rx));
            assert_eq!(alive.load(Ordering::SeqCst), 0, "{kind:?}");
        }
    });
}

#[test]
fn what_goroutines_that_never_ran_have_captured_is_dropped_once() {
    each(|start, on_goroutine| {
        let rt = start();
        let alive = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = make::<Alive>(&rt, Some(0), on_goroutine);
        rt.run(|| {
            for _ in 0..1000 {
                let (tx, rx, value) = (tx.clone(), rx.clone(), Alive::new(&alive));
                runtime::go!(move || {
                    drop(rx);
                    tx.send(value).is_ok()
                });
            }
        });
        rt.shutdown();
        assert_eq!(alive.load(Ordering::SeqCst), 0);
        usable(tx, rx);
    });
}

#[test]
fn destructors_of_ended_goroutines_may_use_channels() {
    struct Sends(Sender<usize>, usize);

    impl Drop for Sends {
        fn drop(&mut self) {
            // In an unwinding goroutine a send or a receive that would wait fails instead.
            assert!(self.0.send(self.1).is_ok());
        }
    }

    struct Waits(Receiver<Alive>, Sender<Alive>, Arc<AtomicUsize>);

    impl Drop for Waits {
        fn drop(&mut self) {
            assert!(self.0.recv().is_err());
            assert!(self.1.send(Alive::new(&self.2)).is_err());
            self.2.fetch_add(1000, Ordering::SeqCst);
        }
    }

    each(|start, on_goroutine| {
        let rt = start();
        let alive = Arc::new(AtomicUsize::new(0));
        let (log, logged) = make(&rt, None, on_goroutine);
        let (tx, rx) = make::<Alive>(&rt, Some(0), on_goroutine);
        for i in 0..5 {
            let sends = Sends(log.clone(), i);
            let waits = Waits(rx.clone(), tx.clone(), Arc::clone(&alive));
            let rx = rx.clone();
            rt.spawn(move || {
                let _owned = (sends, waits);
                rx.recv().is_ok()
            });
        }
        assert!(parked(&rt, 5));
        rt.shutdown();
        drop(log);
        let mut all: Vec<_> = logged.iter().collect();
        all.sort();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(alive.load(Ordering::SeqCst), 5000);
        drop((tx, rx));
    });
}

#[test]
fn thread_locals_of_the_runtimes_threads_may_own_channels() {
    thread_local! {
        static OWNED: std::cell::RefCell<Vec<(Sender<u8>, Receiver<Alive>)>> =
            const { std::cell::RefCell::new(Vec::new()) };
    }
    each(|start, on_goroutine| {
        let rt = start();
        let alive = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = make(&rt, Some(0), on_goroutine);
        rt.run(|| {
            let (full, half) = channels::unbounded();
            for _ in 0..3 {
                assert!(full.send(Alive::new(&alive)).is_ok());
            }
            OWNED.with_borrow_mut(|o| o.push((tx, half)));
        });
        let receiving = std::thread::spawn(move || rx.recv().is_err());
        rt.shutdown();
        assert!(receiving.join().unwrap());
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_nil_channel_blocks_its_goroutine_until_the_runtime_ends() {
    each(|start, _| {
        let rt = start();
        let alive = Arc::new(AtomicUsize::new(0));
        let value = Alive::new(&alive);
        let sends = rt.spawn(move || Sender::nil().send(value).is_ok());
        let receives = rt.spawn(|| Receiver::<Alive>::nil().recv().is_ok());
        let iterates = rt.spawn(|| Receiver::<Alive>::nil().iter().count());
        assert!(eventually(|| {
            let trace = rt.schedtrace(true);
            trace.matches("chan send (nil chan)").count() == 1
                && trace.matches("chan receive (nil chan)").count() == 2
        }));
        assert!(!sends.is_finished() && !receives.is_finished());
        rt.shutdown();
        assert!(matches!(sends.join(), Err(runtime::JoinError::Cancelled)));
        assert!(matches!(
            receives.join(),
            Err(runtime::JoinError::Cancelled)
        ));
        assert!(iterates.join().is_err());
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}
