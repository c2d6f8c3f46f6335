//! The HTTP server, asked by curl and by sockets that say exactly what they mean.

mod common;

use common::TempTree;
use common::served::{Served, curl, is_installed, response, rest};
use examples::httpd::Options;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn plain() -> Served {
    Served::http(Options::default())
}

#[test]
fn curl_gets_and_heads() {
    if !is_installed("curl") {
        return;
    }
    let served = plain();
    let text = curl(["--include", &served.url("/plaintext")]);
    let (line, headers, body) = response(&text);
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert_eq!(body, "Hello, World!");
    assert!(headers.contains("Content-Length: 13"), "{headers}");
    let date = headers.lines().find_map(|h| h.strip_prefix("Date: "));
    let date = httpdate::parse_http_date(date.expect("a date")).expect("of the usual form");
    assert!(date.elapsed().unwrap_or_default() < Duration::from_secs(60));

    let text = curl(["--head", &served.url("/plaintext")]);
    let (line, headers, body) = response(&text);
    assert_eq!((line, body), ("HTTP/1.1 200 OK", ""));
    assert!(headers.contains("Content-Length: 13"), "{headers}");
    assert!(curl(["--include", "--http1.0", &served.url("/")]).ends_with("Hello, World!"));
    served.stop();
}

#[test]
fn curl_keeps_a_connection() {
    if !is_installed("curl") {
        return;
    }
    let served = plain();
    let url = served.url("/plaintext");
    let connects = curl(["--write-out", " %{num_connects};", &url, &url, &url]);
    assert_eq!(connects, "Hello, World! 1;Hello, World! 0;Hello, World! 0;");
    served.stop();
}

#[test]
fn bodies_come_back() {
    if !is_installed("curl") {
        return;
    }
    let served = plain();
    let echo = served.url("/echo");
    assert_eq!(curl(["--data-binary", "hello", &echo]), "hello");
    let chunked = ["--header", "Transfer-Encoding: chunked"];
    assert_eq!(
        curl(chunked.into_iter().chain(["--data-binary", "hello", &echo])),
        "hello"
    );
    // This much makes curl ask first.
    let tree = TempTree::new();
    let large = "0123456789".repeat(100_000);
    let file = format!("@{}", tree.file("large", &large).display());
    let expect = [
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "20",
    ];
    for how in [&expect[..], &[&expect[..], &chunked[..]].concat()] {
        let how = how.iter().copied();
        assert!(curl(how.chain(["--data-binary", &file, &echo])) == large);
    }
    served.stop();
}

#[test]
fn a_client_that_waits_is_told_to_continue_only_where_the_body_is_wanted() {
    let served = plain();
    let head = "Host: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = served.connect();
    write!(stream, "POST /echo HTTP/1.1\r\n{head}").unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    write!(
        stream,
        "helloGET /plaintext HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let text = rest(&mut stream);
    assert!(text.contains("\r\n\r\nhelloHTTP/1.1 200 OK"), "{text}");

    let text = served.exchange(format!("POST /plaintext HTTP/1.1\r\n{head}"));
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    served.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let served = plain();
    let mut all = String::new();
    for n in 0..1000 {
        let body = format!("number {n}");
        all += &format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        all += "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
    }
    let text = served.exchange(all);
    let bodies: Vec<_> = text
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|part| part.split_once("\r\n\r\n").expect("a head").1)
        .collect();
    assert_eq!(bodies.len(), 2000);
    for (n, pair) in bodies.chunks(2).enumerate() {
        assert_eq!(pair, [&format!("number {n}"), "Hello, World!"]);
    }
    served.stop();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let served = plain();
    let mut stream = served.connect();
    stream.set_nodelay(true).unwrap();
    let request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                   Connection: close\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    for byte in request.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let text = rest(&mut stream);
    assert!(text.ends_with("\r\n\r\nabcde"), "{text}");
    served.stop();
}

#[test]
fn old_clients_get_one_answer_unless_they_ask_for_more() {
    let served = plain();
    let request = "GET /plaintext HTTP/1.0\r\n\r\n";
    let text = served.exchange(request.repeat(2));
    assert_eq!(text.matches("Hello, World!").count(), 1, "{text}");
    let request = "GET /plaintext HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    let text = served.exchange(request.repeat(2));
    assert_eq!(text.matches("Hello, World!").count(), 2, "{text}");
    assert_eq!(text.matches("Connection: keep-alive").count(), 2, "{text}");
    served.stop();
}

#[test]
fn sleepers_do_not_hold_each_other_up() {
    if !is_installed("curl") {
        return;
    }
    let served = plain();
    let begin = Instant::now();
    let all: Vec<_> = (0..8)
        .map(|_| {
            let url = served.url("/sleep?ms=300");
            thread::spawn(move || curl([&*url]))
        })
        .collect();
    for one in all {
        assert_eq!(one.join().unwrap(), "That was a good sleep.\n");
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_millis(8 * 300), "{took:?}");
    for bad in ["/sleep", "/sleep?ms=", "/sleep?ms=x", "/sleep?ms=60001"] {
        assert!(curl(["--include", &served.url(bad)]).starts_with("HTTP/1.1 400 "));
    }
    served.stop();
}

#[test]
fn a_shutdown_finishes_what_has_begun() {
    let served = plain();
    let mut idle = served.connect();
    let mut used = served.connect();
    write!(used, "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 15];
    used.read_exact(&mut first).unwrap();
    let mut busy = served.connect();
    write!(busy, "GET /sleep?ms=700 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(200));
    served.ask_to_end();
    // Idle ones end at once,
    let begin = Instant::now();
    assert_eq!(rest(&mut idle), "");
    assert!(rest(&mut used).ends_with("Hello, World!"));
    assert!(
        begin.elapsed() < Duration::from_millis(450),
        "{:?}",
        begin.elapsed()
    );
    // the request is answered, and the client told that it was the last.
    let text = rest(&mut busy);
    assert!(text.contains("Connection: close\r\n"), "{text}");
    assert!(text.ends_with("That was a good sleep.\n"), "{text}");
    let addr = served.addr;
    assert_eq!(served.ended().cut, 0);
    assert!(
        std::net::TcpStream::connect(addr).is_err(),
        "it still listens"
    );
}

#[test]
fn a_shutdown_waits_no_longer_than_its_grace() {
    let served = Served::http(Options {
        grace: Duration::from_millis(200),
        ..Options::default()
    });
    let mut slow = served.connect();
    write!(
        slow,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    )
    .unwrap();
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    assert_eq!(served.stop().cut, 1);
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(rest(&mut slow), "");
}

#[test]
fn who_may_sees_inside() {
    if !is_installed("curl") {
        return;
    }
    let served = plain();
    let text = curl(["--include", &served.url("/debug/goroutines")]);
    assert_eq!(response(&text).0, "HTTP/1.1 404 Not Found");
    served.stop();
    let served = Served::http(Options {
        debug: true,
        ..Options::default()
    });
    let goroutines = curl(["--silent", &served.url("/debug/goroutines")]);
    assert!(
        goroutines.contains("[IO wait]:\n    on fd "),
        "{goroutines}"
    );
    assert!(goroutines.contains("examples::"), "{goroutines}");
    let metrics = curl(["--silent", &served.url("/debug/metrics")]);
    assert!(
        metrics.contains("# TYPE weft_goroutines gauge\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("weft_parks_total{runtime=\"weft\",reason=\"IO wait\"} "),
        "{metrics}"
    );
    let grouped = curl(["--silent", &served.url("/debug/goroutines/grouped")]);
    assert!(grouped.starts_with("goroutines: total "), "{grouped}");
    let json = curl(["--silent", &served.url("/debug/goroutines.json")]);
    assert!(
        json.starts_with("{\"runtime\":\"weft\",\"goroutines\":["),
        "{json}"
    );
    assert_eq!(curl(["--silent", &served.url("/debug/leaks")]), "0 found\n");
    assert!(curl(["--include", &served.url("/debug/nothing")]).contains(" 404 "));
    served.stop();
}

#[test]
fn wrk_finds_no_error() {
    if !is_installed("wrk") {
        return;
    }
    let served = plain();
    let url = served.url("/plaintext");
    let out = common::run_command(Command::new("wrk").args([
        "--threads=2",
        "--connections=64",
        "--duration=2s",
        &url,
    ]))
    .expect_code(0)
    .stdout;
    assert!(
        !out.contains("Socket errors") && !out.contains("Non-2xx"),
        "{out}"
    );
    let requests = out
        .lines()
        .find_map(|l| l.trim().split_once(" requests in "));
    let requests: u64 = requests.expect("a count").0.parse().expect("a number");
    assert!(requests > 1000, "{out}");
    assert_eq!(served.stop().cut, 0);
}
