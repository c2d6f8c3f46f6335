//! The skynet benchmark: a tree of 1,111,111 goroutines, ten children to a node, whose million
//! leaves send their numbers up through unbuffered channels.
//!
//! It shows that a goroutine is cheap to start and to wait for, and that a deep fan-out does
//! not need a stack for every goroutine at once.

use std::time::Instant;

use clap::Parser;
use examples::skynet;

/// Add up the numbers of a million leaves with a tree of goroutines.
#[derive(Parser)]
struct Args {
    /// Number of leaves, a power of ten
    #[arg(long, default_value_t = 1_000_000, value_parser = leaves)]
    leaves: u64,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

/// Above this the sum is still exact, but nobody wants to wait for it.
const MOST_LEAVES: u64 = 1_000_000_000;

fn leaves(text: &str) -> Result<u64, String> {
    let leaves: u64 = text.parse().map_err(|e| format!("{e}"))?;
    if leaves > MOST_LEAVES || skynet::goroutines(leaves).is_none() {
        return Err(format!("must be a power of ten, {MOST_LEAVES} at most"));
    }
    Ok(leaves)
}

fn main() {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    let begin = Instant::now();
    let answer = rt.run(|| skynet::sum(args.leaves));
    let elapsed = begin.elapsed();
    let goroutines = skynet::goroutines(args.leaves).expect("checked by the argument parser");
    println!("goroutines: {goroutines}");
    println!("answer:     {answer}");
    println!("time:       {:.3} s", elapsed.as_secs_f64());
}
