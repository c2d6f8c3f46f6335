//! One program, compiled against `std::net` and against `runtime::net`: all names and signatures agree.

macro_rules! program {
    ($name:ident, $net:path, $unix:path) => {
        mod $name {
            use std::fmt::Debug;
            use std::io::{self, Read, Write};
            use std::iter::FusedIterator;
            use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
            use std::panic::{RefUnwindSafe, UnwindSafe};
            use std::path::PathBuf;
            use std::time::Duration;
            use unix::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
            #[allow(unused_imports, reason = "std has a part of it in another module")]
            use $net::*;
            use $unix as unix;

            type Set<T, V> = fn(&T, V) -> io::Result<()>;
            type Get<T, V> = fn(&T) -> io::Result<V>;
            type Pair<T> = fn() -> io::Result<(T, T)>;

            fn socket<T>()
            where
                T: Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe,
                T: AsFd + AsRawFd + IntoRawFd + FromRawFd + From<OwnedFd> + Into<OwnedFd>,
            {
            }

            fn stream<T: Read + Write>()
            where
                for<'a> &'a T: Read + Write,
            {
            }

            #[allow(deprecated, reason = "std still has them")]
            pub fn signatures() {
                socket::<TcpStream>();
                socket::<TcpListener>();
                socket::<UdpSocket>();
                socket::<UnixStream>();
                socket::<UnixListener>();
                socket::<UnixDatagram>();
                stream::<TcpStream>();
                stream::<UnixStream>();
                fn fused<T: FusedIterator + Debug>() {}
                fused::<Incoming<'_>>();
                fn iterator<T: Iterator<Item = io::Result<UnixStream>> + Debug>() {}
                iterator::<unix::Incoming<'_>>();

                let _: fn(String) -> io::Result<TcpStream> = TcpStream::connect;
                let _: fn(&SocketAddr, Duration) -> io::Result<TcpStream> =
                    TcpStream::connect_timeout;
                let _: Get<TcpStream, SocketAddr> = TcpStream::peer_addr;
                let _: Get<TcpStream, SocketAddr> = TcpStream::local_addr;
                let _: Set<TcpStream, Shutdown> = TcpStream::shutdown;
                let _: Get<TcpStream, TcpStream> = TcpStream::try_clone;
                let _: Set<TcpStream, Option<Duration>> = TcpStream::set_read_timeout;
                let _: Set<TcpStream, Option<Duration>> = TcpStream::set_write_timeout;
                let _: Get<TcpStream, Option<Duration>> = TcpStream::read_timeout;
                let _: Get<TcpStream, Option<Duration>> = TcpStream::write_timeout;
                let _: fn(&TcpStream, &mut [u8]) -> io::Result<usize> = TcpStream::peek;
                let _: Set<TcpStream, bool> = TcpStream::set_nodelay;
                let _: Get<TcpStream, bool> = TcpStream::nodelay;
                let _: Set<TcpStream, u32> = TcpStream::set_ttl;
                let _: Get<TcpStream, u32> = TcpStream::ttl;
                let _: Get<TcpStream, Option<io::Error>> = TcpStream::take_error;
                let _: Set<TcpStream, bool> = TcpStream::set_nonblocking;

                let _: fn(String) -> io::Result<TcpListener> = TcpListener::bind;
                let _: Get<TcpListener, SocketAddr> = TcpListener::local_addr;
                let _: Get<TcpListener, TcpListener> = TcpListener::try_clone;
                let _: Get<TcpListener, (TcpStream, SocketAddr)> = TcpListener::accept;
                let _: for<'a> fn(&'a TcpListener) -> Incoming<'a> = TcpListener::incoming;
                let _: Set<TcpListener, u32> = TcpListener::set_ttl;
                let _: Get<TcpListener, u32> = TcpListener::ttl;
                let _: Set<TcpListener, bool> = TcpListener::set_only_v6;
                let _: Get<TcpListener, bool> = TcpListener::only_v6;
                let _: Get<TcpListener, Option<io::Error>> = TcpListener::take_error;
                let _: Set<TcpListener, bool> = TcpListener::set_nonblocking;

                type RecvFrom<T, A> = fn(&T, &mut [u8]) -> io::Result<(usize, A)>;
                let _: fn(String) -> io::Result<UdpSocket> = UdpSocket::bind;
                let _: RecvFrom<UdpSocket, SocketAddr> = UdpSocket::recv_from;
                let _: RecvFrom<UdpSocket, SocketAddr> = UdpSocket::peek_from;
                let _: fn(&UdpSocket, &[u8], String) -> io::Result<usize> = UdpSocket::send_to;
                let _: Get<UdpSocket, SocketAddr> = UdpSocket::peer_addr;
                let _: Get<UdpSocket, SocketAddr> = UdpSocket::local_addr;
                let _: Get<UdpSocket, UdpSocket> = UdpSocket::try_clone;
                let _: Set<UdpSocket, Option<Duration>> = UdpSocket::set_read_timeout;
                let _: Set<UdpSocket, Option<Duration>> = UdpSocket::set_write_timeout;
                let _: Get<UdpSocket, Option<Duration>> = UdpSocket::read_timeout;
                let _: Get<UdpSocket, Option<Duration>> = UdpSocket::write_timeout;
                let _: Set<UdpSocket, bool> = UdpSocket::set_broadcast;
                let _: Get<UdpSocket, bool> = UdpSocket::broadcast;
                let _: Set<UdpSocket, bool> = UdpSocket::set_multicast_loop_v4;
                let _: Get<UdpSocket, bool> = UdpSocket::multicast_loop_v4;
                let _: Set<UdpSocket, u32> = UdpSocket::set_multicast_ttl_v4;
                let _: Get<UdpSocket, u32> = UdpSocket::multicast_ttl_v4;
                let _: Set<UdpSocket, bool> = UdpSocket::set_multicast_loop_v6;
                let _: Get<UdpSocket, bool> = UdpSocket::multicast_loop_v6;
                let _: Set<UdpSocket, u32> = UdpSocket::set_ttl;
                let _: Get<UdpSocket, u32> = UdpSocket::ttl;
                type V4 = fn(&UdpSocket, &Ipv4Addr, &Ipv4Addr) -> io::Result<()>;
                type V6 = fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()>;
                let _: [V4; 2] = [UdpSocket::join_multicast_v4, UdpSocket::leave_multicast_v4];
                let _: [V6; 2] = [UdpSocket::join_multicast_v6, UdpSocket::leave_multicast_v6];
                let _: Get<UdpSocket, Option<io::Error>> = UdpSocket::take_error;
                let _: Set<UdpSocket, String> = UdpSocket::connect;
                let _: fn(&UdpSocket, &[u8]) -> io::Result<usize> = UdpSocket::send;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<usize> = UdpSocket::recv;
                let _: fn(&UdpSocket, &mut [u8]) -> io::Result<usize> = UdpSocket::peek;
                let _: Set<UdpSocket, bool> = UdpSocket::set_nonblocking;

                let _: fn(PathBuf) -> io::Result<UnixStream> = UnixStream::connect;
                let _: fn(&UnixAddr) -> io::Result<UnixStream> = UnixStream::connect_addr;
                let _: Pair<UnixStream> = UnixStream::pair;
                let _: Get<UnixStream, UnixStream> = UnixStream::try_clone;
                let _: Get<UnixStream, UnixAddr> = UnixStream::local_addr;
                let _: Get<UnixStream, UnixAddr> = UnixStream::peer_addr;
                let _: Set<UnixStream, Option<Duration>> = UnixStream::set_read_timeout;
                let _: Set<UnixStream, Option<Duration>> = UnixStream::set_write_timeout;
                let _: Get<UnixStream, Option<Duration>> = UnixStream::read_timeout;
                let _: Get<UnixStream, Option<Duration>> = UnixStream::write_timeout;
                let _: Set<UnixStream, bool> = UnixStream::set_nonblocking;
                let _: Get<UnixStream, Option<io::Error>> = UnixStream::take_error;
                let _: Set<UnixStream, Shutdown> = UnixStream::shutdown;

                let _: fn(PathBuf) -> io::Result<UnixListener> = UnixListener::bind;
                let _: fn(&UnixAddr) -> io::Result<UnixListener> = UnixListener::bind_addr;
                let _: Get<UnixListener, (UnixStream, UnixAddr)> = UnixListener::accept;
                let _: Get<UnixListener, UnixListener> = UnixListener::try_clone;
                let _: Get<UnixListener, UnixAddr> = UnixListener::local_addr;
                let _: Set<UnixListener, bool> = UnixListener::set_nonblocking;
                let _: Get<UnixListener, Option<io::Error>> = UnixListener::take_error;
                let _: for<'a> fn(&'a UnixListener) -> unix::Incoming<'a> = UnixListener::incoming;

                let _: fn(PathBuf) -> io::Result<UnixDatagram> = UnixDatagram::bind;
                let _: fn(&UnixAddr) -> io::Result<UnixDatagram> = UnixDatagram::bind_addr;
                let _: fn() -> io::Result<UnixDatagram> = UnixDatagram::unbound;
                let _: Pair<UnixDatagram> = UnixDatagram::pair;
                let _: Set<UnixDatagram, PathBuf> = UnixDatagram::connect;
                let _: Set<UnixDatagram, &UnixAddr> = UnixDatagram::connect_addr;
                let _: Get<UnixDatagram, UnixDatagram> = UnixDatagram::try_clone;
                let _: Get<UnixDatagram, UnixAddr> = UnixDatagram::local_addr;
                let _: Get<UnixDatagram, UnixAddr> = UnixDatagram::peer_addr;
                let _: RecvFrom<UnixDatagram, UnixAddr> = UnixDatagram::recv_from;
                let _: fn(&UnixDatagram, &mut [u8]) -> io::Result<usize> = UnixDatagram::recv;
                let _: fn(&UnixDatagram, &[u8], PathBuf) -> io::Result<usize> =
                    UnixDatagram::send_to;
                let _: fn(&UnixDatagram, &[u8], &UnixAddr) -> io::Result<usize> =
                    UnixDatagram::send_to_addr;
                let _: fn(&UnixDatagram, &[u8]) -> io::Result<usize> = UnixDatagram::send;
                let _: Set<UnixDatagram, Option<Duration>> = UnixDatagram::set_read_timeout;
                let _: Set<UnixDatagram, Option<Duration>> = UnixDatagram::set_write_timeout;
                let _: Get<UnixDatagram, Option<Duration>> = UnixDatagram::read_timeout;
                let _: Get<UnixDatagram, Option<Duration>> = UnixDatagram::write_timeout;
                let _: Set<UnixDatagram, bool> = UnixDatagram::set_nonblocking;
                let _: Get<UnixDatagram, Option<io::Error>> = UnixDatagram::take_error;
                let _: Set<UnixDatagram, Shutdown> = UnixDatagram::shutdown;
            }
        }
    };
}

program!(of_std, std::net, std::os::unix::net);
program!(ours, runtime::net, runtime::net::unix);

#[test]
fn names_and_signatures_agree() {
    of_std::signatures();
    ours::signatures();
}
