//! Time limits, timers and other sources: never early, never lost, and without any runtime.

mod common;

use channels::{
    Receiver, RecvTimeoutError, SendTimeoutError, TryRecvError, after, at, bounded, never, select,
    tick,
};
use common::support::{PROCS, scale, within_minute};
use runtime::park::{Source, Taken, Token, Waiter, Window};
use runtime::time::{Ticker, Timer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(50);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// On a plain thread of a process whose runtimes know nothing of it; and on goroutines.
fn everywhere(f: impl Fn() + Send + Sync + Clone + 'static) {
    within_minute(f.clone());
    for procs in PROCS {
        let f = f.clone();
        within_minute(move || runtime::start(procs).run(f));
    }
}

#[test]
fn no_time_limit_is_over_early() {
    everywhere(|| {
        let (s, r) = bounded::<i32>(1);
        let (full, _full) = bounded::<i32>(0);
        for i in 0..30 {
            let limit = Duration::from_micros(i * 90);
            let start = Instant::now();
            match i % 6 {
                0 => assert_eq!(r.recv_timeout(limit), Err(RecvTimeoutError::Timeout)),
                1 => assert_eq!(
                    full.send_timeout(1, limit),
                    Err(SendTimeoutError::Timeout(1))
                ),
                2 => select! { recv(r) -> _ => unreachable!(), default(limit) => {} },
                3 => assert_eq!(
                    never::<()>().recv_timeout(limit),
                    Err(RecvTimeoutError::Timeout)
                ),
                4 => assert!(after(LONG).recv_timeout(limit).is_err()),
                _ => assert_eq!(after(limit).recv().map(|t| t >= start + limit), Ok(true)),
            }
            assert!(start.elapsed() >= limit);
        }
        drop(s);
    });
}

#[test]
fn a_value_in_time_is_not_a_timeout() {
    everywhere(|| {
        let (s, r) = bounded::<usize>(0);
        let n = scale(2000);
        let sender = std::thread::spawn(move || {
            for i in 0..n {
                s.send_timeout(i, LONG).unwrap();
            }
        });
        for i in 0..n {
            assert_eq!(r.recv_deadline(Instant::now() + LONG), Ok(i));
        }
        runtime::blocking(|| sender.join().unwrap());
        assert_eq!(r.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn a_point_in_time_gives_one_value_to_one_receiver() {
    everywhere(|| {
        let when = Instant::now() + ms(5);
        let r = at(when);
        let copies: Vec<_> = (0..4)
            .map(|_| {
                let r = r.clone();
                std::thread::spawn(move || r.recv_timeout(ms(60)).ok())
            })
            .collect();
        let got: Vec<_> = copies
            .into_iter()
            .filter_map(|h| runtime::blocking(|| h.join().unwrap()))
            .collect();
        assert_eq!(got, [when]);
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(r.recv_timeout(ms(2)), Err(RecvTimeoutError::Timeout));
    });
}

#[test]
fn the_earlier_of_two_comes_first() {
    everywhere(|| {
        for _ in 0..5 {
            select! {
                recv(after(LONG)) -> _ => unreachable!(),
                recv(after(ms(2))) -> _ => {}
                recv(tick(LONG)) -> _ => unreachable!(),
            }
            select! {
                recv(after(ms(1))) -> _ => {}
                default(LONG) => unreachable!(),
            }
            select! {
                recv(after(LONG)) -> _ => unreachable!(),
                default(ms(1)) => {}
            }
        }
    });
}

#[test]
fn a_ticker_drops_what_a_slow_receiver_misses() {
    everywhere(|| {
        let (start, period) = (Instant::now(), ms(10));
        let r = tick(period);
        let first = r.recv().unwrap();
        assert!(first >= start + period);
        std::thread::sleep(ms(75));
        assert!(r.is_full());
        // One of those that were missed, and it was due at its time.
        let second = r.try_recv().unwrap();
        assert!(second >= first + period && second <= Instant::now() - period);
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
        // The next is due a period after the slow receiver came.
        let third = r.recv().unwrap();
        assert!(third >= start + ms(95), "{:?}", third - start);
    });
}

#[test]
fn ticks_of_several_receivers_are_shared() {
    everywhere(|| {
        let r = tick(ms(2));
        let start = Instant::now();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let r = r.clone();
                std::thread::spawn(move || r.iter().take(5).collect::<Vec<_>>())
            })
            .collect();
        let mut all: Vec<_> = tasks
            .into_iter()
            .flat_map(|h| runtime::blocking(|| h.join().unwrap()))
            .collect();
        assert!(start.elapsed() >= ms(28));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 15, "no tick came twice");
    });
}

#[test]
fn timers_and_tickers_of_the_runtime_are_receivers() {
    everywhere(|| {
        let timer = Timer::new(LONG);
        let fired = Receiver::from(&timer);
        let same = Receiver::from(&timer);
        assert!(fired.same_channel(&same));
        assert_eq!((fired.len(), fired.capacity()), (0, Some(1)));
        assert!(fired.recv_timeout(ms(1)).is_err());
        // Set anew while somebody waits for it.
        let setter = {
            let timer = timer.clone();
            std::thread::spawn(move || {
                std::thread::sleep(ms(5));
                timer.reset(ms(1));
            })
        };
        select! {
            recv(fired) -> v => assert!(v.is_ok()),
            recv(after(LONG)) -> _ => unreachable!(),
        }
        runtime::blocking(|| setter.join().unwrap());
        assert_eq!(same.try_recv(), Err(TryRecvError::Empty));
        timer.reset(Duration::ZERO);
        assert!(timer.stop(), "nobody has received it");
        select! { recv(fired) -> _ => unreachable!(), default(ms(2)) => {} }

        let ticks = Receiver::from(&Ticker::new(ms(1)));
        assert_eq!(ticks.iter().take(3).count(), 3);
    });
}

/// Items that come by hand, as signals do.
#[derive(Default)]
struct Bell {
    rings: AtomicUsize,
    closed: AtomicUsize,
    watchers: Mutex<Vec<(Waiter, Token)>>,
}

impl Bell {
    fn ring(&self, n: usize) {
        self.rings.fetch_add(n, Ordering::SeqCst);
        self.tell();
    }

    fn tell(&self) {
        // Claimed under the lock that `unwatch` takes, made ready outside.
        let claimed: Vec<_> = (self.watchers.lock().unwrap().drain(..))
            .filter_map(|(w, token)| w.claim(token))
            .collect();
        claimed.into_iter().for_each(|claimed| claimed.ready());
    }
}

// SAFETY: only atomics, and a lock for a few instructions, under which watchers are claimed and
// forgotten.
unsafe impl Source for Bell {
    type Item = usize;

    fn try_take(&self) -> Taken<usize> {
        let one_less = |n: usize| n.checked_sub(1);
        let order = Ordering::SeqCst;
        match self.rings.fetch_update(order, order, one_less) {
            Ok(n) => Taken::Item(n),
            Err(_) if self.closed.load(order) == 1 => Taken::Closed,
            Err(_) => Taken::Empty(None),
        }
    }

    fn state(&self) -> Taken<()> {
        match self.rings.load(Ordering::SeqCst) {
            0 if self.closed.load(Ordering::SeqCst) == 1 => Taken::Closed,
            0 => Taken::Empty(None),
            _ => Taken::Item(()),
        }
    }

    fn watch(&self, _: &Window, waiter: Waiter, token: Token) {
        self.watchers.lock().unwrap().push((waiter, token));
    }

    fn unwatch(&self, _: &Window, waiter: Waiter) {
        self.watchers.lock().unwrap().retain(|(w, _)| *w != waiter);
    }
}

#[test]
fn items_of_a_source_are_received_once_each() {
    for procs in PROCS {
        within_minute(move || {
            let rt = runtime::start(procs);
            let bell = Arc::new(Bell::default());
            let r = Receiver::from_source(bell.clone());
            let n = scale(20_000);
            let got = Arc::new(AtomicUsize::new(0));
            let (s, values) = bounded::<usize>(0);
            let receive = {
                let (r, got, values) = (r.clone(), Arc::clone(&got), values.clone());
                move |id: usize| {
                    let mut sum = 0;
                    loop {
                        let item = match id % 3 {
                            0 => r.recv().ok(),
                            1 => select! {
                                recv(r) -> v => v.ok(),
                                recv(after(Duration::from_micros(30))) -> _ => continue,
                            },
                            _ => select! {
                                recv(values) -> v => { sum += v.unwrap(); continue }
                                recv(r) -> v => v.ok(),
                            },
                        };
                        match item {
                            Some(_) => got.fetch_add(1, Ordering::SeqCst),
                            None => return sum,
                        };
                    }
                }
            };
            let goroutines: Vec<_> = (0..6)
                .map(|id| {
                    let receive = receive.clone();
                    rt.spawn(move || receive(id))
                })
                .collect();
            let threads: Vec<_> = (0..3)
                .map(|id| {
                    let receive = receive.clone();
                    std::thread::spawn(move || receive(id))
                })
                .collect();
            let mut sent = 0;
            for i in 0..n {
                bell.ring(1);
                if i % 10 == 0 {
                    s.send(i).unwrap();
                    sent += i;
                }
            }
            bell.closed.store(1, Ordering::SeqCst);
            bell.tell();
            let sums = goroutines.into_iter().map(|h| h.join().unwrap());
            let sums = sums.chain(threads.into_iter().map(|h| h.join().unwrap()));
            assert_eq!(sums.sum::<usize>(), sent);
            assert_eq!(got.load(Ordering::SeqCst), n);
            assert!(r.is_closed() && bell.watchers.lock().unwrap().is_empty());
            assert_eq!(channels::internal::queued(&values), [0; 4]);
        });
    }
}

#[test]
fn handles_on_sources_are_shared_and_go() {
    let bell = Arc::new(Bell::default());
    let r = Receiver::from_source(bell.clone());
    let copies: Vec<_> = (0..10).map(|_| r.clone()).collect();
    assert!(copies.iter().all(|c| c.same_channel(&r)));
    assert!(r.same_channel(&Receiver::from_source(bell.clone())));
    assert!(!r.same_channel(&Receiver::from_source(Arc::new(Bell::default()))));
    assert!(!r.same_channel(&never()) && !r.same_channel(&bounded(0).1));
    assert_eq!(format!("{r:?}"), "Receiver { .. }");
    drop((r, copies));
    assert_eq!(Arc::strong_count(&bell), 1);
}
