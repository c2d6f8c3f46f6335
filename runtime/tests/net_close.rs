//! `close` ends every wait, of goroutines and of threads.

mod support;
#[path = "support/waits.rs"]
mod waits;

use runtime::net::{TcpListener, TcpStream};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use support::{alone, everywhere, with_procs, within_minute};

#[test]
fn close_ends_every_wait_of_goroutines() {
    everywhere(|| {
        for case in waits::all() {
            let hs: Vec<_> = (0..3)
                .map(|_| {
                    let case = case.clone();
                    runtime::go!(move || (case.wait)())
                })
                .collect();
            runtime::time::sleep(Duration::from_millis(2));
            assert!(hs.iter().all(|h| !h.is_finished()), "{}", case.name);
            (case.close.as_ref().unwrap())();
            for h in hs {
                let e = h.join().unwrap();
                assert_eq!(e.kind(), ErrorKind::NotConnected, "{}: {e}", case.name);
                assert!(e.to_string().contains("closed"), "{}: {e}", case.name);
            }
            // And those that begin later.
            assert_eq!(
                (case.wait)().kind(),
                ErrorKind::NotConnected,
                "{}",
                case.name
            );
        }
    });
}

#[test]
fn close_ends_every_wait_of_threads() {
    let _alone = alone();
    within_minute(|| {
        for case in waits::all() {
            let ts: Vec<_> = (0..2)
                .map(|_| {
                    let case = case.clone();
                    std::thread::spawn(move || (case.wait)())
                })
                .collect();
            std::thread::sleep(Duration::from_millis(10));
            assert!(ts.iter().all(|t| !t.is_finished()), "{}", case.name);
            (case.close.as_ref().unwrap())();
            for t in ts {
                let e = t.join().unwrap();
                assert_eq!(e.kind(), ErrorKind::NotConnected, "{}: {e}", case.name);
            }
            assert_eq!(
                (case.wait)().kind(),
                ErrorKind::NotConnected,
                "{}",
                case.name
            );
        }
    });
}

/// Beside those who come and go: nobody is left behind.
#[test]
fn close_races_with_waits() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            for round in 0..200u32 {
                let (a, b) = waits::tcp_pair();
                let a = Arc::new(a);
                let hs: Vec<_> = (0..4)
                    .map(|i| {
                        let a = a.clone();
                        runtime::go!(move || {
                            let mut byte = [0];
                            loop {
                                let r = match i % 2 {
                                    0 => (&*a).read(&mut byte),
                                    _ => (&*a).write(&byte),
                                };
                                if let Err(e) = r {
                                    return e.kind();
                                }
                            }
                        })
                    })
                    .collect();
                for i in 0..round % 8 {
                    (&b).write_all(&[i as u8]).unwrap();
                }
                a.close();
                for h in hs {
                    assert_eq!(h.join().unwrap(), ErrorKind::NotConnected);
                }
                let mut rest = Vec::new();
                let _ = (&b).read_to_end(&mut rest); // an end or a reset
            }
        });
    });
}

#[test]
fn a_port_is_free_when_its_listener_is_closed() {
    everywhere(|| {
        let freed = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            listener.close();
            listener.close();
            let refused =
                TcpStream::connect(at).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
            drop(listener);
            refused && TcpListener::bind(at).is_ok()
        };
        // Another process may take the port in between.
        assert!((0..5).any(|_| freed()));
    });
}
