//! Fetching many URLs: the experiment of an article on asyncio, and a program to use.
//!
//! The article fetches one URL 1, 10, 50, 100 and 500 times, by a pool with as many workers as
//! there are CPUs and by coroutines. [`experiment`] does so in three ways, with one client for
//! all of them: a thread pool, a thread for each URL, a goroutine for each URL. [`many`] fetches
//! any URLs with goroutines, and keeps what failed apart from what did not.

pub mod client;
pub mod experiment;
pub mod many;
pub mod plot;
pub mod table;
