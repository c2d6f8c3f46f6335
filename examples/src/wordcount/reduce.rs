//! The reducer: adds everything up into the report.

use std::collections::HashMap;

use channels::Receiver;

use super::{Event, Partial, Problem, ProblemKind};

/// The result of a count.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files counted; those with a problem are not among them.
    pub files: u64,
    /// Bytes in the files counted.
    pub bytes: u64,
    /// Words in the files counted.
    pub words: u64,
    /// How often each distinct word occurs.
    pub counts: HashMap<String, u64>,
    /// What could not be counted, ordered by path.
    pub problems: Vec<Problem>,
    /// What the walk left out on purpose.
    pub skipped: Skipped,
}

/// What a walk leaves out on purpose.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Directories named in [`LEFT_OUT`](super::LEFT_OUT).
    pub left_out: u64,
    /// Symbolic links to directories.
    pub linked_directories: u64,
    /// Pipes, sockets and devices.
    pub special_files: u64,
}

impl Report {
    /// The `n` most frequent words, most frequent first, words of equal count by word.
    pub fn top(&self, n: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|(w, c)| (w.as_str(), *c)).collect();
        let order = |a: &(&str, u64), b: &(&str, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
        if n < all.len() {
            all.select_nth_unstable_by(n, order);
            all.truncate(n);
        }
        all.sort_unstable_by(order);
        all
    }

    /// How many problems are of this kind.
    pub fn problems_of(&self, kind: ProblemKind) -> usize {
        self.problems.iter().filter(|p| p.kind == kind).count()
    }

    /// Whether there were inputs, and all of them failed.
    pub fn nothing_read(&self) -> bool {
        self.files == 0 && !self.problems.is_empty()
    }

    fn add(&mut self, partial: Partial) {
        self.files += partial.files;
        self.bytes += partial.bytes;
        self.words += partial.words;
        let counts = partial.tally.into_counts();
        if self.counts.is_empty() {
            self.counts = counts;
            return;
        }
        for (word, count) in counts {
            *self.counts.entry(word).or_default() += count;
        }
    }
}

/// Collects events until all other stages have ended.
pub(super) fn reduce(events: Receiver<Event>) -> Report {
    let mut report = Report::default();
    for event in events {
        match event {
            Event::Counted(partial) => report.add(partial),
            Event::Failed(problem) => report.problems.push(problem),
            Event::Skipped(skipped) => report.skipped = skipped,
        }
    }
    report.problems.sort_unstable();
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_by_count_and_then_by_word() {
        let counts = [("b", 2), ("a", 2), ("d", 1), ("c", 7)];
        let report = Report {
            counts: counts.map(|(w, c)| (w.to_owned(), c)).into(),
            ..Report::default()
        };
        let sorted = [("c", 7), ("a", 2), ("b", 2), ("d", 1)];
        for n in 0..6 {
            assert_eq!(report.top(n), sorted[..n.min(4)]);
        }
    }

    #[test]
    fn nothing_read_needs_something_to_have_failed() {
        let mut report = Report::default();
        assert!(!report.nothing_read());
        report.problems.push(Problem {
            path: "x".into(),
            kind: ProblemKind::Missing,
            reason: "gone".into(),
        });
        assert!(report.nothing_read());
        report.files = 1;
        assert!(!report.nothing_read());
    }
}
