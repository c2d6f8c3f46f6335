//! The concurrent prime sieve: a chain of goroutines, one for every prime, joined by unbuffered
//! channels.
//!
//! It shows millions of hand-overs between goroutines, and an end without a stop signal: when
//! the reader goes away, the sends behind it fail one after another and every goroutine returns.

use clap::Parser;
use examples::prime_sieve::first_primes;

/// Find the first primes with a chain of filtering goroutines.
#[derive(Parser)]
struct Args {
    /// How many primes to find
    #[arg(long, default_value_t = 1000)]
    count: usize,

    /// Print all primes, one a line, before the summary
    #[arg(long)]
    list: bool,

    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    let sieve = rt.run(|| first_primes(args.count));
    if args.list {
        for prime in &sieve.primes {
            println!("{prime}");
        }
    }
    println!("primes found:     {}", sieve.primes.len());
    match sieve.primes.last() {
        Some(prime) => println!("last prime:       {prime}"),
        None => println!("last prime:       none"),
    }
    println!("goroutines ended: {}", sieve.goroutines);
}
