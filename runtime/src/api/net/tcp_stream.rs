//! TCP connections.

use super::common::{
    any_socket, data_socket, descriptor, ip_addr, ip_socket, shutdown_socket, stream_io,
};
use super::socket::Socket;
use super::{ToSocketAddrs, each_addr};
use crate::api::io::pollable::Side;
use socket2::{Domain, Type};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A TCP connection, as [`std::net::TcpStream`]: a goroutine parks where a thread would block.
///
/// `Read` and `Write` are implemented for `&TcpStream`, too: one goroutine may read while another
/// writes, without a clone. A buffer of no bytes is read and written without waiting.
///
/// ```
/// use runtime::net::{TcpListener, TcpStream};
/// use std::io::{ErrorKind, Read, Write};
/// use std::time::Duration;
///
/// runtime::start(2).run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
///     let (mut other, _) = listener.accept().unwrap();
///     stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
///     let late = (&stream).read(&mut [0; 8]).unwrap_err();
///     assert_eq!(late.kind(), ErrorKind::WouldBlock);
///     other.write_all(b"now").unwrap();
///     let mut text = [0; 3];
///     (&stream).read_exact(&mut text).unwrap();
///     assert_eq!(&text, b"now");
/// });
/// ```
pub struct TcpStream(pub(super) Socket);

impl TcpStream {
    /// Connects to the first of the addresses that accepts. A goroutine parks meanwhile, except
    /// while a name is looked up, which blocks its thread (see [`crate::net`]).
    ///
    /// # Errors
    /// The last one, if none accepts.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        each_addr(addr, |addr| TcpStream::connect_one(addr, None))
    }

    /// Connects to one address, within some time.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when the time is over, [`ErrorKind::InvalidInput`] if it is zero.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            let error = "cannot set a 0 duration timeout";
            return Err(io::Error::new(ErrorKind::InvalidInput, error));
        }
        TcpStream::connect_one(addr, Instant::now().checked_add(timeout)).map_err(|e| {
            match (e.kind(), e.raw_os_error()) {
                (ErrorKind::TimedOut, None) => {
                    io::Error::new(ErrorKind::TimedOut, "connection timed out")
                }
                _ => e,
            }
        })
    }

    fn connect_one(addr: &SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(*addr), Type::STREAM)?;
        socket.connect(&(*addr).into(), deadline)?;
        Ok(TcpStream(socket))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] if the connection has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_addr(&self.0.sock().peer_addr()?)
    }

    /// Another handle of the connection. Timeouts and the non-blocking flag are shared, deadlines
    /// are not.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        self.0.try_clone().map(TcpStream)
    }

    /// As a read, but leaves the bytes where they are.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek_stream(buf)
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.sock().set_tcp_nodelay(nodelay)
    }

    /// What [`TcpStream::set_nodelay`] has set.
    ///
    /// # Errors
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.sock().tcp_nodelay()
    }

    /// What becomes of unsent bytes when the last handle is dropped (`SO_LINGER`). `None`: they are sent
    /// in the background. Zero: they are thrown away, and the connection is reset. Otherwise the
    /// drop *blocks its thread*, of goroutines too, until they are sent, at most for so long (in whole seconds:
    /// a part of one counts as one; 68 years are the most).
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        // Rounded down, half a second would be zero: the bytes would be thrown away.
        let up = |time: Duration| {
            let part = u64::from(time.subsec_nanos() > 0);
            // The system takes so many; with more, what is left of the number may be zero.
            let most = u64::from(i32::MAX.unsigned_abs());
            Duration::from_secs(time.as_secs().saturating_add(part).min(most))
        };
        self.0.sock().set_linger(linger.map(up))
    }

    /// What [`TcpStream::set_linger`] has set, in whole seconds.
    ///
    /// # Errors
    /// Those of the system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.sock().linger()
    }

    /// Whether segments are acknowledged at once (`TCP_QUICKACK`). In std it is a method of
    /// `std::os::linux::net::TcpStreamExt`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.0.sock().set_tcp_quickack(quickack)
    }

    /// Whether segments are acknowledged at once just now.
    ///
    /// # Errors
    /// Those of the system.
    pub fn quickack(&self) -> io::Result<bool> {
        self.0.sock().tcp_quickack()
    }

    any_socket!();
    data_socket!();
    shutdown_socket!();
    ip_socket!();
}

descriptor!(TcpStream, std::net::TcpStream);
stream_io!(TcpStream, Socket::read);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpStream");
        if let Ok(addr) = self.local_addr() {
            f.field("addr", &addr);
        }
        if let Ok(peer) = self.peer_addr() {
            f.field("peer", &peer);
        }
        f.field("fd", &self.as_raw_fd()).finish()
    }
}
