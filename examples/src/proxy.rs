//! A TCP proxy: for each client a connection to the upstream, and two goroutines that copy.
//!
//! The two directions end separately: who has said everything (a half-close) can still listen, and
//! so the end of one is passed on as the end of one.

use crate::serve::{Guest, Stream, prepare};
use runtime::net::{Shutdown, SocketAddr, TcpStream};
use runtime::sync::Mutex;
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is copied at once, per direction.
const PIECE: usize = 32 * 1024;

/// While the proxy ends, a client that is silent for so long has said all.
const SILENCE: Duration = Duration::from_secs(1);

/// Where to, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its addresses, tried in this order.
    pub addrs: Vec<SocketAddr>,
    /// For a connection to each.
    pub timeout: Duration,
}

impl Upstream {
    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::ErrorKind::NotFound.into();
        for addr in &self.addrs {
            match TcpStream::connect_timeout(addr, self.timeout) {
                Ok(stream) => {
                    prepare(&stream)?;
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// A client of the proxy.
#[derive(Debug)]
pub struct Proxied {
    client: TcpStream,
    upstream: Arc<Upstream>,
    /// Once it is connected; to be shut down from outside.
    server: Mutex<Option<Arc<TcpStream>>>,
    /// It is to end at once.
    over: AtomicBool,
}

impl Proxied {
    /// A client that has come.
    pub fn new(client: TcpStream, upstream: Arc<Upstream>) -> Proxied {
        Proxied {
            client,
            upstream,
            server: Mutex::new(None),
            over: AtomicBool::new(false),
        }
    }
}

impl Guest for Proxied {
    fn run(&self) {
        let server = match self.upstream.connect() {
            Ok(server) => Arc::new(server),
            Err(e) => {
                eprintln!("proxy: cannot connect to {:?}: {e}", self.upstream.addrs);
                return;
            }
        };
        {
            let mut known = self.server.lock().unwrap();
            // Relaxed: `cut` sets it before it takes the lock.
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            *known = Some(Arc::clone(&server));
        }
        runtime::scope(|s| {
            s.spawn(|| {
                let read = |piece: &mut [u8]| self.read_client(piece);
                self.copy(read, &server);
            });
            let read = |piece: &mut [u8]| server.read_shared(piece);
            self.copy(read, &self.client);
        });
    }

    fn drain(&self) {
        // What the client is saying it may finish: half of it, passed on with an end, would look
        // like the whole. The upstream may still answer.
        let end = Instant::now() + SILENCE;
        self.client.set_read_deadline(Some(end));
    }

    fn cut(&self) {
        self.abort();
    }
}

impl Proxied {
    /// Reads from the client, as long as it says something.
    fn read_client(&self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            let began = Instant::now();
            match self.client.read_shared(piece) {
                // A deadline, which only `drain` and `abort` set; not the system's timeout, which
                // says that the client has vanished.
                Err(e) if e.kind() == ErrorKind::TimedOut && e.raw_os_error().is_none() => {
                    let silent = began.elapsed() >= SILENCE;
                    let end = Instant::now() + SILENCE;
                    self.client.set_read_deadline(Some(end));
                    // SeqCst, as in `abort`: which may have set another one before.
                    if self.over.load(Ordering::SeqCst) {
                        return Err(e);
                    }
                    if silent {
                        return Ok(0);
                    }
                }
                read => return read,
            }
        }
    }

    /// Copies until the end, and passes that on. After an error nothing can be right any more, in
    /// neither direction.
    fn copy(&self, read: impl Fn(&mut [u8]) -> io::Result<usize>, to: &TcpStream) {
        let mut piece = vec![0; PIECE];
        let copied = loop {
            match read(&mut piece) {
                Ok(0) => break to.shutdown(Shutdown::Write),
                Ok(n) => {
                    if let Err(e) = to.write_shared(&piece[..n]) {
                        break Err(e);
                    }
                }
                Err(e) => break Err(e),
            }
        };
        if copied.is_err() {
            self.abort();
        }
    }

    /// Ends both directions, so that neither end takes what it has got for all there is: by a reset,
    /// which is what becomes of a connection that is dropped without a lingering.
    fn abort(&self) {
        // SeqCst: see `read_client`.
        self.over.store(true, Ordering::SeqCst);
        let server = self.server.lock().unwrap().clone();
        for stream in [Some(&self.client), server.as_deref()]
            .into_iter()
            .flatten()
        {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            let now = Some(Instant::now());
            stream.set_read_deadline(now);
            stream.set_write_deadline(now);
        }
    }
}
