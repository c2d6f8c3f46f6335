//! What a P counts, for metrics: words that its owner alone writes, with plain loads and stores, and that
//! anybody may read. They only grow.
//!
//! Two times are taken by *samples*, since a look at the clock costs more than a switch: how long a
//! goroutine waits for its turn, and how long it runs at a stretch. Of every [`SAMPLE`]th pick both are
//! taken: the time of the stretch that the pick begins, and the waits of those that are made runnable in it.
//! The picks follow each other regardless of what they pick, and the rounds of the queues have a length that
//! has no factor in common with it, so no goroutine is looked at more often than others. A goroutine
//! that is waited for carries the time with it, so thieves take it along.

use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU64;
use crate::g::status::WaitReason;
use crate::timer::Nanos;

/// One pick in so many is sampled: at 40 ns for each look at the clock, 1 ns a switch at most.
pub(crate) const SAMPLE: u32 = 128;

/// Adds to a counter that the caller alone writes.
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    // Relaxed: nothing is ordered by it.
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

#[derive(Debug)]
pub(crate) struct Counters {
    parks: [AtomicU64; WaitReason::COUNT],
    /// Rounds of the scheduler in which nothing was found to run.
    pub(crate) misses: AtomicU64,
    pub(crate) thefts: AtomicU64,
    pub(crate) stolen: AtomicU64,
    pub(crate) given_away: AtomicU64,
    pub(crate) timers_fired: AtomicU64,
    pub(crate) network_readied: AtomicU64,
    pub(crate) latency: Histogram,
    pub(crate) hold: Histogram,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            parks: [const { AtomicU64::new(0) }; WaitReason::COUNT],
            misses: AtomicU64::new(0),
            thefts: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
            given_away: AtomicU64::new(0),
            timers_fired: AtomicU64::new(0),
            network_readied: AtomicU64::new(0),
            latency: Histogram::new(),
            hold: Histogram::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn parked(&self, reason: WaitReason) {
        add(&self.parks[reason as usize], 1);
    }

    pub(crate) fn parks(&self, reason: WaitReason) -> u64 {
        self.parks[reason as usize].load(Ordering::Relaxed)
    }
}

/// Bits of a time below its highest that tell buckets apart: each is at most an eighth wide.
const FINE: u32 = 3;
/// Times below 64 ns are in the first bucket.
const FIRST: u32 = 6;
/// And those above 68 s in the last.
const LAST: u32 = 36;
/// Buckets.
pub(crate) const BUCKETS: usize = (((LAST - FIRST) << FINE) + 2) as usize;

/// Times by their size, log-linear. Written by one.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    fn new() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
        }
    }

    fn bucket(time: Nanos) -> usize {
        match time.checked_ilog2() {
            None | Some(..FIRST) => 0,
            Some(LAST..) => BUCKETS - 1,
            Some(high) => {
                let fine = (time >> (high - FINE)) as usize & ((1 << FINE) - 1);
                1 + ((((high - FIRST) << FINE) as usize) | fine)
            }
        }
    }

    /// The smallest time that is above bucket `i`; `None` of the last.
    pub(crate) fn above(i: usize) -> Option<Nanos> {
        if i == BUCKETS - 1 {
            return None;
        }
        let (high, fine) = (i >> FINE, (i & ((1 << FINE) - 1)) as u64);
        Some(((1 << FINE) + fine) << (high as u32 + FIRST - FINE))
    }

    #[cold]
    pub(crate) fn add(&self, time: Nanos) {
        add(&self.buckets[Self::bucket(time)], 1);
        add(&self.sum, time);
    }

    /// The count of each bucket, added to `counts`; and the sum of the times.
    pub(crate) fn read(&self, counts: &mut [u64; BUCKETS]) -> Nanos {
        for (to, from) in counts.iter_mut().zip(&self.buckets) {
            *to += from.load(Ordering::Relaxed);
        }
        self.sum.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_what_they_say() {
        let mut below = 0;
        for i in 0..BUCKETS - 1 {
            let above = Histogram::above(i).unwrap();
            assert_eq!(Histogram::bucket(above - 1), i, "{i}");
            assert_eq!(Histogram::bucket(above), i + 1, "{i}");
            assert!(above > below);
            if i > 0 {
                assert!(above - below <= below / 8 + 1, "{i}: {below}..{above}");
            }
            below = above;
        }
        assert_eq!(Histogram::bucket(0), 0);
        assert_eq!(Histogram::bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(Histogram::above(BUCKETS - 1), None);
        assert_eq!(below, 1 << LAST);
    }
}
