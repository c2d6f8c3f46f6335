//! The end of a runtime: everybody is sent home, every destructor runs, nothing stays behind.

mod support;

use runtime::{JoinError, Runtime, blocking, go, scope, yield_now};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{Alive, Token, eventually, within_minute};

fn is_cancelled<T>(result: Result<T, JoinError>) -> bool {
    matches!(result, Err(JoinError::Cancelled))
}

fn for_procs(f: impl Fn(Runtime)) {
    for procs in support::PROCS {
        within_minute(|| f(runtime::start(procs)));
    }
}

#[test]
fn parked_goroutines_are_unwound() {
    for_procs(|rt| {
        let alive = Alive::default();
        let up = Arc::new(AtomicUsize::new(0));
        let (tx, _rx) = channels::bounded::<Token>(0);
        let n = 3 * support::scale(3000);
        let hs: Vec<_> = (0..n)
            .map(|i| {
                let (mine, made, up) = (alive.token(), alive.clone(), up.clone());
                let tx = tx.clone();
                rt.spawn(move || {
                    let _mine = mine;
                    let _local = made.token();
                    up.fetch_add(1, SeqCst);
                    match i % 3 {
                        0 => drop(tx.send(made.token())), // nobody receives
                        1 => nothing(),
                        // The child may be stopped first, its parent then still runs.
                        _ => assert!(is_cancelled(go!(nothing).join())),
                    }
                    yield_now();
                    unreachable!("neither the wait nor the yield came back");
                })
            })
            .collect();
        assert!(eventually(|| up.load(SeqCst) == n));
        rt.shutdown();
        assert_eq!(alive.count(), 0);
        for h in hs {
            assert!(h.is_finished());
            assert!(is_cancelled::<()>(h.join()));
        }
    });
}

/// Parks for ever.
fn nothing() {
    let _ = channels::Receiver::<u8>::nil().recv();
}

#[test]
fn running_goroutines_end_at_their_next_call() {
    for_procs(|rt| {
        let alive = Alive::default();
        let up = Arc::new(AtomicUsize::new(0));
        let hs: Vec<_> = (0..40)
            .map(|i| {
                let (mine, up) = (alive.token(), up.clone());
                rt.spawn(move || {
                    let _mine = mine;
                    up.fetch_add(1, SeqCst);
                    let (tx, rx) = channels::bounded::<u8>(1);
                    loop {
                        match i % 4 {
                            0 => yield_now(),
                            1 => {
                                let t = Instant::now();
                                while t.elapsed() < Duration::from_millis(1) {}
                                drop(go!(|| ()));
                            }
                            2 => drop((tx.try_send(1), rx.try_recv())),
                            _ => {
                                let _ = rx.try_recv();
                                std::thread::sleep(Duration::from_millis(1));
                            }
                        }
                    }
                })
            })
            .collect();
        assert!(eventually(|| up.load(SeqCst) == 40));
        rt.shutdown();
        assert_eq!(alive.count(), 0);
        for h in hs {
            assert!(is_cancelled::<()>(h.join()));
        }
    });
}

/// Ten goroutines that do nothing but `call` end when their runtime shuts down.
fn loops_end(call: fn()) {
    for_procs(|rt| {
        let up = Arc::new(AtomicUsize::new(0));
        let hs: Vec<_> = (0..10)
            .map(|_| {
                let up = up.clone();
                rt.spawn(move || {
                    up.fetch_add(1, SeqCst);
                    loop {
                        call();
                    }
                })
            })
            .collect();
        assert!(eventually(|| up.load(SeqCst) == 10));
        rt.shutdown_timeout(Duration::from_secs(5)).unwrap();
        for h in hs {
            assert!(is_cancelled::<()>(h.join()));
        }
    });
}

#[test]
fn a_loop_of_blocking_calls_ends() {
    loops_end(|| blocking(|| std::thread::sleep(Duration::from_millis(1))));
}

#[test]
fn a_loop_of_scopes_ends() {
    loops_end(|| drop(scope(|s| s.spawn(|| ()).join())));
}

#[test]
fn a_loop_of_empty_scopes_ends() {
    loops_end(|| scope(|_| ()));
}

#[test]
fn a_loop_of_spawns_ends() {
    loops_end(|| {
        drop(go!(|| ()));
        // Not so many that the memory is gone before the end.
        let t = Instant::now();
        while t.elapsed() < Duration::from_micros(20) {}
    });
}

#[test]
fn a_loop_of_joins_ends() {
    loops_end(|| drop(go!(|| ()).join()));
}

#[test]
fn a_loop_of_new_channels_ends() {
    loops_end(|| drop(channels::bounded::<u8>(1)));
}

#[test]
fn a_loop_of_bindings_to_threads_ends() {
    loops_end(|| drop(runtime::lock_os_thread()));
}

#[test]
fn blocked_goroutines_are_waited_for() {
    for_procs(|rt| {
        let alive = Alive::default();
        let up = Arc::new(AtomicUsize::new(0));
        // The end of this parked one tells that the shutdown has begun.
        let canary = alive.token();
        rt.spawn(move || {
            let _canary = canary;
            nothing();
        });
        let hs: Vec<_> = (0..12)
            .map(|i| {
                let (alive, up) = (alive.clone(), up.clone());
                rt.spawn(move || {
                    up.fetch_add(1, SeqCst);
                    let wait = || {
                        while alive.count() > 0 {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    };
                    match i % 2 {
                        0 => wait(),
                        _ => blocking(wait),
                    }
                    if i % 4 < 2 {
                        yield_now(); // the end of these
                    }
                    i
                })
            })
            .collect();
        assert!(eventually(|| up.load(SeqCst) == 12));
        rt.shutdown();
        assert_eq!(alive.count(), 0);
        for (i, h) in hs.into_iter().enumerate() {
            match h.join() {
                // Whether `blocking` itself ends the goroutine is its own affair.
                Ok(v) => assert!(v == i && i % 4 >= 2),
                Err(e) => assert!(i % 4 != 2 && is_cancelled::<()>(Err(e)), "{i}"),
            }
        }
    });
}

#[test]
fn goroutines_that_never_started_are_dropped() {
    within_minute(|| {
        let rt = runtime::start(1);
        let alive = Alive::default();
        let ran = Arc::new(AtomicUsize::new(0));
        let hs = rt.run(|| {
            // The one thread is kept busy by who spawns, and then ends: some may have started.
            let hs: Vec<_> = (0..1000)
                .map(|_| {
                    let (mine, ran) = (alive.token(), ran.clone());
                    go!(move || {
                        let _mine = mine;
                        ran.fetch_add(1, SeqCst);
                    })
                })
                .collect();
            hs
        });
        rt.shutdown();
        assert_eq!(alive.count(), 0);
        let ended = hs.into_iter().filter_map(|h| h.join().ok()).count();
        assert_eq!(ended, ran.load(SeqCst));
    });
}

#[test]
fn a_scope_ends_its_children_before_its_frame() {
    for_procs(|rt| {
        let alive = Alive::default();
        let up = Arc::new(AtomicUsize::new(0));
        let h = {
            let (alive, up) = (alive.clone(), up.clone());
            rt.spawn(move || {
                let mut frame = [7u64; 100];
                let _mine = alive.token();
                scope(|s| {
                    for part in frame.chunks_mut(10) {
                        let (alive, up) = (&alive, &up);
                        s.spawn(move || {
                            let _mine = alive.token();
                            // Uses the parent's frame while it unwinds.
                            struct Write<'a>(&'a mut [u64]);
                            impl Drop for Write<'_> {
                                fn drop(&mut self) {
                                    std::thread::sleep(Duration::from_millis(2));
                                    assert!(self.0.iter().all(|&x| x == 7), "the frame is gone");
                                    self.0.fill(8);
                                }
                            }
                            let _write = Write(part);
                            up.fetch_add(1, SeqCst);
                            nothing();
                        });
                    }
                });
                // All of them have ended when the parent is stopped in its turn.
                assert!(frame.iter().all(|&x| x == 8));
                up.fetch_add(100, SeqCst);
                yield_now();
            })
        };
        assert!(eventually(|| up.load(SeqCst) == 10));
        rt.shutdown();
        assert_eq!((alive.count(), up.load(SeqCst)), (0, 110));
        assert!(is_cancelled(h.join()));
    });
}

#[test]
fn who_catches_the_unwinding_is_stopped_again() {
    for_procs(|rt| {
        let caught = Arc::new(AtomicUsize::new(0));
        let up = Arc::new(AtomicBool::new(false));
        let h = {
            let (caught, up) = (caught.clone(), up.clone());
            rt.spawn(move || {
                up.store(true, SeqCst);
                for _ in 0..10 {
                    let r = catch_unwind(AssertUnwindSafe(nothing));
                    assert!(r.is_err());
                    caught.fetch_add(1, SeqCst);
                }
                assert!(!std::thread::panicking());
                yield_now();
                unreachable!("a yield ends it");
            })
        };
        assert!(eventually(|| up.load(SeqCst)));
        rt.shutdown();
        assert_eq!(caught.load(SeqCst), 10);
        assert!(is_cancelled::<()>(h.join()));
    });
}

#[test]
fn destructors_may_use_the_runtime_while_it_stops() {
    struct Busy(Alive);
    impl Drop for Busy {
        fn drop(&mut self) {
            // A spawn is cancelled, a wait ends with an error, the rest works.
            let token = self.0.token();
            let h = go!(move || drop(token));
            assert!(is_cancelled(h.join()));
            let (tx, rx) = channels::bounded::<u8>(1);
            assert!(tx.send(1).is_ok());
            assert_eq!(rx.recv(), Ok(1));
            assert!(rx.recv().is_err(), "a wait while unwinding must not hang");
            assert_eq!(blocking(|| 5), 5);
            yield_now();
            let sum = AtomicUsize::new(0);
            let empty = scope(|s| {
                drop(s.spawn(|| sum.fetch_add(1, SeqCst)));
                5
            });
            assert_eq!(empty, 5);
            self.0.0.fetch_add(1000, SeqCst);
        }
    }
    for_procs(|rt| {
        let alive = Alive::default();
        let up = Arc::new(AtomicUsize::new(0));
        let hs: Vec<_> = (0..20)
            .map(|_| {
                let (busy, up) = (Busy(alive.clone()), up.clone());
                rt.spawn(move || {
                    let _busy = busy;
                    up.fetch_add(1, SeqCst);
                    nothing();
                })
            })
            .collect();
        assert!(eventually(|| up.load(SeqCst) == 20));
        rt.shutdown();
        for h in hs {
            let e = h.join().unwrap_err();
            assert!(matches!(e, JoinError::Cancelled), "{e}");
        }
        assert_eq!(alive.count(), 20_000);
    });
}

#[test]
fn shutdowns_race_with_everything() {
    // Spawns, wakes, joins and ends from goroutines and a plain thread, and a shutdown in between.
    for_procs(|_unused| {
        for round in 0..support::scale(300) {
            let rt = runtime::start(1 + round % 4);
            let alive = Alive::default();
            let (tx, rx) = channels::bounded::<Token>(round % 3);
            for i in 0..8 {
                let (tx, rx, alive) = (tx.clone(), rx.clone(), alive.clone());
                let mine = alive.token();
                rt.spawn(move || {
                    let _mine = mine;
                    loop {
                        let token = alive.token();
                        match i % 4 {
                            0 => drop(tx.send(token)),
                            1 => drop(rx.recv()),
                            2 => drop(go!(move || token).join()),
                            _ => drop(go!(move || drop(token))),
                        }
                    }
                });
            }
            let plain = std::thread::spawn(move || rx.iter().take(5).count());
            if round % 2 == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
            rt.shutdown();
            drop(tx);
            plain.join().unwrap();
            assert_eq!(alive.count(), 0);
        }
    });
}
