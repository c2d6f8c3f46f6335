//! The monitor: Go's sysmon. A thread without a P that looks every now and then for what nobody
//! else sees: a goroutine that has kept its P for too long while others wait.
//!
//! | what it finds, at a P whose pick count has not moved | what it does |
//! |---|---|
//! | work in the deques, and an idle P | wakes an M, which will steal it, also if the P was left in peace |
//! | work in the slots only, and an idle P | hands the P to another M |
//! | work, no idle P, and the thread sleeps in the kernel | hands the P to another M at once |
//! | work, no idle P, and the thread computes | the same, after [`SLICE`] |
//!
//! It looks every 50 µs while it has things to do and slows down to 10 ms (1 ms while there is
//! an idle P that could take over) when it has not. With all Ps idle it sleeps.

use super::deadlock::{self, Judged};
use super::hogs::Hogs;
use super::{Phase, SLICE, Sched, os_thread, room};
use crate::atomics::Ordering;
use crate::g::task::AbortOnUnwind;
use crate::inspect::stop::{note_own_stack, wipe_stack};
use crate::m::M;
use crate::p::runq::ROUND;
use crate::p::{P, counters};
use crate::timer::{self, Nanos};
use crate::trace;
use crate::trace::event::Kind;
use crate::trace::report;
use std::ptr;
use std::time::{Duration, Instant};

/// Shortest pause between two looks. A look with nothing to do costs 1 µs, the wake-up of this
/// thread some 5: at this rate a tenth of one CPU.
const PAUSE_MIN: Duration = Duration::from_micros(50);
/// So late may a timer of an idle P be before the monitor thinks that it was forgotten.
const LATE: Nanos = 1_000_000;
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(10);
/// Longest pause while some Ps are idle: how long a single goroutine may wait beside them.
const PAUSE_MAX_IDLE_P: Duration = Duration::from_millis(1);
/// Looks without anything to do before the pauses get longer.
const PATIENCE: u32 = 20;
/// How long all Ps must be idle before the monitor sleeps for good.
const IDLE_LIFE: Duration = Duration::from_secs(1);
/// Longest time between two looks whether all goroutines are asleep for ever, while there are threads of
/// which it is not known what they do.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// So many times as long as the last such look took it is not asked again.
const CHECK_SHARE: u32 = 20;
/// How often memory of idle stacks is given back, and how many at a time.
const SCAVENGE_EVERY: Duration = Duration::from_secs(5);
const SCAVENGE_BATCH: usize = 256;

/// What the monitor remembers of a P.
#[derive(Clone)]
struct Seen {
    tick: u64,
    /// When it first saw this tick.
    since: Instant,
    /// The last look that saw another tick than the one before.
    looked: Instant,
    /// CPU time of the thread at the last look, in ns.
    cpu: u64,
    /// Goroutines that the network had made runnable there at the last look.
    network: u64,
}

impl Sched {
    /// The monitor's thread.
    pub(super) fn monitor(&self) {
        let guard = AbortOnUnwind("the monitor");
        let base = 0u8;
        note_own_stack(&self.monitor_stack, &base);
        self.watch();
        wipe_stack();
        guard.disarm();
    }

    fn watch(&self) {
        let mut seen = vec![
            Seen {
                tick: u64::MAX,
                since: Instant::now(),
                looked: Instant::now(),
                cpu: 0,
                network: 0,
            };
            self.ps.len()
        ];
        let mut pause = PAUSE_MIN;
        let mut bored = 0;
        let mut idle_since: Option<Instant> = None;
        // How long all Ps must be idle before it is asked whether this is for ever.
        let mut next_check = deadlock::AFTER;
        // Not before: a check of a hundred thousand goroutines takes a while, in which nobody is watched.
        let mut check_from = Instant::now();
        // `picks`, when all Ps were last seen idle.
        let mut picked = self.picks();
        let mut last_scavenge = Instant::now();
        let mut last_trace = Instant::now();
        let mut hogs = self.config.hog.map(Hogs::new);
        let mut room = room::Watch::new(self.ps.len());
        loop {
            let schedtrace = self.config.schedtrace.into_iter();
            let limit = schedtrace
                .chain(hogs.as_ref().map(Hogs::pause))
                .fold(pause, Duration::min);
            self.monitor.sleep(Some(limit));
            self.set_clock();
            if self.is_exiting() {
                return;
            }
            crate::stack::serve_report();
            if let Some(every) = self.config.schedtrace
                && last_trace.elapsed() >= every
            {
                last_trace = Instant::now();
                let text = self.schedtrace(self.config.scheddetail);
                // On another thread: its reader may be slow. If there is too much already, this one is left out.
                let _ = report::later(|| text);
            }
            if let Some(hogs) = &mut hogs {
                self.watch_hogs(hogs);
            }
            self.join_ended_threads();
            if let Some(room) = &mut room {
                self.watch_room(room);
            }
            if last_scavenge.elapsed() >= SCAVENGE_EVERY {
                last_scavenge = Instant::now();
                self.stacks.scavenge(SCAVENGE_BATCH);
            }
            let npidle = self.idle.npidle() as usize;
            if npidle == self.ps.len() && !self.any_work_anywhere() && !self.is_late(timer::now()) {
                // A P may have been busy between two looks.
                let now_picked = self.picks();
                if now_picked != picked {
                    picked = now_picked;
                    idle_since = None;
                    next_check = deadlock::AFTER;
                }
                let since = *idle_since.get_or_insert_with(Instant::now);
                let begin = Instant::now();
                if begin - since >= next_check && begin >= check_from {
                    next_check = match self.check_deadlock() {
                        Judged::NotKnown => (since.elapsed() * 2).min(CHECK_MAX),
                        Judged::Alive | Judged::Dead => Duration::MAX,
                    };
                    check_from = Instant::now() + begin.elapsed() * CHECK_SHARE;
                }
                self.poll_as_last_resort();
                // With timers, a P may be busy again at any time, beside others that are idle.
                pause = match self.has_timers() || self.net.is_active() {
                    true => PAUSE_MAX_IDLE_P,
                    false => PAUSE_MAX,
                };
                let awake = self.config.schedtrace.is_some() || hogs.is_some();
                if since.elapsed() >= IDLE_LIFE && !awake {
                    let check_after = (next_check < Duration::MAX).then_some(next_check);
                    if self.sleep_while_idle(check_after) {
                        continue;
                    }
                    idle_since = None;
                    next_check = deadlock::AFTER;
                    pause = PAUSE_MIN;
                }
                continue;
            }
            idle_since = None;
            next_check = deadlock::AFTER;
            let polled = self.poll_as_last_resort();
            if self.retake(&mut seen) || polled {
                bored = 0;
                pause = PAUSE_MIN;
            } else {
                bored += 1;
                if bored > PATIENCE {
                    pause = (pause * 2).min(if npidle > 0 || self.net.is_active() {
                        PAUSE_MAX_IDLE_P
                    } else {
                        PAUSE_MAX
                    });
                }
            }
        }
    }

    /// Sleeps until a P becomes busy, or for so long, and then says true; gives all idle stacks back first.
    fn sleep_while_idle(&self, limit: Option<Duration>) -> bool {
        let idle = || self.idle.npidle() as usize == self.ps.len();
        while idle() && self.stacks.scavenge(SCAVENGE_BATCH) > 0 {}
        {
            let mut state = self.lock.lock();
            let unwatched = self.network_unwatched(&state) || self.timers_unwatched();
            if state.idle_ps.len() < self.ps.len() || self.is_exiting() || unwatched {
                return false;
            }
            state.monitor_waits = true;
        }
        if self.monitor.sleep(limit) {
            return false;
        }
        // Unless somebody has just become busy, and wakes it.
        let mut state = self.lock.lock();
        std::mem::replace(&mut state.monitor_waits, false)
    }

    /// Whether there are timers that no idle M has looked after: none of them could be had.
    fn is_late(&self, now: Nanos) -> bool {
        self.next_timer() < now.saturating_sub(LATE)
    }

    /// How often a P has picked a goroutine.
    fn picks(&self) -> u64 {
        // Relaxed: a P that is idle was published as such after its last pick.
        let ticks = self.ps.iter().map(|p| p.schedtick.load(Ordering::Relaxed));
        ticks.fold(0, u64::wrapping_add)
    }

    /// One look at all Ps. Whether there was anything to do.
    fn retake(&self, seen: &mut [Seen]) -> bool {
        let mut did = false;
        let now = timer::now();
        let stopping = self.phase() == Phase::Stopping;
        for (p, seen) in self.ps.iter().zip(seen) {
            // Acquire: pairs with the Release in `attach`.
            // SAFETY: Ms live as long as their runtime.
            let Some(m) = (unsafe { p.m.load(Ordering::Acquire).as_ref() }) else {
                // Idle, or changing hands. With work in its queue (there was no thread for it),
                // it needs another try.
                // So do timers that no idle M has looked after.
                let late = p.timers.next() < now.saturating_sub(LATE);
                if p.idle.load(Ordering::Relaxed)
                    && (p.runq.len() > 0 || late)
                    && self.take_idle_p(p)
                {
                    did |= self.start_m(p, false);
                }
                continue;
            };
            if stopping {
                m.handshake.request();
            }
            let due = p.timers.next() <= now;
            if due {
                p.timers.look_soon();
            }
            let tick = p.schedtick.load(Ordering::Relaxed);
            if tick != seen.tick {
                let passed = tick.wrapping_sub(seen.tick);
                let time = seen.looked.elapsed().as_nanos() as Nanos;
                let network = p.counters.network_readied.load(Ordering::Relaxed);
                let served = network != std::mem::replace(&mut seen.network, network);
                let spared = served && self.network_has_enough() && room::are_short(time, passed);
                p.thefts.spare(spared);
                if self.idle.npidle() > 0 && !spared {
                    p.thefts.seen(time, passed as u32, p.runq.started_len());
                    // Thieves have left when they had taken what they could; since then its owner has moved up more.
                    if self.stealable(p) > 0 && self.idle.submitted() {
                        self.wake_spinning();
                    }
                }
                if self.global_len.load(Ordering::Relaxed) > 0 && passed < u64::from(ROUND) {
                    p.hurry.store(true, Ordering::Relaxed);
                }
                seen.looked = Instant::now();
                seen.tick = tick;
                seen.since = Instant::now();
                seen.cpu = 0;
                continue;
            }
            self.do_not_wait_for(m);
            let global = self.global_len.load(Ordering::Relaxed) > 0;
            if p.runq.len() == 0 && !global && !due {
                // What waited here may have been taken over by others, who then have too much to do, and nobody
                // will bring this P anything: an M that sleeps shall not keep it.
                // (One that calls again and again is not blocked at two looks in a row.)
                if self.wants_p(p)
                    && (is_blocked(m, &mut seen.cpu)
                        || seen.since.elapsed() >= SLICE
                            && os_thread::is_asleep(m.tid.load(Ordering::Relaxed)))
                {
                    did |= self.take_from(m, p, tick);
                }
                continue;
            }
            p.thefts.forgive();
            // Timers are stolen too.
            let stealable = self.stealable(p) > 0 || due;
            if self.idle.npidle() > 0 && (stealable || global) {
                if self.idle.submitted() {
                    self.wake_spinning();
                } else if seen.since.elapsed() >= SLICE
                    && let Some(p) = self.take_idle()
                {
                    // The one that spins does not come to it: see `pin.rs`.
                    self.start_m(p, false);
                }
                did = true;
            } else if self.idle.npidle() > 0
                || seen.since.elapsed() >= SLICE
                || is_blocked(m, &mut seen.cpu)
            {
                did |= self.take_from(m, p, tick);
            }
        }
        // Work that came from outside while every P was busy, or whose wake-up found no thread.
        if self.global_len.load(Ordering::Relaxed) > 0
            && let Some(p) = self.take_idle()
        {
            did |= self.start_m(p, false);
        }
        did
    }

    /// Whether goroutines wait at other Ps than `p`, which stands still, and there is no idle one for them.
    fn wants_p(&self, p: &P) -> bool {
        let idle = self.idle.npidle() + self.idle.nmspinning() > 0;
        // Also from one that is quiet: with an idle P beside it, it will not be for long.
        let waits = |other: &P| other.runq.stealable(!self.config.pin_started) > 0;
        let elsewhere = |other: &P| !ptr::eq(other, p) && waits(other);
        !idle && self.ps.iter().any(elsewhere)
    }

    /// Takes the P of an M and hands it on. False if the M is inside the runtime.
    fn take_from(&self, m: &M, p: &P, tick: u64) -> bool {
        if p.schedtick.load(Ordering::Relaxed) != tick {
            return false;
        }
        // Its time is before the take, after which the M may come in and say what it does without it.
        let mut pending = None;
        let taken = m.handshake.try_take(|| {
            pending = trace::on().then(trace::emit::pending);
            m.p.load(Ordering::Relaxed).cast::<P>()
        });
        // It is `p`, unless the M changed Ps a moment ago.
        // SAFETY: Ps live as long as their runtime.
        let Some(p) = taken.and_then(|p| unsafe { p.as_ref() }) else {
            return false;
        };
        if let Some(pending) = pending {
            let rt = self.trace_id.into();
            pending.record(Kind::Taken, p.id as u16, m.id.into(), 0, rt);
        }
        p.m.store(ptr::null_mut(), Ordering::Relaxed);
        counters::add(&self.taken, 1);
        // It may have come there since it was looked at, and without its P it is not looked at any more.
        self.do_not_wait_for(m);
        self.hand_off(p);
        true
    }
}

/// Whether the M's thread sleeps in the kernel: its CPU clock has not moved since the last look
/// (`cpu`), and the kernel says that it is not waiting for a CPU either.
fn is_blocked(m: &M, cpu: &mut u64) -> bool {
    let tid = m.tid.load(Ordering::Relaxed);
    if tid == 0 {
        return false;
    }
    let now = os_thread::cpu_ns(tid);
    let before = std::mem::replace(cpu, now);
    now != 0 && now == before && os_thread::is_asleep(tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_thread_is_told_from_a_computing_one() {
        use std::sync::atomic::{AtomicBool, AtomicU32};
        static STOP: AtomicBool = AtomicBool::new(false);
        static TIDS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
        // SAFETY: gettid has no preconditions.
        let tid = || unsafe { libc::gettid() } as u32;
        let hs = [
            std::thread::spawn(move || {
                TIDS[0].store(tid(), Ordering::SeqCst);
                while !STOP.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_secs(1));
                }
            }),
            std::thread::spawn(move || {
                TIDS[1].store(tid(), Ordering::SeqCst);
                while !STOP.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            }),
        ];
        std::thread::sleep(Duration::from_millis(50));
        let [sleeper, computer] = [0, 1].map(|i| {
            let m = M::new(0, std::ptr::null(), 0);
            m.tid
                .store(TIDS[i].load(Ordering::SeqCst), Ordering::Relaxed);
            m
        });
        let (mut a, mut b) = (0, 0);
        assert!(
            !is_blocked(&sleeper, &mut a),
            "the first look only remembers"
        );
        assert!(!is_blocked(&computer, &mut b));
        std::thread::sleep(Duration::from_millis(20));
        assert!(is_blocked(&sleeper, &mut a));
        assert!(!is_blocked(&computer, &mut b));
        STOP.store(true, Ordering::SeqCst);
        for h in hs {
            h.join().unwrap();
        }
    }
}
