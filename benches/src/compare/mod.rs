//! The comparison: child processes measure, rounds alternate between the peers, a report of
//! medians and ratios comes out as a table and as JSON.
//!
//! ```text
//! workloads   what there is to measure        goals    what is to be reached
//! run         who is measured when            child    one measurement in its own process
//! golang      finds and builds the Go peer    stats    medians
//! report      rows, ratios, wins, losses      table    the report as text
//! ```

pub mod child;
pub mod goals;
pub mod golang;
pub mod report;
pub mod run;
pub mod stats;
pub mod table;
pub mod workloads;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::load::{self, Task, wrk};
use crate::peers::service::{self, Address, Service};
use crate::peers::{self, Peer};
use report::{PeerVersion, Report, Setup};
use run::{Plan, Programs};
use workloads::{Kind, Traffic, Workload};

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often everything is measured.
    pub rounds: u32,
    /// The numbers of Ps.
    pub procs: Vec<usize>,
    /// Parts of workload names; empty selects all.
    pub only: Vec<String>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// Small sizes, one pass.
    pub quick: bool,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
}

/// Measures, prints the report, writes the JSON. Fails if weft gave no number somewhere, or if
/// there was nothing to measure; a lost row is no failure.
pub fn run(options: &Options) -> ExitCode {
    match measure(options) {
        Ok(report) => {
            print!("{}", table::render(&report));
            match report.totals.weft_without_a_number {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Report, String> {
    let mut workloads = workloads::select(&options.only);
    if workloads.is_empty() {
        return Err(format!(
            "no workload is named like {}",
            options.only.join(" or ")
        ));
    }
    // A file that cannot be written is better known before the measuring than after it.
    let json = options.json.as_deref().map(create).transpose()?;
    if cfg!(debug_assertions) {
        eprintln!("compare: built without optimisation, the numbers mean little: use --release");
    }

    let mut peers = ordered(&options.peers);
    let mut notes = Vec::new();
    let is_http = |workload: &Workload| matches!(workload.kind, Kind::Net(Traffic::Http { .. }));
    if workloads.iter().any(|workload| is_http(workload)) && !wrk::is_there() {
        workloads.retain(|workload| !is_http(workload));
        eprintln!("compare: {}", wrk::HOW_TO_GET_WRK);
        notes.push(wrk::HOW_TO_GET_WRK.to_owned());
    }
    let go = match golang_peer(&peers) {
        Ok(go) => go,
        Err(reason) => {
            peers.retain(|peer| *peer != Peer::Go);
            eprintln!("compare: {reason}");
            notes.push(reason);
            None
        }
    };
    let mut procs = options.procs.clone();
    procs.sort_unstable();
    procs.dedup();

    let this = std::env::current_exe().map_err(|error| format!("own program: {error}"))?;
    let go_program = go.as_ref().map(golang::GoPeer::program);
    let programs = Programs {
        this: &this,
        go: go_program,
    };
    let plan = Plan {
        workloads,
        procs,
        peers: peers.clone(),
        quick: options.quick,
    };
    let rows = run::run(&plan, options.rounds, &programs);

    let go_version = go.as_ref().map(|go| go.version().to_owned());
    let version = |peer: Peer| match peer {
        Peer::Go => go_version.clone(),
        _ => locked_version(peer),
    };
    let versions = peers.iter().map(|&peer| PeerVersion {
        peer,
        version: version(peer),
    });
    let setup = Setup {
        rounds: options.rounds,
        quick: options.quick,
        optimised: !cfg!(debug_assertions),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        peers: versions.collect(),
        notes,
    };
    let report = Report::new(setup, rows);
    if let (Some(mut file), Some(path)) = (json, &options.json) {
        let written = serde_json::to_writer_pretty(&mut file, &report)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"));
        written.map_err(|error| cannot_write(path, &error))?;
    }
    Ok(report)
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

fn golang_peer(peers: &[Peer]) -> Result<Option<golang::GoPeer>, String> {
    if peers.contains(&Peer::Go) {
        golang::GoPeer::build().map(Some)
    } else {
        Ok(None)
    }
}

/// The columns of the table: each peer once, weft first.
fn ordered(peers: &[Peer]) -> Vec<Peer> {
    Peer::ALL
        .into_iter()
        .filter(|peer| peers.contains(peer))
        .collect()
}

/// The version in the workspace's lock file of the crate that a peer stands for.
fn locked_version(peer: Peer) -> Option<String> {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    let package = match peer {
        Peer::Weft => "weft-runtime",
        Peer::Tokio => "tokio",
        Peer::May => "may",
        Peer::Crossbeam => "crossbeam-channel",
        Peer::Go | Peer::Floor => return None,
    };
    let version = version_in(LOCK, package)?;
    Some(format!("{package} {version}"))
}

fn version_in<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\n"))?;
    rest.lines()
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

/// The workloads and goals for `--list`.
pub fn list() -> String {
    let mut text = String::new();
    for workload in workloads::all() {
        let has = |peer: &Peer| workload.size_for(*peer, false).is_some();
        let peers: Vec<&str> = Peer::ALL
            .iter()
            .filter(|peer| has(peer))
            .map(|peer| peer.name())
            .collect();
        text += &format!(
            "{:<19} {} [{}]\n",
            workload.name,
            workload.what,
            peers.join(" ")
        );
    }
    text += "\ngoals:\n";
    for goal in goals::GOALS {
        text += &format!("  {}\n", table::goal(goal));
    }
    text
}

/// One measurement, in the process that was started for it: of a Rust peer, or of any peer's server
/// (for which `go` is Go's program).
pub fn child(
    peer: Peer,
    name: &str,
    procs: usize,
    size: usize,
    min_time_ms: u64,
    go: Option<PathBuf>,
) -> ExitCode {
    let Some(workload) = Workload::named(name) else {
        eprintln!("there is no workload {name}");
        return ExitCode::FAILURE;
    };
    let min_time = Duration::from_millis(min_time_ms);
    let measured = match workload.kind {
        Kind::Net(traffic) => load::run(&Task {
            traffic,
            peer,
            procs,
            size,
            min_time,
            go,
        }),
        kind => peers::run(peer, kind, procs, size, min_time),
    };
    match measured {
        Ok(measurement) => {
            println!("{}", child::format_result(&measurement));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves as a Rust peer, in the process that was started for it.
pub fn serve(peer: Peer, service: Service, procs: usize, address: &Address) -> ExitCode {
    load::raise_file_limit();
    match service::serve(peer, service, procs, address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{list, locked_version, ordered, version_in};
    use crate::peers::Peer;

    #[test]
    fn peers_are_taken_once_and_in_the_order_of_the_columns() {
        let peers = ordered(&[Peer::Tokio, Peer::Weft, Peer::Tokio]);
        assert_eq!(peers, [Peer::Weft, Peer::Tokio]);
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"may_queue\"\nversion = \"9.9.9\"\n\n\
                    [[package]]\nname = \"may\"\nversion = \"0.3.51\"\nsource = \"x\"\n";
        assert_eq!(version_in(lock, "may"), Some("0.3.51"));
        assert_eq!(version_in(lock, "tokio"), None);
        assert!(locked_version(Peer::Tokio).is_some_and(|version| version.starts_with("tokio 1")));
    }

    #[test]
    fn the_list_names_workloads_peers_and_goals() {
        let text = list();
        assert!(text.contains("spsc_unbounded"), "{text}");
        assert!(text.contains("[weft go]"), "{text}");
        assert!(text.contains("skynet at least 7x as fast as go"), "{text}");
    }
}
