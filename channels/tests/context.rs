//! Contexts: how they end, in which order, and what they carry.

#[path = "../../runtime/tests/support/mod.rs"]
mod support;

use channels::context::{Context, ContextError, Key};
use channels::{RecvError, TryRecvError};
use runtime::go;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Alive, alone, eventually, everywhere, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const CANCELED: Option<ContextError> = Some(ContextError::Canceled);
const EXCEEDED: Option<ContextError> = Some(ContextError::DeadlineExceeded);

#[track_caller]
fn assert_ended(ctx: &Context, how: Option<ContextError>) {
    assert!(how.is_some());
    assert_eq!(ctx.err(), how);
    assert_eq!(ctx.check().err(), how);
    assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(ctx.done().recv(), Err(RecvError));
}

#[track_caller]
fn assert_lives(ctx: &Context) {
    assert_eq!(ctx.err(), None);
    assert_eq!(ctx.check(), Ok(()));
    assert!(ctx.cause().is_none());
    assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn the_roots_never_end() {
    for root in [Context::background(), Context::todo()] {
        assert_lives(&root);
        assert_eq!(root.deadline(), None);
        let stop = root.after_func(|| unreachable!());
        assert!(stop.stop());
        assert!(!stop.stop());
    }
}

#[test]
fn a_cancel_ends_all_below_before_it_returns_and_nothing_above() {
    everywhere(|| {
        static KEY: Key<i32> = Key::new("key");
        let (root, _root) = Context::background().with_cancel();
        let (top, cancel) = root.with_cancel();
        let (sister, _sister) = root.with_cancel();
        let mut below = vec![top.clone()];
        let mut cancels = Vec::new();
        for i in 0..200 {
            let parent = &below[i / 3];
            let (child, cancel) = match i % 3 {
                0 => parent.with_cancel(),
                1 => parent.with_value(&KEY, 1).with_cancel(),
                _ => parent.with_timeout(HOUR),
            };
            below.push(child);
            cancels.push(cancel);
        }
        below.iter().for_each(assert_lives);
        cancel.cancel();
        below.iter().for_each(|ctx| assert_ended(ctx, CANCELED));
        assert_lives(&root);
        assert_lives(&sister);
        cancel.cancel();
        let (late, _late) = below[100].with_timeout(HOUR);
        assert_ended(&late, CANCELED);
    });
}

#[test]
fn all_who_wait_are_woken() {
    everywhere(|| {
        let (root, cancel) = Context::background().with_cancel();
        let (child, _child) = root.with_value(&NAME, "x").with_cancel();
        let goroutines: Vec<_> = (0..100)
            .map(|i| {
                let ctx = if i % 2 == 0 { &root } else { &child }.clone();
                go!(move || {
                    assert_eq!(ctx.done().recv(), Err(RecvError));
                    ctx.err()
                })
            })
            .collect();
        let thread = std::thread::spawn(move || {
            assert_eq!(child.done().recv(), Err(RecvError));
            child.err()
        });
        runtime::time::sleep(MS);
        cancel.cancel();
        for h in goroutines {
            assert_eq!(h.join().unwrap(), CANCELED);
        }
        assert_eq!(thread.join().unwrap(), CANCELED);
    });
}

static NAME: Key<&str> = Key::new("name");

#[test]
fn the_first_reason_stays_and_reaches_the_children() {
    let text = |ctx: &Context| ctx.cause().unwrap().to_string();
    let (root, root_cancel) = Context::background().with_cancel_cause();
    let (a, a_cancel) = root.with_cancel_cause();
    let (b, _b) = a.with_cancel();
    let (c, c_cancel) = root.with_cancel();
    a_cancel.cancel("a's own");
    a_cancel.cancel("another");
    c_cancel.cancel();
    root_cancel.cancel(std::io::Error::other("the root's"));
    assert_eq!(text(&a), "a's own");
    assert_eq!(text(&b), "a's own");
    assert_eq!(text(&c), "context canceled");
    assert_eq!(text(&root), "the root's");
    assert!(root.cause().unwrap().is::<std::io::Error>());
    assert!(c.cause().unwrap().is::<ContextError>());
    [root, a, b, c]
        .iter()
        .for_each(|ctx| assert_ended(ctx, CANCELED));
}

#[test]
fn dropping_the_cancel_function_cancels_and_keeping_it_does_not() {
    let (ctx, cancel) = Context::background().with_cancel();
    drop(cancel);
    assert_ended(&ctx, CANCELED);
    let (ctx, _) = Context::background().with_cancel_cause();
    assert_ended(&ctx, CANCELED);
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.keep();
    assert_lives(&ctx);
    let done = ctx.done().clone();
    drop(ctx); // nobody can end it any more
    assert_eq!(done.recv(), Err(RecvError));
}

#[test]
fn a_done_that_is_closed_by_hand_ends_nothing() {
    let (ctx, cancel) = Context::background().with_cancel();
    assert!(ctx.done().close());
    assert_eq!(ctx.err(), None);
    let (child, _child) = ctx.with_cancel();
    assert_lives(&child);
    cancel.cancel();
    assert_ended(&ctx, CANCELED);
    assert_ended(&child, CANCELED);
}

#[test]
fn deadlines_are_kept_and_never_early() {
    everywhere(|| {
        let start = Instant::now();
        let made: Vec<_> = (0..50)
            .map(|i| Context::background().with_deadline(start + i % 10 * 3 * MS))
            .collect();
        for (ctx, _cancel) in &made {
            let (child, _child) = ctx.with_value(&NAME, "child").with_timeout(HOUR);
            let at = ctx.deadline().unwrap();
            assert_eq!(child.deadline(), Some(at));
            assert_eq!(child.done().recv(), Err(RecvError));
            assert!(Instant::now() >= at);
            assert_ended(&child, EXCEEDED);
            assert_ended(ctx, EXCEEDED);
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn the_earlier_deadline_wins() {
    let _alone = alone();
    let now = Instant::now();
    let _rt = runtime::start(1);
    let (ctx, _a) = Context::background().with_deadline(now + HOUR);
    let (later, _b) = ctx.with_deadline(now + 2 * HOUR);
    let (earlier, _c) = later.with_deadline(now + HOUR / 2);
    let (below, _d) = earlier.with_cancel();
    assert_eq!(later.deadline(), Some(now + HOUR));
    assert_eq!(earlier.deadline(), Some(now + HOUR / 2));
    assert_eq!(below.deadline(), Some(now + HOUR / 2));
    let (never, _e) = ctx.with_timeout(Duration::MAX);
    assert_eq!(never.deadline(), Some(now + HOUR));
    let (never, _f) = Context::background().with_timeout(Duration::MAX);
    assert_eq!(never.deadline(), None);
    assert_lives(&never);
}

#[test]
fn a_deadline_that_has_passed_ends_at_once() {
    everywhere(|| {
        let (ctx, cancel) = Context::background().with_deadline_cause(Instant::now(), "late");
        assert_ended(&ctx, EXCEEDED);
        assert_eq!(ctx.cause().unwrap().to_string(), "late");
        cancel.cancel();
        assert_ended(&ctx, EXCEEDED);
        let (zero, _zero) = Context::background().with_timeout(Duration::ZERO);
        assert_ended(&zero, EXCEEDED);
    });
}

#[test]
fn what_came_first_is_the_reason() {
    everywhere(|| {
        let (soon, cancel) = Context::background().with_timeout_cause(2 * MS, "slow");
        let (child, child_cancel) = soon.with_cancel();
        std::thread::sleep(4 * MS); // even if no timer could run
        child_cancel.cancel();
        cancel.cancel();
        assert_ended(&child, EXCEEDED);
        assert_ended(&soon, EXCEEDED);
        assert_eq!(child.cause().unwrap().to_string(), "slow");

        let (soon, cancel) = Context::background().with_timeout(2 * MS);
        cancel.cancel();
        std::thread::sleep(4 * MS);
        assert!(soon.err() == CANCELED || Instant::now() >= soon.deadline().unwrap());
    });
}

#[test]
fn values_are_found_upwards_by_key() {
    static COUNT: Key<u32> = Key::new("name");
    static OTHER: Key<&str> = Key::new("name");
    let root = Context::todo()
        .with_value(&NAME, "outer")
        .with_value(&COUNT, 7);
    let (mid, cancel) = root.with_cancel();
    let inner = mid.with_value(&NAME, "inner");
    assert_eq!(root.value(&NAME), Some(&"outer"));
    assert_eq!(mid.value(&NAME), Some(&"outer"));
    assert_eq!(inner.value(&NAME), Some(&"inner"));
    assert_eq!(inner.value(&COUNT), Some(&7));
    assert_eq!(inner.value(&OTHER), None);
    assert_eq!(Context::background().value(&NAME), None);
    cancel.cancel();
    assert_ended(&inner, CANCELED);
    assert_lives(&root);
    assert_eq!(inner.value(&NAME), Some(&"inner"));
    let beyond = inner.without_cancel();
    assert_lives(&beyond);
    assert_eq!(beyond.value(&COUNT), Some(&7));
    let (again, _again) = beyond.with_cancel();
    assert_lives(&again);
    assert_eq!(
        format!("{again:?}"),
        "Todo.WithValue(name).WithValue(name).WithCancel.WithValue(name).WithoutCancel.WithCancel"
    );
    assert_eq!(format!("{:?}", Context::background()), "Background");
}

#[test]
fn values_live_as_long_as_somebody_can_ask_for_them() {
    static TOKEN: Key<support::Token> = Key::new("token");
    let alive = Alive::default();
    let (ctx, cancel) = Context::background()
        .with_value(&TOKEN, alive.token())
        .with_cancel();
    let child = ctx.without_cancel();
    drop(ctx);
    cancel.cancel();
    assert_eq!(alive.count(), 1);
    assert!(child.value(&TOKEN).is_some());
    drop(child);
    assert_eq!(alive.count(), 0);
}

#[test]
fn functions_are_called_once_when_all_has_ended() {
    everywhere(|| {
        let (ctx, cancel) = Context::background().with_cancel();
        let (child, _child) = ctx.with_cancel();
        let (tx, rx) = channels::unbounded();
        for of in [&ctx, &child] {
            let (ctx, child, tx) = (ctx.clone(), child.clone(), tx.clone());
            let _ = of.after_func(move || {
                assert!(runtime::current().is_some());
                tx.send((ctx.err(), child.err())).unwrap();
            });
        }
        let stopped = ctx.after_func(|| unreachable!());
        assert!(stopped.stop());
        assert!(!stopped.stop());
        assert!(rx.is_empty());
        cancel.cancel();
        cancel.cancel();
        for _ in 0..2 {
            assert_eq!(rx.recv(), Ok((CANCELED, CANCELED)));
        }
        let late = child.after_func(move || tx.send((None, None)).unwrap());
        assert!(!late.stop());
        assert_eq!(rx.recv(), Ok((None, None)));
        assert_eq!(rx.recv(), Err(RecvError), "and that was all");
    });
}

#[test]
fn functions_wait_also_without_a_handle_on_their_context() {
    everywhere(|| {
        let (root, cancel) = Context::background().with_cancel();
        let (tx, rx) = channels::bounded(1);
        {
            let (mid, mid_cancel) = root.with_cancel();
            let (ctx, ctx_cancel) = mid.with_timeout(HOUR);
            mid_cancel.keep();
            ctx_cancel.keep();
            let tx = tx.clone();
            let _ = ctx.after_func(move || tx.send("with the root").unwrap());
        }
        assert!(rx.is_empty() && !rx.is_closed());
        cancel.cancel();
        assert_eq!(rx.recv(), Ok("with the root"));
        {
            let (ctx, cancel) = Context::background().with_timeout(3 * MS);
            cancel.keep();
            let _ = ctx.after_func(move || tx.send("at the deadline").unwrap());
        }
        assert_eq!(rx.recv(), Ok("at the deadline"));
    });
}

#[test]
fn functions_that_can_never_be_called_are_dropped() {
    everywhere(|| {
        let alive = Alive::default();
        let held = |alive: &Alive| {
            let token = alive.token();
            move || drop(token)
        };
        let _ = Context::background().after_func(held(&alive));
        assert_eq!(alive.count(), 0);
        let (root, root_cancel) = Context::background().with_cancel();
        let (ctx, cancel) = root.with_cancel();
        let stop = ctx.after_func(held(&alive));
        cancel.keep();
        root_cancel.keep();
        drop(ctx);
        assert_eq!(alive.count(), 1, "the root could still end");
        drop(root);
        assert_eq!(alive.count(), 0);
        assert!(!stop.stop());
    });
}

#[test]
fn a_runtime_that_goes_leaves_contexts_usable() {
    let _alone = alone();
    within_minute(|| {
        let _other = runtime::start(1);
        let rt = runtime::start(2);
        let calls = Arc::new(AtomicUsize::new(0));
        let (soon, _a, hour, _b) = rt.run(|| {
            let (soon, a) = Context::background().with_timeout(30 * MS);
            let (hour, b) = soon.without_cancel().with_timeout(HOUR);
            (soon, a, hour, b)
        });
        for _ in 0..10 {
            let (ctx, calls) = (hour.clone(), calls.clone());
            rt.spawn(move || {
                // Cancelled by a destructor, in the shutdown.
                let (child, _cancel) = ctx.with_timeout(HOUR);
                let _ = child.after_func(move || _ = calls.fetch_add(1, Ordering::SeqCst));
                let _ = child.done().recv();
            });
        }
        std::thread::sleep(5 * MS);
        drop(rt);
        assert_lives(&hour);
        // Its timer has gone with the runtime: the clock is looked at.
        std::thread::sleep(30 * MS);
        assert_ended(&soon, EXCEEDED);
        let (child, cancel) = hour.with_cancel();
        cancel.cancel();
        assert_ended(&child, CANCELED);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    });
}

/// The body of `without_a_runtime_threads_keep_deadlines`.
#[test]
fn child_without_a_runtime() {
    if !support::is_child("child_without_a_runtime") {
        return;
    }
    let before = support::threads();
    let start = Instant::now();
    let (ctx, _cancel) = Context::background().with_timeout(20 * MS);
    let (hour, cancel) = Context::background().with_timeout(HOUR);
    let (tx, rx) = channels::bounded(1);
    let sender = tx.clone();
    let _ = ctx.after_func(move || sender.send("ended").unwrap());
    assert_eq!(ctx.done().recv(), Err(RecvError));
    assert!(start.elapsed() >= 20 * MS);
    assert_ended(&ctx, EXCEEDED);
    assert_eq!(rx.recv(), Ok("ended"));
    assert_lives(&hour);
    let _ = hour.after_func(move || tx.send("cancelled").unwrap());
    cancel.cancel();
    assert_eq!(rx.recv(), Ok("cancelled"));
    let (kept, cancel) = Context::background().with_timeout(HOUR);
    cancel.keep();
    drop(kept);
    assert!(
        eventually(|| support::threads() == before),
        "threads are left"
    );
}

#[test]
fn without_a_runtime_threads_keep_deadlines() {
    let out = support::child("child_without_a_runtime", &[], Duration::from_secs(60));
    assert!(out.status.success(), "{}{}", out.stdout, out.stderr);
}

/// A reason, counted while it is there.
#[derive(Debug)]
struct Counted(Arc<()>);

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "late, {} times", Arc::strong_count(&self.0))
    }
}

impl std::error::Error for Counted {}

#[test]
fn contexts_that_were_kept_and_dropped_leave_no_alarm() {
    everywhere(|| {
        let count = Arc::new(());
        let reason = Counted(count.clone());
        let (parent, cancel) = Context::background().with_timeout_cause(HOUR, reason);
        let (child, cancel_child) = parent.with_cancel();
        cancel.keep();
        cancel_child.keep();
        drop(parent);
        drop(child);
        assert_eq!(Arc::strong_count(&count), 1);
    });
}
