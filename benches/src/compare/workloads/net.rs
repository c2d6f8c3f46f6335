//! The rows about servers. The server is a process of its own, with 1 or 2 Ps; the load comes from
//! another, which is the same program whoever answers ([`crate::load`], and `wrk` for HTTP). The
//! floor has one thread at any number of Ps.

use super::{Kind, Traffic, Workload};
use crate::peers::Peer::{self, Floor, Go, Tokio, Weft};

const PEERS: &[Peer] = &[Weft, Go, Tokio, Floor];
const RUNTIMES: &[Peer] = &[Weft, Go, Tokio];

const fn echo(name: &'static str, what: &'static str, unix: bool, connections: usize) -> Workload {
    Workload {
        name,
        what,
        kind: Kind::Net(Traffic::Echo { unix, connections }),
        size: 20_000,
        quick: connections * 2,
        peers: PEERS,
        smaller: &[],
    }
}

/// There is no floor for a hog: its one thread would do nothing else.
const fn tail(name: &'static str, what: &'static str, hog: bool) -> Workload {
    Workload {
        name,
        what,
        kind: Kind::Net(Traffic::EchoTail {
            connections: 100,
            hog,
        }),
        size: 50_000,
        quick: 200,
        peers: if hog { RUNTIMES } else { PEERS },
        smaller: &[],
    }
}

const fn http(name: &'static str, what: &'static str, connections: usize) -> Workload {
    Workload {
        name,
        what,
        kind: Kind::Net(Traffic::Http { connections }),
        size: 2,
        quick: 1,
        peers: PEERS,
        smaller: &[],
    }
}

pub(super) const TABLE: &[Workload] = &[
    echo(
        "tcp_echo_1",
        "round trips of 64 bytes by TCP, 1 connection",
        false,
        1,
    ),
    echo(
        "tcp_echo_100",
        "round trips of 64 bytes by TCP, 100 connections",
        false,
        100,
    ),
    echo(
        "tcp_echo_1000",
        "round trips of 64 bytes by TCP, 1,000 connections",
        false,
        1_000,
    ),
    echo(
        "unix_echo_1",
        "round trips of 64 bytes by a Unix socket, 1 connection",
        true,
        1,
    ),
    echo(
        "unix_echo_100",
        "round trips of 64 bytes by a Unix socket, 100 connections",
        true,
        100,
    ),
    echo(
        "unix_echo_1000",
        "round trips of 64 bytes by a Unix socket, 1,000 connections",
        true,
        1_000,
    ),
    tail(
        "echo_p99",
        "99 % of single round trips, 100 connections by TCP",
        false,
    ),
    tail(
        "echo_p99_hog",
        "the same, while something in the server computes without end",
        true,
    ),
    Workload {
        name: "tcp_stream",
        what: "a MiB of 1 GiB by one connection, to a server that counts bytes",
        kind: Kind::Net(Traffic::Stream),
        size: 1_024,
        quick: 16,
        peers: PEERS,
        smaller: &[],
    },
    Workload {
        name: "connect_close",
        what: "accept a connection, answer one byte and close it, 16 at a time",
        kind: Kind::Net(Traffic::ConnectClose),
        size: 5_000,
        quick: 50,
        peers: PEERS,
        smaller: &[],
    },
    http(
        "http_keepalive_64",
        "requests by HTTP, 64 connections (tokio: hyper)",
        64,
    ),
    http(
        "http_keepalive_1000",
        "requests by HTTP, 1,000 connections (tokio: hyper)",
        1_000,
    ),
    Workload {
        name: "idle_connection_memory",
        what: "bytes of the server for each of 5,000 connections that wait",
        kind: Kind::Net(Traffic::IdleMemory),
        size: 5_000,
        quick: 100,
        peers: RUNTIMES,
        smaller: &[],
    },
];
