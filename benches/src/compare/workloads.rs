//! The table of workloads: their names, sizes and which peers have them. The work itself is in
//! [`crate::peers`].

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
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// What its numbers count.
    pub fn unit(&self) -> Unit {
        match self.kind {
            Kind::ParkedMemory => Unit::BytesPerGoroutine,
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

/// The workloads whose name contains one of `only`, all of them if `only` is empty.
pub fn select(only: &[String]) -> Vec<&'static Workload> {
    WORKLOADS
        .iter()
        .filter(|workload| only.is_empty() || only.iter().any(|part| workload.name.contains(part)))
        .collect()
}

use Peer::{Crossbeam, Go, May, Tokio, Weft};

const COROUTINES: &[Peer] = &[Weft, Go, Tokio, May];

/// may maps two areas for every coroutine and so ends at about 32,000 of them alive with the
/// kernel's default of 65,530 mappings.
pub const MAY_ALIVE: usize = 20_000;

/// All workloads, in the order of the table.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "yield_2",
        what: "2 goroutines yield 1,000,000 times each",
        kind: Kind::Yield { goroutines: 2 },
        size: 1_000_000,
        quick: 5_000,
        peers: COROUTINES,
        smaller: &[],
    },
    Workload {
        name: "yield_1000",
        what: "1,000 goroutines yield 2,000 times each",
        kind: Kind::Yield { goroutines: 1_000 },
        size: 2_000,
        quick: 10,
        peers: COROUTINES,
        smaller: &[],
    },
    Workload {
        name: "spawn_finish",
        what: "a goroutine spawns 1,000,000 that count down and end",
        kind: Kind::SpawnFinish,
        size: 1_000_000,
        quick: 2_000,
        peers: COROUTINES,
        smaller: &[(May, MAY_ALIVE)],
    },
    Workload {
        name: "spawn_join",
        what: "spawn and join one at a time (Go: by a channel, its only way)",
        kind: Kind::SpawnJoin,
        size: 300_000,
        quick: 1_000,
        peers: COROUTINES,
        smaller: &[],
    },
    Workload {
        name: "spawn_join_chan",
        what: "spawn and join one at a time by an unbuffered channel made for each",
        kind: Kind::SpawnJoinChan,
        size: 300_000,
        quick: 1_000,
        peers: &[Weft, Go],
        smaller: &[],
    },
    Workload {
        name: "skynet",
        what: "a tree of 1,111,111 goroutines sums up its leaves (weft, Go: unbuffered channels)",
        kind: Kind::Skynet,
        size: 1_000_000,
        quick: 1_000,
        peers: COROUTINES,
        smaller: &[(May, 10_000)],
    },
    Workload {
        name: "fib",
        what: "fork-join fib(24), by join handles (Go: a channel of capacity 1)",
        kind: Kind::Fib,
        size: 24,
        quick: 12,
        peers: COROUTINES,
        smaller: &[],
    },
    Workload {
        name: "fib_chan",
        what: "fork-join fib(24), by a channel of capacity 1 for every fork",
        kind: Kind::FibChan,
        size: 24,
        quick: 12,
        peers: &[Weft, Go],
        smaller: &[],
    },
    Workload {
        name: "pingpong",
        what: "round trips of two goroutines, unbuffered (tokio: capacity 1, may: unbounded)",
        kind: Kind::PingPong,
        size: 500_000,
        quick: 1_000,
        peers: &[Weft, Go, Tokio, May, Crossbeam],
        smaller: &[(Crossbeam, 20_000)],
    },
    Workload {
        name: "spsc_0",
        what: "a stream by an unbuffered channel",
        kind: Kind::Spsc { cap: Some(0) },
        size: 1_000_000,
        quick: 2_000,
        peers: &[Weft, Go, Crossbeam],
        smaller: &[(Crossbeam, 40_000)],
    },
    Workload {
        name: "spsc_1",
        what: "a stream by a channel of capacity 1",
        kind: Kind::Spsc { cap: Some(1) },
        size: 1_000_000,
        quick: 2_000,
        peers: &[Weft, Go, Tokio, Crossbeam],
        smaller: &[(Crossbeam, 40_000)],
    },
    Workload {
        name: "spsc_100",
        what: "a stream by a channel of capacity 100",
        kind: Kind::Spsc { cap: Some(100) },
        size: 2_000_000,
        quick: 5_000,
        peers: &[Weft, Go, Tokio, Crossbeam],
        smaller: &[],
    },
    Workload {
        name: "spsc_unbounded",
        what: "a stream by an unbounded channel",
        kind: Kind::Spsc { cap: None },
        size: 2_000_000,
        quick: 5_000,
        peers: &[Weft, Tokio, May, Crossbeam],
        smaller: &[],
    },
    Workload {
        name: "mpmc4x4_0",
        what: "4 senders, 4 receivers, unbuffered (tokio: flume)",
        kind: Kind::Mpmc { cap: 0 },
        size: 1_000_000,
        quick: 2_000,
        peers: &[Weft, Go, Tokio, Crossbeam],
        smaller: &[(Crossbeam, 40_000)],
    },
    Workload {
        name: "mpmc4x4_64",
        what: "4 senders, 4 receivers, capacity 64 (tokio: flume)",
        kind: Kind::Mpmc { cap: 64 },
        size: 2_000_000,
        quick: 4_000,
        peers: &[Weft, Go, Tokio, Crossbeam],
        smaller: &[],
    },
    Workload {
        name: "sieve",
        what: "1,000 primes by a chain of filters, unbuffered (tokio: capacity 1)",
        kind: Kind::Sieve,
        size: 1_000,
        quick: 50,
        peers: &[Weft, Go, Tokio],
        smaller: &[],
    },
    Workload {
        name: "parked_memory",
        what: "bytes for each of 100,000 goroutines parked on one channel (tokio: flume)",
        kind: Kind::ParkedMemory,
        size: 100_000,
        quick: 2_000,
        peers: COROUTINES,
        smaller: &[(May, MAY_ALIVE)],
    },
];

#[cfg(test)]
mod tests {
    use super::{WORKLOADS, Workload, select};
    use crate::peers::{Peer, Unit};

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|part| (*part).to_owned()).collect();
        select(&only).iter().map(|workload| workload.name).collect()
    }

    #[test]
    fn no_filter_selects_everything() {
        assert_eq!(names(&[]).len(), WORKLOADS.len());
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
        for workload in WORKLOADS {
            let same = WORKLOADS.iter().filter(|other| other.name == workload.name);
            assert_eq!(same.count(), 1, "{}", workload.name);
        }
    }

    #[test]
    fn weft_has_every_workload() {
        assert!(
            WORKLOADS
                .iter()
                .all(|workload| workload.size_for(Peer::Weft, false).is_some())
        );
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
    }
}
