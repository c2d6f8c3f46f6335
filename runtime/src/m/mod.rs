//! The OS thread ("machine"): its record, how it sleeps, how it is found from the thread itself.
//! An M runs goroutines only while it has a P; the record's word for it is opaque here.

pub(crate) mod current;
#[cfg(not(loom))]
pub(crate) mod helper;
pub(crate) mod locals;
pub(crate) mod note;
pub(crate) mod retake;
pub(crate) mod thread;

pub(crate) use current::{current, set_current};

use crate::atomics::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};
use crate::g::G;
use crate::g::parker::{Parker, Waiter};
use note::Note;
use retake::Handshake;
use std::cell::Cell;
use std::ptr;
use std::time::Instant;

/// A function that publishes a parked goroutine to its wakers, run on the M's own stack with the
/// word of data that it was registered with. False: nothing was published, do not park.
pub(crate) type Commit = unsafe fn(*mut ()) -> bool;

/// As [`Commit`], for a wait that was opened before: it moves itself off the goroutine's stack, then
/// arms the waiter, which may be claimed and run from then on, and then does its work. Whether it was
/// armed (or else claimed before), and what the commit function said.
pub(crate) type OpenCommit = unsafe fn(*mut (), &Parker, Waiter) -> (bool, bool);

/// What a park may have beside its commit function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unusual {
    /// Its episode was opened before; how it is committed.
    pub(crate) open: Option<OpenCommit>,
    /// Until when it waits at most.
    pub(crate) deadline: Option<Instant>,
}

/// The record of one thread. Owned by the runtime's table of threads, freed when all threads
/// have ended; the thread itself has a plain reference.
#[repr(C, align(128))]
pub(crate) struct M {
    /// First: one of the two words that every runtime call touches.
    pub(crate) handshake: Handshake,
    /// Whether this M is looking for work; counted in the scheduler's `nmspinning`. Own.
    pub(crate) spinning: AtomicBool,
    /// The P that this M has (type `P` above), or null. Written by this M; valid only while it
    /// is inside the runtime and has not lost the P.
    pub(crate) p: AtomicPtr<()>,
    /// The goroutine that this M runs, or null. Written by this M.
    pub(crate) curg: AtomicPtr<G>,
    /// What the goroutine that just suspended wants done on this stack. Own.
    pub(crate) commit: Cell<Option<(Commit, *mut ())>>,
    /// What is unusual about that park. Own.
    pub(crate) unusual: Cell<Option<Unusual>>,
    /// The goroutine whose commit function is running, or null: a waker that found it by other
    /// means than its publication waits until this is over. Written by this M.
    pub(crate) committing: AtomicPtr<G>,

    /// Its runtime (type `Sched` above).
    pub(crate) sched: *const (),
    /// The number of its runtime in traces.
    pub(crate) trace_id: u32,
    pub(crate) id: u32,
    /// Kernel's id of the thread, once it runs; for the monitor.
    pub(crate) tid: AtomicU32,
    /// Whether code of others runs on its stack: see `sched/pin.rs`. Written by this M.
    pub(crate) collecting: AtomicBool,
    /// The part of its own stack that has only the scheduler's frames on it: from, and below.
    pub(crate) native: [AtomicUsize; 2],
    /// Its alternate stack for signals.
    pub(crate) alternate: [AtomicUsize; 2],
    /// Sleeps here when it has nothing to do, or while its locked goroutine waits.
    pub(crate) note: Note,
    /// A P that was handed over together with a wake-up. Written by the waker before it wakes.
    pub(crate) nextp: AtomicPtr<()>,
    /// The goroutine that alone may run here, or null. Written by the goroutine on this M.
    pub(crate) locked_g: AtomicPtr<G>,
    /// Goroutines that started here and stay here (`pin_started`).
    pub(crate) pinned: pinned::Pinned,
    /// Why the goroutine that runs next gets no stack of its own. Own.
    pub(crate) no_stack: Cell<Option<String>>,
    /// State of the M's random numbers. Own.
    pub(crate) rng: Cell<u32>,
    /// Its buffer of a trace's events (type `Ring` above), or null. Own.
    pub(crate) ring: Cell<*const ()>,
}

pub(crate) mod pinned;

// SAFETY: the cells are the M's own: only its thread touches them.
unsafe impl Sync for M {}
// SAFETY: as above; the record is made by one thread and used by another.
unsafe impl Send for M {}

impl M {
    pub(crate) fn new(id: u32, sched: *const (), trace_id: u32) -> M {
        M {
            handshake: Handshake::new(),
            spinning: AtomicBool::new(false),
            p: AtomicPtr::new(ptr::null_mut()),
            curg: AtomicPtr::new(ptr::null_mut()),
            commit: Cell::new(None),
            unusual: Cell::new(None),
            committing: AtomicPtr::new(ptr::null_mut()),
            sched,
            trace_id,
            id,
            tid: AtomicU32::new(0),
            collecting: AtomicBool::new(false),
            native: [AtomicUsize::new(0), AtomicUsize::new(0)],
            alternate: [AtomicUsize::new(0), AtomicUsize::new(0)],
            note: Note::new(),
            nextp: AtomicPtr::new(ptr::null_mut()),
            locked_g: AtomicPtr::new(ptr::null_mut()),
            pinned: pinned::Pinned::new(),
            no_stack: Cell::new(None),
            rng: Cell::new(id.wrapping_mul(0x9E37_79B9) | 1),
            ring: Cell::new(ptr::null()),
        }
    }

    /// A pseudo-random number below `n` (xorshift; for the order of stealing, and of a select's arms).
    pub(crate) fn random(&self, n: u32) -> u32 {
        let x = xorshift(self.rng.get());
        self.rng.set(x);
        ((u64::from(x) * u64::from(n)) >> 32) as u32
    }
}

/// The next of a row of pseudo-random numbers; not zero if `x` is not.
#[inline]
pub(crate) fn xorshift(mut x: u32) -> u32 {
    x ^= x << 13;
    x ^= x >> 17;
    x ^ (x << 5)
}
