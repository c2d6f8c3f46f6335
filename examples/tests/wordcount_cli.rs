//! The wordcount program from the outside: what it prints and names, and its exit codes.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use common::{Output, PROCS, TempTree, run, run_command};

const WORDCOUNT: &str = env!("CARGO_BIN_EXE_wordcount");

/// Standard output without the time, which is checked to be one.
#[track_caller]
fn table(out: &Output) -> &str {
    let (table, time) = out
        .stdout
        .trim_end()
        .rsplit_once('\n')
        .expect("several lines");
    let seconds = time.strip_suffix(" s").and_then(|s| s.parse::<f64>().ok());
    assert!(seconds.is_some_and(|s| s >= 0.0), "{time:?} is not a time");
    table
}

/// The number behind a label, 0 if there is no such line.
#[track_caller]
fn total(out: &Output, label: &str) -> u64 {
    let number = out.stdout.lines().find_map(|line| line.strip_prefix(label));
    number.map_or(0, |number| number.trim().parse().expect("a number"))
}

#[test]
fn the_table_is_exact() {
    let tree = TempTree::new();
    tree.file("one.txt", "The cat and the hat. The end, isn't it?\n");
    tree.file("sub/two.txt", "A cat_o_nine 'and' a hat\n");
    tree.file("sub/target/left_out.txt", "left out");
    tree.file("sub/.git/left_out.txt", "left out");
    tree.file("sub/empty", "");
    tree.file("binary", b"\xff\xfe");
    for procs in PROCS {
        let out = run(
            WORDCOUNT,
            [
                tree.as_os_str(),
                "--procs".as_ref(),
                procs.to_string().as_ref(),
                "--top=4".as_ref(),
            ],
        )
        .expect_code(0);
        let expected = "\
files                               3
bytes                              65
words                              14
distinct words                      9
files not UTF-8                     1
directories left out                2

             3  the
             2  a
             2  and
             2  hat
";
        assert_eq!(table(&out), expected);
        let named = tree.join("binary");
        assert_eq!(
            out.stderr,
            format!("wordcount: cannot count file {named:?}: not UTF-8 at byte 0\n")
        );
    }
}

#[test]
fn twenty_words_are_shown_unless_told_otherwise() {
    let tree = TempTree::new();
    let text: Vec<String> = (0..30).map(|i| format!("w{i}")).collect();
    let file = tree.file("f", text.join(" "));
    let shown = |args: &[&str]| {
        let out = run_command(Command::new(WORDCOUNT).arg(&file).args(args)).expect_code(0);
        out.stdout
            .lines()
            .filter(|line| line.contains("  w"))
            .count()
    };
    assert_eq!(shown(&[]), 20);
    assert_eq!(shown(&["--top", "0"]), 0);
    assert_eq!(shown(&["--top", "1"]), 1);
    assert_eq!(shown(&["--top", "1000"]), 30);
}

#[test]
fn all_walks_what_is_left_out_otherwise() {
    let tree = TempTree::new();
    tree.file("a/target/x", "one");
    tree.file("a/.git/x", "two");
    tree.file("a/.git/target/x", "three");
    tree.file("a/target.d/x", "four");
    tree.file("target", "a file of that name is a file");
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    assert_eq!(
        (total(&out, "files"), total(&out, "directories left out")),
        (2, 2)
    );
    let out = run(WORDCOUNT, [tree.as_os_str(), "--all".as_ref()]).expect_code(0);
    assert_eq!(
        (total(&out, "files"), total(&out, "directories left out")),
        (5, 0)
    );
    // What is given is counted, whatever its name.
    let out = run(WORDCOUNT, [tree.join("a/target")]).expect_code(0);
    assert_eq!(total(&out, "files"), 1);
    assert!(
        run(WORDCOUNT, ["--help"])
            .stdout
            .contains(".git and target")
    );
}

#[test]
fn what_cannot_be_read_is_named_and_not_fatal() {
    let tree = TempTree::new();
    tree.file("good", "good");
    symlink("nowhere", tree.join("dangling")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    let missing = tree.join("missing");
    let below_a_file = tree.join("good/below");
    let out = run(WORDCOUNT, [&*tree, &missing, &below_a_file]).expect_code(0);
    assert_eq!(total(&out, "files"), 1);
    assert_eq!(total(&out, "unreadable files"), 2);
    assert_eq!(total(&out, "missing paths"), 2);
    let named: Vec<&str> = out.stderr.lines().collect();
    assert_eq!(named.len(), 4, "{}", out.stderr);
    for (line, what, path) in [
        (named[0], "cannot read file", tree.join("dangling")),
        (named[1], "no such path", below_a_file),
        (named[2], "cannot read file", tree.join("loop")),
        (named[3], "no such path", missing),
    ] {
        assert!(
            line.starts_with(&format!("wordcount: {what} {path:?}: ")),
            "{line}"
        );
    }
}

#[test]
fn permissions_are_respected_and_named() {
    let tree = TempTree::new();
    tree.file("good", "good");
    let file = tree.file("no-file", "secret");
    let dir = tree.join("no-dir");
    fs::create_dir(&dir).unwrap();
    for path in [&file, &dir] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let privileged = fs::read(&file).is_ok();
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    // Some users may read everything.
    let (files, unreadable, unlistable) = if privileged { (2, 0, 0) } else { (1, 1, 1) };
    assert_eq!(total(&out, "files"), files);
    assert_eq!(total(&out, "unreadable files"), unreadable);
    assert_eq!(total(&out, "unlistable directories"), unlistable);
}

/// Directories too deep for a path cannot be listed by anybody, whatever the permissions. Built
/// from two halves, since a path that long cannot be created in one piece either.
#[test]
fn a_directory_that_cannot_be_listed_is_named_and_not_fatal() {
    let tree = TempTree::new();
    let half: PathBuf = std::iter::repeat_n("d".repeat(200), 12).collect();
    for top in ["a", "b"] {
        fs::create_dir_all(tree.join(top).join(&half)).unwrap();
        tree.file(Path::new(top).join("f"), "word");
    }
    fs::rename(tree.join("b"), tree.join("a").join(&half).join("b")).unwrap();
    for procs in PROCS {
        let out = run_command(
            Command::new(WORDCOUNT)
                .arg(&*tree)
                .args(["--procs", &procs.to_string()]),
        )
        .expect_code(0);
        assert_eq!(total(&out, "files"), 2);
        assert_eq!(total(&out, "unlistable directories"), 1);
        assert!(
            out.stderr.starts_with("wordcount: cannot list directory "),
            "{}",
            out.stderr
        );
        assert_eq!(out.stderr.lines().count(), 1);
    }
}

#[test]
fn a_count_of_nothing_because_of_problems_fails() {
    let tree = TempTree::new();
    let missing = tree.join("missing");
    let binary = tree.file("sub/binary", b"\x80");
    symlink("nowhere", tree.join("sub/dangling")).unwrap();
    for paths in [
        vec![missing.clone()],
        vec![binary.clone()],
        vec![missing, tree.to_path_buf()],
    ] {
        let out = run(WORDCOUNT, &paths).expect_code(1);
        assert_eq!(out.stdout, "");
        let last = out.stderr.lines().last();
        assert_eq!(last, Some("wordcount: none of the inputs could be counted"));
        assert!(out.stderr.lines().count() >= 2, "{}", out.stderr);
    }
}

#[test]
fn an_empty_directory_is_counted() {
    let tree = TempTree::new();
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    assert_eq!(total(&out, "files"), 0);
    assert_eq!(out.stderr, "");
}

#[test]
fn links_to_directories_are_followed_only_when_given() {
    let tree = TempTree::new();
    tree.file("real/f", "one two");
    symlink("real", tree.join("link")).unwrap();
    symlink("..", tree.join("real/up")).unwrap();
    symlink("f", tree.join("real/same")).unwrap();
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    assert_eq!(
        (total(&out, "files"), total(&out, "linked directories")),
        (2, 2)
    );
    let out = run(WORDCOUNT, [tree.join("link")]).expect_code(0);
    assert_eq!((total(&out, "files"), total(&out, "words")), (2, 4));
}

#[test]
fn special_files_are_left_out() {
    let tree = TempTree::new();
    tree.file("f", "word");
    let _socket = UnixListener::bind(tree.join("s")).unwrap();
    symlink("s", tree.join("t")).unwrap();
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    assert_eq!((total(&out, "files"), total(&out, "special files")), (1, 2));
}

/// Opening a pipe for reading waits for a writer, and these writers come in the wrong order: with
/// one P, and no hand-off of the P of a reader that blocks, the first would wait for ever.
#[test]
fn readers_that_block_hold_up_nobody() {
    let tree = TempTree::new();
    let pipes: Vec<PathBuf> = (0..8).map(|i| tree.join(format!("pipe{i}"))).collect();
    let made = Command::new("mkfifo")
        .args(&pipes)
        .status()
        .expect("mkfifo is installed");
    assert!(made.success());
    let file = tree.file("file", "word");
    let last_first = pipes.clone();
    // Not joined if the program fails: then it may never get past a pipe.
    let writer = thread::spawn(move || {
        for pipe in last_first.iter().rev() {
            fs::write(pipe, "from a pipe").unwrap();
        }
    });
    let out = run_command(Command::new(WORDCOUNT).args(&pipes).arg(&file).args([
        "--procs",
        "1",
        "--counters",
        "2",
    ]))
    .expect_code(0);
    writer.join().unwrap();
    assert_eq!((total(&out, "files"), total(&out, "words")), (9, 25));
}

#[test]
fn names_need_not_be_utf8_nor_nice() {
    let tree = TempTree::new();
    tree.file(OsString::from_vec(b"bad\xff".to_vec()), "one");
    tree.file("line\nbreak \u{1b}[31m", b"\xff");
    tree.file("größe 東京", "two");
    let out = run(WORDCOUNT, [tree.as_os_str()]).expect_code(0);
    assert_eq!(total(&out, "files"), 2);
    assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
    assert!(!out.stderr.contains('\u{1b}'));
}

#[test]
fn files_given_twice_count_twice() {
    let tree = TempTree::new();
    let file = tree.file("f", "word");
    let out = run(WORDCOUNT, [&file, &file, &tree.to_path_buf()]).expect_code(0);
    assert_eq!((total(&out, "files"), total(&out, "words")), (3, 3));
}

#[test]
fn without_paths_this_repository_is_counted() {
    let elsewhere = TempTree::new();
    let out = run_command(Command::new(WORDCOUNT).current_dir(&*elsewhere)).expect_code(0);
    assert!(total(&out, "files") >= 10, "{}", out.stdout);
    assert!(total(&out, "words") >= 1000, "{}", out.stdout);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let tree = TempTree::new();
    let words: Vec<String> = (0..100_000).map(|i| format!("w{i}")).collect();
    tree.file("f", words.join(" "));
    let mut child = Command::new(WORDCOUNT)
        .arg(&*tree)
        .args(["--top", "100000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn silly_numbers_are_refused() {
    for args in [
        ["--readers", "0"],
        ["--readers", "100000"],
        ["--counters", "129"],
        ["--top", "x"],
    ] {
        let out = run(WORDCOUNT, args).expect_code(2);
        assert!(out.stderr.contains(args[0]), "{}", out.stderr);
    }
}

#[test]
fn any_number_of_readers_and_counters_will_do() {
    let tree = TempTree::new();
    for i in 0..50 {
        tree.file(format!("{i}"), "a b c");
    }
    for (readers, counters) in [("1", "1"), ("1", "128"), ("256", "1"), ("256", "128")] {
        let out = run_command(Command::new(WORDCOUNT).arg(&*tree).args([
            "--readers",
            readers,
            "--counters",
            counters,
        ]))
        .expect_code(0);
        assert_eq!(total(&out, "words"), 150);
    }
}
