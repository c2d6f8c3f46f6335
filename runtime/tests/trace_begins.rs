//! A trace that begins in the middle of a program knows what was there before, by name.

mod support;
mod traced;

use channels::bounded;
use runtime::time::sleep;
use runtime::trace::{self, FlightRecorder, Format};
use runtime::{Builder, go};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{PROCS, alone, eventually, within_minute};
use traced::{Place, Shared, Trace, traced};

#[test]
fn what_was_there_before_is_known_by_name() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let (tx, rx) = bounded::<()>(0);
        let old = rt.run(move || {
            go!(name = "old", move || {
                let _ = rx.recv();
            })
        });
        assert!(eventually(|| rt
            .schedtrace(true)
            .contains("(chan receive)")));
        let (trace, ()) = traced(|| {
            drop(tx);
            old.join().unwrap();
        });
        let g = trace.named("old");
        assert!(trace.instants("unblock").any(|e| e.number("g") == g));
    });
}

/// How many goroutines are busy when the trace begins.
const BUSY: usize = 10;

/// The trace that `begin` and `end` make while goroutines are busy, of a runtime with a name.
fn of_busy_ones<T>(
    procs: usize,
    begin: impl FnOnce() -> T,
    end: impl FnOnce(T) -> Vec<u8>,
) -> Vec<u8> {
    let rt = Builder::new().procs(procs).name("busy").build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..BUSY)
        .map(|i| {
            let stop = stop.clone();
            rt.run(|| {
                go!(name = format!("busy {i}"), move || {
                    // Relaxed: nothing is published by it.
                    while !stop.load(Ordering::Relaxed) {
                        let _region = trace::region("step");
                        trace::log("step", i);
                        sleep(Duration::from_micros(200));
                    }
                })
            })
        })
        .collect();
    let begun = begin();
    std::thread::sleep(Duration::from_millis(5));
    let bytes = end(begun);
    stop.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|h| h.join().unwrap());
    bytes
}

fn all_are_known(trace: &Trace) {
    let runtimes: Vec<_> = trace.runtimes.values().collect();
    assert_eq!(runtimes, ["weft \"busy\""]);
    for i in 0..BUSY {
        trace.named(&format!("busy {i}"));
    }
    let others =
        |place: &&Place| matches!(place, Place::G(..)) && !trace.tracks[place].contains("busy");
    assert_eq!(trace.tracks.keys().find(others), None);
}

fn begin(format: Format) -> Shared {
    let out = Shared::default();
    trace::start_as(format, out.clone()).unwrap();
    out
}

fn end(out: Shared) -> Vec<u8> {
    trace::stop().unwrap();
    out.take()
}

#[test]
fn who_is_busy_when_it_begins_is_known_by_name() {
    let _alone = alone();
    within_minute(|| {
        for procs in PROCS {
            let bytes = of_busy_ones(procs, || begin(Format::Perfetto), end);
            all_are_known(&traced::perfetto(&bytes));
            let bytes = of_busy_ones(procs, || begin(Format::Chrome), end);
            all_are_known(&traced::chrome(&bytes));
        }
    });
}

/// Then events come from everywhere before the trace has found anything by itself.
#[test]
fn who_is_recorded_already_is_known_by_name() {
    let _alone = alone();
    within_minute(|| {
        for procs in PROCS {
            let recorder = FlightRecorder::start(Duration::from_millis(5)).unwrap();
            let bytes = of_busy_ones(procs, || begin(Format::Perfetto), end);
            all_are_known(&traced::perfetto(&bytes));
            drop(recorder);
            // And the other way round.
            trace::start(std::io::sink()).unwrap();
            let begin = || FlightRecorder::start(Duration::from_secs(5)).unwrap();
            let bytes = of_busy_ones(procs, begin, |recorder| {
                let mut bytes = Vec::new();
                recorder.snapshot(&mut bytes).unwrap();
                bytes
            });
            all_are_known(&traced::perfetto(&bytes));
            trace::stop().unwrap();
        }
    });
}
