//! The rows about locks. In the column of threads they are the standard library's.

use super::{Kind, Workload};
use crate::peers::Peer::{self, Crossbeam, Go, May, Tokio, Weft};

const PEERS: &[Peer] = &[Weft, Go, Tokio, May, Crossbeam];

// may's locks take up to 100 times as long where two of its workers contend.
pub(super) const TABLE: &[Workload] = &[
    Workload {
        name: "mutex_1",
        what: "lock, increment, unlock: 1 goroutine (threads: std's mutex)",
        kind: Kind::Mutex { goroutines: 1 },
        size: 4_000_000,
        quick: 5_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "mutex_8",
        what: "lock, increment, unlock: 8 goroutines (threads: std's mutex)",
        kind: Kind::Mutex { goroutines: 8 },
        size: 2_000_000,
        quick: 5_000,
        peers: PEERS,
        smaller: &[(May, 200_000)],
    },
    Workload {
        name: "mutex_64",
        what: "lock, increment, unlock: 64 goroutines (threads: std's mutex)",
        kind: Kind::Mutex { goroutines: 64 },
        size: 2_000_000,
        quick: 6_400,
        peers: PEERS,
        smaller: &[(May, 200_000)],
    },
    Workload {
        name: "rwlock_read_mostly",
        what: "8 goroutines lock, 1 write for 1,000 reads (threads: std's lock)",
        kind: Kind::RwLock,
        size: 2_000_000,
        quick: 16_016,
        peers: PEERS,
        smaller: &[(May, 200_000)],
    },
];
