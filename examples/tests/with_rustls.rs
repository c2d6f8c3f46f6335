//! A blocking-style TLS library on goroutines: `rustls` as client and as server, with a certificate made
//! here, over our streams.

use runtime::go;
use runtime::net::{TcpListener, TcpStream};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// TLS on a stack of 256 KiB has room enough; in debug builds frames are larger.
const STACK: usize = 512 << 10;

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(cert.signing_key.serialize_der()).into();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.cert.der().clone()).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn connect(config: &Arc<ClientConfig>, addr: std::net::SocketAddr) -> impl Read + Write {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    StreamOwned::new(connection, stream)
}

#[test]
fn many_clients_talk_to_a_server_of_goroutines() {
    let (server_config, client_config) = configs();
    for procs in [1, 2, 4, 8] {
        let (server_config, client_config) = (server_config.clone(), client_config.clone());
        let rt = runtime::Builder::new()
            .procs(procs)
            .stack_size(STACK)
            .build()
            .unwrap();
        rt.run(move || {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let addr = listener.local_addr().unwrap();
            let l = listener.clone();
            let server = go!(move || {
                for stream in l.incoming() {
                    let Ok(stream) = stream else { break };
                    let config = server_config.clone();
                    go!(move || {
                        let connection = ServerConnection::new(config).unwrap();
                        let mut tls = StreamOwned::new(connection, stream);
                        let mut buf = [0; 4096];
                        while let Ok(n) = tls.read(&mut buf) {
                            if n == 0 || tls.write_all(&buf[..n]).is_err() {
                                break;
                            }
                        }
                    });
                }
            });
            let clients: Vec<_> = (0..20u8)
                .map(|i| {
                    let config = client_config.clone();
                    go!(move || {
                        let mut tls = connect(&config, addr);
                        for round in 1..20 {
                            let sent = vec![i; round * 777];
                            let mut back = vec![0; sent.len()];
                            tls.write_all(&sent).unwrap();
                            tls.read_exact(&mut back).unwrap();
                            assert_eq!(sent, back);
                        }
                    })
                })
                .collect();
            clients.into_iter().for_each(|h| h.join().unwrap());
            listener.close();
            server.join().unwrap();
        });
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let ((server_config, _), (_, wrong_client)) = (configs(), configs());
    let rt = runtime::Builder::new()
        .procs(2)
        .stack_size(STACK)
        .build()
        .unwrap();
    rt.run(move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = go!(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(server_config).unwrap(), stream);
            tls.read(&mut [0]).unwrap_err()
        });
        let e = connect(&wrong_client, addr)
            .write_all(b"hello")
            .unwrap_err();
        assert!(e.to_string().contains("certificate"), "{e}");
        server.join().unwrap();
    });
}
