//! Descriptors that `ppoll` calls ready, over and over, while the operation that waits finds nothing for it: a plain thread
//! that waits for them is not busy meanwhile.

mod support;
#[path = "support/system.rs"]
mod system;

use runtime::io::Registered;
use runtime::net::{TcpListener, TcpStream, UdpSocket};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use support::within_minute;
use system::{cpu_time, event};

const WAIT: Duration = Duration::from_millis(300);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (a, listener.accept().unwrap().0)
}

/// Sets an option of a number; false if the system does not know it.
fn set(fd: &impl AsRawFd, level: i32, name: i32, value: i32) -> bool {
    let (value, size) = ((&raw const value).cast(), size_of::<i32>() as u32);
    // SAFETY: reads one number.
    unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, size) == 0 }
}

/// Whether a poll for these events says that there is something, soon.
fn polls(fd: &impl AsFd, events: i16) -> bool {
    let fd = fd.as_fd().as_raw_fd();
    let mut poll = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one entry.
    unsafe { libc::poll(&mut poll, 1, 5_000) == 1 }
}

/// `wait` ends late with this error, and its thread slept meanwhile.
fn sleeps(kind: ErrorKind, wait: impl FnOnce() -> io::Result<usize>) {
    let (begin, used) = (Instant::now(), cpu_time());
    let e = wait().unwrap_err();
    let (took, used) = (begin.elapsed(), cpu_time() - used);
    assert_eq!(e.kind(), kind, "{e}");
    assert!(took >= WAIT, "{took:?}");
    assert!(used < WAIT / 4, "{used:?} of {took:?} on a CPU");
}

/// The times at which bytes were sent are in the queue of errors.
#[test]
fn a_stream_with_time_stamps() {
    const TX_SOFTWARE: i32 = 1 << 1;
    const SOFTWARE: i32 = 1 << 4;
    within_minute(|| {
        let (mut a, mut b) = pair();
        let stamps = TX_SOFTWARE | SOFTWARE;
        assert!(set(&a, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, stamps));
        a.write_all(b"x").unwrap();
        assert!(polls(&a, 0));
        a.set_read_timeout(Some(WAIT)).unwrap();
        sleeps(ErrorKind::WouldBlock, || a.read(&mut [0]));
        // And what comes is found soon.
        a.set_read_timeout(None).unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            b.write_all(b"y").unwrap();
            Instant::now()
        });
        a.read_exact(&mut [0]).unwrap();
        let late = Instant::now().saturating_duration_since(writer.join().unwrap());
        assert!(late < Duration::from_secs(1), "{late:?}");
    });
}

#[test]
fn a_socket_with_a_queue_of_errors() {
    within_minute(|| {
        let nobody = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(set(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1));
        socket.connect(nobody).unwrap();
        socket.send(b"x").unwrap();
        assert!(polls(&socket, 0));
        let refused = socket.recv(&mut [0]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(polls(&socket, 0));
        socket.set_read_timeout(Some(WAIT)).unwrap();
        sleeps(ErrorKind::WouldBlock, || socket.recv(&mut [0]));
    });
}

#[test]
fn a_stream_whose_next_byte_is_urgent() {
    within_minute(|| {
        let (a, b) = pair();
        // SAFETY: sends one byte.
        let sent = unsafe { libc::send(b.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
        assert_eq!(sent, 1);
        assert!(polls(&a, libc::POLLPRI));
        a.set_read_timeout(Some(WAIT)).unwrap();
        sleeps(ErrorKind::WouldBlock, || a.peek(&mut [0]));
    });
}

/// There is room for one, and so it is ready, but not for more.
#[test]
fn an_eventfd_that_is_nearly_full() {
    within_minute(|| {
        let mut event = Registered::new(event()).unwrap();
        event.write_all(&(u64::MAX - 3).to_ne_bytes()).unwrap();
        assert!(polls(&event, libc::POLLOUT));
        let end = Instant::now() + WAIT;
        sleeps(ErrorKind::TimedOut, || {
            event.write_deadline(end, |mut event| event.write(&5u64.to_ne_bytes()))
        });
    });
}
