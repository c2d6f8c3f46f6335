//! The concurrent prime sieve: a generator sends 2, 3, 4, ... into a chain of filters, one for
//! every prime found so far, and what passes them all is the next prime.

use channels::{Receiver, Sender, bounded};
use runtime::go;

/// What a run of the sieve found.
pub struct Sieve {
    /// The primes, in order.
    pub primes: Vec<u64>,
    /// How many goroutines (the generator and the filters) were started, and have ended.
    pub goroutines: usize,
}

/// Finds the first `count` primes, and returns when every goroutine it started has ended.
///
/// Nobody tells the goroutines to stop. The last receiver is dropped, so the next send of the
/// last filter fails and it returns; that drops *its* receiver, and so on up to the generator.
pub fn first_primes(count: usize) -> Sieve {
    let (tx, mut numbers) = bounded(0);
    let mut stages = vec![go!(name = "generator", generate(tx))];
    let mut primes = Vec::new();
    while primes.len() < count {
        let prime = numbers
            .recv()
            .expect("the generator goes on while it is received from");
        primes.push(prime);
        let (tx, rx) = bounded(0);
        let input = std::mem::replace(&mut numbers, rx);
        stages.push(go!(name = "filter", filter(prime, input, tx)));
    }
    drop(numbers);
    let goroutines = stages.len();
    for stage in stages {
        stage.join().expect("a stage of the sieve panicked");
    }
    Sieve { primes, goroutines }
}

fn generate(numbers: Sender<u64>) {
    for n in 2.. {
        if numbers.send(n).is_err() {
            return;
        }
    }
}

fn filter(prime: u64, input: Receiver<u64>, output: Sender<u64>) {
    for n in input {
        if n % prime != 0 && output.send(n).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primes_come_in_order_and_every_stage_ends() {
        for procs in [1, 2, 4] {
            let rt = runtime::start(procs);
            let sieve = rt.run(|| first_primes(10));
            assert_eq!(sieve.primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
            assert_eq!(sieve.goroutines, 11);
        }
    }

    #[test]
    fn no_primes_still_ends_the_generator() {
        let rt = runtime::start(2);
        let sieve = rt.run(|| first_primes(0));
        assert!(sieve.primes.is_empty());
        assert_eq!(sieve.goroutines, 1);
    }
}
