//! How many Ps the network is given where CPUs are short.
//!
//! An idle M that sleeps in the poller takes each message that comes while another M is busy with earlier ones; with
//! a CPU to itself it answers at once. If all CPUs are taken (by the clients of a benchmark on the same machine, by the
//! program's neighbours, by a quota), it can only take its time from the M that is busy, or from those who
//! send: threads preempt each other for a few messages at a time, each wake-up is paid for by a sender, and what a
//! preempted M has queued waits for a slice of the kernel's. With a hundred clients on two CPUs, two Ms need a fifth
//! more time for each echo than one, and the slowest of a hundred messages twice as long.
//!
//! The kernel tells how long each thread has waited for a CPU (`/proc/.../schedstat`). So the monitor adds up, every
//! [`PERIOD`], for how long the threads of the Ps have run and have waited. If they wait for more than a part of the time
//! that they run (`crowd.rs`, where the decisions are), the network is left to *as many Ps as there have been CPUs for*; and this is kept
//! only *if they hardly wait then*. If they do, somebody else fills the CPUs, and whoever asks for fewer of them only gets
//! less: then it is as before, and not tried again for some time. What is kept is questioned after a while, by letting
//! one more P in, then two, and so on. (A neighbour that would fill the CPU that is left to it cannot be told from a client that
//! answers faster. It gets a fifth or a quarter of the runtime's time at most: with more of its threads the others wait.)
//!
//! While it is so, and as many Ps are busy:
//!
//! * an M that goes idle does not sleep in the poller: the busy ones poll on their way, at least every 500 µs;
//! * a P whose goroutines take short turns ([`SHORT`]) is *spared*: nobody is woken for what a poll has found for it, and
//!   nobody takes from it what has run before (`p/thefts.rs`).
//!
//! All else is as ever: new goroutines are stolen, an M is woken for them, and so it is with those that compute. A P that
//! has not picked since the monitor's last look is not spared. Beside a goroutine that computes, or that blocks its
//! thread, the monitor polls once in a millisecond, until that P no longer counts as busy ([`STUCK`]) and somebody sleeps
//! in the poller again.

use super::Sched;
use super::crowd::{Crowd, Share};
use super::monitor::Seen;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use crate::p::P;
use crate::timer::{self, Nanos};
use std::collections::HashMap;
use std::time::Duration;

/// From one sum to the next, with up to eight Ps; to ask takes some 5 µs for each.
pub(super) const PERIOD: Nanos = 10_000_000;
/// A P that has not picked for so long does not count as one that is busy with the network. More than a slice of the
/// kernel's: one that only waits for a CPU shall not bring another M to those that wait.
const STUCK: Duration = Duration::from_millis(5);

/// A pick that takes less is a short turn.
const SHORT: Nanos = 50_000;

/// Whether so many picks in that time are short turns.
pub(super) fn are_short(time: Nanos, picks: u64) -> bool {
    time < picks.saturating_mul(SHORT)
}

/// Whether to make room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Where CPUs are short.
    Judged,
    Never,
    /// One P at most for the network, all the time: a test mode.
    Always,
}

/// The bound that all Ms see.
#[derive(Debug)]
pub(super) struct Bound(AtomicU32);

impl Bound {
    const NONE: u32 = u32::MAX;

    pub(super) fn none() -> Bound {
        Bound(AtomicU32::new(Bound::NONE))
    }

    /// Whether the network has enough if so many Ps are busy.
    #[inline]
    pub(super) fn is_reached(&self, busy: usize) -> bool {
        // Relaxed: a hint. Who sees an old one wakes somebody in vain, or leaves to the monitor what it looks for.
        busy >= self.0.load(Ordering::Relaxed) as usize
    }

    fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Bound::NONE
    }

    /// Of so many Ps, how many the network may have.
    pub(super) fn of(&self, procs: usize) -> usize {
        procs.min(self.0.load(Ordering::Relaxed) as usize)
    }

    /// Sets it; whether it is higher than it was.
    fn set(&self, most: Option<u32>) -> bool {
        let most = most.unwrap_or(Bound::NONE);
        self.0.swap(most, Ordering::Relaxed) < most
    }
}

/// What the monitor keeps of it.
pub(super) struct Watch {
    crowd: Crowd,
    period: Nanos,
    /// When the sums were taken last.
    looked: Nanos,
    /// For how long each thread has run and waited in all, by its number.
    threads: HashMap<u32, (Nanos, Nanos)>,
}

impl Watch {
    /// `None` where there is nothing to decide.
    pub(super) fn new(procs: usize) -> Option<Watch> {
        (procs > 1).then(|| Watch {
            crowd: Crowd::new(procs),
            period: PERIOD * procs.div_ceil(8) as Nanos,
            looked: 0,
            threads: HashMap::new(),
        })
    }

    /// What these threads have had since the last time, if that is not long ago.
    fn share(&mut self, tids: impl Iterator<Item = u32>, now: Nanos) -> Option<Share> {
        let time = now - std::mem::replace(&mut self.looked, now);
        let times: HashMap<_, _> = tids.filter_map(|tid| Some((tid, times(tid)?))).collect();
        let before = std::mem::replace(&mut self.threads, times);
        let mut share = Share {
            time,
            ran: 0,
            waited: 0,
        };
        for (tid, (ran, waited)) in &self.threads {
            if let Some(before) = before.get(tid) {
                share.ran += ran.saturating_sub(before.0);
                share.waited += waited.saturating_sub(before.1);
            }
        }
        (time <= 4 * self.period).then_some(share)
    }
}

/// For how long a thread of this process has run, and for how long it has waited for a CPU.
fn times(tid: u32) -> Option<(Nanos, Nanos)> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    let mut numbers = text.split_whitespace().map_while(|n| n.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

impl Sched {
    /// Looks, if it is time, whether CPUs are short.
    pub(super) fn watch_room(&self, watch: &mut Watch, seen: &[Seen]) {
        let now = timer::now();
        let judged = self.config.room == Room::Judged && self.net.is_active();
        if judged && now - watch.looked >= watch.period {
            let tids: Vec<_> = {
                let state = self.lock.lock();
                let ms = state.threads.records().filter(|m| {
                    // Not those that a goroutine blocks, or computes on, without a P.
                    // SAFETY: an M of this runtime.
                    let has_p = unsafe { P::held_by(m) }.is_some();
                    has_p || m.curg.load(Ordering::Relaxed).is_null()
                });
                ms.map(|m| m.tid.load(Ordering::Relaxed)).collect()
            };
            let tids = tids.into_iter().filter(|&tid| tid != 0);
            match watch.share(tids, now) {
                Some(share) => watch.crowd.advance(share, now),
                None => watch.crowd.forget(now),
            }
        }
        let bound = match self.config.room {
            Room::Always => Some(1),
            Room::Judged | Room::Never => watch.crowd.bound(),
        };
        if bound.is_none() && !self.room.is_some() {
            return;
        }
        let stuck = self.ps.iter().zip(seen);
        let stuck = stuck.filter(|(p, seen)| seen.is_stuck(p, STUCK)).count() as u32;
        if self.room.set(bound.map(|most| most + stuck)) {
            // Somebody should sleep in the poller, perhaps, and nobody does.
            let unwatched = self.network_unwatched(&self.lock.lock());
            if unwatched {
                self.work_in_deque();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_how_long_a_thread_has_waited_for_its_cpu() {
        use crate::atomics::atomic::AtomicBool;
        use std::sync::mpsc;
        static STOP: AtomicBool = AtomicBool::new(false);
        let (tx, rx) = mpsc::channel();
        let spins = |tx: mpsc::Sender<u32>| {
            move || {
                // SAFETY: asks for and sets the mask of this thread: one CPU of those that it has.
                unsafe {
                    let mut set = std::mem::zeroed::<libc::cpu_set_t>();
                    let size = size_of_val(&set);
                    assert_eq!(libc::sched_getaffinity(0, size, &mut set), 0);
                    let one = (0..libc::CPU_SETSIZE as usize).find(|&i| libc::CPU_ISSET(i, &set));
                    libc::CPU_ZERO(&mut set);
                    libc::CPU_SET(one.unwrap(), &mut set);
                    assert_eq!(libc::sched_setaffinity(0, size, &set), 0);
                    tx.send(libc::gettid() as u32).unwrap();
                }
                while !STOP.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        };
        let threads = [tx.clone(), tx].map(|tx| std::thread::spawn(spins(tx)));
        let tids: Vec<_> = rx.iter().take(2).collect();
        let mut watch = Watch::new(2).unwrap();
        let ms = |n: Nanos| n * 1_000_000;
        assert_eq!(
            watch.share(tids.iter().copied(), ms(1000)),
            None,
            "the first time"
        );
        let mut crowded = 0;
        for i in 1..=100 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let share = watch
                .share(tids.iter().copied(), ms(1000 + 10 * i))
                .unwrap();
            crowded += u32::from(share.is_crowded());
        }
        STOP.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|h| h.join().unwrap());
        assert!(crowded > 50, "{crowded} of 100");
        assert_eq!(
            watch.share(tids.into_iter(), ms(3000)),
            None,
            "too long ago"
        );
    }
}
