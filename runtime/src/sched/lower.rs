//! Lowers the priority of threads whose goroutines compute, where CPUs are short.
//!
//! A goroutine that computes for longer than its slice keeps its thread, and its P goes on with another one. For the
//! kernel the two are alike: with all CPUs busy, each gets its turn, of a few milliseconds, and for as long as the one
//! computes, all that the P serves waits, a hundred connections perhaps. So where threads with a P wait for CPUs (`room.rs`
//! measures it), and the network is in use, the thread that has computed *for as long again without its P* is made
//! [`NICE`]r: it still gets a quarter of what the others do, and all of a CPU that nobody else wants.
//!
//! The kernel lets nobody raise a priority again without privileges. So there is no way back for the thread: as soon as
//! its goroutine comes into the runtime, it leaves the thread (it queues for a P, as anyone who has lost one), and the
//! thread ends; the next that is needed is a new one. That is 50 µs for at least [`PERIOD`](super::room::PERIOD) of computing.
//! A thread that cannot be left is not lowered: that of a goroutine that is locked to it, or pinned. (One that unwinds cannot leave
//! it either, and the monitor cannot see that: it is given a P there, and the thread ends some picks later, when it looks at the global queue.)
//!
//! That no M gets a P before it knows that its thread was lowered is the business of `m/retake.rs`.

use super::{Sched, os_thread};
use crate::atomics::Ordering;
use crate::m::M;
use crate::p::counters;
use crate::sched::room::PERIOD;
use crate::timer::{self, Nanos};

/// By so much, in the kernel's units: about a third of the weight.
const NICE: i32 = 5;
/// So many at most are kept an eye on: to ask for the CPU time of a thread takes a system call.
const MOST: usize = 64;

/// The Ms that have lost their Ps to the monitor, of late or since they compute.
#[derive(Default)]
pub(super) struct Outside(Vec<Out>);

struct Out {
    m: *const M,
    /// [`Handshake::met`](crate::m::retake::Handshake::met) then: a change says that it has come back.
    met: u32,
    /// The CPU time of its thread then.
    taken: Nanos,
    /// The last look, and its CPU time then.
    at: Nanos,
    cpu: Nanos,
}

impl Outside {
    /// The monitor has just taken the P of `m`, which had met so many requests before.
    pub(super) fn add(&mut self, m: &M, met: u32) {
        if self.0.len() < MOST {
            let cpu = os_thread::cpu_ns(m.tid.load(Ordering::Relaxed));
            self.0.push(Out {
                m,
                met,
                taken: cpu,
                at: timer::now(),
                cpu,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Sched {
    /// Looks at the Ms outside, if it is time for them, and lowers those that compute if CPUs are short.
    pub(super) fn lower(&self, outside: &mut Outside, short: bool) {
        let now = timer::now();
        outside.0.retain_mut(|out| {
            // SAFETY: Ms live as long as their runtime.
            let m = unsafe { &*out.m };
            if m.handshake.met() != out.met {
                return false;
            }
            if now - out.at < PERIOD {
                return true;
            }
            let tid = m.tid.load(Ordering::Relaxed);
            let cpu = os_thread::cpu_ns(tid);
            let stands = cpu == std::mem::replace(&mut out.cpu, cpu);
            out.at = now;
            if stands && os_thread::is_asleep(tid) {
                return false;
            }
            let computes = cpu.saturating_sub(out.taken) >= PERIOD;
            !(computes && short && self.lower_thread(m))
        });
    }

    /// Whether the thread of `m`, which the monitor has taken the P of, is lowered now.
    fn lower_thread(&self, m: &M) -> bool {
        // With no other thread to be had, its goroutine would have to stay.
        if self.lock.lock().threads.is_full(self.config.max_threads) {
            return false;
        }
        let lowered = m.handshake.lower(|| {
            // SAFETY: the M has not come in since its P was taken, or waits for us: it runs what it ran. (None
            // if it is among the code of others: `pin.rs`.)
            let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref() };
            let free = g.is_some_and(|g| g.locked_m.load(Ordering::Relaxed).is_null());
            free && os_thread::lower(m.tid.load(Ordering::Relaxed), NICE)
        });
        counters::add(&self.lowered, lowered.into());
        lowered
    }
}
