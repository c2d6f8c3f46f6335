//! Package `golang.org/x/sync/errgroup`.

use super::Step;
use channels::Context;
use channels::errgroup::Group;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("errgroup.Group, Go, Wait", zero),
    ("errgroup.WithContext", with_context),
    ("Group.SetLimit, Group.TryGo", set_limit),
    ("a panic in a member", panics),
];

fn zero() -> String {
    let g = Group::new();
    for text in ["1", "2", "three"] {
        g.go(move || text.parse::<i32>().map(drop));
    }
    match g.wait() {
        Ok(()) => "all are numbers".to_owned(),
        Err(e) => e.to_string(),
    }
}

fn with_context() -> String {
    let (g, ctx) = Group::with_context(&Context::background());
    let waits = ctx.clone();
    g.go(move || {
        let _ = waits.done().recv();
        Err("told to stop")
    });
    g.go(|| Err("broken"));
    let first = g.wait().unwrap_err();
    format!("{first}, {}", ctx.err().unwrap())
}

fn set_limit() -> String {
    let g = Group::<()>::new();
    g.set_limit(2);
    let most = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    for _ in 0..20 {
        let most = most.clone();
        g.go(move || {
            let now = most.0.fetch_add(1, Ordering::SeqCst) + 1;
            most.1.fetch_max(now, Ordering::SeqCst);
            runtime::yield_now();
            most.0.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
    }
    g.wait().unwrap();
    let started = g.try_go(|| Ok(()));
    g.wait().unwrap();
    g.set_limit(None);
    format!(
        "at most two: {}, {started}",
        most.1.load(Ordering::SeqCst) <= 2
    )
}

fn panics() -> String {
    let g = Group::<()>::new();
    g.go(|| panic!("a member is broken"));
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| g.wait()));
    format!("wait panics: {}", waited.is_err())
}
