//! What the servers under load do, and what they share: where they listen, how they say that they
//! do, and how they end. `go/net.go` has the same of it.
//!
//! A server listens where it is told to, prints `listening ADDRESS` and serves until its standard
//! input ends. So it never outlives the process that started it, however that one ends.

use std::fmt::{self, Display};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::Peer;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Sends back what it receives.
    Echo,
    /// As `Echo`, while something beside it computes without end.
    EchoHog,
    /// Counts bytes until the other side ends, and answers by their number.
    Sink,
    /// Sends back one byte and closes the connection.
    Answer,
    /// Answers requests by HTTP.
    Http,
}

impl Service {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::EchoHog => "echo-hog",
            Service::Sink => "sink",
            Service::Answer => "answer",
            Service::Http => "http",
        }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path, by which a Unix socket is reached.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if text.starts_with('/') {
            return Ok(Address::Unix(text.into()));
        }
        let error = |_| format!("neither a path nor an address: {text}");
        text.parse().map(Address::Tcp).map_err(error)
    }
}

impl Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(formatter),
            Address::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// Marks the line by which a server says where it listens.
pub const LISTENING: &str = "listening ";

/// How much an echo reads at once.
pub(super) const ECHO_BUFFER: usize = 512;

/// How much a sink reads at once.
pub(super) const SINK_BUFFER: usize = 64 * 1024;

/// Serves as a Rust peer until standard input ends.
pub fn serve(peer: Peer, service: Service, procs: usize, address: &Address) -> io::Result<()> {
    std::thread::spawn(|| {
        // Whatever ends it, it ends.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0)
    });
    match peer {
        Peer::Weft => super::weft::net::serve(service, procs, address),
        Peer::Tokio => super::tokio::net::serve(service, procs, address),
        Peer::Floor => super::floor::serve(service, address),
        _ => Err(io::Error::other("this peer is no server")),
    }
}

/// Says where the server listens.
pub(super) fn announce(address: impl Display) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{LISTENING}{address}")?;
    output.flush()
}

/// Sends back what comes.
pub(super) fn echo(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut buffer = [0; ECHO_BUFFER];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

/// Counts what comes.
pub(super) fn sink(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut buffer = vec![0; SINK_BUFFER];
    let mut count = 0u64;
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(&count.to_le_bytes()),
            n => count += n as u64,
        }
    }
}

/// Sends back one byte.
pub(super) fn answer(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    stream.write_all(&byte)
}

/// Computes for ever, without a call of any runtime.
pub(super) fn compute_for_ever() -> ! {
    let mut sum = 0u64;
    loop {
        sum = black_box(sum.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Service};
    use clap::ValueEnum;

    #[test]
    fn names_are_those_of_the_command_line() {
        for service in Service::value_variants() {
            assert_eq!(Service::from_str(service.name(), false), Ok(*service));
        }
    }

    #[test]
    fn an_address_survives_the_command_line() {
        for text in ["127.0.0.1:80", "[::1]:0", "/tmp/socket"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert!("localhost".parse::<Address>().is_err());
    }
}
