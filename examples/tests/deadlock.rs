//! When all goroutines are asleep for ever, it is said; and only then.

mod common;

use common::{PROCS, run, run_command};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_deadlock");
const FATAL: &str = "fatal error: all goroutines are asleep - deadlock!";

#[test]
fn run_panics_and_the_report_names_all() {
    for scenario in ["cross", "locks", "condition", "group"] {
        for procs in PROCS {
            let out = run(PROGRAM, [scenario, "--procs", &procs.to_string()]);
            let out = out.expect_code(101);
            let times = out.stderr.matches(FATAL).count();
            assert_eq!(times, 2, "the report and the panic: {}", out.stderr);
            assert!(!out.stdout.contains("done"), "{}", out.stdout);
        }
    }
    let out = run(PROGRAM, ["cross"]);
    assert!(out.stderr.contains("\"b\" [chan receive"), "{}", out.stderr);
}

/// The thread that has them written can wake nobody.
#[test]
fn also_if_dumps_are_written_on_signals() {
    for procs in PROCS {
        let out = run(PROGRAM, ["cross", "--dumps", "--procs", &procs.to_string()]);
        let out = out.expect_code(101);
        assert!(out.stderr.contains(FATAL), "{}", out.stderr);
    }
}

/// Nor can the one that writes the trace.
#[test]
fn also_while_the_program_is_traced() {
    let file = std::env::temp_dir().join(format!("weft-{}-deadlock.pftrace", std::process::id()));
    for procs in PROCS {
        let mut program = Command::new(PROGRAM);
        let program = program.args(["cross", "--procs", &procs.to_string()]);
        let debug = format!("trace={}", file.display());
        let out = run_command(program.env("RUNTIME_DEBUG", debug)).expect_code(101);
        assert!(out.stderr.contains(FATAL), "{}", out.stderr);
        assert!(std::fs::metadata(&file).unwrap().len() > 0);
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn who_joins_one_of_them_learns_that_it_was_cancelled() {
    let out = run(PROGRAM, ["joined"]).expect_code(0);
    assert!(out.stderr.contains(FATAL), "{}", out.stderr);
    assert!(
        out.stdout.contains("joined: goroutine was cancelled"),
        "{}",
        out.stdout
    );
}

#[test]
fn abort_ends_the_process() {
    let out = run(PROGRAM, ["cross", "--what", "abort"]);
    assert_eq!(out.status.signal(), Some(6), "{}", out.stderr);
    assert!(out.stderr.contains(FATAL), "{}", out.stderr);
}

#[test]
fn who_waits_for_the_world_is_not_dead() {
    for scenario in ["thread", "world", "relay", "runtimes", "signal"] {
        for procs in PROCS {
            let out = run(PROGRAM, [scenario, "--procs", &procs.to_string()]);
            let out = out.expect_code(0);
            assert!(!out.stderr.contains("deadlock"), "{}", out.stderr);
            assert!(out.stdout.contains("done"), "{}", out.stdout);
        }
    }
}
