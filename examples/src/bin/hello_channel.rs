//! The smallest program with a channel: the main goroutine sends one number through an
//! unbuffered channel, another goroutine receives and prints it.
//!
//! It shows that a send on an unbuffered channel waits for its receiver. It does not wait for
//! what the receiver does next, so the main goroutine also joins the other one before its last
//! line; Go's version of this program leaves that order to chance.

use channels::{Receiver, bounded};
use clap::Parser;
use runtime::go;

/// Send one number from one goroutine to another.
#[derive(Parser)]
struct Args {
    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn print_channel_data(data: Receiver<i32>) {
    // Two spaces: the separator of Go's Println follows the one in the text.
    println!("Data in channel is:  {}", data.recv().unwrap());
}

fn main() {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    rt.run(|| {
        println!("Main started...");
        let (tx, rx) = bounded(0);
        let receiver = go!(print_channel_data(rx));
        tx.send(10).unwrap();
        receiver.join().unwrap();
        println!("Main ended...");
    });
}
