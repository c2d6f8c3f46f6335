//! Dumps on a signal, and reports of goroutines that keep their threads: in child processes.

mod support;
#[path = "support/system.rs"]
mod system;

use channels::Receiver;
use runtime::signal::{Signal, Signals};
use runtime::{Builder, go};
use std::time::Duration;
use support::{child, is_child};
use system::{burn, raise, spin};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn child_dumps_on_usr1() {
    if !is_child("child_dumps_on_usr1") {
        return;
    }
    let rt = Builder::new()
        .procs(2)
        .dump_on(Signal::USR1)
        .build()
        .unwrap();
    rt.run(|| {
        let others = Signals::new([Signal::USR1]).unwrap();
        drop(go!(name = "sleeper", || {
            let _ = Receiver::<u32>::nil().recv();
        }));
        runtime::time::sleep(Duration::from_millis(50));
        for _ in 0..3 {
            raise(Signal::USR1);
            assert_eq!(
                others.recv(),
                Some(Signal::USR1),
                "who waits for it gets it, too"
            );
            // The next one comes when this one has been seen to.
            runtime::time::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
fn each_signal_brings_a_dump_and_the_program_goes_on() {
    let out = child("child_dumps_on_usr1", &[], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("USR1: goroutines of \"weft\":").count(),
        3,
        "{}",
        out.stderr
    );
    assert_eq!(
        out.stderr
            .matches("\"sleeper\" [chan receive (nil chan)")
            .count(),
        3,
        "{}",
        out.stderr
    );
}

/// Both Ps are busy, a thread is blocked, and everybody else waits.
#[test]
fn child_is_stuck() {
    if !is_child("child_is_stuck") {
        return;
    }
    let rt = runtime::start(2);
    rt.run(|| {
        let hogs: Vec<_> = (0..2)
            .map(|_| go!(name = "hog", || spin(Duration::from_millis(2000))))
            .collect();
        drop(go!(name = "blocked", || std::thread::sleep(
            Duration::from_millis(2000)
        )));
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            raise(Signal::QUIT);
        });
        hogs.into_iter().for_each(|h| drop(h.join()));
    });
}

#[test]
fn a_stuck_program_dumps_by_its_environment() {
    let out = child(
        "child_is_stuck",
        &[("RUNTIME_DEBUG", "dumpsig=QUIT")],
        LIMIT,
    );
    assert!(out.status.success(), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("QUIT: goroutines of").count(),
        1,
        "{}",
        out.stderr
    );
    assert!(
        out.stderr.contains("\"hog\" [running on m"),
        "{}",
        out.stderr
    );
    assert!(
        out.stderr.contains("\"blocked\" [running on m"),
        "{}",
        out.stderr
    );
    assert!(
        out.stderr.contains("[join]:\n    on goroutine "),
        "{}",
        out.stderr
    );
}

#[inline(never)]
fn burn_the_thread() -> u64 {
    burn(Duration::from_millis(1200)) + 1
}

#[test]
fn child_hogs() {
    if !is_child("child_hogs") {
        return;
    }
    let rt = runtime::start(2);
    rt.run(|| {
        let hog = go!(name = "burner", || std::hint::black_box(burn_the_thread()));
        // These do not keep their threads, or say that they will.
        let polite = go!(name = "polite", || {
            for _ in 0..150 {
                burn(Duration::from_millis(10));
                runtime::yield_now();
            }
        });
        let honest = go!(name = "honest", || runtime::blocking(|| {
            std::thread::sleep(Duration::from_millis(1500));
        }));
        let _ = (hog.join(), polite.join(), honest.join());
        // A second time is told again.
        let _ = go!(name = "burner", || std::hint::black_box(burn_the_thread())).join();
        runtime::time::sleep(Duration::from_secs(2)); // reports are written beside
    });
}

#[test]
fn a_hog_is_told_once_each_time_with_its_stack() {
    let out = child("child_hogs", &[("RUNTIME_DEBUG", "hog=400ms")], LIMIT);
    assert!(out.status.success(), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("\"burner\" has kept its thread").count(),
        2,
        "{}",
        out.stderr
    );
    assert_eq!(
        out.stderr.matches("has kept its thread").count(),
        2,
        "{}",
        out.stderr
    );
    assert_eq!(
        out.stderr.matches("burn_the_thread\n\t").count(),
        2,
        "{}",
        out.stderr
    );
}

#[test]
fn child_with_nonsense() {
    if is_child("child_with_nonsense") {
        let e = Builder::new().build().unwrap_err();
        eprintln!("said: {e}");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    for bad in [
        "dumpsig=FOO",
        "dumpsig=KILL",
        "hog=x",
        "hog=0ms",
        "hog=100",
        "leaks=2",
    ] {
        let out = child("child_with_nonsense", &[("RUNTIME_DEBUG", bad)], LIMIT);
        let said = out.stderr.lines().find(|l| l.starts_with("said: "));
        assert!(
            said.is_some_and(|s| s.contains(bad)),
            "{bad}: {}",
            out.stderr
        );
    }
}
