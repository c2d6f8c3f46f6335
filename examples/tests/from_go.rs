//! docs/from-go.md: what it shows is what is compiled, and what is compiled does what it says.

mod common;

use common::{PROCS, run};
use std::fs;
use std::path::Path;

/// Code without its layout: no white space, no comma at the end or before a closing bracket.
fn squeezed(code: &str) -> String {
    let mut out: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    for close in [")", "}", "]"] {
        out = out.replace(&format!(",{close}"), close);
    }
    out.trim_end_matches(',').to_owned()
}

/// All code of the examples that stand for Go's.
fn compiled() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/from_go");
    let files = fs::read_dir(dir).unwrap();
    let texts = files.map(|f| fs::read_to_string(f.unwrap().path()).unwrap());
    squeezed(&texts.collect::<String>())
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix("| ")?.strip_suffix("|")?;
    let cells = inner.replace("\\|", "\u{1}");
    Some(cells.split('|').map(|c| c.replace('\u{1}', "|")).collect())
}

/// What stands between backticks; lines that are broken by `<br>` belong together.
fn code(cell: &str) -> Vec<String> {
    let joined = cell.replace("`<br>`", "\n");
    joined
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Names that the page mentions without a call.
const MENTIONED: [&str; 8] = [
    "Sender<T>",
    "Receiver<T>",
    "wait",
    "std::thread::available_parallelism()",
    "Builder::max_threads",
    "Receiver::<()>::nil().recv()",
    "LazyLock",
    "notify_one",
];

#[test]
fn every_line_of_the_page_is_compiled() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-go.md");
    let page = fs::read_to_string(page).unwrap();
    let compiled = compiled();
    let mut lines = 0;
    let mut missing = Vec::new();
    for row in page.lines().filter_map(cells) {
        assert_eq!(row.len(), 3, "{row:?}");
        for code in code(&row[1]) {
            if MENTIONED.contains(&code.as_str()) {
                continue;
            }
            lines += 1;
            // Lines of one cell stand together in the source, or each for itself.
            let together = compiled.contains(&squeezed(&code));
            let apart = || code.lines().all(|l| compiled.contains(&squeezed(l)));
            if !together && !apart() {
                missing.push(code);
            }
        }
    }
    assert!(missing.is_empty(), "not in the examples: {missing:#?}");
    assert!(lines > 100, "only {lines} lines were found");
}

#[test]
fn the_tour_says_what_it_should() {
    let expected = include_str!("from_go.txt");
    for procs in PROCS {
        for _ in 0..5 {
            let out = run(
                env!("CARGO_BIN_EXE_go_tour"),
                ["--procs", &procs.to_string()],
            )
            .expect_code(0);
            assert_eq!(out.stdout, expected);
        }
    }
}

#[test]
fn a_chapter_can_be_chosen() {
    let out = run(env!("CARGO_BIN_EXE_go_tour"), ["--chapter", "errg"]).expect_code(0);
    assert!(out.stdout.starts_with("Package errgroup\n"));
    assert_eq!(out.stdout.matches("Package").count(), 1);
}
