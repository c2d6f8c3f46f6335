//! Timeouts, deadlines, and not waiting at all, for every operation.

mod support;
#[path = "support/waits.rs"]
mod waits;

use runtime::net::TcpStream;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::everywhere;

const SOON: Duration = Duration::from_millis(3);

#[test]
fn a_timeout_ends_every_wait_again_and_again() {
    everywhere(|| {
        for case in waits::all() {
            let Some(set) = &case.timeout else { continue };
            set(Some(SOON));
            for _ in 0..3 {
                let start = Instant::now();
                let e = (case.wait)();
                assert_eq!(e.kind(), ErrorKind::WouldBlock, "{}: {e}", case.name);
                assert!(start.elapsed() >= SOON, "{}", case.name);
            }
        }
    });
}

#[test]
fn a_deadline_ends_every_wait_and_stays() {
    everywhere(|| {
        for case in waits::all() {
            let Some(set) = &case.deadline else { continue };
            let end = Instant::now() + SOON;
            set(Some(end));
            for _ in 0..3 {
                let e = (case.wait)();
                assert_eq!(e.kind(), ErrorKind::TimedOut, "{}: {e}", case.name);
                assert!(Instant::now() >= end, "{}", case.name);
            }
            // The earlier of the two decides.
            set(Some(Instant::now() + Duration::from_secs(3600)));
            case.timeout.as_ref().unwrap()(Some(SOON));
            let e = (case.wait)();
            assert_eq!(e.kind(), ErrorKind::WouldBlock, "{}: {e}", case.name);
        }
    });
}

/// As in Go, where it is the way to stop another's read.
#[test]
fn a_deadline_reaches_goroutines_that_wait_already() {
    everywhere(|| {
        for case in waits::all() {
            let Some(set) = &case.deadline else { continue };
            let hs: Vec<_> = (0..3)
                .map(|_| {
                    let case = case.clone();
                    runtime::go!(move || (case.wait)())
                })
                .collect();
            runtime::time::sleep(Duration::from_millis(2));
            set(Some(Instant::now() + Duration::from_secs(3600)));
            runtime::yield_now();
            assert!(hs.iter().all(|h| !h.is_finished()), "{}", case.name);
            set(Some(Instant::now() + Duration::from_millis(1)));
            for h in hs {
                let e = h.join().unwrap();
                assert_eq!(e.kind(), ErrorKind::TimedOut, "{}: {e}", case.name);
            }
        }
    });
}

#[test]
fn a_deadline_that_is_over_hides_what_is_there_and_loses_nothing() {
    everywhere(|| {
        let (mut a, mut b) = waits::tcp_pair();
        b.write_all(b"x").unwrap();
        a.set_read_deadline(Some(Instant::now()));
        let mut byte = [0];
        assert_eq!(a.read(&mut byte).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(a.peek(&mut byte).unwrap_err().kind(), ErrorKind::TimedOut);
        // Of this handle, and of reading, only.
        a.write_all(b"y").unwrap();
        assert_eq!(a.try_clone().unwrap().peek(&mut byte).unwrap(), 1);
        a.set_read_deadline(None);
        a.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    });
}

#[test]
fn what_comes_after_a_timeout_is_read_once() {
    everywhere(|| {
        let (a, mut b) = waits::tcp_pair();
        a.set_read_timeout(Some(Duration::from_micros(300)))
            .unwrap();
        let h = runtime::go!(move || {
            for i in 0..200u8 {
                b.write_all(&[i]).unwrap();
                runtime::time::sleep(Duration::from_micros(u64::from(i) * 4));
            }
        });
        let (mut got, mut buf, mut late) = (Vec::new(), [0; 16], 0);
        loop {
            match (&a).read(&mut buf) {
                Ok(0) => break,
                Ok(n) => got.extend_from_slice(&buf[..n]),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::WouldBlock);
                    late += 1;
                }
            }
        }
        h.join().unwrap();
        assert_eq!(got, (0..200).collect::<Vec<u8>>());
        assert!(late > 0);
    });
}

#[test]
fn nonblocking_operations_do_not_wait_and_see_what_comes() {
    everywhere(|| {
        let (a, mut b) = waits::tcp_pair();
        a.set_nonblocking(true).unwrap();
        for i in 0..100u8 {
            let mut byte = [0];
            let e = (&a).read(&mut byte).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
            b.write_all(&[i]).unwrap();
            // It is there at once, on the loopback device.
            let start = Instant::now();
            while (&a).read(&mut byte).is_err() {
                assert!(start.elapsed() < Duration::from_secs(5));
                std::thread::yield_now();
            }
            assert_eq!(byte[0], i);
        }
    });
}

#[test]
fn a_connection_that_is_not_made_in_time() {
    everywhere(|| {
        let (at, _full) = waits::full_listener();
        let soon = Duration::from_millis(30);
        let start = Instant::now();
        let e = TcpStream::connect_timeout(&at, soon).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= soon && start.elapsed() < Duration::from_secs(5));
    });
}

/// What has come by the end of a timeout is taken, as by the kernel's own, though nobody has polled for it yet.
#[test]
fn what_is_there_when_a_timeout_ends_is_read() {
    let _alone = support::alone();
    support::within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let (mut a, mut b) = runtime::net::UnixStream::pair().unwrap();
            a.set_read_timeout(Some(Duration::from_micros(100)))
                .unwrap();
            let mut byte = [0];
            for i in 0..20 {
                // Nothing is known of the next byte when the read begins; and the one P is not given up before
                // it is there, and the time is over.
                let e = a.read(&mut byte).unwrap_err();
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                let written = Arc::new(AtomicBool::new(false));
                let writer = runtime::go!({
                    let (mut b, written) = (b.try_clone().unwrap(), written.clone());
                    move || {
                        b.write_all(&[i]).unwrap();
                        written.store(true, SeqCst);
                        let since = Instant::now();
                        while since.elapsed() < Duration::from_micros(300) {
                            std::hint::spin_loop();
                        }
                    }
                });
                while let Err(e) = a.read_exact(&mut byte) {
                    assert_eq!(e.kind(), ErrorKind::WouldBlock);
                    assert!(!written.load(SeqCst), "it was there");
                }
                assert_eq!(byte, [i]);
                writer.join().unwrap();
            }
            b.write_all(b"x").unwrap();
        });
    });
}
