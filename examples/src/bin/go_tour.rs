//! A tour through Go's concurrency: each statement and each function of `sync`, `context`, `time` and
//! `errgroup` by its counterpart here, run and answered. The lines are those of docs/from-go.md.
//!
//! Two steps panic, on purpose, and say so on standard error.

use clap::Parser;
use examples::from_go::CHAPTERS;

/// Run Go's concurrency, line by line.
#[derive(Parser)]
struct Args {
    /// Only chapters whose title has this text in it
    #[arg(long, default_value = "")]
    chapter: String,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() {
    let args = Args::parse();
    let wanted = args.chapter.to_lowercase();
    let rt = runtime::start(args.procs);
    rt.run(|| {
        for (title, steps) in CHAPTERS {
            if !title.to_lowercase().contains(&wanted) {
                continue;
            }
            println!("{title}");
            for (what, step) in *steps {
                println!("    {what:<46} {}", step());
            }
        }
    });
}
