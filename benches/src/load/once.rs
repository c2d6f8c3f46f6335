//! Connections that are made for one thing: a long stream, or one byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;
use crate::epoll::Epoll;
use crate::peers::service::Address;

const MIB: usize = 1 << 20;

/// How much of a stream is written at once.
const CHUNK: usize = 64 * 1024;

/// How many connections there are at once where each is answered by a byte.
const VISITS: usize = 16;

fn tcp(address: &Address) -> io::Result<SocketAddr> {
    match address {
        Address::Tcp(address) => Ok(*address),
        Address::Unix(_) => Err(io::Error::other("this load goes by TCP")),
    }
}

/// Sends `size` MiB and waits until the server has counted them.
pub(super) fn stream(address: &Address, size: usize) -> io::Result<usize> {
    let mut stream = TcpStream::connect(tcp(address)?)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let chunk = vec![1; CHUNK];
    for _ in 0..size * MIB / CHUNK {
        stream.write_all(&chunk)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    stream.read_exact(&mut count)?;
    if u64::from_le_bytes(count) != (size * MIB) as u64 {
        return Err(io::Error::other("the server has lost bytes"));
    }
    Ok(size)
}

/// Connections that send a byte, get it back and are closed.
#[derive(Debug)]
pub(super) struct Visits {
    address: SocketAddr,
    epoll: Epoll,
    ready: Vec<u64>,
    open: [Option<TcpStream>; VISITS],
}

impl Visits {
    pub fn new(address: &Address) -> io::Result<Visits> {
        Ok(Visits {
            address: tcp(address)?,
            epoll: Epoll::new()?,
            ready: Vec::new(),
            open: Default::default(),
        })
    }

    /// Makes `n` visits.
    pub fn pass(&mut self, n: usize) -> io::Result<usize> {
        let mut made = 0;
        for at in 0..VISITS.min(n) {
            self.make(at)?;
            made += 1;
        }
        let mut answered = 0;
        while answered < n {
            self.epoll.wait(&mut self.ready, Some(PATIENCE))?;
            if self.ready.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for at in std::mem::take(&mut self.ready) {
                let at = at as usize;
                let Some(stream) = &mut self.open[at] else {
                    continue;
                };
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) if byte == [b'a' + at as u8] => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Ok(_) => return Err(io::Error::other("a wrong answer")),
                    Err(error) => return Err(error),
                }
                // Closed by a reset, so that no port stays taken for a minute.
                self.open[at] = None;
                answered += 1;
                if made < n {
                    self.make(at)?;
                    made += 1;
                }
            }
        }
        Ok(n)
    }

    fn make(&mut self, at: usize) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.set_nonblocking(true)?;
        self.epoll.add(&stream, at as u64)?;
        stream.write_all(&[b'a' + at as u8])?;
        self.open[at] = Some(stream);
        Ok(())
    }
}
