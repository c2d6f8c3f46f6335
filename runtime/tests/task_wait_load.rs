//! Many waits, as in `task_wait.rs`: with timeouts at every point, in turn, and with what they leave behind.

mod support;

use runtime::go;
use runtime::task::{Until, WaitError, as_completed, wait, wait_for};
use runtime::time::{sleep, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{eventually, scale, status_kib, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);

#[test]
fn timeouts_and_ends_at_every_point() {
    with_procs(|rt| {
        rt.run(|| {
            let (mut in_time, mut over) = (0, 0);
            for i in 0..scale(3000) as u64 {
                let d = Duration::from_micros(5 + i % 60);
                let work = Duration::from_micros(5 + (i * 7) % 60);
                let h = go!(move || sleep(work));
                match i % 4 {
                    0 => match wait_for(d, h) {
                        Ok(()) => in_time += 1,
                        Err(WaitError::Elapsed) => over += 1,
                        Err(other) => panic!("{other}"),
                    },
                    1 => match h.join_timeout(d) {
                        Ok(r) => r.unwrap(),
                        Err(h) => h.join().unwrap(),
                    },
                    2 => {
                        let waited = wait([h, go!(|| ())], Until::AllCompleted, Some(d));
                        for h in waited.done.into_iter().chain(waited.pending) {
                            h.join().unwrap();
                        }
                    }
                    _ => {
                        if let Ok(n) = timeout(d, || as_completed([h]).count()) {
                            assert_eq!(n, 1);
                        }
                    }
                }
            }
            assert!(in_time + over > 0);
            sleep(MS); // must not be cut short by what was left
        });
    });
}

#[test]
fn a_handle_goes_from_one_set_to_the_next_while_its_goroutine_ends() {
    with_procs(|rt| {
        rt.run(|| {
            for i in 0..scale(2000) {
                let ended = Arc::new(AtomicUsize::new(0));
                let handles = (0..4).map(|k| {
                    let ended = ended.clone();
                    go!(move || {
                        for _ in 0..(i + k) % 4 {
                            runtime::yield_now();
                        }
                        ended.fetch_add(1, Ordering::Relaxed);
                    })
                });
                let mut pending: Vec<_> = handles.collect();
                let mut done = 0;
                while !pending.is_empty() {
                    let waited = wait(pending, Until::FirstCompleted, None);
                    done += waited.done.len();
                    let mut rest = as_completed(waited.pending);
                    if done % 2 == 0 {
                        done += usize::from(rest.next().is_some());
                    }
                    pending = rest.into_rest();
                }
                assert_eq!(done, 4);
                assert_eq!(ended.load(Ordering::Relaxed), 4);
            }
        });
    });
}

#[test]
fn ten_thousand_ends_cost_each_the_same() {
    within_minute(|| {
        let rt = runtime::start(2);
        let per_end = |n: u32| {
            let best = (0..3).map(|_| {
                rt.run(|| {
                    let handles: Vec<_> = (0..n).map(|i| go!(move || i)).collect();
                    let start = Instant::now();
                    let sum: u64 = as_completed(handles)
                        .map(|(_, r)| u64::from(r.unwrap()))
                        .sum();
                    let time = start.elapsed();
                    assert_eq!(sum, u64::from(n) * u64::from(n - 1) / 2);
                    time
                })
            });
            best.min().unwrap() / n
        };
        let (few, many) = (per_end(100), per_end(10_000));
        println!("as_completed: {few:?} an end of 100, {many:?} an end of 10,000");
        assert!(
            many < 10 * few + Duration::from_micros(2),
            "{few:?} {many:?}"
        );
    });
}

#[test]
fn memory_stays_flat() {
    within_minute(|| {
        let rt = runtime::start(2);
        let round = |k: u32| {
            rt.run(move || {
                let handles = (0..1000u32).map(|i| go!(move || vec![i; 256]));
                let mut results = as_completed(handles);
                for _ in 0..k % 1000 {
                    results.next();
                }
                let waited = wait(results.into_rest(), Until::FirstCompleted, Some(MS));
                drop(waited);
            });
            assert!(eventually(|| rt.num_goroutines() == 0));
        };
        (0..50).for_each(|k| round(k * 37));
        let before = status_kib("VmRSS");
        (0..scale(1000) as u32).for_each(|k| round(k * 37));
        let after = status_kib("VmRSS");
        assert!(after < before + 32_768, "{before} KiB, then {after}");
    });
}
