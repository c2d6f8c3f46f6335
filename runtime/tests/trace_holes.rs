//! Traces with holes: what is known after events were lost is right, and no more than what there is.

mod support;
mod traced;

use channels::bounded;
use runtime::trace::{self, FlightRecorder, Format};
use runtime::{Runtime, go, yield_now};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{alone, scale, within};
use traced::{Is, Place, Shared, Trace, states};

/// A writer who takes his time, so that rings overflow meanwhile.
struct Slow(Shared);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(10));
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Goroutines with names and regions, for so long.
fn short_lives(rt: &Runtime, limit: Duration) {
    let start = Instant::now();
    while start.elapsed() < limit {
        rt.run(|| {
            let all: Vec<_> = (0..500)
                .map(|_| {
                    go!(name = "short", || {
                        let _outer = trace::region("outer");
                        yield_now();
                        let _inner = trace::region("inner");
                        yield_now();
                    })
                })
                .collect();
            all.into_iter().for_each(|g| g.join().unwrap());
        });
    }
}

/// Goroutines that are called so.
fn called(trace: &Trace, name: &str) -> usize {
    let tracks = trace.tracks.iter();
    tracks
        .filter(|(on, track)| matches!(on, Place::G(..)) && track.starts_with(name))
        .count()
}

#[test]
fn who_has_ended_unseen_is_forgotten() {
    let _alone = alone();
    within(Duration::from_secs(120), || {
        let rt = runtime::start(2);
        let recorder = FlightRecorder::start(Duration::from_millis(50)).unwrap();
        let out = Shared::default();
        trace::start(Slow(out.clone())).unwrap();
        short_lives(&rt, Duration::from_secs(3));
        let summary = trace::stop().unwrap();
        assert!(summary.lost > 100_000, "{summary:?}");
        let trace = traced::perfetto(&out.take());
        let counts = states::check(&trace);
        assert_eq!(counts.lost, summary.lost);

        // What is old is told to the recorder's model by and by, as new events come.
        for _ in 0..20 {
            rt.run(yield_now);
            std::thread::sleep(Duration::from_millis(25));
        }
        for format in [Format::Perfetto, Format::Chrome] {
            let mut bytes = Vec::new();
            recorder.snapshot_as(format, &mut bytes).unwrap();
            let seen = match format {
                Format::Chrome => traced::chrome(&bytes),
                _ => traced::perfetto(&bytes),
            };
            states::check(&seen);
            // At most what 4096 lost events can hide.
            let n = called(&seen, "short ");
            assert!(n < 1000, "{n} goroutines, of which none is left");
        }
    });
}

#[test]
fn a_region_whose_end_is_lost_does_not_stay_open() {
    let _alone = alone();
    within(Duration::from_secs(120), || {
        let rt = runtime::start(1);
        let out = Shared::default();
        trace::start(Slow(out.clone())).unwrap();
        rt.run(|| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(1) {
                for _ in 0..1000 {
                    let _outer = trace::region("outer");
                    let _inner = trace::region("inner");
                }
                yield_now();
            }
        });
        let summary = trace::stop().unwrap();
        assert!(summary.lost > 0, "{summary:?}");
        let seen = traced::perfetto(&out.take());
        states::check(&seen);
        let mut depth = 0i32;
        for e in &seen.events {
            if matches!(e.on, Place::Regions(..)) {
                depth += match e.is {
                    Is::Begin => 1,
                    Is::End => -1,
                    Is::Instant => 0,
                };
                assert!((0..=2).contains(&depth), "{depth} regions in each other");
            }
        }
    });
}

#[test]
fn all_goroutines_are_found_when_a_trace_begins() {
    let _alone = alone();
    within(Duration::from_secs(240), || {
        let rt = runtime::start(2);
        let n = scale(200_000);
        let (tx, rx) = bounded::<()>(0);
        let there = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = rt.run({
            let there = there.clone();
            move || {
                let wait = |i| {
                    let (rx, there) = (rx.clone(), there.clone());
                    go!(name = format!("old {i}"), move || {
                        there.fetch_add(1, Ordering::SeqCst);
                        let _ = rx.recv();
                    })
                };
                (0..n).map(wait).collect()
            }
        });
        while there.load(Ordering::SeqCst) < n {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(50)); // the last one comes to its wait
        let out = Shared::default();
        trace::start(out.clone()).unwrap();
        let summary = trace::stop().unwrap();
        assert_eq!(summary.lost, 0, "{summary:?}");
        let seen = traced::perfetto(&out.take());
        states::check(&seen);
        assert_eq!(called(&seen, "old "), n);
        drop(tx);
        all.into_iter().for_each(|g| g.join().unwrap());
    });
}
