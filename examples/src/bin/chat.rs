//! A chat server, for clients like telnet and netcat.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::chat::{Client, Hub};
use examples::program;
use examples::serve::serve;

/// Let people chat, line by line: `telnet HOST PORT`, or `nc HOST PORT`.
///
/// It asks for a name. Then what one says all others hear; /who tells who is there, and /quit
/// leaves. SIGTERM and SIGINT end it.
#[derive(Parser)]
struct Args {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7009")]
    listen: String,

    /// Lines that are kept for a client; one with more to hear is sent away
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,

    /// Seconds that a shutdown waits for clients to take what was said
    #[arg(long, default_value_t = 10)]
    grace: u64,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let patience = args.patience as usize;
    let rt = runtime::start(args.procs);
    rt.run(|| {
        let (hub, running) = Hub::start();
        let grace = Duration::from_secs(args.grace);
        let code = program::serve("chat", "tcp", &args.listen, |listener, shutdown| {
            serve(listener, shutdown, grace, |stream| {
                Client::new(stream, hub.clone(), patience)
            })
        });
        drop(hub);
        if running.join().is_err() {
            return ExitCode::FAILURE; // its panic has been reported
        }
        code
    })
}
