//! What a trace of one small program tells, in both formats; beginnings and ends; errors.

mod support;
mod traced;

use channels::bounded;
use runtime::trace::{self, Format, TraceError};
use runtime::{go, yield_now};
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{PROCS, alone, within_minute};
use traced::{Is, Place, Shared, traced};

/// Some of everything: channels, yields, names, regions, logs, sleeps, threads kept and given away.
fn program() {
    let (tx, rx) = bounded::<u32>(0);
    let reader = go!(name = "reader", move || {
        let _region = trace::region("reading");
        let sum: u32 = rx.iter().sum();
        trace::log("sum", sum);
        sum
    });
    let hs: Vec<_> = (0..4)
        .map(|i| {
            let tx = tx.clone();
            go!(move || {
                for j in 0..5 {
                    tx.send(i * j).unwrap();
                    yield_now();
                }
                runtime::time::sleep(Duration::from_millis(2));
                runtime::blocking(|| std::thread::sleep(Duration::from_millis(2)));
            })
        })
        .collect();
    drop(tx);
    for h in hs {
        h.join().unwrap();
    }
    assert_eq!(reader.join().unwrap(), 60);
}

#[test]
fn names_regions_logs_and_arrows_are_there() {
    let _alone = alone();
    within_minute(|| {
        for procs in PROCS {
            let rt = runtime::Builder::new()
                .procs(procs)
                .name("small")
                .build()
                .unwrap();
            let (trace, ()) = traced(|| rt.run(program));
            let counts = traced::states::check(&trace);
            assert_eq!(counts.lost, 0);
            assert!(counts.flows > 30, "{counts:?}");
            let g = trace.named("reader");
            let regions = trace.slices("reading");
            assert_eq!(regions.len(), 1, "{regions:?}");
            assert!(matches!(regions[0].0, Place::Regions(_, of) if of == g));
            let log = trace.instants("sum").next().expect("the log");
            assert_eq!(log.text("message"), "60");
            assert_eq!(log.cat, "log");
            assert!(regions[0].1 <= log.at && log.at <= regions[0].2);
            let spawn = trace
                .instants("spawn")
                .find(|e| e.number("g") == g)
                .unwrap();
            assert!(spawn.text("site").contains("trace.rs:"), "{spawn:?}");
            assert!(spawn.number("parent") > 0);
            // What it waits for, and on what: the same channel each time.
            let waits: HashSet<_> = trace
                .events
                .iter()
                .filter(|e| e.is == Is::Begin && e.name == "chan receive")
                .map(|e| e.text("object").to_owned())
                .collect();
            assert_eq!(waits.len(), 1, "{waits:?}");
            assert!(!waits.contains("0x0"));
            let names: HashSet<_> = trace.runtimes.values().cloned().collect();
            assert!(names.contains("weft \"small\""), "{names:?}");
            for p in 0..procs as u64 {
                assert!(trace.tracks.values().any(|name| *name == format!("P{p}")));
            }
            let given = trace.instants("given away").count();
            assert_eq!(given, 4);
            assert!(trace.instants("timers").count() > 0);
        }
    });
}

#[test]
fn both_formats_tell_the_same_kind_of_story() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let out = Shared::default();
        trace::start_as(Format::Chrome, out.clone()).unwrap();
        rt.run(program);
        let summary = trace::stop().unwrap();
        let bytes = out.take();
        assert_eq!(summary.bytes, bytes.len() as u64);
        let chrome = traced::chrome(&bytes);
        let counts = traced::states::check(&chrome);
        assert_eq!((counts.lost, summary.lost), (0, 0));
        let (perfetto, ()) = traced(|| rt.run(program));
        // The same, whatever the order was.
        for name in ["given away", "sum"] {
            let n = [&chrome, &perfetto].map(|t| t.instants(name).count());
            assert!(n[0] > 0 && n[0] == n[1], "{name}: {n:?}");
        }
        let finished = |t: &traced::Trace| {
            let ends = t.events.iter().filter(|e| e.text("end") == "finish");
            ends.filter(|e| matches!(e.on, Place::P(..))).count()
        };
        assert_eq!(finished(&chrome), 6);
        assert_eq!(finished(&perfetto), 6);
    });
}

#[test]
fn who_woke_whom_is_said() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let (trace, ()) = traced(|| {
            let (tx, rx) = bounded::<()>(0);
            let h = rt.spawn(move || {
                rx.recv().unwrap(); // by a thread
                runtime::time::sleep(Duration::from_millis(1)); // by a timer
                let (tx, rx) = bounded::<u64>(0);
                let me = runtime::current().unwrap().id().as_u64();
                let h = go!(move || {
                    tx.send(runtime::current().unwrap().id().as_u64()).unwrap();
                });
                let child = rx.recv().unwrap(); // by a goroutine
                h.join().unwrap(); // by a goroutine's end, or not at all
                (me, child)
            });
            std::thread::sleep(Duration::from_millis(20));
            tx.send(()).unwrap();
            let (me, child) = h.join().unwrap();
            assert!(me != 0 && child != 0);
        });
        let by: HashSet<_> = trace
            .instants("unblock")
            .map(|e| e.text("by").to_owned())
            .collect();
        for who in ["thread", "timer", "goroutine"] {
            assert!(by.contains(who), "{who}: {by:?}");
        }
        for e in trace
            .instants("unblock")
            .filter(|e| e.text("by") == "goroutine")
        {
            assert!(e.number("waker") > 0, "{e:?}");
        }
    });
}

#[test]
fn the_network_and_its_wake_ups_are_there() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let (trace, ()) = traced(|| {
            rt.run(|| {
                use std::io::Read;
                let server = runtime::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let at = server.local_addr().unwrap();
                let h = go!(move || {
                    let (mut conn, _) = server.accept().unwrap();
                    let mut bytes = [0; 4];
                    conn.read_exact(&mut bytes).unwrap();
                    bytes
                });
                let mut conn = runtime::net::TcpStream::connect(at).unwrap();
                runtime::time::sleep(Duration::from_millis(5));
                conn.write_all(b"ping").unwrap();
                assert_eq!(&h.join().unwrap(), b"ping");
            });
        });
        assert!(trace.instants("network").any(|e| e.number("ready") > 0));
        let by = |e: &&traced::Event| matches!(e.text("by"), "network" | "monitor");
        assert!(trace.instants("unblock").filter(by).count() > 0);
    });
}

#[test]
fn a_taken_p_is_seen_to_go_and_the_goroutine_to_come_back() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let (trace, ()) = traced(|| {
            static RUNS: AtomicBool = AtomicBool::new(false);
            static DONE: AtomicBool = AtomicBool::new(false);
            let hog = rt.run(|| {
                go!(name = "hog", || {
                    RUNS.store(true, Ordering::SeqCst);
                    while !DONE.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    yield_now();
                })
            });
            while !RUNS.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            rt.run(yield_now); // there is work, and the only P is held by one who sleeps
            DONE.store(true, Ordering::SeqCst);
            hog.join().unwrap();
        });
        let hog = trace.named("hog");
        let taken = trace.instants("taken").find(|e| e.number("g") == hog);
        let taken = taken.expect("its P was taken");
        assert!(matches!(taken.on, Place::P(_, 0)));
        // Somebody else had the P while the hog was without.
        let without = trace.slices("without P");
        let on_m = without.iter().find(|(on, ..)| matches!(on, Place::M(..)));
        let (_, since, until) = on_m.expect("it went on");
        assert!(*since >= taken.at && until > since);
        assert!(trace.events.iter().any(|e| {
            matches!(e.on, Place::P(_, 0))
                && e.cat == "goroutine"
                && e.is == Is::Begin
                && e.number("g") != hog
                && (*since..*until).contains(&e.at)
        }));
        assert!(trace.instants("thread starts").count() > 0 || trace.slices("asleep").len() > 1);
    });
}

#[test]
fn goroutines_are_seen_to_be_stolen_and_threads_to_spin() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(4);
        let (trace, ()) = traced(|| {
            rt.run(|| {
                runtime::scope(|s| {
                    for _ in 0..64 {
                        s.spawn(|| {
                            let start = Instant::now();
                            while start.elapsed() < Duration::from_millis(1) {
                                std::hint::spin_loop();
                            }
                        });
                    }
                });
            });
        });
        assert!(trace.instants("steal").any(|e| e.number("count") > 0));
        assert!(!trace.slices("spinning").is_empty());
        assert!(!trace.slices("idle").is_empty());
    });
}

/// What a P did is what the goroutines say they did, by their own clock: none of it is missing, and with the
/// idle time and the scheduler's it is all the time there was.
#[test]
fn times_add_up() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let ok = (0..5).any(|_| {
            let start = Instant::now();
            let (trace, worked) = traced(|| {
                rt.run(|| {
                    let hs: Vec<_> = (0..10)
                        .map(|_| {
                            go!(|| {
                                runtime::time::sleep(Duration::from_millis(5));
                                let start = Instant::now();
                                while start.elapsed() < Duration::from_millis(5) {
                                    std::hint::spin_loop();
                                }
                                start.elapsed()
                            })
                        })
                        .collect();
                    hs.into_iter().map(|h| h.join().unwrap()).sum::<Duration>()
                })
            });
            let wall = start.elapsed().as_nanos() as u64;
            let total = |goroutines: bool| {
                let mut open = 0;
                let mut sum = 0;
                for e in trace.events.iter().filter(|e| matches!(e.on, Place::P(..))) {
                    match e.is {
                        Is::Begin if (e.cat == "goroutine") == goroutines => open = e.at,
                        Is::End if open != 0 => sum += e.at - std::mem::take(&mut open),
                        _ => {}
                    }
                }
                sum
            };
            let (ran, idle) = (total(true), total(false));
            // With the time that they went on without a P, which the monitor takes if it thinks it must.
            let mut on_m = 0;
            let mut since = std::collections::HashMap::new();
            for e in trace.events.iter().filter(|e| matches!(e.on, Place::M(..))) {
                if e.is == Is::Begin && e.cat == "goroutine" {
                    since.insert(&e.on, e.at);
                } else if e.args.contains_key("end") {
                    on_m += e.at - since.remove(&e.on).unwrap();
                }
            }
            let worked = worked.as_nanos() as u64;
            assert!(on_m >= worked, "{on_m} ns ran, of which {worked} worked");
            assert!(ran + idle <= wall, "{ran} + {idle} > {wall}");
            // The rest is the scheduler's, and waking a thread: a tenth at most, if the machine is quiet.
            ran + idle >= wall / 10 * 9
        });
        assert!(ok, "a tenth of the time is missing, five times");
    });
}

#[test]
fn a_trace_is_there_once_and_errors_are_clear() {
    let _alone = alone();
    within_minute(|| {
        assert!(matches!(trace::stop(), Err(TraceError::NotRunning)));
        trace::start(io::sink()).unwrap();
        assert!(trace::is_on());
        assert!(matches!(
            trace::start(io::sink()),
            Err(TraceError::AlreadyRunning)
        ));
        trace::stop().unwrap();
        assert!(!trace::is_on());
        assert!(matches!(trace::stop(), Err(TraceError::NotRunning)));
    });
}

/// Takes so many bytes and then fails, or panics.
struct Failing {
    left: usize,
    panics: bool,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            assert!(!self.panics, "as ordered");
            return Err(io::Error::other("the disk is full"));
        }
        let n = bytes.len().min(self.left);
        self.left -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_told_by_stop_and_the_program_goes_on() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        for (left, panics) in [
            (0, false),
            (1000, false),
            (20_000, false),
            (0, true),
            (1000, true),
        ] {
            trace::start(Failing { left, panics }).unwrap();
            for _ in 0..3 {
                rt.run(program);
            }
            let why = match trace::stop() {
                Err(TraceError::Write(e)) => e.to_string(),
                other => panic!("{other:?}"),
            };
            let want = match panics {
                true => "the writer panicked",
                false => "the disk is full",
            };
            assert_eq!(why, want);
        }
        // And the next one is as good as ever.
        let (trace, ()) = traced(|| rt.run(program));
        assert!(!trace.events.is_empty());
    });
}

#[test]
fn a_runtime_may_start_and_end_in_the_middle() {
    let _alone = alone();
    within_minute(|| {
        let first = runtime::Builder::new()
            .procs(1)
            .name("first")
            .build()
            .unwrap();
        let (trace, ()) = traced(|| {
            first.run(program);
            let second = runtime::Builder::new()
                .procs(2)
                .name("second")
                .build()
                .unwrap();
            let (tx, rx) = bounded::<u32>(0);
            // One runtime's goroutines wake another's.
            let h = second.spawn(move || rx.iter().sum::<u32>());
            first.run(move || (0..10).for_each(|n| tx.send(n).unwrap()));
            assert_eq!(h.join().unwrap(), 45);
            second.run(program);
            second.shutdown();
            first.run(program);
        });
        let names: HashSet<_> = trace.runtimes.values().cloned().collect();
        assert!(names.contains("weft \"first\"") && names.contains("weft \"second\""));
        assert_eq!(trace.instants("runtime ends").count(), 1);
        assert!(trace.instants("thread ends").count() > 0);
        drop(first);
        // A trace without any runtime is a trace.
        let (trace, ()) = traced(|| ());
        assert!(trace.events.is_empty(), "{:?}", trace.events);
    });
}

#[test]
fn plain_threads_have_regions_and_logs_too() {
    let _alone = alone();
    within_minute(|| {
        let (trace, ()) = traced(|| {
            trace::in_region("outer", || {
                trace::in_region("inner", || trace::log("cat", "here"))
            });
        });
        // SAFETY: gettid has no preconditions.
        let tid = unsafe { libc::gettid() } as u64;
        assert_eq!(trace.slices("outer")[0].0, Place::Thread(tid));
        assert_eq!(trace.slices("inner")[0].0, Place::Thread(tid));
        assert_eq!(
            trace.instants("cat").next().unwrap().text("message"),
            "here"
        );
    });
}

#[test]
fn text_of_any_kind_survives_both_formats() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        let odd = "a\"b\\c\nd\te\u{1}ö🦀";
        for format in [Format::Perfetto, Format::Chrome] {
            let out = Shared::default();
            trace::start_as(format, out.clone()).unwrap();
            rt.run(|| {
                go!(name = odd, move || trace::log("odd", odd))
                    .join()
                    .unwrap();
            });
            trace::stop().unwrap();
            let bytes = out.take();
            let trace = match format {
                Format::Chrome => traced::chrome(&bytes),
                _ => traced::perfetto(&bytes),
            };
            assert_eq!(trace.instants("odd").next().unwrap().text("message"), odd);
            trace.named(odd);
        }
    });
}
