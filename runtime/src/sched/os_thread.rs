//! What the kernel says of a thread of this process: what it has had of the CPUs, and whether it sleeps. Allocates nothing.

use crate::timer::Nanos;
use std::fs::File;
use std::io::{Read, Write};

/// What a thread has had since it began.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) ran: Nanos,
    /// For a CPU, up to when it last got one.
    pub(super) waited: Nanos,
    /// How often it got one.
    pub(super) slices: u64,
}

/// `None`: the kernel does not say.
pub(super) fn times(tid: u32) -> Option<Times> {
    let mut buffer = [0; 128];
    let text = std::str::from_utf8(read(tid, "schedstat", &mut buffer)?).ok()?;
    let mut numbers = text.split_whitespace().map_while(|n| n.parse().ok());
    Some(Times {
        ran: numbers.next()?,
        waited: numbers.next()?,
        slices: numbers.next()?,
    })
}

/// CPU time that a thread has used, to the nanosecond (the sum in [`times`] is brought up to date at ticks); 0 if unknown.
pub(super) fn cpu_ns(tid: u32) -> Nanos {
    // The kernel's encoding of a thread's scheduler clock: see clock_getcpuclockid(3) in libcs.
    let clock = (!(tid as libc::clockid_t) << 3) | 6;
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec; an unknown clock is an error.
    if unsafe { libc::clock_gettime(clock, &mut t) } != 0 {
        return 0;
    }
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Whether a thread sleeps in the kernel at this moment, by what the kernel says, if it says anything: to ask takes a
/// descriptor.
pub(super) fn is_asleep(tid: u32) -> bool {
    state(tid).is_none_or(|state| matches!(state, b'S' | b'D'))
}

/// The letter of its state: R runs or wants to, S and D sleep.
fn state(tid: u32) -> Option<u8> {
    let mut buffer = [0; 128];
    let stat = read(tid, "stat", &mut buffer)?;
    let after_name = stat.iter().rposition(|&b| b == b')')?;
    stat.get(after_name + 2).copied()
}

/// The beginning of a file that /proc has of a thread.
fn read<'a>(tid: u32, file: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = [0; 64];
    let mut rest = &mut path[..];
    write!(rest, "/proc/self/task/{tid}/{file}").ok()?;
    let free = rest.len();
    let path = std::str::from_utf8(&path[..path.len() - free]).ok()?;
    let n = File::open(path).ok()?.read(buffer).ok()?;
    Some(&buffer[..n])
}
