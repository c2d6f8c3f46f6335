//! An echo server, on a TCP or a Unix socket.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::echo::Echo;
use examples::program;
use examples::serve::serve;

/// Send back whatever is received.
///
/// SIGTERM and SIGINT end it: what has been received is still sent back.
#[derive(Parser)]
struct Args {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7007")]
    listen: String,

    /// Listen at this path instead, by a Unix socket
    #[arg(long, conflicts_with = "listen")]
    unix: Option<PathBuf>,

    /// Seconds that a shutdown waits for clients
    #[arg(long, default_value_t = 10)]
    grace: u64,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let grace = Duration::from_secs(args.grace);
    let rt = runtime::start(args.procs);
    rt.run(|| match &args.unix {
        Some(path) => program::serve_unix("echo", path, |listener, shutdown| {
            serve(listener, shutdown, grace, Echo)
        }),
        None => program::serve("echo", "tcp", &args.listen, |listener, shutdown| {
            serve(listener, shutdown, grace, Echo)
        }),
    })
}
