//! Dumps where much stands against them: standard error that nobody reads, or that is gone, or locked;
//! small stacks; a runtime that ends; threads that cannot be stopped.

mod support;
#[path = "support/system.rs"]
mod system;

use channels::{Receiver, bounded};
use runtime::signal::{Signal, Signals};
use runtime::{Builder, GoroutineState, go};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{alone, child, eventually, is_child, within_minute};
use system::{burn, raise, spin};

const LIMIT: Duration = Duration::from_secs(60);

fn ignore<T>(_: T) {}

/// This binary again, as the child `name`.
fn command(name: &str, env: &[(&str, &str)]) -> Command {
    let mut cmd = Command::new(std::env::current_exe().unwrap());
    cmd.args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env("WEFT_CHILD", name)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    cmd
}

/// More text than a pipe holds, again and again; another signal is wanted meanwhile.
#[test]
fn child_is_not_read() {
    if !is_child("child_is_not_read") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .dump_on(Signal::USR1)
        .build()
        .unwrap();
    rt.run(|| {
        let end = Signals::new([Signal::TERM]).unwrap();
        for i in 0..2000 {
            let name: &'static str = Box::leak(format!("sleeper {i}").into_boxed_str());
            drop(go!(name = name, || {
                let _ = Receiver::<u32>::nil().recv();
            }));
        }
        for _ in 0..3 {
            raise(Signal::USR1);
            runtime::time::sleep(Duration::from_millis(500));
        }
        raise(Signal::TERM);
        assert_eq!(end.recv(), Some(Signal::TERM));
        println!("told to end");
    });
    std::process::exit(0);
}

#[test]
fn a_dump_that_nobody_reads_holds_up_no_other_signal() {
    let mut child = command("child_is_not_read", &[]).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let (told, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let _ = told.send(lines.any(|l| l.contains("told to end")));
    });
    let said = said.recv_timeout(LIMIT);
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(said, Ok(true), "the other signal came");
}

/// A dump and a hog's report, and standard error has no reader.
#[test]
fn child_without_a_reader() {
    if !is_child("child_without_a_reader") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .dump_on(Signal::USR1)
        .report_hogs(Duration::from_millis(50))
        .build()
        .unwrap();
    rt.run(|| {
        let others = Signals::new([Signal::USR1]).unwrap();
        for _ in 0..2 {
            raise(Signal::USR1);
            assert_eq!(others.recv(), Some(Signal::USR1));
            go!(|| spin(Duration::from_millis(300))).join().unwrap();
        }
        println!("still here");
    });
}

#[test]
fn a_closed_standard_error_does_no_harm() {
    let env = [("RUNTIME_DEBUG", "schedtrace=20")];
    let mut child = command("child_without_a_reader", &env).spawn().unwrap();
    drop(child.stderr.take());
    let mut out = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut out).unwrap();
    let status = child.wait().unwrap();
    assert!(
        out.contains("still here") && status.success(),
        "{status}: {out}"
    );
}

/// Somebody sleeps with the lock of standard error: this may be just why the program hangs.
#[test]
fn child_holds_the_lock_of_stderr() {
    if !is_child("child_holds_the_lock_of_stderr") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .dump_on(Signal::USR1)
        .build()
        .unwrap();
    rt.run(|| {
        let lock = std::io::stderr().lock();
        raise(Signal::USR1);
        spin(Duration::from_millis(2500));
        drop(lock);
    });
}

#[test]
fn a_dump_needs_no_lock_of_the_programs() {
    let begin = Instant::now();
    let mut child = command("child_holds_the_lock_of_stderr", &[])
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    let took = begin.elapsed();
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(line.contains("USR1: goroutines of"), "{line}");
    assert!(
        !ended.success(),
        "the dump came while the lock was held: {took:?}"
    );
}

/// A goroutine with the smallest stack asks for a dump.
#[test]
fn child_dumps_on_a_small_stack() {
    if !is_child("child_dumps_on_a_small_stack") {
        return;
    }
    let rt = Builder::new()
        .procs(1)
        .stack_size(runtime::MIN_STACK_SIZE)
        .build()
        .unwrap();
    let (tx, rx) = bounded::<u32>(0);
    let other = rt.spawn(move || ignore(rx.recv()));
    assert!(eventually(|| rt
        .dump_without_stacks()
        .goroutines()
        .any(waits)));
    let text = rt.run(|| {
        let dump = runtime::dump();
        let _ = (dump.to_json(), dump.grouped().to_string());
        dump.to_string()
    });
    println!("{text}");
    drop(tx); // it ends without being unwound, which takes more stack than this
    other.join().unwrap();
}

fn waits(g: &runtime::DumpedGoroutine) -> bool {
    matches!(g.state(), GoroutineState::Waiting(_))
}

#[test]
fn a_small_stack_is_enough_to_ask() {
    let out = child("child_dumps_on_a_small_stack", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert!(
        out.stdout.contains("[chan receive]:\n    on chan 0x")
            && out.stdout.contains("child_dumps"),
        "{}",
        out.stdout
    );
}

/// Reports of hogs are made while the monitor goes on: one hog does not hide the next.
#[test]
fn child_has_many_hogs() {
    if !is_child("child_has_many_hogs") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .report_hogs(Duration::from_millis(100))
        .build()
        .unwrap();
    rt.run(|| {
        for _ in 0..4 {
            go!(|| burn(Duration::from_millis(500))).join().unwrap();
        }
    });
}

#[test]
fn each_hog_is_told_however_long_the_last_report_took() {
    let out = child("child_has_many_hogs", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("has kept its thread").count(),
        4,
        "{}",
        out.stderr
    );
    assert_eq!(
        out.stderr.matches("dump_hostile::system::burn\n").count(),
        4,
        "{}",
        out.stderr
    );
}

/// A hog whose thread does not take the signal.
#[test]
fn child_has_a_deaf_hog() {
    if !is_child("child_has_a_deaf_hog") {
        return;
    }
    let rt = Builder::new()
        .procs(1)
        .report_hogs(Duration::from_millis(100))
        .build()
        .unwrap();
    rt.run(|| {
        let block = |how| {
            // SAFETY: a set of this function's, and the mask of this thread.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGURG);
                libc::pthread_sigmask(how, &set, std::ptr::null_mut());
            }
        };
        block(libc::SIG_BLOCK);
        burn(Duration::from_millis(1200));
        block(libc::SIG_UNBLOCK);
        burn(Duration::from_millis(300));
    });
}

#[test]
fn a_hog_that_cannot_be_stopped_is_told_without_its_stack() {
    let out = child("child_has_a_deaf_hog", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("has kept its thread").count(),
        1,
        "{}",
        out.stderr
    );
    assert!(
        out.stderr.contains("\tits thread did not stop"),
        "{}",
        out.stderr
    );
}

/// A goroutine that keeps a shutdown waiting is seen in a dump, though the runtime is about to end.
#[test]
fn child_ends_slowly() {
    if !is_child("child_ends_slowly") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .dump_on(Signal::USR1)
        .build()
        .unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    drop(rt.spawn(move || {
        tx.send(()).unwrap();
        spin(Duration::from_millis(1500));
    }));
    rx.recv().unwrap();
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(200));
        raise(Signal::USR1);
    });
    rt.shutdown();
    // Nothing is left of it: no thread, and no action for the signal.
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|t| std::fs::read_to_string(t.unwrap().path().join("comm")).unwrap_or_default());
    let left: Vec<_> = names.filter(|n| n.starts_with("weft-")).collect();
    println!("left: {left:?}");
}

#[test]
fn a_shutdown_that_hangs_can_be_looked_at() {
    let out = child("child_ends_slowly", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert!(
        out.stderr.contains("USR1: goroutines of \"weft\""),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("[running on m"), "{}", out.stderr);
    assert!(!out.stdout.contains("weft-report"), "{}", out.stdout);
}

/// All asleep for so long that the runtime's monitor is, too; two runtimes asked for dumps.
#[test]
fn child_sleeps_soundly() {
    if !is_child("child_sleeps_soundly") {
        return;
    }
    let runtimes = ["one", "two"].map(|name| {
        Builder::new()
            .procs(2)
            .name(name)
            .dump_on(Signal::QUIT)
            .build()
            .unwrap()
    });
    for rt in &runtimes {
        drop(rt.spawn(|| ignore(Receiver::<u32>::nil().recv())));
    }
    std::thread::sleep(Duration::from_millis(1600));
    raise(Signal::QUIT);
    std::thread::sleep(Duration::from_millis(1500));
    drop(runtimes); // waits for what was asked for
}

#[test]
fn a_sleeping_program_dumps_all_its_runtimes() {
    let out = child("child_sleeps_soundly", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    for name in ["one", "two"] {
        let head = format!("QUIT: goroutines of \"{name}\":\n\ngoroutine ");
        assert_eq!(out.stderr.matches(&head).count(), 1, "{}", out.stderr);
    }
}

#[inline(never)]
fn dig(depth: u32) -> u32 {
    if depth == 0 {
        return Receiver::<u32>::nil().recv().unwrap_or(1);
    }
    std::hint::black_box(dig(depth - 1)) + 1
}

#[test]
fn a_deep_stack_is_cut_and_odd_labels_are_quoted() {
    let _alone = alone();
    within_minute(|| {
        runtime::start(1).run(|| {
            let deep = go!(name = "deep", || {
                runtime::label("a \"key]:\n", "b\n\nc");
                dig(300)
            });
            let deep_waits = |g: &runtime::DumpedGoroutine| g.id() == deep.id() && waits(g);
            assert!(eventually(|| {
                runtime::yield_now();
                runtime::dump_without_stacks().goroutines().any(deep_waits)
            }));
            let text = runtime::dump().to_string();
            assert!(
                text.contains("\n...additional frames elided...\ncreated by"),
                "{text}"
            );
            assert!(
                text.contains("{\"a \\\"key]:\\n\"=\"b\\n\\nc\"} [chan"),
                "{text}"
            );
            let running = "\tgoroutine running on other thread; stack unavailable\n";
            assert!(text.contains(running), "the caller: {text}");
            deep.cancel();
        });
    });
}
