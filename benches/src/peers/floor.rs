//! The floor: a server of one thread, written by hand around edge-triggered epoll, with no system
//! call that is not needed. A runtime cannot be faster, but may come near.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use super::http;
use super::service::{self, Address, SINK_BUFFER, Service};
use crate::epoll::Epoll;

/// The token of the listener; connections have the others.
const LISTENER: u64 = u64::MAX;

/// Serves; the thread is the caller's.
pub(super) fn serve(service: Service, address: &Address) -> io::Result<()> {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            service::announce(listener.local_addr()?)?;
            let epoll = Epoll::new()?;
            epoll.add(&listener, LISTENER)?;
            Floor::new(service, epoll).run(|| {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            })
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            service::announce(path.display())?;
            let epoll = Epoll::new()?;
            epoll.add(&listener, LISTENER)?;
            Floor::new(service, epoll).run(|| {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            })
        }
    }
}

/// A connection: whole requests take no state, so a count is all that there is.
struct Connection {
    file: File,
    count: u64,
}

struct Floor {
    service: Service,
    epoll: Epoll,
    /// By token.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    output: Vec<u8>,
}

impl Floor {
    fn new(service: Service, epoll: Epoll) -> Floor {
        Floor {
            service,
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; SINK_BUFFER],
            output: Vec::new(),
        }
    }

    fn run(mut self, mut accept: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.epoll.wait(&mut ready, None)?;
            for &token in &ready {
                if token == LISTENER {
                    loop {
                        match accept() {
                            Ok(stream) => self.connected(stream.into())?,
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                            Err(error) => return Err(error),
                        }
                    }
                } else {
                    self.serve_ready(token as usize);
                }
            }
        }
    }

    fn connected(&mut self, file: File) -> io::Result<()> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.epoll.add(&file, at as u64)?;
        self.connections[at] = Some(Connection { file, count: 0 });
        Ok(())
    }

    fn serve_ready(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else {
            return;
        };
        let open = readable(self.service, connection, &mut self.buffer, &mut self.output);
        // An error closes the connection as an end does; the load knows about it.
        if !open.unwrap_or(false) {
            self.connections[at] = None;
            self.free.push(at);
        }
    }
}

/// Takes what there is to read; whether the connection stays open.
fn readable(
    service: Service,
    connection: &mut Connection,
    buffer: &mut [u8],
    output: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        let n = match connection.file.read(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let received = &buffer[..n];
        match service {
            Service::Sink if n == 0 => {
                connection.file.write_all(&connection.count.to_le_bytes())?;
                return Ok(false);
            }
            _ if n == 0 => return Ok(false),
            Service::Echo | Service::EchoHog => connection.file.write_all(received)?,
            Service::Sink => connection.count += n as u64,
            Service::Answer => {
                connection.file.write_all(&received[..1])?;
                return Ok(false);
            }
            Service::Http => {
                output.clear();
                if http::answer(received, output)? != n {
                    return Err(io::Error::other("the load sends whole requests"));
                }
                connection.file.write_all(output)?;
            }
        }
        // A read that did not fill the buffer has taken all there was. An end may hide behind it;
        // only a sink has to know, the others wait for a load that waits for them.
        if n < buffer.len() && service != Service::Sink {
            return Ok(true);
        }
    }
}
