//! The counts of wordcount, against a count made independently in one thread: generated
//! trees and this repository, with several numbers of Ps.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{Census, PROCS, TempTree};
use examples::wordcount::{Options, ProblemKind, Report, count};

fn count_with(procs: usize, path: &Path, readers: usize, counters: usize) -> Report {
    let rt = runtime::start(procs);
    let options = Options {
        paths: vec![path.to_owned()],
        all: false,
        readers,
        counters,
    };
    count(&rt, &options)
}

fn census_of(report: &Report) -> Census {
    let of = |kind| report.problems_of(kind) as u64;
    Census {
        files: report.files,
        bytes: report.bytes,
        words: report.words,
        counts: report
            .counts
            .iter()
            .map(|(w, c)| (w.clone(), *c))
            .collect::<BTreeMap<_, _>>(),
        not_utf8: of(ProblemKind::NotUtf8),
        unreadable: of(ProblemKind::Unreadable) + of(ProblemKind::Unlistable),
    }
}

#[track_caller]
fn assert_counted_right(path: &Path) {
    let expected = Census::of(path);
    for procs in PROCS {
        for (readers, counters) in [(32, 0), (1, 1), (3, 8)] {
            let report = count_with(procs, path, readers, counters);
            assert_eq!(
                census_of(&report),
                expected,
                "{procs} Ps, {readers} readers"
            );
            assert_eq!(report.words, report.counts.values().sum::<u64>());
        }
    }
}

/// A generator of numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Words of several scripts, with everything between them that could confuse a counter.
    fn text(&mut self, pieces: usize) -> String {
        const PIECES: &[&str] = &[
            "the",
            "The",
            "THE",
            "channel",
            "goroutine",
            "x",
            "_",
            "__init__",
            "don't",
            "rock",
            "'n'",
            "''",
            "'",
            "7",
            "3.14",
            "größe",
            "GRÖSSE",
            "ß",
            "été",
            "ÉTÉ",
            "мир",
            "МИР",
            "ΟΔΟΣ",
            "οδος",
            "東京",
            "タワー",
            "한국어",
            "العربية",
            "हिन्दी",
            "İstanbul",
            "ﬁn",
            "½",
            "Ⅷ",
            "e\u{301}",
            "👋",
            "don\u{2019}t",
            "a\u{200b}b",
            "\u{feff}",
            "\0",
        ];
        const BETWEEN: &[&str] = &[
            " ", " ", " ", "\n", "\r\n", "\t", ", ", ".", "-", "", "'", "\u{a0}", "\u{3000}",
        ];
        let mut text = String::new();
        for _ in 0..pieces {
            text.push_str(self.pick(PIECES));
            text.push_str(self.pick(BETWEEN));
        }
        text
    }
}

#[test]
fn a_random_tree_is_counted_right() {
    let tree = TempTree::new();
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut dirs = vec![PathBuf::new()];
    for i in 0..300 {
        let dir = dirs[numbers.below(dirs.len())].clone();
        match numbers.below(11) {
            0 | 1 => dirs.push(dir.join(format!("dir{i}"))),
            2 => drop(tree.file(dir.join(format!("binary{i}")), b"text \xff\xfe text")),
            3 => drop(tree.file(dir.join(format!("empty{i}")), "")),
            4 => drop(tree.file(dir.join(format!("target/left-out{i}")), "left out")),
            5 => drop(tree.file(dir.join(format!(".git/left-out{i}")), "left out")),
            6 => {
                // Points nowhere, and again at a file that may exist already.
                let link = tree.join(&dir).join(format!("link{i}"));
                std::fs::create_dir_all(tree.join(&dir)).unwrap();
                std::os::unix::fs::symlink(format!("text{}.txt", i / 2), link).unwrap();
            }
            _ => {
                let pieces = numbers.below(2000);
                let text = numbers.text(pieces);
                tree.file(dir.join(format!("text{i}.txt")), text);
            }
        }
    }
    assert_counted_right(&tree);
}

#[test]
fn thousands_of_small_files_are_counted_right() {
    let tree = TempTree::new();
    for i in 0..4000 {
        tree.file(
            format!("{}/{}/{i}", i % 7, i % 31),
            format!("file number {i}"),
        );
    }
    let report = count_with(2, &tree, 32, 0);
    assert_eq!(
        (report.files, report.words, report.counts.len()),
        (4000, 12_000, 4002)
    );
    assert_eq!(report.top(2), [("file", 4000), ("number", 4000)]);
    assert_counted_right(&tree);
}

#[test]
fn a_deep_tree_is_counted_right() {
    let tree = TempTree::new();
    let mut dir = PathBuf::new();
    for depth in 0..500 {
        tree.file(dir.join("f"), format!("depth {depth}"));
        dir.push("d");
    }
    assert_eq!(count_with(2, &tree, 4, 2).files, 500);
    assert_counted_right(&tree);
}

#[test]
fn a_large_file_is_counted_right() {
    let tree = TempTree::new();
    let mut numbers = Numbers(42);
    let mut text = numbers.text(1_000_000);
    // More distinct words than a counter holds back.
    for i in 0..200_000 {
        text.push_str(&format!(" w{i}"));
    }
    tree.file("large", &text);
    tree.file("small", "small");
    let expected = Census::of(&tree);
    assert!(expected.counts.len() > 200_000);
    for procs in [1, 4] {
        assert_eq!(census_of(&count_with(procs, &tree, 8, 2)), expected);
    }
}

#[test]
fn one_endless_word_is_one_word() {
    let tree = TempTree::new();
    tree.file("long", "ab'".repeat(1_000_000));
    let report = count_with(2, &tree, 2, 2);
    assert_eq!((report.words, report.bytes), (1, 3_000_000));
    assert_eq!(report.top(1)[0].0.len(), 2_999_999);
}

#[test]
fn nothing_but_empty_files_and_directories_is_no_problem() {
    let tree = TempTree::new();
    assert_eq!(count_with(2, &tree, 4, 2), Report::default());
    for i in 0..100 {
        tree.file(format!("{}/{i}", i % 3), "");
    }
    let report = count_with(2, &tree, 4, 2);
    assert_eq!((report.files, report.bytes, report.words), (100, 0, 0));
    assert!(report.problems.is_empty());
}

#[test]
fn the_same_runtime_counts_again_and_again() {
    let tree = TempTree::new();
    for i in 0..20 {
        tree.file(format!("{i}"), "again and again");
    }
    let rt = runtime::start(2);
    let options = Options {
        paths: vec![tree.to_path_buf()],
        all: false,
        readers: 4,
        counters: 3,
    };
    for _ in 0..50 {
        let report = count(&rt, &options);
        assert_eq!(report.top(3), [("again", 40), ("and", 20)]);
    }
}

#[test]
fn this_repository_is_counted_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace above");
    for procs in PROCS {
        // Somebody may be at work in it: then count again.
        for attempt in 1.. {
            let before = Census::of(root);
            let counted = census_of(&count_with(procs, root, 32, 0));
            if before == Census::of(root) || attempt == 20 {
                assert_eq!(counted, before);
                break;
            }
        }
    }
}
