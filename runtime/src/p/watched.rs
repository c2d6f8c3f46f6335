//! On which other P one has an eye: see `sched/relief.rs`.

use crate::timer::Nanos;

/// That other P, as it was seen at the last look.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watched {
    pub(crate) id: u32,
    /// How many picks it had made.
    pub(crate) tick: u64,
    /// Whether there was something for it to pick.
    pub(crate) had_work: bool,
    /// Since when it is known not to have picked.
    pub(crate) still_since: Nanos,
    /// When that was, and how many picks the one that looked had made.
    pub(crate) at: Nanos,
    pub(crate) own_tick: u64,
}

impl Watched {
    /// The first look of the P of this number: at itself, and from there on.
    pub(crate) fn first(id: u32) -> Watched {
        Watched {
            id,
            ..Watched::default()
        }
    }
}
