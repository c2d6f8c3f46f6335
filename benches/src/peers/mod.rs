//! The workloads, one file or folder for each peer (Go's is in `go/`), and what they share: timing,
//! memory, and the results that every pass must have.
//!
//! A *pass* does a workload once, checks its result and returns how long it took and how many
//! operations it was. A child makes one pass to warm up, then passes until they have lasted long
//! enough in sum. Passes are timed inside, on a goroutine of the peer, so that starting a runtime
//! or waking it from idleness is not part of the number.

mod crossbeam;
mod floor;
mod http;
mod may;
pub mod service;
mod sleeps;
mod tokio;
mod weft;

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

use crate::compare::workloads::Kind;

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// This project.
    Weft,
    /// Go.
    Go,
    /// tokio, its multi-threaded runtime; flume where tokio has no such channel.
    Tokio,
    /// may.
    May,
    /// crossbeam-channel, and the standard library's locks, on threads.
    Crossbeam,
    /// No rival, but what a server costs at least: one thread, a loop around epoll, system calls.
    Floor,
}

impl Peer {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Peer; 6] = [
        Peer::Weft,
        Peer::Go,
        Peer::Tokio,
        Peer::May,
        Peer::Crossbeam,
        Peer::Floor,
    ];

    /// The name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Weft => "weft",
            Peer::Go => "go",
            Peer::Tokio => "tokio",
            Peer::May => "may",
            Peer::Crossbeam => "crossbeam",
            Peer::Floor => "floor",
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds for each operation.
    NsPerOp,
    /// Bytes of resident memory, page tables included, for each parked goroutine (or connection).
    BytesPerGoroutine,
    /// Nanoseconds, the median of what single operations took.
    MedianNs,
    /// Nanoseconds, what 99 % of the single operations did not exceed.
    P99Ns,
}

impl Unit {
    /// Whether it is a time.
    pub fn is_time(self) -> bool {
        match self {
            Unit::NsPerOp | Unit::MedianNs | Unit::P99Ns => true,
            Unit::BytesPerGoroutine => false,
        }
    }
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// What it counts.
    pub unit: Unit,
    /// The number.
    pub value: f64,
    /// What half of the operations did not exceed, where they were looked at one by one.
    pub p50: Option<f64>,
    /// What 99 % of them did not exceed.
    pub p99: Option<f64>,
    /// How many operations (or goroutines) it is the mean or median of.
    pub ops: u64,
}

/// Measures one workload of a Rust peer in this process, which should do nothing else.
pub fn run(
    peer: Peer,
    kind: Kind,
    procs: usize,
    size: usize,
    min_time: Duration,
) -> Result<Measurement, String> {
    match peer {
        Peer::Weft => Ok(self::weft::run(kind, procs, size, min_time)),
        Peer::Tokio => Ok(self::tokio::run(kind, procs, size, min_time)),
        Peer::May => Ok(self::may::run(kind, procs, size, min_time)),
        Peer::Crossbeam => self::crossbeam::run(kind, procs, size, min_time),
        Peer::Go => Err("Go is a program of its own".to_owned()),
        Peer::Floor => Err("the floor is a server only".to_owned()),
    }
}

/// What one pass took.
#[derive(Clone, Copy, Debug)]
struct Pass {
    ops: usize,
    elapsed: Duration,
}

impl Pass {
    /// A pass of `ops` operations that began at `start` and ends now.
    fn since(start: Instant, ops: usize) -> Pass {
        Pass {
            ops,
            elapsed: start.elapsed(),
        }
    }
}

/// One pass to warm up, then passes until they have lasted `min_time`.
fn measure(min_time: Duration, mut pass: impl FnMut() -> Pass) -> Measurement {
    pass();
    let (mut ops, mut elapsed) = (0, Duration::ZERO);
    loop {
        let pass = pass();
        ops += pass.ops as u64;
        elapsed += pass.elapsed;
        if elapsed >= min_time {
            break;
        }
    }
    Measurement {
        unit: Unit::NsPerOp,
        value: elapsed.as_nanos() as f64 / ops as f64,
        p50: None,
        p99: None,
        ops,
    }
}

/// How many goroutines park to warm up: enough to touch the code, too few to leave memory behind.
const MEMORY_WARM_UP: usize = 10;

/// Measures memory: `pass(n)` parks `n` goroutines and returns by how much memory grew.
fn measure_memory(size: usize, mut pass: impl FnMut(usize) -> u64) -> Measurement {
    pass(MEMORY_WARM_UP);
    let grown = pass(size);
    let value = grown as f64 / size as f64;
    Measurement {
        unit: Unit::BytesPerGoroutine,
        value,
        p50: None,
        p99: None,
        ops: size as u64,
    }
}

/// This process's resident memory and page tables in bytes.
fn resident_memory() -> u64 {
    resident_memory_of(std::process::id())
}

/// A process's resident memory and page tables in bytes.
pub(crate) fn resident_memory_of(process: u32) -> u64 {
    let status = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(status).expect("/proc is mounted");
    let kib = |key: &str| -> u64 {
        let line = status
            .lines()
            .find(|line| line.starts_with(key))
            .expect("a line of each kind");
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number")
    };
    (kib("VmRSS:") + kib("VmPTE:")) * 1024
}

/// Tells a workload that the table does not give to this peer.
fn no_counterpart(kind: Kind) -> ! {
    panic!("{kind:?} has no counterpart here")
}

/// How many children a goroutine of the skynet tree has.
const SKYNET_CHILDREN: usize = 10;

/// The sum of the leaves of a skynet tree, and of any stream `0..n`.
fn sum_below(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// The goroutines of a skynet tree with `leaves` leaves.
fn skynet_goroutines(leaves: usize) -> usize {
    (SKYNET_CHILDREN * leaves - 1) / (SKYNET_CHILDREN - 1)
}

/// The nth Fibonacci number.
fn fibonacci(n: usize) -> usize {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

/// The goroutines that fork-join fib(n) spawns: one for each call above 1.
fn fib_goroutines(n: usize) -> usize {
    fibonacci(n + 1) - 1
}

/// The nth prime, found in another way than by the sieve.
fn nth_prime(n: usize) -> usize {
    let is_prime = |n: &usize| {
        (2..)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    (2..)
        .filter(is_prime)
        .nth(n - 1)
        .expect("there is always another prime")
}

/// How many goroutines select on the one popular channel.
const POPULAR_RECEIVERS: usize = 1_000;

/// How many goroutines share the reader-writer lock.
const RWLOCK_GOROUTINES: usize = 8;

/// How often a goroutine locks it for reading until it locks it for writing.
const READS_PER_WRITE: usize = 1_000;

/// Whether lock number `i` of a goroutine is for writing.
fn is_write(i: usize) -> bool {
    i % (READS_PER_WRITE + 1) == READS_PER_WRITE
}

/// How many of the first `n` locks of a goroutine are for writing.
fn writes_among(n: usize) -> usize {
    n / (READS_PER_WRITE + 1)
}

/// How many senders, and how many receivers, share a channel in the mpmc workloads.
const MPMC: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_are_checked_against_is_right() {
        assert_eq!(sum_below(1_000_000), 499_999_500_000);
        assert_eq!(sum_below(0), 0);
        assert_eq!(skynet_goroutines(1), 1);
        assert_eq!(skynet_goroutines(1_000_000), 1_111_111);
        assert_eq!(fibonacci(24), 46_368);
        assert_eq!(fib_goroutines(1), 0);
        assert_eq!(fib_goroutines(4), 4);
        assert_eq!(fib_goroutines(24), 75_024);
        assert_eq!(writes_among(1_000), 0);
        assert_eq!((0..10_000).filter(|i| is_write(*i)).count(), 9);
        assert_eq!(writes_among(10_000), 9);
        assert_eq!(nth_prime(1), 2);
        assert_eq!(nth_prime(1_000), 7_919);
    }

    #[test]
    fn passes_go_on_until_they_have_lasted_long_enough() {
        let mut passes = 0;
        let measured = measure(Duration::from_nanos(250), || {
            passes += 1;
            Pass {
                ops: 10,
                elapsed: Duration::from_nanos(100),
            }
        });
        assert_eq!(passes, 4, "one to warm up and three measured");
        assert_eq!(
            measured,
            Measurement {
                unit: Unit::NsPerOp,
                value: 10.0,
                p50: None,
                p99: None,
                ops: 30
            }
        );
    }

    #[test]
    fn memory_is_told_per_goroutine() {
        let measured = measure_memory(100, |n| if n == 100 { 250_000 } else { 1 });
        let unit = Unit::BytesPerGoroutine;
        assert_eq!(
            measured,
            Measurement {
                unit,
                value: 2_500.0,
                p50: None,
                p99: None,
                ops: 100
            }
        );
        assert!(resident_memory() > 100_000);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for peer in Peer::ALL {
            assert_eq!(Peer::from_str(peer.name(), false), Ok(peer));
        }
    }
}
