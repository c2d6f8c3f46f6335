//! Descriptors that goroutines wait for: pipes, eventfds, whatever can be polled.
//!
//! [`Registered`] makes a descriptor's operations park a goroutine, or block a plain thread, until they
//! can be done. [`crate::net`] is built in the same way.

pub(crate) mod pollable;
mod registered;
mod stdin;

pub use registered::Registered;
pub(crate) use registered::set_nonblocking;
pub use stdin::{Lines, Stdin, StdinLock, stdin};
