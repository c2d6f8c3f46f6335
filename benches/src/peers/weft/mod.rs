//! The workloads on this runtime.

mod locks;
pub(super) mod net;
mod select;
mod timers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use channels::{Receiver, Sender, bounded, unbounded};
use runtime::{JoinHandle, go, yield_now};

use super::sleeps::LOAD_EACH_P;
use super::{MPMC, Measurement, Pass, SKYNET_CHILDREN};
use crate::compare::workloads::Kind;

pub(super) fn run(kind: Kind, procs: usize, size: usize, min_time: Duration) -> Measurement {
    let rt = runtime::start(procs);
    match kind {
        Kind::ParkedMemory => super::measure_memory(size, |n| rt.run(|| parked_memory(n))),
        Kind::ShortSleep => {
            super::sleeps::measure_sleeps(min_time, || rt.run(|| timers::short_sleeps(size)))
        }
        Kind::Lateness { load } => super::sleeps::measure_sleeps(min_time, || {
            let busy = if load { LOAD_EACH_P * procs } else { 0 };
            rt.run(|| timers::lateness(busy, size))
        }),
        _ => super::measure(min_time, || rt.run(|| pass(kind, size))),
    }
}

fn pass(kind: Kind, size: usize) -> Pass {
    match kind {
        Kind::Yield { goroutines } => yields(goroutines, size),
        Kind::SpawnFinish => spawn_finish(size),
        Kind::SpawnJoin => spawn_join(size),
        Kind::SpawnJoinChan => spawn_join_chan(size),
        Kind::Skynet => skynet(size),
        Kind::Fib => fork_join(size, fib),
        Kind::FibChan => fork_join(size, fib_chan),
        Kind::PingPong => ping_pong(size),
        Kind::Spsc { cap: Some(cap) } => stream(bounded(cap), size),
        Kind::Spsc { cap: None } => stream(unbounded(), size),
        Kind::Mpmc { cap } => mpmc(cap, size),
        Kind::Sieve => sieve(size),
        Kind::Select { arms, cap } => select::select(arms, cap, size),
        Kind::SelectDefault => select::select_default(size),
        Kind::SelectPopular => select::select_popular(size),
        Kind::Mutex { goroutines } => locks::mutex(goroutines, size),
        Kind::RwLock => locks::rwlock(size),
        Kind::Sleepers => timers::sleepers(size),
        Kind::TimerStartStop => timers::start_stop(size),
        Kind::TimerReset => timers::reset(size),
        Kind::ParkedMemory | Kind::ShortSleep | Kind::Lateness { .. } | Kind::Net(_) => {
            super::no_counterpart(kind)
        }
    }
}

fn join<T>(handles: Vec<JoinHandle<T>>) -> impl Iterator<Item = T> {
    handles
        .into_iter()
        .map(|handle| handle.join().expect("a goroutine without panics"))
}

fn yields(goroutines: usize, times: usize) -> Pass {
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
    let handles = (0..goroutines).map(spawn).collect();
    let yielded: usize = join(handles).sum();
    let pass = Pass::since(start, yielded);
    assert_eq!(yielded, goroutines * times);
    pass
}

/// Counts down what many goroutines do; the last one sends a signal.
struct Countdown {
    left: AtomicUsize,
    done: Sender<()>,
}

impl Countdown {
    /// Lives as long as the process: cloning an `Arc` for every spawn would be measured as well.
    fn leaked(n: usize) -> (&'static Countdown, Receiver<()>) {
        let (done, signal) = bounded(1);
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

fn spawn_join_chan(n: usize) -> Pass {
    let start = Instant::now();
    for i in 0..n {
        let (result, joined) = bounded(0);
        go!(move || result.send(i).expect("it is waited for"));
        assert_eq!(joined.recv(), Ok(i));
    }
    Pass::since(start, n)
}

fn skynet(leaves: usize) -> Pass {
    let start = Instant::now();
    let (result, root) = bounded(0);
    go!(move || skynet_node(&result, 0, leaves));
    let sum = root.recv().expect("the root sends its sum");
    let pass = Pass::since(start, super::skynet_goroutines(leaves));
    assert_eq!(sum, super::sum_below(leaves));
    pass
}

fn skynet_node(result: &Sender<usize>, number: usize, leaves: usize) {
    if leaves == 1 {
        result.send(number).expect("the parent waits");
        return;
    }
    let (child, children) = bounded(0);
    let leaves = leaves / SKYNET_CHILDREN;
    for i in 0..SKYNET_CHILDREN {
        let child = child.clone();
        go!(move || skynet_node(&child, number + i * leaves, leaves));
    }
    // A child that is lost must be an error and not a parent that waits for ever.
    drop(child);
    let sum = (0..SKYNET_CHILDREN)
        .map(|_| children.recv().expect("every child sends"))
        .sum();
    result.send(sum).expect("the parent waits");
}

fn fork_join(n: usize, fib: fn(usize) -> usize) -> Pass {
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

fn fib_chan(n: usize) -> usize {
    if n < 2 {
        return n;
    }
    let (result, other) = bounded(1);
    go!(move || result.send(fib_chan(n - 1)).expect("it is waited for"));
    fib_chan(n - 2) + other.recv().expect("the other half is sent")
}

fn ping_pong(n: usize) -> Pass {
    let (ping, pings) = bounded(0);
    let (pong, pongs) = bounded(0);
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

fn stream((sender, receiver): (Sender<usize>, Receiver<usize>), n: usize) -> Pass {
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

fn mpmc(cap: usize, n: usize) -> Pass {
    let each = n / MPMC;
    let (sender, receiver) = bounded(cap);
    let start = Instant::now();
    let mut sums: Vec<JoinHandle<usize>> = Vec::with_capacity(MPMC);
    for _ in 0..MPMC {
        let sender = sender.clone();
        go!(move || {
            for i in 0..each {
                sender.send(i).expect("the receivers take all");
            }
        });
        let receiver = receiver.clone();
        sums.push(go!(move || receiver.iter().sum()));
    }
    drop(sender);
    let sum: usize = join(sums).sum();
    let pass = Pass::since(start, each * MPMC);
    assert_eq!(sum, super::sum_below(each) * MPMC);
    pass
}

fn sieve(primes: usize) -> Pass {
    let start = Instant::now();
    let mut handles = Vec::with_capacity(primes + 1);
    let (source, mut numbers) = bounded(0);
    handles.push(go!(move || {
        let _sent = (2..)
            .take_while(|number: &usize| source.send(*number).is_ok())
            .count();
    }));
    let mut prime = 0;
    for _ in 0..primes {
        prime = numbers.recv().expect("numbers do not end");
        let (passed, next) = bounded(0);
        let unfiltered = std::mem::replace(&mut numbers, next);
        handles.push(go!(move || filter(prime, unfiltered, &passed)));
    }
    // The last filter's send fails now; each one that ends makes the one before it fail.
    drop(numbers);
    join(handles).for_each(drop);
    let pass = Pass::since(start, primes);
    assert_eq!(prime, super::nth_prime(primes));
    pass
}

fn filter(prime: usize, numbers: Receiver<usize>, passed: &Sender<usize>) {
    for number in numbers {
        if number % prime != 0 && passed.send(number).is_err() {
            return;
        }
    }
}

fn parked_memory(n: usize) -> u64 {
    let (release, gate) = bounded::<()>(0);
    let gate = Arc::new(gate);
    let (countdown, signal) = Countdown::leaked(n);
    let mut handles = Vec::with_capacity(n);
    let before = super::resident_memory();
    for _ in 0..n {
        let gate = Arc::clone(&gate);
        handles.push(go!(move || {
            countdown.one_done();
            gate.recv().is_err()
        }));
    }
    signal.recv().expect("the last one sends");
    let grown = super::resident_memory().saturating_sub(before);
    drop(release);
    assert!(
        join(handles).all(|released| released),
        "nobody is sent anything"
    );
    grown
}
