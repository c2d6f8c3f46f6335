//! The comparison of weft with its peers: the command line, nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use benches::compare::{self, Options};
use benches::peers::Peer;
use benches::peers::service::{Address, Service};
use clap::{Args, Parser, Subcommand};

/// The same workloads on weft, Go, tokio, may and crossbeam-channel: medians, ratios, goals.
#[derive(Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// How often every measurement is made; the report shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// How many Ps (weft, Go), workers (tokio, may) or CPUs (crossbeam) to measure with.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = positive)]
    procs: Vec<usize>,

    /// Only workloads whose name contains one of these.
    #[arg(long, value_delimiter = ',', value_name = "SUBSTR")]
    only: Vec<String>,

    /// Which peers to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "weft,go,tokio,may,crossbeam,floor"
    )]
    peers: Vec<Peer>,

    /// Small sizes and one pass: shows that everything works; the numbers mean little.
    #[arg(long)]
    quick: bool,

    /// List the workloads and their goals, and measure nothing.
    #[arg(long)]
    list: bool,

    /// Write the report as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// One measurement of one Rust peer: what the program starts itself for.
    #[command(hide = true)]
    Child(Child),
    /// The server of one Rust peer: what such a measurement of servers starts in turn.
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Args)]
struct Child {
    #[arg(long, value_enum)]
    peer: Peer,
    #[arg(long)]
    workload: String,
    #[arg(long)]
    procs: usize,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    min_time_ms: u64,
    #[arg(long)]
    go: Option<PathBuf>,
}

#[derive(Args)]
struct Serve {
    #[arg(long, value_enum)]
    peer: Peer,
    #[arg(long, value_enum)]
    service: Service,
    #[arg(long)]
    procs: usize,
    #[arg(long)]
    address: Address,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of at least 1 is needed".to_owned()),
        Ok(n) => Ok(n),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Child(child)) => {
            return compare::child(
                child.peer,
                &child.workload,
                child.procs,
                child.size,
                child.min_time_ms,
                child.go,
            );
        }
        Some(Command::Serve(serve)) => {
            return compare::serve(serve.peer, serve.service, serve.procs, &serve.address);
        }
        None => {}
    }
    if arguments.list {
        print!("{}", compare::list());
        return ExitCode::SUCCESS;
    }
    compare::run(&Options {
        rounds: arguments.rounds,
        procs: arguments.procs,
        only: arguments.only,
        peers: arguments.peers,
        quick: arguments.quick,
        json: arguments.json,
    })
}
