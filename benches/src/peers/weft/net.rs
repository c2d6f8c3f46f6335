//! Servers on this runtime: a goroutine for each connection, which reads and writes as if it were
//! alone. HTTP is that of the examples.

use std::io::{self, Read, Write};

use channels::never;
use examples::httpd;
use runtime::go;
use runtime::net::TcpListener;
use runtime::net::UnixListener;

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
                if service == Service::Http {
                    httpd::serve(&listener, &never(), httpd::Options::default())?;
                    return Ok(());
                }
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
        Service::Http => Err(io::Error::other("the examples have a server of their own")),
    };
}
