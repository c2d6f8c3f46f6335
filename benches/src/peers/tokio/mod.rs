//! The workloads on tokio's multi-threaded runtime. Where tokio has no such channel (several
//! receivers of one stream) it is flume's, which is what its users take.

mod locks;
pub(super) mod net;
mod select;
mod timers;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};

use super::sleeps::LOAD_EACH_P;
use super::{MPMC, Measurement, Pass, SKYNET_CHILDREN};
use crate::compare::workloads::Kind;

pub(super) fn run(kind: Kind, procs: usize, size: usize, min_time: Duration) -> Measurement {
    let rt = Builder::new_multi_thread()
        .worker_threads(procs)
        .enable_time()
        .build()
        .expect("tokio starts");
    // In a task, because `block_on` itself runs on this thread and not on a worker.
    match kind {
        Kind::ParkedMemory => super::measure_memory(size, |n| {
            rt.block_on(rt.spawn(parked_memory(n))).expect("no panics")
        }),
        Kind::ShortSleep => super::sleeps::measure_sleeps(min_time, || {
            rt.block_on(rt.spawn(timers::short_sleeps(size)))
                .expect("no panics")
        }),
        Kind::Lateness { load } => super::sleeps::measure_sleeps(min_time, || {
            let busy = if load { LOAD_EACH_P * procs } else { 0 };
            rt.block_on(rt.spawn(timers::lateness(busy, size)))
                .expect("no panics")
        }),
        _ => super::measure(min_time, || {
            rt.block_on(rt.spawn(pass(kind, size))).expect("no panics")
        }),
    }
}

async fn pass(kind: Kind, size: usize) -> Pass {
    match kind {
        Kind::Yield { goroutines } => yields(goroutines, size).await,
        Kind::SpawnFinish => spawn_finish(size).await,
        Kind::SpawnJoin => spawn_join(size).await,
        Kind::Skynet => skynet(size).await,
        Kind::Fib => fork_join(size).await,
        Kind::PingPong => ping_pong(size).await,
        Kind::Spsc { cap: Some(cap) } if cap > 0 => stream(cap, size).await,
        Kind::Spsc { cap: None } => stream_unbounded(size).await,
        Kind::Mpmc { cap } => mpmc(cap, size).await,
        Kind::Sieve => sieve(size).await,
        Kind::Select { arms, cap } => select::select(arms, cap, size).await,
        Kind::SelectDefault => select::select_default(size).await,
        Kind::SelectPopular => select::select_popular(size).await,
        Kind::Mutex { goroutines } => locks::mutex(goroutines, size).await,
        Kind::RwLock => locks::rwlock(size).await,
        Kind::Sleepers => timers::sleepers(size).await,
        Kind::TimerStartStop => timers::start_stop(size).await,
        Kind::TimerReset => timers::reset(size).await,
        _ => super::no_counterpart(kind),
    }
}

async fn join_sum(handles: Vec<JoinHandle<usize>>) -> usize {
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.expect("no panics");
    }
    sum
}

async fn yields(tasks: usize, times: usize) -> Pass {
    let start = Instant::now();
    let spawn = |_| {
        tokio::spawn(async move {
            let mut yielded = 0;
            for _ in 0..times {
                yield_now().await;
                yielded += 1;
            }
            yielded
        })
    };
    let handles = (0..tasks).map(spawn).collect();
    let yielded = join_sum(handles).await;
    let pass = Pass::since(start, yielded);
    assert_eq!(yielded, tasks * times);
    pass
}

struct Countdown {
    left: AtomicUsize,
    done: mpsc::UnboundedSender<()>,
}

impl Countdown {
    fn leaked(n: usize) -> (&'static Countdown, mpsc::UnboundedReceiver<()>) {
        let (done, signal) = mpsc::unbounded_channel();
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

async fn spawn_finish(n: usize) -> Pass {
    let (countdown, mut signal) = Countdown::leaked(n);
    let start = Instant::now();
    for _ in 0..n {
        tokio::spawn(async { countdown.one_done() });
    }
    signal.recv().await.expect("the last one sends");
    let pass = Pass::since(start, n);
    assert_eq!(countdown.left.load(Ordering::Acquire), 0);
    pass
}

async fn spawn_join(n: usize) -> Pass {
    let start = Instant::now();
    for i in 0..n {
        assert_eq!(tokio::spawn(async move { i }).await.expect("no panics"), i);
    }
    Pass::since(start, n)
}

/// A future that spawns futures of its own kind needs a type with a name.
type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

async fn skynet(leaves: usize) -> Pass {
    let start = Instant::now();
    let sum = tokio::spawn(skynet_node(0, leaves))
        .await
        .expect("no panics");
    let pass = Pass::since(start, super::skynet_goroutines(leaves));
    assert_eq!(sum, super::sum_below(leaves));
    pass
}

fn skynet_node(number: usize, leaves: usize) -> Boxed {
    Box::pin(async move {
        if leaves == 1 {
            return number;
        }
        let leaves = leaves / SKYNET_CHILDREN;
        let spawn = |i| tokio::spawn(skynet_node(number + i * leaves, leaves));
        let children = (0..SKYNET_CHILDREN).map(spawn).collect();
        join_sum(children).await
    })
}

async fn fork_join(n: usize) -> Pass {
    let start = Instant::now();
    let result = fib(n).await;
    let pass = Pass::since(start, super::fib_goroutines(n));
    assert_eq!(result, super::fibonacci(n));
    pass
}

fn fib(n: usize) -> Boxed {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let other = tokio::spawn(fib(n - 1));
        let this = fib(n - 2).await;
        this + other.await.expect("no panics")
    })
}

async fn ping_pong(n: usize) -> Pass {
    let (ping, mut pings) = mpsc::channel(1);
    let (pong, mut pongs) = mpsc::channel(1);
    let start = Instant::now();
    let echo = tokio::spawn(async move {
        while let Some(value) = pings.recv().await {
            pong.send(value + 1).await.expect("the other side waits");
        }
    });
    for i in 0..n {
        ping.send(i).await.expect("the other side waits");
        assert_eq!(pongs.recv().await, Some(i + 1));
    }
    drop(ping);
    echo.await.expect("no panics");
    Pass::since(start, n)
}

async fn stream(cap: usize, n: usize) -> Pass {
    let (sender, mut receiver) = mpsc::channel(cap);
    let start = Instant::now();
    tokio::spawn(async move {
        for i in 0..n {
            sender.send(i).await.expect("the receiver takes all");
        }
    });
    let mut sum = 0;
    while let Some(value) = receiver.recv().await {
        sum += value;
    }
    let pass = Pass::since(start, n);
    assert_eq!(sum, super::sum_below(n));
    pass
}

async fn stream_unbounded(n: usize) -> Pass {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let start = Instant::now();
    tokio::spawn(async move {
        for i in 0..n {
            sender.send(i).expect("the receiver takes all");
        }
    });
    let mut sum = 0;
    while let Some(value) = receiver.recv().await {
        sum += value;
    }
    let pass = Pass::since(start, n);
    assert_eq!(sum, super::sum_below(n));
    pass
}

async fn mpmc(cap: usize, n: usize) -> Pass {
    let each = n / MPMC;
    let (sender, receiver) = flume::bounded(cap);
    let start = Instant::now();
    let mut sums = Vec::with_capacity(MPMC);
    for _ in 0..MPMC {
        let sender = sender.clone();
        tokio::spawn(async move {
            for i in 0..each {
                sender.send_async(i).await.expect("the receivers take all");
            }
        });
        let receiver = receiver.clone();
        sums.push(tokio::spawn(async move {
            let mut sum = 0;
            while let Ok(value) = receiver.recv_async().await {
                sum += value;
            }
            sum
        }));
    }
    drop(sender);
    let sum = join_sum(sums).await;
    let pass = Pass::since(start, each * MPMC);
    assert_eq!(sum, super::sum_below(each) * MPMC);
    pass
}

async fn sieve(primes: usize) -> Pass {
    let start = Instant::now();
    let mut handles = Vec::with_capacity(primes + 1);
    let (source, mut numbers) = mpsc::channel(1);
    handles.push(tokio::spawn(async move {
        let mut number: usize = 2;
        while source.send(number).await.is_ok() {
            number += 1;
        }
    }));
    let mut prime = 0;
    for _ in 0..primes {
        prime = numbers.recv().await.expect("numbers do not end");
        let (passed, next) = mpsc::channel(1);
        let mut unfiltered = std::mem::replace(&mut numbers, next);
        handles.push(tokio::spawn(async move {
            while let Some(number) = unfiltered.recv().await {
                if number % prime != 0 && passed.send(number).await.is_err() {
                    return;
                }
            }
        }));
    }
    drop(numbers);
    for handle in handles {
        handle.await.expect("no panics");
    }
    let pass = Pass::since(start, primes);
    assert_eq!(prime, super::nth_prime(primes));
    pass
}

async fn parked_memory(n: usize) -> u64 {
    let (release, gate) = flume::bounded::<()>(0);
    let gate = std::sync::Arc::new(gate);
    let (countdown, mut signal) = Countdown::leaked(n);
    let mut handles = Vec::with_capacity(n);
    let before = super::resident_memory();
    for _ in 0..n {
        let gate = gate.clone();
        handles.push(tokio::spawn(async move {
            countdown.one_done();
            usize::from(gate.recv_async().await.is_err())
        }));
    }
    signal.recv().await.expect("the last one sends");
    let grown = super::resident_memory().saturating_sub(before);
    drop(release);
    assert_eq!(join_sum(handles).await, n, "nobody is sent anything");
    grown
}
