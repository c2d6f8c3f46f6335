//! Servers on this runtime: a goroutine for each connection, which reads and writes as if it were
//! alone.

use std::io::{self, Read, Write};

use runtime::go;
use runtime::net::TcpListener;
use runtime::net::UnixListener;

use super::super::http;
use super::super::service::{self, Address, Service};

pub(crate) fn serve(service: Service, procs: usize, address: &Address) -> io::Result<()> {
    let rt = runtime::start(procs);
    rt.run(|| {
        if service == Service::EchoHog {
            go!(|| service::compute_for_ever());
        }
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                service::announce(listener.local_addr()?)?;
                for stream in listener.incoming() {
                    let mut stream = stream?;
                    stream.set_nodelay(true)?;
                    go!(move || connection(service, &mut stream));
                }
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                service::announce(path.display())?;
                for stream in listener.incoming() {
                    let mut stream = stream?;
                    go!(move || connection(service, &mut stream));
                }
            }
        }
        Ok(())
    })
}

/// A connection that breaks ends its goroutine; the load knows about it.
fn connection(service: Service, stream: &mut (impl Read + Write)) {
    let _ = match service {
        Service::Echo | Service::EchoHog => service::echo(stream),
        Service::Sink => service::sink(stream),
        Service::Answer => service::answer(stream),
        Service::Http => answer_requests(stream),
    };
}

/// One read and one write for a request (or for all that have come at once).
fn answer_requests(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut input = [0; http::BUFFER];
    let mut filled = 0;
    let mut output = Vec::with_capacity(http::BUFFER);
    loop {
        match stream.read(&mut input[filled..])? {
            0 => return Ok(()),
            n => filled += n,
        }
        let consumed = http::answer(&input[..filled], &mut output)?;
        input.copy_within(consumed..filled, 0);
        filled -= consumed;
        if !output.is_empty() {
            stream.write_all(&output)?;
            output.clear();
        }
    }
}
