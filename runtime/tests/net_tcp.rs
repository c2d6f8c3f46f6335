//! TCP: what a program does with connections.

mod support;

use runtime::net::{Shutdown, TcpListener, TcpStream};
use std::io::{Read, Write};
use support::everywhere;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, from) = listener.accept().unwrap();
    assert_eq!(from, a.local_addr().unwrap());
    assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
    (a, b)
}

#[test]
fn an_echo_comes_back() {
    everywhere(|| {
        let (mut a, b) = pair();
        let h = runtime::go!(move || std::io::copy(&mut &b, &mut &b).unwrap());
        for i in 0..1_000u64 {
            let mut buf = [0; 8];
            a.write_all(&i.to_ne_bytes()).unwrap();
            a.read_exact(&mut buf).unwrap();
            assert_eq!(u64::from_ne_bytes(buf), i);
        }
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!(a.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(h.join().unwrap(), 8_000);
    });
}

/// The end of the stream may be reported in one with the data before it; then nothing else is.
#[test]
fn an_end_that_comes_with_data_is_read_after_them() {
    everywhere(|| {
        for round in 0..200 {
            let (a, mut b) = pair();
            let h = runtime::go!(move || {
                let mut buf = [0; 64];
                let n = (&a).read(&mut buf).unwrap(); // parks, and is registered
                assert!(n > 0);
                let mut rest = Vec::new();
                (&a).read_to_end(&mut rest).unwrap();
                n + rest.len()
            });
            if round % 2 == 0 {
                runtime::yield_now();
            }
            b.write_all(b"0123456789").unwrap();
            drop(b);
            assert_eq!(h.join().unwrap(), 10);
        }
    });
}
