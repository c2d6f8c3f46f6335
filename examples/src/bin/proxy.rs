//! A TCP proxy.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::program;
use examples::proxy::{Proxied, Upstream};
use examples::serve::serve;
use runtime::net::ToSocketAddrs;

/// Pass every TCP connection on to another address.
///
/// The two directions end separately, so a client may end what it says and still be answered.
/// SIGTERM and SIGINT end it: clients may finish what they are saying, and are still answered.
#[derive(Parser)]
struct Args {
    /// Where to, as HOST:PORT
    upstream: String,

    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7008")]
    listen: String,

    /// Seconds that connecting may take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,

    /// Seconds that a shutdown waits for conversations to end
    #[arg(long, default_value_t = 10)]
    grace: u64,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    rt.run(|| {
        let addrs = match args.upstream.to_socket_addrs() {
            Ok(addrs) => addrs.collect(),
            Err(e) => {
                let what = format!("cannot find {}: {e}", args.upstream);
                return program::failed("proxy", &what);
            }
        };
        let upstream = Arc::new(Upstream {
            addrs,
            timeout: Duration::from_secs(args.timeout),
        });
        let grace = Duration::from_secs(args.grace);
        program::serve("proxy", "tcp", &args.listen, |listener, shutdown| {
            serve(listener, shutdown, grace, |client| {
                Proxied::new(client, Arc::clone(&upstream))
            })
        })
    })
}
