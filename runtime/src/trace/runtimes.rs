//! The runtimes that are up, as a trace knows them: what they are called, and what is found of them when the
//! recording begins.

use super::emit::{self, Pending, found};
use super::event::{Kind, NO_P, Text, boxed, low};
use super::program::User;
use crate::atomics::atomic::fence;
use crate::atomics::{Mutex, Ordering, heavy_fence, set_tracing, tracing};
use crate::g::{G, registry};
use crate::p::P;
use std::ptr;

struct Runtime {
    number: u32,
    /// The address of its scheduler; only compared.
    sched: *const (),
    name: String,
    ps: *const [P],
    /// The program is traced because of it.
    _user: Option<User>,
}

struct Table {
    /// How many there have been.
    last: u32,
    up: Vec<Runtime>,
}

// SAFETY: `sched` is not followed; the Ps stay until `ended`, which takes them out under the lock.
unsafe impl Send for Table {}

static TABLE: Mutex<Table> = Mutex::new(Table {
    last: 0,
    up: Vec::new(),
});

/// A runtime starts. Its number in traces.
pub(crate) fn starts(sched: *const (), name: &str, ps: &[P], user: Option<User>) -> u32 {
    let mut table = TABLE.lock();
    table.last += 1;
    let number = table.last;
    table.up.push(Runtime {
        number,
        sched,
        name: name.to_owned(),
        ps,
        _user: user,
    });
    if tracing() {
        let text = Text::Runtime(number, name.to_owned(), ps.len() as u32);
        emit::found(number, Kind::RuntimeStart, NO_P, 0, 0, boxed(text));
    }
    number
}

/// A runtime has ended, or is about to be freed. To be called at least once, and harmless after that.
pub(crate) fn ended(number: u32) {
    let mut table = TABLE.lock();
    let Some(at) = table.up.iter().position(|r| r.number == number) else {
        return;
    };
    let ended = table.up.remove(at);
    if tracing() {
        emit::found(number, Kind::RuntimeEnd, NO_P, 0, 0, u64::from(number));
    }
    drop(table);
    drop(ended); // maybe, the trace of the program ends
}

/// The numbers and names of those that are up.
pub(super) fn names() -> Vec<(u32, String)> {
    let table = TABLE.lock();
    table
        .up
        .iter()
        .map(|r| (r.number, r.name.clone()))
        .collect()
}

/// The recording begins: turns it on, after it was recorded which runtimes are up. So the events of each
/// come after it, and of one that starts meanwhile, what it says itself.
pub(super) fn begin() {
    let table = TABLE.lock();
    for r in &table.up {
        // SAFETY: in the table, and so not freed.
        let procs = unsafe { &*r.ps }.len() as u32;
        let text = Text::Runtime(r.number, r.name.clone(), procs);
        found(r.number, Kind::RuntimeStart, NO_P, 0, 0, boxed(text));
    }
    set_tracing(true);
}

/// Records what else there is when the recording begins: all goroutines with their names, which Ps are
/// idle, and what runs on the others. They go on meanwhile, so it is true of each at some moment, and what they
/// do then is recorded as well.
pub(super) fn find_all() {
    let mut room = true;
    registry::walk(|chunk| {
        room = room && emit::wait_for_room();
        let table = TABLE.lock();
        let mut pending = emit::pending();
        // Pairs with the light fence at the end of a goroutine: who is not dead yet ends after the time of `pending`.
        heavy_fence();
        for g in chunk {
            // Relaxed: compared with those that are up, under their lock.
            let sched = g.sched.load(Ordering::Relaxed);
            if g.status.get().exists()
                && let Some(r) = table.up.iter().find(|r| ptr::eq(r.sched, sched))
            {
                find_g(&mut pending, r.number, g);
            }
        }
    });
    let _ = room && emit::wait_for_room();
    for r in &TABLE.lock().up {
        // SAFETY: in the table, and so not freed.
        for p in unsafe { &*r.ps } {
            find_p(r.number, p);
        }
    }
}

/// Records that there is a goroutine, and what it is called.
fn find_g(pending: &mut Pending, number: u32, g: &G) {
    let id = g.id().as_u64();
    // SAFETY: a location of the program's, always.
    let site = unsafe { ptr::from_ref(g.site()) } as u64;
    let (parent, (name, _)) = (g.parent(), g.tag.copy());
    // What was read is this goroutine's, and not of the next one in the same G.
    fence(Ordering::Acquire);
    if g.id().as_u64() != id || !g.status.get().exists() {
        return;
    }
    pending.found(number, Kind::Exists, NO_P, low(parent), id, site);
    if let Some(name) = name {
        let name = boxed(Text::Name(name.into()));
        pending.found(number, Kind::Name, NO_P, number.into(), id, name);
    }
}

/// The goroutines that there are, of all runtimes, in order: every one that was made before, and is not among
/// them, has ended.
pub(super) fn alive() -> Vec<u64> {
    let mut ids = Vec::new();
    registry::walk(|chunk| {
        for g in chunk {
            // The number first: if the G is another goroutine's by then, one that has ended is taken for alive,
            // and never one that is alive for ended.
            let id = g.id().as_u64();
            if g.status.get().exists() {
                ids.push(id);
            }
        }
    });
    ids.sort_unstable();
    ids
}

/// What a P does: whether it is idle, which pick it is at, and the goroutine that runs there, and on which M.
fn look(p: &P) -> (bool, u32, Option<(u32, u64)>) {
    let (idle, tick) = (
        p.idle.load(Ordering::Relaxed),
        p.schedtick.load(Ordering::Acquire),
    );
    // Acquire: pairs with the Release in `attach`.
    // SAFETY: Ms live as long as their runtime, and Gs as long as any does.
    let runs = unsafe {
        p.m.load(Ordering::Acquire)
            .as_ref()
            .and_then(|m| Some((m.id, m.curg.load(Ordering::Acquire).as_ref()?.id().as_u64())))
    };
    (idle, tick as u32, runs)
}

/// Records what a P does, if it did the same just before and just after: then it did so at the event's time.
fn find_p(number: u32, p: &P) {
    let before = look(p);
    let mut pending = emit::pending();
    if look(p) != before {
        return; // its own events say it
    }
    match before {
        (true, ..) => pending.found(number, Kind::FoundP, p.id as u16, 1, 0, 0),
        (_, _, Some((m, g))) => pending.found(number, Kind::FoundP, p.id as u16, 0, g, m.into()),
        _ => {}
    }
}
