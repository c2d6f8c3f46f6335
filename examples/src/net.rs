//! The sockets of all network examples, named in one place: what a program would import from
//! `std::net` and `std::os::unix::net` it imports from here.

pub use runtime::net::{
    Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UnixListener, UnixStream,
};
