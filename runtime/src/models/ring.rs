//! The buffer of a thread's events: `trace/ring.rs`, all of it, with two slots.
//!
//! Written out here: the owner, who records events and counts those that found no room, and the collector of
//! `trace/collector.rs`: in each turn a look at the clock, the heavy fence, and the ring's turn. Slots are cells
//! that loom watches. The clock is a counter that all threads add to, *without any ordering*: it is the same for all,
//! as the time stamp counter is, and shows nobody anything else. (Not here: the change from one session to the next, and
//! the last turn of a ring whose thread has ended, where the lock of the list of rings orders all; and what
//! `settle` is for, since this clock is not read ahead.)

use super::{check, spawn};
use crate::atomics::atomic::{AtomicU64, AtomicUsize};
use crate::atomics::{Ordering, heavy_fence};
use crate::trace::event::{Event, Kind, NO_P};
use crate::trace::ring::{Put, Ring};
use std::sync::{Arc, Mutex};

loom::lazy_static! {
    static ref CLOCK: AtomicU64 = AtomicU64::new(1);
}

/// Stands in for the trace's clock.
pub(crate) fn ticks() -> u64 {
    // Relaxed: a clock orders nothing.
    CLOCK.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn settle() {}

const SESSION: u32 = 1;

struct World {
    ring: Ring,
    /// Events that were not recorded.
    full: AtomicUsize,
    /// What the collector has got, in turns; not part of the model.
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The ends of the turns.
    until: u64,
    /// The last event's argument.
    last: u64,
    events: u64,
    lost: u64,
    /// Events are missing since then, as was told at the end of the last turn.
    hole: Option<u64>,
}

impl World {
    fn new() -> Arc<World> {
        let _begun = ticks();
        let world = World {
            ring: Ring::new(1, 1),
            full: AtomicUsize::new(0),
            told: Mutex::default(),
        };
        // SAFETY: nobody else has it yet.
        unsafe { world.ring.register(SESSION) };
        Arc::new(world)
    }

    /// The owner records events with these arguments.
    fn record(&self, args: std::ops::RangeInclusive<u64>) {
        for i in args {
            // SAFETY: the thread that calls this is the owner.
            match unsafe { self.ring.put(SESSION, false, Kind::Yield, NO_P, 0, 7, i) } {
                Put::Done | Put::Wake => {}
                Put::Full => _ = self.full.fetch_add(1, Ordering::Relaxed),
                Put::Unregistered => panic!("it is registered"),
            }
        }
    }

    /// A turn of the collector's.
    fn turn(&self) {
        let now = ticks();
        heavy_fence();
        let mut told = self.told.lock().unwrap();
        let told = &mut *told;
        // Of the hole that was open at the end of this turn, and is not any more.
        let mut closed = None;
        // SAFETY: the thread that calls this is the collector.
        let hole = unsafe {
            self.ring.turn(
                now,
                |ticks| ticks,
                |raw| {
                    // SAFETY: it is used once.
                    let e = Event::new(raw, 1, 1, 0);
                    assert!(e.at >= told.until, "an event comes too late");
                    if e.kind == Kind::Lost {
                        told.lost += e.small;
                        closed = (e.arg <= now && now < e.at).then_some(e.arg);
                        assert!(e.arg < e.at, "it ended before it began");
                        match told.hole.take() {
                            Some(since) => assert_eq!(e.arg, since),
                            None => assert!(e.arg >= told.until, "a hole that nobody was told of"),
                        }
                    } else {
                        assert_eq!((e.kind, e.g), (Kind::Yield, 7));
                        assert!(e.arg > told.last, "twice, or not in order");
                        (told.last, told.events) = (e.arg, told.events + 1);
                    }
                },
            )
        };
        if let Some(before) = told.hole.or(closed) {
            assert_eq!(hole.map(|h| h.since), Some(before), "a hole is forgotten");
        }
        assert!(
            hole.is_none_or(|hole| hole.count > 0),
            "who sees since when sees how many"
        );
        told.hole = hole.filter(|h| !h.closed).map(|h| h.since);
        told.until = now;
    }

    /// All that was recorded has been told, or counted.
    fn end(&self, n: u64) {
        self.turn();
        let told = self.told.lock().unwrap();
        // SAFETY: nobody records any more.
        let missing = unsafe {
            self.ring
                .turn(ticks(), |ticks| ticks, |_| panic!("after the last"))
        };
        let missing = missing.map_or(0, |hole| hole.count);
        assert_eq!(told.events + told.lost + missing, n);
        let full = self.full.load(Ordering::Relaxed) as u64;
        assert_eq!(told.lost + missing, full);
    }
}

/// Every event comes once, whole, in order and in the turn that it belongs to; or it is counted, in a hole of which was
/// told in the turn in which it began.
#[test]
fn events_and_holes_come_in_their_turn() {
    check(4, || {
        let w = World::new();
        let owner = spawn(&w, |w| w.record(1..=5));
        w.turn();
        w.turn();
        owner.join().unwrap();
        w.end(5);
    });
}

/// What finds no room is counted, and what comes after the collector has made room is recorded.
#[test]
fn a_full_ring_says_so_and_goes_on() {
    check(2, || {
        let w = World::new();
        w.record(1..=3);
        assert!(w.full.load(Ordering::Relaxed) > 0);
        let owner = spawn(&w, |w| w.record(4..=5));
        w.turn();
        owner.join().unwrap();
        w.end(5);
    });
}
