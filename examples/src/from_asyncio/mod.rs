//! What asyncio programs are made of, written for this runtime: the lines that `docs/from-asyncio.md`
//! shows beside their Python, as functions that are run by tests and by the program `asyncio_tour`.
//!
//! The page shows these very lines; a test compares them.

pub mod objects;
pub mod tasks;

use runtime::time::sleep;
use std::time::Duration;

/// Some milliseconds.
pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What the tasks do: wait for a while, and say so.
pub fn fetch(name: &str, delay: u64) -> String {
    sleep(ms(delay));
    format!("{name} after {delay} ms")
}
