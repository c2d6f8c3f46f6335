//! The network left to a single P, as where CPUs are short: nothing waits for ever, and nothing for long.

#[path = "support/busy.rs"]
mod busy;
mod support;
#[path = "support/system.rs"]
mod system;

use busy::Busy;
use runtime::net::UnixStream;
use runtime::{JoinHandle, go, yield_now};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{eventually, in_child, scale, within_minute};
use system::{one_cpu, spin};

/// Runs `f` with 2, 4 and 8 Ps, of which the network has one, in a process of its own.
#[track_caller]
fn with_one_p(name: &str, f: impl Fn() + Sync) {
    let env = [("RUNTIME_DEBUG", "room=always")];
    in_child(name, &env, Duration::from_secs(200), || {
        for procs in [2, 4, 8] {
            within_minute(|| {
                let rt = runtime::start(procs);
                let one = || rt.metrics().network_procs == 1;
                assert!(eventually(one), "the monitor has not looked");
                rt.run(&f);
            });
        }
    });
}

/// Two goroutines that send a byte to and fro, until told to stop, and count.
fn exchange(stop: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let (stop, count) = (stop.clone(), count.clone());
    go!(move || {
        let mut byte = [0];
        while there.read(&mut byte).unwrap() == 1 {
            there.write_all(&byte).unwrap();
        }
    });
    go!(move || {
        while !stop.load(SeqCst) {
            here.write_all(b"!").unwrap();
            here.read_exact(&mut [0]).unwrap();
            count.fetch_add(1, SeqCst);
        }
    })
}

/// While the calling goroutine does `f`, again and again, others exchange bytes.
fn exchanges_beside(pairs: usize, f: impl Fn()) {
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Vec<_> = (0..pairs).map(|_| Arc::default()).collect();
    let all: Vec<_> = counts.iter().map(|count| exchange(&stop, count)).collect();
    let enough = scale(1000);
    while counts.iter().any(|count| count.load(SeqCst) < enough) {
        f();
    }
    stop.store(true, SeqCst);
    all.into_iter().for_each(|h| h.join().unwrap());
}

#[test]
fn many_exchange_messages() {
    with_one_p("many_exchange_messages", || exchanges_beside(50, yield_now));
}

#[test]
fn some_do_beside_one_that_computes() {
    with_one_p("some_do_beside_one_that_computes", || {
        // A message waits for some milliseconds at most, until the monitor sees that a P does not come round.
        exchanges_beside(10, || _ = spin(Duration::from_secs(1)));
    });
}

#[test]
fn some_do_beside_one_that_blocks_its_thread() {
    with_one_p("some_do_beside_one_that_blocks_its_thread", || {
        exchanges_beside(10, || std::thread::sleep(Duration::from_secs(1)));
    });
}

#[test]
fn some_do_beside_those_that_do_so_for_a_moment() {
    with_one_p("some_do_beside_those_that_do_so_for_a_moment", || {
        let computing = Busy::start(
            3,
            |f| go!(f),
            || {
                spin(Duration::from_micros(700));
                yield_now();
            },
        );
        let sleeping = Busy::start(
            3,
            |f| go!(f),
            || {
                std::thread::sleep(Duration::from_micros(700));
            },
        );
        exchanges_beside(4, yield_now);
        computing.end();
        sleeping.end();
    });
}

#[test]
fn new_goroutines_run_on_the_other_ps() {
    with_one_p("new_goroutines_run_on_the_other_ps", || {
        let stop = Arc::new(AtomicBool::new(false));
        let busy = exchange(&stop, &Arc::default());
        for _ in 0..scale(500) {
            let ran = Arc::new(AtomicBool::new(false));
            let seen = ran.clone();
            let h = go!(move || seen.store(true, SeqCst));
            while !ran.load(SeqCst) {
                std::hint::spin_loop(); // it does not give up its P
            }
            h.join().unwrap();
        }
        stop.store(true, SeqCst);
        busy.join().unwrap();
    });
}

/// On one CPU, the threads of two Ps wait for it half of the time.
#[test]
fn the_monitor_sees_that_cpus_are_short() {
    const NAME: &str = "the_monitor_sees_that_cpus_are_short";
    in_child(NAME, &[], Duration::from_secs(200), || {
        within_minute(|| {
            one_cpu();
            for procs in [2, 4] {
                let rt = runtime::start(procs);
                let ps = || rt.metrics().network_procs;
                let stop = Arc::new(AtomicBool::new(false));
                let start = || exchange(&stop, &Arc::default());
                let pairs: Vec<_> = rt.run(|| (0..50).map(|_| start()).collect());
                assert!(eventually(|| ps() < procs as u64), "all {procs} Ps");
                stop.store(true, SeqCst);
                pairs.into_iter().for_each(|pair| pair.join().unwrap());
                assert!(
                    eventually(|| ps() == procs as u64),
                    "{} of {procs} Ps",
                    ps()
                );
            }
        });
    });
}
