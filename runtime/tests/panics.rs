//! Panics in goroutines: delivered to who joins, reported to who reads, a trouble to nobody else.

mod support;

use runtime::{Builder, JoinError, OnPanic, go, scope};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{OnDrop, child, is_child, within_minute};

const LIMIT: Duration = Duration::from_secs(60);

/// A panic that the hook does not print: most of these tests make hundreds.
fn quiet_panic(payload: impl std::any::Any + Send) -> ! {
    std::panic::resume_unwind(Box::new(payload))
}

#[test]
fn join_gives_the_payload_and_the_others_go_on() {
    support::with_procs(|rt| {
        rt.run(|| {
            let hs: Vec<_> = (0..100)
                .map(|i| {
                    go!(move || {
                        runtime::yield_now();
                        if i % 10 == 3 {
                            quiet_panic(i);
                        }
                        i
                    })
                })
                .collect();
            for (i, h) in hs.into_iter().enumerate() {
                match h.join() {
                    Ok(v) => assert!(v == i && i % 10 != 3),
                    Err(e) => {
                        assert!(e.is_panic());
                        assert_eq!(*e.into_panic().downcast::<usize>().unwrap(), i);
                    }
                }
            }
        });
    });
}

#[test]
fn the_report_says_which_goroutine_it_was() {
    const NAME: &str = "the_report_says_which_goroutine_it_was";
    if !is_child(NAME) {
        let out = child(NAME, &[], LIMIT);
        assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
        let id = out
            .stdout
            .split("id=")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let site = out
            .stdout
            .split("site=")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let who = format!("goroutine {id} \"reader\" (spawned at {site}");
        for text in [&who, "a broken pipe of 3 parts", "panics.rs"] {
            assert!(out.stderr.contains(text), "no {text:?} in:\n{}", out.stderr);
        }
        // A panic of a plain thread is reported as ever.
        let plain = out.stderr.split("on a plain thread").next().unwrap();
        assert!(!plain.lines().last().unwrap().contains("goroutine"));
        return;
    }
    let rt = runtime::start(1);
    rt.run(|| {
        let line = line!() + 1;
        let h = go!(name = "reader", || panic!("a broken pipe of {} parts", 3));
        println!("id={}\nsite={}:{line}:", h.id(), file!());
        let e = h.join().unwrap_err();
        assert_eq!(
            e.to_string(),
            "goroutine panicked: a broken pipe of 3 parts"
        );
    });
    let _ = std::thread::spawn(|| panic!("on a plain thread")).join();
}

#[test]
fn an_error_shows_the_text_of_its_panic() {
    within_minute(|| {
        let rt = runtime::start(1);
        let text = |e: JoinError| (e.to_string(), format!("{e:?}"), e.is_panic());
        let fail = |h: runtime::JoinHandle<()>| text(h.join().unwrap_err());
        let (shown, debug, panicked) = fail(rt.spawn(|| quiet_panic("a str")));
        assert_eq!(shown, "goroutine panicked: a str");
        assert!(debug.contains("a str") && panicked);
        let (shown, ..) = fail(rt.spawn(|| quiet_panic(String::from("a String"))));
        assert_eq!(shown, "goroutine panicked: a String");
        let (shown, ..) = fail(rt.spawn(|| quiet_panic(17u64)));
        assert_eq!(shown, "goroutine panicked");
        let e: Box<dyn std::error::Error> =
            Box::new(rt.spawn(|| quiet_panic("x")).join().unwrap_err());
        assert_eq!(e.to_string(), "goroutine panicked: x");
        let (_tx, rx) = channels::bounded::<u8>(0);
        let parked = rt.spawn(move || rx.recv().map(drop));
        drop(rt);
        let e = parked.join().unwrap_err();
        assert!(matches!(e, JoinError::Cancelled), "{e}");
        assert_eq!(e.to_string(), "goroutine was cancelled");
        let refused = catch_unwind(AssertUnwindSafe(|| e.into_panic()));
        let text = *refused.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("cancelled"), "{text}");
    });
}

#[test]
fn a_panic_in_a_destructor_is_a_panic_of_the_goroutine() {
    support::with_procs(|rt| {
        let after = Arc::new(AtomicUsize::new(0));
        rt.run(|| {
            for i in 0..50 {
                let after = after.clone();
                let h = go!(move || {
                    let _outer = OnDrop(|| {
                        after.fetch_add(1, SeqCst);
                    });
                    let _inner = OnDrop(|| quiet_panic(i));
                });
                assert_eq!(
                    *h.join()
                        .unwrap_err()
                        .into_panic()
                        .downcast::<i32>()
                        .unwrap(),
                    i
                );
            }
        });
        assert_eq!(after.load(SeqCst), 50);
    });
}

#[test]
fn a_result_whose_destructor_panics_harms_nobody() {
    support::with_procs(|rt| {
        rt.run(|| {
            for _ in 0..50 {
                drop(go!(|| OnDrop(|| quiet_panic("in the drop of a result"))));
                runtime::yield_now();
                assert_eq!(go!(|| 2).join().unwrap(), 2);
            }
        });
        assert!(support::eventually(|| rt.num_goroutines() == 0));
    });
}

#[test]
fn a_goroutine_may_park_while_it_unwinds() {
    // With many others that do the same at the same time: a panic is counted per thread by std,
    // so a mix-up shows as a wrong `panicking()` or an abort.
    support::with_procs(|rt| {
        let n = support::scale(500);
        let echoed = Arc::new(AtomicUsize::new(0));
        rt.run(|| {
            let (ask_tx, ask_rx) = channels::bounded::<(usize, channels::Sender<usize>)>(0);
            let echo = go!(move || {
                for (i, back) in ask_rx {
                    assert!(!std::thread::panicking());
                    runtime::yield_now();
                    back.send(i).unwrap();
                }
            });
            let hs: Vec<_> = (0..n)
                .map(|i| {
                    let (ask, echoed) = (ask_tx.clone(), echoed.clone());
                    go!(move || {
                        let _talk = OnDrop(|| {
                            assert!(std::thread::panicking());
                            for k in 0..5 {
                                let (tx, rx) = channels::bounded(0);
                                ask.send((i + k, tx)).unwrap();
                                assert_eq!(rx.recv().unwrap(), i + k);
                                assert!(std::thread::panicking());
                            }
                            echoed.fetch_add(1, SeqCst);
                        });
                        runtime::yield_now();
                        quiet_panic(i);
                    })
                })
                .collect();
            // Those that do not panic are not confused with those that do.
            let calm: Vec<_> = (0..n)
                .map(|_| {
                    go!(|| {
                        for _ in 0..10 {
                            assert!(!std::thread::panicking());
                            runtime::yield_now();
                        }
                        go!(|| assert!(!std::thread::panicking())).join().unwrap();
                    })
                })
                .collect();
            for (i, h) in hs.into_iter().enumerate() {
                let e: JoinError = h.join().unwrap_err();
                assert_eq!(*e.into_panic().downcast::<usize>().unwrap(), i);
            }
            calm.into_iter().for_each(|h| h.join().unwrap());
            drop(ask_tx);
            echo.join().unwrap();
        });
        assert_eq!(echoed.load(SeqCst), n);
    });
}

#[test]
fn a_goroutine_may_spawn_join_block_and_yield_while_it_unwinds() {
    support::with_procs(|rt| {
        let done = Arc::new(AtomicUsize::new(0));
        rt.run(|| {
            let hs: Vec<_> = (0..20)
                .map(|i| {
                    let done = done.clone();
                    go!(move || {
                        let _work = OnDrop(|| {
                            assert_eq!(go!(move || i).join().unwrap(), i);
                            runtime::blocking(|| std::thread::sleep(Duration::from_millis(1)));
                            assert!(std::thread::panicking());
                            runtime::yield_now();
                            std::thread::sleep(Duration::from_millis(2));
                            assert!(runtime::current().is_some() && std::thread::panicking());
                            scope(|s| {
                                s.spawn(|| assert!(!std::thread::panicking()));
                            });
                            done.fetch_add(1, SeqCst);
                        });
                        quiet_panic("outer");
                    })
                })
                .collect();
            for h in hs {
                let e: JoinError = h.join().unwrap_err();
                assert_eq!(e.to_string(), "goroutine panicked: outer");
            }
        });
        assert_eq!(done.load(SeqCst), 20);
    });
}

#[test]
fn a_panic_is_caught_on_the_goroutine_after_parks_inside() {
    support::with_procs(|rt| {
        rt.run(|| {
            let hs: Vec<_> = (0..50)
                .map(|i| {
                    go!(move || {
                        for k in 0..5 {
                            let caught = catch_unwind(|| {
                                runtime::yield_now();
                                let _ = go!(move || k).join();
                                quiet_panic(i * k)
                            });
                            runtime::yield_now();
                            let payload: Box<dyn std::any::Any + Send> = caught.unwrap_err();
                            assert_eq!(*payload.downcast::<i32>().unwrap(), i * k);
                            assert!(!std::thread::panicking());
                        }
                    })
                })
                .collect();
            hs.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn run_resumes_the_panic_of_its_goroutine() {
    support::with_procs(|rt| {
        let borrowed = String::from("kept");
        let caught = catch_unwind(AssertUnwindSafe(|| rt.run(|| quiet_panic(borrowed.len()))));
        let payload: Box<dyn std::any::Any + Send> = caught.unwrap_err();
        assert_eq!(*payload.downcast::<usize>().unwrap(), 4);
        assert_eq!(rt.run(|| borrowed.clone()), "kept");
    });
}

#[test]
fn a_scope_tells_of_a_child_that_nobody_joined() {
    support::with_procs(|rt| {
        rt.run(|| {
            for late in [false, true] {
                // Counts the end of a goroutine, which is cancelled, whether it has started or not.
                struct Ends<'a>(&'a AtomicUsize);
                impl Drop for Ends<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, SeqCst);
                    }
                }
                let ended = AtomicUsize::new(0);
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    scope(|s| {
                        let ends = Ends(&ended);
                        let h = s.spawn(|| -> () { quiet_panic("child") });
                        while late && !h.is_finished() {
                            runtime::yield_now();
                        }
                        drop(h);
                        s.spawn(move || {
                            let _ends = ends;
                            loop {
                                runtime::yield_now();
                            }
                        });
                    })
                }));
                let text = *caught.unwrap_err().downcast::<&str>().unwrap();
                assert!(text.contains("a goroutine of the scope panicked"), "{text}");
                assert_eq!(
                    ended.load(SeqCst),
                    1,
                    "the scope cancels and awaits the others"
                );
            }
        });
    });
}

#[test]
fn a_scope_leaves_a_joined_panic_to_who_joined() {
    support::with_procs(|rt| {
        let n = rt.run(|| {
            scope(|s| {
                let h = s.spawn(|| -> u8 { quiet_panic("child") });
                let e = h.join().unwrap_err();
                assert_eq!(e.to_string(), "goroutine panicked: child");
                8
            })
        });
        assert_eq!(n, 8);
    });
}

#[test]
fn a_scope_whose_body_panics_waits_for_its_children_first() {
    support::with_procs(|rt| {
        let finished = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            rt.run(|| {
                scope(|s| {
                    for _ in 0..10 {
                        s.spawn(|| {
                            std::thread::sleep(Duration::from_millis(1));
                            finished.fetch_add(1, SeqCst);
                        });
                    }
                    quiet_panic("body")
                })
            })
        }));
        let payload: Box<dyn std::any::Any + Send> = caught.unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "body");
        assert_eq!(finished.load(SeqCst), 10);
    });
}

#[test]
fn abort_on_panic_ends_the_process() {
    const NAME: &str = "abort_on_panic_ends_the_process";
    if !is_child(NAME) {
        let out = child(NAME, &[], LIMIT);
        assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{}", out.stderr);
        for text in ["goroutine", "\"bad\"", "no way on", "OnPanic::Abort"] {
            assert!(out.stderr.contains(text), "no {text:?} in:\n{}", out.stderr);
        }
        assert!(!out.stdout.contains("went on"));
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .on_panic(OnPanic::Abort)
        .build()
        .unwrap();
    rt.run(|| {
        let h = go!(name = "bad", || panic!("no way on"));
        let _: Result<(), _> = h.join();
        println!("went on");
    });
}
