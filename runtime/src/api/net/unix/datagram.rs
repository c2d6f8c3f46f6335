//! Unix datagrams.

use super::addr::{self, unix_ends};
use crate::api::io::pollable::Side;
use crate::api::net::common::{any_socket, data_socket, descriptor, shutdown_socket};
use crate::api::net::socket::Socket;
use socket2::{Domain, SockAddr, Type};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// A Unix datagram socket, as [`std::os::unix::net::UnixDatagram`]: a goroutine parks where a thread
/// would block. Nothing is lost on the way: who sends waits while the receiver's queue is full.
///
/// ```
/// use runtime::net::UnixDatagram;
///
/// runtime::start(1).run(|| {
///     let (a, b) = UnixDatagram::pair().unwrap();
///     let h = runtime::go!(move || b.recv(&mut [0; 16]).unwrap()); // parks
///     a.send(b"five!").unwrap();
///     assert_eq!(h.join().unwrap(), 5);
/// });
/// ```
pub struct UnixDatagram(pub(super) Socket);

impl UnixDatagram {
    /// Makes a socket at a path, which must not exist.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for a path that is
    /// too long, or contains a zero byte.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(&addr::from_path(path.as_ref())?)
    }

    /// As [`UnixDatagram::bind`], by an address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(&addr::from_std(socket_addr)?)
    }

    fn bind_to(addr: &SockAddr) -> io::Result<UnixDatagram> {
        let new = UnixDatagram::unbound()?;
        new.0.sock().bind(addr)?;
        Ok(new)
    }

    /// A socket without a name.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Socket::new(Domain::UNIX, Type::DGRAM).map(UnixDatagram)
    }

    /// Two sockets without names that are connected to each other.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = Socket::pair(Type::DGRAM)?;
        Ok((UnixDatagram(a), UnixDatagram(b)))
    }

    /// Names the other end. Does not wait.
    ///
    /// # Errors
    /// Those of the system, and as [`UnixDatagram::bind`].
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.sock().connect(&addr::from_path(path.as_ref())?)
    }

    /// As [`UnixDatagram::connect`], by an address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()> {
        self.0.sock().connect(&addr::from_std(socket_addr)?)
    }

    /// Another handle of the socket. Timeouts and the non-blocking flag are shared, deadlines are
    /// not.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixDatagram> {
        self.0.try_clone().map(UnixDatagram)
    }

    /// Waits for a datagram; its length, and from whom it is. What does not fit is lost.
    ///
    /// # Errors
    /// Those of the system, and at the end of a timeout.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, addr) = self.0.recv_from(buf, 0)?;
        Ok((n, addr::of_peer(&addr)?))
    }

    /// As [`UnixDatagram::recv_from`], without saying from whom.
    ///
    /// # Errors
    /// As [`UnixDatagram::recv_from`].
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf, 0)
    }

    /// As [`UnixDatagram::recv`], but leaves the datagram where it is. (Not stable in std yet.)
    ///
    /// # Errors
    /// As [`UnixDatagram::recv_from`].
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf, libc::MSG_PEEK)
    }

    /// As [`UnixDatagram::recv_from`], but leaves the datagram where it is. (Not stable in std yet.)
    ///
    /// # Errors
    /// As [`UnixDatagram::recv_from`].
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, addr) = self.0.recv_from(buf, libc::MSG_PEEK)?;
        Ok((n, addr::of_peer(&addr)?))
    }

    /// Sends a datagram to the socket at `path`. Waits while its queue is full.
    ///
    /// # Errors
    /// Those of the system, at the end of a timeout, and as [`UnixDatagram::bind`].
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.0.send_to_slow(buf, &addr::from_path(path.as_ref())?)
    }

    /// As [`UnixDatagram::send_to`], by an address.
    ///
    /// # Errors
    /// Those of the system, and at the end of a timeout.
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        self.0.send_to_slow(buf, &addr::from_std(socket_addr)?)
    }

    /// Sends a datagram to the other end. Waits while its queue is full.
    ///
    /// # Errors
    /// Those of the system, and at the end of a timeout.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.send_unix(buf)
    }

    any_socket!();
    data_socket!();
    shutdown_socket!();
}

descriptor!(UnixDatagram, std::os::unix::net::UnixDatagram);
unix_ends!(UnixDatagram);
