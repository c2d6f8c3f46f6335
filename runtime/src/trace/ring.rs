//! The buffer of one thread: a ring that its owner writes and the collector reads, without a lock.
//!
//! ```text
//!   owner                                    collector
//!   (1) state = 2*head + 1  ("at it")        (1) T = now
//!   (2) light fence                          (2) heavy fence
//!   (3) at = now; slot[head] = event         (3) wait until state is even
//!   (4) state = 2*(head + 1)  (Release)      (4) take slots up to head (Acquire); tail = head (Release)
//! ```
//!
//! *No torn event.* The collector reads slots below `head`, which the owner has published by (4) and does
//! not write again before it has seen a `tail` beyond them. The owner writes slots that the collector
//! has given back by its Release of `tail`.
//!
//! *No event comes too late.* After the collector's turn, every event of this ring that is older than T
//! has been taken. Case 1: the owner's (1) comes before the collector's fence. Then the collector sees an odd
//! state, and waits for the event, or a later even one, with the event below `head`. Case 2: it comes after.
//! Then so does the reading of the clock in (3), which is later in the owner's program, and the event is not
//! older than T. So what was taken of all rings can be sorted up to T and written, and nothing
//! ever has to be put in before what was written.
//!
//! A full ring costs the owner one look at `tail`: the event is counted, and not recorded. When
//! there is room again, an event is put in first that says how many are missing, and since when. The collector may
//! read that event turns later, when what came meanwhile from other threads is written, with the hole open; so it
//! looks in each turn whether events are missing, *after (3) and before (4)*. A hole that it did not see began
//! after T, as in case 2; what it knows of one that it saw it keeps until that event comes.

use super::clock;
use super::event::{Kind, Raw};
use crate::atomics::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::atomics::{Ordering, Slot, light_fence};
use std::cell::Cell;

/// Events of a ring: half a mebibyte, 3 ms of a P that does nothing but switch goroutines. (Twice as many
/// push the goroutines' own data out of the second-level cache.)
pub(crate) const CAPACITY: usize = if cfg!(loom) { 2 } else { 1 << 14 };

/// The collector is woken each time so many events have come: often enough to find room for as many again,
/// and seldom enough that the system call (1 µs) is nothing.
const WAKE_EVERY: u64 = 1 << 12;

/// What the owner writes.
#[repr(align(128))]
struct Own {
    /// Twice the number of events so far; odd while one is being written.
    state: AtomicU64,
    /// The session that it is registered with; 0: none.
    session: AtomicU32,
    /// `tail` as the owner last saw it.
    tail_seen: Cell<u64>,
    /// When the first event since the last [`Kind::Lost`] came that found no room; 0: none did. And how many did.
    lost_since: AtomicU64,
    lost: AtomicU64,
}

/// What the collector writes.
#[repr(align(128))]
struct Taken {
    /// Events that have been taken.
    tail: AtomicU64,
    /// The hole that was open at the end of the last turn.
    hole: Cell<Option<Hole>>,
}

/// Events that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Since when, in ticks, by which it is known again; and in ns, since ticks of an earlier turn cannot be told
    /// in ns any more.
    ticks: u64,
    pub(crate) since: u64,
    pub(crate) count: u64,
    /// The event that says so has been taken already, and belongs to the next turn.
    pub(crate) closed: bool,
}

pub(crate) struct Ring {
    own: Own,
    taken: Taken,
    slots: Box<[Slot<Raw>]>,
    /// Whose it is.
    pub(crate) rt: u32,
    pub(crate) m: u32,
    /// Its thread has ended: to be forgotten when it is empty.
    pub(crate) retired: AtomicBool,
}

// SAFETY: the cells are the owner's; a slot is the owner's or the collector's as `state` and `tail` say.
unsafe impl Sync for Ring {}
// SAFETY: as above.
unsafe impl Send for Ring {}

/// What became of an event.
#[must_use]
pub(crate) enum Put {
    Done,
    /// It is in, and the collector should look.
    Wake,
    /// There was no room.
    Full,
    /// The ring is not registered with this session.
    Unregistered,
}

impl Ring {
    pub(crate) fn new(rt: u32, m: u32) -> Ring {
        Ring {
            own: Own {
                state: AtomicU64::new(0),
                session: AtomicU32::new(0),
                tail_seen: Cell::new(0),
                lost_since: AtomicU64::new(0),
                lost: AtomicU64::new(0),
            },
            taken: Taken {
                tail: AtomicU64::new(0),
                hole: Cell::new(None),
            },
            slots: Slot::row(CAPACITY),
            rt,
            m,
            retired: AtomicBool::new(false),
        }
    }

    /// # Safety
    /// The slot is the caller's.
    #[inline(always)]
    unsafe fn write(&self, at: u64, raw: Raw) {
        // SAFETY: the index is below the capacity; the caller's promise.
        unsafe { self.slots.get_unchecked(at as usize % CAPACITY).write(raw) };
    }

    /// Records an event. `settled`: the clock is read after all that was done before ([`clock::settle`]).
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "an event's words, in registers")]
    pub(crate) unsafe fn put(
        &self,
        session: u32,
        settled: bool,
        kind: Kind,
        p: u16,
        small: u64,
        g: u64,
        arg: u64,
    ) -> Put {
        // Relaxed: the owner's own.
        let state = self.own.state.load(Ordering::Relaxed);
        // Release, as all stores of `state`: whichever the collector's Acquire in `take` reads, it sees the events
        // below. The light fence pairs with the collector's heavy fence.
        self.own.state.store(state | 1, Ordering::Release);
        light_fence();
        // Relaxed: the owner's own.
        if self.own.session.load(Ordering::Relaxed) != session {
            self.own.state.store(state, Ordering::Release);
            return Put::Unregistered;
        }
        let head = state / 2;
        if head - self.own.tail_seen.get() >= CAPACITY as u64 - 1
            || self.own.lost_since.load(Ordering::Relaxed) != 0
        {
            // SAFETY: the caller is the owner.
            if !unsafe { self.make_room(head, settled) } {
                self.own.state.store(state, Ordering::Release);
                return Put::Full;
            }
            let state = self.own.state.load(Ordering::Relaxed);
            let at = clock::ticks();
            // SAFETY: there is room for it.
            unsafe { self.write(state / 2, Raw::new(at, kind, p, small, g, arg)) };
            self.own.state.store((state | 1) + 1, Ordering::Release);
            return Put::Done;
        }
        if settled {
            clock::settle();
        }
        let at = clock::ticks();
        // SAFETY: there is room for it.
        unsafe { self.write(head, Raw::new(at, kind, p, small, g, arg)) };
        self.own.state.store(state + 2, Ordering::Release);
        match (head + 1).is_multiple_of(WAKE_EVERY) {
            true => Put::Wake,
            false => Put::Done,
        }
    }

    /// The ring looked full, or was full before: whether there is room for an event, after the one that says
    /// how many are missing. `settled` is as for [`Ring::put`].
    ///
    /// # Safety
    /// The caller is the owner.
    #[cold]
    #[inline(never)]
    unsafe fn make_room(&self, head: u64, settled: bool) -> bool {
        if settled {
            clock::settle();
        }
        // Acquire: pairs with the Release in `take`, after which these slots are ours.
        let tail = self.taken.tail.load(Ordering::Acquire);
        self.own.tail_seen.set(tail);
        let since = self.own.lost_since.load(Ordering::Relaxed);
        let lost = self.own.lost.load(Ordering::Relaxed);
        // Half of it, if some are missing: else it is full again at once, and holes are everywhere.
        let used = match since {
            0 => CAPACITY as u64 - 1,
            _ => CAPACITY as u64 / 2,
        };
        if head - tail >= used {
            match since {
                0 => {
                    self.own.lost.store(1, Ordering::Relaxed);
                    // Release: pairs with the Acquire in `lost`: who sees since when sees how many.
                    let now = clock::ticks();
                    self.own.lost_since.store(now, Ordering::Release);
                }
                _ => self.own.lost.store(lost + 1, Ordering::Relaxed),
            }
            return false;
        }
        if since != 0 {
            let raw = Raw::new(
                clock::ticks(),
                Kind::Lost,
                super::event::NO_P,
                super::event::low(lost),
                0,
                since,
            );
            // SAFETY: there is room for it.
            unsafe { self.write(head, raw) };
            // Still odd: the owner is at it.
            self.own.state.store((head + 1) * 2 + 1, Ordering::Release);
            // Release: pairs with the Acquire in `lost`: who sees no hole sees the event that says so.
            self.own.lost_since.store(0, Ordering::Release);
        }
        true
    }

    /// One turn of the collector's, which ends at the time `until`, after the heavy fence: takes what was published, and
    /// says what is missing at its end. `ns` tells in nanoseconds what ticks of this turn are, and the argument of
    /// each [`Kind::Lost`] is told in them.
    ///
    /// # Safety
    /// The caller is the collector with which the ring is registered.
    pub(crate) unsafe fn turn(
        &self,
        until: u64,
        ns: impl Fn(u64) -> u64,
        mut each: impl FnMut(Raw),
    ) -> Option<Hole> {
        self.wait_for_owner();
        let mut open = self.lost();
        let known = &self.taken.hole;
        let since = |ticks| {
            let same = known.get().filter(|hole| hole.ticks == ticks);
            same.map_or_else(|| ns(ticks), |hole| hole.since)
        };
        let mut closed = None;
        // SAFETY: the caller's promise.
        unsafe {
            self.take(|mut raw| {
                if raw.kind() == Kind::Lost {
                    let (ticks, count) = (raw.arg, raw.small());
                    raw.arg = since(ticks);
                    if ticks <= until && until < raw.at {
                        closed = Some(Hole {
                            ticks,
                            since: raw.arg,
                            count,
                            closed: true,
                        });
                    }
                    known.set(None);
                    open = open.filter(|(_, of)| *of != ticks);
                }
                each(raw);
            });
        }
        if let Some((count, ticks)) = open {
            known.set(Some(Hole {
                ticks,
                since: since(ticks),
                count,
                closed: false,
            }));
        }
        closed.or(known.get())
    }

    /// Waits until the owner is not in the middle of an event. It is never for long: the owner waits for
    /// nobody meanwhile, but it may have lost its CPU.
    fn wait_for_owner(&self) {
        // Acquire: pairs with the Release stores in `put`; `lost`, too, shall be seen.
        while self.own.state.load(Ordering::Acquire) & 1 == 1 {
            #[cfg(loom)]
            loom::thread::yield_now();
            #[cfg(not(loom))]
            std::thread::yield_now();
        }
    }

    /// Takes all events that the owner has published.
    ///
    /// # Safety
    /// The caller is the collector with which the ring is registered, or there is none.
    unsafe fn take(&self, mut each: impl FnMut(Raw)) {
        // Acquire: pairs with the Release stores in `put` and `make_room`. It may be odd again by now: what is below
        // is published all the same.
        let head = self.own.state.load(Ordering::Acquire) / 2;
        // Relaxed: the collector's own.
        let tail = self.taken.tail.load(Ordering::Relaxed);
        for at in tail..head {
            // SAFETY: published, and not given back.
            each(unsafe { self.slots[at as usize % CAPACITY].read() });
        }
        // Release: pairs with the Acquire in `make_room`.
        self.taken.tail.store(head, Ordering::Release);
    }

    /// How many events are missing now, as far as can be told while the owner goes on, and since when, in ticks.
    fn lost(&self) -> Option<(u64, u64)> {
        // Acquire: pairs with the Release in `make_room`.
        let since = self.own.lost_since.load(Ordering::Acquire);
        (since != 0).then(|| (self.own.lost.load(Ordering::Relaxed), since))
    }

    /// Belongs to `session` from now on: what came late in the last one is thrown away.
    ///
    /// # Safety
    /// The caller is the owner, and no collector has the ring.
    pub(crate) unsafe fn register(&self, session: u32) {
        // SAFETY: without a collector, the owner may do as one. What is read is not used again.
        unsafe { self.take(|raw| raw.discard()) };
        // Relaxed: the owner's own.
        self.own
            .tail_seen
            .set(self.taken.tail.load(Ordering::Relaxed));
        self.own.lost_since.store(0, Ordering::Relaxed);
        self.taken.hole.set(None);
        self.own.session.store(session, Ordering::Relaxed);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: nobody else has it any more.
        unsafe { self.take(|raw| raw.discard()) };
    }
}
