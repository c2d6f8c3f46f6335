//! Every workload of every Rust peer runs at its small size and gives the right result; a wrong
//! one is a panic.

use std::time::Duration;

use benches::compare::workloads::{self, Kind, Workload};
use benches::peers::{self, Peer, Unit};

fn every_workload_of(peer: Peer, procs: usize) {
    for workload in workloads::all() {
        // A server is under load from another process; smoke.rs sees to it.
        if matches!(workload.kind, Kind::Net(_)) {
            continue;
        }
        // What memory grew by says nothing while other tests run.
        let Some(size) = workload.size_for(peer, true) else {
            continue;
        };
        let measured = peers::run(peer, workload.kind, procs, size, Duration::ZERO)
            .unwrap_or_else(|error| panic!("{}: {error}", workload.name));
        assert_eq!(measured.unit, workload.unit(), "{}", workload.name);
        assert!(measured.ops > 0, "{}", workload.name);
        assert!(measured.value.is_finite(), "{}", workload.name);
        let single = measured.unit == Unit::MedianNs;
        assert_eq!(measured.p99.is_some(), single, "{}", workload.name);
    }
}

#[test]
fn weft_does_every_workload_on_one_p() {
    every_workload_of(Peer::Weft, 1);
}

#[test]
fn weft_does_every_workload_on_two_ps() {
    every_workload_of(Peer::Weft, 2);
}

#[test]
fn tokio_does_its_workloads() {
    every_workload_of(Peer::Tokio, 1);
    every_workload_of(Peer::Tokio, 2);
}

// Its scheduler is one for the process and starts with the first coroutine.
#[test]
fn may_does_its_workloads() {
    every_workload_of(Peer::May, 2);
}

#[test]
fn crossbeam_does_its_workloads() {
    every_workload_of(Peer::Crossbeam, 1);
}

#[test]
fn go_is_no_peer_of_this_program() {
    let fib = Workload::named("fib").expect("it exists");
    assert!(peers::run(Peer::Go, fib.kind, 1, 1, Duration::ZERO).is_err());
}
