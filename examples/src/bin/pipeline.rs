//! A pipeline of goroutines: generate numbers, square them with several workers, merge.
//!
//! It shows fan-out (many receivers on one channel), fan-in (many channels into one), ends that
//! travel by disconnect alone, and two ways to treat order: not caring, which a sum does not,
//! and sequence numbers with a window that bounds what is under way.

use std::process::ExitCode;

use clap::Parser;
use examples::pipeline::{squares, squares_in_order};

/// Square numbers with several goroutines and check the result.
#[derive(Parser)]
struct Args {
    /// Square the numbers from 1 to this one
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    numbers: u64,

    /// Goroutines that square
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,

    /// Items that may be under way at once in the ordered variant
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (n, workers) = (args.numbers, usize::from(args.workers));
    let rt = runtime::start(args.procs);
    let wide = u128::from(n);
    let expected = wide * (wide + 1) * (2 * wide + 1) / 6;

    let (sum, made) = rt.run(|| {
        let (squares, made) = squares(n, workers);
        let sum: u128 = squares.iter().map(u128::from).sum();
        (sum, made.iter().sum::<u64>())
    });
    println!("unordered: {made} squares, sum {sum}");

    let (sum_in_order, in_order) = rt.run(|| {
        let mut sum = 0;
        let mut in_order = 0;
        for square in squares_in_order(n, workers, usize::from(args.window)) {
            sum += u128::from(square);
            let place = in_order + 1;
            if square == place * place {
                in_order = place;
            }
        }
        (sum, in_order)
    });
    println!("ordered:   {in_order} squares in their place, sum {sum_in_order}");

    if (sum, made, sum_in_order, in_order) == (expected, n, expected, n) {
        println!("both are right");
        ExitCode::SUCCESS
    } else {
        eprintln!("pipeline: expected {n} squares with the sum {expected}");
        ExitCode::FAILURE
    }
}
