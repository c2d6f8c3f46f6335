//! What both benches share: criterion's settings, and its loop run on a goroutine.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use runtime::Runtime;

/// The numbers of Ps that everything is measured with.
pub const PROCS: [usize; 2] = [1, 2];

/// Settings with which the whole of a bench takes about a minute.
pub fn settings() -> Criterion {
    let (warm_up, measure) = (Duration::from_millis(500), Duration::from_secs(2));
    Criterion::default()
        .sample_size(20)
        .warm_up_time(warm_up)
        .measurement_time(measure)
}

/// Measures `body(n)`, which does something `n` times, on a goroutine of `rt`. Criterion's own
/// closures run on the plain main thread, which is not what is to be measured.
pub fn on_goroutine<F>(group: &mut BenchmarkGroup<'_, WallTime>, rt: &Runtime, name: &str, body: F)
where
    F: Fn(usize) + Sync,
{
    let run = |times: u64| {
        let times = usize::try_from(times).expect("criterion's counts are small");
        rt.run(|| {
            let start = Instant::now();
            body(times);
            start.elapsed()
        })
    };
    group.bench_function(name, |bencher| bencher.iter_custom(run));
}
