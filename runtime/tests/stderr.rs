//! What is said on standard error is a trouble to nobody if it cannot be said: its reader has gone, or the disk is full.

mod support;

use runtime::{Builder, go};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{child_without_stderr, is_child, within_minute};

/// The exit code of one that has said all.
const SAID: i32 = 7;

/// Whatever the runtime says of itself: panics, traces, shortages, hogs, leaks, who is left behind.
#[test]
fn child_says_much() {
    if !is_child("child_says_much") {
        return;
    }
    within_minute(|| {
        let rt = Builder::new().procs(1).max_threads(1).build().unwrap();
        rt.run(|| {
            assert!(go!(|| panic!("a panic")).join().is_err());
            let waits = go!(|| ());
            std::thread::sleep(Duration::from_millis(50)); // there is no thread for the other one
            waits.join().unwrap();
            runtime::time::sleep(Duration::from_millis(20));
        });
        let (tx, rx) = channels::bounded::<u8>(0);
        rt.spawn(move || {
            let _tx = &tx;
            rx.recv()
        });
        rt.run(|| runtime::time::sleep(Duration::from_millis(5)));
        rt.spawn(|| std::thread::sleep(Duration::from_millis(500)));
        std::thread::sleep(Duration::from_millis(20));
        drop(rt.shutdown_timeout(Duration::from_millis(1)));
        let rt = runtime::start(1);
        assert!(rt.spawn(|| panic!("another")).join().is_err());
    });
    std::process::exit(SAID);
}

/// A trace cannot be written, either.
#[track_caller]
fn does_no_harm(test: &str, stderr: impl Into<Stdio>) {
    let dir = format!("{test}-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(dir);
    std::fs::create_dir_all(&dir).unwrap();
    let trace = dir.join("trace");
    std::os::unix::fs::symlink("/dev/full", &trace).unwrap();
    let saying = format!("schedtrace=1,hog=10ms,leaks=1,trace={}", trace.display());
    let limit = Duration::from_secs(60);
    let env = [("RUNTIME_DEBUG", &*saying)];
    let status = child_without_stderr("child_says_much", &env, stderr, limit);
    assert_eq!(status.code(), Some(SAID), "{status}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn whose_reader_is_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    does_no_harm("whose_reader_is_gone", writer);
}

#[test]
fn whose_disk_is_full() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    does_no_harm("whose_disk_is_full", full);
}
