//! The clock of a trace: ticks that are cheap to read, and what they are in nanoseconds.
//!
//! Where the CPU's time stamp counter runs at one speed for ever and alike on all CPUs, a tick is one of
//! its counts; else it is a nanosecond of CLOCK_MONOTONIC. A read of the counter costs 10 ns, one of
//! the system's clock 25 to 50 (both on a virtual machine).
//!
//! Ticks become nanoseconds of CLOCK_MONOTONIC piece by piece: whoever collects events reads both clocks
//! at the same moment ([`Anchor`]), each time, and what lies between two anchors is interpolated. So no
//! frequency need be known, and what is written agrees with the system's clock at every anchor.

use crate::atomics::{Ordering, finish_reads};
// Not by way of `atomics`: no part of a protocol that loom checks.
use std::sync::atomic::AtomicBool;

/// Whether ticks are counts of the time stamp counter. Written before the first event.
static COUNTS: AtomicBool = AtomicBool::new(false);

/// Which clock the events of this process have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// The time stamp counter of the CPU.
    Tsc,
    /// `clock_gettime(CLOCK_MONOTONIC)`.
    Monotonic,
}

/// Decides which clock it is; to be called before events are recorded.
pub(crate) fn init() -> Clock {
    static ONCE: std::sync::OnceLock<Clock> = std::sync::OnceLock::new();
    *ONCE.get_or_init(|| {
        let counts = counter_is_usable();
        COUNTS.store(counts, Ordering::SeqCst);
        match counts {
            true => Clock::Tsc,
            false => Clock::Monotonic,
        }
    })
}

/// The CPU says that the counter's speed never changes (CPUID 8000_0007, EDX bit 8), and the kernel
/// offers it as a clock, as it does as long as its watchdog has not seen the CPUs' counters differ.
#[cfg(target_arch = "x86_64")]
fn counter_is_usable() -> bool {
    use std::arch::x86_64::__cpuid;
    let most = __cpuid(0x8000_0000).eax;
    let invariant = most >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0;
    let path = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    let offered = std::fs::read_to_string(path).unwrap_or_default();
    invariant && offered.split_whitespace().any(|clock| clock == "tsc")
}

#[cfg(not(target_arch = "x86_64"))]
fn counter_is_usable() -> bool {
    false
}

/// Now. After another read of the same thread it is never less; after what another thread has done that
/// this one has seen, only if a [`settle`] lies between.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // Relaxed: written before the first event.
    if COUNTS.load(Ordering::Relaxed) {
        // SAFETY: every x86-64 has the instruction.
        return unsafe { std::arch::x86_64::_rdtsc() };
    }
    monotonic()
}

/// Waits until all reads of memory before it are done: the counter may else be read ahead of them, as it is
/// no memory, and an effect come before its cause.
#[inline(always)]
pub(crate) fn settle() {
    finish_reads();
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec.
    let rc = unsafe { libc::clock_gettime(clock, &mut t) };
    debug_assert_eq!(rc, 0, "these clocks always exist");
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// The system's clock, in ns.
#[inline(never)]
pub(crate) fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The clocks that go on while the system sleeps, and that people use.
pub(crate) fn others() -> (u64, u64) {
    (read(libc::CLOCK_BOOTTIME), read(libc::CLOCK_REALTIME))
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    pub(crate) ticks: u64,
    pub(crate) ns: u64,
}

/// Tries to read both clocks without being interrupted between.
const TRIES: usize = 5;

impl Anchor {
    pub(crate) fn take() -> Anchor {
        let one = || {
            settle();
            let before = ticks();
            let ns = monotonic();
            settle();
            let after = ticks();
            (after.wrapping_sub(before), before, ns)
        };
        let best = (0..TRIES).map(|_| one()).min_by_key(|(width, ..)| *width);
        let (width, before, ns) = best.expect("there is one try");
        match COUNTS.load(Ordering::Relaxed) {
            true => Anchor {
                ticks: before + width / 2,
                ns,
            },
            false => Anchor { ticks: ns, ns },
        }
    }

    /// What `ticks`, which lies between this anchor and the `later` one, is in nanoseconds. (Should the counter have
    /// been set back in between, as when a virtual machine is moved: the earlier time.)
    pub(crate) fn until(self, later: Anchor, ticks: u64) -> u64 {
        let span = later.ticks.saturating_sub(self.ticks);
        let passed = ticks.saturating_sub(self.ticks).min(span);
        let ns = later.ns.saturating_sub(self.ns);
        self.ns + (u128::from(passed) * u128::from(ns) / u128::from(span.max(1))) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_agree_with_the_systems_clock() {
        init();
        let first = Anchor::take();
        std::thread::sleep(Duration::from_millis(20));
        let (ticks, ns) = (ticks(), monotonic());
        std::thread::sleep(Duration::from_millis(20));
        let last = Anchor::take();
        let off = first.until(last, ticks).abs_diff(ns);
        // The thread may lose its CPU between the two reads.
        assert!(off < 5_000_000, "{off} ns");
        assert_eq!(first.until(last, first.ticks), first.ns);
        assert_eq!(first.until(last, last.ticks), last.ns);
        let set_back = Anchor { ticks: 5, ..last };
        for ticks in [0, 5, first.ticks, last.ticks] {
            assert_eq!(first.until(set_back, ticks), first.ns);
        }
    }
}
