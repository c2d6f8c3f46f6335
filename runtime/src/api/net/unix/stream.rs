//! Unix streams.

use super::addr::{self, unix_ends};
use crate::api::io::pollable::Side;
use crate::api::net::common::{any_socket, data_socket, descriptor, shutdown_socket, stream_io};
use crate::api::net::socket::Socket;
use socket2::{Domain, SockAddr, Type};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// A Unix stream, as [`std::os::unix::net::UnixStream`]: a goroutine parks where a thread would block.
///
/// ```
/// use runtime::net::UnixStream;
/// use std::io::{Read, Write};
///
/// runtime::start(1).run(|| {
///     let (mut a, mut b) = UnixStream::pair().unwrap();
///     let h = runtime::go!(move || {
///         let mut text = String::new();
///         b.read_to_string(&mut text).unwrap(); // parks
///         text
///     });
///     a.write_all(b"here").unwrap();
///     drop(a);
///     assert_eq!(h.join().unwrap(), "here");
/// });
/// ```
pub struct UnixStream(pub(super) Socket);

impl UnixStream {
    /// Connects to the listener at `path`. Waits while its queue is full.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for a path that is
    /// too long, or contains a zero byte.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_to(&addr::from_path(path.as_ref())?)
    }

    /// As [`UnixStream::connect`], by an address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::connect_to(&addr::from_std(socket_addr)?)
    }

    fn connect_to(addr: &SockAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM)?;
        socket.connect_unix(addr)?;
        Ok(UnixStream(socket))
    }

    /// Two ends of a connection without names.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = Socket::pair(Type::STREAM)?;
        Ok((UnixStream(a), UnixStream(b)))
    }

    /// Another handle of the connection. Timeouts and the non-blocking flag are shared, deadlines
    /// are not.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixStream> {
        self.0.try_clone().map(UnixStream)
    }

    /// As a read, but leaves the bytes where they are. (Not stable in std yet.)
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek_stream(buf)
    }

    any_socket!();
    data_socket!();
    shutdown_socket!();
}

descriptor!(UnixStream, std::os::unix::net::UnixStream);
unix_ends!(UnixStream);
stream_io!(UnixStream, Socket::read_unix);
