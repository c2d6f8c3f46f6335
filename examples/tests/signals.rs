//! The servers' programs, ended by signals: politely by the first, at once by the second.

mod common;

use common::TempTree;
use common::program::Server;
use common::served::rest;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn httpd_finishes_what_it_began() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(env!("CARGO_BIN_EXE_httpd"), &["--listen=127.0.0.1:0"]);
        let mut idle = server.connect();
        let mut busy = server.connect();
        write!(busy, "GET /sleep?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        thread::sleep(Duration::from_millis(150));
        server.signal(signal);
        assert_eq!(rest(&mut idle), "");
        assert!(rest(&mut busy).ends_with("That was a good sleep.\n"));
        assert!(server.ended().success());
    }
}

#[test]
fn who_asks_twice_does_not_want_to_wait() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_httpd"), &["--listen=127.0.0.1:0"]);
    let mut busy = server.connect();
    let mut idle = server.connect();
    write!(busy, "GET /sleep?ms=50000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    server.signal("-INT");
    // The first has been seen when idle connections end.
    assert_eq!(rest(&mut idle), "");
    let begin = Instant::now();
    server.signal("-INT");
    assert!(!server.ended().success());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_had_to_cut_off_says_so() {
    let args = ["--listen=127.0.0.1:0", "--grace=0"];
    let mut server = Server::start(env!("CARGO_BIN_EXE_httpd"), &args);
    let mut busy = server.connect();
    write!(
        busy,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    )
    .unwrap();
    thread::sleep(Duration::from_millis(100));
    server.signal("-TERM");
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn all_servers_end() {
    let listen = "--listen=127.0.0.1:0";
    let mut echo = Server::start(env!("CARGO_BIN_EXE_echo"), &[listen]);
    let mut proxy = Server::start(env!("CARGO_BIN_EXE_proxy"), &[listen, &echo.addr]);
    let mut chat = Server::start(env!("CARGO_BIN_EXE_chat"), &[listen]);
    let mut websocket = Server::start(env!("CARGO_BIN_EXE_websocket"), &["serve", listen]);
    let mut through = proxy.connect();
    through.write_all(b"hello").unwrap();
    let mut five = [0; 5];
    through.read_exact(&mut five).unwrap();
    let mut guest = chat.connect();
    for server in [&mut proxy, &mut chat, &mut websocket, &mut echo] {
        server.signal("-TERM");
        assert!(server.ended().success());
    }
    assert_eq!(rest(&mut through), "");
    assert_eq!(rest(&mut guest), "Your name?\n");
}

#[test]
fn a_unix_socket_leaves_nothing_behind() {
    let tree = TempTree::new();
    let path = tree.join("socket");
    let args = ["--unix", path.to_str().unwrap()];
    let mut server = Server::start(env!("CARGO_BIN_EXE_echo"), &args);
    assert!(path.exists());
    server.signal("-TERM");
    assert!(server.ended().success());
    assert!(!path.exists());
}
