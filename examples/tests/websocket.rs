//! WebSockets: our client and our server, and tungstenite's own client on a plain thread.

mod common;

use common::served::{PATIENCE, Served};
use examples::serve::serve;
use examples::websocket::{Peer, Room, talk};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket, client};

fn server(kept: usize) -> Served {
    Served::start(move |listener, shutdown| {
        let room = Room::new(kept);
        serve(listener, shutdown, PATIENCE, |stream| {
            Peer::new(stream, Arc::clone(&room))
        })
    })
}

fn open(served: &Served, path: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{}{path}", served.addr);
    client(url, served.connect()).expect("a handshake").0
}

#[track_caller]
fn hears(socket: &mut WebSocket<TcpStream>, expected: &str) {
    let message = socket.read().unwrap();
    assert_eq!(message, Message::text(expected));
}

/// The code of the server's close, and that the conversation ends with it.
fn close_code(socket: &mut WebSocket<TcpStream>) -> CloseCode {
    let code = loop {
        match socket.read().unwrap() {
            Message::Close(close) => break close.expect("a reason").code,
            _ => continue,
        }
    };
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    code
}

#[test]
fn echo_of_all_kinds() {
    let served = server(16);
    let mut socket = open(&served, "/echo");
    socket.send(Message::text("hello")).unwrap();
    hears(&mut socket, "hello");
    let large: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
    socket.send(Message::binary(large.clone())).unwrap();
    assert!(socket.read().unwrap() == Message::binary(large));
    socket.send(Message::Ping("x".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("x".into()));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn broadcasts_reach_all() {
    let served = server(16);
    let mut all: Vec<_> = (0..5).map(|_| open(&served, "/broadcast")).collect();
    // Who has heard itself is known to the room.
    for i in 0..5 {
        all[i].send(Message::text(format!("{i} is here"))).unwrap();
        for socket in &mut all[..=i] {
            loop {
                if socket.read().unwrap() == Message::text(format!("{i} is here")) {
                    break;
                }
            }
        }
    }
    let mut other = open(&served, "/echo");
    other.send(Message::text("to me")).unwrap();
    hears(&mut other, "to me");
    drop(other);
    all[2].send(Message::text("to all")).unwrap();
    for socket in &mut all {
        loop {
            if socket.read().unwrap() == Message::text("to all") {
                break;
            }
        }
    }
    assert!(
        served
            .stop_with(all)
            .iter()
            .all(|&code| code == CloseCode::Away)
    );
}

trait StopWith {
    fn stop_with(self, sockets: Vec<WebSocket<TcpStream>>) -> Vec<CloseCode>;
}

impl StopWith for Served {
    /// A shutdown tells everybody, and waits until they agree.
    fn stop_with(self, mut sockets: Vec<WebSocket<TcpStream>>) -> Vec<CloseCode> {
        self.ask_to_end();
        let codes = sockets.iter_mut().map(close_code).collect();
        drop(sockets);
        assert_eq!(self.ended().cut, 0);
        codes
    }
}

#[test]
fn who_does_not_listen_is_cut_off() {
    let served = server(4);
    let mut loud = open(&served, "/broadcast");
    loud.send(Message::text("first")).unwrap();
    hears(&mut loud, "first");
    let mut deaf = open(&served, "/broadcast");
    deaf.send(Message::text("second")).unwrap();
    hears(&mut loud, "second");
    let text = "x".repeat(100_000);
    for _ in 0..500 {
        loud.send(Message::text(text.clone())).unwrap();
        hears(&mut loud, &text);
    }
    // Less than all of it has come, and then the end.
    let mut heard = 0;
    while deaf.read().is_ok() {
        heard += 1;
    }
    assert!(heard < 501, "{heard}");
    loud.close(None).unwrap();
    assert!(matches!(loud.read(), Ok(Message::Close(_))));
    drop(loud);
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn those_who_break_the_rules_are_told_so() {
    let served = server(4);
    let mut socket = open(&served, "/echo");
    socket.get_mut().write_all(b"\x81\x05hello").unwrap(); // not masked
    assert_eq!(close_code(&mut socket), CloseCode::Protocol);
    let mut socket = open(&served, "/echo");
    socket.get_mut().write_all(b"\x81\x81\0\0\0\0\xff").unwrap(); // not UTF-8
    let code = close_code(&mut socket);
    assert!(
        matches!(code, CloseCode::Invalid | CloseCode::Protocol),
        "{code:?}"
    );
    let mut socket = open(&served, "/echo");
    // A header of two megabytes.
    socket
        .get_mut()
        .write_all(b"\x82\xff\0\0\0\0\0\x20\0\0\0\0\0\0")
        .unwrap();
    assert_eq!(close_code(&mut socket), CloseCode::Size);

    let text = served.exchange("GET /none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    for noise in ["", "\0\0\0\0", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"] {
        served.exchange(noise);
    }
    let mut socket = open(&served, "/echo");
    socket.send(Message::text("goes on")).unwrap();
    hears(&mut socket, "goes on");
    drop(socket);
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn our_client_talks_to_our_server() {
    let served = server(64);
    let url = format!("ws://{}/echo", served.addr);
    let heard = runtime::start(2).run(|| {
        let (say, said) = channels::bounded(0);
        let heard = Mutex::new(Vec::new());
        runtime::scope(|s| {
            s.spawn(move || {
                for i in 0..100 {
                    say.send(format!("message {i}")).unwrap();
                }
            });
            talk(&url, &said, |message| heard.lock().unwrap().push(message)).unwrap();
        });
        heard.into_inner().unwrap()
    });
    let expected: Vec<_> = (0..100)
        .map(|i| Message::text(format!("message {i}")))
        .collect();
    assert_eq!(heard, expected);
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn the_client_program_sends_lines_and_ends_with_its_server() {
    let served = server(64);
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_websocket"))
            .args(["connect", &format!("ws://{}/echo", served.addr)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut client = start();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    drop(input);
    let out = client.wait_with_output().unwrap();
    assert!(out.status.success());
    assert_eq!(String::from_utf8_lossy(&out.stdout), "one\ntwo\n");
    // This one does not end by itself.
    let mut client = start();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let mut four = [0; 4];
    client.stdout.take().unwrap().read_exact(&mut four).unwrap();
    assert_eq!(served.stop().cut, 0);
    let begin = std::time::Instant::now();
    while client.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            client.kill().unwrap();
            panic!("it goes on without a server");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn many_small_messages_at_once_cut_nobody_off() {
    let served = server(16);
    let mut all = Vec::new();
    for i in 0..4 {
        all.push(open(&served, "/broadcast"));
        all[i].send(Message::text("here")).unwrap();
        for socket in &mut all {
            hears(socket, "here");
        }
    }
    let small = b"\x81\x81\0\0\0\0x".repeat(300);
    all[0].get_mut().write_all(&small).unwrap();
    for socket in &mut all {
        for _ in 0..300 {
            hears(socket, "x");
        }
    }
    served.stop_with(all);
}
