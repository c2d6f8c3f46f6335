//! The files of the HTTP server: what it serves, and what it does not.

mod common;

use common::TempTree;
use common::served::{Served, curl, is_installed, response};
use examples::httpd::Options;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

fn files() -> (TempTree, Served) {
    let tree = TempTree::new();
    tree.file("root/index.html", "<p>home</p>");
    tree.file("root/sub/index.html", "<p>sub</p>");
    tree.file("root/sub/data.json", "{}");
    tree.file("root/a b.txt", "spaces");
    tree.file("root/empty.txt", "");
    tree.file("root/letters.txt", "abcdefghij");
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    tree.file("root/large.bin", large);
    tree.file("secret.txt", "secret");
    symlink(tree.join("secret.txt"), tree.join("root/out.txt")).unwrap();
    symlink("letters.txt", tree.join("root/in.txt")).unwrap();
    let root = Some(tree.join("root"));
    let served = Served::http(Options {
        root,
        ..Options::default()
    });
    (tree, served)
}

#[test]
fn files_are_served() {
    if !is_installed("curl") {
        return;
    }
    let (tree, served) = files();
    let get = |path: &str| curl(["--include", "--path-as-is", &served.url(path)]);
    for (path, kind, body) in [
        ("/", "text/html; charset=utf-8", "<p>home</p>"),
        ("/sub/", "text/html; charset=utf-8", "<p>sub</p>"),
        ("/sub/data.json?x=1", "application/json", "{}"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "spaces"),
        ("/./sub//data.json", "application/json", "{}"),
        ("/empty.txt", "text/plain; charset=utf-8", ""),
        ("/in.txt", "text/plain; charset=utf-8", "abcdefghij"),
    ] {
        let text = get(path);
        let (line, headers, got) = response(&text);
        assert_eq!((line, got), ("HTTP/1.1 200 OK", body), "{path}");
        assert!(
            headers.contains(&format!("Content-Type: {kind}")),
            "{headers}"
        );
    }
    let file = tree.join("got.bin");
    curl([
        "--output",
        file.to_str().unwrap(),
        &served.url("/large.bin"),
    ]);
    assert!(std::fs::read(&file).unwrap() == std::fs::read(tree.join("root/large.bin")).unwrap());

    assert!(get("/none").starts_with("HTTP/1.1 404 "));
    let text = get("/sub");
    assert!(
        text.starts_with("HTTP/1.1 301 ") && text.contains("Location: /sub/\r\n"),
        "{text}"
    );
    let text = get("//sub");
    assert!(text.contains("Location: /sub/\r\n"), "{text}");
    served.stop();
}

#[test]
fn parts_of_files_and_unchanged_files() {
    if !is_installed("curl") {
        return;
    }
    let (_tree, served) = files();
    let url = served.url("/letters.txt");
    for (range, status, body) in [
        ("0-0", "206", "a"),
        ("2-4", "206", "cde"),
        ("8-", "206", "ij"),
        ("8-99999999999999999999", "206", "ij"),
        ("-3", "206", "hij"),
        ("-99", "206", "abcdefghij"),
        ("10-", "416", ""),
        ("-0", "416", ""),
        ("4-2", "200", "abcdefghij"),
        ("1-2,4-5", "200", "abcdefghij"),
    ] {
        let text = curl([
            "--include",
            "--header",
            &format!("Range: bytes={range}"),
            &url,
        ]);
        let (line, _, got) = response(&text);
        assert_eq!((&line[9..12], got), (status, body), "{range}");
    }
    let text = curl(["--head", &url]);
    let modified = text
        .lines()
        .find(|l| l.starts_with("Last-Modified: "))
        .unwrap();
    let part = "Range: bytes=2-4";
    let same = modified.replace("Last-Modified", "If-Range");
    for (args, status) in [
        (vec!["--header", &same], "206"),
        (vec!["--header", "If-Range: \"tag\""], "200"),
        (vec!["--head"], "200"),
    ] {
        let text = curl([&["--include", "--header", part], &*args, &[&*url]].concat());
        assert_eq!(&text[9..12], status, "{args:?}");
    }
    let since = modified.replace("Last-Modified", "If-Modified-Since");
    assert!(curl(["--include", "--header", &since, &url]).starts_with("HTTP/1.1 304 "));
    let since = "If-Modified-Since: Mon, 01 Jan 1990 00:00:00 GMT";
    assert!(curl(["--include", "--header", since, &url]).starts_with("HTTP/1.1 200 "));
    served.stop();
}

#[test]
fn nothing_beside_the_root_is_served() {
    let (_tree, served) = files();
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E%2Fsecret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "//../secret.txt",
        "/.%2e/secret.txt",
        "/out.txt",
        "/%00",
        "/letters.txt%00.html",
        "/letters.txt/",
        "/letters.txt/x",
        "/%zz",
        "/%",
        "/%ff%fe",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
    ] {
        let text = served.exchange(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(text.starts_with("HTTP/1.1 404 "), "{path}: {text}");
    }
    served.stop();
}

#[test]
fn what_is_no_file_is_not_opened() {
    let (tree, served) = files();
    let made = Command::new("mkfifo")
        .arg(tree.join("root/pipe"))
        .status()
        .expect("mkfifo is installed");
    assert!(made.success());
    let _socket = UnixListener::bind(tree.join("root/socket")).unwrap();
    for path in ["/pipe", "/socket", "/pipe/"] {
        let text = served.exchange(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(text.starts_with("HTTP/1.1 404 "), "{path}: {text}");
    }
    served.stop();
}

#[test]
fn a_file_that_becomes_a_link_leads_nowhere_else() {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let (tree, served) = files();
    let (new, name) = (tree.join("root/new"), tree.join("root/swapped.txt"));
    let be_file = || {
        std::fs::hard_link(tree.join("root/letters.txt"), &new).unwrap();
        std::fs::rename(&new, &name).unwrap();
    };
    let be_link = || {
        symlink("../secret.txt", &new).unwrap();
        std::fs::rename(&new, &name).unwrap();
    };
    be_file();
    let over = AtomicBool::new(false);
    let (mut inside, mut outside, mut secret) = (0, 0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                be_link();
                be_file();
            }
        });
        let requests = "GET /swapped.txt HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
        let _over = Over(&over); // also if the server does not answer
        for _ in 0..20 {
            let text = served.exchange(&requests);
            let count = |what| text.matches(what).count();
            inside += count("\r\n\r\nabcdefghij");
            outside += count("HTTP/1.1 404 ");
            secret += count("secret");
        }
    });
    assert_eq!(secret, 0);
    assert_eq!(inside + outside, 20 * 500);
    assert!(inside > 0 && outside > 0, "{inside} {outside}");
    served.stop();
}
