//! An HTTP client for goroutines and threads alike: `ureq`, whose connections are made by a
//! connector of ours.
//!
//! ureq is blocking code that knows nothing of goroutines. Over sockets that park, it is all that
//! is needed: TLS, redirects and timeouts work as they are.

use runtime::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, Transport,
};
use ureq::{Agent, Error, Timeout};

/// What goroutines need to make an encrypted connection: rustls keeps whole records and
/// certificate chains on the stack, and the system's resolver is not modest either. It is address
/// space; only what is touched costs memory.
pub const STACK_SIZE: usize = 1024 * 1024;

/// For what comes and for what goes, per connection: a head must fit. ureq's own size is 128 KiB,
/// and to clear that much memory twice takes longer than all else that a small fetch does here.
const BUFFER: usize = 16 * 1024;

/// The settings of a client.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// For a whole fetch, redirects included.
    pub timeout: Option<Duration>,
    /// Certificates to trust, in place of Mozilla's.
    pub roots: Option<Vec<Certificate<'static>>>,
    /// Whether the proxies that the environment names are used.
    pub proxies: bool,
}

/// A client. Each fetch has a connection of its own, as the article's `requests.get` has.
#[derive(Debug, Clone)]
pub struct Client(Agent);

impl Client {
    /// A client with these settings.
    pub fn new(settings: &Settings) -> Client {
        let mut config = Config::builder()
            .timeout_global(settings.timeout)
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections(0);
        if !settings.proxies {
            config = config.proxy(None);
        }
        if let Some(roots) = &settings.roots {
            let roots = RootCerts::from(roots.iter().cloned());
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(Sockets)
                .chain(RustlsConnector::default());
        Client(Agent::with_parts(config.build(), connector, Names))
    }

    /// Fetches a URL to its last byte, and returns how many there were.
    ///
    /// # Errors
    /// Whatever goes wrong, a status of the 400s or 500s included.
    pub fn fetch(&self, url: &str) -> Result<u64, Error> {
        let mut response = self.0.get(url).call()?;
        let length = io::copy(&mut response.body_mut().as_reader(), &mut io::sink());
        length.map_err(Error::from)
    }
}

/// The system's resolver, asked on the goroutine itself. It blocks the thread, and the scheduler
/// hands the P on; ureq's own starts a thread for each name when there is a timeout.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let name = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or_else(|| Error::BadUri(uri.to_string()))?;
        let mut addrs = self.empty();
        let found = name.to_socket_addrs()?;
        // As many as fit.
        for addr in config.ip_family().keep_wanted(found).take(16) {
            addrs.push(addr);
        }
        if addrs.is_empty() {
            return Err(Error::HostNotFound);
        }
        Ok(addrs)
    }
}

/// Makes connections of the sockets in [`runtime::net`].
#[derive(Debug)]
struct Sockets;

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(through_a_proxy) = chained {
            return Ok(Some(Either::A(through_a_proxy)));
        }
        let mut last = Error::HostNotFound;
        // One for all addresses.
        let end = deadline(&details.timeout);
        for addr in &details.addrs {
            match connect(*addr, end, details.timeout.reason) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let config = details.config;
                    return Ok(Some(Either::B(Socket {
                        stream,
                        buffers: LazyBuffers::new(
                            config.input_buffer_size(),
                            config.output_buffer_size(),
                        ),
                    })));
                }
                Err(e) => last = e,
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                break;
            }
        }
        Err(last)
    }
}

fn connect(addr: SocketAddr, end: Option<Instant>, reason: Timeout) -> Result<TcpStream, Error> {
    match end.map(|end| end.saturating_duration_since(Instant::now())) {
        Some(Duration::ZERO) => return Err(Error::Timeout(reason)),
        Some(left) => TcpStream::connect_timeout(&addr, left),
        None => TcpStream::connect(addr),
    }
    .map_err(|e| failed(e, reason))
}

fn limit(timeout: &NextTimeout) -> Option<Duration> {
    match timeout.not_zero() {
        Some(Limit::Exact(limit)) => Some(limit),
        Some(Limit::NotHappening) | None => None,
    }
}

/// Deadlines cost no system call, timeouts would cost one for each operation.
fn deadline(timeout: &NextTimeout) -> Option<Instant> {
    Instant::now().checked_add(limit(timeout)?)
}

fn failed(e: io::Error, reason: Timeout) -> Error {
    match e.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Error::Timeout(reason),
        _ => Error::Io(e),
    }
}

/// A connection.
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        self.stream.set_write_deadline(deadline(&timeout));
        self.stream
            .write_all(&self.buffers.output()[..amount])
            .map_err(|e| failed(e, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        self.stream.set_read_deadline(deadline(&timeout));
        let n = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|e| failed(e, timeout.reason))?,
            }
        };
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        false // it is never used again
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}
