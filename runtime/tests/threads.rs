//! Goroutines and threads: goroutines that are bound to one, pinned to one, or free to move.

mod support;

use runtime::{Builder, go, lock_os_thread, yield_now};
use std::collections::HashSet;
use std::time::Duration;
use support::within_minute;

#[test]
fn a_bound_goroutine_stays_on_its_thread() {
    support::with_procs(|rt| {
        rt.run(|| {
            let hs: Vec<_> = (0..6)
                .map(|i| {
                    go!(move || {
                        let outer = lock_os_thread();
                        let here = std::thread::current().id();
                        let (tx, rx) = channels::bounded::<u8>(0);
                        for k in 0..30 {
                            match (i + k) % 5 {
                                0 => yield_now(),
                                1 => drop(go!(|| ()).join()),
                                2 => std::thread::sleep(Duration::from_micros(300)),
                                3 => runtime::blocking(|| ()),
                                _ => {
                                    let inner = lock_os_thread();
                                    let tx = tx.clone();
                                    go!(move || tx.send(1).unwrap());
                                    rx.recv().unwrap();
                                    drop(inner);
                                }
                            }
                            assert_eq!(std::thread::current().id(), here);
                        }
                        drop(outer);
                        yield_now();
                    })
                })
                .collect();
            // The others go on meanwhile.
            let others: Vec<_> = (0..100).map(|i| go!(move || i)).collect();
            assert_eq!(
                others.into_iter().map(|h| h.join().unwrap()).sum::<i32>(),
                4950
            );
            hs.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn nobody_else_runs_on_a_bound_thread() {
    support::with_procs(|rt| {
        rt.run(|| {
            let _bound = lock_os_thread();
            let mine = std::thread::current().id();
            for _ in 0..20 {
                let h = go!(|| std::thread::current().id());
                assert_ne!(h.join().unwrap(), mine);
            }
        });
    });
}

#[test]
fn a_bound_goroutine_may_panic_or_end_with_its_lock() {
    support::with_procs(|rt| {
        rt.run(|| {
            for _ in 0..20 {
                let panics = go!(|| {
                    let _bound = lock_os_thread();
                    yield_now();
                    std::panic::resume_unwind(Box::new(1));
                });
                let forgets = go!(|| {
                    std::mem::forget(lock_os_thread());
                    std::mem::forget(lock_os_thread());
                    yield_now();
                    2
                });
                let _: Box<dyn std::any::Any + Send> = match panics.join() {
                    Ok(()) => unreachable!(),
                    Err(e) => e.into_panic(),
                };
                assert_eq!(forgets.join().unwrap(), 2);
            }
            let hs: Vec<_> = (0..100).map(|i| go!(move || i)).collect();
            assert_eq!(hs.into_iter().map(|h| h.join().unwrap()).sum::<i32>(), 4950);
        });
    });
}

#[test]
fn pinned_goroutines_see_one_thread_for_life() {
    for procs in support::PROCS {
        within_minute(|| {
            let rt = Builder::new()
                .procs(procs)
                .pin_started(true)
                .build()
                .unwrap();
            let threads = rt.run(|| {
                let hs: Vec<_> = (0..60usize)
                    .map(|i| {
                        go!(move || {
                            let here = std::thread::current().id();
                            let (tx, rx) = channels::bounded::<u8>(0);
                            for k in 0..20 {
                                match (i + k) % 5 {
                                    0 => yield_now(),
                                    1 => drop(go!(|| ()).join()),
                                    2 => std::thread::sleep(Duration::from_micros(200)),
                                    3 => runtime::blocking(|| {
                                        std::thread::sleep(Duration::from_micros(200));
                                    }),
                                    _ => {
                                        let tx = tx.clone();
                                        go!(move || tx.send(1).unwrap());
                                        rx.recv().unwrap();
                                    }
                                }
                                assert_eq!(std::thread::current().id(), here);
                            }
                            here
                        })
                    })
                    .collect();
                let ids: HashSet<_> = hs.into_iter().map(|h| h.join().unwrap()).collect();
                ids.len()
            });
            assert!(threads >= 1);
        });
    }
}
