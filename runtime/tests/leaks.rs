//! Goroutines that can never go on are found, and only they.

mod support;

use channels::bounded;
use runtime::sync::Mutex;
use runtime::{LeakReason, LeaksError, go};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use support::{alone, settle, with_procs, within_minute};

/// The names of those that were found.
fn found() -> BTreeSet<String> {
    let leaks = runtime::leaks().unwrap();
    leaks
        .iter()
        .filter_map(|l| l.name())
        .map(str::to_owned)
        .collect()
}

fn expect(names: &[&str]) {
    let names: BTreeSet<String> = names.iter().map(|&n| n.to_owned()).collect();
    assert_eq!(found(), names);
}

/// Stale words in free memory may hide some of them, so there are several.
const MANY: usize = 16;

#[inline(never)]
fn leak_receivers() {
    for _ in 0..MANY {
        drop(go!(name = "receiver", || {
            let (tx, rx) = bounded::<i32>(0);
            let _ = rx.recv();
            drop(tx);
        }));
    }
}

#[test]
fn who_holds_both_ends_waits_for_ever() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            leak_receivers();
            settle();
            let leaks = runtime::leaks().unwrap();
            assert!(!leaks.is_empty());
            for leak in leaks {
                assert_eq!(leak.name(), Some("receiver"));
                assert_eq!(leak.reason(), LeakReason::Channel);
                assert!(leak.to_string().contains("leaks.rs"), "{leak}");
            }
        });
    });
}

#[test]
fn a_mutex_whose_holder_waits_for_the_other() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
            for (name, first, second) in [("ab", a.clone(), b.clone()), ("ba", b, a)] {
                drop(go!(name = name, move || {
                    let _first = first.lock();
                    runtime::time::sleep(Duration::from_millis(5));
                    let _second = second.lock();
                }));
            }
            settle();
            expect(&["ab", "ba"]);
        });
    });
}

#[test]
fn who_could_go_on_is_not_found() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = bounded::<i32>(0);
            drop(go!(name = "receiver", move || rx.recv()));
            let m = Arc::new(Mutex::new(()));
            let guard = m.lock();
            let m2 = m.clone();
            drop(go!(name = "locker", move || drop(m2.lock())));
            settle();
            expect(&[]);
            tx.send(1).unwrap();
            drop(guard);
            let (tx, rx) = bounded::<i32>(0);
            let boxed = Box::new(tx);
            drop(go!(name = "receiver", move || rx.recv()));
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                boxed.send(1)
            });
            settle();
            expect(&[]);
            thread.join().unwrap().unwrap();
        });
    });
}
#[test]
fn nil_channels_joins_and_scopes() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            drop(go!(name = "nil", || channels::Receiver::<i32>::nil().recv()));
            drop(go!(name = "no arms", || {
                let (a, b) = (
                    channels::Receiver::<i32>::nil(),
                    channels::Sender::<i32>::nil(),
                );
                channels::select! {
                    recv(a) -> _ => {}
                    send(b, 1) -> _ => {}
                }
            }));
            drop(go!(name = "joiner", || {
                go!(name = "joined", || channels::Receiver::<i32>::nil().recv()).join()
            }));
            drop(go!(name = "parent", || runtime::scope(|s| {
                s.spawn(|| channels::Receiver::<i32>::nil().recv());
            })));
            drop(go!(name = "in time", || {
                runtime::time::timeout(Duration::from_secs(5), || {
                    channels::Receiver::<i32>::nil().recv()
                })
            }));
            settle();
            expect(&["nil", "no arms", "joiner", "joined", "parent"]);
            assert_eq!(runtime::leaks().unwrap().len(), 6, "and the scope's child");
        });
    });
}

#[test]
fn a_storm_is_never_taken_for_a_leak() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = bounded::<u64>(0);
            let m = Arc::new(Mutex::new(0));
            let workers: Vec<_> = (0..8u64)
                .map(|i| {
                    let (tx, m) = (tx.clone(), m.clone());
                    go!(move || {
                        for _ in 0..support::scale(5000) {
                            *m.lock().unwrap() += 1;
                            tx.send(i).unwrap();
                        }
                    })
                })
                .collect();
            drop(tx);
            let count = go!(move || rx.iter().count());
            while !workers.iter().all(|w| w.is_finished()) {
                assert!(runtime::leaks().unwrap().is_empty());
                runtime::yield_now();
            }
            assert_eq!(count.join().unwrap(), 8 * support::scale(5000));
        });
    });
}

#[test]
fn urgent_signals_from_outside_stop_nobody_for_ever() {
    let _alone = alone();
    // All threads but the stopper have the signal blocked during a stop, so that it is the stopper's. The
    // dog of this process is stopped, too: the child is ours.
    let storm = "end=$((SECONDS + 50))
        while [ $SECONDS -lt $end ]; do kill -URG $PPID || exit; done
        kill -KILL $PPID";
    let mut child = std::process::Command::new("bash")
        .args(["-c", storm])
        .spawn()
        .unwrap();
    runtime::start(2).run(|| {
        for _ in 0..50 {
            assert!(runtime::leaks().unwrap().is_empty());
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_cannot_be_looked_for_is_an_error() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let (begun, end) = (channels::bounded::<()>(0), channels::bounded::<()>(0));
        let deaf = std::thread::spawn({
            let (begun, end) = (begun.0, end.1);
            move || {
                // SAFETY: a set of signals, of this thread only.
                unsafe {
                    let mut set = std::mem::zeroed();
                    libc::sigemptyset(&mut set);
                    libc::sigaddset(&mut set, libc::SIGURG);
                    libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                }
                begun.send(()).unwrap();
                let _ = end.recv();
            }
        });
        begun.1.recv().unwrap();
        let e = rt.leaks().unwrap_err();
        assert!(matches!(e, LeaksError::NotStopped), "{e:?}");
        assert!(e.to_string().contains("SIGURG"), "{e}");
        drop(end.0);
        deaf.join().unwrap();
        assert!(rt.leaks().unwrap().is_empty());
    });
}
