//! Where the work goes: no P stays idle beside it, none keeps it that does not come round.

#[path = "support/busy.rs"]
mod busy;
mod support;

use busy::Busy;
use runtime::{Runtime, go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{eventually, running, running_but, within_minute};

/// A number out of a `SCHED` line.
fn traced(rt: &Runtime, key: &str) -> usize {
    let trace = rt.schedtrace(false);
    let at = trace.find(&format!(" {key}=")).unwrap() + key.len() + 2;
    let digits = trace[at..].split(' ').next().unwrap();
    digits.parse().unwrap()
}

/// Starts one spinning goroutine per P; whether each of them came to have a P of its own. Not so
/// when this machine is so busy that a slice was over before the last had started.
fn each_has_a_p(procs: usize) -> bool {
    let rt = runtime::start(procs);
    let here = Arc::new(AtomicUsize::new(0));
    let leave = Arc::new(AtomicBool::new(false));
    let hs: Vec<_> = (0..procs)
        .map(|_| {
            let (here, leave) = (here.clone(), leave.clone());
            rt.spawn(move || {
                here.fetch_add(1, SeqCst);
                while here.load(SeqCst) < procs || !leave.load(SeqCst) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    assert!(eventually(|| here.load(SeqCst) == procs));
    let all = running(&rt) == procs && traced(&rt, "idleprocs") == 0;
    leave.store(true, SeqCst);
    hs.into_iter().for_each(|h| h.join().unwrap());
    assert!(eventually(|| traced(&rt, "idleprocs") == procs));
    all
}

#[test]
fn as_many_goroutines_run_at_once_as_there_are_ps() {
    for procs in [2, 4, 8] {
        within_minute(|| assert!((0..50).any(|_| each_has_a_p(procs)), "{procs} Ps"));
    }
}

#[test]
fn work_of_a_busy_producer_reaches_idle_ps() {
    for procs in [2, 4, 8] {
        within_minute(|| {
            let rt = runtime::start(procs);
            let n = support::scale(10_000);
            rt.run(|| {
                let done = Arc::new(AtomicUsize::new(0));
                let hs: Vec<_> = (0..n)
                    .map(|_| {
                        let done = done.clone();
                        go!(move || {
                            done.fetch_add(1, SeqCst);
                            runtime::current_m()
                        })
                    })
                    .collect();
                // From here on it does not give its thread up: others must carry the work off.
                let mine = runtime::current_m();
                let before = done.load(SeqCst);
                while done.load(SeqCst) < n {
                    std::hint::spin_loop();
                }
                assert_eq!(runtime::current_m(), mine);
                let elsewhere = hs
                    .into_iter()
                    .map(|h| h.join().unwrap())
                    .filter(|m| *m != mine)
                    .count();
                assert!(
                    elsewhere >= n - before,
                    "{elsewhere} of {n}, {before} before"
                );
            });
        });
    }
}

#[test]
fn one_goroutine_made_ready_beside_a_busy_one_is_run_by_an_idle_p() {
    // The child sits in a slot that thieves do not look into.
    for procs in [2, 4, 8] {
        within_minute(|| {
            runtime::start(procs).run(|| {
                for _ in 0..support::scale(500) {
                    let ran = Arc::new(AtomicBool::new(false));
                    let seen = ran.clone();
                    let h = go!(move || seen.store(true, SeqCst));
                    while !ran.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    h.join().unwrap();
                }
            });
        });
    }
}

#[test]
fn a_woken_goroutine_beside_a_busy_waker_is_run_by_an_idle_p() {
    for procs in [2, 4, 8] {
        within_minute(|| {
            runtime::start(procs).run(|| {
                let (tx, rx) = channels::bounded::<Arc<AtomicBool>>(0);
                let h = go!(move || {
                    for flag in rx {
                        flag.store(true, SeqCst);
                    }
                });
                for _ in 0..support::scale(500) {
                    let flag = Arc::new(AtomicBool::new(false));
                    tx.send(flag.clone()).unwrap();
                    while !flag.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                }
                drop(tx);
                h.join().unwrap();
            });
        });
    }
}

/// With a socket that somebody waits at, all Ps look at the clock now and then, and so at each other.
fn wait_at_a_socket() {
    go!(|| {
        let (socket, _other) = runtime::net::UnixDatagram::pair().unwrap();
        let _ = socket.recv(&mut [0]);
    });
}

/// One goroutine wakes ten that wait, and computes for less than a slice; other goroutines keep all other Ps busy.
/// Whether the ten ran meanwhile.
fn others_take_what_waits_behind_a_busy_one(procs: usize) -> bool {
    let rt = runtime::start(procs);
    rt.run(|| {
        wait_at_a_socket();
        let yielders = Busy::yield_here(4 * procs);
        let permits = Arc::new(runtime::sync::Semaphore::new(0));
        let ran = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let (permits, ran) = (permits.clone(), ran.clone());
                go!(move || {
                    permits.acquire().forget();
                    ran.fetch_add(1, SeqCst);
                })
            })
            .collect();
        (0..1000).for_each(|_| yield_now());
        permits.release(10);
        let since = Instant::now();
        // One may be left in the slot, which is not for others.
        while ran.load(SeqCst) < 9 && since.elapsed() < Duration::from_millis(8) {
            std::hint::spin_loop();
        }
        let all = ran.load(SeqCst) >= 9;
        yielders.end();
        waiters.into_iter().for_each(|h| h.join().unwrap());
        all
    })
}

#[test]
fn what_waits_behind_a_busy_goroutine_is_taken_over_by_ps_that_are_busy_themselves() {
    for procs in [2, 4, 8] {
        within_minute(move || {
            // Now and then it is so without that, since a P happened to be idle.
            let done = (0..50).filter(|_| others_take_what_waits_behind_a_busy_one(procs));
            let done = done.count();
            assert!(done > 30, "{procs} Ps: {done} of 50");
        });
    }
}

/// What waits behind a goroutine that blocks its thread is taken over; but the P, which then has nothing to do, must
/// not stay with the thread that sleeps.
#[test]
fn a_thread_that_sleeps_keeps_no_p_when_others_have_taken_over_its_work() {
    for procs in [2, 4] {
        within_minute(move || {
            let rt = runtime::start(procs);
            rt.run(wait_at_a_socket);
            let yielders = Busy::start(8 * procs, |f| rt.spawn(f), yield_now);
            assert!(eventually(|| running(&rt) == procs));
            // One long call, and short ones in a row.
            for nap in [10_000, 100].repeat(5) {
                let wake = Arc::new(AtomicBool::new(false));
                let asleep = wake.clone();
                let sleeper = rt.spawn(move || {
                    while !asleep.load(SeqCst) {
                        std::thread::sleep(Duration::from_micros(nap)); // not announced
                    }
                });
                let id = sleeper.id();
                let all = eventually(|| running_but(&rt, Some(id)) == procs);
                let trace = rt.schedtrace(true);
                wake.store(true, SeqCst);
                sleeper.join().unwrap();
                assert!(all, "{trace}");
            }
            yielders.end();
        });
    }
}
