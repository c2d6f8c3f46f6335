//! What a client has sent and nobody has used yet.

use runtime::net::TcpStream;
use std::io::{self, Read};

/// Enough for a request of any browser; a longer head makes it grow.
const START: usize = 4096;

/// A buffer between the socket and the parser: filled at the end, used at the front.
#[derive(Debug)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// An empty one.
    pub fn new() -> Input {
        Input {
            bytes: vec![0; START],
            start: 0,
            end: 0,
        }
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `n` bytes have been used.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once, and returns how many bytes came; 0 is the end.
    ///
    /// The buffer doubles when what is there fills it, so it is at most twice what the parser
    /// tolerates as incomplete.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn fill(&mut self, mut stream: &TcpStream) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                self.bytes.resize(2 * self.bytes.len(), 0);
            }
        }
        let n = stream.read(&mut self.bytes[self.end..])?;
        self.end += n;
        Ok(n)
    }
}
