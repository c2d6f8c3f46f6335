//! Every network operation that waits, in the middle of its wait.
#![allow(dead_code, reason = "each test binary uses a part")]

use runtime::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, unix,
};
use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Shared<F> = Arc<F>;

/// An operation that would wait for ever.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Waits; returns only with an error.
    pub wait: Shared<dyn Fn() -> io::Error + Send + Sync>,
    /// `None`: nobody has the socket but the operation.
    pub close: Option<Shared<dyn Fn() + Send + Sync>>,
    pub timeout: Option<Shared<dyn Fn(Option<Duration>) + Send + Sync>>,
    pub deadline: Option<Shared<dyn Fn(Option<Instant>) + Send + Sync>>,
    /// What else must live.
    _keep: Arc<dyn Any + Send + Sync>,
}

fn case<S: Send + Sync + 'static>(
    name: &'static str,
    socket: &Arc<S>,
    keep: impl Any + Send + Sync,
    wait: impl Fn(&S) -> io::Error + Send + Sync + 'static,
    close: fn(&S),
) -> Case {
    let (s, c) = (socket.clone(), socket.clone());
    Case {
        name,
        wait: Arc::new(move || wait(&s)),
        close: Some(Arc::new(move || close(&c))),
        timeout: None,
        deadline: None,
        _keep: Arc::new(keep),
    }
}

/// Does it again and again until it fails.
fn until_error<T>(mut op: impl FnMut() -> io::Result<T>) -> io::Error {
    loop {
        if let Err(e) = op() {
            return e;
        }
    }
}

macro_rules! timed {
    ($case:expr, $socket:expr, $timeout:ident, $deadline:ident) => {{
        let mut case = $case;
        let (t, d) = ($socket.clone(), $socket.clone());
        case.timeout = Some(Arc::new(move |dur| t.$timeout(dur).unwrap()));
        case.deadline = Some(Arc::new(move |at| d.$deadline(at)));
        case
    }};
}

macro_rules! reads {
    ($cases:ident, $name:literal, $ty:ident, $socket:expr, $keep:expr, |$s:ident| $op:expr) => {{
        let socket = Arc::new($socket);
        let wait = |$s: &$ty| $op.map(drop).unwrap_err();
        let case = case($name, &socket, $keep, wait, $ty::close);
        $cases.push(timed!(case, socket, set_read_timeout, set_read_deadline));
    }};
}

macro_rules! writes {
    ($cases:ident, $name:literal, $ty:ident, $socket:expr, $keep:expr, |$s:ident| $op:expr) => {{
        let socket = Arc::new($socket);
        let wait = |$s: &$ty| until_error(|| $op);
        socket.set_nonblocking(true).unwrap();
        assert_eq!(wait(&socket).kind(), ErrorKind::WouldBlock);
        socket.set_nonblocking(false).unwrap();
        let case = case($name, &socket, $keep, wait, $ty::close);
        $cases.push(timed!(case, socket, set_write_timeout, set_write_deadline));
    }};
}

pub fn abstract_addr() -> unix::SocketAddr {
    static N: AtomicUsize = AtomicUsize::new(0);
    let n = N.fetch_add(1, Ordering::Relaxed);
    unix::SocketAddr::from_abstract_name(format!("weft-{}-{n}", std::process::id())).unwrap()
}

pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (a, listener.accept().unwrap().0)
}

static BLOCK: [u8; 30_000] = [0; 30_000];

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = tcp_pair;
    let unix = || UnixStream::pair().unwrap();

    let l = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let wait = |l: &TcpListener| l.accept().map(drop).unwrap_err();
    cases.push(case("tcp accept", &l, (), wait, TcpListener::close));
    let l = Arc::new(UnixListener::bind_addr(&abstract_addr()).unwrap());
    let wait = |l: &UnixListener| l.accept().map(drop).unwrap_err();
    cases.push(case("unix accept", &l, (), wait, UnixListener::close));

    let (a, b) = tcp();
    reads!(cases, "tcp read", TcpStream, a, b, |s| (&*s).read(&mut [0]));
    let (a, b) = tcp();
    reads!(cases, "tcp peek", TcpStream, a, b, |s| s.peek(&mut [0]));
    let (a, b) = tcp();
    reads!(cases, "tcp read_vectored", TcpStream, a, b, |s| (&*s)
        .read_vectored(&mut [IoSliceMut::new(&mut [0])]));
    let (a, b) = tcp();
    writes!(cases, "tcp write", TcpStream, a, b, |s| (&*s).write(&BLOCK));
    let (a, b) = tcp();
    writes!(cases, "tcp write_vectored", TcpStream, a, b, |s| (&*s)
        .write_vectored(&[IoSlice::new(&BLOCK)]));

    reads!(cases, "udp recv", UdpSocket, udp(), (), |s| s
        .recv(&mut [0]));
    reads!(cases, "udp recv_from", UdpSocket, udp(), (), |s| s
        .recv_from(&mut [0]));
    reads!(cases, "udp peek", UdpSocket, udp(), (), |s| s
        .peek(&mut [0]));
    reads!(cases, "udp peek_from", UdpSocket, udp(), (), |s| s
        .peek_from(&mut [0]));

    let (a, b) = unix();
    reads!(cases, "unix read", UnixStream, a, b, |s| (&*s)
        .read(&mut [0]));
    let (a, b) = unix();
    reads!(cases, "unix peek", UnixStream, a, b, |s| s.peek(&mut [0]));
    let (a, b) = unix();
    writes!(cases, "unix write", UnixStream, a, b, |s| (&*s)
        .write(&BLOCK));
    let (a, b) = unix();
    reads!(cases, "unix read_vectored", UnixStream, a, b, |s| (&*s)
        .read_vectored(&mut [IoSliceMut::new(&mut [0])]));
    let (a, b) = unix();
    writes!(cases, "unix write_vectored", UnixStream, a, b, |s| (&*s)
        .write_vectored(&[IoSlice::new(&BLOCK)]));
    let dgram = || UnixDatagram::pair().unwrap();
    let (a, b) = dgram();
    reads!(cases, "datagram recv", UnixDatagram, a, b, |s| s
        .recv(&mut [0]));
    let (a, b) = dgram();
    reads!(cases, "datagram recv_from", UnixDatagram, a, b, |s| s
        .recv_from(&mut [0]));
    let (a, b) = dgram();
    reads!(cases, "datagram peek", UnixDatagram, a, b, |s| s
        .peek(&mut [0]));
    let (a, b) = dgram();
    reads!(cases, "datagram peek_from", UnixDatagram, a, b, |s| s
        .peek_from(&mut [0]));
    let (a, b) = dgram();
    writes!(cases, "datagram send of a pair", UnixDatagram, a, b, |s| s
        .send(b"x"));
    let at = abstract_addr();
    let b = UnixDatagram::bind_addr(&at).unwrap();
    let a = UnixDatagram::unbound().unwrap();
    a.connect_addr(&at).unwrap();
    writes!(cases, "datagram send", UnixDatagram, a, b, |s| s.send(b"x"));
    let at = abstract_addr();
    let b = UnixDatagram::bind_addr(&at).unwrap();
    let a = UnixDatagram::unbound().unwrap();
    let socket = Arc::new(a);
    let wait = move |s: &UnixDatagram| until_error(|| s.send_to_addr(b"x", &at));
    let to_name = case(
        "datagram send_to_addr",
        &socket,
        b,
        wait,
        UnixDatagram::close,
    );
    cases.push(timed!(
        to_name,
        socket,
        set_write_timeout,
        set_write_deadline
    ));
    let file = SocketFile::new();
    let b = UnixDatagram::bind(&file.0).unwrap();
    let socket = Arc::new(UnixDatagram::unbound().unwrap());
    let path = file.0.clone();
    let wait = move |s: &UnixDatagram| until_error(|| s.send_to(b"x", &path));
    let to_path = case(
        "datagram send_to",
        &socket,
        (b, file),
        wait,
        UnixDatagram::close,
    );
    cases.push(timed!(
        to_path,
        socket,
        set_write_timeout,
        set_write_deadline
    ));
    cases
}

/// A name for a socket in the file system, which goes with this.
struct SocketFile(PathBuf);

impl SocketFile {
    fn new() -> SocketFile {
        static N: AtomicUsize = AtomicUsize::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let name = format!("weft-waits-{}-{n}", std::process::id());
        SocketFile(std::env::temp_dir().join(name))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A listener whose queue is full: it drops what asks for a connection. Its address, and what it is full of.
pub fn full_listener() -> (std::net::SocketAddr, (socket2::Socket, Vec<TcpStream>)) {
    let l = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    l.bind(&any.into()).unwrap();
    l.listen(0).unwrap();
    let at = l.local_addr().unwrap().as_socket().unwrap();
    let soon = Duration::from_millis(20);
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&at, soon) {
        queued.push(stream);
    }
    (at, (l, queued))
}

/// Operations that wait for a socket that nobody has yet.
pub fn connects() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |name,
                    keep: Arc<dyn Any + Send + Sync>,
                    wait: Shared<dyn Fn() -> io::Error + Send + Sync>| {
        cases.push(Case {
            name,
            wait,
            close: None,
            timeout: None,
            deadline: None,
            _keep: keep,
        });
    };
    let (at, full) = full_listener();
    push(
        "tcp connect",
        Arc::new(full),
        Arc::new(move || TcpStream::connect(at).map(drop).unwrap_err()),
    );
    let (at, full) = full_listener();
    let hour = Duration::from_secs(3600);
    push(
        "tcp connect_timeout",
        Arc::new(full),
        Arc::new(move || TcpStream::connect_timeout(&at, hour).map(drop).unwrap_err()),
    );
    let addr = abstract_addr();
    let l = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let mut name = vec![0];
    name.extend_from_slice(addr.as_abstract_name().unwrap());
    let name = String::from_utf8(name).unwrap();
    l.bind(&socket2::SockAddr::unix(name).unwrap()).unwrap();
    l.listen(0).unwrap();
    let queued = UnixStream::connect_addr(&addr).unwrap();
    push(
        "unix connect",
        Arc::new((l, queued)),
        Arc::new(move || UnixStream::connect_addr(&addr).map(drop).unwrap_err()),
    );
    cases
}
