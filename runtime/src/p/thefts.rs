//! Whether it has been worth it to take goroutines away from this P that have run before.
//!
//! It is, if they would wait here longer than it takes to carry them over. Goroutines at the ends of
//! a channel run for some hundred nanoseconds and wait again, for a goroutine that has stayed
//! where it was: a thief gets little done, each value now crosses CPUs, and what the thief
//! wakes for it goes to the wrong P in its turn. With a select of three unbuffered arms there was a
//! theft for every five values; 89 % of them kept the thief busy for less than 4 µs, two in three for less
//! than half a microsecond; and the whole took half as long again as on one P.
//!
//! So each theft is judged when the thief has run dry again. After a futile one this P is left in peace
//! (*quiet*) for some pushes to its deque, for twice as many after each further one; one that was of use
//! ends it. Nobody who has run dry steals from a quiet P, and nobody is woken for what it would have run next. (One
//! that stands still is relieved all the same: see `sched/relief.rs`.)
//!
//! *Where CPUs are short* and a P's goroutines take short turns it is left in peace, too (*spared*), as long as the monitor
//! says so (`sched/room.rs`).
//!
//! *What nobody steals does not wait for long all the same.* Beside an idle P the monitor looks once in a
//! millisecond (after up to ten, if no P was idle when it last looked). It forgives a P that does not come round at all, and one whose queue will take
//! longer than [`WAIT`], at the pace that it has seen.

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::timer::Nanos;

/// A theft that keeps the thief busy for less was futile. Most of those at a select are of half a
/// microsecond; at 4 senders and 4 receivers 1 and 2 µs helped less than 4 and 8. A job that
/// is worth a thread's while takes longer.
const SHORT: Nanos = 4_000;
/// Pushes after the first futile theft that are left in peace.
const FIRST: u32 = 16;
/// As many at most: at 200 ns each, a trial in a millisecond.
const MOST: u32 = 4096;
/// A queue that takes longer is not left in peace: a few times what it takes to wake a thread.
const WAIT: Nanos = 300_000;

/// All words are hints, and Relaxed: one that comes late, or is lost to a race, costs a theft too many or
/// some pushes in peace.
pub(crate) struct Thefts {
    /// Pushes to come that are left in peace. Written by the owner, by thieves and by the monitor.
    peace: AtomicU32,
    /// What `peace` was set to last; less, if thefts have been of use since.
    penalty: AtomicU32,
    /// From whom this P has stolen last, if that has not been judged yet: the number plus one, or 0.
    /// The owner's.
    from: AtomicU32,
    /// When. The owner's.
    since: AtomicU64,
    /// Left in peace because CPUs are short. Written by the monitor, and where it is forgiven.
    spared: AtomicBool,
}

impl Thefts {
    pub(crate) fn new() -> Thefts {
        Thefts {
            peace: AtomicU32::new(0),
            penalty: AtomicU32::new(0),
            from: AtomicU32::new(0),
            since: AtomicU64::new(0),
            spared: AtomicBool::new(false),
        }
    }

    /// Whether what waits in this P's deque of started goroutines is left in peace.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.peace.load(Ordering::Relaxed) > 0 || self.is_spared()
    }

    /// Whether it is left in peace because CPUs are short.
    #[inline]
    pub(crate) fn is_spared(&self) -> bool {
        self.spared.load(Ordering::Relaxed)
    }

    /// By the monitor, for each of its looks: whether it is. (Until then, or until somebody forgives.)
    pub(crate) fn spare(&self, yes: bool) {
        if yes != self.is_spared() {
            self.spared.store(yes, Ordering::Relaxed);
        }
    }

    /// As `is_quiet`, of a push, which it counts. Owner only.
    #[inline]
    pub(crate) fn is_quiet_push(&self) -> bool {
        let peace = self.peace.load(Ordering::Relaxed);
        if peace > 0 {
            self.peace.store(peace - 1, Ordering::Relaxed);
        }
        peace > 0 || self.is_spared()
    }

    /// This P has stolen from another. Owner only.
    pub(crate) fn begin(&self, victim: u32, now: Nanos) {
        self.from.store(victim + 1, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
    }

    /// This P has run dry: from whom it had stolen, and when. Owner only.
    #[inline]
    pub(crate) fn end(&self) -> Option<(usize, Nanos)> {
        let from = self.from.load(Ordering::Relaxed).checked_sub(1)?;
        self.from.store(0, Ordering::Relaxed);
        Some((from as usize, self.since.load(Ordering::Relaxed)))
    }

    /// What was stolen from this P kept the thief busy for so long.
    pub(crate) fn judge(&self, busy: Nanos) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        let (penalty, peace) = if busy < SHORT {
            let penalty = (penalty * 2).clamp(FIRST, MOST);
            (penalty, penalty)
        } else {
            (penalty / 4, 0)
        };
        self.penalty.store(penalty, Ordering::Relaxed);
        self.peace.store(peace, Ordering::Relaxed);
    }

    /// By the monitor, beside an idle P: so many goroutines were picked in that time, so many wait.
    pub(crate) fn seen(&self, time: Nanos, picks: u32, waiting: usize) {
        // The time that one takes, `waiting` times, without a division.
        if time.saturating_mul(waiting as Nanos) >= Nanos::from(picks).saturating_mul(WAIT) {
            self.forgive();
        }
    }

    /// What waits here shall run elsewhere.
    #[inline]
    pub(crate) fn forgive(&self) {
        if self.peace.load(Ordering::Relaxed) > 0 {
            self.peace.store(0, Ordering::Relaxed);
            self.penalty.store(0, Ordering::Relaxed);
        }
        self.spare(false);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn futile_thefts_bring_longer_and_longer_peace_and_one_of_use_ends_it() {
        let t = Thefts::new();
        assert!(!t.is_quiet_push());
        for pushes in [FIRST, FIRST * 2, FIRST * 4] {
            t.judge(SHORT - 1);
            let quiet = (0..MOST).take_while(|_| t.is_quiet_push()).count();
            assert_eq!(quiet, pushes as usize);
            assert!(!t.is_quiet());
        }
        (0..100).for_each(|_| t.judge(0));
        assert_eq!(t.peace.load(Ordering::Relaxed), MOST);
        t.judge(SHORT);
        assert!(!t.is_quiet());
    }

    #[test]
    fn a_queue_that_takes_long_is_not_left_in_peace() {
        let t = Thefts::new();
        t.judge(0);
        t.seen(1_000_000, 1_000, 299);
        assert!(t.is_quiet());
        t.seen(1_000_000, 1_000, 300);
        assert!(!t.is_quiet());
        t.judge(0);
        t.seen(1_000_000, 0, 1);
        assert!(!t.is_quiet());
    }

    #[test]
    fn a_theft_is_judged_once() {
        let t = Thefts::new();
        t.begin(3, 77);
        assert_eq!((t.end(), t.end()), (Some((3, 77)), None));
    }
}
