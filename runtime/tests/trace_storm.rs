//! Traces of storms: many goroutines that do all that there is to do, on 1 to 8 Ps, with traces and snapshots that
//! begin and end in the middle; and what happens when the writer cannot follow.

mod support;
mod traced;

use channels::bounded;
use runtime::trace::{self, FlightRecorder, Format, TraceError};
use runtime::{Runtime, go, yield_now};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::{OnDrop, PROCS, alone, scale, within, within_minute};
use traced::{Shared, states, traced};

/// Goroutines that spawn, yield, send, sleep, lock, block their threads with and without a word, use the
/// network, and say what they do, beside threads that wake them.
fn storm(rt: &Runtime, rounds: usize) {
    let (tx, rx) = bounded::<usize>(4);
    let mutex = Arc::new(runtime::sync::Mutex::new(0));
    let server = rt.spawn(|| runtime::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let server = server.join().unwrap();
    let at = server.local_addr().unwrap();
    let echo = rt.spawn(move || {
        use std::io::Read;
        let mut n = 0;
        while let Ok((mut conn, _)) = server.accept() {
            let mut byte = [0];
            match conn.read_exact(&mut byte) {
                Ok(()) if byte[0] == 0 => break,
                _ => n += 1,
            }
        }
        n
    });
    let sum = rt.spawn(move || rx.iter().sum::<usize>());
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let (tx, mutex) = (tx.clone(), mutex.clone());
            rt.spawn(move || {
                for i in 0..rounds {
                    let _round = trace::region("round");
                    tx.send(i).unwrap();
                    if i % 4 == 0 {
                        let child = go!(name = format!("child {n}.{i}"), move || {
                            trace::log("child", i);
                            yield_now();
                            i
                        });
                        assert_eq!(child.join().unwrap(), i);
                    }
                    *mutex.lock().unwrap() += 1;
                    match (i + n) % 16 {
                        0 => runtime::time::sleep(Duration::from_micros(200)),
                        5 => runtime::blocking(|| std::thread::sleep(Duration::from_micros(100))),
                        9 => std::thread::sleep(Duration::from_micros(300)),
                        13 => {
                            let mut conn = runtime::net::TcpStream::connect(at).unwrap();
                            conn.write_all(b"x").unwrap();
                        }
                        _ => yield_now(),
                    }
                }
            })
        })
        .collect();
    let from_thread = std::thread::spawn({
        let tx = tx.clone();
        move || (0..rounds).for_each(|i| tx.send(i).unwrap())
    });
    drop(tx);
    workers.into_iter().for_each(|h| h.join().unwrap());
    from_thread.join().unwrap();
    assert_eq!(sum.join().unwrap(), 7 * (0..rounds).sum::<usize>());
    rt.run(|| {
        runtime::net::TcpStream::connect(at)
            .unwrap()
            .write_all(&[0])
            .unwrap()
    });
    echo.join().unwrap();
}

#[test]
fn every_goroutines_life_is_legal() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let (trace, ()) = traced(|| storm(&rt, scale(400)));
            let counts = states::check(&trace);
            assert!(counts.starts > 100 && counts.flows > 100, "{counts:?}");
        });
    }
}

/// Does `look` while goroutines storm, with every number of Ps.
fn during_storms(look: impl Fn()) {
    for procs in PROCS {
        // What is read there takes seconds in a build that is not optimised, and many more beside other tests.
        within(Duration::from_secs(180), || {
            let rt = runtime::start(procs);
            let stop = AtomicBool::new(false);
            std::thread::scope(|s| {
                s.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        storm(&rt, scale(100));
                    }
                });
                let _end = OnDrop(|| stop.store(true, Ordering::SeqCst));
                look();
            });
        });
    }
}

#[test]
fn traces_begin_and_end_during_a_storm() {
    let _alone = alone();
    during_storms(|| {
        let mut events = 0;
        for n in 0..scale(200) {
            let out = Shared::default();
            let format = match n % 2 {
                0 => Format::Perfetto,
                _ => Format::Chrome,
            };
            trace::start_as(format, out.clone()).unwrap();
            std::thread::sleep(Duration::from_millis(n as u64 % 7));
            trace::stop().unwrap();
            let bytes = out.take();
            let trace = match format {
                Format::Chrome => traced::chrome(&bytes),
                _ => traced::perfetto(&bytes),
            };
            states::check(&trace);
            // What a thread says too late for the last trace is not said in this one, before its recording was on.
            assert_eq!(
                trace.events[0].name, "runtime starts",
                "{:?}",
                trace.events[0]
            );
            events += trace.events.len();
        }
        assert!(events > 0);
    });
}

#[test]
fn snapshots_are_taken_during_a_storm() {
    let _alone = alone();
    during_storms(|| {
        let recorder = FlightRecorder::start(Duration::from_millis(10)).unwrap();
        assert!(matches!(
            FlightRecorder::start(Duration::from_millis(30)),
            Err(TraceError::AlreadyRunning)
        ));
        for n in 0..scale(30).min(12) {
            std::thread::sleep(Duration::from_millis(5));
            let mut bytes = Vec::new();
            let trace = match n % 2 {
                0 => {
                    recorder.snapshot(&mut bytes).unwrap();
                    traced::perfetto(&bytes)
                }
                _ => {
                    recorder.snapshot_as(Format::Chrome, &mut bytes).unwrap();
                    traced::chrome(&bytes)
                }
            };
            states::check(&trace);
            if n % 3 == 2 {
                // A trace beside it.
                let (trace, ()) = traced(|| std::thread::sleep(Duration::from_millis(3)));
                assert!(trace.events.len() < 10_000_000);
            }
        }
        let seen = recorder.stop().unwrap();
        assert!(seen.events > 0);
    });
}

#[test]
fn a_snapshot_knows_what_began_before_it() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let recorder = FlightRecorder::start(Duration::from_millis(20)).unwrap();
        let (tx, rx) = bounded::<()>(0);
        let old = rt.run(move || {
            go!(name = "old", move || {
                let _region = trace::region("long");
                let _ = rx.recv();
            })
        });
        for _ in 0..50 {
            rt.run(|| runtime::time::sleep(Duration::from_millis(2)));
        }
        let mut bytes = Vec::new();
        let summary = recorder.snapshot(&mut bytes).unwrap();
        let seen = traced::perfetto(&bytes);
        states::check(&seen);
        let g = seen.named("old");
        // The events of its beginning are forgotten; what it does is not.
        assert!(seen.instants("spawn").all(|e| e.number("g") != g));
        assert_eq!(seen.slices("long").len(), 1);
        let waits = seen.slices("chan receive");
        assert_eq!(waits.len(), 1, "{waits:?}");
        let (first, last) = (seen.events[0].at, seen.events.last().unwrap().at);
        assert_eq!(
            (waits[0].1, waits[0].2),
            (first, last),
            "from one end to the other"
        );
        assert!(last - first < 10_000_000_000);
        drop(recorder);
        assert!(!trace::is_on());
        assert!(summary.events > 0);
        drop(tx);
        old.join().unwrap();
    });
}

#[test]
fn a_flight_recorder_keeps_to_its_bytes() {
    let _alone = alone();
    within(Duration::from_secs(120), || {
        let rt = runtime::start(1);
        let recorder = FlightRecorder::start_within(Duration::from_secs(3600), 100_000).unwrap();
        rt.run(|| (0..200_000).for_each(|_| yield_now()));
        let mut bytes = Vec::new();
        recorder.snapshot(&mut bytes).unwrap();
        let trace = traced::perfetto(&bytes);
        states::check(&trace);
        assert!(trace.events.len() < 20_000, "{}", trace.events.len());
        let seen = recorder.stop().unwrap();
        assert!(seen.events + seen.lost >= 400_000, "{seen:?}");
    });
}

/// So slow that nobody could wait for it.
struct Slow(Shared, Arc<AtomicUsize>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.load(Ordering::SeqCst) == 0 {
            self.1.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(300));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_slow_writer_misses_is_counted_and_nobody_waits_for_it() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let out = Shared::default();
        trace::start(Slow(out.clone(), Arc::default())).unwrap();
        let start = std::time::Instant::now();
        let mut n = 0u64;
        // Longer than the writer sleeps, and far more than a ring holds.
        while start.elapsed() < Duration::from_millis(600) || n < 30_000 {
            rt.run(|| (0..1000).for_each(|_| yield_now()));
            n += 1000;
        }
        let summary = trace::stop().unwrap();
        assert!(summary.lost > 0, "{summary:?}");
        // Two events for each yield.
        assert!(
            summary.events + summary.lost >= 2 * n,
            "{summary:?}, {n} yields"
        );
        let trace = traced::perfetto(&out.take());
        let counts = states::check(&trace);
        assert_eq!(counts.lost, summary.lost);
    });
}
