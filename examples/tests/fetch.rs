//! The fetch program from the outside: servers that are good, bad, slow and not there.

mod common;

use common::served::{PATIENCE, Served, is_installed};
use common::{Output, TempTree, nobody, run, run_command};
use examples::httpd::Options;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const FETCH: &str = env!("CARGO_BIN_EXE_fetch");

/// A server whose n-th connection, from 0, is for `handle`. It ends with the test.
fn server(handle: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let (handle, stream) = (handle.clone(), stream.unwrap());
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                handle(n, stream);
            });
        }
    });
    addr
}

/// Reads a request (of this client, which has no body) and answers it.
fn answer(mut stream: TcpStream, text: &str) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return,
        }
    }
    let _ = stream.write_all(text.as_bytes());
}

/// What the table of failures says of a URL: the attempts, and the error.
#[track_caller]
fn failure<'a>(out: &'a Output, url: &str) -> (u32, &'a str) {
    let line = out.stderr.lines().find_map(|l| l.strip_prefix(url));
    let line = line.unwrap_or_else(|| panic!("{url} did not fail: {out:#?}"));
    let (attempts, error) = line.trim().split_once("  ").expect("two columns");
    (attempts.parse().expect("a number"), error)
}

#[test]
fn one_bad_url_stops_no_other() {
    let served = Served::http(Options::default());
    let good = served.url("/plaintext");
    let missing = served.url("/missing");
    let late = served.url("/sleep?ms=20000");
    let (_held, nobody) = nobody();
    let refusing = format!("http://{nobody}/");
    let broken = format!(
        "http://{}/",
        server(|_, stream| answer(stream, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"))
    );
    let cut = format!(
        "http://{}/",
        server(|_, stream| answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"))
    );
    let rude = format!("http://{}/", server(|_, stream| drop(stream)));
    let noise = format!(
        "http://{}/",
        server(|_, stream| answer(stream, "what?\r\n\r\n"))
    );
    let begin = Instant::now();
    let args = ["--timeout=1.5", "--retries=1"];
    let urls = [
        &missing, &good, &late, &refusing, &good, &broken, "nonsense", &cut, &rude, &noise,
        "ftp://x/", &good,
    ];
    let out = run(FETCH, args.into_iter().chain(urls)).expect_code(1);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(
        out.stdout.starts_with("3 of 12 fetched, 39 bytes in "),
        "{out:#?}"
    );
    assert_eq!(out.stderr.lines().count(), 1 + 9, "{out:#?}");
    for (url, attempts, error) in [
        (&*missing, 1, "404"),
        (&*late, 2, "timeout"),
        (&*refusing, 2, "refused"),
        (&*broken, 2, "500"),
        ("nonsense", 1, "bad uri"),
        (&*cut, 2, ""),
        (&*rude, 2, ""),
        (&*noise, 1, ""),
        ("ftp://x/", 1, "scheme"),
    ] {
        let (tried, why) = failure(&out, url);
        assert!(why.contains(error), "{url}: {why}");
        assert_eq!(tried, attempts, "{url}: {why}");
    }
    // Who asked for the late answer has gone, its server finds out in its time.
    served.ask_to_end();
}

#[test]
fn a_second_attempt_may_succeed() {
    let addr = server(|n, stream| {
        if n < 2 {
            answer(stream, "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
        } else {
            answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
        }
    });
    let url = format!("http://{addr}/");
    let begin = Instant::now();
    let out = run(FETCH, ["--retries=2", &url]).expect_code(0);
    assert!(
        out.stdout.starts_with("1 of 1 fetched, 3 bytes in "),
        "{out:#?}"
    );
    assert_eq!(out.stderr, "");
    assert!(
        begin.elapsed() >= Duration::from_millis(100 + 200),
        "it did not wait"
    );
}

#[test]
fn files_of_urls_and_redirects() {
    let tree = TempTree::new();
    tree.file("root/sub/index.html", "0123456789");
    let served = Served::http(Options {
        root: Some(tree.join("root")),
        ..Options::default()
    });
    let (moved, there) = (served.url("/sub"), served.url("/sub/"));
    let list = tree.file("urls", format!("# two\n\n  {moved}  \n{there}\n"));
    let out = run(FETCH, ["--file".as_ref(), list.as_os_str()]).expect_code(0);
    assert!(
        out.stdout.starts_with("2 of 2 fetched, 20 bytes in "),
        "{out:#?}"
    );
    assert_eq!(out.stderr, "");
    let out = run(FETCH, ["--file".as_ref(), list.as_os_str(), there.as_ref()]).expect_code(0);
    assert!(out.stdout.starts_with("3 of 3 fetched"), "{out:#?}");
    let out = run(FETCH, ["--file", "-"]).expect_code(0);
    assert!(out.stdout.starts_with("0 of 0 fetched"), "{out:#?}");
    served.stop();
    for (args, said) in [
        (["--file", "/nonexistent"], "/nonexistent"),
        (["--cacert", "/nonexistent"], "/nonexistent"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "inf"], "--timeout"),
        (["--limit", "0"], "--limit"),
        (["--latency", "x"], "--latency"),
    ] {
        let out = run(FETCH, args.into_iter().chain(["http://127.0.0.1:1/"])).expect_code(2);
        assert!(out.stderr.contains(said), "{out:#?}");
    }
}

#[test]
fn no_more_than_the_limit_at_once() {
    let now = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = now.clone();
    let addr = server(move |_, stream| {
        let at_once = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
        seen.1.fetch_max(at_once, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        seen.0.fetch_sub(1, Ordering::SeqCst);
        answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let url = format!("http://{addr}/");
    let urls = vec![url.as_str(); 50];
    let out = run(FETCH, ["--limit=7"].into_iter().chain(urls)).expect_code(0);
    assert!(out.stdout.starts_with("50 of 50 fetched"), "{out:#?}");
    let most = now.1.load(Ordering::SeqCst);
    assert!((2..=7).contains(&most), "{most} at once");
}

#[test]
fn https_trusts_whom_it_is_told_to() {
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tree = TempTree::new();
    let pem = tree.file("cert.pem", cert.cert.pem());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.cert.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(cert.signing_key.serialize_der()).into(),
        )
        .unwrap();
    let config = Arc::new(config);
    let addr = server(move |_, stream| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream);
        let mut request = [0; 1024];
        if matches!(tls.read(&mut request), Ok(n) if n > 0) {
            let body = "x".repeat(100_000);
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            tls.write_all(text.as_bytes()).unwrap();
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    let url = format!("https://localhost:{}/", addr.port());
    let pem = pem.to_str().unwrap();
    let urls = vec![url.as_str(); 20];
    let out = run(FETCH, ["--cacert", pem].into_iter().chain(urls)).expect_code(0);
    assert!(
        out.stdout
            .starts_with("20 of 20 fetched, 2000000 bytes in "),
        "{out:#?}"
    );
    let out = run(FETCH, [&*url]).expect_code(1);
    let (attempts, why) = failure(&out, &url);
    assert_eq!(attempts, 1, "{why}");
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    // A name that the certificate does not have.
    let other = format!("https://{addr}/");
    let out = run(FETCH, ["--cacert", pem, &other]).expect_code(1);
    assert_eq!(failure(&out, &other).0, 1);
}

#[test]
fn the_experiment_prints_its_table_and_draws_it() {
    const LATENCY: f64 = 0.010;
    let tree = TempTree::new();
    let dir = tree.join("plots");
    let mut command = Command::new(FETCH);
    let out = run_command(command.args(["--latency=10", "--plot"]).arg(&dir)).expect_code(0);
    assert_eq!(out.stderr, "", "a bar where no terminal is");
    let lines: Vec<_> = out.stdout.lines().collect();
    assert_eq!(lines.len(), 1 + 5 + 1, "{out:#?}");
    assert!(
        lines[0].contains("URLs") && lines[0].ends_with("goroutines"),
        "{out:#?}"
    );
    let (mut pool, mut goroutines) = (0.0, 0.0);
    for (line, urls) in lines[1..].iter().zip(["1", "10", "50", "100", "500"]) {
        let cells: Vec<_> = line.split_whitespace().collect();
        let [n, times @ ..] = &cells[..] else {
            panic!("{out:#?}")
        };
        assert_eq!(*n, urls);
        assert_eq!(times.len(), 6, "three times in seconds");
        for time in times.chunks(2) {
            let (time, unit) = (time[0].parse::<f64>().expect("a number"), time[1]);
            assert!(time >= LATENCY && unit == "s", "{line}");
        }
        pool = times[0].parse().unwrap();
        goroutines = times[4].parse().unwrap();
    }
    // Two at once take half of this; all at once some twentieth of it, and more where CPUs are busy.
    let one_by_one = 500.0 * LATENCY;
    let cpus = thread::available_parallelism().map_or(1, |n| n.get());
    assert!(pool >= one_by_one / cpus as f64, "{pool}");
    assert!(
        goroutines < one_by_one / 2.0,
        "{goroutines} s, one by one it takes {one_by_one} s"
    );
    let svg = std::fs::read_to_string(dir.join("fetch.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("goroutines"),
        "{svg}"
    );
    let png = std::fs::read(dir.join("fetch.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n") && png.len() > 5000);
}

#[test]
fn on_a_terminal_a_bar_grows_and_is_gone_in_the_end() {
    if !is_installed("script") {
        return;
    }
    let served = Served::http(Options::default());
    let mut command = Command::new("script");
    command
        .args(["-qec", r#""$FETCH" "$URL" "$URL" "$URL""#, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("FETCH", FETCH)
        .env("URL", served.url("/plaintext"));
    let out = run_command(&mut command).expect_code(0);
    let (bars, after) = out.stdout.rsplit_once("\x1b[2K").expect("lines cleared");
    assert!(bars.contains("fetching [="), "{out:#?}");
    assert!(bars.contains("=] 3/3, "), "{out:#?}");
    assert!(after.starts_with("3 of 3 fetched, "), "{out:#?}");
    served.stop();
}
