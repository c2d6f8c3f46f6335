//! How a program looks in which everybody waits for somebody: what the runtime says of it, and what it
//! does not take for one. Each scenario is a few lines.
//!
//! ```text
//! cargo run -p examples --bin deadlock -- cross
//! ```

use channels::bounded;
use clap::{Parser, ValueEnum};
use runtime::signal::{Signal, Signals};
use runtime::sync::{Condvar, Mutex, WaitGroup};
use runtime::{Builder, OnDeadlock, go};
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs goroutines that wait for each other.
#[derive(Parser)]
struct Args {
    /// What they do.
    scenario: Scenario,
    /// What the runtime does when it finds out.
    #[arg(long, default_value = "panic")]
    what: What,
    /// Write a dump whenever SIGQUIT comes.
    #[arg(long)]
    dumps: bool,
    /// Number of Ps; 0 is one for each CPU.
    #[arg(long, default_value_t = 2)]
    procs: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Panic,
    Abort,
    Report,
    Ignore,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Two goroutines, each waiting for the other's value. A deadlock.
    Cross,
    /// Two goroutines that take two mutexes in different orders. A deadlock.
    Locks,
    /// A condition that nobody announces. A deadlock.
    Condition,
    /// A wait group that counts one more than there are. A deadlock.
    Group,
    /// The thread that started it all joins a goroutine that never ends. A deadlock.
    Joined,
    /// A value that a plain thread sends in a while. Not a deadlock.
    Thread,
    /// A timer, a socket and a call that blocks its thread. Not a deadlock.
    World,
    /// A token that goroutines and short-lived threads pass on. Not a deadlock.
    Relay,
    /// A second runtime that will send. Not a deadlock.
    Runtimes,
    /// A signal that a plain thread waits for. Not a deadlock.
    Signal,
}

const A_WHILE: Duration = Duration::from_millis(80);

fn main() {
    let args = Args::parse();
    let what = match args.what {
        What::Panic => OnDeadlock::Panic,
        What::Abort => OnDeadlock::Abort,
        What::Report => OnDeadlock::Report,
        What::Ignore => OnDeadlock::Ignore,
    };
    let mut builder = Builder::new().procs(args.procs).on_deadlock(what);
    if args.dumps {
        builder = builder.dump_on(Signal::QUIT);
    }
    let rt = match builder.build() {
        Ok(rt) => rt,
        Err(e) => {
            eprintln!("deadlock: {e}");
            std::process::exit(1);
        }
    };
    match args.scenario {
        Scenario::Cross => rt.run(cross),
        Scenario::Locks => rt.run(locks),
        Scenario::Condition => rt.run(condition),
        Scenario::Group => rt.run(group),
        Scenario::Joined => {
            let ended = rt.spawn(cross).join();
            println!("joined: {}", ended.unwrap_err());
        }
        Scenario::Thread => {
            for _ in 0..10 {
                let (tx, rx) = bounded(0);
                let sender = thread::spawn(move || {
                    thread::sleep(A_WHILE);
                    tx.send(1)
                });
                assert_eq!(rt.run(|| rx.recv()), Ok(1));
                sender.join().expect("it does not panic").expect("received");
            }
        }
        Scenario::World => rt.run(world),
        Scenario::Relay => rt.run(relay),
        Scenario::Runtimes => {
            let other = runtime::start(1);
            let (tx, rx) = bounded(0);
            drop(other.spawn(move || {
                runtime::time::sleep(A_WHILE);
                tx.send(1)
            }));
            assert_eq!(rt.run(|| rx.recv()), Ok(1));
        }
        Scenario::Signal => {
            let (tx, rx) = bounded(0);
            let signals = Signals::new([Signal::USR1]).expect("it can be caught");
            let sender = thread::spawn(move || {
                signals.recv();
                tx.send(1)
            });
            let kill = "sleep 0.1; kill -USR1 $PPID";
            let kill = std::process::Command::new("sh").args(["-c", kill]).spawn();
            assert_eq!(rt.run(|| rx.recv()), Ok(1));
            sender.join().expect("it does not panic").expect("received");
            kill.and_then(|mut kill| kill.wait()).expect("a shell");
        }
    }
    println!("done");
}

fn cross() {
    let (to_b, from_a) = bounded::<i32>(0);
    let (to_a, from_b) = bounded::<i32>(0);
    let b = go!(name = "b", move || {
        let _ = from_a.recv();
        let _ = to_a.send(1);
    });
    let _ = from_b.recv();
    let _ = to_b.send(1);
    let _ = b.join();
}

fn locks() {
    let (first, second) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let (first2, second2) = (first.clone(), second.clone());
    let other = go!(name = "other", move || {
        let _second = second2.lock();
        runtime::time::sleep(Duration::from_millis(5));
        let _first = first2.lock();
    });
    let _first = first.lock();
    runtime::time::sleep(Duration::from_millis(5));
    let _second = second.lock();
    let _ = other.join();
}

fn condition() {
    let (mutex, condvar) = (Mutex::new(false), Condvar::new());
    let guard = mutex.lock().expect("not poisoned");
    let _ = condvar.wait_while(guard, |ready| !*ready);
}

fn group() {
    let group = Arc::new(WaitGroup::new());
    group.add(2);
    let group2 = group.clone();
    drop(go!(move || group2.done()));
    group.wait();
}

fn world() {
    let (tx, rx) = bounded(0);
    let tx2 = tx.clone();
    let _ = runtime::time::after_func(A_WHILE, move || tx2.send(1).expect("received"));
    assert_eq!(rx.recv(), Ok(1));
    let (mut a, mut b) = runtime::net::UnixStream::pair().expect("a pair of sockets");
    let tx2 = tx.clone();
    drop(go!(move || {
        let mut byte = [0];
        b.read_exact(&mut byte).expect("it is written");
        tx2.send(2).expect("received");
    }));
    drop(go!(move || {
        runtime::blocking(|| thread::sleep(A_WHILE));
        a.write_all(&[1]).expect("it is read");
    }));
    assert_eq!(rx.recv(), Ok(2));
    drop(go!(move || {
        thread::sleep(A_WHILE); // without a word
        tx.send(3).expect("received");
    }));
    assert_eq!(rx.recv(), Ok(3));
}

fn relay() {
    let (tx, rx) = bounded::<u32>(0);
    let (back, from) = bounded::<u32>(0);
    let echo = go!(move || rx.into_iter().all(|n| back.send(n).is_ok()));
    for n in 0..300 {
        if n % 50 == 0 {
            runtime::time::sleep(Duration::from_millis(30));
        }
        let from = from.clone();
        let (got, answer) = bounded(0);
        let thread = thread::spawn(move || got.send(from.recv().expect("an echo")));
        tx.send(n).expect("an echo listens");
        assert_eq!(answer.recv(), Ok(n));
        drop(thread);
    }
    drop(tx);
    assert_eq!(echo.join().ok(), Some(true));
}
