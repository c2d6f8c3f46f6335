//! Unix servers.

use super::{UnixStream, addr};
use crate::api::net::common::{any_socket, descriptor};
use crate::api::net::socket::Socket;
use crate::api::net::tcp_listener::BACKLOG;
use socket2::{Domain, SockAddr, Type};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// A server of Unix streams, as [`std::os::unix::net::UnixListener`]: a goroutine parks where a
/// thread would block. The path stays when it is dropped, as in std.
///
/// ```
/// use runtime::net::{UnixListener, UnixStream};
/// use runtime::net::unix::SocketAddr;
/// use std::os::linux::net::SocketAddrExt;
///
/// runtime::start(1).run(|| {
///     let name = format!("weft example {}", std::process::id());
///     let addr = SocketAddr::from_abstract_name(name).unwrap();
///     let listener = UnixListener::bind_addr(&addr).unwrap();
///     let h = runtime::go!(move || listener.accept().map(drop)); // parks
///     UnixStream::connect_addr(&addr).unwrap();
///     h.join().unwrap().unwrap();
/// });
/// ```
pub struct UnixListener(pub(super) Socket);

impl UnixListener {
    /// Listens at a path, which must not exist. Does not wait.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for a path that is
    /// too long, or contains a zero byte.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_to(&addr::from_path(path.as_ref())?)
    }

    /// As [`UnixListener::bind`], by an address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::bind_to(&addr::from_std(socket_addr)?)
    }

    fn bind_to(addr: &SockAddr) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM)?;
        socket.sock().bind(addr)?;
        socket.sock().listen(BACKLOG)?;
        Ok(UnixListener(socket))
    }

    /// Waits for a connection. A peer whose path is too long for a [`SocketAddr`] is given as one
    /// without a name.
    ///
    /// # Errors
    /// As [`TcpListener::accept`](crate::net::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, addr) = self.0.accept()?;
        Ok((UnixStream(socket), addr::of_peer(&addr)?))
    }

    /// Another handle of the listener. The non-blocking flag is shared.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        self.0.try_clone().map(UnixListener)
    }

    /// The address.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        addr::of_socket(&self.0.sock().local_addr()?)
    }

    /// The connections, one after the other, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    any_socket!();
}

descriptor!(UnixListener, std::os::unix::net::UnixListener);

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixListener");
        f.field("fd", &self.as_raw_fd());
        if let Ok(addr) = self.local_addr() {
            f.field("local", &addr);
        }
        f.finish()
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections of a [`UnixListener`]. See [`UnixListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
