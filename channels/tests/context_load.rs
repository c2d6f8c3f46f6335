//! Contexts under load: flat memory, long chains, and everything at once.

#[path = "../../runtime/tests/support/mod.rs"]
mod support;

use channels::TryRecvError;
use channels::context::{CancelFunc, Context, ContextError, Key};
use runtime::go;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Alive, alone, eventually, scale, status_kib, with_procs, within_minute};

const HOUR: Duration = Duration::from_secs(3600);

static DEPTH: Key<usize> = Key::new("depth");

/// Makes and ends `n` children of `parent`, in every way.
fn children(parent: &Context, n: usize) {
    for i in 0..n {
        let (ctx, cancel) = match i % 4 {
            0 | 1 => parent.with_cancel(),
            2 => parent.with_timeout(HOUR),
            _ => parent.with_value(&DEPTH, i).with_timeout(HOUR),
        };
        let stop = ctx.after_func(|| ());
        match i % 5 {
            0 => cancel.cancel(),
            1 => drop(cancel),
            2 => {
                stop.stop();
                drop(ctx);
            }
            3 => {
                cancel.keep();
                stop.stop();
            }
            4 if ctx.deadline().is_none() => {
                cancel.keep();
                drop(ctx);
                stop.stop();
            }
            // A deadline that a function waits for, and nobody can take back, stays until it passes.
            _ => cancel.cancel(),
        }
        if i % 64 == 0 {
            runtime::yield_now(); // the functions run
        }
    }
}

/// The body of `children_leave_nothing_behind`: alone in its process, whose memory is looked at.
#[test]
fn child_children() {
    if !support::is_child("child_children") {
        return;
    }
    with_procs(|rt| {
        let n = if support::migrating() { 2_000 } else { 100_000 };
        rt.run(|| {
            let (parent, _cancel) = Context::background().with_cancel();
            children(&parent, n / 4);
            let before = status_kib("VmRSS");
            children(&parent, n);
            let grown = status_kib("VmRSS").saturating_sub(before);
            assert!(grown < 4 * 1024, "{n} children left {grown} KiB");
        });
    });
}

#[test]
fn children_leave_nothing_behind() {
    let out = support::child("child_children", &[], Duration::from_secs(120));
    assert!(out.status.success(), "{}{}", out.stdout, out.stderr);
}

#[test]
fn long_chains_neither_end_the_stack_nor_leak() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let alive = Alive::default();
            let chain = || {
                let mut ctx = Context::background();
                let mut cancels = Vec::new();
                for i in 0..scale(1_000_000) {
                    ctx = ctx.with_value(&DEPTH, i);
                    if i % 3 == 0 {
                        let (child, cancel) = ctx.with_cancel();
                        ctx = child;
                        cancels.push(cancel);
                    }
                }
                (ctx, cancels)
            };
            // Dropped from below.
            let (ctx, cancels) = chain();
            assert!(ctx.value(&DEPTH).is_some());
            cancels.into_iter().rev().for_each(CancelFunc::keep);
            drop(ctx);
            // Ended from above.
            let (ctx, cancels) = chain();
            cancels[0].cancel();
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
            drop(ctx);
            drop(cancels);
            // Held together by a function at the end, which nobody can call.
            let (ctx, cancels) = chain();
            let token = alive.token();
            let _ = ctx.after_func(move || drop(token));
            cancels.into_iter().for_each(CancelFunc::keep);
            assert_eq!(alive.count(), 1);
            drop(ctx);
            assert_eq!(alive.count(), 0);
        });
    });
}

/// Two cancel the same tree at once: each sees all of it ended when its own cancel has returned.
#[test]
fn a_cancel_beside_another_returns_when_all_has_ended() {
    let _alone = alone();
    with_procs(|rt| {
        for round in 0..scale(1000) {
            rt.run(|| {
                let (root, root_cancel) = Context::background().with_cancel();
                let mut all = vec![root];
                let mut cancels = vec![root_cancel];
                for i in 0..30 {
                    let (ctx, cancel) = all[i / 2].with_cancel();
                    all.push(ctx);
                    cancels.push(cancel);
                }
                let (all, cancels) = (Arc::new(all), Arc::new(cancels));
                let enders: Vec<_> = (0..3)
                    .map(|i| {
                        let (all, cancels) = (all.clone(), cancels.clone());
                        let end = move || {
                            // The root, or its first child.
                            let from = (i + round) % 2;
                            cancels[from].cancel();
                            let below = if from == 0 { 0..31 } else { 3..5 };
                            for ctx in &all[below] {
                                assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Disconnected));
                                assert_eq!(ctx.err(), Some(ContextError::Canceled));
                            }
                        };
                        match i {
                            2 => Err(std::thread::spawn(end)),
                            _ => Ok(go!(end)),
                        }
                    })
                    .collect();
                for ender in enders {
                    match ender {
                        Ok(h) => h.join().unwrap(),
                        Err(t) => runtime::blocking(|| t.join().unwrap()),
                    }
                }
            });
        }
    });
}

/// Cancels, deadlines, children and functions at once, on goroutines and threads.
#[test]
fn a_storm_keeps_all_promises() {
    let _alone = alone();
    with_procs(|rt| {
        for round in 0..scale(100) {
            storm(rt, round as u64);
        }
    });
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[derive(Default)]
struct Counts {
    called: AtomicUsize,
    stopped: AtomicUsize,
    waiting: AtomicUsize,
}

fn storm(rt: &runtime::Runtime, seed: u64) {
    let root = Context::background().with_cancel();
    let pool = Arc::new(Mutex::new(vec![root.0.clone()]));
    let counts = Arc::new(Counts::default());
    let over = Arc::new(AtomicBool::new(false));
    let work = |i: u64| {
        let (pool, counts, over) = (pool.clone(), counts.clone(), over.clone());
        let mut random = Random(seed * 1000 + i + 1);
        move || {
            let mut own: Vec<(Context, CancelFunc)> = Vec::new();
            for _ in 0..60 {
                let parent = {
                    let pool = pool.lock().unwrap();
                    pool[random.next(pool.len() as u64) as usize].clone()
                };
                step(&mut random, &parent, &mut own, &pool, &counts);
            }
            over.store(true, Ordering::SeqCst);
            drop(own);
        }
    };
    let goroutines: Vec<_> = (0..6).map(|i| rt.spawn(work(i))).collect();
    let threads: Vec<_> = (6..8).map(|i| std::thread::spawn(work(i))).collect();
    // Who waits for the root hears of it.
    let (ctx, heard) = (root.0.clone(), counts.clone());
    let waiter = rt.spawn(move || {
        heard.waiting.fetch_add(1, Ordering::SeqCst);
        ctx.done().recv().unwrap_err();
    });
    goroutines.into_iter().for_each(|h| h.join().unwrap());
    threads.into_iter().for_each(|t| t.join().unwrap());
    root.1.cancel();
    for ctx in pool.lock().unwrap().drain(..) {
        assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Disconnected));
        assert!(ctx.err().is_some() && ctx.cause().is_some());
    }
    waiter.join().unwrap();
    assert!(over.load(Ordering::SeqCst));
    // Each function was called once or stopped.
    let funcs = 8 * 60;
    let total = || counts.called.load(Ordering::SeqCst) + counts.stopped.load(Ordering::SeqCst);
    assert!(eventually(|| total() >= funcs), "{} of {funcs}", total());
    assert_eq!(total(), funcs);
}

fn step(
    random: &mut Random,
    parent: &Context,
    own: &mut Vec<(Context, CancelFunc)>,
    pool: &Mutex<Vec<Context>>,
    counts: &Arc<Counts>,
) {
    let ended = parent.err().is_some();
    let (ctx, cancel) = match random.next(4) {
        0 => parent.with_cancel(),
        1 => parent.with_timeout(Duration::from_micros(random.next(2000))),
        2 => parent.with_value(&DEPTH, 1).with_cancel(),
        _ => parent.with_deadline(Instant::now() + Duration::from_micros(random.next(300))),
    };
    if ended {
        assert!(ctx.err().is_some(), "a child of what has ended");
    }
    let called = Arc::clone(counts);
    let of_func = ctx.clone();
    let func = ctx.after_func(move || {
        assert!(of_func.err().is_some());
        called.called.fetch_add(1, Ordering::SeqCst);
    });
    if random.next(3) == 0 && func.stop() {
        counts.stopped.fetch_add(1, Ordering::SeqCst);
    }
    if let Some(how) = ctx.err() {
        assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(ctx.err(), Some(how), "an error stays");
    }
    {
        let mut pool = pool.lock().unwrap();
        if pool.len() < 50 {
            pool.push(ctx.clone());
        }
    }
    match random.next(4) {
        0 => {
            cancel.cancel();
            assert!(ctx.err().is_some());
            assert_eq!(ctx.done().try_recv(), Err(TryRecvError::Disconnected));
        }
        1 => own.push((ctx, cancel)),
        2 => drop(cancel),
        _ => {
            if let Some((ctx, cancel)) = own.pop() {
                let (child, _child) = ctx.with_cancel();
                cancel.cancel();
                assert!(child.err().is_some());
            }
            own.push((ctx, cancel));
        }
    }
    if random.next(8) == 0 {
        runtime::yield_now();
    }
}
