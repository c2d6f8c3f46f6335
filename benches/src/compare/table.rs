//! The report as text for people: the table, the losses and the goals.

use std::fmt::Write;

use super::goals::{Goal, Measured, Outcome, Target, Verdict};
use super::report::{Cell, Report, Row, Status};
use super::workloads::Workload;
use crate::peers::{Peer, Unit};

/// Marks a cell in which weft is behind.
const LOSS: &str = " !";

/// Renders the whole report.
pub fn render(report: &Report) -> String {
    let mut text = grid(report);
    legend(&mut text, report);
    percentiles(&mut text, &report.rows);
    losses(&mut text, report);
    goals(&mut text, &report.goals);
    text
}

fn grid(report: &Report) -> String {
    let peers: Vec<Peer> = report
        .setup
        .peers
        .iter()
        .map(|version| version.peer)
        .collect();
    let mut lines = vec![vec!["workload".to_owned(), "P".to_owned()]];
    lines[0].extend(peers.iter().map(|peer| match peer {
        Peer::Weft => "weft ns".to_owned(),
        _ => peer.name().to_owned(),
    }));
    for row in &report.rows {
        let name = match row.unit {
            Unit::NsPerOp => row.workload.to_owned(),
            Unit::BytesPerGoroutine => format!("{} (bytes)", row.workload),
            Unit::MedianNs => format!("{} (median)", row.workload),
            Unit::P99Ns => format!("{} (99 %)", row.workload),
        };
        let mut line = vec![name, row.procs.to_string()];
        line.extend(
            peers
                .iter()
                .map(|peer| row.cell(*peer).map_or("-".to_owned(), cell)),
        );
        lines.push(line);
    }
    align(&lines)
}

fn cell(cell: &Cell) -> String {
    let mut text = match (cell.status, cell.median) {
        (Status::Measured, Some(median)) => number(median),
        (Status::Timeout, _) => "timeout".to_owned(),
        (Status::Absent, _) => return "-".to_owned(),
        _ => "failed".to_owned(),
    };
    if cell.smaller {
        text.push('*');
    }
    if let Some(ratio) = cell.ratio {
        let _ = write!(text, " ({ratio:.2}x)");
    }
    if cell.status == Status::Measured && !cell.errors.is_empty() {
        let _ = write!(text, " [{} failed]", cell.errors.len());
    }
    if cell.weft_loses {
        text.push_str(LOSS);
    }
    text
}

fn number(value: f64) -> String {
    if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Columns as wide as their widest cell, the first one flush left, the others flush right.
fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
        if index == 0 {
            let rule = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
            text.push_str(&"-".repeat(rule));
            text.push('\n');
        }
    }
    text
}

fn legend(text: &mut String, report: &Report) {
    let setup = &report.setup;
    let _ = writeln!(
        text,
        "\nMedians of {} round(s), ns/op where nothing else is said; (peer / weft): above 1x weft \
         is ahead, `!` weft loses, `-` no counterpart.",
        setup.rounds
    );
    let mut smaller: Vec<String> = Vec::new();
    let cells = report
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
    for (row, cell) in cells.filter(|(_, cell)| cell.smaller) {
        let entry = format!(
            "{} {} {}",
            cell.peer.name(),
            row.workload,
            cell.size.unwrap_or(0)
        );
        if !smaller.contains(&entry) {
            smaller.push(entry);
        }
    }
    if !smaller.is_empty() {
        let _ = writeln!(
            text,
            "* with a smaller size of one pass: {}.",
            smaller.join(", ")
        );
    }
    let versions: Vec<&str> = setup
        .peers
        .iter()
        .filter_map(|version| version.version.as_deref())
        .collect();
    let _ = writeln!(text, "{}; {} CPU(s).", versions.join(", "), setup.cpus);
    for note in &setup.notes {
        let _ = writeln!(text, "{note}");
    }
    for (row, cell) in report
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().map(move |c| (row, c)))
    {
        if let Some(error) = cell.errors.last() {
            let peer = cell.peer.name();
            let _ = writeln!(text, "{peer} {} P={}: {error}", row.workload, row.procs);
        }
    }
}

/// What the rows of medians keep quiet about.
fn percentiles(text: &mut String, rows: &[Row]) {
    let mut heading = "\n99 % (and half) of the single operations took at most, ns:\n";
    for row in rows {
        let told = |cell: &Cell| {
            let half = cell
                .p50
                .map_or(String::new(), |p50| format!(" ({})", number(p50)));
            Some(format!("{} {}{half}", cell.peer.name(), number(cell.p99?)))
        };
        let told: Vec<String> = row.cells.iter().filter_map(told).collect();
        if !told.is_empty() {
            text.push_str(std::mem::take(&mut heading));
            let told = told.join(", ");
            let _ = writeln!(text, "  {} P={}: {told}", row.workload, row.procs);
        }
    }
}

fn losses(text: &mut String, report: &Report) {
    let totals = &report.totals;
    let _ = writeln!(text, "\nwins {}, losses {}", totals.wins, totals.losses);
    for (row, cell) in report.losses() {
        let _ = writeln!(text, "  loss: {}", loss(row, cell));
    }
    if totals.weft_without_a_number > 0 {
        let _ = writeln!(
            text,
            "  weft gave no number in {} row(s)",
            totals.weft_without_a_number
        );
    }
}

fn loss(row: &Row, cell: &Cell) -> String {
    let theirs = cell.median.map_or("-".to_owned(), number);
    let ours = row.cell(Peer::Weft).and_then(|weft| weft.median);
    let ours = ours.map_or("no number".to_owned(), number);
    let ratio = cell
        .ratio
        .map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
    let peer = cell.peer.name();
    format!(
        "{} P={}: weft {ours}, {peer} {theirs}{ratio}",
        row.workload, row.procs
    )
}

fn goals(text: &mut String, outcomes: &[Outcome]) {
    let reached = outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Reached)
        .count();
    let missed = outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Missed)
        .count();
    let open = outcomes.len() - reached - missed;
    let _ = writeln!(
        text,
        "\ngoals: {reached} reached, {missed} missed, {open} not measured"
    );
    for outcome in outcomes {
        let verdict = match outcome.verdict {
            Verdict::Reached => "reached",
            Verdict::Missed => "MISSED ",
            Verdict::NotMeasured => continue,
        };
        let _ = write!(text, "  {verdict}  {}", goal(&outcome.goal));
        let told: Vec<String> = match outcome.goal.workload {
            Some(_) => outcome
                .measured
                .iter()
                .map(|row| told(&outcome.goal, row))
                .collect(),
            None => vec![summary(&outcome.measured)],
        };
        let _ = writeln!(text, ": {}", told.join(", "));
    }
}

/// A goal in words.
pub fn goal(goal: &Goal) -> String {
    match (goal.workload, goal.target) {
        (Some(name), Target::Ratio { peer, ratio }) => {
            format!("{name} at least {ratio}x as fast as {}", peer.name())
        }
        (None, Target::Ratio { peer, ratio: _ }) => {
            format!("nothing that is timed behind {}", peer.name())
        }
        (Some(name), Target::AtMost(most)) => format!("{name} at most {most} {}", counted(name)),
        (Some(name), Target::AtMostTimes { row, times }) => {
            format!("{name} at most {times}x {row}")
        }
        (None, Target::AtMostTimes { row, times }) => {
            format!("everything that is timed at most {times}x {row}")
        }
        (None, Target::AtMost(number)) => format!("everything that is timed at most {number} ns"),
    }
}

fn counted(workload: &str) -> &'static str {
    match Workload::named(workload).map(Workload::unit) {
        Some(Unit::BytesPerGoroutine) => "bytes",
        Some(Unit::NsPerOp | Unit::MedianNs | Unit::P99Ns) | None => "ns",
    }
}

fn told(goal: &Goal, row: &Measured) -> String {
    let value = match (row.value, goal.target) {
        (None, _) => "no number".to_owned(),
        (Some(ratio), Target::Ratio { .. } | Target::AtMostTimes { .. }) => format!("{ratio:.2}x"),
        (Some(value), Target::AtMost(_)) => number(value),
    };
    format!("P={} {value}", row.procs)
}

fn summary(measured: &[Measured]) -> String {
    let behind: Vec<String> = measured
        .iter()
        .filter(|row| !row.reached)
        .map(|row| format!("{} P={}", row.workload, row.procs))
        .collect();
    match behind.len() {
        0 => format!("{} row(s)", measured.len()),
        n => format!(
            "{n} of {} row(s) behind: {}",
            measured.len(),
            behind.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{number, render};
    use crate::compare::child::Sample;
    use crate::compare::report::tests::{report, row, sample};
    use crate::compare::report::{PeerVersion, Report, Row};
    use crate::compare::workloads::Workload;
    use crate::peers::Peer::{self, Go, May, Tokio, Weft};

    fn with_peers(rows: Vec<Row>, peers: &[Peer]) -> Report {
        let mut report = report(rows);
        let version = |peer: &Peer| PeerVersion {
            peer: *peer,
            version: None,
        };
        report.setup.peers = peers.iter().map(version).collect();
        report
    }

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_losing_row_is_printed_and_marked() {
        let rows = vec![
            row("yield_2", 1, &[(Weft, 10.0), (Go, 45.0), (Tokio, 8.0)]),
            row("spsc_0", 2, &[(Weft, 40.0), (Go, 150.0)]),
        ];
        let text = render(&with_peers(rows, &[Weft, Go, Tokio]));
        let header = line(&text, "workload");
        let words: Vec<&str> = header.split_whitespace().collect();
        assert_eq!(words, ["workload", "P", "weft", "ns", "go", "tokio"]);
        let losing = line(&text, "yield_2");
        assert!(
            losing.contains("10.0") && losing.contains("45.0 (4.50x)"),
            "{losing}"
        );
        assert!(losing.ends_with("8.0 (0.80x) !"), "{losing}");
        let winning = line(&text, "spsc_0");
        assert!(
            !winning.contains('!') && winning.ends_with('-'),
            "{winning}"
        );
        assert!(text.contains("wins 2, losses 1"), "{text}");
        assert!(
            text.contains("  loss: yield_2 P=1: weft 10.0, tokio 8.0 (0.80x)"),
            "{text}"
        );
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![
            row("yield_2", 1, &[(Weft, 10.0), (Go, 45.0)]),
            row("spawn_join_chan", 2, &[(Weft, 123_456.0), (Go, 1.0)]),
        ];
        let text = render(&with_peers(rows, &[Weft, Go]));
        let lines: Vec<usize> = text
            .lines()
            .take(4)
            .map(|line| line.chars().count())
            .collect();
        assert!(lines.iter().all(|length| *length == lines[0]), "{text}");
    }

    #[test]
    fn failures_timeouts_and_smaller_sizes_are_visible() {
        let workload = Workload::named("skynet").unwrap();
        let peers = [
            (
                Weft,
                vec![sample(workload, 70.0), Sample::Failed("odd".to_owned())],
            ),
            (Go, vec![Sample::Timeout]),
            (Tokio, vec![Sample::Failed("out of memory".to_owned())]),
            (May, vec![sample(workload, 700.0)]),
        ];
        let rows = vec![Row::new(workload, 2, false, &peers)];
        let text = render(&with_peers(rows, &[Weft, Go, Tokio, May]));
        let line = line(&text, "skynet");
        assert!(line.contains("70.0 [1 failed]"), "{line}");
        assert!(line.contains(" timeout "), "{line}");
        assert!(line.contains(" failed "), "{line}");
        assert!(line.contains("700* (10.00x)"), "{line}");
        assert!(
            text.contains("smaller size of one pass: may skynet 10000."),
            "{text}"
        );
        assert!(text.contains("tokio skynet P=2: out of memory"), "{text}");
        assert!(text.contains("go skynet P=2: timeout"), "{text}");
    }

    #[test]
    fn goals_are_listed_as_reached_or_missed() {
        let rows = vec![
            row("yield_2", 1, &[(Weft, 10.0), (Go, 45.0)]),
            row("skynet", 1, &[(Weft, 100.0), (Go, 500.0), (Tokio, 90.0)]),
            row("parked_memory", 1, &[(Weft, 4500.0)]),
        ];
        let text = render(&with_peers(rows, &[Weft, Go, Tokio]));
        assert!(text.contains("goals: 2 reached, 2 missed"), "{text}");
        assert!(
            text.contains("reached  yield_2 at least 4x as fast as go: P=1 4.50x"),
            "{text}"
        );
        assert!(
            text.contains("MISSED   skynet at least 7x as fast as go: P=1 5.00x"),
            "{text}"
        );
        let behind =
            "MISSED   nothing that is timed behind tokio: 1 of 1 row(s) behind: skynet P=1";
        assert!(text.contains(behind), "{text}");
        assert!(
            text.contains("reached  parked_memory at most 5120 bytes: P=1 4500"),
            "{text}"
        );
        assert!(text.contains("parked_memory (bytes)"), "{text}");
    }

    #[test]
    fn rows_of_medians_say_so_and_tell_their_percentiles() {
        let rows = vec![
            row("fib", 1, &[(Weft, 10.0), (Go, 45.0)]),
            row("sleep_50us_idle", 1, &[(Weft, 70_000.0), (Go, 1e6)]),
            row("timer_lateness_load", 2, &[(Weft, 60.0)]),
        ];
        let text = render(&with_peers(rows, &[Weft, Go]));
        let sleep = line(&text, "sleep_50us_idle (median)");
        assert!(sleep.ends_with("70000  1000000 (14.29x)"), "{sleep}");
        let percentiles = "99 % (and half) of the single operations took at most, ns:\n  \
                           sleep_50us_idle P=1: weft 700000, go 10000000\n  \
                           timer_lateness_load P=2: weft 600\n\n";
        assert!(text.contains(percentiles), "{text}");
        let goal = "reached  sleep_50us_idle at most 150000 ns: P=1 70000";
        assert!(text.contains(goal), "{text}");
    }

    #[test]
    fn small_numbers_keep_a_decimal() {
        assert_eq!(number(9.876), "9.9");
        assert_eq!(number(99.94), "99.9");
        assert_eq!(number(99.96), "100");
        assert_eq!(number(1234.5678), "1235");
    }
}
