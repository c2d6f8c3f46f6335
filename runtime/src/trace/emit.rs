//! Recording: what the rooms above call when something has happened, and a trace is wanted.
//!
//! Callers ask [`on`](super::on) first, one load and one branch; everything here is out of line, so that
//! their hot paths keep their shape. An M writes to its own ring; other threads (plain ones, monitors)
//! share one buffer with a lock, as they have little to say.
//!
//! *Order.* An event is recorded before its effect can be seen by another thread, and after its cause was
//! seen by this one; the latter needs a [`clock::settle`] where the cause came from another thread. So
//! along any chain of causes that the scheduler knows, times never decrease: a goroutine's events, and those of
//! a P, are in order, whichever threads they come from. The frequent events (start, block, yield) have
//! their causes on the same thread; where goroutines come from elsewhere (a theft, the global queue, a P
//! that is handed over) `settle` comes once, there.

use super::clock;
use super::event::{By, Event, Kind, NO_M, NO_P, Raw, Text, boxed, low};
use super::ring::{Put, Ring};
use super::session;
use crate::atomics::{Mutex, MutexGuard, Ordering, tracing};
use crate::fiber::Fiber;
use crate::g::G;
use crate::m::{M, current};
use crate::p::P;
use std::ptr;
use std::time::Duration;

/// The P that `m` holds.
///
/// # Safety
/// `m` is the caller's own, inside the runtime, or without a P.
#[inline(always)]
unsafe fn p_of(m: &M) -> u16 {
    // SAFETY: the caller's promise.
    match unsafe { P::of(m) } {
        Some(p) => p.id as u16,
        None => NO_P,
    }
}

/// Records an event in the ring of `m`.
#[inline(always)]
fn put(m: &M, settled: bool, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
    let ring = m.ring.get().cast::<Ring>();
    // SAFETY: null, or the M's own ring, which lives until `thread_ends`; we are its thread.
    let put = match unsafe { ring.as_ref() } {
        // SAFETY: we are its owner.
        Some(ring) => unsafe { ring.put(session::number(), settled, kind, p, small, g, arg) },
        None => Put::Unregistered,
    };
    if !matches!(put, Put::Done) {
        put_slow(m, put, kind, p, small, g, arg);
    }
}

#[cold]
#[inline(never)]
fn put_slow(m: &M, put: Put, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
    let discard = || {
        // SAFETY: it was not recorded, and nobody else has it.
        unsafe { Raw::new(0, kind, p, small, g, arg).discard() };
    };
    match put {
        Put::Done => {}
        Put::Wake => session::wake(),
        Put::Full => {
            session::wake();
            discard();
        }
        Put::Unregistered => {
            // SAFETY: we are the M's thread.
            let Some(ring) = (unsafe { session::register(m) }) else {
                return discard(); // it has ended meanwhile
            };
            // SAFETY: as above.
            match unsafe { ring.put(session::number(), true, kind, p, small, g, arg) } {
                Put::Done | Put::Wake => {}
                Put::Full | Put::Unregistered => discard(),
            }
        }
    }
}

/// What other threads have to say.
struct Outside {
    events: Vec<Event>,
    lost: u64,
    lost_since: u64,
}

static OUTSIDE: Mutex<Outside> = Mutex::new(Outside {
    events: Vec::new(),
    lost: 0,
    lost_since: 0,
});

/// Events of other threads that are kept for the collector: 4 MiB. What a plain thread does is
/// one event for each wake-up or spawn, of some microseconds.
const OUTSIDE_CAPACITY: usize = 1 << 16;

/// The collector is woken each time so many of them have come.
const OUTSIDE_WAKE_EVERY: usize = OUTSIDE_CAPACITY / 8;

/// The right to record events of a thread that has no ring, at the time at which it began: as long as it lives, the collector takes nothing for complete that is younger than its beginning.
pub(crate) struct Pending {
    outside: MutexGuard<'static, Outside>,
    at: u64,
}

/// Begins an event of a thread that has no ring; its time is now.
pub(crate) fn pending() -> Pending {
    let outside = OUTSIDE.lock();
    clock::settle();
    Pending {
        outside,
        at: clock::ticks(),
    }
}

impl Pending {
    pub(crate) fn record(mut self, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
        // Again: the recording may have ended since this thread asked, and the next one be about to begin.
        if tracing() {
            return self.push(0, kind, p, small, g, arg);
        }
        // SAFETY: it is not recorded.
        unsafe { Raw::new(self.at, kind, p, small, g, arg).discard() };
    }

    /// Records what was found in runtime `rt`.
    pub(super) fn found(&mut self, rt: u32, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
        self.push(rt, kind, p, small, g, arg);
    }

    fn push(&mut self, rt: u32, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
        let outside = &mut *self.outside;
        let raw = Raw::new(self.at, kind, p, small, g, arg);
        if outside.events.len() >= OUTSIDE_CAPACITY {
            if outside.lost == 0 {
                outside.lost_since = self.at;
            }
            outside.lost += 1;
            // SAFETY: it is not recorded.
            return unsafe { raw.discard() };
        }
        // SAFETY: gettid has no preconditions.
        let tid = unsafe { libc::gettid() } as u32;
        // SAFETY: used once.
        outside
            .events
            .push(unsafe { Event::new(raw, rt, NO_M, tid) });
        if outside.events.len().is_multiple_of(OUTSIDE_WAKE_EVERY) {
            session::wake();
        }
    }
}

/// Waits until the collector has made room for half of [`OUTSIDE_CAPACITY`], for who has much to say at
/// once and holds no lock. Not for ever, false after a second: a writer may not come back, or the collector have ended.
pub(super) fn wait_for_room() -> bool {
    for _ in 0..1000 {
        if OUTSIDE.lock().events.len() <= OUTSIDE_CAPACITY / 2 {
            return true;
        }
        session::wake();
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Takes what other threads have said, and how much of it is missing, since when.
pub(crate) fn take_outside(into: &mut Vec<Event>) -> (u64, u64) {
    let mut outside = OUTSIDE.lock();
    into.append(&mut outside.events);
    (std::mem::take(&mut outside.lost), outside.lost_since)
}

/// Records what was found when the recording began.
pub(crate) fn found(rt: u32, kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
    pending().found(rt, kind, p, small, g, arg);
}

/// Records an event of whatever thread this is.
fn here(kind: Kind, p: u16, small: u64, g: u64, arg: u64) {
    // SAFETY: the calling thread's own M, or null.
    match unsafe { current().as_ref() } {
        Some(m) => put(m, true, kind, p, small, g, arg),
        None => pending().record(kind, p, small, g, arg),
    }
}

/// Something comes from another thread: the next events of this one come after those that caused it.
#[cold]
#[inline(never)]
pub(crate) fn from_elsewhere() {
    clock::settle();
}

/// Records an event of `m` that is none of a goroutine's.
///
/// # Safety
/// `m` is the caller's own, inside the runtime, or without a P.
#[cold]
#[inline(never)]
pub(crate) unsafe fn of_m(m: &M, kind: Kind, small: u64, arg: u64) {
    // SAFETY: the caller's promise.
    put(m, true, kind, unsafe { p_of(m) }, low(small), 0, arg);
}

/// Records an event of `m` that says it all, if anything is recorded.
///
/// # Safety
/// As for [`of_m`].
#[inline(always)]
pub(crate) unsafe fn about(m: &M, kind: Kind) {
    if super::on() {
        // SAFETY: the caller's promise.
        unsafe { of_m(m, kind, 0, 0) };
    }
}

/// Records an event of `g` on `m` that is not frequent.
///
/// # Safety
/// As for [`of_m`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn of_g(m: &M, kind: Kind, g: &G) {
    // SAFETY: the caller's promise.
    put(m, true, kind, unsafe { p_of(m) }, 0, g.id().as_u64(), 0);
}

/// `g` is resumed on `m`.
///
/// # Safety
/// As for [`of_m`], and `m` has a P; so below.
#[cold]
#[inline(never)]
pub(crate) unsafe fn starts(m: &M, g: &G) {
    // SAFETY: the caller's promise.
    put(
        m,
        false,
        Kind::Start,
        unsafe { p_of(m) },
        0,
        g.id().as_u64(),
        0,
    );
}

/// `g` is off its stack, and about to be published to its wakers.
///
/// # Safety
/// As for [`starts`]; `g` is suspended, and nobody's but the caller's.
#[cold]
#[inline(never)]
pub(crate) unsafe fn blocks(m: &M, g: &G) {
    // SAFETY: the caller's promise.
    let on = unsafe { (*g.fiber.as_ptr()).as_ref() }.map_or(ptr::null(), Fiber::waits_on);
    let reason = g.status.reason() as u64;
    // SAFETY: the caller's promise.
    let p = unsafe { p_of(m) };
    put(
        m,
        false,
        Kind::Block,
        p,
        reason,
        g.id().as_u64(),
        !(on.addr() as u64),
    );
}

/// `g` let others run.
///
/// # Safety
/// As for [`starts`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn yields(m: &M, g: &G) {
    // SAFETY: the caller's promise.
    put(
        m,
        false,
        Kind::Yield,
        unsafe { p_of(m) },
        0,
        g.id().as_u64(),
        0,
    );
}

/// `g` has ended.
///
/// # Safety
/// As for [`starts`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn finishes(m: &M, g: &G) {
    // SAFETY: the caller's promise.
    let p = unsafe { p_of(m) };
    put(m, false, Kind::Finish, p, 0, g.id().as_u64(), 0);
}

/// `g` was made, on this thread and for runtime `rt`, and is in no queue yet.
///
/// # Safety
/// The caller owns `g`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn spawned(g: &G, rt: u32) {
    let id = g.id().as_u64();
    // SAFETY: the caller owns it.
    let (site, name) = unsafe { (ptr::from_ref(g.site()) as u64, g.name()) };
    let parent = low(g.parent());
    // SAFETY: the calling thread's own M, or null.
    let m = unsafe { current().as_ref() };
    // SAFETY: a spawn on a goroutine is inside the runtime; one from outside (a goroutine of
    // another runtime, whose P may be gone) is not.
    let p = m
        .filter(|m| m.handshake.inside())
        .map_or(NO_P, |m| unsafe { p_of(m) });
    let name = name.map(|name| boxed(Text::Name(name.into())));
    match m {
        Some(m) => {
            put(m, false, Kind::Spawn, p, parent, id, site);
            if let Some(name) = name {
                put(m, false, Kind::Name, p, rt.into(), id, name);
            }
        }
        None => {
            pending().record(Kind::Spawn, p, parent, id, site);
            if let Some(name) = name {
                pending().record(Kind::Name, p, rt.into(), id, name);
            }
        }
    }
}

/// `g`, which was claimed, waits no more.
///
/// # Safety
/// `g` is the caller's to make ready.
#[cold]
#[inline(never)]
pub(crate) unsafe fn unblocks(g: &G, by: By) {
    let id = g.id().as_u64();
    // SAFETY: the calling thread's own M, or null.
    let Some(m) = (unsafe { current().as_ref() }) else {
        let by = match by {
            By::Caller => By::Thread,
            by => by,
        };
        return pending().record(Kind::Unblock, NO_P, by as u64, id, 0);
    };
    let mut waker = 0;
    let by = match by {
        By::Caller => {
            // SAFETY: null, or the goroutine that runs on this M.
            match unsafe { m.curg.load(Ordering::Relaxed).as_ref() } {
                Some(caller) => {
                    waker = caller.id().as_u64();
                    By::Goroutine
                }
                None => By::Itself,
            }
        }
        by => by,
    };
    // SAFETY: inside the runtime the P is the M's; outside it may be gone.
    let p = match m.handshake.inside() {
        // SAFETY: as said.
        true => unsafe { p_of(m) },
        false => NO_P,
    };
    // It was on another thread that it blocked.
    if !ptr::eq(g.m.load(Ordering::Relaxed), ptr::from_ref(m).cast()) {
        clock::settle();
    }
    put(m, false, Kind::Unblock, p, by as u64, id, waker);
}

/// A P is put on the idle list of runtime `rt`, or taken from it, by whatever thread.
#[cold]
#[inline(never)]
pub(crate) fn p_idles(p: &P, rt: u32, idle: bool) {
    let kind = match idle {
        true => Kind::PIdle,
        false => Kind::PBusy,
    };
    here(kind, p.id as u16, 0, 0, u64::from(rt));
}

/// So many timers were due; on an M with `p`.
#[cold]
#[inline(never)]
pub(crate) fn timers(p: &P, n: usize) {
    here(Kind::Timers, p.id as u16, low(n as u64), 0, 0);
}

/// The network had something for `n` goroutines; by whatever thread.
#[cold]
#[inline(never)]
pub(crate) fn network(p: Option<&P>, rt: u32, n: usize) {
    let p = p.map_or(NO_P, |p| p.id as u16);
    here(Kind::Network, p, low(n as u64), 0, u64::from(rt));
}

/// What the user says: on the goroutine or the thread that calls.
pub(crate) fn user(kind: Kind, small: u64, arg: u64) {
    // SAFETY: the calling thread's own M, or null.
    match unsafe { current().as_ref() } {
        Some(m) => {
            // SAFETY: null, or the goroutine that runs here.
            let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref() };
            // Outside of the runtime: the P may be gone.
            put(
                m,
                false,
                kind,
                NO_P,
                low(small),
                g.map_or(0, |g| g.id().as_u64()),
                arg,
            );
        }
        None => pending().record(kind, NO_P, low(small), 0, arg),
    }
}
