//! How many Ps the network is given where CPUs are short.
//!
//! An idle M that sleeps in the poller takes each message that comes while another M is busy with earlier ones; with
//! a CPU to itself it answers at once. If all CPUs are taken (by clients on the same machine, by the program's
//! neighbours), it can only take its time from the M that is busy, or from those who
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
//! * a P that the network has served since the monitor's last look, and whose goroutines take short turns ([`SHORT`], on
//!   average), is *spared*: nobody is woken for what a poll has found for it, and nobody takes from it what has run
//!   before (`p/thefts.rs`).
//!
//! All else is as ever: new goroutines are stolen, an M is woken for them, and so it is with those that compute. A P whose
//! goroutine computes, or sleeps in the kernel, from one look of the monitor to the next (a millisecond) is not spared, and
//! for a [`WHILE`] not counted as busy, so somebody sleeps in the poller beside it; until that is seen, the monitor
//! polls.

use super::Sched;
use super::crowd::{Crowd, Share};
use super::os_thread::{Times, cpu_ns, is_asleep, times};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use crate::m::M;
use crate::p::P;
use crate::timer::{self, Nanos};
use std::collections::HashMap;

/// From one sum to the next, with up to eight Ps; to ask takes some 5 µs for each.
pub(super) const PERIOD: Nanos = 10_000_000;
/// A thread that has held no P for so many sums is left out of them: so long may it have waited for a CPU before it got one. (One
/// whose goroutine blocks or computes without a P is left out at once.)
const FORGET: u32 = 8;
/// A P whose goroutine has computed or slept for longer, between two looks of the monitor, does not count as one that is
/// busy with the network, and so for a while.
const LONG: Nanos = 500_000;
const WHILE: Nanos = 20_000_000;

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
pub(super) struct Bound {
    /// Ps for the network.
    most: AtomicU32,
    /// And those that are busy with other things.
    busy: AtomicU32,
}

impl Bound {
    const NONE: u32 = u32::MAX;

    pub(super) fn none() -> Bound {
        Bound {
            most: AtomicU32::new(Bound::NONE),
            busy: AtomicU32::new(Bound::NONE),
        }
    }

    /// Whether the network has enough if so many Ps are busy.
    #[inline]
    pub(super) fn is_reached(&self, busy: usize) -> bool {
        // Relaxed: a hint. Who sees an old one wakes somebody in vain, or leaves to the monitor what it looks for.
        busy >= self.busy.load(Ordering::Relaxed) as usize
    }

    /// Of so many Ps, how many the network may have.
    pub(super) fn of(&self, procs: usize) -> usize {
        procs.min(self.most.load(Ordering::Relaxed) as usize)
    }

    fn is_some(&self) -> bool {
        self.most.load(Ordering::Relaxed) != Bound::NONE
    }

    /// Sets it, with so many that are busy with other things; whether it is higher than it was.
    fn set(&self, most: Option<u32>, others: u32) -> bool {
        let most = most.unwrap_or(Bound::NONE);
        self.most.store(most, Ordering::Relaxed);
        let busy = most.saturating_add(others);
        self.busy.swap(busy, Ordering::Relaxed) < busy
    }
}

/// What the monitor keeps of it.
pub(super) struct Watch {
    crowd: Crowd,
    period: Nanos,
    /// When the sums were taken last.
    looked: Nanos,
    /// Threads that have held a P of late, by their numbers.
    threads: HashMap<u32, Thread>,
    turns: Vec<Turn>,
}

#[derive(Clone, Copy)]
struct Thread {
    m: *const M,
    times: Times,
    /// Sums since it was seen with a P.
    without: u32,
}

/// What a P was seen to do.
#[derive(Clone)]
struct Turn {
    tick: u64,
    /// A look at its thread in that turn: when, and its CPU time.
    thread: Option<(Nanos, Nanos)>,
    /// The last look at any thread.
    asked: Nanos,
    /// Until when it counts as busy with other things than the network.
    until: Nanos,
}

impl Watch {
    /// `None` where there is nothing to decide.
    pub(super) fn new(procs: usize) -> Option<Watch> {
        let turn = Turn {
            tick: u64::MAX,
            thread: None,
            asked: 0,
            until: 0,
        };
        let period = PERIOD * procs.div_ceil(8) as Nanos;
        (procs > 1).then(|| Watch {
            crowd: Crowd::new(procs, period),
            period,
            looked: 0,
            threads: HashMap::new(),
            turns: vec![turn; procs],
        })
    }

    /// What the threads have had since the last time, if that is not long ago; these hold a P.
    fn share<'a>(&mut self, holders: impl Iterator<Item = &'a M>, now: Nanos) -> Option<Share> {
        let time = now - std::mem::replace(&mut self.looked, now);
        for m in holders {
            let tid = m.tid.load(Ordering::Relaxed);
            if let Some(thread) = self.threads.get_mut(&tid) {
                (thread.m, thread.without) = (m, 0);
            } else if tid != 0
                && let Some(times) = times(tid)
            {
                let without = 0;
                self.threads.insert(tid, Thread { m, times, without });
            }
        }
        let mut share = Share {
            time,
            ..Share::default()
        };
        self.threads.retain(|&tid, thread| {
            // SAFETY: Ms live as long as their runtime.
            let out = unsafe { (*thread.m).handshake.has_no_p() };
            let Some(times) = times(tid).filter(|_| !out) else {
                return false;
            };
            share.ran += times.ran.saturating_sub(thread.times.ran);
            share.waited += times.waited.saturating_sub(thread.times.waited);
            share.slices += times.slices.saturating_sub(thread.times.slices);
            thread.times = times;
            thread.without += 1;
            thread.without <= FORGET
        });
        (time <= 4 * self.period).then_some(share)
    }
}

impl Turn {
    /// A look at `p`: whether it is busy with other things than the network.
    fn look(&mut self, p: &P, now: Nanos) -> bool {
        // Acquire: pairs with the Release in `attach`.
        // SAFETY: Ms live as long as their runtime.
        let Some(m) = (unsafe { p.m.load(Ordering::Acquire).as_ref() }) else {
            self.tick = u64::MAX;
            return false;
        };
        let tick = p.schedtick.load(Ordering::Relaxed);
        if tick != self.tick {
            (self.tick, self.thread) = (tick, None);
            // To ask is a system call: one that comes round is not asked at each look.
            if now - self.asked < LONG {
                return now < self.until;
            }
        }
        let before = self.thread;
        if before.is_none_or(|(at, _)| now - at >= LONG) {
            let tid = m.tid.load(Ordering::Relaxed);
            let cpu = cpu_ns(tid);
            // One that neither runs nor sleeps waits for a CPU: no other M shall come to those that wait for one.
            if let Some((at, had)) = before
                && (cpu.saturating_sub(had) > (now - at) / 2 || is_asleep(tid))
            {
                self.until = now + WHILE;
            }
            self.thread = Some((now, cpu));
            self.asked = now;
        }
        now < self.until
    }
}

impl Sched {
    /// Looks, if it is time, whether CPUs are short.
    pub(super) fn watch_room(&self, watch: &mut Watch) {
        let now = timer::now();
        let bound = match self.config.room {
            Room::Always => Some(1),
            Room::Never => None,
            Room::Judged if !self.net.is_active() => {
                watch.crowd.forget(now);
                None
            }
            Room::Judged => {
                if now - watch.looked >= watch.period {
                    // Acquire: pairs with the Release in `attach`.
                    let ms = self.ps.iter().map(|p| p.m.load(Ordering::Acquire));
                    // SAFETY: Ms live as long as their runtime.
                    let ms = ms.filter_map(|m| unsafe { m.as_ref() });
                    if let Some(share) = watch.share(ms, now) {
                        watch.crowd.advance(share, now);
                    }
                }
                watch.crowd.bound()
            }
        };
        if bound.is_none() {
            if self.room.is_some() {
                self.ps.iter().for_each(|p| p.thefts.spare(false));
                self.raise_room(None, 0);
            }
            return;
        }
        let turns = self.ps.iter().zip(&mut watch.turns);
        let others = turns.map(|(p, turn)| u32::from(turn.look(p, now)));
        self.raise_room(bound, others.sum());
    }

    /// Sets the bound. If it is higher somebody should sleep in the poller, perhaps, and nobody does.
    fn raise_room(&self, bound: Option<u32>, others: u32) {
        if self.room.set(bound, others) && self.network_unwatched(&self.lock.lock()) {
            self.work_in_deque();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn m_of(tid: u32) -> M {
        let m = M::new(0, std::ptr::null(), 0);
        m.tid.store(tid, Ordering::Relaxed);
        m
    }

    #[test]
    fn who_has_lost_its_p_does_not_count() {
        // SAFETY: no preconditions.
        let m = m_of(unsafe { libc::gettid() } as u32);
        let mut watch = Watch::new(2).unwrap();
        watch.share(std::iter::once(&m), PERIOD);
        let ran = |watch: &mut Watch, now| watch.share(std::iter::empty(), now).unwrap().ran;
        let busy = || {
            let begin = timer::now();
            while timer::now() < begin + 3 * PERIOD {}
        };
        busy();
        assert!(ran(&mut watch, 2 * PERIOD) > 0, "it had one a moment ago");
        m.handshake.give_away();
        m.handshake.leave();
        busy();
        assert_eq!(ran(&mut watch, 3 * PERIOD), 0);
    }

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
        let holders: Vec<_> = rx.iter().take(2).map(m_of).collect();
        let mut watch = Watch::new(2).unwrap();
        let ms = |n: Nanos| n * 1_000_000;
        assert_eq!(
            watch.share(holders.iter(), ms(1000)),
            None,
            "the first time"
        );
        let mut all = Share::default();
        for i in 1..=100 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            // (In a single period, they may have got nothing, of which the kernel tells when they get something.)
            let share = watch.share(holders.iter(), ms(1000 + 10 * i)).unwrap();
            all.time += share.time;
            all.ran += share.ran;
            all.waited += share.waited;
            all.slices += share.slices;
        }
        STOP.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|h| h.join().unwrap());
        assert!(all.is_crowded(), "{all:?}");
        assert_eq!(watch.share(holders.iter(), ms(3000)), None, "too long ago");
    }
}
