//! The sockets of all network examples, named in one place: what a program would import from
//! `std::net` it imports from here.

pub use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
pub use std::os::unix::net::{UnixListener, UnixStream};

use std::io;

/// How many connections may wait to be accepted; the system lowers it to its own bound.
const BACKLOG: i32 = 4096;

/// Binds a listener that stands a rush: of more connections than fit its queue the system drops
/// the rest, and their clients try again after a second. std's queue has room for 128.
///
/// # Errors
/// As [`TcpListener::bind`].
pub fn listen(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr)?;
    socket2::SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener)
}
