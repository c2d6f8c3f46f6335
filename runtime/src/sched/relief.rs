//! Goroutines that wait at a P which does not come round, while no P is idle.
//!
//! The kernel may give an M's CPU to somebody else for some milliseconds, or the goroutine that runs there
//! computes for as long; and all that its P has queued waits. Beside an idle P the monitor sees to it that an M
//! comes and steals. Without one, the others have enough to do: they never run dry, and so never steal. (A hundred
//! connections, two Ps, and the client beside them on two CPUs: some thirty goroutines at a time waited for
//! a whole slice of the kernel's, 4 ms. They were what the 99th percentile was made of.)
//!
//! So a P that looks at the clock has an eye on one other. If that one has not picked a goroutine in
//! [`STALL`], and some wait there, it takes half of them, to the end of its own queue, and half of the rest the next
//! time. (Fresh ones only if no others wait.) Not if its own queue is so long that they would wait as long there: with
//! a thousand connections the oldest came to be the last, again and again. A P that picks is left alone.

use super::Sched;
use super::find::has_stolen;
use crate::atomics::Ordering;
use crate::m::M;
use crate::p::{P, Watched};
use crate::timer::Nanos;
use std::ptr;

/// How long a P has not picked when others begin to take what waits there. Most goroutines run for less before
/// they wait; and to carry one over takes less.
const STALL: Nanos = 50_000;

/// What waits shall not be put where it has to wait for longer. A part of the kernel's slice, of 3 or 4 ms.
const WAIT: Nanos = 1_000_000;

impl Sched {
    /// `p`, which `m` holds, has looked at the clock; whether it has taken over something.
    pub(super) fn relieve(&self, m: &M, p: &P, now: Nanos) -> bool {
        let seen = p.watched.get();
        let passed = now.saturating_sub(seen.since);
        if passed < STALL || self.ps.len() == 1 {
            return false;
        }
        // Relaxed, as all of this: a hint. Who has moved on meanwhile loses some goroutines to one that is not idle.
        let ticks = |p: &P| p.schedtick.load(Ordering::Relaxed);
        let other = &self.ps[seen.id];
        let started_too = !self.config.pin_started;
        let stalls = !ptr::eq(other, p)
            && ticks(other) == seen.tick
            && other.runq.stealable(started_too) > 0;
        // The time that one takes here, by the number of those that wait, without a division.
        let picks = ticks(p).wrapping_sub(seen.own_tick);
        let had = p.runq.len();
        let soon = (had as u64).saturating_mul(passed) < picks.saturating_mul(WAIT);
        let taken = stalls && soon && {
            other.thefts.forgive();
            p.thefts.forgive(); // who is idle may take them on from here
            other.runq.move_into(&p.runq, started_too)
        };
        if taken {
            // Others may have stolen from here meanwhile.
            let n = p.runq.len().saturating_sub(had).max(1);
            has_stolen(m, p, other, n);
            self.work_in_deque();
        }
        let mut id = seen.id;
        if !stalls {
            id = self.after(id);
            if id == p.id as usize {
                id = self.after(id);
            }
        }
        p.watched.set(Watched {
            id,
            tick: ticks(&self.ps[id]),
            own_tick: ticks(p),
            since: now,
        });
        taken
    }

    fn after(&self, id: usize) -> usize {
        (id + 1) % self.ps.len()
    }
}
