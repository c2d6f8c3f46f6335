//! Goroutines that wait at a P which does not come round, while no P is idle.
//!
//! The kernel may give an M's CPU to somebody else for some milliseconds, or the goroutine that runs there
//! computes for as long; and all that its P has queued waits. Beside an idle P the monitor sees to it that an M
//! comes and steals. Without one, the others have enough to do: they never run dry, and so never steal. (A hundred
//! connections, two Ps, and the client beside them on two CPUs: some thirty goroutines at a time waited for
//! a whole slice of the kernel's, 4 ms. They were what the 99th percentile was made of.)
//!
//! So a P that looks at the clock has an eye on one other. If that one has not picked a goroutine for some time, and
//! some wait there, it takes half of them, to the end of its own queue, and half of the rest the next time; and it runs
//! the timers that are due there. (Fresh goroutines only if no others wait there, and none here, which they would
//! go before.)
//!
//! *For how long the other has stood still tells for how long it will.* So nothing is moved to where it would have to
//! wait for much longer than that, or than the better part of the kernel's slice: of goroutines that run for 100 µs
//! each the oldest would come to be the last, again and again; and so it was with a thousand connections. And none that
//! has just been queued is taken from a P that is only about to run it: there must have been something to pick at the
//! look before, too. A P that picks between two looks is left alone.

use super::Sched;
use super::find::has_stolen;
use super::pin::LostP;
use crate::atomics::Ordering;
use crate::m::M;
use crate::p::P;
use crate::p::watched::Watched;
use crate::timer::Nanos;
use std::ptr;

/// How long a P has not picked, at least, when others begin to take what waits there. Most goroutines run for less
/// before they wait; and to carry one over takes less.
const STALL: Nanos = 50_000;

/// What waits may have to wait at its new place for so many times as long as the other P has stood still. (The 99th
/// percentile of a hundred echoes at two Ps was 1.5 ms with 1 and 2, 1.35 with 4 and 8.)
const FACTOR: u64 = 8;

/// And for so long at most. A part of the kernel's slice, of 3 or 4 ms.
const WAIT: Nanos = 1_000_000;

impl Sched {
    /// `p`, which `m` holds, has looked at the clock; whether there is something new to run.
    pub(super) fn relieve(&self, m: &M, p: &P, now: Nanos) -> Result<bool, LostP> {
        let seen = p.watched.get();
        let passed = now.saturating_sub(seen.at);
        if passed < STALL || self.ps.len() == 1 {
            return Ok(false);
        }
        let other = &self.ps[seen.id as usize];
        // Relaxed, as all of this: a hint. Who has moved on meanwhile loses some goroutines to one that is not idle.
        let ticks = |p: &P| p.schedtick.load(Ordering::Relaxed);
        let stalls = !ptr::eq(other, p) && seen.had_work && ticks(other) == seen.tick;
        let stalls = stalls && self.waits_at(other, now);
        let mut relieved = false;
        if stalls {
            relieved |= other.timers.next() <= now && self.run_timers(p, other, now);
            // The time that one takes here, by the number of those that wait, without a division.
            let picks = ticks(p).wrapping_sub(seen.own_tick);
            let started_too = !self.config.pin_started;
            let (had, more) = (p.runq.len(), other.runq.most_moved(started_too));
            let wait = ((had + more) as u64).saturating_mul(passed);
            let still = now.saturating_sub(seen.still_since);
            if wait <= picks.saturating_mul(WAIT.min(FACTOR * still))
                && more > 0
                && other.runq.move_into(&p.runq, started_too, &self.pin(m)?)
            {
                relieved = true;
                // Others may have stolen from here meanwhile.
                let n = p.runq.len().saturating_sub(had).max(1);
                has_stolen(m, p, other, n);
                self.soon_in_deque(p);
            }
        }
        let next = match stalls {
            true => other,
            false => self.other_than(p, seen.id),
        };
        p.watched.set(Watched {
            id: next.id,
            tick: ticks(next),
            had_work: self.waits_at(next, now),
            still_since: if stalls { seen.still_since } else { now },
            at: now,
            own_tick: ticks(p),
        });
        Ok(relieved)
    }

    /// Whether there is something at `p` that another could do.
    fn waits_at(&self, p: &P, now: Nanos) -> bool {
        p.runq.stealable(!self.config.pin_started) > 0 || p.timers.next() <= now
    }

    /// The P after that of this number, or the one after it, if that is `p`.
    fn other_than(&self, p: &P, id: u32) -> &P {
        let after = |id: u32| &self.ps[(id as usize + 1) % self.ps.len()];
        let next = after(id);
        match ptr::eq(next, p) {
            true => after(next.id),
            false => next,
        }
    }
}
