//! What the workloads about time share: how long who sleeps, and the measurement of single sleeps,
//! whose figure is a median. `go/timers.go` has the same of it.

use std::time::{Duration, Instant};

use super::{Measurement, Unit};
use crate::compare::stats::{median, percentile_99};

/// The sleep that is measured on an idle runtime.
pub(super) const SHORT_SLEEP: Duration = Duration::from_micros(50);

/// How many goroutines sleep where lateness is measured.
pub(super) const LATENESS_SLEEPERS: usize = 4;

/// How many goroutines compute for each P where lateness is measured under load.
pub(super) const LOAD_EACH_P: usize = 2;

/// How long they compute until they yield.
const LOAD_SLICE: Duration = Duration::from_micros(100);

/// How long the timers run that are stopped or reset before they fire.
pub(super) const LONG_TIMER: Duration = Duration::from_secs(1);

/// A number that looks random, the same for the same `i` on every peer (splitmix64).
fn mix(i: usize) -> u64 {
    let z = (i as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How long goroutine `i` of the sleepers sleeps.
pub(super) fn sleepers_millis(i: usize) -> u64 {
    mix(i) % 101
}

/// How long sleep `i` lasts of those whose lateness is measured.
pub(super) fn lateness_sleep(i: usize) -> Duration {
    Duration::from_micros(1000 + mix(i) % 9001)
}

/// Checks that `n` sleepers have slept `slept` milliseconds in sum, the longest within `elapsed`.
pub(super) fn check_sleepers(n: usize, slept: u64, elapsed: Duration) {
    assert_eq!(slept, (0..n).map(sleepers_millis).sum::<u64>());
    let longest = (0..n).map(sleepers_millis).max().unwrap_or(0);
    assert!(elapsed >= Duration::from_millis(longest));
}

/// What a sleep took that began at `start`, in nanoseconds.
pub(super) fn took(start: Instant, asked: Duration) -> u64 {
    let took = start.elapsed();
    assert!(took >= asked, "a sleep ended before its time");
    u64::try_from(took.as_nanos()).expect("no sleep takes centuries")
}

/// By how many nanoseconds a sleep that began at `start` was longer than asked for.
pub(super) fn late(start: Instant, asked: Duration) -> u64 {
    took(start, asked) - asked.as_nanos() as u64
}

/// Computes for a while without calling any runtime.
pub(super) fn compute() {
    let start = Instant::now();
    while start.elapsed() < LOAD_SLICE {
        std::hint::spin_loop();
    }
}

/// One pass to warm up, then passes until they have lasted `min_time`; a pass returns nanoseconds
/// of single sleeps.
pub(super) fn measure_sleeps(
    min_time: Duration,
    mut pass: impl FnMut() -> Vec<u64>,
) -> Measurement {
    pass();
    let mut all = Vec::new();
    let start = Instant::now();
    loop {
        all.extend(pass().into_iter().map(|nanos| nanos as f64));
        if start.elapsed() >= min_time {
            break;
        }
    }
    Measurement {
        unit: Unit::MedianNs,
        value: median(&all).expect("a pass sleeps at least once"),
        p50: None,
        p99: percentile_99(&all),
        ops: all.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pass_that_warms_up_does_not_count() {
        let mut pass = 0;
        let measured = measure_sleeps(Duration::ZERO, || {
            pass += 1;
            vec![pass, 10 * pass, 100 * pass]
        });
        let expected = Measurement {
            unit: Unit::MedianNs,
            value: 20.0,
            p50: None,
            p99: Some(200.0),
            ops: 3,
        };
        assert_eq!(measured, expected);
    }

    #[test]
    fn sleeps_are_spread_over_their_range() {
        let millis: Vec<u64> = (0..10_000).map(sleepers_millis).collect();
        assert_eq!(millis.iter().max(), Some(&100));
        assert_eq!(millis.iter().min(), Some(&0));
        let mean = millis.iter().sum::<u64>() / 10_000;
        assert!((45..=55).contains(&mean), "{mean}");
        for i in 0..10_000 {
            let sleep = lateness_sleep(i).as_micros();
            assert!((1_000..=10_000).contains(&sleep), "{sleep}");
        }
    }

    #[test]
    #[should_panic(expected = "before its time")]
    fn a_sleep_that_ends_too_early_is_an_error() {
        took(Instant::now(), Duration::from_secs(3600));
    }
}
