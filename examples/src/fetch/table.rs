//! Tables of text.

use super::many::Outcome;
use std::fmt::Write as _;
use std::time::Duration;

/// The first line of the experiment's table.
pub fn header(names: &[String]) -> String {
    let mut line = format!("{:>5}", "URLs");
    for name in names {
        let _ = write!(line, "  {name:>18}");
    }
    line
}

/// A line of it.
pub fn row(urls: usize, times: &[Duration]) -> String {
    let mut line = format!("{urls:>5}");
    for time in times {
        let _ = write!(line, "  {:>16.3} s", time.as_secs_f64());
    }
    line
}

/// The table of failures; empty if there are none.
pub fn failures(outcomes: &[Outcome<'_>]) -> String {
    let failed: Vec<_> = outcomes
        .iter()
        .filter_map(|o| o.result.as_ref().err().map(|e| (o, e)))
        .collect();
    if failed.is_empty() {
        return String::new();
    }
    let width = failed.iter().map(|(o, _)| o.url.chars().count());
    let width = width.max().unwrap_or(0).clamp(3, 60);
    let mut table = format!("{:<width$}  {:>8}  {}\n", "URL", "attempts", "error");
    for (outcome, error) in failed {
        let (url, attempts) = (outcome.url, outcome.attempts);
        let _ = writeln!(table, "{url:<width$}  {attempts:>8}  {error}");
    }
    table
}
