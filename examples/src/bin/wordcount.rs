//! Counts the words of files and directory trees with a pipeline of goroutines: one walks, many
//! read, more count, one reduces, joined by bounded channels.
//!
//! It shows that goroutines may call plain, blocking `std::fs`: a reader that waits for the disk
//! keeps its thread, and the scheduler hands its P to the others.

use std::env;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use examples::wordcount::{self, Options, Report, write_table};

/// Count the words of files and of the files in directories.
///
/// A word is a maximal run of alphanumeric characters (in Unicode's sense), underscores and
/// apostrophes, without the apostrophes at its ends, in lower case.
///
/// Directories named .git and target are left out when a directory is walked, unless --all is
/// given; a path that is given is always counted. Links to files are followed, links to
/// directories only when they are given as a path. Pipes, sockets and devices met on the way are
/// left out.
///
/// What cannot be read and what is not UTF-8 does not enter the counts; it is named at the end,
/// on standard error. The exit code is 1 when nothing at all could be counted for such reasons.
#[derive(Parser)]
struct Args {
    /// Files and directories; without any, this repository, or if that is gone the current
    /// directory
    paths: Vec<PathBuf>,

    /// How many of the most frequent words to print
    #[arg(long, default_value_t = 20)]
    top: usize,

    /// Walk .git and target directories too
    #[arg(long)]
    all: bool,

    /// Goroutines that read files
    // Each may hold a file open and, while it waits for the disk, a thread. Together with the
    // counters this stays below the usual limit of both.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    readers: u16,

    /// Goroutines that count words; 0 means one per P
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=128))]
    counters: u16,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

/// The root of the workspace that this program was built in, or the current directory.
fn default_path() -> PathBuf {
    match Path::new(env!("CARGO_MANIFEST_DIR")).parent() {
        Some(root) if root.is_dir() => root.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = Options {
        paths: if args.paths.is_empty() {
            vec![default_path()]
        } else {
            args.paths
        },
        all: args.all,
        readers: usize::from(args.readers),
        counters: usize::from(args.counters),
    };
    let rt = runtime::start(args.procs);
    let begin = Instant::now();
    let report = wordcount::count(&rt, &options);
    let elapsed = begin.elapsed();

    let code = if report.nothing_read() {
        ExitCode::FAILURE
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match write_table(&mut out, &report, args.top, elapsed).and_then(|()| out.flush()) {
            Ok(()) => ExitCode::SUCCESS,
            // The reader has seen enough, as in `wordcount | head -1`.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("wordcount: cannot write the result: {e}");
                ExitCode::FAILURE
            }
        }
    };
    name_problems(&report);
    code
}

fn name_problems(report: &Report) {
    let mut err = io::stderr().lock();
    // If even standard error is gone there is nobody left to tell.
    for problem in &report.problems {
        let _ = writeln!(err, "wordcount: {problem}");
    }
    if report.nothing_read() {
        let _ = writeln!(err, "wordcount: none of the inputs could be counted");
    }
}
