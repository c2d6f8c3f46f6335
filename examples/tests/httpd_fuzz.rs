//! The parsers of the HTTP server, and the server itself, with requests that chance has made or
//! spoilt. A few seconds; a minute with `WEFT_STRESS` set.

mod common;

use common::served::Served;
use examples::httpd::{Decoder, Framing, Limits, Options, parse};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::env;
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Tries values until the time is over.
fn for_a_while<S>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S: Strategy,
    S::Value: Debug,
{
    let time = match env::var_os("WEFT_STRESS") {
        Some(_) => Duration::from_secs(60),
        None => Duration::from_secs(3),
    };
    let begin = Instant::now();
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    while begin.elapsed() < time {
        if let Err(e) = runner.run(&strategy, &test) {
            panic!("{e}");
        }
    }
}

/// Parts that requests are made of, good and bad.
const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "PUT ",
    "BREW ",
    "/",
    "/plaintext",
    "/echo",
    "/sleep?ms=1",
    "*",
    "?",
    "http://x/",
    "://",
    "%2e%2e",
    " ",
    "\t",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/2.0",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "Host: x\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: ",
    "0",
    "5",
    "99999",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Range: bytes=0-\r\n",
    "Range:\r\n",
    "If-Modified-Since:\r\n",
    "A:",
    ":",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    ";x=y",
    "\0",
    "\u{ff}",
];

fn words() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(WORDS), 0..24)
        .prop_map(|words| words.concat().into_bytes())
}

/// A good request that was changed in a few places.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let good = prop::sample::select(vec![
        "GET /plaintext?a=b HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\nAccept: */*\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;a=b\r\nhello\r\na\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nRange: bytes=1-2\r\n\r\n",
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 0..5);
    (good, changes).prop_map(|(good, changes)| {
        let mut bytes = good.as_bytes().to_vec();
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        3 => words(),
        3 => spoilt(),
    ]
}

#[test]
fn the_parser_is_of_one_mind() {
    let limits = Limits::default();
    for_a_while(anything(), |bytes| {
        let whole = parse(&bytes, &limits);
        if let Ok(Some(request)) = &whole {
            prop_assert!(request.len <= bytes.len());
            let head = &bytes[..request.len];
            prop_assert!(head.ends_with(b"\n"));
            for range in [&request.path, &request.query] {
                prop_assert!(head.get(range.clone()).is_some());
            }
            for range in [
                &request.range,
                &request.if_range,
                &request.if_modified_since,
            ]
            .into_iter()
            .flatten()
            {
                prop_assert!(head.get(range.clone()).is_some());
            }
            // What follows the head does not matter, and less than the head is no request.
            let alone = parse(head, &limits);
            prop_assert_eq!(&alone, &whole);
        }
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut], &limits) {
                Ok(None) => {}
                early @ Ok(Some(_)) => prop_assert_eq!(&whole, &early),
                // The code may depend on how much was seen, the refusal may not.
                Err(_) => prop_assert!(whole.is_err(), "{} of {:?}", cut, bytes),
            }
        }
        Ok(())
    });
}

#[test]
fn chunks_mean_the_same_however_they_arrive() {
    let body = prop_oneof![
        words(),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5).prop_map(|parts| {
            let mut bytes = Vec::new();
            for part in parts {
                bytes.extend(format!("{:x}\r\n", part.len()).bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\nmore");
            bytes
        }),
    ];
    for_a_while((body, 1..9usize), |(bytes, step)| {
        let mut whole = (Decoder::default(), Vec::new());
        let taken = whole.0.decode(&bytes, &mut whole.1, 100);
        let mut parts = (Decoder::default(), Vec::new());
        let mut taken_in_parts = Ok(0);
        for part in bytes.chunks(step) {
            match parts.0.decode(part, &mut parts.1, 100) {
                Ok(n) => taken_in_parts = taken_in_parts.map(|sum| sum + n),
                Err(e) => {
                    taken_in_parts = Err(e);
                    break;
                }
            }
            if parts.0.is_done() {
                break;
            }
        }
        prop_assert_eq!(taken, taken_in_parts);
        prop_assert!(whole.1.len() <= 100);
        if taken.is_ok() {
            prop_assert_eq!(whole.0.is_done(), parts.0.is_done());
            prop_assert_eq!(whole.1, parts.1);
        }
        Ok(())
    });
}

#[test]
fn the_server_survives_everything() {
    let served = Served::http(Options {
        limits: Limits {
            head_time: Duration::from_millis(200),
            body_time: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Options::default()
    });
    for_a_while(prop::collection::vec(anything(), 1..4), |requests| {
        let text = served.exchange(requests.concat());
        prop_assert!(text.is_empty() || text.starts_with("HTTP/1.1 "), "{}", text);
        prop_assert!(!text.contains("HTTP/1.1 500"), "{}", text);
        Ok(())
    });
    let text = served.exchange("GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(text.ends_with("Hello, World!"), "{text}");
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn a_body_is_none_or_has_a_length_or_chunks() {
    let limits = Limits::default();
    let head = |more: &str| format!("POST /echo HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    for (more, framing) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::None),
        ("Content-Length: 0005\r\n", Framing::Length(5)),
        ("TRANSFER-ENCODING: Chunked\r\n", Framing::Chunked),
    ] {
        let request = parse(head(more).as_bytes(), &limits).unwrap().unwrap();
        assert_eq!(request.framing, framing, "{more}");
    }
}
