//! Who waits for a timer that may be set to another time meanwhile.

use crate::atomics::Mutex;
use crate::g::parker::{Claimed, Token, Waiter};
use crate::g::status::WaitReason;
use crate::park::{Interrupt, Source, Taken};
use crate::sched::{Window, interrupt};
use std::time::Instant;

/// A state of type `S`, and those who want to know of its changes.
#[derive(Debug)]
pub(super) struct Watched<S>(Mutex<(S, Vec<(Waiter, Token)>)>);

impl<S> Watched<S> {
    pub(super) fn new(state: S) -> Watched<S> {
        Watched(Mutex::new((state, Vec::new())))
    }

    /// Reads the state, or changes it in a way that nobody needs to know of.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut S) -> T) -> T {
        f(&mut self.0.lock().0)
    }

    /// Changes the state, and tells all who watch.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut S) -> T) -> T {
        let (result, claimed) = {
            let mut inner = self.0.lock();
            let result = f(&mut inner.0);
            // Claimed under the lock: a waiter that was interrupted takes it before it goes on, so
            // its parker is there. (Afterwards its goroutine, and its runtime, may be gone.)
            let claimed: Vec<Claimed> = inner
                .1
                .drain(..)
                .filter_map(|(w, token)| w.claim(token))
                .collect();
            (result, claimed)
        };
        claimed.into_iter().for_each(Claimed::ready);
        result
    }

    pub(super) fn watch(&self, waiter: Waiter, token: Token) {
        self.0.lock().1.push((waiter, token));
    }

    pub(super) fn unwatch(&self, waiter: Waiter) {
        self.0.lock().1.retain(|(w, _)| *w != waiter);
    }
}

/// Waits for an item of a source. `None` if it is closed, or the caller is unwinding and must not
/// wait.
pub(super) fn wait<T>(source: &impl Source<Item = T>) -> Option<T> {
    loop {
        match source.try_take() {
            Taken::Item(item) => return Some(item),
            Taken::Closed => return None,
            Taken::Empty(_) => {}
        }
        let window = Window::enter();
        // SAFETY: the wait ends below, by a park or by our own claim; the source forgets it
        // before the caller goes on.
        let waiter = unsafe { window.open_waiter() };
        source.watch(&window, waiter, Token::new(0));
        let (window, token) = match source.state() {
            // SAFETY: opened above.
            Taken::Empty(until) => unsafe {
                window.park_open(WaitReason::Timer, Interrupt::Allowed, until, || true)
            },
            _ => {
                let _ = waiter.claim(Token::NOT_PARKED);
                (window, Token::NOT_PARKED)
            }
        };
        source.unwatch(&window, waiter);
        drop(window);
        if token == Token::INTERRUPTED {
            interrupt::interrupted();
            return None;
        }
    }
}

/// The answer of a source whose item comes at `at`.
pub(super) fn due(at: Option<Instant>) -> Taken<Instant> {
    match at {
        Some(at) if at <= Instant::now() => Taken::Item(at),
        other => Taken::Empty(other),
    }
}
