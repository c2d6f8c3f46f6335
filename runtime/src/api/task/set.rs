//! Several handles, of which those whose goroutines have ended are found in the order of their ends, each
//! at the same small cost however many there are: what all of `task` is built on.
//!
//! Every join word of the set leads to one list (`g/arrivals.rs`), on which an end puts its number. The
//! set takes a word's registration back before it lets go of its handle.

use super::joinable::Joinable;
use crate::api::join::joins_itself;
use crate::g::arrivals::Arrivals;
use crate::g::interrupt::Request;
use crate::g::parker::Token;
use crate::g::status::WaitReason;
use crate::g::task::JoinError;
use crate::park::{Interrupt, Subject, Wait};
use crate::sched::Window;
use crate::sched::interrupt::{self, cancel_all, me, take_request, unwind};
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

static GOROUTINES: Subject = Subject::named("goroutines");

/// The handles, each until its goroutine's result was taken.
pub(super) struct Set<H: Joinable> {
    handles: Vec<Option<H>>,
    /// How many of them are left.
    left: usize,
    arrivals: Arc<Arrivals>,
}

/// How a wait of a set ended.
#[must_use]
pub(super) enum Next<T> {
    /// The goroutine with this number has ended.
    Ended(usize, Result<T, JoinError>),
    /// The deadline has passed.
    TimedOut,
    /// The caller shall unwind, or unwinds already: what was asked of it is not taken yet.
    Interrupted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Waited {
    Enough,
    TimedOut,
    Interrupted,
}

impl<H: Joinable> Set<H> {
    /// # Panics
    /// If one of the handles is the calling goroutine's own.
    pub(super) fn new(handles: impl IntoIterator<Item = H>) -> Set<H> {
        let handles: Vec<_> = handles.into_iter().map(Some).collect();
        assert!(u32::try_from(handles.len()).is_ok(), "too many handles");
        if let Some(own) = own_parker()
            && handles
                .iter()
                .flatten()
                .any(|h| ptr::eq(&h.raw().0.parker, own))
        {
            joins_itself();
        }
        let arrivals = Arrivals::new(handles.len());
        for (number, handle) in handles.iter().flatten().enumerate() {
            let number = number as u32;
            let share = arrivals.share();
            if !handle.raw().0.join.register_list(share, number) {
                // SAFETY: it was not registered.
                unsafe { Arrivals::give_up(share) };
                arrivals.note(number);
            }
        }
        Set {
            left: handles.len(),
            handles,
            arrivals,
        }
    }

    /// How many results were not taken.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Waits until `wanted` of those that are left have ended.
    pub(super) fn wait(&self, wanted: usize, until: Option<Instant>) -> Waited {
        loop {
            // Quietly: who is asked to unwind shall learn it below, and see to the goroutines first.
            let window = Window::enter_quietly();
            // SAFETY: for the park below; published under the list's lock, and forgotten by who
            // claims it, or below.
            let waiter = unsafe { window.waiter() };
            let Some(guard) = self.arrivals.lock_unless(wanted, waiter) else {
                return Waited::Enough;
            };
            // SAFETY: the commit releases the lock under which the waiter was published, and does
            // nothing else.
            let (window, token) = unsafe {
                window.park_until(
                    Wait::on(WaitReason::Join, &*self.arrivals, &GOROUTINES),
                    Interrupt::Allowed,
                    until,
                    || {
                        drop(guard);
                        true
                    },
                )
            };
            drop(window);
            if token != Token::TIMEOUT && token != Token::INTERRUPTED {
                continue;
            }
            self.arrivals.forget_waiter();
            return match token {
                _ if self.arrivals.has(wanted) => Waited::Enough,
                Token::TIMEOUT => Waited::TimedOut,
                _ => Waited::Interrupted,
            };
        }
    }

    /// Waits for the next end, and takes its result. There must be one left.
    pub(super) fn next(&mut self, until: Option<Instant>) -> Next<H::Output> {
        match self.next_handle(until) {
            // SAFETY: its end was reported.
            Ok((number, handle)) => Next::Ended(number, unsafe { handle.take_output() }),
            Err(Waited::TimedOut) => Next::TimedOut,
            Err(_) => Next::Interrupted,
        }
    }

    /// Waits for the next end, and lets go of its handle.
    fn next_handle(&mut self, until: Option<Instant>) -> Result<(usize, H), Waited> {
        debug_assert!(self.left > 0);
        loop {
            if let Some(number) = self.arrivals.take() {
                let number = number as usize;
                let handle = self.handles[number].take().expect("each ends once");
                self.left -= 1;
                return Ok((number, handle));
            }
            match self.wait(1, until) {
                Waited::Enough => {}
                other => return Err(other),
            }
        }
    }

    /// Waits until all that are left have ended, or one has failed; nothing is let go of. To be called
    /// once, and no `next` after it.
    pub(super) fn wait_for_failure(&self, until: Option<Instant>) -> Waited {
        for _ in 0..self.left {
            match self.wait(1, until) {
                Waited::Enough => {}
                other => return other,
            }
            let ended = self
                .arrivals
                .take()
                .and_then(|n| self.handles[n as usize].as_ref());
            // SAFETY: its end was reported.
            if ended.is_some_and(|h| unsafe { h.has_failed() }) {
                break;
            }
        }
        Waited::Enough
    }

    /// The handles that are left, in their order.
    fn handles(&self) -> impl Iterator<Item = &H> + Clone {
        self.handles.iter().flatten()
    }

    /// Those that a cancel of the caller is passed on to.
    fn unshielded(&self) -> impl Iterator<Item = &H> + Clone {
        self.handles().filter(|h| !h.is_shielded())
    }

    /// Cancels those that are left and not shielded; whether there are any.
    pub(super) fn cancel(&self) -> bool {
        let mut gs = self.unshielded().map(|h| h.raw().0);
        // SAFETY: a G is not freed while its handle exists.
        unsafe { cancel_all(gs.clone().filter(|g| !g.join.is_done())) };
        gs.next().is_some()
    }

    /// The caller was interrupted: what it waits for is cancelled, and waited for; then it unwinds. If
    /// it unwinds already, this returns.
    pub(super) fn cut_short(mut self) {
        let mut asked = take_request();
        // A runtime that stops cuts this wait short too; it sees to its goroutines by itself.
        while self.cancel() && !interrupt::stopping() {
            // Whoever asks again has them cancelled again, as in asyncio.
            if self.drain_unshielded() == Waited::Interrupted {
                asked = me().further(asked, take_request());
            }
        }
        drop(self);
        if std::thread::panicking() {
            // It unwinds for something else, which may be caught before the request is met.
            me().put_back(&asked);
        } else if asked != Request::None || interrupt::stopping() {
            unwind(asked);
        }
    }

    /// Drops results as they come, until only what is shielded is left.
    fn drain_unshielded(&mut self) -> Waited {
        let mut unshielded = self.unshielded().count();
        while unshielded > 0 {
            match self.next_handle(None) {
                Ok((_, handle)) => unshielded -= usize::from(!handle.is_shielded()),
                Err(why) => return why,
            }
        }
        Waited::Enough
    }

    /// Lets go of the handles that are left, in their order.
    pub(super) fn into_handles(mut self) -> impl Iterator<Item = H> {
        self.withdraw();
        std::mem::take(&mut self.handles).into_iter().flatten()
    }

    fn withdraw(&self) {
        for handle in self.handles() {
            if handle.raw().0.join.withdraw() {
                // SAFETY: the share of a registration that was taken back.
                unsafe { Arrivals::give_up(Arc::as_ptr(&self.arrivals).cast()) };
            }
        }
    }
}

impl<H: Joinable> Drop for Set<H> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// The calling goroutine's parker.
fn own_parker() -> Option<*const crate::g::parker::Parker> {
    (!crate::m::current().is_null()).then(|| ptr::from_ref(me()))
}
