//! Go's channels as a Rust library, with the interface of crossbeam-channel 0.5.
//!
//! A program that replaces `crossbeam_channel::` by `channels::` compiles and behaves the same
//! (but for one thing: when the last receiver of a bounded channel goes, what is in it is dropped
//! at once, and not with the last sender), and now also parks goroutines where it used to block threads: goroutines of any runtime and
//! plain threads may stand at the two ends of one channel, in any mixture.
//!
//! ```
//! use runtime::go;
//!
//! let rt = runtime::start(2);
//! rt.run(|| {
//!     let (tx, rx) = channels::bounded(0); // unbuffered: a send waits for its receiver
//!     go!(move || {
//!         for n in 0..3 {
//!             tx.send(n).unwrap();
//!         }
//!     });
//!     assert_eq!(rx.iter().collect::<Vec<i32>>(), [0, 1, 2]);
//! });
//! ```
//!
//! [`select!`] waits for several channels at once, [`after`] and [`tick`] are channels of time:
//!
//! ```
//! use channels::{after, bounded, select};
//! use std::time::Duration;
//!
//! let (tx, rx) = bounded(1);
//! tx.send("work").unwrap();
//! select! {
//!     recv(rx) -> work => assert_eq!(work, Ok("work")),
//!     recv(after(Duration::from_secs(60))) -> _ => panic!("too late"),
//! }
//! ```
//!
//! Beyond crossbeam: [`Sender::close`] and [`Receiver::close`], nil channels ([`Sender::nil`],
//! [`Receiver::nil`]) which block for ever, both from Go; and receivers of timers and of whatever
//! implements [`Source`](runtime::park::Source).
//!
//! On top of channels: [contexts](context) and [groups](errgroup), as in Go's `context` and
//! `golang.org/x/sync/errgroup`.
//!
//! The structure is Go's `hchan`: a lock, a ring of slots, and two queues of waiters who live on
//! the stacks of those who wait. docs/channels.md and docs/select.md tell it.

mod buffer;
pub mod context;
mod ends;
pub mod errgroup;
mod error;
mod hchan;
mod head;
mod iter;
mod meet;
mod receiver;
mod select;
mod sender;
mod source;
mod waitq;

pub use context::Context;
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
pub use select::{Select, SelectedOperation};
pub use sender::Sender;
pub use source::{after, at, never, tick};

/// What the macros expand to.
#[doc(hidden)]
pub mod internal {
    pub use crate::select::macros::{
        no_such_arm, recv_arm, select, select_timeout, send_arm, try_select,
    };
    pub use std::option::Option::{None, Some};

    /// For tests: how many wait to receive, to send, and only watch for the one or the other.
    pub fn queued<T>(receiver: &crate::Receiver<T>) -> [usize; 4] {
        receiver.chan().map_or([0; 4], |chan| chan.head.queued())
    }
}

use hchan::Hchan;

/// A channel of bounded capacity: a send waits while `cap` values are in it. Capacity 0 makes it
/// unbuffered: a send waits for the receive that takes its value, and the two meet.
///
/// ```
/// let (tx, rx) = channels::bounded(1);
/// tx.send(1).unwrap();
/// assert!(tx.try_send(2).is_err());
/// assert_eq!(rx.recv(), Ok(1));
/// ```
///
/// # Panics
/// If `cap` values do not fit the address space.
pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    Hchan::ends(Some(cap))
}

/// A channel without a bound: a send never waits.
///
/// ```
/// let (tx, rx) = channels::unbounded();
/// for n in 0..1000 {
///     tx.send(n).unwrap();
/// }
/// assert_eq!(rx.len(), 1000);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    Hchan::ends(None)
}
