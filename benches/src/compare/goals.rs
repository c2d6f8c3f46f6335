//! What weft is meant to reach. [`GOALS`] is the only place where these numbers are written down;
//! the report records them together with what was measured.

use serde::Serialize;

use super::report::{Row, Status};
use crate::peers::Peer;

/// One goal.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Goal {
    /// Which workload; `None` is every one that is measured in time.
    pub workload: Option<&'static str>,
    /// What is asked of it.
    pub target: Target,
}

/// What a goal asks for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The peer takes at least `ratio` times as long as weft.
    Ratio {
        /// The peer to be ahead of.
        peer: Peer,
        /// By how much: peer / weft.
        ratio: f64,
    },
    /// Weft's own number is at most this.
    AtMost(f64),
    /// Weft's own number is at most `times` that of another row at the same number of Ps.
    AtMostTimes {
        /// The other row.
        row: &'static str,
        /// How many times.
        times: f64,
    },
}

const fn go(workload: &'static str, ratio: f64) -> Goal {
    Goal {
        workload: Some(workload),
        target: Target::Ratio {
            peer: Peer::Go,
            ratio,
        },
    }
}

const fn not_behind(peer: Peer) -> Goal {
    Goal {
        workload: None,
        target: Target::Ratio { peer, ratio: 1.0 },
    }
}

/// Within 10 % of it.
const fn near_floor(workload: &'static str) -> Goal {
    Goal {
        workload: Some(workload),
        target: Target::Ratio {
            peer: Peer::Floor,
            ratio: 0.91,
        },
    }
}

const fn at_most(workload: &'static str, most: f64) -> Goal {
    Goal {
        workload: Some(workload),
        target: Target::AtMost(most),
    }
}

/// All goals.
pub const GOALS: &[Goal] = &[
    go("yield_2", 4.0),
    go("yield_1000", 4.0),
    go("spawn_finish", 4.0),
    go("spawn_join", 4.0),
    go("skynet", 7.0),
    go("fib", 4.0),
    go("pingpong", 3.0),
    go("spsc_0", 3.0),
    go("spsc_1", 3.0),
    go("spsc_100", 2.0),
    go("sieve", 2.0),
    go("mpmc4x4_0", 1.5),
    go("mpmc4x4_64", 1.5),
    go("select2_0", 2.0),
    go("select3_0", 2.0),
    go("select8_0", 2.0),
    go("select2_100", 2.0),
    go("select3_100", 2.0),
    go("select8_100", 2.0),
    go("select_default", 2.0),
    go("select_popular", 2.0),
    go("mutex_1", 1.0),
    go("mutex_8", 1.0),
    go("mutex_64", 1.0),
    go("rwlock_read_mostly", 1.0),
    go("timer_start_stop", 2.0),
    go("timer_lateness_load", 1.0),
    go("tcp_echo_1", 1.3),
    go("tcp_echo_100", 1.3),
    go("tcp_echo_1000", 1.3),
    go("unix_echo_1", 1.3),
    go("unix_echo_100", 1.3),
    go("unix_echo_1000", 1.3),
    go("http_keepalive_64", 1.3),
    go("http_keepalive_1000", 1.3),
    near_floor("tcp_echo_1"),
    near_floor("tcp_echo_100"),
    near_floor("tcp_echo_1000"),
    near_floor("unix_echo_1"),
    near_floor("unix_echo_100"),
    near_floor("unix_echo_1000"),
    near_floor("http_keepalive_64"),
    near_floor("http_keepalive_1000"),
    Goal {
        workload: Some("echo_p99_hog"),
        target: Target::AtMostTimes {
            row: "echo_p99",
            times: 3.0,
        },
    },
    not_behind(Peer::Tokio),
    not_behind(Peer::May),
    not_behind(Peer::Crossbeam),
    at_most("sleep_50us_idle", 150_000.0),
    at_most("parked_memory", 5120.0),
];

/// Whether a goal was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In every row that was measured.
    Reached,
    /// At least one row falls short.
    Missed,
    /// No row to tell from.
    NotMeasured,
}

/// A goal and the rows that tell about it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The goal.
    pub goal: Goal,
    /// Whether it was reached.
    pub verdict: Verdict,
    /// What was measured.
    pub measured: Vec<Measured>,
}

/// One row's word on a goal.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The workload.
    pub workload: &'static str,
    /// The number of Ps.
    pub procs: usize,
    /// The ratio (or how many times the other row), or the number itself for [`Target::AtMost`]; `None` if weft did not finish.
    pub value: Option<f64>,
    /// Whether this row reaches the goal.
    pub reached: bool,
}

/// Holds every goal against `rows`.
pub fn evaluate(rows: &[Row]) -> Vec<Outcome> {
    GOALS.iter().map(|goal| outcome(*goal, rows)).collect()
}

fn outcome(goal: Goal, rows: &[Row]) -> Outcome {
    let concerned = rows.iter().filter(|row| match goal.workload {
        Some(name) => row.workload == name,
        None => row.unit.is_time(),
    });
    let measured: Vec<Measured> = concerned
        .filter_map(|row| measured(goal.target, row, rows))
        .collect();
    let verdict = if measured.is_empty() {
        Verdict::NotMeasured
    } else if measured.iter().all(|row| row.reached) {
        Verdict::Reached
    } else {
        Verdict::Missed
    };
    Outcome {
        goal,
        verdict,
        measured,
    }
}

fn measured(target: Target, row: &Row, rows: &[Row]) -> Option<Measured> {
    let weft = row
        .cell(Peer::Weft)
        .filter(|cell| cell.status != Status::Absent)?;
    let (value, reached) = match target {
        Target::AtMost(most) => (weft.median, weft.median.is_some_and(|value| value <= most)),
        Target::AtMostTimes { row: name, times } => {
            let base = rows
                .iter()
                .find(|base| base.workload == name && base.procs == row.procs)?;
            let base = base.cell(Peer::Weft)?.median?;
            let value = weft.median.map(|value| value / base);
            (value, value.is_some_and(|value| value <= times))
        }
        Target::Ratio { peer, ratio } => {
            // A peer without a number says nothing; weft without one has missed the goal.
            let cell = row.cell(peer)?;
            cell.median?;
            (
                cell.ratio,
                cell.ratio.is_some_and(|reached| reached >= ratio),
            )
        }
    };
    Some(Measured {
        workload: row.workload,
        procs: row.procs,
        value,
        reached,
    })
}

#[cfg(test)]
mod tests {
    use super::{GOALS, Verdict, evaluate};
    use crate::compare::report::tests::row;
    use crate::compare::workloads::Workload;
    use crate::peers::Peer::{Go, May, Tokio, Weft};

    fn verdict(rows: &[crate::compare::report::Row], index: usize) -> Verdict {
        evaluate(rows)[index].verdict
    }

    fn index(workload: &str) -> usize {
        GOALS
            .iter()
            .position(|goal| goal.workload == Some(workload))
            .unwrap()
    }

    #[test]
    fn goals_name_workloads_that_exist() {
        for goal in GOALS {
            assert!(
                goal.workload
                    .is_none_or(|name| Workload::named(name).is_some()),
                "{goal:?}"
            );
        }
    }

    #[test]
    fn a_ratio_must_be_reached_at_every_number_of_procs() {
        let good = row("yield_2", 1, &[(Weft, 10.0), (Go, 40.0)]);
        let bad = row("yield_2", 2, &[(Weft, 10.0), (Go, 39.0)]);
        let at = index("yield_2");
        assert_eq!(verdict(std::slice::from_ref(&good), at), Verdict::Reached);
        assert_eq!(verdict(&[good, bad], at), Verdict::Missed);
        assert_eq!(verdict(&[], at), Verdict::NotMeasured);
    }

    #[test]
    fn a_peer_without_a_number_tells_nothing_and_weft_without_one_misses() {
        let at = index("yield_2");
        assert_eq!(
            verdict(&[row("yield_2", 1, &[(Weft, 10.0)])], at),
            Verdict::NotMeasured
        );
        let mut broken = row("yield_2", 1, &[(Weft, 10.0), (Go, 40.0)]);
        broken.fail_for_test(Weft);
        assert_eq!(verdict(&[broken], at), Verdict::Missed);
    }

    #[test]
    fn a_median_is_held_against_its_goal_as_it_is() {
        let at = index("sleep_50us_idle");
        let fast = row("sleep_50us_idle", 1, &[(Weft, 150_000.0)]);
        let slow = row("sleep_50us_idle", 2, &[(Weft, 150_001.0)]);
        assert_eq!(verdict(std::slice::from_ref(&fast), at), Verdict::Reached);
        assert_eq!(verdict(&[fast, slow], at), Verdict::Missed);
    }

    #[test]
    fn a_row_is_held_against_another_at_the_same_number_of_procs() {
        let at = GOALS
            .iter()
            .position(|goal| goal.workload == Some("echo_p99_hog"))
            .unwrap();
        let base = row("echo_p99", 1, &[(Weft, 100.0)]);
        let good = row("echo_p99_hog", 1, &[(Weft, 300.0)]);
        let bad = row("echo_p99_hog", 1, &[(Weft, 301.0)]);
        let other = row("echo_p99_hog", 2, &[(Weft, 301.0)]);
        assert_eq!(verdict(&[base.clone(), good], at), Verdict::Reached);
        assert_eq!(verdict(&[base.clone(), bad], at), Verdict::Missed);
        assert_eq!(verdict(&[base, other], at), Verdict::NotMeasured);
    }

    #[test]
    fn nothing_behind_tokio_looks_at_every_timed_row_and_not_at_memory() {
        let at = GOALS
            .iter()
            .position(|goal| goal.workload.is_none())
            .unwrap();
        let ahead = row("fib", 1, &[(Weft, 10.0), (Tokio, 11.0), (May, 1.0)]);
        let memory = row("parked_memory", 1, &[(Weft, 4000.0), (Tokio, 300.0)]);
        assert_eq!(verdict(&[ahead, memory.clone()], at), Verdict::Reached);
        let behind = row("fib", 2, &[(Weft, 10.0), (Tokio, 9.0)]);
        assert_eq!(verdict(&[behind], at), Verdict::Missed);
        assert_eq!(verdict(&[memory], index("parked_memory")), Verdict::Reached);
        let late = row("timer_lateness_idle", 1, &[(Weft, 10.0), (Tokio, 9.0)]);
        assert_eq!(verdict(&[late], at), Verdict::Missed);
        let fat = row("parked_memory", 1, &[(Weft, 5121.0)]);
        assert_eq!(verdict(&[fat], index("parked_memory")), Verdict::Missed);
    }
}
