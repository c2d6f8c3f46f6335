//! The beginning and the end of recording, for all runtimes of the process at once.
//!
//! A *session* is the life of the collector's thread: it begins with the first who wants events (a trace, a
//! flight recorder) and ends with the last. Rings belong to their threads, and are registered with the
//! session by their first event in it.
//!
//! # The beginning
//!
//! A thread may have asked whether anything is recorded at the end of one session, and say what it has to say when the next one
//! is there and its recording not on yet: after it, others would say nothing, and the picture be wrong. So who says its
//! first word in a session asks again.
//!
//! # The end
//!
//! `tracing` is turned off, and then the collector makes its last turn, whose heavy fence comes after. A
//! thread that was asked before may still record: *before the fence*, and the event is taken (`ring.rs`,
//! case 1); *after it*, and the event is younger than the session, and stays in a ring that nobody reads
//! any more. It is thrown away when the ring is registered with the next session, by the ring's owner.

use super::collector::{Collector, Command, Consumer, What};
use super::error::{Summary, TraceError};
use super::ring::Ring;
use super::{clock, runtimes};
use crate::atomics::atomic::AtomicU32;
use crate::atomics::{Mutex, Ordering, heavy_fence, init_fences, set_tracing, tracing};
use crate::m::M;
use crate::m::helper::COLLECTOR;
use crate::m::note::Note;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The number of the last session that began. Rings compare theirs with it.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The number of the session.
#[inline(always)]
pub(crate) fn number() -> u32 {
    // Relaxed: who reads an old one writes to a ring that nobody reads, as of the old session.
    NUMBER.load(Ordering::Relaxed)
}

/// The rings of the session.
struct Rings {
    /// Its number, or 0 without one.
    session: u32,
    rings: Vec<Arc<Ring>>,
}

static RINGS: Mutex<Rings> = Mutex::new(Rings {
    session: 0,
    rings: Vec::new(),
});

/// The collector sleeps here.
static NOTE: Note = Note::new();

/// Wakes the collector.
pub(crate) fn wake() {
    NOTE.wake();
}

/// The collector sleeps until it is woken, or for so long.
pub(super) fn sleep(limit: Duration) {
    NOTE.sleep(Some(limit));
}

/// Registers the ring of `m` with the session, a new one if it has none. `None`: nothing is recorded now.
///
/// # Safety
/// The caller is the M's thread.
pub(crate) unsafe fn register(m: &M) -> Option<&Ring> {
    let mut rings = RINGS.lock();
    // Or the next one is about to begin, and the thread asked when the last one was not over: what the goroutines do until
    // then is not recorded.
    if rings.session == 0 || !tracing() {
        return None;
    }
    if m.ring.get().is_null() {
        m.ring
            .set(Arc::into_raw(Arc::new(Ring::new(m.trace_id, m.id))).cast());
    }
    let ring = m.ring.get().cast::<Ring>();
    // SAFETY: made by `Arc::into_raw`, above, and given up by the M's thread alone.
    let (ring, shared) = unsafe {
        Arc::increment_strong_count(ring);
        (&*ring, Arc::from_raw(ring))
    };
    // SAFETY: we are the owner; a collector has it only once it is in the list.
    unsafe { ring.register(rings.session) };
    rings.rings.push(shared);
    Some(ring)
}

/// The M's thread ends: its ring goes, as soon as it has been read.
pub(crate) fn thread_ends(m: &M) {
    let ring = m.ring.replace(std::ptr::null()).cast::<Ring>();
    if ring.is_null() {
        return;
    }
    // SAFETY: made by `Arc::into_raw`; the M's own share.
    let ring = unsafe { Arc::from_raw(ring) };
    // Release: pairs with the Acquire in `rings`: who sees it sees all events of the ring.
    ring.retired.store(true, Ordering::Release);
}

/// The rings that are registered now, each with whether it is given for the last time, as its thread has ended.
pub(super) fn rings() -> Vec<(Arc<Ring>, bool)> {
    let mut rings = RINGS.lock();
    let mut all = Vec::with_capacity(rings.rings.len());
    rings.rings.retain(|r| {
        // Acquire: pairs with the Release in `thread_ends`.
        let last = r.retired.load(Ordering::Acquire);
        all.push((r.clone(), last));
        !last
    });
    all
}

/// Who asked for a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The program.
    Program,
    /// Its environment.
    Environment,
}

/// A session that goes on.
struct Running {
    collector: JoinHandle<()>,
    commands: Sender<Command>,
    trace: Option<Owner>,
    flight: bool,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

impl Running {
    /// Sends a command, and waits for the answer. The collector may have ended (its thread panicked).
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (answer, got) = channel();
        self.commands.send(command(answer)).ok()?;
        wake();
        got.recv().ok()
    }
}

/// One more wants events: a trace if there is an `owner`, else a flight recorder.
pub(crate) fn attach(owner: Option<Owner>, consumer: Consumer) -> Result<(), TraceError> {
    let mut running = RUNNING.lock();
    match (&*running, owner) {
        (Some(r), Some(_)) if r.trace.is_some() => return Err(TraceError::AlreadyRunning),
        (Some(r), None) if r.flight => return Err(TraceError::AlreadyRunning),
        _ => {}
    }
    if running.is_none() {
        init_fences();
        clock::init();
        // Relaxed: published by the lock, and by `set_tracing`.
        let number = NUMBER.load(Ordering::Relaxed).wrapping_add(1).max(1);
        let (commands, inbox) = channel();
        let collector = std::thread::Builder::new()
            .name("weft-trace".into())
            .spawn(move || Collector::new(inbox).run())
            .map_err(TraceError::Thread)?;
        NUMBER.store(number, Ordering::Relaxed);
        RINGS.lock().session = number;
        *running = Some(Running {
            collector,
            commands,
            trace: None,
            flight: false,
        });
    }
    let r = running.as_mut().expect("there is one now");
    match owner {
        Some(_) => r.trace = owner,
        None => r.flight = true,
    }
    COLLECTOR.serves(r.trace == Some(Owner::Program));
    if r.ask(|answer| Command::Attach(Box::new(consumer), answer))
        .is_none()
    {
        // It has ended: what it had is lost, whoever it was for; they hear of it when they end theirs.
        match owner {
            Some(_) => r.trace = None,
            None => r.flight = false,
        }
        if r.trace.is_none() && !r.flight {
            end(&mut running);
        }
        return Err(TraceError::Collector);
    }
    runtimes::begin();
    // Pairs with the light fences before the questions in `sched/spawn.rs`: a goroutine that says nothing of its
    // beginning is seen in its G by what comes now.
    heavy_fence();
    // What is found and said as well does no harm.
    runtimes::find_all();
    Ok(())
}

/// Ends the session: nothing is recorded any more, and nobody wants what was.
fn end(running: &mut Option<Running>) {
    let Some(r) = running.take() else { return };
    drop(r.commands);
    wake();
    let _ = r.collector.join();
    let mut rings = RINGS.lock();
    rings.session = 0;
    rings.rings = Vec::new();
}

/// One wants no more events, of those who are there as `what`.
pub(crate) fn detach(what: What, owner: Option<Owner>) -> Result<Summary, TraceError> {
    detach_from(&mut RUNNING.lock(), what, owner)
}

/// As [`detach`], at the exit of the process: not if somebody else begins or ends a session just now, or
/// if it is the collector who exits.
pub(crate) fn try_detach(what: What, owner: Option<Owner>) {
    if let Some(mut running) = RUNNING.try_lock()
        && !COLLECTOR.is_here()
    {
        let _ = detach_from(&mut running, what, owner);
    }
}

fn detach_from(
    running: &mut Option<Running>,
    what: What,
    owner: Option<Owner>,
) -> Result<Summary, TraceError> {
    let Some(r) = running else {
        return Err(TraceError::NotRunning);
    };
    let there = match what {
        What::Trace => r.trace.is_some() && r.trace == owner,
        What::Flight => r.flight,
    };
    if !there {
        return Err(TraceError::NotRunning);
    }
    match what {
        What::Trace => r.trace = None,
        What::Flight => r.flight = false,
    }
    let last = r.trace.is_none() && !r.flight;
    if last {
        set_tracing(false);
    }
    let summary = r.ask(|answer| Command::Detach(what, last, answer));
    COLLECTOR.serves(r.trace == Some(Owner::Program));
    if last {
        end(running);
    }
    summary.unwrap_or(Err(TraceError::Collector))
}

/// What the flight recorder remembers now.
pub(crate) fn snapshot() -> Result<super::flight::Snapshot, TraceError> {
    let running = RUNNING.lock();
    match &*running {
        Some(r) if r.flight => r.ask(Command::Snapshot).ok_or(TraceError::Collector),
        _ => Err(TraceError::NotRunning),
    }
}
