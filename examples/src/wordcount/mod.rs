//! Counting words in files with a pipeline of goroutines.
//!
//! ```text
//!             paths              texts                 events
//!   walker ----------> readers ----------> counters ----------> reducer
//!      |                  ^ |                  |                   ^ ^
//!      |                  | |      buffers     |                   | |
//!      |                  +-|------------------+                   | |
//!      |                    +--------------------------------------+ |
//!      +-------------------------------------------------------------+  problems
//! ```
//!
//! Every arrow is a bounded channel, every name a goroutine, of which there are many readers and
//! some counters. The readers call plain `std::fs`: one that blocks in the operating system
//! keeps its thread, and the scheduler hands its P to another.
//!
//! Memory: a file is read whole, into one of as many buffers as there are readers. The buffers go
//! round, so at no time are there more file contents than `readers` times the largest file.
//!
//! Ends: nobody sends a stop signal. A stage that has sent everything drops its senders, and the
//! next one's loop ends.

mod read;
mod reduce;
mod report;
mod walk;
mod words;

use std::path::PathBuf;

use channels::bounded;
use runtime::{Runtime, go};

pub use reduce::{Report, Skipped};
pub use report::write_table;
pub use words::{Tally, words};

/// What to count and with how many goroutines.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files, and directories to walk.
    pub paths: Vec<PathBuf>,
    /// Walk also the directories that are left out otherwise, see [`LEFT_OUT`].
    pub all: bool,
    /// Goroutines that read files, at least 1.
    pub readers: usize,
    /// Goroutines that count words; 0 means as many as there are Ps.
    pub counters: usize,
}

/// Names of directories that are not walked (unless they are given as a path, or with
/// [`Options::all`]).
pub const LEFT_OUT: [&str; 2] = [".git", "target"];

/// Something that could not be counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Which file or directory.
    pub path: PathBuf,
    /// What it is about.
    pub kind: ProblemKind,
    /// Why, in words.
    pub reason: String,
}

/// The ways in which something can fail to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A path that was given does not exist.
    Missing,
    /// A directory could not be listed, or not to its end.
    Unlistable,
    /// A file could not be read.
    Unreadable,
    /// A file is not UTF-8.
    NotUtf8,
}

/// What the stages tell the reducer.
enum Event {
    /// A counter's counts since its last event.
    Counted(Partial),
    /// Anybody's problem.
    Failed(Problem),
    /// What the walker left out, sent once.
    Skipped(Skipped),
}

/// Counts of some files, or of a part of a large one.
#[derive(Default)]
struct Partial {
    files: u64,
    bytes: u64,
    words: u64,
    tally: Tally,
}

/// Counts the words of all files under the paths of `options`.
///
/// Called on a plain thread, like [`Runtime::run`]. The result does not depend on the number of
/// Ps or goroutines.
pub fn count(rt: &Runtime, options: &Options) -> Report {
    let readers = options.readers.max(1);
    let counters = if options.counters == 0 {
        rt.num_procs()
    } else {
        options.counters
    };
    rt.run(|| run_pipeline(options, readers, counters))
}

fn run_pipeline(options: &Options, readers: usize, counters: usize) -> Report {
    let (paths_tx, paths) = bounded(2 * readers);
    let (texts_tx, texts) = bounded(readers);
    let (buffers_tx, buffers) = bounded(readers);
    let (events_tx, events) = bounded(readers + counters);
    for _ in 0..readers {
        buffers_tx.send(Vec::new()).expect("both ends are here");
    }

    let mut stages = vec![go!(
        name = "walker",
        walk::walk(
            options.paths.clone(),
            options.all,
            paths_tx,
            events_tx.clone()
        )
    )];
    for _ in 0..readers {
        stages.push(go!(
            name = "reader",
            read::read(
                paths.clone(),
                buffers.clone(),
                texts_tx.clone(),
                events_tx.clone()
            )
        ));
    }
    for _ in 0..counters {
        stages.push(go!(
            name = "counter",
            words::count(texts.clone(), buffers_tx.clone(), events_tx.clone())
        ));
    }
    let reducer = go!(name = "reducer", reduce::reduce(events));

    // The ends kept here would keep the channels open, or keep a send waiting for a stage that
    // has panicked.
    drop((paths, texts_tx, texts, buffers_tx, buffers, events_tx));

    let report = reducer.join().expect("the reducer panicked");
    for stage in stages {
        stage.join().expect("a stage of the pipeline panicked");
    }
    report
}
