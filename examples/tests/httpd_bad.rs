//! What clients must not do to the HTTP server: each gets its refusal or a close, and the server
//! goes on.

mod common;

use common::TempTree;
use common::program::Server;
use common::served::{PATIENCE, Served, rest, take_panics, up_to};
use examples::httpd::{Limits, Options};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn served() -> Served {
    Served::http(Options {
        limits: Limits {
            head_time: Duration::from_millis(500),
            body_time: Duration::from_millis(500),
            ..Limits::default()
        },
        ..Options::default()
    })
}

/// The codes of all responses in an answer.
fn codes(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .map(|part| &part[..3])
        .collect()
}

/// The request is refused with this code, and nothing after it is answered.
#[track_caller]
fn refused(served: &Served, request: impl AsRef<[u8]>, code: &str) {
    let mut bytes = request.as_ref().to_vec();
    bytes.extend_from_slice(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = served.exchange(&bytes);
    let request = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    assert_eq!(codes(&text), [code], "{request:?} was answered by {text:?}");
    assert!(text.contains("Connection: close\r\n"), "{text}");
}

/// The server answers others, and has not panicked.
#[track_caller]
fn goes_on(served: Served) {
    let text = served.exchange("GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(text.ends_with("Hello, World!"), "{text}");
    assert_eq!(served.stop().cut, 0);
    assert_eq!(take_panics(), [""; 0]);
}

#[test]
fn malformed_heads() {
    let served = served();
    for bad in [
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / \r\n\r\n",
        " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET plaintext HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTPP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.x\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nName : space\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\u{e4}T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
    ] {
        refused(&served, bad, "400");
    }
    goes_on(served);
}

#[test]
fn methods_versions_and_expectations_that_are_not_known() {
    let served = served();
    refused(&served, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "501");
    refused(&served, "get / HTTP/1.1\r\nHost: x\r\n\r\n", "501");
    refused(&served, "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505");
    refused(&served, "GET / HTTP/0.9\r\n\r\n", "505");
    refused(&served, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505");
    refused(
        &served,
        "GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n",
        "417",
    );
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    for method in [
        "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POST",
    ] {
        let text = served.exchange(format!("{method} /plaintext HTTP/1.1\r\n{close}"));
        assert_eq!(codes(&text), ["405"], "{text}");
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"), "{text}");
    }
    let text = served.exchange(format!("GET /echo HTTP/1.1\r\n{close}"));
    assert!(text.contains("\r\nAllow: POST\r\n"), "{text}");
    let text = served.exchange(format!("OPTIONS * HTTP/1.1\r\n{close}"));
    assert_eq!(codes(&text), ["405"], "{text}");
    // These are unusual, and right.
    let text = served.exchange(format!(
        "\r\n\r\nGET http://a/plaintext HTTP/1.1\r\n{close}"
    ));
    assert_eq!(codes(&text), ["200"], "{text}");
    goes_on(served);
}

#[test]
fn what_is_too_large() {
    let served = served();
    let long = "x".repeat(9 * 1024);
    refused(
        &served,
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        "414",
    );
    refused(&served, format!("GET /{}", long.repeat(10)), "414");
    refused(&served, "x".repeat(1_000_000), "414");
    let head = "GET / HTTP/1.1\r\nHost: x\r\n";
    refused(
        &served,
        format!("{head}A: {}\r\n\r\n", long.repeat(2)),
        "431",
    );
    refused(&served, format!("{head}A: {}", long.repeat(30)), "431");
    refused(
        &served,
        format!("{head}{}\r\n", "A: b\r\n".repeat(65)),
        "431",
    );
    refused(
        &served,
        format!("{head}{}\r\n", "A: b\r\n".repeat(100_000)),
        "431",
    );
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
    for length in ["1048577", "99999999999999", "18446744073709551616"] {
        refused(
            &served,
            format!("{post}Content-Length: {length}\r\n\r\n"),
            "413",
        );
    }
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    refused(&served, format!("{chunked}100001\r\n"), "413");
    refused(&served, format!("{chunked}fffffffffffffffff\r\n"), "413");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    refused(&served, format!("{chunked}{}", chunk.repeat(300)), "413");
    refused(&served, format!("{chunked}{}", "0".repeat(5000)), "431");
    refused(&served, format!("{chunked}1;{long}\r\n"), "431");
    refused(&served, format!("{chunked}0\r\nA: {long}\r\n\r\n"), "431");
    // What just fits is taken.
    let fits = "x".repeat(8 * 1024 - 100);
    let text = served.exchange(format!(
        "GET /{fits} HTTP/1.1\r\nHost: x\r\nA: {fits}\r\n\r\n"
    ));
    assert_eq!(codes(&text), ["404"]);
    let body = "x".repeat(1024 * 1024);
    let text = served.exchange(format!("{post}Content-Length: 1048576\r\n\r\n{body}"));
    assert!(text.ends_with(&body));
    goes_on(served);
}

#[test]
fn smuggling() {
    let served = served();
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
    for bad in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 5\r\n Content-Length: 6",
        "Content-Length : 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\u{b}: chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        refused(&served, format!("{post}{bad}\r\n\r\n0\r\n\r\n"), "400");
    }
    refused(
        &served,
        format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"),
        "501",
    );
    let old = "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(&served, old, "400");
    goes_on(served);
}

#[test]
fn bad_chunks() {
    let served = served();
    let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in [
        "\r\n",
        "x\r\n",
        "5 \r\nhello\r\n",
        " 5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloworld\r\n",
        ";a\r\nhello\r\n",
        "5;a\nb\r\nhello\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\n",
        "-1\r\n",
    ] {
        refused(&served, format!("{chunked}{bad}"), "400");
    }
    goes_on(served);
}

/// Between requests a client may be quiet for so long; then it is gone, without an answer to nothing.
#[test]
fn who_asks_for_nothing_more_is_let_go() {
    const IDLE: Duration = Duration::from_millis(500);
    let served = Served::http(Options {
        limits: Limits {
            idle_time: IDLE,
            ..Limits::default()
        },
        ..Options::default()
    });
    let mut stream = served.connect();
    for _ in 0..2 {
        thread::sleep(IDLE / 10);
        stream
            .write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        up_to(&mut stream, b"Hello, World!");
    }
    let begin = Instant::now();
    assert_eq!(rest(&mut stream), "");
    // From when it has answered, which is a little before we have read the answer.
    assert!(begin.elapsed() >= IDLE / 2, "{:?}", begin.elapsed());
    goes_on(served);
}

#[test]
fn slow_clients_are_told_so() {
    let served = served();
    // One that says nothing more, and one that sends a byte now and then.
    for head in [
        "GET /plaintext HTTP/1.1\r\nHost",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx",
    ] {
        let begin = Instant::now();
        let mut silent = served.connect();
        write!(silent, "{head}").unwrap();
        let mut slow = served.connect();
        write!(slow, "{head}").unwrap();
        let mut dripping = slow.try_clone().unwrap();
        let drips = thread::spawn(move || {
            for _ in 0..100 {
                thread::sleep(Duration::from_millis(50));
                match dripping.write_all(b"x") {
                    Ok(()) => {}
                    Err(e)
                        if matches!(
                            e.kind(),
                            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                        ) =>
                    {
                        return;
                    }
                    Err(e) => panic!("{e}"),
                }
            }
            panic!("the server has all the time of the world");
        });
        assert_eq!(codes(&rest(&mut silent)), ["408"]);
        assert_eq!(codes(&rest(&mut slow)), ["408"]);
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        drips.join().unwrap();
    }
    goes_on(served);
}

#[test]
fn clients_that_vanish() {
    let served = served();
    for begun in [
        "",
        "GET",
        "GET / HTTP/1.1\r\n",
        "GET /sleep?ms=50 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        for _ in 0..5 {
            let mut stream = served.connect();
            write!(stream, "{begun}").unwrap();
        }
    }
    goes_on(served);
}

#[test]
fn who_does_not_take_a_response_gets_no_other_bytes_into_it() {
    let tree = TempTree::new();
    let large: Vec<u8> = (0..12_000_000u32).map(|i| (i % 251) as u8).collect();
    tree.file("large.bin", &large);
    let served = Served::http(Options {
        root: Some(tree.to_path_buf()),
        limits: Limits {
            write_time: Duration::from_millis(100),
            ..Limits::default()
        },
        ..Options::default()
    });
    let mut stream = served.connect();
    write!(stream, "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(400));
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got); // a reset is right
    let head = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let body = &got[head..];
    assert!(body.len() < large.len(), "the system keeps all of it");
    assert!(large.starts_with(body), "{} bytes", body.len());
    goes_on(served);
}

/// The CPU time that a process has used, of all its threads.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field, a name in brackets, may contain anything.
    let (_, after) = stat.rsplit_once(')').unwrap();
    let ticks = after.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

#[test]
fn a_server_without_files_left_waits_for_some_and_does_not_spin() {
    const FILES: usize = 40;
    let tree = TempTree::new();
    let said = tree.join("stderr");
    let limited = format!(r#"ulimit -n {FILES} && exec "$0" --listen=127.0.0.1:0"#);
    let server = Server::start_command(
        Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_httpd")])
            // Not a pipe: a full one would stop a server that spins.
            .stderr(File::create(&said).unwrap()),
    );
    let pid = server.child.id();
    let complaints = || {
        let said = fs::read_to_string(&said).unwrap();
        said.matches("cannot accept").count()
    };
    let begin = Instant::now();
    // Those that it cannot take, the system keeps for it.
    let mut clients: Vec<_> = (0..FILES).map(|_| server.connect()).collect();
    while complaints() == 0 {
        assert!(begin.elapsed() < PATIENCE, "it takes them all");
        thread::sleep(Duration::from_millis(5));
    }

    let before = cpu_time(pid);
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time(pid) - before;
    assert!(used < Duration::from_millis(300), "{used:?} in a second");
    // The pauses grow from 5 ms to a second.
    let (complaints, seconds) = (complaints(), begin.elapsed().as_secs());
    assert!(complaints as u64 <= 9 + seconds, "{complaints} times");

    let get = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
    // Who was let in is served.
    let first = &mut clients[0];
    first.write_all(get.as_bytes()).unwrap();
    up_to(first, b"Hello, World!");
    drop(clients);
    let mut late = server.connect();
    late.write_all(get.as_bytes()).unwrap();
    late.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(rest(&mut late).ends_with("Hello, World!"));
}
