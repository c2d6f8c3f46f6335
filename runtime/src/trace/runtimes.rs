//! The runtimes that are up, as a trace knows them: what they are called, and what is found of them when the
//! recording begins.

use super::emit;
use super::event::{Kind, NO_P, Text, boxed, low};
use super::program;
use crate::atomics::{Mutex, Ordering, tracing};
use crate::g::registry;
use crate::g::status::Status;
use crate::p::P;
use std::ptr;

struct Runtime {
    number: u32,
    /// The address of its scheduler; only compared.
    sched: *const (),
    name: String,
    ps: *const [P],
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

/// Records an event of no M of the caller's: runtime, kind, P, small argument, goroutine, argument.
pub(super) type Found = fn(u32, Kind, u16, u64, u64, u64);

/// A runtime starts. Its number in traces.
pub(crate) fn starts(sched: *const (), name: &str, ps: &[P]) -> u32 {
    let mut table = TABLE.lock();
    table.last += 1;
    let number = table.last;
    table.up.push(Runtime {
        number,
        sched,
        name: name.to_owned(),
        ps,
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
    let before = table.up.len();
    table.up.retain(|r| r.number != number);
    if table.up.len() == before {
        return;
    }
    if tracing() {
        emit::found(number, Kind::RuntimeEnd, NO_P, 0, 0, u64::from(number));
    }
    let last = table.up.is_empty();
    drop(table);
    if last {
        program::last_runtime_ended();
    }
}

/// The number of a runtime; 0 if it has none any more.
pub(super) fn number_of(sched: *const ()) -> u32 {
    let table = TABLE.lock();
    let it = table.up.iter().find(|r| ptr::eq(r.sched, sched));
    it.map_or(0, |r| r.number)
}

/// Records what there is when the recording begins: the runtimes, which Ps are idle and what runs on the
/// others, and all goroutines with their names. They go on meanwhile, so it is true of each at some moment,
/// and what they do then is recorded as well.
pub(super) fn find_all(found: Found) {
    let table = TABLE.lock();
    for r in &table.up {
        // SAFETY: in the table, and so not freed.
        let ps = unsafe { &*r.ps };
        let text = Text::Runtime(r.number, r.name.clone(), ps.len() as u32);
        found(r.number, Kind::RuntimeStart, NO_P, 0, 0, boxed(text));
        registry::for_each(r.sched, |g| {
            let id = g.id().as_u64();
            if g.status.get() == Status::Dead {
                return;
            }
            // SAFETY: a location of the program's, always.
            let site = unsafe { ptr::from_ref(g.site()) } as u64;
            found(r.number, Kind::Exists, NO_P, low(g.parent()), id, site);
            let (name, _) = g.tag.copy();
            if let Some(name) = name
                && g.id().as_u64() == id
            {
                let name = boxed(Text::Name(name.into()));
                found(r.number, Kind::Name, NO_P, r.number.into(), id, name);
            }
        });
        for p in ps {
            find_p(r.number, p);
        }
    }
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
    let pending = emit::pending();
    if look(p) != before {
        return; // its own events say it
    }
    match before {
        (true, ..) => pending.found(number, Kind::FoundP, p.id as u16, 1, 0, 0),
        (_, _, Some((m, g))) => pending.found(number, Kind::FoundP, p.id as u16, 0, g, m.into()),
        _ => {}
    }
}
