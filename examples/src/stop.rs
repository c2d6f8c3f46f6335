//! The polite ways to end a server: SIGTERM and SIGINT, as a channel.

use channels::{Receiver, bounded};
use runtime::go;
use runtime::signal::{Signal, Signals};
use std::io;

/// Receives once when the process is asked to end. From then on, the signals do again what they
/// always do: who asks twice does not want to wait.
///
/// It is the `shutdown` that the servers here take; their tests give a channel of their own. Call
/// it on a goroutine.
///
/// # Errors
/// If the system does not let us have the signals.
pub fn on_signals() -> io::Result<Receiver<()>> {
    let signals = Signals::new([Signal::TERM, Signal::INT])?;
    let (asked, shutdown) = bounded(1);
    go!(name = "signals", move || {
        signals.recv();
        drop(signals);
        // A server that has ended by itself does not want to know.
        let _ = asked.send(());
    });
    Ok(shutdown)
}
