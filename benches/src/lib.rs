//! What the comparison program and its tests share: [`peers`] holds the workloads, written once
//! for every runtime; [`compare`] runs them in child processes and reports what came out.
//!
//! The criterion benches of the single parts are in `benches/benches`.

pub mod compare;
pub mod peers;
