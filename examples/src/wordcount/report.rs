//! How a report is written for people.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use super::{Problem, ProblemKind, Report};

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { path, kind, reason } = self;
        // The debug form of a path quotes it, so that an odd name can neither break the line nor
        // write to the terminal.
        match kind {
            ProblemKind::Missing => write!(f, "no such path {path:?}: {reason}"),
            ProblemKind::Unlistable => write!(f, "cannot list directory {path:?}: {reason}"),
            ProblemKind::Unreadable => write!(f, "cannot read file {path:?}: {reason}"),
            ProblemKind::NotUtf8 => write!(f, "cannot count file {path:?}: {reason}"),
        }
    }
}

/// Writes the totals, the `top` most frequent words and the time taken. Counts of problems and
/// of things left out appear only when there are any; the problems themselves are not written.
pub fn write_table(
    out: &mut impl Write,
    report: &Report,
    top: usize,
    elapsed: Duration,
) -> io::Result<()> {
    let mut line = |label: &str, count: u64| writeln!(out, "{label:<23}{count:>14}");
    line("files", report.files)?;
    line("bytes", report.bytes)?;
    line("words", report.words)?;
    line("distinct words", report.counts.len() as u64)?;
    let problems = [
        ("missing paths", ProblemKind::Missing),
        ("unlistable directories", ProblemKind::Unlistable),
        ("unreadable files", ProblemKind::Unreadable),
        ("files not UTF-8", ProblemKind::NotUtf8),
    ];
    let skipped = [
        ("directories left out", report.skipped.left_out),
        ("linked directories", report.skipped.linked_directories),
        ("special files", report.skipped.special_files),
    ];
    let problems = problems.map(|(label, kind)| (label, report.problems_of(kind) as u64));
    for (label, count) in problems.into_iter().chain(skipped) {
        if count > 0 {
            line(label, count)?;
        }
    }

    let words = report.top(top);
    if !words.is_empty() {
        writeln!(out)?;
        for (word, count) in words {
            writeln!(out, "{count:>14}  {word}")?;
        }
    }
    writeln!(out, "\n{:.3} s", elapsed.as_secs_f64())
}
