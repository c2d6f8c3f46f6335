//! Looking at goroutines, and at plain threads that wait, from outside, while everything runs on.
//!
//! Nobody is stopped, and no lock is held that a goroutine could want, but that of names and labels for the time of
//! a copy. A parked goroutine's stack, and
//! the object it waits on, are copied as plain memory by the kernel (`memory.rs`), which answers with an
//! error where there is none any more; and the copy counts only if the goroutine's wake-up word says
//! that it was parked in the same wait before and after (`goroutine.rs`): a sequence lock whose writer
//! is the goroutine itself. What a parked goroutine's frames refer to is alive, and its own, so such a
//! copy is a true picture.
//!
//! Knows nothing of the scheduler's queues and of how pictures are printed.

pub(crate) mod arena;
pub(crate) mod debugger;
pub(crate) mod goroutine;
mod graph;
pub(crate) mod leaks;
pub(crate) mod memory;
pub(crate) mod roots;
mod rules;
pub(crate) mod stop;
pub(crate) mod symbols;
pub(crate) mod thread;
pub(crate) mod unwind;
