//! Waiting for several goroutines: asyncio's `gather`, `wait`, `as_completed`, `wait_for` and `shield`,
//! for code that is not asynchronous.
//!
//! Whatever waits here takes [`JoinHandle`](crate::JoinHandle)s, or the handles of a
//! [`scope`](crate::scope()), or either of them [shielded](shield); on a goroutine, which parks, or
//! on a plain thread, which blocks. The handles may be of goroutines of several runtimes.
//!
//! What becomes of the goroutines when a wait ends early is asyncio's answer:
//!
//! | | the caller is cancelled, or its `timeout` is over | one of them fails |
//! |---|---|---|
//! | [`JoinHandle::join`](crate::JoinHandle::join) | it goes on | - |
//! | [`gather`] | they are cancelled, and waited for | the others go on |
//! | [`gather_all`] | they are cancelled, and waited for | all are waited for |
//! | [`wait`] | they go on | as [`Until`] says; they go on |
//! | [`as_completed`] | they go on | it is one of the results |
//! | [`wait_for`] | it is cancelled, and waited for | - |
//! | [`scope`](crate::scope()) | they are cancelled, and waited for | they are cancelled |
//!
//! `join` differs from asyncio's `await task`, which cancels the task together with who awaits it:
//! that is [`wait_for`], or a `gather` of one.

mod completed;
mod gather;
mod joinable;
mod set;
mod wait;

pub use completed::{AsCompleted, as_completed};
pub use gather::{gather, gather_all};
pub use joinable::{Joinable, Target, shield};
pub use wait::{Until, WaitError, Waited, wait, wait_for};
