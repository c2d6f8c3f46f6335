//! The sockets of all network examples, named in one place: what a program would import from
//! `std::net` it imports from here.

pub use runtime::net::{TcpListener, TcpStream, ToSocketAddrs};
pub use std::net::{Shutdown, SocketAddr};
pub use std::os::unix::net::{UnixListener, UnixStream};
