//! A list of goroutines that have ended, for one who waits for any of several: what the end of each is
//! reported to (`join.rs`), so that the waiter need not look at all of them at each wake-up.
//!
//! Each registration owns a share of the list (a count of its `Arc`), as a raw pointer in the
//! goroutine's join word: an end that is just being reported keeps the list, also when its waiter has
//! gone. The list knows goroutines by numbers only, so nobody needs a G to be alive for it.
//!
//! The waiter is claimed under the lock, and takes the lock after an interrupted wait before it goes
//! on, so nobody claims it later.

use super::parker::{Claimed, Token, Waiter};
use crate::atomics::Mutex;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Arrivals {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// In the order in which they ended. Has room for all from the start: a report allocates nothing.
    ended: Vec<u32>,
    /// How many of them were taken.
    taken: usize,
    /// Who waits until so many wait to be taken.
    waiter: Option<(Waiter, usize)>,
}

impl Arrivals {
    /// For the ends of `n` goroutines.
    pub(crate) fn new(n: usize) -> Arc<Arrivals> {
        Arc::new(Arrivals {
            inner: Mutex::new(Inner {
                ended: Vec::with_capacity(n),
                taken: 0,
                waiter: None,
            }),
        })
    }

    /// A share, for a registration.
    pub(crate) fn share(self: &Arc<Arrivals>) -> *const () {
        Arc::into_raw(Arc::clone(self)).cast()
    }

    /// Gives a share up without a report.
    ///
    /// # Safety
    /// `share` is a share, which the caller owns.
    pub(crate) unsafe fn give_up(share: *const ()) {
        // SAFETY: the caller's promise.
        drop(unsafe { Arc::from_raw(share.cast::<Arrivals>()) });
    }

    /// Reports an end, and gives the share up. The waiter, if that was what it waited for.
    ///
    /// # Safety
    /// As for [`Arrivals::give_up`].
    pub(crate) unsafe fn report(share: *const (), number: u32) -> Option<Claimed> {
        // SAFETY: the caller's promise.
        let this = unsafe { Arc::from_raw(share.cast::<Arrivals>()) };
        let mut inner = this.inner.lock();
        inner.ended.push(number);
        let waiting = inner.ended.len() - inner.taken;
        let waiter = inner.waiter.take_if(|w| w.1 <= waiting);
        waiter.and_then(|(w, _)| w.claim(Token::new(0)))
    }

    /// Notes the end of a goroutine that had ended before it could be registered.
    pub(crate) fn note(&self, number: u32) {
        self.inner.lock().ended.push(number);
    }

    /// Takes the one that ended first.
    pub(crate) fn take(&self) -> Option<u32> {
        let mut inner = self.inner.lock();
        let number = *inner.ended.get(inner.taken)?;
        inner.taken += 1;
        Some(number)
    }

    /// Whether so many wait to be taken.
    pub(crate) fn has(&self, wanted: usize) -> bool {
        self.inner.lock().has(wanted)
    }

    /// For the waiter's park: a guard under which nothing is reported, unless enough was already.
    pub(crate) fn lock_unless(&self, wanted: usize, waiter: Waiter) -> Option<impl Sized + '_> {
        let mut inner = self.inner.lock();
        if inner.has(wanted) {
            return None;
        }
        inner.waiter = Some((waiter, wanted));
        Some(inner)
    }

    /// The wait has ended otherwise.
    pub(crate) fn forget_waiter(&self) {
        self.inner.lock().waiter = None;
    }
}

impl Inner {
    fn has(&self, wanted: usize) -> bool {
        self.ended.len() - self.taken >= wanted
    }
}
