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
//! that they run ([`Share::is_crowded`]), the network is left to *as many Ps as there have been CPUs for*; and this is kept
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
use super::monitor::Seen;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use crate::p::P;
use crate::timer::{self, Nanos};
use std::collections::HashMap;
use std::time::Duration;

/// From one sum to the next, with up to eight Ps; to ask takes some 5 µs for each.
const PERIOD: Nanos = 10_000_000;
/// It must be crowded for so many periods in a row before the network is left to fewer Ps, and for so many before that
/// is thought to be no better.
const LOOKS: u32 = 3;
const GIVE_UP: u32 = 5;
/// For how long the network is left to fewer Ps before one more is tried. It doubles if that was too many.
const TRY_AFTER: Nanos = 100_000_000;
const TRY_AFTER_MOST: Nanos = 800_000_000;
/// For how long it is not tried with fewer again after that was no better. It doubles if it is no better again.
const LEAVE: Nanos = 250_000_000;
const LEAVE_MOST: Nanos = 32_000_000_000;
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

/// What the threads have had in some time, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    time: Nanos,
    ran: Nanos,
    /// For a CPU.
    waited: Nanos,
}

impl Share {
    /// Whether they have waited for long, compared to what they ran. (Two Ms and a load that fill two CPUs: as long
    /// as they run. One M and that load: a fiftieth.)
    fn is_crowded(self) -> bool {
        self.waited > self.ran / 4 && self.waited > self.time / 16
    }

    /// For how many of them there was a CPU.
    fn cpus(self) -> u32 {
        ((self.ran + self.time / 2) / self.time.max(1)) as u32
    }
}

/// The decisions, by what is measured.
#[derive(Debug)]
struct Crowd {
    procs: u32,
    stage: Stage,
    /// See [`TRY_AFTER`].
    try_after: Nanos,
    /// How many more are tried the next time.
    step: u32,
    /// See [`LEAVE`].
    leave: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No bound. It was crowded at so many looks in a row.
    All { crowded: u32, not_before: Nanos },
    /// That many have so many looks behind them, the last of which were crowded.
    Fewer {
        most: u32,
        looks: u32,
        crowded: u32,
        until: Nanos,
    },
    /// More than before, to see.
    More { before: u32, most: u32, looks: u32 },
}

impl Crowd {
    fn new(procs: usize) -> Crowd {
        Crowd {
            procs: procs as u32,
            stage: Stage::All {
                crowded: 0,
                not_before: 0,
            },
            try_after: TRY_AFTER,
            step: 1,
            leave: LEAVE,
        }
    }

    fn bound(&self) -> Option<u32> {
        match self.stage {
            Stage::All { .. } => None,
            Stage::Fewer { most, .. } | Stage::More { most, .. } => Some(most),
        }
    }

    fn fewer(&self, most: u32, now: Nanos) -> Stage {
        Stage::Fewer {
            most,
            looks: 0,
            crowded: 0,
            until: now + self.try_after,
        }
    }

    /// There was nothing to measure for a while.
    fn forget(&mut self, now: Nanos) {
        self.stage = Stage::All {
            crowded: 0,
            not_before: now,
        };
    }

    /// Goes on by one period.
    fn advance(&mut self, share: Share, now: Nanos) {
        let crowded = share.is_crowded();
        let in_row = |before: u32| if crowded { before + 1 } else { 0 };
        self.stage = match self.stage {
            Stage::All {
                crowded,
                not_before,
            } => match in_row(crowded) {
                LOOKS.. if now >= not_before => {
                    self.fewer(share.cpus().clamp(1, self.procs - 1), now)
                }
                crowded => Stage::All {
                    crowded,
                    not_before,
                },
            },
            // The first look is of the time in which it changed.
            Stage::Fewer {
                most,
                looks: 0,
                until,
                ..
            } => Stage::Fewer {
                most,
                looks: 1,
                crowded: 0,
                until,
            },
            Stage::Fewer {
                most,
                looks,
                crowded,
                until,
            } => match in_row(crowded) {
                GIVE_UP.. => {
                    let not_before = now + self.leave;
                    self.leave = (self.leave * 2).min(LEAVE_MOST);
                    Stage::All {
                        crowded: 0,
                        not_before,
                    }
                }
                0 if now >= until => {
                    self.leave = LEAVE;
                    Stage::More {
                        before: most,
                        most: (most + self.step).min(self.procs),
                        looks: 0,
                    }
                }
                crowded => Stage::Fewer {
                    most,
                    looks: looks + 1,
                    crowded,
                    until,
                },
            },
            Stage::More {
                before,
                most,
                looks: 0,
            } => Stage::More {
                before,
                most,
                looks: 1,
            },
            Stage::More { before, .. } if crowded => {
                self.try_after = (self.try_after * 2).min(TRY_AFTER_MOST);
                self.step = 1;
                self.fewer(before, now)
            }
            Stage::More { most, .. } => {
                self.try_after = TRY_AFTER;
                if most == self.procs {
                    self.step = 1;
                    Stage::All {
                        crowded: 0,
                        not_before: now,
                    }
                } else {
                    self.step *= 2;
                    self.fewer(most, now)
                }
            }
        };
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

    const SECOND: Nanos = 1_000_000_000;

    /// A machine on which all threads get the same.
    struct Machine {
        cpus: u32,
        /// Threads of others that always run.
        others: u32,
        /// Ps that the network would keep busy.
        wanted: u32,
        crowd: Crowd,
        now: Nanos,
    }

    impl Machine {
        fn new(cpus: u32, others: u32) -> Machine {
            Machine {
                cpus,
                others,
                wanted: cpus,
                crowd: Crowd::new(cpus as usize),
                now: 0,
            }
        }

        /// For so long; how much of that time each number of Ps was busy.
        fn run(&mut self, time: Nanos) -> Vec<f64> {
            let periods = time / PERIOD;
            let mut busy = vec![0.0; self.cpus as usize + 1];
            for _ in 0..periods {
                self.now += PERIOD;
                let ours = self.wanted.min(self.crowd.bound().unwrap_or(u32::MAX));
                let all = ours + self.others;
                let wish = PERIOD * Nanos::from(ours);
                let ran = wish * Nanos::from(self.cpus.min(all)) / Nanos::from(all.max(1));
                let share = Share {
                    time: PERIOD,
                    ran,
                    waited: wish - ran,
                };
                self.crowd.advance(share, self.now);
                busy[ours as usize] += 1.0 / periods as f64;
            }
            busy
        }
    }

    #[test]
    fn beside_a_load_that_takes_a_cpu_the_network_has_the_other() {
        let busy = Machine::new(2, 1).run(20 * SECOND);
        assert!(busy[1] > 0.95, "{busy:?}");
    }

    #[test]
    fn of_eight_cpus_it_has_those_that_are_left() {
        let mut machine = Machine::new(8, 3);
        machine.run(2 * SECOND);
        let busy = machine.run(20 * SECOND);
        assert!(busy[5..8].iter().sum::<f64>() > 0.95, "{busy:?}");
    }

    #[test]
    fn it_asks_for_no_fewer_where_that_only_means_to_get_less() {
        for (cpus, others) in [(2, 4), (2, 100), (4, 4), (8, 6), (8, 8), (8, 100)] {
            let busy = Machine::new(cpus, others).run(20 * SECOND);
            assert!(busy[cpus as usize] > 0.95, "{cpus}, {others}: {busy:?}");
        }
    }

    #[test]
    fn with_enough_cpus_there_is_no_bound() {
        let busy = Machine::new(8, 0).run(SECOND);
        assert!(busy[8] > 0.999, "{busy:?}");
        let mut few = Machine::new(8, 4);
        few.wanted = 4;
        few.run(SECOND);
        assert_eq!(few.crowd.bound(), None);
    }

    #[test]
    fn the_bound_goes_soon_after_the_others() {
        for (cpus, others) in [(2, 1), (8, 4), (64, 32)] {
            let mut machine = Machine::new(cpus, others);
            machine.run(10 * SECOND);
            assert!(machine.crowd.bound() < Some(cpus), "{cpus}");
            machine.others = 0;
            machine.run(2 * SECOND);
            assert_eq!(machine.crowd.bound(), None, "{cpus}");
        }
    }

    #[test]
    fn the_kernel_tells_how_long_a_thread_has_waited_for_its_cpu() {
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
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
                while !STOP.load(SeqCst) {
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
        STOP.store(true, SeqCst);
        threads.into_iter().for_each(|h| h.join().unwrap());
        assert!(crowded > 50, "{crowded} of 100");
        assert_eq!(
            watch.share(tids.into_iter(), ms(3000)),
            None,
            "too long ago"
        );
    }
}
