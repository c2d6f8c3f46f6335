//! Criterion benches of the scheduler: yielding, spawning, joining.

#![expect(missing_docs, reason = "criterion_group! makes a public function")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use channels::bounded;
use criterion::{Criterion, criterion_group, criterion_main};
use runtime::{go, yield_now};
use support::{PROCS, on_goroutine, settings};

fn scheduler(criterion: &mut Criterion) {
    for procs in PROCS {
        let rt = runtime::start(procs);
        let mut group = criterion.benchmark_group(format!("scheduler/{procs}P"));
        on_goroutine(&mut group, &rt, "yield alone", yield_alone);
        on_goroutine(&mut group, &rt, "yield by two", yield_by_two);
        on_goroutine(&mut group, &rt, "spawn and join", spawn_and_join);
        on_goroutine(&mut group, &rt, "spawn ten and join", spawn_ten_and_join);
        on_goroutine(&mut group, &rt, "spawn detached", spawn_detached);
        on_goroutine(&mut group, &rt, "spawn in a scope", spawn_in_a_scope);
        group.finish();
    }
}

fn yield_alone(times: usize) {
    for _ in 0..times {
        yield_now();
    }
}

/// `times` yields, half of them by each of two goroutines.
fn yield_by_two(times: usize) {
    let other = go!(move || yield_alone(times / 2));
    yield_alone(times - times / 2);
    other.join().expect("no panics");
}

fn spawn_and_join(times: usize) {
    for i in 0..times {
        black_box(go!(move || i).join().expect("no panics"));
    }
}

/// Ten at a time, so that a spawn does not find the queue empty; one operation is one goroutine.
fn spawn_ten_and_join(times: usize) {
    for first in (0..times).step_by(10) {
        let last = times.min(first + 10);
        let handles: Vec<_> = (first..last).map(|i| go!(move || i)).collect();
        for handle in handles {
            black_box(handle.join().expect("no panics"));
        }
    }
}

/// Spawns and lets go; the last one to run ends the wait.
fn spawn_detached(times: usize) {
    let (done, signal) = bounded(1);
    let countdown = Arc::new((AtomicUsize::new(times), done));
    for _ in 0..times {
        let countdown = Arc::clone(&countdown);
        go!(move || {
            let (left, done) = &*countdown;
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                done.send(()).expect("it is waited for");
            }
        });
    }
    signal.recv().expect("the last one sends");
}

fn spawn_in_a_scope(times: usize) {
    let sum = AtomicUsize::new(0);
    for i in 0..times {
        runtime::scope(|scope| {
            scope.spawn(|| sum.fetch_add(i, Ordering::Relaxed));
        });
    }
    black_box(sum.into_inner());
}

criterion_group!(name = benches; config = settings(); targets = scheduler);
criterion_main!(benches);
