//! What timers, tickers and signals have in common: a state that gives items now and then, and those who
//! wait for them and want to know of its changes.

use crate::atomics::Mutex;
use crate::g::parker::{Claimed, Token, Waiter};
use crate::g::status::WaitReason;
use crate::park::{Interrupt, Source, Taken};
use crate::sched::{Window, interrupt};
use std::time::Instant;

/// A state that gives items.
pub(super) trait Gives: Send {
    type Item;

    /// Why who waits for it waits.
    const REASON: WaitReason;

    /// What [`Gives::take`] would find.
    fn look(&self) -> Taken<()>;

    /// Takes the next item, if there is one.
    fn take(&mut self) -> Taken<Self::Item>;
}

/// A state that says when something fires.
pub(super) trait Fires: Send {
    /// When it fires next; `None` is never.
    fn next(&self) -> Option<Instant>;

    /// It has fired, at the time that `next` gave, and was received.
    fn received(&mut self, at: Instant);
}

impl<S: Fires> Gives for S {
    type Item = Instant;

    const REASON: WaitReason = WaitReason::Timer;

    fn look(&self) -> Taken<()> {
        due(self.next()).without_item()
    }

    fn take(&mut self) -> Taken<Instant> {
        let answer = due(self.next());
        if let Taken::Item(at) = answer {
            self.received(at);
        }
        answer
    }
}

/// A state of type `S`, and those who want to know of its changes.
#[derive(Debug)]
pub(super) struct Watched<S>(Mutex<(S, Vec<(Waiter, Token)>)>);

impl<S> Watched<S> {
    pub(super) fn new(state: S) -> Watched<S> {
        Watched(Mutex::new((state, Vec::new())))
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
}

impl<S: Gives> Watched<S> {
    /// Takes the item that is there.
    pub(super) fn try_wait(&self) -> Option<S::Item> {
        match self.try_take() {
            Taken::Item(item) => Some(item),
            _ => None,
        }
    }

    /// Waits until there is one. `None` if the caller is unwinding and must not wait.
    pub(super) fn wait(&self) -> Option<S::Item> {
        loop {
            if let Some(item) = self.try_wait() {
                return Some(item);
            }
            let window = Window::enter();
            // SAFETY: the wait ends below, by a park or by our own claim; it is forgotten before
            // the caller goes on.
            let waiter = unsafe { window.open_waiter() };
            self.watch(&window, waiter, Token::new(0));
            let (window, token) = match self.state() {
                // SAFETY: opened above.
                Taken::Empty(until) => unsafe {
                    window.park_open(S::REASON, Interrupt::Allowed, until, || true)
                },
                _ => {
                    let _ = waiter.claim(Token::NOT_PARKED);
                    (window, Token::NOT_PARKED)
                }
            };
            self.unwatch(&window, waiter);
            drop(window);
            if token == Token::INTERRUPTED {
                interrupt::interrupted();
                return None;
            }
        }
    }
}

// SAFETY: the state has a short lock of its own, under which watchers are claimed, and which `unwatch`
// takes.
unsafe impl<S: Gives> Source for Watched<S> {
    type Item = S::Item;

    fn try_take(&self) -> Taken<S::Item> {
        self.0.lock().0.take()
    }

    fn state(&self) -> Taken<()> {
        self.0.lock().0.look()
    }

    fn watch(&self, _: &Window, waiter: Waiter, token: Token) {
        self.0.lock().1.push((waiter, token));
    }

    fn unwatch(&self, _: &Window, waiter: Waiter) {
        self.0.lock().1.retain(|(w, _)| *w != waiter);
    }
}

/// The answer of what fires at `at`.
fn due(at: Option<Instant>) -> Taken<Instant> {
    match at {
        Some(at) if at <= Instant::now() => Taken::Item(at),
        other => Taken::Empty(other),
    }
}
