//! TCP: what a program does with connections.

mod support;

use runtime::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{everywhere, within_minute};

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

/// Bytes that say where they belong.
fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

fn send_pattern(mut stream: &TcpStream, total: usize) {
    // Far more than the kernel takes at once.
    const BLOCK: usize = 1 << 22;
    let bytes: Vec<u8> = (0..BLOCK.min(total) + 251).map(pattern).collect();
    let mut sent = 0;
    while sent < total {
        let len = BLOCK.min(total - sent);
        stream.write_all(&bytes[sent % 251..][..len]).unwrap();
        sent += len;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

fn check_pattern(mut stream: &TcpStream, total: usize) {
    let mut buf = vec![0; 1 << 17];
    let bytes: Vec<u8> = (0..buf.len() + 251).map(pattern).collect();
    let (mut got, mut len) = (0, 1);
    loop {
        let n = stream.read(&mut buf[..len]).unwrap();
        if n == 0 {
            break;
        }
        assert!(buf[..n] == bytes[got % 251..][..n]);
        got += n;
        len = len * 7 % buf.len() + 1;
    }
    assert_eq!(got, total);
}

/// In both directions at once: each end reads on one goroutine and writes on another.
#[test]
fn much_goes_through_in_both_directions() {
    let total = 64 << 20;
    everywhere(|| {
        let (a, b) = pair();
        let (a, b) = (Arc::new(a), Arc::new(b));
        let mut hs = Vec::new();
        for end in [a, b] {
            let other = end.clone();
            hs.push(runtime::go!(move || send_pattern(&other, total)));
            hs.push(runtime::go!(move || check_pattern(&end, total)));
        }
        hs.into_iter().for_each(|h| h.join().unwrap());
    });
}

#[test]
fn clones_are_handles_of_one_connection() {
    everywhere(|| {
        let (a, b) = pair();
        let reader = a.try_clone().unwrap();
        let h = runtime::go!(move || check_pattern(&reader, 100_000));
        send_pattern(&b, 100_000);
        h.join().unwrap();
        let h = runtime::go!(move || check_pattern(&b, 100_000));
        send_pattern(&a, 100_000);
        h.join().unwrap();
    });
}

#[test]
fn many_slices_are_written_and_read_in_order() {
    everywhere(|| {
        let (mut a, mut b) = pair();
        let total = 60_000;
        let h = runtime::go!(move || {
            let bytes: Vec<u8> = (0..total).map(pattern).collect();
            let mut sent = 0;
            while sent < total {
                // More slices than the kernel takes.
                let slices: Vec<_> = bytes[sent..].chunks(13).map(IoSlice::new).collect();
                sent += a.write_vectored(&slices).unwrap();
            }
        });
        let mut got = 0;
        while got < total {
            let (mut x, mut y, mut z) = ([0; 7], [0; 0], [0; 90]);
            let mut slices = [&mut x[..], &mut y, &mut z].map(IoSliceMut::new);
            let n = b.read_vectored(&mut slices).unwrap();
            let read = x.iter().chain(&z).take(n);
            assert!(read.zip(got..).all(|(byte, at)| *byte == pattern(at)));
            got += n;
        }
        h.join().unwrap();
        assert_eq!(
            b.read_vectored(&mut [IoSliceMut::new(&mut [0])]).unwrap(),
            0
        );
    });
}

#[test]
fn no_bytes_are_read_and_written_without_waiting() {
    everywhere(|| {
        let (mut a, mut b) = pair();
        assert_eq!(a.read(&mut []).unwrap(), 0);
        a.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        a.read(&mut [0]).unwrap_err(); // registered, and known to be empty
        a.set_read_timeout(None).unwrap();
        assert_eq!(a.read(&mut []).unwrap(), 0);
        assert_eq!(a.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(a.peek(&mut []).unwrap(), 0);
        assert_eq!(a.write(&[]).unwrap(), 0);
        assert_eq!(a.write_vectored(&[]).unwrap(), 0);
        b.write_all(b"x").unwrap();
        let mut byte = [0];
        assert_eq!(a.peek(&mut byte).unwrap(), 1);
        assert_eq!(a.read(&mut []).unwrap(), 0);
        a.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    });
}

#[test]
fn a_reset_reaches_who_waits() {
    everywhere(|| {
        let (a, b) = pair();
        let h = runtime::go!(move || (&a).read(&mut [0]).unwrap_err().kind());
        runtime::time::sleep(Duration::from_millis(1));
        b.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(b.linger().unwrap(), Some(Duration::ZERO));
        drop(b);
        assert_eq!(h.join().unwrap(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_part_of_a_second_to_linger_is_not_none() {
    everywhere(|| {
        let (a, b) = pair();
        for (millis, secs) in [(1, 1), (500, 1), (1000, 1), (1001, 2)] {
            a.set_linger(Some(Duration::from_millis(millis))).unwrap();
            assert_eq!(a.linger().unwrap(), Some(Duration::from_secs(secs)));
        }
        drop((a, b));
    });
}

#[test]
fn more_than_can_be_said_to_linger_is_not_none() {
    everywhere(|| {
        let (a, b) = pair();
        let most = Duration::from_secs(i32::MAX as u64);
        for long in [Duration::from_secs(1 << 32), most, Duration::MAX] {
            a.set_linger(Some(long)).unwrap();
            assert_eq!(a.linger().unwrap(), Some(most));
        }
        a.set_linger(None).unwrap();
        drop((a, b));
    });
}

#[test]
fn a_clone_of_a_listener_that_was_given_away_can_still_be_interrupted() {
    everywhere(|| {
        let l = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs: std::net::TcpListener = l.try_clone().unwrap().into();
        let wait = Duration::from_millis(20);
        let late = runtime::time::timeout(wait, || l.accept().map(drop));
        assert!(late.is_err());
        let h = runtime::go!(move || l.accept().map(drop));
        runtime::time::sleep(Duration::from_millis(5));
        h.cancel();
        assert!(h.join().is_err());
        drop(theirs);
    });
}

#[test]
fn shutting_reading_down_ends_a_read() {
    everywhere(|| {
        let (a, _b) = pair();
        let a = Arc::new(a);
        let h = runtime::go!({
            let a = a.clone();
            move || (&*a).read(&mut [0]).unwrap()
        });
        runtime::time::sleep(Duration::from_millis(1));
        a.shutdown(Shutdown::Read).unwrap();
        assert_eq!(h.join().unwrap(), 0);
    });
}

/// A read stops before urgent data, and must not be taken for one that emptied the stream.
#[test]
fn bytes_behind_urgent_data_are_read() {
    everywhere(|| {
        let (mut a, mut b) = pair();
        for _ in 0..50 {
            let h = runtime::go!(move || {
                let mut buf = [0; 64];
                let mut got = Vec::new();
                while got.len() < 6 {
                    let n = a.read(&mut buf).unwrap();
                    got.extend_from_slice(&buf[..n]);
                }
                assert_eq!(got, b"before");
                while got.len() < 11 {
                    let n = a.read(&mut buf).unwrap();
                    got.extend_from_slice(&buf[..n]);
                }
                assert_eq!(got, b"beforeafter");
                a
            });
            runtime::yield_now();
            b.write_all(b"before").unwrap();
            socket2::SockRef::from(&b).send_out_of_band(b"!").unwrap();
            b.write_all(b"after").unwrap();
            a = h.join().unwrap();
        }
    });
}

#[test]
fn many_accept_from_one_listener() {
    everywhere(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let at = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                runtime::go!(move || {
                    for _ in 0..20 {
                        let (mut stream, from) = listener.accept().unwrap();
                        write!(stream, "{from}").unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..200 {
            let mut stream = TcpStream::connect(at).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, stream.local_addr().unwrap().to_string());
        }
        acceptors.into_iter().for_each(|h| h.join().unwrap());
    });
}

#[test]
fn many_read_from_one_stream() {
    everywhere(|| {
        let (a, mut b) = pair();
        let a = Arc::new(a);
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let a = a.clone();
                runtime::go!(move || {
                    let (mut sum, mut buf) = (0u64, [0; 10]);
                    loop {
                        match (&*a).read(&mut buf).unwrap() {
                            0 => return sum,
                            n => sum += buf[..n].iter().map(|b| u64::from(*b)).sum::<u64>(),
                        }
                    }
                })
            })
            .collect();
        for i in 0..2_000usize {
            b.write_all(&[pattern(i)]).unwrap();
            if i % 64 == 0 {
                runtime::yield_now();
            }
        }
        drop(b);
        let sum: u64 = readers.into_iter().map(|h| h.join().unwrap()).sum();
        assert_eq!(sum, (0..2_000).map(|i| u64::from(pattern(i))).sum());
    });
}

/// Back-pressure: who writes to one that does not read parks, and nothing grows.
#[test]
fn a_slow_reader_stops_the_writer() {
    everywhere(|| {
        let (a, b) = pair();
        let written = Arc::new(AtomicUsize::new(0));
        let w = written.clone();
        let h = runtime::go!(move || {
            let block = [7; 10_000];
            let mut a = a;
            while let Ok(n) = a.write(&block) {
                w.fetch_add(n, Ordering::SeqCst);
            }
        });
        let mut last = usize::MAX;
        while written.load(Ordering::SeqCst) != last {
            last = written.load(Ordering::SeqCst);
            runtime::time::sleep(Duration::from_millis(20));
        }
        assert!(!h.is_finished());
        assert!(last < 64 << 20, "{last} bytes are on their way");
        let mut buf = vec![0; 1 << 20];
        let mut got = 0;
        while got < last {
            got += (&b).read(&mut buf).unwrap();
        }
        // It goes on.
        while written.load(Ordering::SeqCst) == last {
            runtime::time::sleep(Duration::from_millis(1));
        }
        drop(b);
        h.join().unwrap();
    });
}

/// An address at which nobody listens, as long as its socket lives. (A port that was just given up may soon be another's.)
fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

#[test]
fn of_several_addresses_the_first_that_accepts_is_taken() {
    everywhere(|| {
        let (_held, none) = nobody();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let stream = TcpStream::connect(&[none, at][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at);
        let e = TcpStream::connect(&[none, none][..]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ConnectionRefused);
        // By a name, which the C library looks up.
        let stream = TcpStream::connect(format!("localhost:{}", at.port())).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at);
        if let Ok(listener) = TcpListener::bind("[::1]:0") {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (other, from) = listener.accept().unwrap();
            assert_eq!(from, stream.local_addr().unwrap());
            assert!(other.peer_addr().unwrap().is_ipv6());
        }
    });
}

/// The kernel has no way by TCP to all at once.
#[test]
fn what_cannot_be_reached_is_said_to_be_so() {
    everywhere(|| {
        let all: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let limit = Duration::from_secs(60);
        for e in [
            TcpStream::connect(all).unwrap_err(),
            TcpStream::connect_timeout(&all, limit).unwrap_err(),
        ] {
            assert_eq!(e.kind(), ErrorKind::NetworkUnreachable);
        }
    });
}

/// The one P goes on with others while somebody looks a name up.
#[test]
fn a_lookup_that_takes_long_holds_nobody_up() {
    struct Slow(SocketAddr);
    impl ToSocketAddrs for Slow {
        type Iter = std::option::IntoIter<SocketAddr>;
        fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
            std::thread::sleep(Duration::from_millis(300)); // as in the C library
            Ok(Some(self.0).into_iter())
        }
    }
    let _alone = support::alone();
    within_minute(|| {
        runtime::start(1).run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let slow = Slow(listener.local_addr().unwrap());
            let looks_up = runtime::go!(move || TcpStream::connect(slow).map(drop).unwrap());
            let mut turns = 0;
            while !looks_up.is_finished() {
                runtime::time::sleep(Duration::from_millis(1));
                turns += 1;
            }
            assert!(turns > 20, "{turns} turns in 300 ms");
        });
    });
}

#[test]
fn listeners_share_a_port_if_they_say_so() {
    everywhere(|| {
        let first = TcpListener::bind_reuseport("127.0.0.1:0").unwrap();
        let at = first.local_addr().unwrap();
        let second = TcpListener::bind_reuseport(at).unwrap();
        assert_eq!(second.local_addr().unwrap(), at);
        TcpListener::bind(at).unwrap_err();
        let served = Arc::new(AtomicUsize::new(0));
        let listeners = [Arc::new(first), Arc::new(second)];
        let hs = listeners.clone().map(|l| {
            let served = served.clone();
            runtime::go!(
                move || for mut stream in l.incoming().map_while(Result::ok) {
                    served.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(b"x").unwrap();
                }
            )
        });
        for _ in 0..64 {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        listeners.iter().for_each(|l| l.close());
        hs.into_iter().for_each(|h| h.join().unwrap());
        assert_eq!(served.load(Ordering::SeqCst), 64);
    });
}
