//! The viewer reads what the runtime writes: of programs whose doings are known, the numbers are theirs.

mod common;

use common::{TempTree, run};
use examples::trace_view::{self, Goroutines, State, Trace, TrackKind, utilisation};
use runtime::trace::{self, Format};
use runtime::{go, yield_now};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const VIEWER: &str = env!("CARGO_BIN_EXE_trace-view");

/// There is one trace at a time in a process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the viewer reads of a trace of `program`.
fn viewed(format: Format, procs: usize, program: impl FnOnce(&runtime::Runtime)) -> Trace {
    let out = Shared::default();
    trace::start_as(format, out.clone()).expect("no other trace");
    let rt = runtime::start(procs);
    program(&rt);
    rt.shutdown();
    let summary = trace::stop().expect("there is a trace");
    assert_eq!(summary.lost, 0);
    let bytes = std::mem::take(&mut *out.0.lock().unwrap());
    let seen = trace_view::read(&bytes).expect("a trace");
    assert_eq!(seen.cut, None);
    assert_eq!((seen.unclosed, seen.unopened, seen.lost()), (0, 0, 0));
    seen
}

/// Of each P, the time is told to the last nanosecond, and of no goroutine is there more than the trace is long.
fn check_times(trace: &Trace, procs: usize) {
    let ps = utilisation(trace, 10);
    assert_eq!(ps.len(), procs);
    for p in &ps {
        assert!(matches!(trace.tracks[p.track].kind, TrackKind::P(_)));
        let (begin, end) = p.life;
        assert_eq!(p.whole.total(), end - begin, "{p:?}");
        let parts: u64 = p.parts.iter().map(|part| part.total()).sum();
        assert_eq!(parts, end - begin, "{p:?}");
    }
    for g in &Goroutines::of(trace).all {
        let told = g.running + g.without_p + g.runnable + g.blocked;
        assert!(told <= trace.duration, "{g:?}");
    }
}

#[test]
fn waits_on_a_channel_are_those_of_the_program() {
    let _alone = alone();
    for format in [Format::Perfetto, Format::Chrome] {
        let seen = viewed(format, 1, |rt| {
            rt.run(|| {
                let (tx, rx) = channels::bounded::<u32>(0);
                let reader = go!(name = "reader", move || rx.iter().sum::<u32>());
                let writer = go!(name = "writer", move || {
                    for i in 0..100 {
                        tx.send(i).unwrap();
                    }
                });
                writer.join().unwrap();
                assert_eq!(reader.join().unwrap(), 4950);
            });
        });
        check_times(&seen, 1);
        let all = Goroutines::of(&seen);
        // The two, and the one that `run` makes.
        assert_eq!((all.made, all.finished), (3, 3));
        for name in ["reader", "writer"] {
            let mut found = all.all.iter().filter(|g| g.name == name);
            let g = found.next().expect("it has a name");
            assert!(found.next().is_none());
            assert_eq!(g.state, State::Finished);
            assert!(g.turns > 1 && g.track.is_some(), "{g:?}");
        }
        // One of two that meet on one P waits for the other, for each value.
        let reasons = all.waits.by_reason();
        let count = |reason| {
            let of = reasons.iter().filter(|r| r.reason == reason);
            of.map(|r| r.count).sum::<u64>()
        };
        let waits = count("chan receive") + count("chan send");
        assert!((50..=201).contains(&waits), "{waits}");
        // All on the same channel, the object that is waited for most often.
        let objects = all.waits.by_object();
        let most = objects.iter().max_by_key(|o| o.count).unwrap();
        assert_eq!((most.count, most.goroutines), (waits, 2));
        assert_ne!(most.object, 0);
        // Whoever waited was woken by the other.
        for wait in all.waits.iter().filter(|w| w.object == most.object) {
            assert!(wait.over);
            assert_eq!(all.waits.text(wait.by), "goroutine");
            assert!(all.all.iter().any(|g| g.id == wait.waker && g.id != wait.g));
        }
    }
}

#[test]
fn turns_and_sleeps_are_those_of_the_program() {
    let _alone = alone();
    let seen = viewed(Format::Perfetto, 2, |rt| {
        rt.run(|| {
            let sleeper = go!(name = "sleeper", || {
                for _ in 0..5 {
                    runtime::time::sleep(Duration::from_millis(3));
                }
            });
            let yielder = go!(name = "yielder", || (0..50).for_each(|_| yield_now()));
            sleeper.join().unwrap();
            yielder.join().unwrap();
        });
    });
    check_times(&seen, 2);
    let all = Goroutines::of(&seen);
    let of = |name| all.all.iter().find(|g| g.name == name).expect("named");
    let (sleeper, yielder) = (of("sleeper"), of("yielder"));
    assert_eq!((sleeper.waits, sleeper.turns), (5, 6));
    assert!(sleeper.blocked >= 15_000_000, "{sleeper:?}");
    assert_eq!(yielder.turns, 51);
    assert_eq!(yielder.waits, 0);
}

/// Traces an example without a change to it, and shows the trace.
fn shown(program: &str, args: &[&str], file: &str) -> Trace {
    let dir = TempTree::new();
    let file = dir.file(file, "");
    let debug = format!("RUNTIME_DEBUG=trace={}", file.display());
    run(
        "env",
        [debug.as_str(), program]
            .into_iter()
            .chain(args.iter().copied()),
    )
    .expect_code(0);
    let bytes = std::fs::read(&file).expect("it was written");
    let seen = trace_view::read(&bytes).expect("a trace");
    let page = run(VIEWER, [file.as_os_str(), "-o".as_ref(), "-".as_ref()]).expect_code(0);
    assert!(page.stdout.starts_with("<!doctype html>"));
    seen
}

#[test]
fn examples_are_traced_as_they_are() {
    for (program, args, file) in [
        (
            env!("CARGO_BIN_EXE_pipeline"),
            &["--numbers=1000"][..],
            "pipeline.pftrace",
        ),
        (
            env!("CARGO_BIN_EXE_prime_sieve"),
            &["--count=30"],
            "sieve.json",
        ),
        (
            env!("CARGO_BIN_EXE_skynet"),
            &["--leaves=1000"],
            "skynet.pftrace",
        ),
    ] {
        let seen = shown(program, args, file);
        let all = Goroutines::of(&seen);
        assert!(all.made > 2 && all.made == all.finished, "{program}");
        assert_eq!((seen.unclosed, seen.unopened), (0, 0), "{program}");
    }
}
