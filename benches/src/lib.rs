//! What the comparison program and its tests share: [`peers`] holds the workloads, written once
//! for every runtime, and the servers; [`load`] is the load that the servers are under; [`compare`]
//! runs all of it in child processes and reports what came out.
//!
//! The criterion benches of the single parts are in `benches/benches`.

pub mod compare;
mod epoll;
pub mod load;
pub mod peers;
