//! How long goroutines that could run waited until they did.

/// Since when a goroutine could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// It was made.
    Made,
    /// It was woken.
    Woken,
    /// It let others run, or had to.
    Yielded,
}

impl Since {
    /// All, in the order of [`Histogram::counts`].
    pub const ALL: [Since; 3] = [Since::Woken, Since::Made, Since::Yielded];

    /// What to call them.
    pub fn as_str(self) -> &'static str {
        match self {
            Since::Made => "made",
            Since::Woken => "woken",
            Since::Yielded => "yielded",
        }
    }
}

/// Upper bounds of the histogram's classes, in nanoseconds: 1, 2, 5 of each decade. What is larger is in
/// a class of its own.
pub const BOUNDS: [u64; 25] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// All latencies of a trace, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    samples: [Vec<u64>; 3],
}

/// How many latencies are in each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Class `i` holds those below `BOUNDS[i]` and not below the bound before; by [`Since::ALL`].
    pub counts: [[u64; 3]; BOUNDS.len() + 1],
}

impl Histogram {
    /// The classes from the first to the last that is not empty.
    pub fn occupied(&self) -> std::ops::Range<usize> {
        let full = |counts: &[u64; 3]| counts.iter().any(|n| *n > 0);
        let first = self.counts.iter().position(full);
        let last = self.counts.iter().rposition(full);
        match (first, last) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..0,
        }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, since: Since, nanoseconds: u64) {
        let at = Since::ALL.iter().position(|s| *s == since);
        self.samples[at.expect("all are in the list")].push(nanoseconds);
    }

    pub(super) fn sort(&mut self) {
        for samples in &mut self.samples {
            samples.sort_unstable();
        }
    }

    /// Those of one kind, or all, in order of size.
    pub fn sorted(&self, since: Option<Since>) -> Vec<u64> {
        let mut all: Vec<u64> = Vec::new();
        for (kind, samples) in Since::ALL.iter().zip(&self.samples) {
            if since.is_none_or(|since| since == *kind) {
                all.extend_from_slice(samples);
            }
        }
        all.sort_unstable();
        all
    }

    /// Counts by class.
    pub fn histogram(&self) -> Histogram {
        let mut counts = [[0; 3]; BOUNDS.len() + 1];
        for (kind, samples) in self.samples.iter().enumerate() {
            for sample in samples {
                counts[BOUNDS.partition_point(|bound| bound <= sample)][kind] += 1;
            }
        }
        Histogram { counts }
    }
}

/// The smallest of the sorted samples that this share of them does not exceed; 0 of none.
pub(super) fn quantile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
