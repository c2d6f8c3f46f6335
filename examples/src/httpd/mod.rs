//! A server of HTTP/1.1: a goroutine for each connection, written as if it were alone.
//!
//! ```text
//!   bytes --request--> Request --routes--> Answer --conn, response--> bytes
//! ```
//!
//! `request`, `chunked` and `response` are pure, `routes` and `files` look at the disk, `conn` alone
//! reads and writes the socket.
//!
//! A connection reads into one buffer and writes out of another, both its own and kept: in the
//! steady state a request costs one read, one write and no allocation. Requests that came
//! together (pipelining) are answered by one write, as it writes only before it waits.

mod chunked;
mod conn;
mod files;
mod input;
mod request;
mod response;
mod routes;
mod status;

pub use chunked::Decoder;
pub use request::{Framing, Method, Request, parse};
pub use status::Status;

use crate::serve::{self, Farewell};
use channels::Receiver;
use runtime::net::TcpListener;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What a client may ask of the server's memory and patience.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's line and headers.
    pub head: usize,
    /// Bytes of a request's first line, at most those of `head`.
    pub target: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// From a request's first byte to the end of its head.
    pub head_time: Duration,
    /// For a body to come.
    pub body_time: Duration,
    /// Between requests.
    pub idle_time: Duration,
    /// For the client to take something of a response.
    pub write_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 16 * 1024,
            target: 8 * 1024,
            body: 1024 * 1024,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(60),
            write_time: Duration::from_secs(30),
        }
    }
}

/// What to serve, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the static files; without one there are none.
    pub root: Option<PathBuf>,
    /// What is allowed to clients.
    pub limits: Limits,
    /// How long a shutdown waits for requests that have begun.
    pub grace: Duration,
    /// Whether clients may see what the runtime does, below `/debug`: its metrics and its goroutines.
    pub debug: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            root: None,
            limits: Limits::default(),
            grace: Duration::from_secs(10),
            debug: false,
        }
    }
}

/// What all connections of a server share.
#[derive(Debug)]
struct Shared {
    root: Option<PathBuf>,
    limits: Limits,
    debug: bool,
    draining: AtomicBool,
}

/// Serves until `shutdown` receives, and finishes what has begun. Call it on a goroutine.
///
/// # Errors
/// If the root is no directory, or the listener fails for good.
pub fn serve(
    listener: &TcpListener,
    shutdown: &Receiver<()>,
    options: Options,
) -> io::Result<Farewell> {
    let root = match options.root {
        Some(root) => {
            let real = root.canonicalize()?;
            if !real.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Some(real)
        }
        None => None,
    };
    let shared = Arc::new(Shared {
        root,
        limits: options.limits,
        debug: options.debug,
        draining: AtomicBool::new(false),
    });
    serve::serve(listener, shutdown, options.grace, |stream| {
        conn::Conn::new(stream, Arc::clone(&shared))
    })
}
