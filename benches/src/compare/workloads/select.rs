//! The rows about select. tokio has no unbuffered channels, so there its rows are of capacity 1,
//! as in the other rows of unbuffered channels; a channel of many receivers is flume's.

use super::{Kind, Workload};
use crate::peers::Peer::{self, Crossbeam, Go, Tokio, Weft};

const PEERS: &[Peer] = &[Weft, Go, Tokio, Crossbeam];

pub(super) const TABLE: &[Workload] = &[
    Workload {
        name: "select2_0",
        what: "receive by a select of 2, a sender each, unbuffered (tokio: capacity 1)",
        kind: Kind::Select { arms: 2, cap: 0 },
        size: 600_000,
        quick: 2_000,
        peers: PEERS,
        smaller: &[(Crossbeam, 20_000)],
    },
    Workload {
        name: "select3_0",
        what: "receive by a select of 3, a sender each, unbuffered (tokio: capacity 1)",
        kind: Kind::Select { arms: 3, cap: 0 },
        size: 600_000,
        quick: 2_000,
        peers: PEERS,
        smaller: &[(Crossbeam, 20_000)],
    },
    Workload {
        name: "select8_0",
        what: "receive by a select of 8, a sender each, unbuffered (tokio: capacity 1)",
        kind: Kind::Select { arms: 8, cap: 0 },
        size: 300_000,
        quick: 2_000,
        peers: PEERS,
        smaller: &[(Crossbeam, 20_000)],
    },
    Workload {
        name: "select2_100",
        what: "receive by a select of 2, a sender each, capacity 100",
        kind: Kind::Select { arms: 2, cap: 100 },
        size: 1_000_000,
        quick: 4_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "select3_100",
        what: "receive by a select of 3, a sender each, capacity 100",
        kind: Kind::Select { arms: 3, cap: 100 },
        size: 1_000_000,
        quick: 4_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "select8_100",
        what: "receive by a select of 8, a sender each, capacity 100",
        kind: Kind::Select { arms: 8, cap: 100 },
        size: 500_000,
        quick: 4_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "select_default",
        what: "a select of 2 that always takes its default (tokio: a third arm that is ready)",
        kind: Kind::SelectDefault,
        size: 2_000_000,
        quick: 5_000,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "select_popular",
        what: "send to 1,000 goroutines that select on one channel and on their own (tokio: flume)",
        kind: Kind::SelectPopular,
        size: 300_000,
        quick: 2_000,
        peers: PEERS,
        smaller: &[(Crossbeam, 20_000)],
    },
];
