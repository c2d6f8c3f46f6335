//! What the primitives of `api/sync` stand on, for their models: `park.rs` and `sched/window.rs`
//! with each thread of the model as a plain thread. Those primitives' files are compiled as they are.
//!
//! Deadlines and interrupts are a thread of their own ([`end_wait`]), which ends another's wait at
//! any moment. The clock is not modelled: a model says whether all waits are long.

use super::Sleeper;
use crate::g::parker::{Token, Waiter};
use crate::g::wait::Wait;
use crate::p::lock::{Held, Lock};
use std::cell::Cell;
use std::ptr;
// Not part of the model: what a model sets before it starts.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

static WAITS_ARE_LONG: AtomicBool = AtomicBool::new(false);
static SPINS: AtomicU32 = AtomicU32::new(0);

/// Held while a model runs that has set these: they are of the whole process.
static SETTINGS: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs a model in which all waits are long or none, with so many turns of spinning before each.
pub(super) fn with(waits_are_long: bool, spins: u32, model: impl FnOnce()) {
    let _settings = SETTINGS.lock();
    WAITS_ARE_LONG.store(waits_are_long, Relaxed);
    SPINS.store(spins, Relaxed);
    model();
}

pub(crate) fn everybody_waited_long() -> bool {
    WAITS_ARE_LONG.load(Relaxed)
}

loom::thread_local! {
    static ME: Cell<*const Sleeper> = Cell::new(ptr::null());
}

/// Says who the calling thread is. It must be said before the thread enters.
pub(super) fn i_am(sleeper: &Sleeper) {
    ME.with(|me| me.set(sleeper));
}

/// Ends the wait of another, if it is in one, as a deadline does. Whether it did.
pub(super) fn end_wait(sleeper: &Sleeper) -> bool {
    let waiter = sleeper.parker.armed();
    match waiter.and_then(|waiter| waiter.claim(Token::TIMEOUT)) {
        Some(claimed) => {
            claimed.ready();
            true
        }
        None => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    Allowed,
    Forbidden,
}

pub(crate) struct Window(*const Sleeper);

pub(crate) unsafe fn enter() -> Window {
    Window(ME.with(Cell::get))
}

pub(crate) unsafe fn enter_quietly() -> Window {
    Window(ME.with(Cell::get))
}

pub(crate) fn interrupted() {
    unreachable!("the models end waits by deadlines");
}

impl Window {
    fn me(&self) -> &Sleeper {
        // SAFETY: the models' sleepers outlive their threads.
        unsafe { self.0.as_ref() }.expect("the thread has said who it is")
    }

    pub(crate) unsafe fn lock(&self, lock: &Lock) -> Held {
        lock.lock_unbiased()
    }

    pub(crate) unsafe fn waiter(&self) -> Waiter {
        self.me().parker.episode()
    }

    pub(crate) fn may_spin(&self, n: u32) -> bool {
        n < SPINS.load(Relaxed)
    }

    pub(crate) fn spin(&self, _: u32) {
        loom::thread::yield_now();
    }

    pub(crate) unsafe fn park_until<F: FnOnce() -> bool>(
        self,
        _: impl Into<Wait>,
        _: Interrupt,
        _: Option<Instant>,
        commit: F,
    ) -> (Window, Token) {
        let me = self.me();
        me.parker.arm(me.parker.episode());
        assert!(commit());
        me.wait();
        let token = me.parker.token();
        (self, token)
    }
}
