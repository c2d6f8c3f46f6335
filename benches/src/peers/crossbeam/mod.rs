//! The channel workloads on threads of the standard library with crossbeam-channel, and those of
//! locks with the standard library's. As threads have no Ps, the process is held to as many CPUs.

mod locks;
mod select;

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{MPMC, Measurement, Pass};
use crate::compare::workloads::Kind;

pub(super) fn run(
    kind: Kind,
    procs: usize,
    size: usize,
    min_time: Duration,
) -> Result<Measurement, String> {
    hold_to_cpus(procs)?;
    Ok(super::measure(min_time, || pass(kind, size)))
}

fn pass(kind: Kind, size: usize) -> Pass {
    match kind {
        Kind::PingPong => ping_pong(size),
        Kind::Spsc { cap: Some(cap) } => stream(bounded(cap), size),
        Kind::Spsc { cap: None } => stream(unbounded(), size),
        Kind::Mpmc { cap } => mpmc(cap, size),
        Kind::Select { arms, cap } => select::select(arms, cap, size),
        Kind::SelectDefault => select::select_default(size),
        Kind::SelectPopular => select::select_popular(size),
        Kind::Mutex { goroutines } => locks::mutex(goroutines, size),
        Kind::RwLock => locks::rwlock(size),
        _ => super::no_counterpart(kind),
    }
}

/// Lets this thread, and those it spawns, run on no more than `n` of its CPUs.
fn hold_to_cpus(n: usize) -> Result<(), String> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a cpu_set_t is an array of integers, for which zeros are a value.
    let (mut usable, mut held): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for writes of `size` bytes; 0 stands for this thread.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut usable) } != 0 {
        return Err(format!(
            "sched_getaffinity: {}",
            std::io::Error::last_os_error()
        ));
    }
    let mut left = n;
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: `cpu` is below CPU_SETSIZE, the number of bits in a cpu_set_t.
        unsafe {
            if left > 0 && libc::CPU_ISSET(cpu, &usable) {
                libc::CPU_SET(cpu, &mut held);
                left -= 1;
            }
        }
    }
    // SAFETY: the pointer is valid for reads of `size` bytes; 0 stands for this thread.
    if unsafe { libc::sched_setaffinity(0, size, &raw const held) } != 0 {
        return Err(format!(
            "sched_setaffinity: {}",
            std::io::Error::last_os_error()
        ));
    }
    Ok(())
}

fn ping_pong(n: usize) -> Pass {
    let (ping, pings) = bounded(0);
    let (pong, pongs) = bounded(0);
    let start = Instant::now();
    let echo = thread::spawn(move || {
        for value in pings {
            pong.send(value + 1).expect("the other side waits");
        }
    });
    for i in 0..n {
        ping.send(i).expect("the other side waits");
        assert_eq!(pongs.recv(), Ok(i + 1));
    }
    drop(ping);
    echo.join().expect("no panics");
    Pass::since(start, n)
}

fn stream((sender, receiver): (Sender<usize>, Receiver<usize>), n: usize) -> Pass {
    let start = Instant::now();
    thread::spawn(move || {
        for i in 0..n {
            sender.send(i).expect("the receiver takes all");
        }
    });
    let sum: usize = receiver.iter().sum();
    let pass = Pass::since(start, n);
    assert_eq!(sum, super::sum_below(n));
    pass
}

fn mpmc(cap: usize, n: usize) -> Pass {
    let each = n / MPMC;
    let (sender, receiver) = bounded(cap);
    let start = Instant::now();
    let mut sums: Vec<thread::JoinHandle<usize>> = Vec::with_capacity(MPMC);
    for _ in 0..MPMC {
        let sender = sender.clone();
        thread::spawn(move || {
            for i in 0..each {
                sender.send(i).expect("the receivers take all");
            }
        });
        let receiver = receiver.clone();
        sums.push(thread::spawn(move || receiver.iter().sum()));
    }
    drop(sender);
    let sum: usize = sums
        .into_iter()
        .map(|handle| handle.join().expect("no panics"))
        .sum();
    let pass = Pass::since(start, each * MPMC);
    assert_eq!(sum, super::sum_below(each) * MPMC);
    pass
}
