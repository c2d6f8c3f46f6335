//! Metrics, collected while everything runs on.
//!
//! What is counted is never seen to go down, and nothing is seen to have ended that has not begun: of two
//! numbers of which one follows the other, the follower is read first (`finished` before `spawned`), and
//! what is a difference is kept from going back by the largest that was given out.

use super::Sched;
use crate::atomics::Ordering;
use crate::g::status::WaitReason;
use crate::p::P;
use crate::trace::metrics::{Metrics, States, Threads, Times};
use std::time::Duration;

impl Sched {
    pub(crate) fn metrics(&self) -> Metrics {
        let sum = |of: fn(&P) -> u64| self.ps.iter().map(of).sum::<u64>();
        let (spawned, finished) = self.spawned_and_finished();
        let misses = sum(|p| p.counters.misses.load(Ordering::Relaxed));
        let picks = sum(|p| p.schedtick.load(Ordering::Relaxed));
        let switches = picks.saturating_sub(misses);
        let before = self.switches_told.fetch_max(switches, Ordering::Relaxed);
        let (mut threads, live, global) = {
            let state = self.lock.lock();
            let mut threads = Threads {
                running: 0,
                spinning: 0,
                blocked: 0,
                idle: 0,
            };
            for m in state.threads.records() {
                if m.tid.load(Ordering::Relaxed) == 0 {
                    continue;
                }
                // SAFETY: an M of this runtime.
                let has_p = unsafe { P::held_by(m) }.is_some();
                match (has_p, m.curg.load(Ordering::Relaxed).is_null()) {
                    (true, false) => threads.running += 1,
                    (false, false) => threads.blocked += 1,
                    (true, true) => threads.spinning += 1,
                    (false, true) => threads.idle += 1,
                }
            }
            let live = state.threads.live() as u64;
            (threads, live, state.global.len() as u64)
        };
        // Those that are just being started.
        let seen = threads.running + threads.spinning + threads.blocked + threads.idle;
        threads.idle += live.saturating_sub(seen);
        let queues: Vec<u64> = self.ps.iter().map(|p| p.runq.len() as u64).collect();
        let goroutines = spawned - finished;
        let runnable = (global + queues.iter().sum::<u64>()).min(goroutines);
        let (running, blocked) = (threads.running, threads.blocked);
        let parks = WaitReason::ALL.iter().map(|&reason| {
            let count = self.ps.iter().map(|p| p.counters.parks(reason)).sum();
            (reason, count)
        });
        let stacks = self.stacks.counts();
        let times = |of: fn(&P) -> &crate::p::counters::Histogram| {
            let mut times = Times::new();
            for p in &self.ps {
                times.sum += Duration::from_nanos(of(p).read(&mut times.counts));
            }
            times
        };
        Metrics {
            runtime: self.config.name.clone(),
            goroutines,
            states: States {
                runnable,
                running,
                blocked,
                waiting: goroutines.saturating_sub(runnable + running + blocked),
            },
            spawned,
            finished,
            switches: switches.max(before),
            parks: parks.filter(|(_, n)| *n > 0).collect(),
            steals: sum(|p| p.counters.thefts.load(Ordering::Relaxed)),
            stolen: sum(|p| p.counters.stolen.load(Ordering::Relaxed)),
            taken: self.taken.load(Ordering::Relaxed),
            given_away: sum(|p| p.counters.given_away.load(Ordering::Relaxed)),
            global_queue: global,
            queues,
            threads,
            stacks_in_use: stacks.out as u64,
            stacks_pooled: stacks.idle as u64,
            stacks_cold: stacks.cold as u64,
            stacks_given_back: stacks.given_back,
            timers: sum(|p| p.timers.len().into()),
            timers_fired: sum(|p| p.counters.timers_fired.load(Ordering::Relaxed)),
            descriptors: self.net.registered() as u64,
            network_procs: self.room.of(self.ps.len()) as u64,
            network_readied: sum(|p| p.counters.network_readied.load(Ordering::Relaxed)),
            latency: times(|p| &p.counters.latency),
            hold: times(|p| &p.counters.hold),
        }
    }
}
