//! The network: the types of `std::net` and `std::os::unix::net`, on which a goroutine parks and a
//! plain thread blocks.
//!
//! A program that writes `runtime::net` for `std::net` compiles and means the same: names, signatures
//! and errors are those of std. An operation is tried first, by one system call; if it would block, a
//! goroutine parks until the socket is ready, and other goroutines run meanwhile. On a plain thread it
//! blocks that thread. Any number of goroutines and threads may use a socket at once, of several
//! runtimes too. Who finds what it came for takes it at once, also before goroutines that wait for it; these take turns as at
//! a [`Mutex`](crate::sync::Mutex): nobody is passed over for long.
//!
//! ```
//! use runtime::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! let rt = runtime::start(1);
//! rt.run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//!     let addr = listener.local_addr().unwrap();
//!     runtime::go!(move || {
//!         for stream in listener.incoming() {
//!             let mut stream = stream.unwrap();
//!             runtime::go!(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
//!         }
//!     });
//!     let mut stream = TcpStream::connect(addr).unwrap();
//!     stream.write_all(b"hello").unwrap();
//!     let mut echo = [0; 5];
//!     stream.read_exact(&mut echo).unwrap(); // parks: the only P runs the server
//!     assert_eq!(&echo, b"hello");
//! });
//! ```
//!
//! # Beyond std
//!
//! * `close(&self)` ends a socket under those who use it: every wait for it, on goroutines and on
//!   threads, and every later operation fails with [`ErrorKind::NotConnected`]. (In std, only the last
//!   owner can close, and so nobody can end another's `accept`.) The descriptor itself is given back when
//!   the value is dropped.
//! * `set_read_deadline` and `set_write_deadline` are Go's: points in time, of one handle, from which on
//!   all operations fail with [`ErrorKind::TimedOut`], those included that wait already. Timeouts
//!   (`set_read_timeout`) are std's: they hold for each operation anew, and end it with
//!   [`ErrorKind::WouldBlock`].
//! * A goroutine that is cancelled, whose [`timeout`](crate::time::timeout) is over, or whose runtime is
//!   shut down, unwinds out of any operation that waits. Nothing is lost: what has not been returned has
//!   not been read.
//! * [`TcpListener::bind_reuseport`], [`TcpStream::set_linger`]. For all other options,
//!   `socket2::SockRef::from(&socket)` works with every type here.
//!
//! # What differs
//!
//! * Descriptors are non-blocking for the kernel, whatever `set_nonblocking` says, which is kept beside
//!   them. So a copy of the descriptor that std has (`as_fd().try_clone_to_owned()`) is non-blocking,
//!   too; and such a copy that is made a type of this module again is taken for one whose user has called
//!   `set_nonblocking(true)`. Whoever is given the descriptor itself, by `into`, gets it as std would have it, as soon as no
//!   copy of it is [`Registered`](crate::io::Registered) any more.
//! * If somebody clears the flag of a descriptor that a listener here shares (a child that has inherited it, say, or a
//!   [`Registered`](crate::io::Registered) copy that goes and had found it blocking), `accept`
//!   blocks its thread, and a cancelled goroutine is unwound after the next connection. (Reads and writes do not
//!   depend on the flag.)
//! * Timeouts that were not set by the methods here, but on a copy of the descriptor, are not seen.
//! * Looking a name up (`"example.org:80"`) blocks the thread, as the C library does it: the caller's
//!   P is taken away and given to another thread meanwhile, as with every call that blocks. A
//!   lookup cannot be cancelled. Numeric addresses cost nothing.
//! * Listeners have as long a queue as the system allows (`net.core.somaxconn`), as in Go; in std it is
//!   128 for TCP.
//!
//! [`ErrorKind::NotConnected`]: std::io::ErrorKind::NotConnected
//! [`ErrorKind::TimedOut`]: std::io::ErrorKind::TimedOut
//! [`ErrorKind::WouldBlock`]: std::io::ErrorKind::WouldBlock

mod common;
mod options;
mod socket;
mod sys;
mod tcp_listener;
mod tcp_stream;
mod udp;
pub mod unix;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
    ToSocketAddrs,
};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
#[doc(no_inline)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};

use std::io::{self, ErrorKind};

fn no_addresses() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        "could not resolve to any addresses",
    )
}

/// The first that works of what `addr` stands for; the last error if none does.
fn each_addr<A: ToSocketAddrs, T>(
    addr: A,
    mut f: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addr.to_socket_addrs()? {
        match f(&addr) {
            Ok(value) => return Ok(value),
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(no_addresses))
}
