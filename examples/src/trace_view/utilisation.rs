//! What the Ps did, over time.

use super::model::{Class, Trace, TrackKind};

/// How a stretch of a P's time was spent, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Goroutines ran.
    pub running: u64,
    /// There was nothing to do.
    pub idle: u64,
    /// The rest: the scheduler, threads that are being woken, and what is missing in the trace.
    pub scheduler: u64,
}

impl Share {
    /// All together.
    pub fn total(&self) -> u64 {
        self.running + self.idle + self.scheduler
    }
}

/// A P's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utilisation {
    /// Its track.
    pub track: usize,
    /// From when to when its runtime was there.
    pub life: (u64, u64),
    /// All of that time.
    pub whole: Share,
    /// The time of the trace in equal parts.
    pub parts: Vec<Share>,
}

/// What each P did, in `parts` equal stretches of the trace.
pub fn utilisation(trace: &Trace, parts: usize) -> Vec<Utilisation> {
    let parts = parts.max(1);
    let span = trace.duration.max(1);
    // Bounds of the parts, exact for any length.
    let bound = |i: usize| (u128::from(span) * i as u128 / parts as u128) as u64;
    let part_of = |at: u64| {
        let i = (u128::from(at) * parts as u128 / u128::from(span)) as usize;
        // Rounding down in `bound` may have moved it by one.
        let i = i.min(parts - 1);
        if i + 1 < parts && at >= bound(i + 1) {
            i + 1
        } else {
            i
        }
    };
    let spread = |to: &mut [u64], begin: u64, end: u64| {
        let (mut i, mut at) = (part_of(begin), begin);
        while at < end {
            let next = if i + 1 >= parts {
                end
            } else {
                bound(i + 1).min(end)
            };
            to[i] += next.saturating_sub(at);
            at = next.max(at);
            i += 1;
        }
    };
    let ps = trace.tracks.iter().enumerate();
    let ps = ps.filter(|(_, track)| matches!(track.kind, TrackKind::P(_)));
    ps.map(|(number, track)| {
        let runtime = track.runtime.map(|runtime| &trace.runtimes[runtime]);
        let life = runtime.map_or((0, trace.duration), |r| (r.starts, r.ends));
        let (mut running, mut idle) = (vec![0; parts], vec![0; parts]);
        let mut alive = vec![0; parts];
        spread(&mut alive, life.0, life.1);
        for slice in track.slices.iter().filter(|slice| slice.depth == 0) {
            let (begin, end) = (slice.begin.max(life.0), slice.end.min(life.1));
            match slice.class {
                Class::Turn => spread(&mut running, begin, end),
                Class::Idle => spread(&mut idle, begin, end),
                _ => {}
            }
        }
        let parts: Vec<Share> = (0..parts)
            .map(|i| Share {
                running: running[i],
                idle: idle[i],
                scheduler: alive[i].saturating_sub(running[i] + idle[i]),
            })
            .collect();
        let whole = parts.iter().fold(Share::default(), |sum, part| Share {
            running: sum.running + part.running,
            idle: sum.idle + part.idle,
            scheduler: sum.scheduler + part.scheduler,
        });
        Utilisation {
            track: number,
            life,
            whole,
            parts,
        }
    })
    .collect()
}
