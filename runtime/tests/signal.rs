//! Signals as something to wait for. Each test has signals of its own: they belong to the process.

mod support;
#[path = "support/system.rs"]
mod system;

use runtime::signal::{Signal, Signals};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::{PROCS, eventually, within_minute};
use system::raise;

#[test]
fn a_goroutine_and_a_thread_wait_for_a_signal() {
    within_minute(|| {
        for n in PROCS {
            let rt = runtime::start(n);
            rt.run(|| {
                let signals = Signals::new([Signal::USR1, Signal::WINCH]).unwrap();
                for signal in [Signal::USR1, Signal::WINCH, Signal::USR1] {
                    let s = signals.clone();
                    let waiting = runtime::go!(move || s.recv());
                    runtime::time::sleep(Duration::from_millis(1));
                    raise(signal);
                    assert_eq!(waiting.join().unwrap(), Some(signal));
                }
                assert_eq!(signals.try_recv(), None);
            });
        }
        let signals = Signals::new([Signal::USR1]).unwrap();
        raise(Signal::USR1);
        assert_eq!(signals.recv(), Some(Signal::USR1));
    });
}

#[test]
fn each_who_wants_a_signal_gets_it_once() {
    within_minute(|| {
        let all: Vec<_> = (0..3)
            .map(|_| Signals::new([Signal::URG]).unwrap())
            .collect();
        let other = Signals::new([Signal::CONT]).unwrap();
        for _ in 0..5 {
            raise(Signal::URG);
        }
        for s in &all {
            assert_eq!(s.recv(), Some(Signal::URG));
        }
        assert_eq!(other.try_recv(), None);
    });
}

#[test]
fn a_signal_that_nobody_wants_any_more_does_what_it_did() {
    within_minute(|| {
        static SEEN: AtomicU32 = AtomicU32::new(0);
        extern "C" fn handler(_: i32) {
            SEEN.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: a handler for a signal that no other test uses.
        unsafe { libc::signal(libc::SIGTTIN, handler as extern "C" fn(i32) as usize) };
        for round in 1..=3 {
            let signals = Signals::new([Signal::TTIN]).unwrap();
            let clone = signals.clone();
            drop(signals);
            raise(Signal::TTIN);
            assert_eq!(clone.recv(), Some(Signal::TTIN));
            drop(clone);
            assert_eq!(SEEN.load(Ordering::SeqCst), round - 1);
            raise(Signal::TTIN);
            assert!(eventually(|| SEEN.load(Ordering::SeqCst) == round));
        }
    });
}

#[test]
fn a_waiter_can_be_cancelled_and_the_signal_is_not_lost() {
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let signals = Signals::new([Signal::USR2]).unwrap();
            for _ in 0..100 {
                let s = signals.clone();
                let h = runtime::go!(move || s.recv());
                runtime::yield_now();
                h.cancel();
                let got = h.join().ok().flatten();
                assert_eq!(got, None);
            }
            let late = runtime::time::timeout(Duration::from_millis(1), || signals.recv());
            assert!(late.is_err());
            raise(Signal::USR2);
            assert_eq!(signals.recv(), Some(Signal::USR2));
        });
    });
}

#[test]
fn what_cannot_be_caught_is_an_error() {
    for bad in [
        Signal::from_raw(libc::SIGKILL),
        Signal::from_raw(0),
        Signal::from_raw(99),
        Signal::from_raw(libc::SIGSEGV),
    ] {
        let e = Signals::new([Signal::IO, bad]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidInput);
        assert!(e.to_string().contains("cannot be waited for"), "{e}");
    }
    assert_eq!(Signal::TERM.to_string(), "SIGTERM");
    assert_eq!(Signal::from_raw(40).to_string(), "signal 40");
}
