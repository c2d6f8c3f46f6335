//! Readiness of descriptors: what the kernel says can go on, and who waits for it. Go's netpoll.go.
//!
//! | file | what it owns |
//! |---|---|
//! | `epoll.rs` | the system calls |
//! | `direction.rs` | the word of one direction: a protocol |
//! | `desc.rs` | a descriptor: its two words, and where it is registered |
//! | `poller.rs` | the poller of a runtime: what is registered, and who polls |
//! | `busy.rs` | whether to ask again and again before a sleep |
//!
//! It knows waiters, and nothing of the scheduler: who polls is given what is ready. docs/netpoll.md tells
//! the whole story.

mod busy;
pub(crate) mod desc;
pub(crate) mod direction;
pub(crate) mod epoll;
mod poller;

pub(crate) use poller::Poller;

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}
