//! The workloads on may: stackful coroutines, whose channels are all unbounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use may::coroutine::{JoinHandle, yield_now};
use may::go;
use may::sync::{Mutex, RwLock, mpmc, mpsc};

use super::{Measurement, Pass, RWLOCK_GOROUTINES, SKYNET_CHILDREN};
use crate::compare::workloads::{Kind, MAY_ALIVE};

pub(super) fn run(kind: Kind, procs: usize, size: usize, min_time: Duration) -> Measurement {
    may::config().set_workers(procs);
    // Its pool of 1,000 stacks is meant to be adjusted; with less than a workload has alive, mapping
    // and unmapping stacks is all that would be measured. It is filled at the start, though, so not
    // where memory is measured.
    if kind != Kind::ParkedMemory {
        may::config().set_pool_capacity(MAY_ALIVE);
    }
    match kind {
        Kind::ParkedMemory => super::measure_memory(size, |n| {
            go!(move || parked_memory(n)).join().expect("no panics")
        }),
        _ => super::measure(min_time, || {
            go!(move || pass(kind, size)).join().expect("no panics")
        }),
    }
}

fn pass(kind: Kind, size: usize) -> Pass {
    match kind {
        Kind::Yield { goroutines } => yields(goroutines, size),
        Kind::SpawnFinish => spawn_finish(size),
        Kind::SpawnJoin => spawn_join(size),
        Kind::Skynet => skynet(size),
        Kind::Fib => fork_join(size),
        Kind::PingPong => ping_pong(size),
        Kind::Spsc { cap: None } => stream_unbounded(size),
        Kind::Mutex { goroutines } => mutex(goroutines, size),
        Kind::RwLock => rwlock(size),
        _ => super::no_counterpart(kind),
    }
}

fn join_sum(handles: Vec<JoinHandle<usize>>) -> usize {
    handles
        .into_iter()
        .map(|handle| handle.join().expect("no panics"))
        .sum()
}

fn yields(coroutines: usize, times: usize) -> Pass {
    let start = Instant::now();
    let spawn = |_| {
        go!(move || {
            let mut yielded = 0;
            for _ in 0..times {
                yield_now();
                yielded += 1;
            }
            yielded
        })
    };
    let handles = (0..coroutines).map(spawn).collect();
    let yielded = join_sum(handles);
    let pass = Pass::since(start, yielded);
    assert_eq!(yielded, coroutines * times);
    pass
}

struct Countdown {
    left: AtomicUsize,
    done: mpsc::Sender<()>,
}

impl Countdown {
    fn leaked(n: usize) -> (&'static Countdown, mpsc::Receiver<()>) {
        let (done, signal) = mpsc::channel();
        let countdown = Countdown {
            left: AtomicUsize::new(n),
            done,
        };
        (Box::leak(Box::new(countdown)), signal)
    }

    fn one_done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.send(()).expect("somebody waits for the last one");
        }
    }
}

fn spawn_finish(n: usize) -> Pass {
    let (countdown, signal) = Countdown::leaked(n);
    let start = Instant::now();
    for _ in 0..n {
        go!(|| countdown.one_done());
    }
    signal.recv().expect("the last one sends");
    let pass = Pass::since(start, n);
    assert_eq!(countdown.left.load(Ordering::Acquire), 0);
    pass
}

fn spawn_join(n: usize) -> Pass {
    let start = Instant::now();
    for i in 0..n {
        assert_eq!(go!(move || i).join().expect("no panics"), i);
    }
    Pass::since(start, n)
}

fn skynet(leaves: usize) -> Pass {
    let start = Instant::now();
    let sum = go!(move || skynet_node(0, leaves))
        .join()
        .expect("no panics");
    let pass = Pass::since(start, super::skynet_goroutines(leaves));
    assert_eq!(sum, super::sum_below(leaves));
    pass
}

fn skynet_node(number: usize, leaves: usize) -> usize {
    if leaves == 1 {
        return number;
    }
    let leaves = leaves / SKYNET_CHILDREN;
    let spawn = |i| go!(move || skynet_node(number + i * leaves, leaves));
    join_sum((0..SKYNET_CHILDREN).map(spawn).collect())
}

fn fork_join(n: usize) -> Pass {
    let start = Instant::now();
    let result = fib(n);
    let pass = Pass::since(start, super::fib_goroutines(n));
    assert_eq!(result, super::fibonacci(n));
    pass
}

fn fib(n: usize) -> usize {
    if n < 2 {
        return n;
    }
    let other = go!(move || fib(n - 1));
    fib(n - 2) + other.join().expect("no panics")
}

fn ping_pong(n: usize) -> Pass {
    let (ping, pings) = mpsc::channel();
    let (pong, pongs) = mpsc::channel();
    let start = Instant::now();
    let echo = go!(move || {
        for value in pings {
            pong.send(value + 1).expect("the other side waits");
        }
    });
    for i in 0..n {
        ping.send(i).expect("the other side waits");
        assert_eq!(pongs.recv(), Ok(i + 1));
    }
    drop(ping);
    echo.join().expect("no panics");
    Pass::since(start, n)
}

fn stream_unbounded(n: usize) -> Pass {
    let (sender, receiver) = mpsc::channel();
    let start = Instant::now();
    go!(move || {
        for i in 0..n {
            sender.send(i).expect("the receiver takes all");
        }
    });
    let sum: usize = receiver.iter().sum();
    let pass = Pass::since(start, n);
    assert_eq!(sum, super::sum_below(n));
    pass
}

fn mutex(coroutines: usize, n: usize) -> Pass {
    let each = n / coroutines;
    let shared = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        go!(move || {
            for _ in 0..each {
                *shared.lock().expect("no panics") += 1;
            }
            each
        })
    };
    let locked = join_sum((0..coroutines).map(spawn).collect());
    let pass = Pass::since(start, locked);
    assert_eq!(*shared.lock().expect("no panics"), each * coroutines);
    pass
}

fn rwlock(n: usize) -> Pass {
    let each = n / RWLOCK_GOROUTINES;
    let shared = Arc::new(RwLock::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        go!(move || {
            let mut seen = 0;
            for i in 0..each {
                if super::is_write(i) {
                    *shared.write().expect("no panics") += 1;
                } else {
                    let read = *shared.read().expect("no panics");
                    assert!(read >= seen, "a write was lost");
                    seen = read;
                }
            }
            each
        })
    };
    let locked = join_sum((0..RWLOCK_GOROUTINES).map(spawn).collect());
    let pass = Pass::since(start, locked);
    let written = *shared.read().expect("no panics");
    assert_eq!(written, super::writes_among(each) * RWLOCK_GOROUTINES);
    pass
}

fn parked_memory(n: usize) -> u64 {
    let (release, gate) = mpmc::channel::<()>();
    let (countdown, signal) = Countdown::leaked(n);
    let mut handles = Vec::with_capacity(n);
    let before = super::resident_memory();
    for _ in 0..n {
        let gate = gate.clone();
        handles.push(go!(move || {
            countdown.one_done();
            usize::from(gate.recv().is_ok())
        }));
    }
    signal.recv().expect("the last one sends");
    let grown = super::resident_memory().saturating_sub(before);
    // A value for each: the end of the last sender wakes one receiver at a time.
    for _ in 0..n {
        release.send(()).expect("all of them wait");
    }
    assert_eq!(join_sum(handles), n);
    grown
}
