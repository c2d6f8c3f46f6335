//! Servers on tokio: a task for each connection; hyper for HTTP.

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;

use super::super::http;
use super::super::service::{self, Address, ECHO_BUFFER, SINK_BUFFER, Service};

pub(crate) fn serve(service: Service, procs: usize, address: &Address) -> io::Result<()> {
    let rt = Builder::new_multi_thread()
        .worker_threads(procs)
        .enable_all()
        .build()?;
    let address = address.clone();
    // In a task, because `block_on` itself runs on this thread and not on a worker.
    rt.block_on(rt.spawn(async move {
        if service == Service::EchoHog {
            tokio::spawn(async { service::compute_for_ever() });
        }
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                service::announce(listener.local_addr()?)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(connection(service, stream));
                }
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(&path)?;
                service::announce(path.display())?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(connection(service, stream));
                }
            }
        }
    }))
    .map_err(io::Error::other)?
}

/// A connection that breaks ends its task; the load knows about it.
async fn connection(service: Service, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = match service {
        Service::Echo | Service::EchoHog => echo(&mut stream).await,
        Service::Sink => sink(&mut stream).await,
        Service::Answer => answer(&mut stream).await,
        Service::Http => hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(respond))
            .await
            .map_err(io::Error::other),
    };
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = [0; ECHO_BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn sink(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; SINK_BUFFER];
    let mut count = 0u64;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.write_all(&count.to_le_bytes()).await,
            n => count += n as u64,
        }
    }
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.write_all(&byte).await
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match request.uri().path() {
        "/plaintext" => Response::new(Full::from(http::BODY)),
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    let text = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}
