//! UDP.

use super::common::{any_socket, data_socket, descriptor, ip_addr, ip_socket};
use super::socket::Socket;
use super::{ToSocketAddrs, each_addr};
use crate::api::io::pollable::Side;
use socket2::{Domain, Type};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A UDP socket, as [`std::net::UdpSocket`]: a goroutine parks where a thread would block.
///
/// ```
/// use runtime::net::UdpSocket;
///
/// runtime::start(1).run(|| {
///     let server = UdpSocket::bind("127.0.0.1:0").unwrap();
///     let addr = server.local_addr().unwrap();
///     let h = runtime::go!(move || {
///         let mut buf = [0; 1500];
///         let (n, from) = server.recv_from(&mut buf).unwrap(); // parks
///         server.send_to(&buf[..n], from).unwrap();
///     });
///     let client = UdpSocket::bind("127.0.0.1:0").unwrap();
///     client.connect(addr).unwrap();
///     client.send(b"ping").unwrap();
///     let mut buf = [0; 1500];
///     assert_eq!(client.recv(&mut buf).unwrap(), 4);
///     h.join().unwrap();
/// });
/// ```
pub struct UdpSocket(pub(super) Socket);

impl UdpSocket {
    /// Makes a socket at the first of the addresses that can be had. Does not wait, except while a
    /// name is looked up.
    ///
    /// # Errors
    /// The last one, if none can be had.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        each_addr(addr, |addr| {
            let socket = Socket::new(Domain::for_address(*addr), Type::DGRAM)?;
            socket.sock().bind(&(*addr).into())?;
            Ok(UdpSocket(socket))
        })
    }

    /// Waits for a datagram; its length, and from whom it is. What does not fit is lost.
    ///
    /// # Errors
    /// Those of the system, and at the end of a timeout.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, addr) = self.0.recv_from(buf, 0)?;
        Ok((n, ip_addr(&addr)?))
    }

    /// As [`UdpSocket::recv_from`], but leaves the datagram where it is.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, addr) = self.0.recv_from(buf, libc::MSG_PEEK)?;
        Ok((n, ip_addr(&addr)?))
    }

    /// Sends a datagram to the first of the addresses. Waits only if the system has no room for it.
    ///
    /// # Errors
    /// Those of the system, among them one that was reported of an earlier datagram.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        match addr.to_socket_addrs()?.next() {
            Some(addr) => self.0.send_to(buf, &addr.into()),
            None => Err(io::Error::new(
                ErrorKind::InvalidInput,
                "no addresses to send data to",
            )),
        }
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`](std::io::ErrorKind::NotConnected) if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_addr(&self.0.sock().peer_addr()?)
    }

    /// Another handle of the socket. Timeouts and the non-blocking flag are shared, deadlines are
    /// not.
    ///
    /// # Errors
    /// If the process has too many descriptors.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        self.0.try_clone().map(UdpSocket)
    }

    /// Names the other end: [`UdpSocket::send`] sends there, and only what comes from there is
    /// received. Does not wait.
    ///
    /// # Errors
    /// The last one, if none of the addresses will do.
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        each_addr(addr, |addr| self.0.sock().connect(&(*addr).into()))
    }

    /// Sends a datagram to the other end.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`]; also that there is no other end.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.send(buf)
    }

    /// As [`UdpSocket::recv_from`], without saying from whom.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf, 0)
    }

    /// As [`UdpSocket::recv`], but leaves the datagram where it is.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf, libc::MSG_PEEK)
    }

    any_socket!();
    data_socket!();
    ip_socket!();
}

/// An option of the system, by its names here and in socket2.
macro_rules! option {
    ($ty:ty, $set:ident as $set2:ident, $get:ident as $get2:ident, $what:literal) => {
        #[doc = concat!("Sets ", $what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $set(&self, value: $ty) -> io::Result<()> {
            self.0.sock().$set2(value)
        }

        #[doc = concat!("Asks for ", $what, ".")]
        ///
        /// # Errors
        /// Those of the system.
        pub fn $get(&self) -> io::Result<$ty> {
            self.0.sock().$get2()
        }
    };
}

/// Broadcast and multicast.
impl UdpSocket {
    option!(
        bool,
        set_broadcast as set_broadcast,
        broadcast as broadcast,
        "whether datagrams may be sent to a broadcast address (`SO_BROADCAST`)"
    );
    option!(
        bool,
        set_multicast_loop_v4 as set_multicast_loop_v4,
        multicast_loop_v4 as multicast_loop_v4,
        "whether what is sent to an IPv4 group comes back to this host (`IP_MULTICAST_LOOP`)"
    );
    option!(
        u32,
        set_multicast_ttl_v4 as set_multicast_ttl_v4,
        multicast_ttl_v4 as multicast_ttl_v4,
        "how many hops what is sent to an IPv4 group lives (`IP_MULTICAST_TTL`)"
    );
    option!(
        bool,
        set_multicast_loop_v6 as set_multicast_loop_v6,
        multicast_loop_v6 as multicast_loop_v6,
        "whether what is sent to an IPv6 group comes back to this host (`IPV6_MULTICAST_LOOP`)"
    );

    /// Joins an IPv4 group, at the interface that has the address, or at any if it is unspecified.
    ///
    /// # Errors
    /// Those of the system.
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.sock().join_multicast_v4(multiaddr, interface)
    }

    /// Joins an IPv6 group, at the interface of that number, or at any if it is zero.
    ///
    /// # Errors
    /// Those of the system.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.sock().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    /// Those of the system.
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.sock().leave_multicast_v4(multiaddr, interface)
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    /// Those of the system.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.sock().leave_multicast_v6(multiaddr, interface)
    }
}

descriptor!(UdpSocket, std::net::UdpSocket);

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UdpSocket");
        if let Ok(addr) = self.local_addr() {
            f.field("addr", &addr);
        }
        f.field("fd", &self.as_raw_fd()).finish()
    }
}
