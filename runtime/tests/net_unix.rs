//! Unix sockets: streams, datagrams, abstract names, descriptors that are passed.

mod support;
#[path = "support/waits.rs"]
mod waits;

use runtime::net::unix::SocketAddr;
use runtime::net::{Shutdown, UnixDatagram, UnixListener, UnixStream};
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::sync::Arc;
use std::time::Duration;
use support::{everywhere, fds};

#[test]
fn a_server_at_an_abstract_name_and_at_a_path() {
    everywhere(|| {
        let path = std::env::temp_dir().join(format!("weft-unix-{}", std::process::id()));
        let addr = waits::abstract_addr();
        let listeners = [
            UnixListener::bind_addr(&addr).unwrap(),
            UnixListener::bind(&path).unwrap(),
        ];
        assert_eq!(
            listeners[1].local_addr().unwrap().as_pathname(),
            Some(&*path)
        );
        let name = |addr: std::io::Result<SocketAddr>| {
            let name = addr.unwrap().as_abstract_name().map(<[u8]>::to_vec);
            name.expect("an abstract name")
        };
        let bound = addr.as_abstract_name().unwrap();
        assert_eq!(name(listeners[0].local_addr()), bound);
        let servers = listeners.map(|l| {
            runtime::go!(move || for stream in l.incoming().take(20) {
                let stream = stream.unwrap();
                runtime::go!(move || std::io::copy(&mut &stream, &mut &stream).unwrap());
            })
        });
        for _ in 0..20 {
            let streams = [
                UnixStream::connect_addr(&addr).unwrap(),
                UnixStream::connect(&path).unwrap(),
            ];
            assert_eq!(name(streams[0].peer_addr()), bound);
            for mut stream in streams {
                stream.write_all(b"echo").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert_eq!(text, "echo");
            }
        }
        servers.into_iter().for_each(|h| h.join().unwrap());
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn much_goes_through_a_stream() {
    everywhere(|| {
        let total = 4 << 20;
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let h = runtime::go!(move || {
            let bytes: Vec<u8> = (0..total).map(|i| (i % 251) as u8).collect();
            let (half, rest) = bytes.split_at(total / 2);
            a.write_all(half).unwrap();
            let mut sent = 0;
            while sent < rest.len() {
                let slices: Vec<_> = rest[sent..].chunks(999).map(IoSlice::new).collect();
                sent += a.write_vectored(&slices).unwrap();
            }
        });
        let (mut got, mut buf, mut len) = (0, vec![0; 50_000], 1);
        loop {
            let n = b.read(&mut buf[..len]).unwrap();
            if n == 0 {
                break;
            }
            assert!(
                buf[..n]
                    .iter()
                    .zip(got..)
                    .all(|(b, i)| *b == (i % 251) as u8)
            );
            got += n;
            len = len * 7 % buf.len() + 1;
        }
        assert_eq!(got, total);
        h.join().unwrap();
    });
}

/// Sends bytes with a descriptor.
fn send_with(stream: &UnixStream, bytes: &[u8], fd: RawFd) {
    let mut control = [0u64; 8];
    let mut slice = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all zero is an empty message; the control message fits into `control`.
    let n = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut slice;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let head = libc::CMSG_FIRSTHDR(&message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(head).cast::<i32>().write_unaligned(fd);
        libc::sendmsg(stream.as_raw_fd(), &message, 0)
    };
    assert_eq!(n, bytes.len() as isize);
}

/// A read stops after a message that carries descriptors, and must not be taken for one that emptied
/// the stream.
#[test]
fn bytes_behind_a_descriptor_are_read() {
    everywhere(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let b = Arc::new(b);
        let before = fds();
        for _ in 0..100 {
            let h = runtime::go!({
                let b = b.clone();
                move || {
                    let (mut got, mut buf) = (Vec::new(), [0; 64]);
                    while got.len() < 12 {
                        let n = (&*b).read(&mut buf).unwrap();
                        got.extend_from_slice(&buf[..n]);
                    }
                    got
                }
            });
            runtime::yield_now();
            send_with(&a, b"with", a.as_raw_fd());
            (&a).write_all(b"then").unwrap();
            send_with(&a, b"more", a.as_raw_fd());
            assert_eq!(h.join().unwrap(), b"withthenmore");
        }
        // What was passed is closed; the poller has two.
        assert!(fds() <= before + 2, "{} of {before}", fds());
    });
}

#[test]
fn datagrams_wait_for_a_slow_receiver() {
    everywhere(|| {
        let addr = waits::abstract_addr();
        let to = UnixDatagram::bind_addr(&addr).unwrap();
        let total = 3_000u32;
        let senders: Vec<_> = (0..3)
            .map(|i| {
                let addr = addr.clone();
                runtime::go!(move || {
                    let from = UnixDatagram::unbound().unwrap();
                    if i > 0 {
                        from.connect_addr(&addr).unwrap();
                    }
                    for n in 0..total / 3 {
                        match i {
                            0 => from.send_to_addr(&n.to_ne_bytes(), &addr).unwrap(),
                            _ => from.send(&n.to_ne_bytes()).unwrap(),
                        };
                    }
                })
            })
            .collect();
        let mut sum = 0u64;
        for i in 0..total {
            let mut buf = [0; 8];
            assert_eq!(to.recv(&mut buf).unwrap(), 4);
            sum += u64::from(u32::from_ne_bytes(buf[..4].try_into().unwrap()));
            if i % 500 == 0 {
                runtime::time::sleep(Duration::from_millis(1));
            }
        }
        let each = u64::from(total / 3);
        assert_eq!(sum, 3 * each * (each - 1) / 2);
        senders.into_iter().for_each(|h| h.join().unwrap());
    });
}

#[test]
fn who_has_an_abstract_name_is_told_from_others() {
    everywhere(|| {
        let (from, to) = (waits::abstract_addr(), waits::abstract_addr());
        let sender = UnixDatagram::bind_addr(&from).unwrap();
        let receiver = UnixDatagram::bind_addr(&to).unwrap();
        sender.send_to_addr(b"x", &to).unwrap();
        let (n, who) = receiver.recv_from(&mut [0; 8]).unwrap();
        assert_eq!((n, who.as_abstract_name()), (1, from.as_abstract_name()));
        let listener = UnixListener::bind_addr(&waits::abstract_addr()).unwrap();
        let at = listener.local_addr().unwrap();
        let _stream = UnixStream::connect_addr(&at).unwrap();
        assert!(listener.accept().unwrap().1.is_unnamed());
    });
}

#[test]
fn connecting_waits_while_the_queue_is_full() {
    everywhere(|| {
        let addr = waits::abstract_addr();
        let listener = UnixListener::bind_addr(&addr).unwrap();
        socket2::SockRef::from(&listener).listen(1).unwrap();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let addr = addr.clone();
                runtime::go!(move || UnixStream::connect_addr(&addr).map(drop).unwrap())
            })
            .collect();
        runtime::time::sleep(Duration::from_millis(5));
        for _ in 0..20 {
            listener.accept().unwrap();
        }
        clients.into_iter().for_each(|h| h.join().unwrap());
    });
}

/// An address at a path that leaves no room for the zero byte at its end.
fn longest(path: &std::path::Path) -> socket2::SockAddr {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: what is written is an address of the system, and its length.
    let init = unsafe {
        socket2::SockAddr::try_init(|storage, len| {
            let addr = storage.cast::<libc::sockaddr_un>();
            (*addr).sun_family = libc::AF_UNIX as libc::sa_family_t;
            let bytes = path.as_os_str().as_bytes();
            assert_eq!(bytes.len(), (*addr).sun_path.len());
            (*addr)
                .sun_path
                .copy_from_slice(&*(bytes as *const [u8] as *const [libc::c_char]));
            *len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            Ok(())
        })
    };
    init.unwrap().1
}

#[test]
fn a_peer_whose_path_is_too_long_for_std_is_heard() {
    use socket2::{Domain, Socket, Type};
    everywhere(|| {
        let mut path = std::env::temp_dir().into_os_string();
        path.push(format!("/weft-long-{}-", std::process::id()));
        while path.len() < 108 {
            path.push("x");
        }
        let path = std::path::PathBuf::from(path);
        let addr = waits::abstract_addr();
        let listener = UnixListener::bind_addr(&addr).unwrap();
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.bind(&longest(&path)).unwrap();
        let name = socket2::SockRef::from(&listener).local_addr().unwrap();
        client.connect(&name).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        assert!(peer.is_unnamed());
        assert!(stream.peer_addr().unwrap().is_unnamed());
        std::fs::remove_file(&path).unwrap();

        let to = waits::abstract_addr();
        let receiver = UnixDatagram::bind_addr(&to).unwrap();
        let sender = Socket::new(Domain::UNIX, Type::DGRAM, None).unwrap();
        sender.bind(&longest(&path)).unwrap();
        let name = socket2::SockRef::from(&receiver).local_addr().unwrap();
        sender.send_to(b"hello", &name).unwrap();
        let mut buf = [0; 8];
        let (n, peer) = receiver.recv_from(&mut buf).unwrap();
        assert_eq!(&buf[..n], b"hello");
        assert!(peer.is_unnamed());
        std::fs::remove_file(&path).unwrap();
    });
}
