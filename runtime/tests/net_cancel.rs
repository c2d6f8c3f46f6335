//! A goroutine that is cancelled, or whose time is over, unwinds out of every network call, and leaves
//! nothing behind.

mod support;
#[path = "support/waits.rs"]
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{alone, eventually, everywhere, fds, with_procs, within_minute};

fn cases() -> Vec<waits::Case> {
    let mut cases = waits::all();
    cases.extend(waits::connects());
    cases
}

#[test]
fn cancel_unwinds_out_of_every_wait() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let cases = cases();
            let before = fds();
            for case in &cases {
                let hs: Vec<_> = (0..3)
                    .map(|_| {
                        let case = case.clone();
                        runtime::go!(move || (case.wait)())
                    })
                    .collect();
                runtime::time::sleep(Duration::from_millis(2));
                for h in hs {
                    assert!(!h.is_finished(), "{}", case.name);
                    h.cancel();
                    let e = h.join().unwrap_err();
                    assert!(e.to_string().contains("cancel"), "{}: {e}", case.name);
                }
                assert_eq!(fds(), before, "{}", case.name);
            }
        });
    });
}

#[test]
fn a_timeout_unwinds_out_of_every_wait() {
    everywhere(|| {
        let cases = cases();
        let before = fds();
        for case in &cases {
            for _ in 0..2 {
                let start = Instant::now();
                let d = Duration::from_millis(2);
                let late = runtime::time::timeout(d, || (case.wait)());
                assert!(late.is_err(), "{}", case.name);
                assert!(start.elapsed() >= d, "{}", case.name);
                assert!(start.elapsed() < Duration::from_secs(5), "{}", case.name);
            }
            assert_eq!(fds(), before, "{}", case.name);
        }
    });
}

#[test]
fn a_shutdown_unwinds_out_of_every_wait() {
    let _alone = alone();
    within_minute(|| {
        let cases = cases();
        for n in support::PROCS {
            let before = fds();
            let rt = runtime::start(n);
            let hs: Vec<_> = cases
                .iter()
                .map(|case| {
                    let case = case.clone();
                    rt.spawn(move || (case.wait)())
                })
                .collect();
            std::thread::sleep(Duration::from_millis(10));
            drop(rt);
            for (h, case) in hs.into_iter().zip(&cases) {
                assert!(h.join().is_err(), "{}", case.name);
            }
            assert_eq!(fds(), before);
        }
    });
}

/// In a destructor of one that its runtime ends, a call returns an error where it would wait.
#[test]
fn destructors_do_not_wait_for_the_network_in_a_shutdown() {
    struct Dies(waits::Case, std::sync::mpsc::Sender<std::io::Error>);
    impl Drop for Dies {
        fn drop(&mut self) {
            let _ = self.1.send((self.0.wait)());
        }
    }
    let _alone = alone();
    within_minute(|| {
        for n in support::PROCS {
            let rt = runtime::start(n);
            let (tx, rx) = std::sync::mpsc::channel();
            let cases = cases();
            let begun = Arc::new(AtomicUsize::new(0));
            for case in &cases {
                let dies = Dies(case.clone(), tx.clone());
                let begun = begun.clone();
                rt.spawn(move || {
                    let _dies = dies;
                    begun.fetch_add(1, SeqCst);
                    runtime::time::sleep(Duration::from_secs(3600));
                });
            }
            // One that never started is dropped, and does not unwind.
            assert!(eventually(|| begun.load(SeqCst) == cases.len()));
            std::thread::sleep(Duration::from_millis(10));
            drop((rt, tx));
            assert_eq!(rx.iter().count(), cases.len());
        }
    });
}
