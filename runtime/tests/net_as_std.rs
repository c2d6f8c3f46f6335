//! One program, compiled against `std::net` and against `runtime::net`: what it sees (results, errors,
//! their kinds, numbers and words) is the same.

mod support;
#[path = "support/system.rs"]
mod system;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::time::Duration;
use support::{alone, everywhere, within_minute};
use system::Dir;

/// A result as text; of errors all that a program can see.
fn seen<T: std::fmt::Debug>(what: &str, r: io::Result<T>) -> String {
    match r {
        Ok(v) => format!("{what}: {v:?}"),
        Err(e) => format!("{what}: {:?} {:?} {e}", e.kind(), e.raw_os_error()),
    }
}

/// Without the numbers, which are of this moment.
fn shape(v: impl std::fmt::Debug) -> String {
    format!("{v:?}")
        .replace("FileDesc(OwnedFd { fd: ", "") // how std says `fd` in some
        .replace(" })", "")
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .collect()
}

macro_rules! program {
    ($name:ident, $net:path, $unix:path) => {
        mod $name {
            use super::*;
            use unix::{UnixDatagram, UnixListener, UnixStream};
            #[allow(unused_imports, reason = "std has a part of it in another module")]
            use $net::*;
            use $unix as unix;

            #[allow(deprecated, reason = "std still has them")]
            pub fn tcp() -> Vec<String> {
                let mut log = Vec::new();
                let mut note = |text: String| log.push(text);
                let l = TcpListener::bind("127.0.0.1:0").unwrap();
                let at = l.local_addr().unwrap();
                note(shape(&l));
                note(seen("again", TcpListener::bind(at).map(drop)));
                note(seen("none", TcpListener::bind(&[][..]).map(drop)));
                note(seen("no name", TcpListener::bind("no port").map(drop)));
                note(seen("only_v6", l.only_v6()));
                note(seen("set_only_v6", l.set_only_v6(true)));
                note(seen("ttl", l.set_ttl(7).and_then(|()| l.ttl())));
                note(seen("ttl 0", l.set_ttl(0)));
                note(seen("error", l.take_error()));
                l.set_nonblocking(true).unwrap();
                note(seen("nothing", l.accept().map(drop)));
                l.set_nonblocking(false).unwrap();

                let mut a = TcpStream::connect(at).unwrap();
                note(shape(&a));
                note(shape(l.incoming()));
                let (mut b, from) = l.accept().unwrap();
                assert_eq!(from, a.local_addr().unwrap());
                note(seen(
                    "nodelay",
                    a.set_nodelay(true).and_then(|()| a.nodelay()),
                ));
                note(seen("ttl", a.set_ttl(33).and_then(|()| a.ttl())));
                note(seen("zero", a.set_read_timeout(Some(Duration::ZERO))));
                note(seen("zero", a.set_write_timeout(Some(Duration::ZERO))));
                note(seen("unset", a.read_timeout()));
                let some = Some(Duration::from_millis(20));
                a.set_read_timeout(some).unwrap();
                note(seen("set", a.read_timeout()));
                note(seen("shared", a.try_clone().unwrap().read_timeout()));
                note(seen("late", a.read(&mut [0])));
                note(seen("late", a.peek(&mut [0])));
                a.set_read_timeout(None).unwrap();
                a.try_clone().unwrap().set_nonblocking(true).unwrap();
                note(seen("nothing", a.read(&mut [0])));
                let block = vec![0; 65536];
                // Again and again: what is full need not stay so, for the kernel still carries some over.
                let refused = || {
                    (0..1000)
                        .find_map(|_| (&a).write(&block).err())
                        .map_or(Ok(()), Err)
                };
                note(seen("full", refused()));
                a.set_nonblocking(false).unwrap();
                a.set_write_timeout(some).unwrap();
                note(seen("late", refused()));

                note(seen("write", b.write(b"0123456789")));
                let mut buf = [0; 8];
                note(seen("peek", a.peek(&mut buf)));
                note(seen("read", a.read(&mut buf[..3])));
                note(format!("{buf:?}"));
                let (mut x, mut y) = ([0; 2], [0; 3]);
                let mut slices = [IoSliceMut::new(&mut x), IoSliceMut::new(&mut y)];
                note(seen("vectored", a.read_vectored(&mut slices)));
                note(format!("{x:?} {y:?}"));
                note(seen("write 0", b.write(&[])));
                note(seen("writev 0", b.write_vectored(&[])));
                note(seen("read 0", a.read(&mut [])));
                let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")];
                note(seen("writev", b.write_vectored(&slices)));
                note(seen("shutdown", b.shutdown(Shutdown::Write)));
                note(seen("after", b.write(b"x")));
                let mut rest = Vec::new();
                note(seen("rest", a.read_to_end(&mut rest)));
                note(format!("{rest:?}"));
                note(seen("end", a.read(&mut [0])));
                note(seen("end", a.read(&mut [])));
                drop(b); // with data that it has not read: a reset
                std::thread::sleep(Duration::from_millis(2));
                note(seen("reset", a.write(b"x")));
                note(seen("peer", a.peer_addr()));
                drop(l);
                note(seen("refused", TcpStream::connect(at).map(drop)));
                note(seen("refused", TcpStream::connect(&[at, at][..]).map(drop)));
                let soon = Duration::from_secs(5);
                note(seen(
                    "refused",
                    TcpStream::connect_timeout(&at, soon).map(drop),
                ));
                note(seen(
                    "zero",
                    TcpStream::connect_timeout(&at, Duration::ZERO).map(drop),
                ));
                note(seen("none", TcpStream::connect(&[][..]).map(drop)));
                let group: SocketAddr = "224.0.0.1:9".parse().unwrap();
                note(seen("group", TcpStream::connect(group).map(drop)));
                log
            }

            pub fn udp() -> Vec<String> {
                let mut log = Vec::new();
                let mut note = |text: String| log.push(text);
                let a = UdpSocket::bind("127.0.0.1:0").unwrap();
                let b = UdpSocket::bind("127.0.0.1:0").unwrap();
                let at = b.local_addr().unwrap();
                note(shape(&a));
                note(seen("again", UdpSocket::bind(at).map(drop)));
                note(seen("no peer", a.peer_addr()));
                note(seen("no peer", a.send(b"x")));
                note(seen("none", a.send_to(b"x", &[][..])));
                note(seen("too long", a.send_to(&vec![0; 65508], at)));
                note(seen("longest", a.send_to(&vec![0; 65507], at)));
                note(seen("cut", b.recv(&mut [0; 10])));
                note(seen("send_to", a.send_to(b"12345", at)));
                let mut buf = [0; 16];
                note(seen("peek_from", b.peek_from(&mut buf).map(|(n, _)| n)));
                note(seen("peek", b.peek(&mut buf[..2])));
                note(seen("recv_from", b.recv_from(&mut buf).map(|(n, _)| n)));
                note(seen("empty", a.send_to(b"", at)));
                note(seen("empty", b.recv(&mut buf)));
                note(seen("zero", b.set_read_timeout(Some(Duration::ZERO))));
                b.set_read_timeout(Some(Duration::from_millis(8))).unwrap();
                note(seen("late", b.recv(&mut buf)));
                note(seen("late", b.recv_from(&mut buf).map(drop)));
                note(seen("late", b.peek(&mut buf)));
                note(seen("late", b.peek_from(&mut buf).map(drop)));
                b.set_nonblocking(true).unwrap();
                note(seen("nothing", b.recv(&mut buf)));
                b.set_nonblocking(false).unwrap();
                note(seen(
                    "broadcast",
                    a.set_broadcast(true).and_then(|()| a.broadcast()),
                ));
                note(seen("loop", a.set_multicast_loop_v4(false)));
                note(seen("loop", a.multicast_loop_v4()));
                note(seen("ttl", a.set_multicast_ttl_v4(5)));
                note(seen("ttl", a.multicast_ttl_v4()));
                note(seen("loop6", a.multicast_loop_v6()));
                note(seen("loop6", a.set_multicast_loop_v6(true)));
                note(seen("ttl", a.set_ttl(9).and_then(|()| a.ttl())));
                let (group, any) = (Ipv4Addr::new(224, 0, 0, 100), Ipv4Addr::LOCALHOST);
                note(seen("join", a.join_multicast_v4(&group, &any)));
                note(seen("leave", a.leave_multicast_v4(&group, &any)));
                note(seen("leave", a.leave_multicast_v4(&group, &any)));
                note(seen("join", a.join_multicast_v4(&any, &any)));
                note(seen("join6", a.join_multicast_v6(&Ipv6Addr::LOCALHOST, 0)));
                note(seen(
                    "leave6",
                    a.leave_multicast_v6(&Ipv6Addr::LOCALHOST, 0),
                ));
                note(seen("error", a.take_error()));
                a.connect(at).unwrap();
                note(seen("send", a.send(b"xyz")));
                note(seen("recv", b.recv(&mut buf)));
                assert_eq!(a.peer_addr().unwrap(), at);
                drop(b);
                note(seen("nobody", a.send(b"x")));
                note(seen("nobody", a.recv(&mut buf)));
                a.send(b"x").unwrap();
                let error = (0..1000).find_map(|_| {
                    std::thread::sleep(Duration::from_millis(1)); // it comes by the network
                    a.take_error().unwrap()
                });
                note(format!("error {:?}", error.expect("an error").kind()));
                note(seen("taken", a.take_error()));
                log
            }

            pub fn unix() -> Vec<String> {
                let mut log = Vec::new();
                let dir = Dir::new();
                let mut note = |text: String| {
                    log.push(text.replace(dir.0.to_str().unwrap(), ""));
                };
                let (at, gone) = (dir.join("listener"), dir.join("gone"));
                let l = UnixListener::bind(&at).unwrap();
                note(shape(&l).replace("listener", ""));
                note(seen("addr", l.local_addr()));
                note(seen("again", UnixListener::bind(&at).map(drop)));
                note(seen("long", UnixListener::bind("x".repeat(200)).map(drop)));
                note(seen("long", UnixStream::connect("x".repeat(200)).map(drop)));
                note(seen("zero", UnixStream::connect("a\0b").map(drop)));
                note(seen("gone", UnixStream::connect(&gone).map(drop)));
                let a = UnixStream::connect(&at).unwrap();
                let (b, from) = (&l).accept().unwrap();
                note(format!("{from:?} {}", from.is_unnamed()));
                note(shape(&a).replace("listener", ""));
                note(seen("peer", a.peer_addr()));
                note(seen("local", b.local_addr()));
                note(format!("{:?}", l.incoming().size_hint()));
                note(format!("{:?}", (&l).into_iter().size_hint()));
                note(seen("error", l.take_error()));
                note(seen("zero", a.set_read_timeout(Some(Duration::ZERO))));
                a.set_read_timeout(Some(Duration::from_millis(8))).unwrap();
                note(seen("timeout", a.read_timeout()));
                note(seen("late", (&a).read(&mut [0])));
                a.set_nonblocking(true).unwrap();
                note(seen("nothing", (&a).read(&mut [0])));
                let block = vec![0; 65536];
                while (&a).write(&block).is_ok() {}
                note(seen("full", (&a).write(&block)));
                a.set_nonblocking(false).unwrap();
                a.set_write_timeout(Some(Duration::from_millis(8))).unwrap();
                note(seen("late", (&a).write(&block)));
                note(seen("write 0", (&a).write(&[])));
                note(seen("write", (&b).write(b"unix")));
                let mut buf = [0; 8];
                note(seen("read", (&a).read(&mut buf)));
                note(format!("{buf:?}"));
                b.shutdown(Shutdown::Both).unwrap();
                note(seen("end", (&a).read(&mut buf)));
                note(seen("pipe", (&a).write(b"x")));
                drop(l);
                note(seen("refused", UnixStream::connect(&at).map(drop)));
                let (x, y) = UnixStream::pair().unwrap();
                note(shape(&x));
                drop(y);
                note(seen("end", (&x).read(&mut buf)));

                let (to, from) = (dir.join("to"), dir.join("from"));
                let d = UnixDatagram::bind(&to).unwrap();
                let u = UnixDatagram::unbound().unwrap();
                note(shape(&u));
                note(seen("local", u.local_addr()));
                note(seen("no peer", u.peer_addr()));
                note(seen("no peer", u.send(b"x")));
                note(seen("gone", u.send_to(b"x", &gone)));
                note(seen("zero", u.send_to(b"x", "a\0b")));
                note(seen("send_to", u.send_to(b"abc", &to)));
                note(seen("unnamed", d.recv_from(&mut buf)));
                let f = UnixDatagram::bind(&from).unwrap();
                note(seen("connect", f.connect(&to)));
                note(seen("send", f.send(b"abcdef")));
                note(seen("named", d.recv_from(&mut buf[..4])));
                note(seen("empty", f.send(b"")));
                note(seen("empty", d.recv(&mut buf)));
                d.set_read_timeout(Some(Duration::from_millis(8))).unwrap();
                note(seen("late", d.recv(&mut buf)));
                note(seen("late", d.recv_from(&mut buf).map(drop)));
                f.set_nonblocking(true).unwrap();
                while f.send(b"fill").is_ok() {}
                note(seen("full", f.send(b"x")));
                note(seen("full", f.send_to(b"x", &to)));
                f.set_nonblocking(false).unwrap();
                f.set_write_timeout(Some(Duration::from_millis(8))).unwrap();
                note(seen("late", f.send(b"x")));
                note(seen("late", f.send_to(b"x", &to)));
                d.shutdown(Shutdown::Read).unwrap();
                note(seen("pipe", f.send(b"x")));
                drop(d);
                note(seen("refused", f.send(b"x")));
                note(seen("refused", f.send_to(b"x", &to)));
                log
            }
        }
    };
}

program!(of_std, std::net, std::os::unix::net);
program!(ours, runtime::net, runtime::net::unix);

#[track_caller]
fn same(theirs: &[String], ours: &[String]) {
    for (theirs, ours) in theirs.iter().zip(ours) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(theirs.len(), ours.len());
}

#[test]
fn tcp_programs_see_the_same() {
    let theirs = of_std::tcp();
    assert!(theirs.len() > 40);
    everywhere(|| same(&theirs, &ours::tcp()));
}

#[test]
fn udp_programs_see_the_same() {
    let theirs = of_std::udp();
    assert!(theirs.len() > 35);
    everywhere(|| same(&theirs, &ours::udp()));
}

#[test]
fn unix_programs_see_the_same() {
    let theirs = of_std::unix();
    assert!(theirs.len() > 45);
    everywhere(|| same(&theirs, &ours::unix()));
}

/// What was said of a socket is kept when it changes its type.
#[test]
fn sockets_change_their_types_and_keep_what_was_set() {
    use runtime::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
    let _alone = alone();
    within_minute(|| {
        let flags = |s: &dyn std::os::fd::AsFd| {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&s.as_fd());
            // SAFETY: asks for flags.
            unsafe {
                (
                    libc::fcntl(fd, libc::F_GETFL),
                    libc::fcntl(fd, libc::F_GETFD),
                )
            }
        };
        let nonblocking = |s: &dyn std::os::fd::AsFd| {
            let (status, fd) = flags(s);
            assert_eq!(fd, libc::FD_CLOEXEC);
            status & libc::O_NONBLOCK != 0
        };
        let l = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(l.local_addr().unwrap()).unwrap();
        let (b, _) = l.accept().unwrap();
        let all: [&dyn std::os::fd::AsFd; 7] = [
            &l,
            &a,
            &b,
            &UdpSocket::bind("127.0.0.1:0").unwrap(),
            &UnixStream::pair().unwrap().0,
            &UnixDatagram::pair().unwrap().0,
            &UnixDatagram::unbound().unwrap(),
        ];
        assert!(all.into_iter().all(nonblocking));
        assert!(nonblocking(&b.try_clone().unwrap()));

        let time = Some(Duration::from_millis(40));
        a.set_read_timeout(time).unwrap();
        let a: std::net::TcpStream = a.into();
        assert!(!nonblocking(&a));
        assert_eq!(a.read_timeout().unwrap(), time);
        let a: TcpStream = a.into();
        assert!(nonblocking(&a));
        assert_eq!(a.read_timeout().unwrap(), time);
        a.set_nonblocking(true).unwrap();
        let a: std::net::TcpStream = a.into();
        assert!(nonblocking(&a));
        let a = TcpStream::from(a);
        let e = (&a).read(&mut [0]).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::WouldBlock);

        let l: std::net::TcpListener = l.into();
        assert!(!nonblocking(&l));
        let l = TcpListener::from(l);
        let h = std::thread::spawn(move || l.accept().unwrap());
        let _c = TcpStream::connect(a.peer_addr().unwrap()).unwrap();
        h.join().unwrap();

        let u: std::net::UdpSocket = UdpSocket::bind("127.0.0.1:0").unwrap().into();
        assert!(!nonblocking(&u));
        let u = std::os::fd::OwnedFd::from(UdpSocket::from(u));
        assert!(!nonblocking(&u));
        let (x, y) = UnixStream::pair().unwrap();
        let fd = std::os::fd::IntoRawFd::into_raw_fd(x);
        // SAFETY: just given up.
        let mut x: std::os::unix::net::UnixStream =
            unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        assert!(!nonblocking(&x));
        x.write_all(b"ok").unwrap();
        let mut two = [0; 2];
        (&y).read_exact(&mut two).unwrap();
        let d: std::os::unix::net::UnixDatagram = UnixDatagram::unbound().unwrap().into();
        let _ = UnixDatagram::from(d);
        let dir = Dir::new();
        let l: std::os::unix::net::UnixListener = UnixListener::bind(dir.join("l")).unwrap().into();
        let _ = UnixListener::from(l);
    });
}
