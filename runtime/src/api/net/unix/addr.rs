//! Addresses of Unix sockets, between std, whose errors they shall have, and socket2.

use socket2::SockAddr;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

pub(super) fn from_path(path: &Path) -> io::Result<SockAddr> {
    from_std(&SocketAddr::from_pathname(path)?)
}

pub(super) fn from_std(addr: &SocketAddr) -> io::Result<SockAddr> {
    match (addr.as_pathname(), addr.as_abstract_name()) {
        (Some(path), _) => SockAddr::unix(path),
        (None, Some(name)) => {
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            SockAddr::unix(OsString::from_vec(bytes))
        }
        (None, None) => SockAddr::unix(""),
    }
}

/// Of one who sent, or connected. The system says nothing at all of one without a name; and std
/// makes no address of a path that leaves no room for the zero byte at its end, which the system
/// allows. Such a peer has no name here: what it sent is not to be lost for that.
pub(super) fn of_peer(addr: &SockAddr) -> io::Result<SocketAddr> {
    let named = match (addr.as_pathname(), addr.as_abstract_namespace()) {
        (Some(path), _) => SocketAddr::from_pathname(path),
        (None, Some(name)) => SocketAddr::from_abstract_name(name),
        (None, None) => SocketAddr::from_pathname(""),
    };
    named.or_else(|_| SocketAddr::from_pathname(""))
}

/// Of an end of a socket.
pub(super) fn of_socket(addr: &SockAddr) -> io::Result<SocketAddr> {
    match addr.is_unix() {
        true => of_peer(addr),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "file descriptor did not correspond to a Unix socket",
        )),
    }
}

/// For a type that has two ends: their addresses.
macro_rules! unix_ends {
    ($name:ident) => {
        impl $name {
            /// The address of this end.
            ///
            /// # Errors
            /// Those of the system.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                addr::of_socket(&self.0.sock().local_addr()?)
            }

            /// The address of the other end.
            ///
            /// # Errors
            /// [`ErrorKind::NotConnected`](io::ErrorKind::NotConnected) if there is none.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                addr::of_socket(&self.0.sock().peer_addr()?)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut f = f.debug_struct(stringify!($name));
                f.field("fd", &self.as_raw_fd());
                if let Ok(addr) = self.local_addr() {
                    f.field("local", &addr);
                }
                if let Ok(addr) = self.peer_addr() {
                    f.field("peer", &addr);
                }
                f.finish()
            }
        }
    };
}

pub(super) use unix_ends;
