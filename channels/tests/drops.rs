//! Every value is dropped exactly once, whatever its kind and wherever its way ends.

mod common;

use common::support::{scale, within_minute};
use common::{KINDS, Side, World, channel, each_world, join_all};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What happened to the values of one test.
#[derive(Default)]
struct Ledger {
    made: AtomicUsize,
    dropped: AtomicUsize,
    /// By number; values without size have none.
    by_number: Mutex<HashMap<usize, usize>>,
}

impl Ledger {
    fn new() -> Arc<Ledger> {
        Arc::default()
    }

    fn alive(&self) -> usize {
        let dropped = self.dropped.load(Ordering::SeqCst);
        self.made.load(Ordering::SeqCst) - dropped
    }

    fn check(&self) {
        for (number, times) in &*self.by_number.lock().unwrap() {
            assert_eq!(*times, 1, "value {number} was dropped {times} times");
        }
        assert_eq!(self.alive(), 0, "values were not dropped");
    }
}

/// What a value consists of, made from its number so that it can be recognised.
trait Payload: Send + PartialEq + 'static {
    fn of(number: usize) -> Self;
}

macro_rules! payloads {
    ($($t:ty: $n:ident => $e:expr,)*) => {
        $(impl Payload for $t {
            fn of($n: usize) -> $t {
                $e
            }
        })*
    };
}

#[derive(PartialEq)]
#[repr(align(256))]
struct Aligned(usize);

payloads! {
    u8: n => n as u8,
    Box<usize>: n => Box::new(n),
    String: n => format!("value {n}"),
    [usize; 512]: n => [n; 512],
    Aligned: n => Aligned(n),
}

trait Value: Send + 'static {
    fn new(ledger: &Arc<Ledger>) -> Self;
}

struct Sized<P: Payload> {
    number: usize,
    payload: P,
    ledger: Arc<Ledger>,
}

impl<P: Payload> Value for Sized<P> {
    fn new(ledger: &Arc<Ledger>) -> Self {
        let number = ledger.made.fetch_add(1, Ordering::SeqCst);
        Sized {
            number,
            payload: P::of(number),
            ledger: Arc::clone(ledger),
        }
    }
}

impl<P: Payload> Drop for Sized<P> {
    fn drop(&mut self) {
        let whole =
            self.payload == P::of(self.number) && std::ptr::from_ref(&self.payload).is_aligned();
        let mut by_number = self.ledger.by_number.lock().unwrap();
        *by_number.entry(self.number).or_default() += 1;
        drop(by_number);
        self.ledger.dropped.fetch_add(1, Ordering::SeqCst);
        assert!(whole, "value {} arrived damaged", self.number);
    }
}

/// A value without size; the ledger of the test `N` is found by its number.
struct Nothing<const N: usize>;

static LEDGERS: Mutex<[Option<Arc<Ledger>>; 16]> = Mutex::new([const { None }; 16]);

impl<const N: usize> Value for Nothing<N> {
    fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.made.fetch_add(1, Ordering::SeqCst);
        LEDGERS.lock().unwrap()[N] = Some(Arc::clone(ledger));
        Nothing
    }
}

impl<const N: usize> Drop for Nothing<N> {
    fn drop(&mut self) {
        let ledger = LEDGERS.lock().unwrap()[N].clone().unwrap();
        ledger.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// One test per path, for all kinds of values in all worlds.
macro_rules! paths {
    ($($(#[$doc:meta])* $n:literal $name:ident: $path:ident;)*) => {
        $($(#[$doc])* #[test]
        fn $name() {
            each_world(|world| {
                $path::<Nothing<$n>>(world);
                $path::<Sized<u8>>(world);
                $path::<Sized<Box<usize>>>(world);
                $path::<Sized<String>>(world);
                $path::<Sized<[usize; 512]>>(world);
                $path::<Sized<Aligned>>(world);
            });
        })*
    };
}

paths! {
    0 received_values_are_dropped_once: received;
    1 values_left_in_the_buffer_are_dropped_once: left_behind;
    2 values_that_come_back_at_a_close_are_dropped_once: blocked_at_close;
    3 values_that_are_refused_are_dropped_once: refused;
    4 values_are_dropped_once_when_the_receiver_goes: receiver_goes;
    5 values_are_dropped_once_when_all_goes_at_random: at_random;
}

fn received<V: Value>(world: &World) {
    let ledger = Ledger::new();
    for kind in KINDS {
        let (tx, rx) = channel(kind);
        let l = Arc::clone(&ledger);
        let sender = world.spawn(Side::Sends, move || {
            for _ in 0..scale(200) {
                assert!(tx.send(V::new(&l)).is_ok());
            }
        });
        let receiver = world.spawn(Side::Receives, move || rx.iter().count());
        sender.join();
        assert_eq!(receiver.join(), scale(200));
    }
    ledger.check();
}

fn left_behind<V: Value>(world: &World) {
    for (i, kind) in [Some(3), Some(64), None, None].into_iter().enumerate() {
        for sender_first in [true, false] {
            let ledger = Ledger::new();
            let (tx, rx) = channel(kind);
            // Beyond a block of an unbounded channel; and with a ring that has wrapped.
            let n = if i == 3 { 100 } else { 3 };
            for _ in 0..2 {
                assert!(tx.send(V::new(&ledger)).is_ok());
                drop(rx.recv());
            }
            for _ in 0..n {
                assert!(tx.send(V::new(&ledger)).is_ok());
            }
            assert_eq!(ledger.alive(), n);
            if sender_first {
                drop(tx);
                assert_eq!(ledger.alive(), n);
                world.spawn(Side::Receives, move || drop(rx)).join();
            } else {
                drop(rx);
                assert_eq!(ledger.alive(), 0, "nobody can receive them any more");
                world.spawn(Side::Sends, move || drop(tx)).join();
            }
            ledger.check();
        }
    }
}

fn blocked_at_close<V: Value>(world: &World) {
    for cap in [0, 1] {
        let ledger = Ledger::new();
        let (tx, rx) = channels::bounded(cap);
        for _ in 0..cap {
            assert!(tx.send(V::new(&ledger)).is_ok());
        }
        let blocked: Vec<_> = (0..3)
            .map(|_| {
                let (tx, l) = (tx.clone(), Arc::clone(&ledger));
                world.spawn(Side::Sends, move || tx.send(V::new(&l)).map_err(drop))
            })
            .collect();
        world.wait_parked(3);
        assert_eq!(ledger.alive(), 3 + cap);
        tx.close();
        assert!(join_all(blocked).iter().all(Result::is_err));
        assert_eq!(ledger.alive(), cap);
        assert_eq!(rx.iter().count(), cap);
        ledger.check();
    }
}

fn refused<V: Value>(world: &World) {
    let ledger = Ledger::new();
    for cap in [0, 1] {
        let (tx, rx) = channels::bounded(cap);
        let l = Arc::clone(&ledger);
        let refused = world.spawn(Side::Sends, move || {
            for _ in 0..cap {
                assert!(tx.try_send(V::new(&l)).is_ok());
            }
            let back = tx.try_send(V::new(&l)).unwrap_err();
            assert!(back.is_full());
            assert_eq!(l.alive(), cap + 1);
            drop(back.into_inner());
            drop(tx.try_send(V::new(&l)));
            assert_eq!(l.alive(), cap);
            tx.close();
            assert!(tx.try_send(V::new(&l)).unwrap_err().is_disconnected());
            assert!(tx.send(V::new(&l)).is_err());
            assert_eq!(l.alive(), cap);
        });
        refused.join();
        drop(rx);
        ledger.check();
    }
}

fn receiver_goes<V: Value>(world: &World) {
    for cap in [0, 1, 3] {
        let ledger = Ledger::new();
        let (tx, rx) = channels::bounded(cap);
        for _ in 0..cap {
            assert!(tx.send(V::new(&ledger)).is_ok());
        }
        let blocked: Vec<_> = (0..3)
            .map(|_| {
                let (tx, l) = (tx.clone(), Arc::clone(&ledger));
                world.spawn(Side::Sends, move || tx.send(V::new(&l)).is_err())
            })
            .collect();
        world.wait_parked(3);
        world.spawn(Side::Receives, move || drop(rx)).join();
        assert_eq!(join_all(blocked), [true; 3]);
        assert_eq!(tx.len(), 0);
        ledger.check();
    }
}

fn at_random<V: Value>(world: &World) {
    let ledger = Ledger::new();
    for i in 0..scale(40) {
        let kind = KINDS[i % KINDS.len()];
        let (tx, rx) = channel(kind);
        let tasks: Vec<_> = (0..6)
            .map(|t| {
                let (tx, rx, l) = (tx.clone(), rx.clone(), Arc::clone(&ledger));
                match t % 2 {
                    0 => world.spawn(Side::Sends, move || {
                        drop(rx);
                        while tx.send(V::new(&l)).is_ok() {
                            while tx.len() > 100 && !tx.is_closed() {
                                runtime::yield_now();
                            }
                        }
                    }),
                    _ => world.spawn(Side::Receives, move || {
                        drop(tx);
                        rx.iter().take(i % 11 + t).for_each(drop);
                    }),
                }
            })
            .collect();
        drop((tx, rx));
        join_all(tasks);
        ledger.check();
    }
}

/// Does something when it is dropped.
struct Then(Option<Box<dyn FnOnce() + Send>>);

impl Then {
    fn new(f: impl FnOnce() + Send + 'static) -> Then {
        Then(Some(Box::new(f)))
    }
}

impl Drop for Then {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

#[test]
fn a_destructor_may_send_on_another_channel() {
    each_world(|world| {
        let (log, logged) = channels::unbounded();
        let (tx, rx) = channels::unbounded();
        for i in 0..40 {
            let log = log.clone();
            tx.send(Then::new(move || log.send(i).unwrap())).unwrap();
        }
        drop(log);
        world.spawn(Side::Receives, move || drop(rx)).join();
        assert!(logged.iter().eq(0..40));
    });
}

#[test]
fn a_destructor_may_use_the_channel_that_drops_it() {
    each_world(|world| {
        for kind in [Some(3), None] {
            let (tx, rx) = channel::<Then>(kind);
            let done = Arc::new(AtomicUsize::new(0));
            for _ in 0..3 {
                let (tx2, done) = (tx.clone(), Arc::clone(&done));
                let then = Then::new(move || {
                    assert!(tx2.is_closed() && !tx2.close());
                    let d = Arc::clone(&done);
                    let late = Then::new(move || {
                        d.fetch_add(10, Ordering::SeqCst);
                    });
                    let refused = tx2.try_send(late).unwrap_err();
                    assert!(refused.is_disconnected());
                    drop(tx2.send(refused.into_inner()));
                    done.fetch_add(1, Ordering::SeqCst);
                });
                assert!(tx.send(then).is_ok());
            }
            drop(tx); // the senders inside the values are the last ones
            world.spawn(Side::Receives, move || drop(rx)).join();
            assert_eq!(done.load(Ordering::SeqCst), 33);
        }
    });
}

#[test]
fn a_destructor_may_drop_the_ends_of_a_chain_of_channels() {
    each_world(|world| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let d = Arc::clone(&dropped);
        let mut chain = Then::new(move || {
            d.fetch_add(1, Ordering::SeqCst);
        });
        for _ in 0..50 {
            let (tx, rx) = channels::bounded(1);
            assert!(tx.send(chain).is_ok());
            let d = Arc::clone(&dropped);
            chain = Then::new(move || {
                drop((tx, rx));
                d.fetch_add(1, Ordering::SeqCst);
            });
        }
        world.spawn(Side::Receives, move || drop(chain)).join();
        assert_eq!(dropped.load(Ordering::SeqCst), 51);
    });
}

/// Unwinds without the panic hook's report.
fn fail_on_purpose() {
    std::panic::resume_unwind(Box::new("on purpose"))
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().unwrap_or("?")
}

#[test]
fn a_destructor_that_panics_leaves_both_sides_usable() {
    each_world(|world| {
        for kind in [Some(3), None] {
            let (tx, rx) = channel::<Then>(kind);
            assert!(tx.send(Then::new(fail_on_purpose)).is_ok());
            let drops = world.spawn(Side::Receives, move || {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(rx)))
            });
            assert_eq!(text(&*drops.join().unwrap_err()), "on purpose");
            // The other side sees a channel without receivers.
            assert!(tx.is_closed());
            assert!(tx.send(Then::new(|| ())).is_err());
            assert!(tx.try_send(Then::new(|| ())).unwrap_err().is_disconnected());
            world.spawn(Side::Sends, move || drop(tx)).join();
        }
    });
}

#[test]
fn senders_that_wait_are_woken_although_a_destructor_panics() {
    each_world(|world| {
        let (tx, rx) = channels::bounded(1);
        assert!(tx.send(Then::new(fail_on_purpose)).is_ok());
        let waiting = world.spawn(Side::Sends, move || tx.send(Then::new(|| ())).is_err());
        world.wait_parked(1);
        let drops = world.spawn(Side::Receives, move || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(rx))).is_err()
        });
        assert!(drops.join());
        assert!(waiting.join());
    });
}

#[test]
fn the_other_values_are_dropped_although_a_destructor_panics() {
    within_minute(|| {
        for kind in [Some(3), None] {
            let ledger = Ledger::new();
            let (tx, rx) = channel::<(Option<Then>, Option<Sized<String>>)>(kind);
            assert!(tx.send((Some(Then::new(fail_on_purpose)), None)).is_ok());
            for _ in 0..2 {
                assert!(tx.send((None, Some(Value::new(&ledger)))).is_ok());
            }
            let drops = std::panic::AssertUnwindSafe(|| drop(rx));
            assert!(std::panic::catch_unwind(drops).is_err());
            drop(tx);
            ledger.check();
        }
    });
}
