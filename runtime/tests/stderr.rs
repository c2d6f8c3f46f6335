//! What is said on standard error is a trouble to nobody if it cannot be said: its reader has gone, or the disk is full.

mod support;

use runtime::{Builder, go};
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;
use support::{child_without_stderr, is_child, within_minute};

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
}

const SAYING: (&str, &str) = (
    "RUNTIME_DEBUG",
    "schedtrace=1,hog=10ms,leaks=1,trace=/dev/full",
);

#[track_caller]
fn does_no_harm(stderr: impl Into<Stdio>) {
    let limit = Duration::from_secs(60);
    let status = child_without_stderr("child_says_much", &[SAYING], stderr, limit);
    assert!(status.success(), "{status}");
}

#[test]
fn whose_reader_is_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    does_no_harm(writer);
}

#[test]
fn whose_disk_is_full() {
    does_no_harm(File::create("/dev/full").unwrap());
}
