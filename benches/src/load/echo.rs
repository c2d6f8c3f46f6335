//! Round trips: one thread, one message in flight on each connection.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::PATIENCE;
use crate::epoll::Epoll;
use crate::peers::service::Address;

/// The length of a message.
const MESSAGE: usize = 64;

/// One end of a connection.
#[derive(Debug)]
struct Connection {
    file: File,
    sent: [u8; MESSAGE],
    since: Instant,
    answer: [u8; MESSAGE],
    received: usize,
}

/// Connections to an echo server.
#[derive(Debug)]
pub(super) struct Echo {
    epoll: Epoll,
    connections: Vec<Connection>,
    ready: Vec<u64>,
    number: u64,
}

impl Echo {
    pub fn new() -> io::Result<Echo> {
        Ok(Echo {
            epoll: Epoll::new()?,
            connections: Vec::new(),
            ready: Vec::new(),
            number: 0,
        })
    }

    /// Makes `n` more connections.
    pub fn connect(&mut self, address: &Address, n: usize) -> io::Result<()> {
        for _ in 0..n {
            let file = File::from(connect(address)?);
            self.epoll.add(&file, self.connections.len() as u64)?;
            self.connections.push(Connection {
                file,
                sent: [0; MESSAGE],
                since: Instant::now(),
                answer: [0; MESSAGE],
                received: 0,
            });
        }
        Ok(())
    }

    /// Makes `n` round trips, spread over the connections, and tells what each took.
    pub fn pass(&mut self, n: usize, singles: &mut Vec<f64>) -> io::Result<usize> {
        let mut sent = 0;
        for connection in self.connections.iter_mut().take(n) {
            self.number += 1;
            connection.send(self.number)?;
            sent += 1;
        }
        let mut answered = 0;
        while answered < n {
            self.epoll.wait(&mut self.ready, Some(PATIENCE))?;
            if self.ready.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for &token in &self.ready {
                let connection = &mut self.connections[token as usize];
                if !connection.receive()? {
                    continue;
                }
                singles.push(connection.since.elapsed().as_nanos() as f64);
                answered += 1;
                if sent < n {
                    self.number += 1;
                    connection.send(self.number)?;
                    sent += 1;
                }
            }
        }
        Ok(n)
    }
}

impl Connection {
    /// A message that no other connection has in flight.
    fn send(&mut self, number: u64) -> io::Result<()> {
        self.sent[..8].copy_from_slice(&number.to_le_bytes());
        self.since = Instant::now();
        self.received = 0;
        self.file.write_all(&self.sent)
    }

    /// Whether the answer is complete. Nothing comes after it, so this takes all that is there.
    fn receive(&mut self) -> io::Result<bool> {
        match self.file.read(&mut self.answer[self.received..]) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(n) => self.received += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.received < MESSAGE {
            return Ok(false);
        }
        if self.answer != self.sent {
            return Err(io::Error::other("the server sent back something else"));
        }
        Ok(true)
    }
}

fn connect(address: &Address) -> io::Result<OwnedFd> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream.into())
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Ok(stream.into())
        }
    }
}
