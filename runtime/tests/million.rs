//! A million goroutines parked at once, and what happens where there is no room for so many.

mod support;

use runtime::JoinError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{child, is_child, status_kib};

const LIMIT: Duration = Duration::from_secs(170);
const COUNT: usize = if cfg!(debug_assertions) {
    50_000
} else {
    1_000_000
};

fn idle(rt: &runtime::Runtime) -> bool {
    let all = format!("idleprocs={} ", rt.num_procs());
    let trace = rt.schedtrace(false);
    trace.contains(&all) && trace.contains("runqueue=0 ")
}

#[test]
fn a_million_goroutines_park_at_once_and_wake() {
    const NAME: &str = "a_million_goroutines_park_at_once_and_wake";
    if !is_child(NAME) {
        // Each switch to another thread would take 30 µs: this is not about that.
        let out = child(NAME, &[("RUNTIME_DEBUG", "")], LIMIT);
        assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
        return;
    }
    let before = status_kib("VmRSS") + status_kib("VmPTE");
    let rt = runtime::start(2);
    let (tx, rx) = channels::unbounded::<usize>();
    let up = Arc::new(AtomicUsize::new(0));
    let handles = rt.run(|| {
        let mut handles = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            let (rx, up) = (rx.clone(), up.clone());
            handles.push(runtime::go!(move || {
                up.fetch_add(1, SeqCst);
                rx.recv().unwrap()
            }));
        }
        handles
    });
    let mut turns = 0;
    while up.load(SeqCst) < COUNT || !idle(&rt) {
        std::thread::sleep(Duration::from_millis(20));
        turns += 1;
        assert!(turns < 5000, "{} of {COUNT} are up", up.load(SeqCst));
    }
    assert_eq!(rt.num_goroutines(), COUNT);
    let used = status_kib("VmRSS") + status_kib("VmPTE") - before;
    let each = used as f64 * 1024.0 / COUNT as f64;
    println!(
        "{COUNT} parked: {used} KiB, {each:.0} bytes each; {} mappings",
        support::mappings()
    );
    for n in 0..COUNT {
        tx.send(n).unwrap();
    }
    let mut sum = 0;
    for h in handles {
        sum += h.join().unwrap();
    }
    assert_eq!(sum, COUNT * (COUNT - 1) / 2);
    assert_eq!(rt.num_goroutines(), 0);
    drop(rt);
    let peak = status_kib("VmHWM");
    assert!(peak < 5632 * 1024, "the peak was {peak} KiB");
    let most = if cfg!(debug_assertions) { 9.0 } else { 5.0 } * 1024.0;
    assert!(each <= most, "{each:.0} bytes each");
    assert!(
        support::mappings() < 1000,
        "{} mappings",
        support::mappings()
    );
}

#[test]
fn goroutines_beyond_the_limit_on_mappings_fail_alone() {
    const NAME: &str = "goroutines_beyond_the_limit_on_mappings_fail_alone";
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 200_000 {
        return eprintln!("not tested: this system allows {limit} mappings");
    }
    let count = limit / 2 + 5000; // two mappings for each stack
    if !is_child(NAME) {
        let env = [("RUNTIME_STACK_GUARD", "mprotect"), ("RUNTIME_DEBUG", "")];
        let out = child(NAME, &env, LIMIT);
        assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
        assert_eq!(
            out.stderr.matches("cannot start, no stack").count(),
            1,
            "{}",
            out.stderr
        );
        assert!(out.stderr.contains("vm.max_map_count"), "{}", out.stderr);
        return;
    }
    let rt = runtime::start(2);
    let (tx, rx) = channels::bounded::<()>(0);
    let handles = rt.run(|| {
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            let rx = rx.clone();
            handles.push(runtime::go!(move || rx.recv().is_err()));
        }
        handles
    });
    // Those that got a stack wait; the others have ended.
    assert!(support::eventually(
        || idle(&rt) && rt.num_goroutines() < count
    ));
    let parked = rt.num_goroutines();
    assert!(
        parked > limit / 2 - 2000,
        "only {parked} of {count} got a stack"
    );
    // The runtime goes on at the limit: what ends makes room.
    drop(tx);
    let (mut fine, mut refused) = (0, 0);
    for h in handles {
        match h.join() {
            Ok(closed) => fine += usize::from(closed),
            Err(JoinError::NoStack(why)) => {
                assert!(why.contains("vm.max_map_count"), "{why}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(fine, parked);
    assert_eq!(fine + refused, count);
    assert_eq!(rt.run(|| runtime::go!(|| 5).join().unwrap()), 5);
    drop(rt);
    assert!(
        support::mappings() < 1000,
        "{} mappings",
        support::mappings()
    );
}
