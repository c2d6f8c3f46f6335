//! Whether the M that waits for the network shall ask again and again for a few microseconds before it sleeps.
//!
//! To sleep and to be woken costs 5 to 10 µs on a virtual machine, on a CPU that has nothing else to do: as much as
//! the answer to a message. With one peer, which is answered and answers at once, half of a round trip is that. So
//! the M asks for as long as that takes, *if it would have paid of late*: each wait that is over soon earns
//! credit, each time that nothing came in spite of it costs some. (Linux does the same below us, in a guest that
//! is about to halt its CPU: haltpoll.)

use crate::timer::Nanos;
use std::time::Duration;

/// From so much credit on it is tried.
const WORTH: u32 = 8;
/// There is no more.
const MOST: u32 = 16;
/// What it costs if nothing came. It is tried as long as more than four in five succeed.
const IN_VAIN: u32 = 4;

#[derive(Debug)]
pub(crate) struct BusyPoll {
    limit: Nanos,
    credit: u32,
}

impl BusyPoll {
    /// For so long at most; 0: never.
    pub(crate) fn new(limit: Nanos) -> BusyPoll {
        BusyPoll { limit, credit: 0 }
    }

    /// For how long to ask before a wait of so long; `None`: not at all.
    pub(crate) fn worth(&self, wait: Option<Duration>) -> Option<Nanos> {
        let longer = wait.is_none_or(|wait| wait > Duration::from_nanos(self.limit));
        (self.limit > 0 && self.credit >= WORTH && longer).then_some(self.limit)
    }

    /// Something came while it was asked.
    pub(crate) fn paid(&mut self) {
        self.credit = (self.credit + 1).min(MOST);
    }

    /// Nothing came.
    pub(crate) fn in_vain(&mut self) {
        self.credit = self.credit.saturating_sub(IN_VAIN);
    }

    /// Something came after a sleep: would it have come in time? (The time has the wake-up in it.)
    pub(crate) fn slept(&mut self, time: Nanos) {
        if time <= 2 * self.limit {
            self.paid();
        } else {
            self.credit = self.credit.saturating_sub(1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LIMIT: Nanos = 10_000;

    #[test]
    fn it_is_tried_after_some_short_sleeps_and_for_as_long_as_it_pays() {
        let mut busy = BusyPoll::new(LIMIT);
        for _ in 0..WORTH {
            assert_eq!(busy.worth(None), None);
            busy.slept(2 * LIMIT);
        }
        for _ in 0..1000 {
            assert_eq!(busy.worth(None), Some(LIMIT));
            assert_eq!(busy.worth(Some(Duration::from_nanos(LIMIT))), None);
            busy.paid();
        }
        let tries = (0..100).take_while(|_| {
            let worth = busy.worth(None).is_some();
            busy.in_vain();
            worth
        });
        assert_eq!(tries.count(), 3);
    }

    #[test]
    fn sleeps_that_are_long_or_a_limit_of_zero_never_lead_to_it() {
        let (mut busy, mut off) = (BusyPoll::new(LIMIT), BusyPoll::new(0));
        for _ in 0..1000 {
            busy.slept(2 * LIMIT);
            busy.slept(2 * LIMIT + 1);
            off.slept(0);
            assert_eq!((busy.worth(None), off.worth(None)), (None, None));
        }
    }
}
