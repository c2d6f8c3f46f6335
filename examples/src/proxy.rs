//! A TCP proxy: for each client a connection to the upstream, and two goroutines that copy.
//!
//! The two directions end separately: who has said everything (a half-close) can still listen, and
//! so the end of one is passed on as the end of one.

use crate::net::{Shutdown, SocketAddr, TcpStream};
use crate::serve::{Guest, Stream};
use runtime::sync::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What is copied at once, per direction.
const PIECE: usize = 32 * 1024;

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
                    stream.set_nodelay(true)?;
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
}

impl Proxied {
    /// A client that has come.
    pub fn new(client: TcpStream, upstream: Arc<Upstream>) -> Proxied {
        Proxied {
            client,
            upstream,
            server: Mutex::new(None),
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
        *self.server.lock().unwrap() = Some(Arc::clone(&server));
        runtime::scope(|s| {
            s.spawn(|| copy(&self.client, &server));
            copy(&server, &self.client);
        });
    }

    fn drain(&self) {
        // The client says no more; the upstream may still answer.
        let _ = self.client.shutdown(Shutdown::Read);
    }

    fn cut(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &*self.server.lock().unwrap() {
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

/// Copies until the end, and passes that on. After an error nothing can be right any more, in
/// neither direction.
fn copy(from: &TcpStream, to: &TcpStream) {
    let mut piece = vec![0; PIECE];
    let copied = loop {
        match from.read_shared(&mut piece) {
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
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
