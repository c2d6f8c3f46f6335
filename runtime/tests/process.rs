//! Children: their pipes, their ends, and standard input seen from one.

mod support;

use runtime::process::{Command, Stdio};
use runtime::time::timeout;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{alone, everywhere, within_minute};

#[test]
fn what_a_child_writes_and_how_it_ends() {
    everywhere(|| {
        let script = "echo out; echo err >&2; exit 3";
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!(output.status.code(), Some(3));
        let status = Command::new("sh")
            .args(["-c", "exit $N"])
            .env("N", "7")
            .status();
        assert_eq!(status.unwrap().code(), Some(7));
        let e = Command::new("/no/such/program").spawn().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn output_keeps_what_was_said_of_the_pipes() {
    everywhere(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo out; echo err >&2"]);
        command.stdout(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b""[..], &b"err\n"[..])
        );
    });
}

#[test]
fn both_outputs_are_read_at_once() {
    everywhere(|| {
        // More than both pipes hold, by turns.
        let script = "i=0; while [ $i -lt 100 ]; do head -c 4000 /dev/zero; head -c 4000 /dev/zero >&2; \
                      i=$((i+1)); done";
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (400_000, 400_000)
        );
    });
}

#[test]
fn a_waiting_goroutine_holds_neither_thread_nor_p() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let start = Instant::now();
            let waiting: Vec<_> = (0..20)
                .map(|_| runtime::go!(|| Command::new("sleep").arg("0.3").status().unwrap()))
                .collect();
            let ticks = runtime::go!(|| {
                let mut ticks = 0;
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(200) {
                    runtime::time::sleep(Duration::from_millis(1));
                    ticks += 1;
                }
                ticks
            });
            assert!(ticks.join().unwrap() > 20);
            assert!(waiting.into_iter().all(|h| h.join().unwrap().success()));
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "not one after the other"
            );
        });
    });
}

#[test]
fn a_conversation_through_pipes() {
    everywhere(|| {
        let mut cat = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = cat.stdin.take().unwrap();
        let mut from = BufReader::new(cat.stdout.take().unwrap());
        for i in 0..100 {
            writeln!(to, "line {i}").unwrap();
            let mut line = String::new();
            from.read_line(&mut line).unwrap();
            assert_eq!(line, format!("line {i}\n"));
        }
        drop(to);
        assert_eq!(from.read(&mut [0]).unwrap(), 0);
        assert!(cat.wait().unwrap().success());
        assert_eq!(cat.try_wait().unwrap(), Some(cat.wait().unwrap()));
    });
}

#[test]
fn the_output_of_one_is_the_input_of_another() {
    everywhere(|| {
        let mut first = Command::new("echo")
            .arg("through two")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(first.stdout.take().unwrap())
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"THROUGH TWO\n");
        assert!(first.wait().unwrap().success());
    });
}

#[test]
fn a_wait_that_was_cut_short_is_repeated() {
    everywhere(|| {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        for _ in 0..3 {
            let late = runtime::time::timeout(Duration::from_millis(5), || child.wait());
            assert!(late.is_err());
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None);
    });
}

/// Runs the test `name` of this binary as a child that talks with us.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--quiet"])
        .env("AS_CHILD", name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn standard_input_parks_a_goroutine() {
    let _alone = alone();
    if std::env::var_os("AS_CHILD").is_some() {
        // The child: answers lines, and says how much another goroutine did meanwhile.
        let rt = runtime::start(1);
        return rt.run(|| {
            let (done, ticks) = (
                Arc::new(AtomicBool::new(false)),
                Arc::new(AtomicU64::new(0)),
            );
            let (d, t) = (done.clone(), ticks.clone());
            let ticker = runtime::go!(move || while !d.load(Ordering::Relaxed) {
                runtime::time::sleep(Duration::from_millis(1));
                t.fetch_add(1, Ordering::Relaxed);
            });
            for line in runtime::io::stdin().lines() {
                println!("\nanswer {}", line.unwrap());
            }
            println!("\nticks {}", ticks.load(Ordering::Relaxed));
            done.store(true, Ordering::Relaxed);
            ticker.join().unwrap();
        });
    }
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let mut child = this_test("standard_input_parks_a_goroutine")
                .spawn()
                .unwrap();
            let mut to = child.stdin.take().unwrap();
            let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut next = |what: &str| loop {
                let line = from.next().unwrap().unwrap();
                if let Some(rest) = line.strip_prefix(what) {
                    return rest.to_owned();
                }
            };
            for i in 0..5 {
                runtime::time::sleep(Duration::from_millis(20));
                write!(to, "{i} and no end").unwrap();
                runtime::time::sleep(Duration::from_millis(5));
                to.write_all(b"\r\n").unwrap();
                assert_eq!(next("answer "), format!("{i} and no end"));
            }
            drop(to);
            let ticks: u64 = next("ticks ").parse().unwrap();
            assert!(ticks >= 20, "{ticks}");
            assert!(child.wait().unwrap().success());
        });
    });
}

#[test]
fn a_line_whose_reader_was_interrupted_is_not_lost() {
    let _alone = alone();
    if std::env::var_os("AS_CHILD").is_some() {
        let rt = runtime::start(1);
        return rt.run(|| {
            let wait = Duration::from_millis(200);
            let late = runtime::time::timeout(wait, || runtime::io::stdin().lines().next());
            assert!(late.is_err());
            println!("\nlate");
            let line = runtime::io::stdin().lines().next().unwrap().unwrap();
            println!("\nline {line}");
        });
    }
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let name = "a_line_whose_reader_was_interrupted_is_not_lost";
            let mut child = this_test(name).spawn().unwrap();
            let mut to = child.stdin.take().unwrap();
            let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
            to.write_all(b"first half, ").unwrap();
            while from.next().unwrap().unwrap() != "late" {}
            to.write_all(b"second half\n").unwrap();
            let wanted = "line first half, second half";
            assert!(from.any(|line| line.unwrap() == wanted));
            assert!(child.wait().unwrap().success());
        });
    });
}

#[test]
fn output_changes_nothing_for_the_next_start() {
    everywhere(|| {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 200000 /dev/zero >&2; test -e /dev/fd/1"]);
        command.stderr(Stdio::null());
        assert!(command.output().unwrap().status.success());
        let child = command.spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        assert_eq!(child.wait_with_output().unwrap().stdout, b"");
    });
}

#[test]
fn standard_input_may_be_a_file() {
    let _alone = alone();
    if std::env::var_os("AS_CHILD").is_some() {
        let rt = runtime::start(1);
        return rt.run(|| println!("\nlines {}", runtime::io::stdin().lines().count()));
    }
    within_minute(|| {
        let mut command = this_test("standard_input_may_be_a_file");
        let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        let lines = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let text = command.stdin(file).output().unwrap().stdout;
        let wanted = format!("lines {}", lines.unwrap().lines().count());
        assert!(String::from_utf8(text).unwrap().contains(&wanted));
    });
}

/// Children of this process that have ended and were not waited for.
fn zombies() -> usize {
    let me = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace();
        Some((fields.next()? == "Z", fields.next()? == me))
    });
    stats.filter(|&(ended, ours)| ended && ours).count()
}

#[test]
fn a_wait_that_was_cut_short_leaves_no_zombie() {
    everywhere(|| {
        let nap = || {
            let mut command = Command::new("sleep");
            command.arg("0.5");
            command
        };
        for _ in 0..5 {
            let moment = Duration::from_millis(20);
            assert!(timeout(moment, || nap().status()).is_err());
            assert!(timeout(moment, || nap().output()).is_err());
            let child = nap().stdout(Stdio::piped()).spawn().unwrap();
            assert!(timeout(moment, || child.wait_with_output()).is_err());
        }
        // The next start puts them away. (Those of another test may end at any time.)
        let none = || nap().status().unwrap().success() && zombies() == 0;
        assert!((0..10).any(|_| none()));
    });
}

#[test]
fn a_timeout_ends_output_although_the_child_goes_on() {
    everywhere(|| {
        let since = Instant::now();
        let output = || Command::new("sleep").arg("3").output();
        assert!(timeout(Duration::from_millis(50), output).is_err());
        let output = || {
            let mut command = Command::new("sh");
            command.args(["-c", "exec >&-; sleep 3"]).output() // the end of one of both
        };
        assert!(timeout(Duration::from_millis(50), output).is_err());
        assert!(since.elapsed() < Duration::from_secs(2));
        // And what was said of the pipes is forgotten.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "sleep 0.2; head -c 100000 /dev/zero >&2; test -e /dev/fd/1",
        ]);
        assert!(timeout(Duration::from_millis(20), || command.output()).is_err());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        assert!(child.stdout.is_none());
        assert!(child.wait_with_output().unwrap().status.success());
    });
}
