//! Serves a directory over HTTP/1.1, with a goroutine for each connection.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::httpd::{self, Limits, Options};
use examples::program;

/// Serve files over HTTP/1.1.
///
/// Beside the files there are /plaintext, which says "Hello, World!", /sleep?ms=N, which answers
/// after N milliseconds, and /echo, which sends back what is posted to it. Without a directory,
/// / is as /plaintext.
///
/// SIGTERM and SIGINT end it: what it has begun to answer it answers.
#[derive(Parser)]
struct Args {
    /// The directory to serve; without one, no files are served
    dir: Option<PathBuf>,

    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,

    /// Seconds that a shutdown waits for requests that have begun
    #[arg(long, default_value_t = 10)]
    grace: u64,

    /// Seconds that the head of a request may take
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    head_time: u64,

    /// Show below /debug what the runtime does: metrics, goroutines, goroutines/grouped, goroutines.json,
    /// leaks. For eyes that may see all of it
    #[arg(long)]
    debug: bool,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(dir) = &args.dir
        && !dir.is_dir()
    {
        eprintln!("httpd: {} is no directory", dir.display());
        return ExitCode::FAILURE;
    }
    let rt = runtime::start(args.procs);
    rt.run(|| {
        program::serve("httpd", "http", &args.listen, |listener, shutdown| {
            let options = Options {
                root: args.dir,
                limits: Limits {
                    head_time: Duration::from_secs(args.head_time),
                    ..Limits::default()
                },
                grace: Duration::from_secs(args.grace),
                debug: args.debug,
            };
            httpd::serve(listener, shutdown, options)
        })
    })
}
