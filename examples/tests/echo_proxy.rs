//! The echo server and the proxy: bytes, both directions and their ends.

mod common;

use common::served::{PATIENCE, Served, rest};
use common::{TempTree, nobody, run};
use examples::echo::Echo;
use examples::proxy::{Proxied, Upstream};
use examples::serve::{Guest, serve};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn echo() -> Served {
    Served::start(|listener, shutdown| serve(listener, shutdown, PATIENCE, Echo))
}

fn proxy(addr: SocketAddr, grace: Duration) -> Served {
    let upstream = Arc::new(Upstream {
        addrs: vec![addr],
        timeout: PATIENCE,
    });
    Served::start(move |listener, shutdown| {
        serve(listener, shutdown, grace, |client| {
            Proxied::new(client, Arc::clone(&upstream))
        })
    })
}

/// An upstream that handles each connection so.
fn upstream(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (handle, stream) = (handle.clone(), stream.unwrap());
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                handle(stream);
            });
        }
    });
    addr
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Sends much and reads it back at the same time.
fn there_and_back(stream: TcpStream, n: usize) {
    let sent = bytes(n);
    let mut writer = stream.try_clone().unwrap();
    let expected = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    (&stream).read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == expected, "{} bytes of {n} came back", back.len());
}

#[test]
fn echo_sends_everything_back() {
    let served = echo();
    let all: Vec<_> = (0..16)
        .map(|i| {
            let stream = served.connect();
            thread::spawn(move || there_and_back(stream, i * 100_000))
        })
        .collect();
    all.into_iter().for_each(|one| one.join().unwrap());
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn echo_ends_with_clients_that_say_nothing() {
    let served = echo();
    let mut silent = served.connect();
    silent.write_all(b"hello").unwrap();
    let mut five = [0; 5];
    silent.read_exact(&mut five).unwrap();
    let begin = Instant::now();
    assert_eq!(served.stop().cut, 0);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(rest(&mut silent), "");
}

#[test]
fn proxy_carries_both_directions() {
    let far = echo();
    let near = proxy(far.addr, PATIENCE);
    let all: Vec<_> = (0..8)
        .map(|i| {
            let stream = near.connect();
            thread::spawn(move || there_and_back(stream, i * 300_000))
        })
        .collect();
    all.into_iter().for_each(|one| one.join().unwrap());
    assert_eq!(near.stop().cut, 0);
    assert_eq!(far.stop().cut, 0);
}

#[test]
fn the_end_of_what_a_client_says_is_not_the_end_of_what_it_hears() {
    let addr = upstream(|mut stream| {
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        // Everything has been said; only now does it answer.
        thread::sleep(Duration::from_millis(100));
        stream
            .write_all(format!("you said {all}").as_bytes())
            .unwrap();
    });
    let near = proxy(addr, PATIENCE);
    assert_eq!(near.exchange("hello"), "you said hello");
    assert_eq!(near.stop().cut, 0);
}

#[test]
fn the_end_of_what_an_upstream_says_is_not_the_end_of_what_it_hears() {
    let (tx, rx) = mpsc::channel();
    let addr = upstream(move |mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        tx.send(all).unwrap();
    });
    let near = proxy(addr, PATIENCE);
    let mut stream = near.connect();
    assert_eq!(rest(&mut stream), "bye");
    stream.write_all(b"I still have something to say").unwrap();
    drop(stream);
    let heard = rx.recv_timeout(PATIENCE).unwrap();
    assert_eq!(heard, "I still have something to say");
    assert_eq!(near.stop().cut, 0);
}

#[test]
fn errors_of_one_end_nothing_else() {
    // The upstream is gone: each client is closed, and the next may try.
    let (_held, addr) = nobody();
    let near = proxy(addr, PATIENCE);
    assert_eq!(near.exchange("hello"), "");
    assert_eq!(near.exchange("hello"), "");
    assert_eq!(near.stop().cut, 0);
    // The upstream resets one of two.
    let addr = upstream(|mut stream| {
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        if first == *b"x" {
            return; // with unread bytes: a reset
        }
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).unwrap();
        copy.shutdown(Shutdown::Write).unwrap();
    });
    let near = proxy(addr, PATIENCE);
    let mut good = near.connect();
    good.write_all(b"_good").unwrap();
    let mut four = [0; 4];
    good.read_exact(&mut four).unwrap();
    for _ in 0..10 {
        near.exchange(vec![b'x'; 300_000]);
    }
    good.write_all(b"still").unwrap();
    good.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut good), "still");
    assert_eq!(near.stop().cut, 0);
}

#[test]
fn a_shutdown_of_the_proxy_lets_the_upstream_finish_or_cuts() {
    let addr = upstream(|mut stream| {
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        thread::sleep(Duration::from_millis(200));
        stream.write_all(b"done").unwrap();
    });
    let near = proxy(addr, PATIENCE);
    let mut stream = near.connect();
    stream.write_all(b"work").unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(near.stop().cut, 0);
    assert_eq!(rest(&mut stream), "done");

    let addr = upstream(|_stream| thread::sleep(PATIENCE));
    let near = proxy(addr, Duration::from_millis(100));
    let mut stream = near.connect();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(near.stop().cut, 1);
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_guest_that_panics_is_gone_alone() {
    struct Nervous(Echo<runtime::net::TcpStream>);
    impl Guest for Nervous {
        fn run(&self) {
            let mut first = [0];
            (&self.0.0).read_exact(&mut first).unwrap();
            assert_ne!(first, *b"x", "this is a test of panics");
            self.0.run();
        }
        fn drain(&self) {
            self.0.drain();
        }
        fn cut(&self) {
            self.0.cut();
        }
    }
    let served = Served::start(|listener, shutdown| {
        serve(listener, shutdown, PATIENCE, |stream| Nervous(Echo(stream)))
    });
    let mut calm = served.connect();
    calm.write_all(b"_").unwrap();
    assert_eq!(served.exchange("x"), "");
    calm.write_all(b"calm").unwrap();
    let mut four = [0; 4];
    calm.read_exact(&mut four).unwrap();
    assert_eq!(&four, b"calm");
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn echo_takes_over_a_path_that_nobody_listens_at() {
    let tree = TempTree::new();
    let path = tree.join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_echo"))
        .arg("--unix")
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said.trim(), format!("listening at unix:{}", path.display()));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "hello");
    // One that is answered at is left alone.
    let path = path.to_str().unwrap();
    let out = run(env!("CARGO_BIN_EXE_echo"), ["--unix", path]).expect_code(1);
    assert!(
        out.stderr.contains("Address already in use"),
        "{}",
        out.stderr
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn programs_say_clearly_why_they_cannot_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let tree = TempTree::new();
    let file = tree.file("file", "").display().to_string();
    let beyond = tree.join("none/socket").display().to_string();
    let [echo, proxy, chat, websocket, httpd] = [
        env!("CARGO_BIN_EXE_echo"),
        env!("CARGO_BIN_EXE_proxy"),
        env!("CARGO_BIN_EXE_chat"),
        env!("CARGO_BIN_EXE_websocket"),
        env!("CARGO_BIN_EXE_httpd"),
    ];
    let in_use = format!("cannot listen at {taken}: Address already in use");
    for (program, args, said) in [
        (echo, vec!["--listen", &taken], &*in_use),
        (proxy, vec!["127.0.0.1:1", "--listen", &taken], &in_use),
        (chat, vec!["--listen", &taken], &in_use),
        (websocket, vec!["serve", "--listen", &taken], &in_use),
        (httpd, vec!["--listen", &taken], &in_use),
        (
            httpd,
            vec!["--listen", "nonsense"],
            "cannot listen at nonsense: ",
        ),
        (
            httpd,
            vec!["--listen", "127.0.0.1:99999"],
            "cannot listen at 127.0.0.1:99999: ",
        ),
        (httpd, vec!["/nonexistent"], "/nonexistent is no directory"),
        (httpd, vec![&file], "is no directory"),
        (echo, vec!["--unix", &beyond], "cannot listen at "),
        (echo, vec!["--unix", &file], "Address already in use"),
        (proxy, vec!["nonsense"], "cannot find nonsense: "),
        (
            websocket,
            vec!["connect", "http://127.0.0.1:1/"],
            "URL scheme not supported",
        ),
        (websocket, vec!["connect", "ws://127.0.0.1:1/"], "refused"),
    ] {
        let out = run(program, &args).expect_code(1);
        assert!(out.stderr.contains(said), "{args:?}: {}", out.stderr);
        assert_eq!(out.stdout, "");
    }
    for program in [echo, proxy, chat, websocket, httpd] {
        assert!(
            run(program, ["--help"])
                .expect_code(0)
                .stdout
                .contains("--procs")
        );
        run(program, ["--no-such-option"]).expect_code(2);
    }
}

#[test]
fn a_shutdown_of_the_proxy_makes_no_whole_of_a_half() {
    let (tx, rx) = mpsc::channel();
    let addr = upstream(move |mut stream| {
        let mut all = Vec::new();
        let ended = stream.read_to_end(&mut all).map_err(|e| e.kind());
        tx.send((all.len(), ended.is_ok())).unwrap();
    });
    // Who is sending may finish.
    let near = proxy(addr, PATIENCE);
    let mut stream = near.connect();
    for i in 0..15 {
        stream.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(100));
        if i == 1 {
            near.ask_to_end();
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rx.recv_timeout(PATIENCE).unwrap(), (15, true));
    assert_eq!(near.ended().cut, 0);
    // Who does not in time has not finished.
    let near = proxy(addr, Duration::from_millis(100));
    let mut stream = near.connect();
    stream.write_all(b"x").unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(near.stop().cut, 1);
    let (_, ended) = rx.recv_timeout(PATIENCE).unwrap();
    assert!(!ended, "the upstream takes it for all");
}
