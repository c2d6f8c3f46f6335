//! A chat server: channels between the goroutines, sockets at the rim.
//!
//! ```text
//!             events                          lines, bounded
//!   readers ----------> hub (who is there) ------------------> writers
//!   one per client      one goroutine                          one per client
//! ```
//!
//! The hub alone knows who is there, so nothing is locked. It waits no longer than a moment,
//! for all clients together: one whose channel is full after that is sent away.

mod guest;
mod hub;

pub use guest::Client;
pub use hub::Hub;

use crate::serve::Stream;
use channels::Sender;
use std::sync::Arc;

/// A line for many clients, made once.
type Line = Arc<str>;

/// How the hub gets at a client.
struct Member {
    /// To its writer.
    lines: Sender<Line>,
    /// To send it away.
    stream: Arc<dyn Stream>,
}

/// What the readers tell the hub. A name is also who says it: only the very `Arc` that joined is
/// the member, and not another one who took the name later.
enum Event {
    /// Somebody with this name wants in. The answer is whether that is possible.
    Join {
        name: Line,
        member: Member,
        answer: Sender<bool>,
    },
    /// The named one says something.
    Say { name: Line, text: String },
    /// The named one wants to know who is there.
    Who { name: Line },
    /// The named one has gone.
    Leave { name: Line },
}
