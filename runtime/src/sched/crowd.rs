//! To how few Ps the network is left, by what their threads have had of the CPUs: the decisions of `room.rs`, apart
//! from all threads, so that they can be tried on a machine that is made up.

use crate::timer::Nanos;

/// It must be crowded for so many periods in a row before the network is left to fewer Ps, and for so many before that
/// is thought to be no better.
const LOOKS: u32 = 3;
const GIVE_UP: u32 = 5;
/// For so many periods the network is left to fewer Ps before one more is tried. It doubles if that was too many.
const TRY_AFTER: u64 = 10;
const TRY_AFTER_MOST: u64 = 80;
/// For so many it is not tried with fewer again after that was no better. It doubles if it is no better again.
const LEAVE: u64 = 25;
const LEAVE_MOST: u64 = 3200;
/// A thread that was woken has waited so long for its CPU without any shortage, about.
const WAKE_UP: Nanos = 5_000;

/// What the threads have had in some time, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) time: Nanos,
    pub(super) ran: Nanos,
    /// For a CPU.
    pub(super) waited: Nanos,
    /// How often one got a CPU.
    pub(super) slices: u64,
}

impl Share {
    /// Whether they have waited for long, compared to what they ran. (Two Ms and a load that fill two CPUs: as long
    /// as they run. One M and that load: a fiftieth.) Not if they hardly want any.
    pub(super) fn is_crowded(self) -> bool {
        let waited = self
            .waited
            .saturating_sub(self.slices.saturating_mul(WAKE_UP));
        self.ran + waited > self.time / 2 && waited > self.ran / 4
    }

    /// For how many of them there was a CPU.
    fn cpus(self) -> u32 {
        ((self.ran + self.time / 2) / self.time.max(1)) as u32
    }
}

/// The decisions, by what is measured.
#[derive(Debug)]
pub(super) struct Crowd {
    procs: u32,
    period: Nanos,
    stage: Stage,
    /// The bound has just changed: the next look is of the time in which it did.
    changed: bool,
    /// There is no new bound before.
    not_before: Nanos,
    /// See [`TRY_AFTER`].
    try_after: u64,
    /// How many more are tried the next time.
    step: u32,
    /// See [`LEAVE`].
    leave: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No bound. It was crowded at so many looks in a row.
    All { crowded: u32 },
    /// That many, at least until then. It was crowded at so many looks in a row.
    Fewer {
        most: u32,
        crowded: u32,
        until: Nanos,
    },
    /// More than before, to see.
    More { before: u32, most: u32 },
}

impl Crowd {
    pub(super) fn new(procs: usize, period: Nanos) -> Crowd {
        Crowd {
            procs: procs as u32,
            period,
            stage: Stage::All { crowded: 0 },
            changed: false,
            not_before: 0,
            try_after: TRY_AFTER,
            step: 1,
            leave: LEAVE,
        }
    }

    /// How many Ps are enough; `None`: there is no bound.
    pub(super) fn bound(&self) -> Option<u32> {
        match self.stage {
            Stage::All { .. } => None,
            Stage::Fewer { most, .. } | Stage::More { most, .. } => Some(most),
        }
    }

    fn fewer(&mut self, most: u32, now: Nanos) -> Stage {
        self.changed = true;
        Stage::Fewer {
            most,
            crowded: 0,
            until: now + self.try_after * self.period,
        }
    }

    fn more(&mut self, before: u32) -> Stage {
        self.changed = true;
        Stage::More {
            before,
            most: (before + self.step).min(self.procs),
        }
    }

    /// There is nothing to decide at present.
    pub(super) fn forget(&mut self, now: Nanos) {
        if self.bound().is_some() {
            self.not_before = now + LEAVE * self.period;
        }
        self.stage = Stage::All { crowded: 0 };
        self.changed = false;
    }

    /// Goes on by one period.
    pub(super) fn advance(&mut self, share: Share, now: Nanos) {
        if std::mem::take(&mut self.changed) {
            return;
        }
        let crowded = share.is_crowded();
        let in_row = |before: u32| if crowded { before + 1 } else { 0 };
        self.stage = match self.stage {
            Stage::All { crowded } => match in_row(crowded) {
                LOOKS.. if now >= self.not_before => {
                    self.fewer(share.cpus().clamp(1, self.procs - 1), now)
                }
                crowded => Stage::All { crowded },
            },
            Stage::Fewer {
                most,
                crowded,
                until,
            } => match in_row(crowded) {
                GIVE_UP.. => {
                    self.not_before = now + self.leave * self.period;
                    self.leave = (self.leave * 2).min(LEAVE_MOST);
                    Stage::All { crowded: 0 }
                }
                0 if now >= until => {
                    self.leave = LEAVE;
                    self.more(most)
                }
                crowded => Stage::Fewer {
                    most,
                    crowded,
                    until,
                },
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
                    Stage::All { crowded: 0 }
                } else {
                    self.step *= 2;
                    self.more(most)
                }
            }
        };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sched::room::PERIOD;

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
                crowd: Crowd::new(cpus as usize, PERIOD),
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
                    slices: 0,
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
    fn what_was_forgotten_is_not_tried_at_once() {
        let mut machine = Machine::new(2, 1);
        machine.run(SECOND);
        assert_eq!(machine.crowd.bound(), Some(1));
        machine.crowd.forget(machine.now);
        assert_eq!(machine.crowd.bound(), None);
        let busy = machine.run(SECOND / 5);
        assert!(busy[2] > 0.99, "{busy:?}");
        machine.run(SECOND);
        assert!(machine.crowd.bound().is_some());
    }

    #[test]
    fn to_be_woken_often_is_no_shortage() {
        let share = |ran: Nanos, waited: Nanos, slices| Share {
            time: 10_000_000,
            ran: ran * 1000,
            waited: waited * 1000,
            slices,
        };
        assert!(share(9_000, 9_000, 200).is_crowded());
        assert!(share(500, 9_000, 200).is_crowded());
        assert!(!share(6_000, 3_000, 1_000).is_crowded());
        assert!(!share(1_500, 1_500, 10).is_crowded());
    }
}
