//! The report: rows made of samples, ratios, wins and losses. It is what the table prints and what
//! the JSON file holds; it formats nothing itself.

use serde::Serialize;

use super::child::Sample;
use super::goals::{self, Outcome};
use super::stats::median;
use super::workloads::Workload;
use crate::peers::{Peer, Unit};

/// Raised when a field of the JSON changes its meaning.
const FORMAT: u32 = 1;

/// Everything that one comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this structure.
    pub format: u32,
    /// How it was measured.
    pub setup: Setup,
    /// One row for each workload and number of Ps.
    pub rows: Vec<Row>,
    /// Wins and losses.
    pub totals: Totals,
    /// Every goal, with what was measured.
    pub goals: Vec<Outcome>,
}

/// How a comparison was made.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// How many rounds the medians are of.
    pub rounds: u32,
    /// Whether sizes were small.
    pub quick: bool,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
    /// CPUs the process may use.
    pub cpus: usize,
    /// The peers that took part.
    pub peers: Vec<PeerVersion>,
    /// Why a peer that was asked for did not.
    pub notes: Vec<String>,
}

/// A peer and its version, where it is known.
#[derive(Clone, Debug, Serialize)]
pub struct PeerVersion {
    /// The peer.
    pub peer: Peer,
    /// For example `tokio 1.54.1`.
    pub version: Option<String>,
}

/// One workload at one number of Ps.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload's name.
    pub workload: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What the numbers count.
    pub unit: Unit,
    /// The number of Ps.
    pub procs: usize,
    /// One cell for each peer that took part, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// What a cell has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// At least one round gave a number.
    Measured,
    /// No round gave a number, and the last one was killed at its limit.
    Timeout,
    /// No round gave a number.
    Failed,
    /// The peer has no counterpart.
    Absent,
}

/// One peer's result in one row.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The peer.
    pub peer: Peer,
    /// Whether there is a number.
    pub status: Status,
    /// The median of the rounds.
    pub median: Option<f64>,
    /// The median of the rounds' medians, where single operations were looked at and the row is
    /// something else.
    pub p50: Option<f64>,
    /// The median of the rounds' 99th percentiles, where single operations were looked at.
    pub p99: Option<f64>,
    /// This peer's median / weft's: above 1 weft is ahead. `None` for weft itself.
    pub ratio: Option<f64>,
    /// Whether weft is behind this peer here, or has failed where the peer has not.
    pub weft_loses: bool,
    /// The size of a pass.
    pub size: Option<usize>,
    /// Whether that is less than weft's size.
    pub smaller: bool,
    /// The number of every round that gave one.
    pub samples: Vec<f64>,
    /// What went wrong in the other rounds.
    pub errors: Vec<String>,
}

/// How often weft is ahead and behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Cells of peers in which weft is not behind.
    pub wins: usize,
    /// Cells of peers in which it is.
    pub losses: usize,
    /// Rows in which weft gave no number at all.
    pub weft_without_a_number: usize,
}

impl Cell {
    fn absent(peer: Peer) -> Cell {
        Cell {
            peer,
            status: Status::Absent,
            median: None,
            p50: None,
            p99: None,
            ratio: None,
            weft_loses: false,
            size: None,
            smaller: false,
            samples: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn of(peer: Peer, size: usize, samples: &[Sample]) -> Cell {
        let mut cell = Cell {
            size: Some(size),
            status: Status::Failed,
            ..Cell::absent(peer)
        };
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for sample in samples {
            match sample {
                Sample::Measured(measurement) => {
                    cell.samples.push(measurement.value);
                    p50.extend(measurement.p50);
                    p99.extend(measurement.p99);
                }
                Sample::Timeout => cell.errors.push("timeout".to_owned()),
                Sample::Failed(error) => cell.errors.push(error.clone()),
            }
        }
        cell.median = median(&cell.samples);
        cell.p50 = median(&p50);
        cell.p99 = median(&p99);
        if cell.median.is_some() {
            cell.status = Status::Measured;
        } else if samples.last() == Some(&Sample::Timeout) {
            cell.status = Status::Timeout;
        }
        cell
    }
}

impl Row {
    /// A row of what `peers` gave; a peer without samples there has no counterpart.
    pub fn new(
        workload: &'static Workload,
        procs: usize,
        quick: bool,
        peers: &[(Peer, Vec<Sample>)],
    ) -> Row {
        let full = workload.size_for(Peer::Weft, quick);
        let cells = peers
            .iter()
            .map(|(peer, samples)| match workload.size_for(*peer, quick) {
                Some(size) if !samples.is_empty() => {
                    let cell = Cell::of(*peer, size, samples);
                    Cell {
                        smaller: Some(size) < full,
                        ..cell
                    }
                }
                _ => Cell::absent(*peer),
            });
        let mut row = Row {
            workload: workload.name,
            what: workload.what,
            unit: workload.unit(),
            procs,
            cells: cells.collect(),
        };
        row.compare();
        row
    }

    /// The cell of `peer`, if it took part.
    pub fn cell(&self, peer: Peer) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.peer == peer)
    }

    fn compare(&mut self) {
        let Some(weft) = self.cell(Peer::Weft).cloned() else {
            return;
        };
        for cell in self.cells.iter_mut().filter(|cell| cell.peer != Peer::Weft) {
            cell.ratio = match (cell.median, weft.median) {
                (Some(peer), Some(weft)) if weft > 0.0 => Some(peer / weft),
                _ => None,
            };
            cell.weft_loses = cell.peer != Peer::Floor
                && cell.median.is_some()
                && weft.status != Status::Absent
                && cell.ratio.is_none_or(|ratio| ratio < 1.0);
        }
    }
}

impl Report {
    /// Sums up `rows`.
    pub fn new(setup: Setup, rows: Vec<Row>) -> Report {
        let goals = goals::evaluate(&rows);
        let totals = totals(&rows);
        Report {
            format: FORMAT,
            setup,
            rows,
            totals,
            goals,
        }
    }

    /// Every cell in which weft is behind, with its row.
    pub fn losses(&self) -> impl Iterator<Item = (&Row, &Cell)> {
        let cells = self
            .rows
            .iter()
            .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)));
        cells.filter(|(_, cell)| cell.weft_loses)
    }
}

fn totals(rows: &[Row]) -> Totals {
    let mut totals = Totals::default();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        match cell.status {
            Status::Timeout | Status::Failed if cell.peer == Peer::Weft => {
                totals.weft_without_a_number += 1;
            }
            _ if cell.weft_loses => totals.losses += 1,
            _ if cell.ratio.is_some() && cell.peer != Peer::Floor => totals.wins += 1,
            _ => {}
        }
    }
    totals
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Cell, PeerVersion, Report, Row, Setup, Status, Totals};
    use crate::compare::child::Sample;
    use crate::compare::workloads::Workload;
    use crate::peers::Peer::{self, Go, May, Tokio, Weft};
    use crate::peers::{Measurement, Unit};

    pub fn sample(workload: &Workload, value: f64) -> Sample {
        Sample::Measured(Measurement {
            unit: workload.unit(),
            value,
            p50: None,
            p99: match workload.unit() {
                Unit::MedianNs => Some(10.0 * value),
                _ => None,
            },
            ops: 1,
        })
    }

    /// A row with one sample for every peer in `values`.
    pub fn row(name: &str, procs: usize, values: &[(Peer, f64)]) -> Row {
        let workload = Workload::named(name).unwrap();
        let samples = values
            .iter()
            .map(|(peer, value)| (*peer, vec![sample(workload, *value)]));
        Row::new(workload, procs, false, &samples.collect::<Vec<_>>())
    }

    impl Row {
        /// Makes the cell of `peer` a failure.
        pub fn fail_for_test(&mut self, peer: Peer) {
            for cell in self.cells.iter_mut().filter(|cell| cell.peer == peer) {
                *cell = Cell::of(peer, 1, &[Sample::Failed("broken".to_owned())]);
            }
            self.compare();
        }
    }

    pub fn report(rows: Vec<Row>) -> Report {
        let setup = Setup {
            rounds: 1,
            quick: false,
            optimised: true,
            cpus: 2,
            peers: vec![PeerVersion {
                peer: Weft,
                version: Some("weft 0.1.0".to_owned()),
            }],
            notes: vec!["a note".to_owned()],
        };
        Report::new(setup, rows)
    }

    #[test]
    fn a_ratio_is_the_peer_by_weft() {
        let row = row("yield_2", 1, &[(Weft, 10.0), (Go, 45.0), (Tokio, 8.0)]);
        assert_eq!(row.cell(Weft).unwrap().ratio, None);
        assert_eq!(row.cell(Go).unwrap().ratio, Some(4.5));
        assert!(!row.cell(Go).unwrap().weft_loses);
        assert_eq!(row.cell(Tokio).unwrap().ratio, Some(0.8));
        assert!(row.cell(Tokio).unwrap().weft_loses);
    }

    #[test]
    fn medians_leave_out_the_rounds_that_failed_and_keep_their_errors() {
        let workload = Workload::named("fib").unwrap();
        let samples = vec![
            sample(workload, 3.0),
            Sample::Failed("x".to_owned()),
            sample(workload, 1.0),
            Sample::Timeout,
            sample(workload, 2.0),
        ];
        let row = Row::new(workload, 1, false, &[(Weft, samples)]);
        let cell = row.cell(Weft).unwrap();
        assert_eq!((cell.status, cell.median), (Status::Measured, Some(2.0)));
        assert_eq!(cell.samples, [3.0, 1.0, 2.0]);
        assert_eq!(cell.errors, ["x", "timeout"]);
    }

    #[test]
    fn percentiles_are_told_where_single_operations_were_looked_at() {
        let workload = Workload::named("sleep_50us_idle").unwrap();
        let samples = [60.0, 80.0, 70.0].map(|value| sample(workload, value));
        let sleep = Row::new(workload, 1, false, &[(Go, samples.to_vec())]);
        let cell = sleep.cell(Go).unwrap();
        assert_eq!((cell.median, cell.p99), (Some(70.0), Some(700.0)));
        assert_eq!(row("fib", 1, &[(Go, 1.0)]).cell(Go).unwrap().p99, None);
    }

    #[test]
    fn a_timeout_and_a_missing_counterpart_are_told_apart() {
        let workload = Workload::named("spsc_0").unwrap();
        let row = Row::new(
            workload,
            1,
            false,
            &[(Go, vec![Sample::Timeout]), (May, vec![])],
        );
        assert_eq!(row.cell(Go).unwrap().status, Status::Timeout);
        assert_eq!(row.cell(May).unwrap().status, Status::Absent);
    }

    #[test]
    fn weft_loses_where_it_fails_and_the_peer_does_not() {
        let mut row = row("fib", 1, &[(Weft, 10.0), (Go, 45.0)]);
        row.fail_for_test(Weft);
        assert!(row.cell(Go).unwrap().weft_loses);
        let totals = report(vec![row]).totals;
        assert_eq!(
            totals,
            Totals {
                wins: 0,
                losses: 1,
                weft_without_a_number: 1
            }
        );
    }

    #[test]
    fn a_smaller_size_is_marked() {
        let row = row("skynet", 1, &[(Weft, 10.0), (May, 45.0)]);
        assert!(row.cell(May).unwrap().smaller);
        assert!(!row.cell(Weft).unwrap().smaller);
    }

    #[test]
    fn the_json_holds_rows_totals_goals_and_setup() {
        let rows = vec![row("yield_2", 1, &[(Weft, 10.0), (Go, 45.0), (Tokio, 8.0)])];
        let text = serde_json::to_string(&report(rows)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["format"], 1);
        assert_eq!(json["setup"]["rounds"], 1);
        assert_eq!(json["setup"]["notes"][0], "a note");
        assert_eq!(json["setup"]["peers"][0]["peer"], "weft");
        let row = &json["rows"][0];
        assert_eq!(row["workload"], "yield_2");
        assert_eq!(row["unit"], "ns_per_op");
        assert_eq!(row["procs"], 1);
        assert_eq!(row["cells"][1]["peer"], "go");
        assert_eq!(row["cells"][1]["status"], "measured");
        assert_eq!(row["cells"][1]["median"], 45.0);
        assert_eq!(row["cells"][1]["ratio"], 4.5);
        assert_eq!(row["cells"][2]["weft_loses"], true);
        assert_eq!(json["totals"]["wins"], 1);
        assert_eq!(json["totals"]["losses"], 1);
        let goal = &json["goals"][0];
        assert_eq!(goal["goal"]["workload"], "yield_2");
        assert_eq!(goal["goal"]["target"]["ratio"]["peer"], "go");
        assert_eq!(goal["goal"]["target"]["ratio"]["ratio"], 4.0);
        assert_eq!(goal["verdict"], "reached");
        assert_eq!(goal["measured"][0]["value"], 4.5);
        let last = json["goals"].as_array().unwrap().last().unwrap();
        assert_eq!(last["goal"]["target"]["at_most"], 5120.0);
        assert_eq!(last["verdict"], "not_measured");
    }
}
