//! Unix sockets: the types of `std::os::unix::net`, on which a goroutine parks and a plain thread
//! blocks. See [`crate::net`].
//!
//! Addresses are std's, those with abstract names included (`std::os::linux::net::SocketAddrExt`).
//! Descriptors that are sent along with bytes are lost when the bytes are read here, as in std; the bytes
//! behind them are not.

mod addr;
mod datagram;
mod listener;
mod stream;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
#[doc(no_inline)]
pub use std::os::unix::net::SocketAddr;
pub use stream::UnixStream;
