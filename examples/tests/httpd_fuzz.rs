//! The parsers of the HTTP server, and the server itself, with requests that chance has made or
//! spoilt. A few seconds; a minute with `WEFT_STRESS` set.

mod common;

use common::TempTree;
use common::served::{Served, take_panics};
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
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    while begin.elapsed() < time {
        // A runner that has had its cases tries no more.
        let mut runner = TestRunner::new(config.clone());
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

/// Parts of paths, some of which lead to files of [`files`].
const PARTS: &[&str] = &[
    "letters.txt",
    "letters%2etxt",
    "%6Cetters.txt",
    "a%20b.txt",
    "%c3%a4.txt",
    "empty.txt",
    "sub",
    "index.html",
    "..",
    "%2e%2e",
    ".",
    "",
    "%00",
    "%2f",
    "%25",
    "%",
    "%4",
    "%zz",
    "%\u{e4}",
];

fn files() -> TempTree {
    let tree = TempTree::new();
    for name in [
        "letters.txt",
        "a b.txt",
        "\u{e4}.txt",
        "index.html",
        "sub/index.html",
    ] {
        tree.file(name, "abcdefghij");
    }
    tree.file("empty.txt", "");
    tree
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        2 => prop::sample::select(PARTS).prop_map(str::to_owned),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
    ];
    prop_oneof![
        1 => Just("/letters.txt".to_owned()),
        1 => prop::collection::vec(part, 0..4).prop_map(|parts| format!("/{}", parts.join("/"))),
    ]
}

/// The value of a `Range`.
fn range() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        4 => (0..13u64).prop_map(|n| n.to_string()),
        2 => Just(String::new()),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["18446744073709551615", "18446744073709551616", "+1", "x"])
            .prop_map(str::to_owned),
    ];
    let unit = prop::sample::select(vec!["bytes=", "bytes=", "bytes=", "bytes", "lines="]);
    (unit, end.clone(), end).prop_map(|(unit, first, last)| format!("{unit}{first}-{last}"))
}

/// A date as headers have it, or nearly.
fn date() -> impl Strategy<Value = String> {
    let day = prop::sample::select(vec!["Mon", "Sun", "Sunday", "Xxx"]);
    let month = prop::sample::select(vec!["Jan", "Feb", "Dec", "Xxx"]);
    let year = prop_oneof![1969..2040u32, any::<u16>().prop_map(u32::from)];
    let time = (0..26u8, 0..62u8, 0..62u8);
    (day, 0..34u8, month, year, time, 0..3u8).prop_map(
        |(name, day, month, year, (h, m, s), form)| match form {
            0 => format!("{name}, {day:02} {month} {year:04} {h:02}:{m:02}:{s:02} GMT"),
            1 => {
                let year = year % 100;
                format!("{name}, {day:02}-{month}-{year:02} {h:02}:{m:02}:{s:02} GMT")
            }
            _ => format!("{name} {month} {day:2} {h:02}:{m:02}:{s:02} {year:04}"),
        },
    )
}

/// Asks for a file, or what may be below it.
fn of_files() -> impl Strategy<Value = String> {
    let method = prop::sample::select(vec!["GET", "GET", "HEAD"]);
    let header = prop_oneof![
        2 => range().prop_map(|range| format!("Range: {range}\r\n")),
        1 => date().prop_map(|date| format!("If-Modified-Since: {date}\r\n")),
        1 => date().prop_map(|date| format!("If-Range: {date}\r\n")),
    ];
    let headers = prop::collection::vec(header, 0..3).prop_map(|all| all.concat());
    (method, path(), headers).prop_map(|(method, path, headers)| {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
    })
}

/// A good request that was changed in a few places.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        "GET /plaintext?a=b HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\nAccept: */*\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;a=b\r\nhello\r\na\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nRange: bytes=1-2\r\n\r\n",
    ]);
    let good = prop_oneof![fixed.prop_map(str::to_owned), of_files()];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 0..5);
    (good, changes).prop_map(|(good, changes)| {
        let mut bytes = good.into_bytes();
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
        3 => of_files().prop_map(String::into_bytes),
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
    let tree = files();
    let served = Served::http(Options {
        root: Some(tree.to_path_buf()),
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
        prop_assert_eq!(take_panics(), [""; 0]);
        Ok(())
    });
    let text = served.exchange("GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(text.ends_with("Hello, World!"), "{text}");
    assert_eq!(served.stop().cut, 0);
    assert_eq!(take_panics(), [""; 0]);
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
