//! Descriptors that goroutines wait for: pipes, eventfds, whatever can be polled.
//!
//! [`Registered`] makes a descriptor's operations park a goroutine, or block a plain thread, until they
//! can be done. [`crate::net`] is built in the same way.

mod nonblocking;
pub(crate) mod pauses;
pub(crate) mod pollable;
mod registered;
mod stdin;

pub(crate) use nonblocking::{give_flag_back, take_flag};
pub use registered::Registered;
pub use stdin::{Lines, Stdin, StdinLock, stdin};
