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

/// Of one who sent, or connected. The system says nothing at all of one without a name.
pub(super) fn of_peer(addr: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(path) = addr.as_pathname() {
        return SocketAddr::from_pathname(path);
    }
    match addr.as_abstract_namespace() {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(""),
    }
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
