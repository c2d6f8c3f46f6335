//! WebSockets: a server, and a client to talk to it.

use std::io::{self, BufRead};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use channels::bounded;
use clap::{Parser, Subcommand};
use examples::program;
use examples::serve::serve;
use examples::websocket::{Peer, Room, talk};

/// Serve WebSockets, or talk to a server of them.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0, global = true)]
    procs: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Serve /echo, which sends each message back, and /broadcast, which sends it to everybody
    ///
    /// SIGTERM and SIGINT end it: clients are told so.
    Serve {
        /// The address to listen at; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:7010")]
        listen: String,

        /// Messages that are kept for a client; one with more to hear is cut off
        #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
        patience: u32,

        /// Seconds that a shutdown waits for clients to agree
        #[arg(long, default_value_t = 5)]
        grace: u64,
    },
    /// Send each line of standard input as a message, print what comes
    Connect {
        /// As in ws://127.0.0.1:7010/echo
        url: String,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    rt.run(|| match args.command {
        Command::Serve {
            listen,
            patience,
            grace,
        } => {
            let room = Room::new(patience as usize);
            program::serve("websocket", "ws", &listen, |listener, shutdown| {
                serve(listener, shutdown, Duration::from_secs(grace), |stream| {
                    Peer::new(stream, Arc::clone(&room))
                })
            })
        }
        Command::Connect { url } => connect(&url),
    })
}

fn connect(url: &str) -> ExitCode {
    let (say, said) = bounded(0);
    // A read of standard input may never return, and nothing can call it back; a thread that does
    // so ends with the process, a goroutine would have to be waited for.
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if say.send(line).is_err() {
                return;
            }
        }
    });
    match talk(url, &said, |message| println!("{message}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => program::failed("websocket", &format!("{url}: {e}")),
    }
}
