//! Signals among the channels of a select.

mod common;

use channels::{Receiver, after, never, select};
use common::support::{PROCS, within_minute};
use runtime::signal::{Signal, Signals};
use std::process::Command;
use std::time::Duration;

/// Waits in a select for a signal that comes when it has been there for a while; twice.
fn a_signal_among_others() {
    let signals = Receiver::from(&Signals::new([Signal::USR1]).unwrap());
    let nothing = never::<()>();
    for _ in 0..2 {
        let sends = std::thread::spawn(|| {
            let script = format!("sleep 0.05; kill -USR1 {}", std::process::id());
            let status = Command::new("sh").args(["-c", &script]).status();
            assert!(status.unwrap().success());
        });
        select! {
            recv(nothing) -> _ => unreachable!(),
            recv(signals) -> signal => assert_eq!(signal, Ok(Signal::USR1)),
            recv(after(Duration::from_secs(20))) -> _ => panic!("it was not woken"),
        }
        sends.join().unwrap();
    }
}

#[test]
fn a_select_is_woken_by_a_signal() {
    for procs in PROCS {
        within_minute(move || runtime::start(procs).run(a_signal_among_others));
    }
    within_minute(a_signal_among_others);
}
