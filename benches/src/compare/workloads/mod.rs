//! The table of workloads: their names, sizes and which peers have them. The work itself is in
//! [`crate::peers`].
//!
//! ```text
//! base    yields, spawns, trees, channels, memory
//! select  waiting for several channels
//! locks   mutexes, reader-writer locks
//! timers  sleeping, starting and stopping timers, how late they are
//! net     servers under load, each in a process of its own
//! ```

mod base;
mod locks;
mod net;
mod select;
mod timers;

use crate::peers::service::Service;
use crate::peers::{Peer, Unit};

/// What a workload does, with its parameters; every peer matches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `goroutines` goroutines yield `size` times each. An operation is a yield.
    Yield {
        /// How many goroutines take turns.
        goroutines: usize,
    },
    /// A goroutine spawns `size` detached ones; each counts down, the last one sends a signal.
    SpawnFinish,
    /// Spawn one, join it, `size` times over, by the peer's usual way to join.
    SpawnJoin,
    /// As `SpawnJoin`, by an unbuffered channel made for every spawn.
    SpawnJoinChan,
    /// A tree of goroutines, ten children each, `size` leaves, which sums up their numbers.
    Skynet,
    /// Fork-join Fibonacci of `size`: every call above 1 spawns a goroutine for one half.
    Fib,
    /// As `Fib`, where the half comes back by a channel of capacity 1.
    FibChan,
    /// `size` round trips between two goroutines. An operation is a round trip.
    PingPong,
    /// A stream of `size` numbers from one goroutine to another, ended by the sender.
    Spsc {
        /// The channel's capacity; `None` is unbounded.
        cap: Option<usize>,
    },
    /// A stream of `size` numbers from four goroutines to four others by one channel.
    Mpmc {
        /// The channel's capacity.
        cap: usize,
    },
    /// A chain of filters that finds the first `size` primes. An operation is a prime.
    Sieve,
    /// `size` goroutines parked on one channel. The result is bytes for each of them.
    ParkedMemory,
    /// One goroutine selects receives over `arms` channels; each has a sender of its own, and all
    /// of them together send `size` values. An operation is a value.
    Select {
        /// How many channels.
        arms: usize,
        /// Their capacity.
        cap: usize,
    },
    /// `size` selects of two receives, neither ever ready, and a default.
    SelectDefault,
    /// `size` values by one unbuffered channel to goroutines that select on it and on a channel
    /// of their own each, by which they are told to end. An operation is a value.
    SelectPopular,
    /// `goroutines` goroutines lock, increment and unlock, `size` times in sum.
    Mutex {
        /// How many goroutines share the lock.
        goroutines: usize,
    },
    /// Goroutines lock for reading, and now and then for writing, `size` times in sum.
    RwLock,
    /// `size` goroutines sleep once, for different times. The result is the time until the last
    /// one has ended, divided by their number.
    Sleepers,
    /// `size` timers are started and stopped.
    TimerStartStop,
    /// A running timer is reset `size` times.
    TimerReset,
    /// A goroutine sleeps 50 microseconds `size` times. The result is what a sleep took, median.
    ShortSleep,
    /// `size` sleeps of some milliseconds. The result is how much later they end than asked for,
    /// median.
    Lateness {
        /// Whether goroutines compute all the while, two for each P.
        load: bool,
    },
    /// A server in a process of its own, under load from another.
    Net(Traffic),
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// `size` round trips of a small message, one in flight on each connection.
    Echo {
        /// By a socket of the file system in place of TCP.
        unix: bool,
        /// How many connections.
        connections: usize,
    },
    /// As `Echo` by TCP; the result is what 99 % of the round trips did not exceed.
    EchoTail {
        /// How many connections.
        connections: usize,
        /// Whether something in the server computes all the while, and never ends.
        hog: bool,
    },
    /// `size` MiB to the server by one connection. An operation is a MiB.
    Stream,
    /// `size` connections that are made, answered and closed.
    ConnectClose,
    /// Requests by HTTP for `size` seconds, from connections that stay open.
    Http {
        /// How many connections.
        connections: usize,
    },
    /// `size` connections that have been used once. The result is bytes of the server for each.
    IdleMemory,
}

impl Traffic {
    /// What the server has to do.
    pub fn service(self) -> Service {
        match self {
            Traffic::Echo { .. } | Traffic::IdleMemory => Service::Echo,
            Traffic::EchoTail { hog: false, .. } => Service::Echo,
            Traffic::EchoTail { hog: true, .. } => Service::EchoHog,
            Traffic::Stream => Service::Sink,
            Traffic::ConnectClose => Service::Answer,
            Traffic::Http { .. } => Service::Http,
        }
    }
}

/// One row of the comparison.
#[derive(Debug)]
pub struct Workload {
    /// The name in tables and after `--only`.
    pub name: &'static str,
    /// One line for `--list`.
    pub what: &'static str,
    /// What it does.
    pub kind: Kind,
    size: usize,
    quick: usize,
    peers: &'static [Peer],
    /// Peers for which the full size is too much (or too slow), and theirs.
    smaller: &'static [(Peer, usize)],
}

impl Workload {
    /// Finds a workload by its full name.
    pub fn named(name: &str) -> Option<&'static Workload> {
        all().find(|workload| workload.name == name)
    }

    /// What its numbers count.
    pub fn unit(&self) -> Unit {
        match self.kind {
            Kind::ParkedMemory | Kind::Net(Traffic::IdleMemory) => Unit::BytesPerGoroutine,
            Kind::Net(Traffic::EchoTail { .. }) => Unit::P99Ns,
            Kind::ShortSleep | Kind::Lateness { .. } => Unit::MedianNs,
            _ => Unit::NsPerOp,
        }
    }

    /// The size of one pass on `peer`; `None` if the peer has no counterpart.
    pub fn size_for(&self, peer: Peer, quick: bool) -> Option<usize> {
        if !self.peers.contains(&peer) {
            return None;
        }
        let smaller = self.smaller.iter().find(|(other, _)| *other == peer);
        let full = smaller.map_or(self.size, |(_, size)| *size);
        Some(if quick { full.min(self.quick) } else { full })
    }
}

/// may maps two areas for every coroutine and so ends at about 32,000 of them alive with the
/// kernel's default of 65,530 mappings.
pub const MAY_ALIVE: usize = 20_000;

/// All workloads, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Workload> {
    let tables = [
        base::TABLE,
        select::TABLE,
        locks::TABLE,
        timers::TABLE,
        net::TABLE,
    ];
    tables.into_iter().flatten()
}

/// The workloads whose name contains one of `only`, all of them if `only` is empty.
pub fn select(only: &[String]) -> Vec<&'static Workload> {
    all()
        .filter(|workload| only.is_empty() || only.iter().any(|part| workload.name.contains(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Workload, all, select};
    use crate::peers::{Peer, Unit};

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|part| (*part).to_owned()).collect();
        select(&only).iter().map(|workload| workload.name).collect()
    }

    #[test]
    fn no_filter_selects_everything() {
        assert_eq!(names(&[]).len(), all().count());
    }

    #[test]
    fn a_filter_selects_by_any_of_its_substrings_and_keeps_the_order() {
        assert_eq!(
            names(&["mpmc", "yield"]),
            ["yield_2", "yield_1000", "mpmc4x4_0", "mpmc4x4_64"]
        );
        assert_eq!(names(&["spawn_join"]), ["spawn_join", "spawn_join_chan"]);
        assert!(names(&["no such thing"]).is_empty());
    }

    #[test]
    fn names_are_unique() {
        for workload in all() {
            let same = all().filter(|other| other.name == workload.name);
            assert_eq!(same.count(), 1, "{}", workload.name);
        }
    }

    #[test]
    fn weft_has_every_workload() {
        assert!(all().all(|workload| workload.size_for(Peer::Weft, false).is_some()));
    }

    #[test]
    fn sizes_follow_the_peer_and_quickness() {
        let skynet = Workload::named("skynet").unwrap();
        assert_eq!(skynet.size_for(Peer::Go, false), Some(1_000_000));
        assert_eq!(skynet.size_for(Peer::May, false), Some(10_000));
        assert_eq!(skynet.size_for(Peer::May, true), Some(1_000));
        assert_eq!(skynet.size_for(Peer::Crossbeam, false), None);
        assert_eq!(skynet.unit(), Unit::NsPerOp);
        assert_eq!(
            Workload::named("parked_memory").unwrap().unit(),
            Unit::BytesPerGoroutine
        );
        assert_eq!(
            Workload::named("sleep_50us_idle").unwrap().unit(),
            Unit::MedianNs
        );
    }
}
