//! TCP servers.

use super::common::{any_socket, descriptor, ip_addr, ip_socket};
use super::socket::Socket;
use super::{TcpStream, ToSocketAddrs, each_addr};
use socket2::{Domain, Type};
use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// How many connections may wait to be accepted: as many as the system allows, as in Go. A burst
/// that does not fit is not refused, but tried again by its clients after a second.
pub(super) const BACKLOG: i32 = i32::MAX;

/// A TCP server, as [`std::net::TcpListener`]: a goroutine parks where a thread would block.
///
/// Any number of goroutines may accept from one listener. Who finds a connection when it comes takes it,
/// also before those that wait; these take turns as at a [`Mutex`](crate::sync::Mutex): nobody is passed over for long.
///
/// ```
/// use runtime::net::{TcpListener, TcpStream};
/// use std::io::ErrorKind;
/// use std::sync::Arc;
///
/// runtime::start(2).run(|| {
///     let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
///     let server = runtime::go!({
///         let listener = listener.clone();
///         move || {
///             let mut served = 0;
///             loop {
///                 match listener.accept() {
///                     Ok(_) => served += 1,
///                     Err(e) if e.kind() == ErrorKind::NotConnected => return served, // closed
///                     Err(e) => panic!("{e}"),
///                 }
///             }
///         }
///     });
///     for _ in 0..3 {
///         TcpStream::connect(listener.local_addr().unwrap()).unwrap();
///     }
///     runtime::time::sleep(std::time::Duration::from_millis(10));
///     listener.close();
///     assert_eq!(server.join().unwrap(), 3);
/// });
/// ```
pub struct TcpListener(pub(super) Socket);

impl TcpListener {
    /// Listens at the first of the addresses that can be had (with `SO_REUSEADDR`, as std). Does not
    /// wait, except while a name is looked up.
    ///
    /// # Errors
    /// The last one, if none can be had.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        each_addr(addr, |addr| TcpListener::bind_one(addr, false))
    }

    /// As [`TcpListener::bind`], but others may listen at the same address in the same way, whom
    /// the system gives a share of the connections (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub fn bind_reuseport<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        each_addr(addr, |addr| TcpListener::bind_one(addr, true))
    }

    fn bind_one(addr: &SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(*addr), Type::STREAM)?;
        let sock = socket.sock();
        sock.set_reuse_address(true)?;
        if reuse_port {
            sock.set_reuse_port(true)?;
        }
        sock.bind(&(*addr).into())?;
        sock.listen(BACKLOG)?;
        Ok(TcpListener(socket))
    }

    /// Another handle of the listener. The non-blocking flag is shared.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        self.0.try_clone().map(TcpListener)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// Those of the system, as in std: also that there are too many descriptors (`EMFILE`; the
    /// connection stays in the queue, so that a server can go on when it has closed some), and that a
    /// client has gone already (`ECONNABORTED`). A server should end only when it is told to:
    /// [`TcpListener::close`] makes it [`ErrorKind::NotConnected`](io::ErrorKind::NotConnected).
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, addr) = self.0.accept()?;
        Ok((TcpStream(socket), ip_addr(&addr)?))
    }

    /// The connections, one after the other, without end: as [`TcpListener::accept`] in a loop.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Whether an IPv6 listener takes IPv6 connections only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput): it has an address already.
    #[deprecated(note = "has no effect on a listener that is bound, as in std")]
    pub fn set_only_v6(&self, only_v6: bool) -> io::Result<()> {
        self.0.sock().set_only_v6(only_v6)
    }

    /// Whether an IPv6 listener takes IPv6 connections only.
    ///
    /// # Errors
    /// If it is none.
    #[deprecated(note = "as in std")]
    pub fn only_v6(&self) -> io::Result<bool> {
        self.0.sock().only_v6()
    }

    any_socket!();
    ip_socket!();
}

descriptor!(TcpListener, std::net::TcpListener);

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpListener");
        if let Ok(addr) = self.local_addr() {
            f.field("addr", &addr);
        }
        f.field("fd", &self.as_raw_fd()).finish()
    }
}

/// The connections of a [`TcpListener`]. See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
