//! Who is measured when. Within a round the peers take turns at every workload, and every round
//! begins with another peer, so that a machine that gets slower or faster does so for all alike.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child::{self, Sample};
use super::report::Row;
use super::workloads::{Kind, Workload};
use crate::peers::Peer;

/// When a child is killed.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the measured passes of a child last at least, in sum.
const MIN_TIME: Duration = Duration::from_millis(250);

/// The same of a server under load, which has two processes to agree with.
const MIN_TIME_NET: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads, in the order of the rows.
    pub workloads: Vec<&'static Workload>,
    /// The numbers of Ps, ascending.
    pub procs: Vec<usize>,
    /// The peers, in the order of the columns.
    pub peers: Vec<Peer>,
    /// Small sizes, one pass.
    pub quick: bool,
}

/// The programs to start.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// This program, which is every Rust peer.
    pub this: &'a Path,
    /// The Go peer.
    pub go: Option<&'a Path>,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The workload.
    pub workload: &'static Workload,
    /// The number of Ps.
    pub procs: usize,
    /// The peer.
    pub peer: Peer,
    /// The size of a pass.
    pub size: usize,
    quick: bool,
}

type Key = (&'static str, usize, Peer);

impl Job {
    fn key(&self) -> Key {
        (self.workload.name, self.procs, self.peer)
    }

    /// The child that makes this measurement.
    fn command(&self, programs: &Programs<'_>) -> Option<Command> {
        let net = matches!(self.workload.kind, Kind::Net(_));
        let min_time = match (self.quick, net) {
            (true, _) => Duration::ZERO,
            (false, false) => MIN_TIME,
            (false, true) => MIN_TIME_NET,
        };
        let min_time_ms = min_time.as_millis().to_string();
        let size = self.size.to_string();
        let mut command;
        if self.peer == Peer::Go && !net {
            command = Command::new(programs.go?);
            command.args(["-workload", self.workload.name, "-size", &size]);
            command.args(["-min-time-ms", &min_time_ms]);
            command.env("GOMAXPROCS", self.procs.to_string());
            // The message of a panic is enough, and comes last.
            command.env("GOTRACEBACK", "none");
        } else {
            command = Command::new(programs.this);
            command.args([
                "child",
                "--peer",
                self.peer.name(),
                "--workload",
                self.workload.name,
            ]);
            command.args(["--procs", &self.procs.to_string(), "--size", &size]);
            command.args(["--min-time-ms", &min_time_ms]);
            if let Some(go) = programs.go.filter(|_| net) {
                command.arg("--go").arg(go);
            }
            command.env("RUST_BACKTRACE", "0");
        }
        Some(command)
    }
}

/// The measurements of one round, in their order.
pub fn round(plan: &Plan, round: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for &workload in &plan.workloads {
        for &procs in &plan.procs {
            for turn in 0..plan.peers.len() {
                let peer = plan.peers[(turn + round) % plan.peers.len()];
                if let Some(size) = workload.size_for(peer, plan.quick) {
                    jobs.push(Job {
                        workload,
                        procs,
                        peer,
                        size,
                        quick: plan.quick,
                    });
                }
            }
        }
    }
    jobs
}

/// Makes all measurements and returns a row for each workload and number of Ps.
pub fn run(plan: &Plan, rounds: u32, programs: &Programs<'_>) -> Vec<Row> {
    run_with(plan, rounds, |job| match job.command(programs) {
        Some(command) => child::measure(command, LIMIT),
        None => Sample::Failed("there is no program for this peer".to_owned()),
    })
}

fn run_with(plan: &Plan, rounds: u32, mut measure: impl FnMut(&Job) -> Sample) -> Vec<Row> {
    let mut samples: HashMap<Key, Vec<Sample>> = HashMap::new();
    let mut progress = Progress::new(rounds);
    for number in 0..rounds as usize {
        let jobs = round(plan, number);
        for (index, job) in jobs.iter().enumerate() {
            let samples = samples.entry(job.key()).or_default();
            // What hung once is not waited for in every round.
            if samples.last() == Some(&Sample::Timeout) {
                continue;
            }
            progress.show(number, index, jobs.len(), job);
            samples.push(measure(job));
        }
    }
    progress.end();

    let mut rows = Vec::new();
    for &workload in &plan.workloads {
        for &procs in &plan.procs {
            let mut of = |peer: Peer| samples.remove(&(workload.name, procs, peer));
            let cells = plan
                .peers
                .iter()
                .map(|&peer| (peer, of(peer).unwrap_or_default()));
            let cells: Vec<(Peer, Vec<Sample>)> = cells.collect();
            rows.push(Row::new(workload, procs, plan.quick, &cells));
        }
    }
    rows
}

/// One line on a terminal that says what is being measured; one line a round elsewhere.
struct Progress {
    rounds: u32,
    terminal: bool,
}

impl Progress {
    fn new(rounds: u32) -> Progress {
        Progress {
            rounds,
            terminal: stderr().is_terminal(),
        }
    }

    fn show(&mut self, round: usize, index: usize, jobs: usize, job: &Job) {
        let (name, procs, peer) = (job.workload.name, job.procs, job.peer.name());
        let round = format!("round {}/{}", round + 1, self.rounds);
        let mut stderr = stderr();
        // Progress that cannot be shown is not worth an error.
        let _ = if self.terminal {
            let of = format!("{}/{jobs}", index + 1);
            write!(stderr, "\r\x1b[K{round}, {of}: {name} P={procs} {peer}")
        } else if index == 0 {
            writeln!(stderr, "{round}, {jobs} measurements")
        } else {
            Ok(())
        };
    }

    fn end(&mut self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Job, Plan, Programs, round, run_with};
    use crate::compare::child::Sample;
    use crate::compare::report::Status;
    use crate::compare::workloads::Workload;
    use crate::peers::Measurement;
    use crate::peers::Peer::{self, Go, May, Tokio, Weft};
    use std::path::Path;

    fn plan(names: &[&str], peers: &[Peer]) -> Plan {
        let workloads = names
            .iter()
            .map(|name| Workload::named(name).unwrap())
            .collect();
        Plan {
            workloads,
            procs: vec![1, 2],
            peers: peers.to_vec(),
            quick: true,
        }
    }

    fn measured(job: &Job, value: f64) -> Sample {
        Sample::Measured(Measurement {
            unit: job.workload.unit(),
            value,
            p50: None,
            p99: None,
            ops: 1,
        })
    }

    #[test]
    fn peers_alternate_within_a_round_and_take_turns_to_begin() {
        let plan = plan(&["fib"], &[Weft, Go, Tokio]);
        let peers = |number| {
            round(&plan, number)
                .iter()
                .map(|job| job.peer)
                .collect::<Vec<_>>()
        };
        assert_eq!(peers(0), [Weft, Go, Tokio, Weft, Go, Tokio]);
        assert_eq!(peers(1), [Go, Tokio, Weft, Go, Tokio, Weft]);
        assert_eq!(peers(3), peers(0));
    }

    #[test]
    fn a_peer_without_a_counterpart_is_left_out() {
        let plan = plan(&["fib_chan"], &[Weft, May, Go]);
        let peers: Vec<Peer> = round(&plan, 0).iter().map(|job| job.peer).collect();
        assert_eq!(peers, [Weft, Go, Weft, Go]);
    }

    #[test]
    fn rows_hold_the_medians_of_all_rounds() {
        let plan = plan(&["fib", "sieve"], &[Weft, Go]);
        let mut calls = 0.0;
        let rows = run_with(&plan, 3, |job| {
            calls += 1.0;
            measured(job, calls)
        });
        let names: Vec<(&str, usize)> = rows.iter().map(|row| (row.workload, row.procs)).collect();
        assert_eq!(names, [("fib", 1), ("fib", 2), ("sieve", 1), ("sieve", 2)]);
        // Eight jobs a round; weft is first in rounds 0 and 2 and second in round 1.
        let weft = rows[0].cell(Weft).unwrap();
        assert_eq!(weft.samples, [1.0, 10.0, 17.0]);
        assert_eq!(weft.median, Some(10.0));
    }

    #[test]
    fn what_hung_once_is_not_tried_again() {
        let plan = plan(&["fib"], &[Weft, Go]);
        let mut go = 0;
        let rows = run_with(&plan, 4, |job| {
            if job.peer == Go {
                go += 1;
                return Sample::Timeout;
            }
            measured(job, 1.0)
        });
        assert_eq!(go, 2, "once for each number of Ps");
        assert_eq!(rows[0].cell(Go).unwrap().status, Status::Timeout);
        assert_eq!(rows[0].cell(Weft).unwrap().samples.len(), 4);
    }

    #[test]
    fn go_is_told_its_procs_by_the_environment() {
        let programs = Programs {
            this: Path::new("this"),
            go: Some(Path::new("gopeer")),
        };
        let jobs = round(&plan(&["fib"], &[Weft, Go]), 0);
        let weft = jobs[2].command(&programs).unwrap();
        assert_eq!(weft.get_program(), "this");
        let arguments: Vec<_> = weft.get_args().map(|part| part.to_str().unwrap()).collect();
        let line = arguments.join(" ");
        assert_eq!(
            line,
            "child --peer weft --workload fib --procs 2 --size 12 --min-time-ms 0"
        );
        let go = jobs[3].command(&programs).unwrap();
        assert_eq!(go.get_program(), "gopeer");
        let procs = go
            .get_envs()
            .find(|(key, _)| *key == "GOMAXPROCS")
            .unwrap()
            .1;
        assert_eq!(procs.unwrap(), "2");
        assert!(
            jobs[3]
                .command(&Programs {
                    go: None,
                    ..programs
                })
                .is_none()
        );
    }
}
