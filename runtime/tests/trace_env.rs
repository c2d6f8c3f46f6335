//! `RUNTIME_DEBUG=trace=FILE`: programs that know nothing of it, in processes of their own.

mod support;
mod traced;

use runtime::{go, yield_now};
use std::path::PathBuf;
use std::time::Duration;
use support::{child, is_child, within_minute};

fn file(name: &str) -> PathBuf {
    let file = format!("weft-{}-{name}", std::process::id());
    std::env::temp_dir().join(file)
}

fn work() {
    let hs: Vec<_> = (0..10).map(|_| go!(name = "worker", yield_now)).collect();
    hs.into_iter().for_each(|h| h.join().unwrap());
}

/// Runs the child with a trace, and reads what it wrote.
fn trace_of(body: &str, name: &str) -> Vec<u8> {
    let file = file(name);
    let debug = format!("trace={}", file.display());
    let out = child(body, &[("RUNTIME_DEBUG", &debug)], Duration::from_secs(30));
    assert!(out.status.success(), "{}", out.stderr);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    bytes
}

fn check(trace: &traced::Trace) {
    traced::states::check(trace);
    trace.named("worker");
    let ends = trace.events.iter().filter(|e| e.text("end") == "finish");
    let ends = ends.filter(|e| matches!(e.on, traced::Place::P(..)));
    assert_eq!(ends.count(), 11);
}

#[test]
fn ordinary_child() {
    if is_child("ordinary_child") {
        let rt = runtime::start(2);
        rt.run(work);
    }
}

#[test]
fn a_program_is_traced_without_a_change() {
    within_minute(|| {
        let bytes = trace_of("ordinary_child", "a.json");
        check(&traced::chrome(&bytes));
        // Of another process than this.
        let bytes = trace_of("ordinary_child", "a.pftrace");
        check(&traced::perfetto_of_another(&bytes));
    });
}

#[test]
fn exiting_child() {
    if is_child("exiting_child") {
        let rt = runtime::start(2);
        rt.run(work);
        // With the runtime still up, and on a goroutine.
        let h = rt.spawn(|| std::process::exit(0));
        let _ = h.join();
    }
}

#[test]
fn a_program_that_exits_leaves_a_complete_trace() {
    within_minute(|| {
        let bytes = trace_of("exiting_child", "b.json");
        let trace = traced::chrome(&bytes);
        traced::states::check(&trace);
        trace.named("worker");
    });
}

#[test]
fn forking_child() {
    if is_child("forking_child") {
        runtime::start(2).run(|| {
            work();
            // SAFETY: the child does nothing but exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: it does not return.
                unsafe { libc::exit(7) };
            }
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            let ended = unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!((ended, libc::WEXITSTATUS(status)), (child, 7));
        });
    }
}

#[test]
fn a_forked_process_that_exits_leaves_its_parents_trace_alone() {
    within_minute(|| {
        let bytes = trace_of("forking_child", "fork.pftrace");
        check(&traced::perfetto_of_another(&bytes));
    });
}

#[test]
fn several_child() {
    if is_child("several_child") {
        let first = runtime::start(1);
        let second = runtime::start(1);
        first.run(work);
        drop(first);
        second.run(work);
        drop(second);
        let third = runtime::start(1);
        third.run(work);
    }
}

#[test]
fn it_ends_with_the_last_runtime_and_the_next_one_has_a_file_of_its_own() {
    within_minute(|| {
        let bytes = trace_of("several_child", "c.json");
        let trace = traced::chrome(&bytes);
        traced::states::check(&trace);
        assert_eq!(trace.instants("runtime starts").count(), 2);
        assert_eq!(trace.instants("runtime ends").count(), 2);
        let next = file("c-2.json");
        let trace = traced::chrome(&std::fs::read(&next).unwrap());
        std::fs::remove_file(next).unwrap();
        check(&trace);
    });
}

#[test]
fn aborting_child() {
    if is_child("aborting_child") {
        let rt = runtime::start(1);
        rt.run(work);
        std::thread::sleep(Duration::from_millis(500));
        std::process::abort();
    }
}

#[test]
fn a_program_that_aborts_leaves_what_was_written() {
    within_minute(|| {
        let file = file("d.pftrace");
        let debug = format!("trace={}", file.display());
        let out = child(
            "aborting_child",
            &[("RUNTIME_DEBUG", &debug)],
            Duration::from_secs(30),
        );
        assert!(!out.status.success());
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        // Each packet is complete; what was open is left open.
        traced::perfetto_of_another(&bytes).named("worker");
    });
}

#[test]
fn refused_child() {
    if is_child("refused_child") {
        let e = runtime::Builder::new().build().unwrap_err();
        println!("refused: {e}");
        std::process::exit(0);
    }
}

#[test]
fn a_bad_path_is_a_clear_error() {
    within_minute(|| {
        for (value, words) in [
            (
                "trace=/nonexistent/dir/t.json",
                "the trace cannot be written to /nonexistent/dir/t.json",
            ),
            ("trace=", "trace=FILE"),
            ("trace=/", "the trace cannot be written to /"),
        ] {
            let out = child(
                "refused_child",
                &[("RUNTIME_DEBUG", value)],
                Duration::from_secs(30),
            );
            assert!(out.stdout.contains(words), "{value}: {}", out.stdout);
        }
    });
}
