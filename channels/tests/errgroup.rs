//! Groups: the first error, the context, the limit, panics, and the end of the runtime.

#[path = "../../runtime/tests/support/mod.rs"]
mod support;

use channels::context::{Context, ContextError};
use channels::errgroup::Group;
use runtime::go;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Alive, alone, eventually, everywhere, scale, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn text(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(s) => *s,
        Err(payload) => payload.downcast_ref::<&str>().unwrap().to_string(),
    }
}

#[test]
fn an_empty_group_waits_for_nobody() {
    let group = Group::<String>::new();
    assert_eq!(group.wait(), Ok(()));
    let (group, ctx) = Group::<String>::with_context(&Context::background());
    assert_eq!(group.wait(), Ok(()));
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
}

#[test]
fn wait_waits_for_all() {
    everywhere(|| {
        let group = Group::<()>::default();
        let done = Arc::new(AtomicUsize::new(0));
        for i in 0..100 {
            let done = done.clone();
            group.go(move || {
                if i % 10 == 0 {
                    runtime::time::sleep(MS);
                }
                done.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
        }
        assert_eq!(group.wait(), Ok(()));
        assert_eq!(done.load(Ordering::SeqCst), 100);
    });
}

#[test]
fn the_first_error_ends_the_context_and_is_what_wait_gives() {
    everywhere(|| {
        let alive = Alive::default();
        let (parent, _cancel) = Context::background().with_cancel();
        let (group, ctx) = Group::with_context(&parent);
        for n in 0..20 {
            let (ctx, token) = (ctx.clone(), alive.token());
            group.go(move || {
                if n != 7 {
                    let _ = ctx.done().recv();
                }
                Err((n, token))
            });
        }
        let (n, token) = group.wait().err().unwrap();
        assert_eq!(n, 7);
        assert_eq!(alive.count(), 1, "the other errors are dropped");
        drop(token);
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
        assert_eq!(parent.err(), None);
        // The error was given away; the group goes on.
        group.go(|| Ok(()));
        assert!(group.wait().is_ok());
    });
}

#[test]
fn the_end_of_the_parent_reaches_the_members() {
    everywhere(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (group, ctx) = Group::with_context(&parent);
        for _ in 0..10 {
            let ctx = ctx.clone();
            group.go(move || {
                let _ = ctx.done().recv();
                ctx.check()
            });
        }
        cancel.cancel();
        assert_eq!(group.wait(), Err(ContextError::Canceled));
    });
}

#[test]
fn no_more_run_than_the_limit_allows() {
    everywhere(|| {
        for limit in [1, 3] {
            let group = Group::<()>::new();
            group.set_limit(limit);
            let running = Arc::new(AtomicUsize::new(0));
            let most = Arc::new(AtomicUsize::new(0));
            for _ in 0..50 {
                let (running, most) = (running.clone(), most.clone());
                group.go(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    runtime::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                });
            }
            assert_eq!(group.wait(), Ok(()));
            assert_eq!(
                most.load(Ordering::SeqCst).clamp(1, limit),
                most.load(Ordering::SeqCst)
            );
        }
    });
}

#[test]
fn a_full_group_lets_go_wait_and_try_go_fail() {
    everywhere(|| {
        let group = Group::<()>::new();
        group.set_limit(2);
        let (tx, rx) = channels::bounded::<()>(0);
        for _ in 0..2 {
            let rx = rx.clone();
            group.go(move || rx.recv().map_err(drop));
        }
        assert!(!group.try_go(|| unreachable!()));
        let (other, added) = (group.clone(), Arc::new(AtomicUsize::new(0)));
        let count = added.clone();
        let adder = go!(move || {
            other.go(|| Ok(()));
            count.store(1, Ordering::SeqCst);
        });
        runtime::time::sleep(2 * MS);
        assert_eq!(added.load(Ordering::SeqCst), 0);
        assert!(catch_unwind(AssertUnwindSafe(|| group.set_limit(3))).is_err());
        tx.send(()).unwrap();
        adder.join().unwrap();
        tx.send(()).unwrap();
        assert_eq!(group.wait(), Ok(()));
        assert!(group.try_go(|| Ok(())));
        assert_eq!(group.wait(), Ok(()));
        group.set_limit(0);
        assert!(!group.try_go(|| unreachable!()));
        group.set_limit(None);
        assert!(group.try_go(|| Err(())));
        assert_eq!(group.wait(), Err(()));
    });
}

#[test]
fn a_panic_ends_the_context_and_comes_out_of_wait() {
    everywhere(|| {
        let alive = Alive::default();
        let (group, ctx) = Group::with_context(&Context::background());
        group.go(|| Err("an error, which is less"));
        for n in 0..5 {
            let (ctx, token) = (ctx.clone(), alive.token());
            group.go(move || {
                let _token = token;
                let _ = ctx.done().recv();
                panic!("member {n} is broken");
            });
        }
        let payload = catch_unwind(AssertUnwindSafe(|| group.wait())).unwrap_err();
        assert!(text(payload).ends_with("is broken"));
        assert_eq!(alive.count(), 0, "all have ended");
        assert!(ctx.err().is_some());
        assert_eq!(group.wait(), Ok(()), "reported once");
    });
}

#[test]
fn members_add_members() {
    everywhere(|| {
        fn tree(group: &Group<()>, depth: u32, count: &Arc<AtomicUsize>) {
            count.fetch_add(1, Ordering::SeqCst);
            for _ in 0..if depth == 0 { 0 } else { 3 } {
                let (inner, count) = (group.clone(), count.clone());
                group.go(move || {
                    tree(&inner, depth - 1, &count);
                    Ok(())
                });
            }
        }
        let group = Group::new();
        let count = Arc::new(AtomicUsize::new(0));
        tree(&group, 5, &count);
        assert_eq!(group.wait(), Ok(()));
        assert_eq!(count.load(Ordering::SeqCst), (3usize.pow(6) - 1) / 2);
    });
}

#[test]
fn one_of_those_that_wait_gets_the_error() {
    everywhere(|| {
        let group = Group::<u8>::new();
        let (tx, rx) = channels::bounded::<()>(0);
        group.go(move || {
            let _ = rx.recv();
            Err(1)
        });
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let group = group.clone();
                go!(move || group.wait())
            })
            .collect();
        let thread = {
            let group = group.clone();
            std::thread::spawn(move || group.wait())
        };
        runtime::time::sleep(MS);
        drop(tx);
        let mut results: Vec<_> = waiting.into_iter().map(|h| h.join().unwrap()).collect();
        results.push(runtime::blocking(|| thread.join().unwrap()));
        assert_eq!(results.iter().filter(|r| **r == Err(1)).count(), 1);
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 4);
    });
}

#[test]
fn without_a_wait_the_members_go_on_and_then_the_context_ends() {
    everywhere(|| {
        let (group, ctx) = Group::<()>::with_context(&Context::background());
        let (tx, rx) = channels::bounded::<()>(0);
        group.go(move || rx.recv().map_err(drop));
        drop(group);
        assert_eq!(ctx.err(), None);
        tx.send(()).unwrap();
        let _ = ctx.done().recv();
    });
}

#[test]
fn a_wait_that_is_cut_short_leaves_the_members() {
    everywhere(|| {
        let (group, ctx) = Group::<()>::with_context(&Context::background());
        let (tx, rx) = channels::bounded::<()>(0);
        group.go(move || rx.recv().map_err(drop));
        assert!(runtime::time::timeout(MS, || group.wait()).is_err());
        assert_eq!(ctx.err(), None);
        tx.send(()).unwrap();
        assert_eq!(group.wait(), Ok(()));
    });
}

#[test]
fn a_shutdown_ends_members_and_waits() {
    let _alone = alone();
    for procs in support::PROCS {
        within_minute(|| {
            let alive = Alive::default();
            let rt = runtime::start(procs);
            let (group, ctx) = Group::<()>::with_context(&Context::background());
            let (other, token) = (group.clone(), alive.token());
            rt.spawn(move || {
                for _ in 0..10 {
                    let token = token.0.token();
                    other.go(move || {
                        let _token = token;
                        runtime::time::sleep(HOUR);
                        Ok(())
                    });
                }
                let _ = other.wait();
                unreachable!("the shutdown unwinds it");
            });
            let waiter = std::thread::spawn(move || group.wait());
            assert!(eventually(|| rt.num_goroutines() == 11));
            drop(rt);
            // It may have come before the first member.
            if let Err(payload) = waiter.join() {
                assert!(text(payload).contains("shut down"));
            }
            assert_eq!(alive.count(), 0);
            assert!(ctx.err().is_some());
        });
    }
}

#[test]
fn a_storm_of_groups() {
    let _alone = alone();
    with_procs(|rt| {
        for round in 0..scale(300) {
            rt.run(|| {
                let (group, ctx) = Group::with_context(&Context::background());
                if round % 2 == 0 {
                    group.set_limit(1 + round % 5);
                }
                let ended = Arc::new(AtomicUsize::new(0));
                for n in 0..40 {
                    let (ctx, ended) = (ctx.clone(), ended.clone());
                    group.go(move || {
                        ended.fetch_add(1, Ordering::SeqCst);
                        match (n + round) % 13 {
                            0 => runtime::time::sleep(Duration::from_micros(50)),
                            1 => runtime::yield_now(),
                            2 if n > 30 => return Err(n),
                            _ if ctx.err().is_some() => return Err(n + 1000),
                            _ => {}
                        }
                        Ok(())
                    });
                }
                let result = group.wait();
                assert_eq!(ended.load(Ordering::SeqCst), 40);
                assert!(result.err().is_none_or(|n| n < 1000), "not the first");
                assert!(ctx.err().is_some());
            });
        }
    });
}

#[test]
fn a_member_that_cannot_run_to_its_end_ends_the_context() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let (group, ctx) = Group::<()>::with_context(&Context::background());
        let other = group.clone();
        rt.run(move || {
            other.go(|| {
                runtime::time::sleep(HOUR);
                Ok(())
            });
        });
        drop(rt);
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
        drop(group);
    });
}
