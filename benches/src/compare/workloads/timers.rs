//! The rows about sleeping and timers. The last three tell what single sleeps took: the row is
//! the median of them, not a mean, and no goroutine waits for another.

use super::{Kind, Workload};
use crate::peers::Peer::{self, Go, Tokio, Weft};

const PEERS: &[Peer] = &[Weft, Go, Tokio];

pub(super) const TABLE: &[Workload] = &[
    Workload {
        name: "sleepers",
        what: "100,000 goroutines sleep 0 to 100 ms once: all the time it takes, for each of them",
        kind: Kind::Sleepers,
        size: 100_000,
        quick: 1_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "timer_start_stop",
        what: "start a timer of 1 s that would call a function, and stop it (tokio: drop a sleep)",
        kind: Kind::TimerStartStop,
        size: 1_000_000,
        quick: 5_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "timer_reset",
        what: "reset a running timer to 1 s from now",
        kind: Kind::TimerReset,
        size: 2_000_000,
        quick: 5_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "sleep_50us_idle",
        what: "what a sleep of 50 us takes where nothing else runs, median",
        kind: Kind::ShortSleep,
        size: 200,
        quick: 20,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "timer_lateness_idle",
        what: "how late sleeps of 1 to 10 ms end, 4 at a time, median",
        kind: Kind::Lateness { load: false },
        size: 320,
        quick: 8,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "timer_lateness_load",
        what: "the same while 2 goroutines for each P compute 100 us and yield, in a loop",
        kind: Kind::Lateness { load: true },
        size: 320,
        quick: 8,
        peers: PEERS,
        smaller: &[],
    },
];
