//! What a channel holds after the sender has changed its variable: what was sent.
//!
//! Three cases. A `Copy` value is copied into the channel, and changing the variable changes
//! only the variable. Any other value is moved, so the sender has nothing left to change: the
//! compiler refuses it. An `Arc` is the one that shares: the pointer is moved, what it points
//! to is seen by both sides, so a change is seen by the receiver.
//!
//! The well-known Go version sends a pointer, sleeps to get its order, and prints the old value
//! only because the receiver happens to run first. Here nothing depends on time: a value lies
//! in a buffered channel while the variable is changed, and the receiver may look only then.

use std::cell::Cell;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use channels::{Receiver, bounded};
use clap::Parser;
use runtime::go;

/// Show that a later change of a variable does not change what was sent.
#[derive(Parser)]
struct Args {
    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

/// Waits for the word to look, then takes the value out of the channel, prints and returns it.
fn print_data<T: Display>(look: Receiver<()>, data: Receiver<T>) -> T {
    look.recv().unwrap();
    let value = data.recv().unwrap();
    println!("Data in channel is:  {value}");
    value
}

/// A `Copy` value: the channel has its own copy.
fn copied() {
    println!("Main started...");
    let a = Cell::new(10);
    let b = &a;
    let (tx, rx) = bounded(1);
    let (look, may_look) = bounded(0);
    let printer = go!(move || print_data(may_look, rx));
    println!("Value of b before putting into channel {}", b.get());
    tx.send(b.get()).unwrap();
    a.set(20);
    println!("Updated value of a: {}", a.get());
    println!("Updated value of b: {}", b.get());
    look.send(()).unwrap();
    printer.join().unwrap();
    println!("Main ended...");
}

/// Any other value: it moves, and with it the memory it owns.
fn moved() {
    println!("\nA String is moved:");
    let mut name = String::from("ten");
    let buffer = name.as_ptr().addr();
    let (tx, rx) = bounded(1);
    let (look, may_look) = bounded(0);
    let printer = go!(move || print_data(may_look, rx));
    println!("Value of name before putting into channel {name}");
    tx.send(name).unwrap();
    // name.push_str("ty"); does not compile: `name` was moved. It can only be given a new value.
    name = String::from("twenty");
    println!("New value of name: {name}");
    look.send(()).unwrap();
    let received = printer.join().unwrap();
    println!(
        "Same buffer, not copied: {}",
        received.as_ptr().addr() == buffer
    );
}

/// An `Arc`: the pointer moves, what it points to is shared, and has to be safe to share.
fn shared() {
    println!("\nAn Arc is shared:");
    let counter = Arc::new(AtomicI32::new(10));
    let (tx, rx) = bounded(1);
    let (look, may_look) = bounded::<()>(0);
    let printer = go!(move || {
        may_look.recv().unwrap();
        let received: Arc<AtomicI32> = rx.recv().unwrap();
        // Relaxed: the channel orders it after the store.
        println!("Data in channel is:  {}", received.load(Ordering::Relaxed));
    });
    println!(
        "Value of counter before putting into channel {}",
        counter.load(Ordering::Relaxed)
    );
    tx.send(Arc::clone(&counter)).unwrap();
    counter.store(20, Ordering::Relaxed);
    println!(
        "Updated value of counter: {}",
        counter.load(Ordering::Relaxed)
    );
    look.send(()).unwrap();
    printer.join().unwrap();
}

fn main() {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    rt.run(|| {
        copied();
        moved();
        shared();
    });
}
