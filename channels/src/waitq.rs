//! Those who wait at a channel: Go's `sudog` and `waitq`.
//!
//! A sudog lives on the stack of whoever waits, linked into its channel's queue under the
//! channel's lock. It is unlinked before its frame ends: by the one who wakes the waiter, or by
//! the waiter itself when its wait ended otherwise. A select has one sudog per arm, all with the same
//! waiter: only one of them is claimed, and the token says which.
//!
//! ```text
//!   hchan.recvq                 goroutine 7's stack      goroutine 9's stack
//!   first ------------------->  Sudog { next -------->   Sudog { next: null
//!   last  ------------------------------------------->           prev ----> 7's
//!                                 elem --> slot }                elem --> slot }
//! ```

use runtime::park::{Claimed, Token, Waiter};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a claim's token says of a sudog: what it waited for has come.
pub(crate) const DONE: u32 = 0;
/// The channel was closed.
pub(crate) const CLOSED: u32 = 1;
/// Number of outcomes: the token is a multiple of it, the sudog's own, plus one of them.
pub(crate) const OUTCOMES: u32 = 2;

/// One wait at one channel.
#[derive(Debug)]
pub struct Sudog {
    waiter: Waiter,
    /// Where the waiter's value is (a sender's), or shall go (a receiver's). Null: a select that
    /// sends, and will only make the value when it has been chosen.
    pub(crate) elem: *mut (),
    next: *mut Sudog,
    prev: *mut Sudog,
    /// Added to the outcome in the claim's token: which arm of a select it is.
    base: Token,
    /// Whether it is linked into a queue.
    queued: bool,
    /// Whoever claimed it could not do what it claimed it for: the waiter starts again.
    pub(crate) void: bool,
}

impl Sudog {
    #[inline]
    pub(crate) fn new(waiter: Waiter, elem: *mut ()) -> Sudog {
        Sudog::of_arm(waiter, elem, 0)
    }

    /// That of a select's arm.
    #[inline]
    pub(crate) fn of_arm(waiter: Waiter, elem: *mut (), arm: u32) -> Sudog {
        Sudog {
            waiter,
            elem,
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
            base: Token::new(arm * OUTCOMES),
            queued: false,
            void: false,
        }
    }

    #[inline]
    pub(crate) fn claim(&self, outcome: u32) -> Option<Claimed> {
        self.waiter.claim(self.base.plus(outcome))
    }
}

/// A queue of waiters, first in, first out. All of it is protected by the channel's lock; only
/// whether it is empty may be read without. (So nobody has a unique reference to it: who reads
/// without the lock has a shared one.)
#[derive(Debug)]
pub(crate) struct WaitQueue {
    first: AtomicPtr<Sudog>,
    last: Cell<*mut Sudog>,
}

impl WaitQueue {
    pub(crate) const fn new() -> WaitQueue {
        WaitQueue {
            first: AtomicPtr::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_null()
    }

    /// Relaxed, here and in `set_first`: ordered by the lock; who reads without it gets a hint.
    #[inline]
    fn first(&self) -> *mut Sudog {
        self.first.load(Ordering::Relaxed)
    }

    #[inline]
    fn set_first(&self, s: *mut Sudog) {
        self.first.store(s, Ordering::Relaxed);
    }

    /// For tests: how many are in it. Under the lock.
    pub(crate) fn len(&self) -> usize {
        let next = |&s: &*mut Sudog| {
            // SAFETY: what is in the queue is valid.
            let next = unsafe { (*s).next };
            (!next.is_null()).then_some(next)
        };
        let first = self.first();
        std::iter::successors((!first.is_null()).then_some(first), next).count()
    }

    /// # Safety
    /// The channel's lock is held. `s` is in no queue, and stays in its place until it is out of
    /// this one.
    #[inline]
    pub(crate) unsafe fn push(&self, s: *mut Sudog) {
        // SAFETY: s is valid; what is in the queue is valid.
        unsafe {
            (*s).next = ptr::null_mut();
            let last = self.last.replace(s);
            (*s).prev = last;
            (*s).queued = true;
            if last.is_null() {
                self.set_first(s);
            } else {
                (*last).next = s;
            }
        }
    }

    /// # Safety
    /// The channel's lock is held. What is returned stays valid only until the lock is released
    /// or its waiter claimed and made ready.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Option<*mut Sudog> {
        let s = self.first();
        if s.is_null() {
            return None;
        }
        // SAFETY: what is in the queue is valid.
        unsafe {
            let next = (*s).next;
            self.set_first(next);
            if next.is_null() {
                self.last.set(ptr::null_mut());
            } else {
                (*next).prev = ptr::null_mut();
            }
            (*s).queued = false;
        }
        Some(s)
    }

    /// Takes out the first whose wait has not ended otherwise (a select that has chosen another arm, a
    /// deadline, a shutdown), and claims it.
    ///
    /// # Safety
    /// As for `pop`.
    #[inline(always)]
    pub(crate) unsafe fn claim_first(&self, outcome: u32) -> Option<(Claimed, *mut Sudog)> {
        // SAFETY: the caller's promise; a popped sudog is valid under the lock.
        unsafe {
            while let Some(s) = self.pop() {
                if let Some(claimed) = (*s).claim(outcome) {
                    return Some((claimed, s));
                }
            }
        }
        None
    }

    /// Takes `s` out, if it is still in.
    ///
    /// # Safety
    /// The channel's lock is held; `s` was pushed to this queue.
    pub(crate) unsafe fn remove(&self, s: *mut Sudog) {
        // SAFETY: s is valid; what is in the queue is valid.
        unsafe {
            if !(*s).queued {
                return;
            }
            (*s).queued = false;
            let (prev, next) = ((*s).prev, (*s).next);
            match prev.is_null() {
                true => self.set_first(next),
                false => (*prev).next = next,
            }
            match next.is_null() {
                true => self.last.set(prev),
                false => (*next).prev = prev,
            }
        }
    }
}

#[cfg(all(test, not(loom)))] // the runtime's models include this file
mod tests {
    use super::*;

    #[test]
    fn a_queue_keeps_its_order_through_removals() {
        // SAFETY: only a name here: nobody claims it.
        let waiter = unsafe { runtime::park::enter().waiter() };
        let mut s: Vec<Sudog> = (0..5)
            .map(|_| Sudog::new(waiter, ptr::null_mut()))
            .collect();
        let p: Vec<*mut Sudog> = s.iter_mut().map(ptr::from_mut).collect();
        let q = WaitQueue::new();
        // SAFETY: no other thread; the sudogs outlive the queue.
        unsafe {
            for &x in &p {
                q.push(x);
            }
            q.remove(p[0]);
            q.remove(p[2]);
            q.remove(p[4]);
            q.remove(p[2]); // once more does nothing
            assert_eq!(q.pop(), Some(p[1]));
            q.push(p[2]);
            assert_eq!(q.pop(), Some(p[3]));
            assert_eq!(q.pop(), Some(p[2]));
            assert_eq!(q.pop(), None);
            assert!(q.is_empty());
        }
    }
}
