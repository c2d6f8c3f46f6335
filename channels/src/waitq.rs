//! Those who wait at a channel: Go's `sudog` and `waitq`.
//!
//! A sudog lives on the stack of whoever waits, linked into its channel's queue under the
//! channel's lock. It is unlinked before its frame ends: by the one who wakes the waiter, or by
//! the waiter itself when its wait ended otherwise.
//!
//! ```text
//!   hchan.recvq                 goroutine 7's stack      goroutine 9's stack
//!   first ------------------->  Sudog { next -------->   Sudog { next: null
//!   last  ------------------------------------------->           prev ----> 7's
//!                                 elem --> slot }                elem --> slot }
//! ```

use runtime::park::Waiter;
use std::ptr;

/// One wait at one channel.
#[derive(Debug)]
pub(crate) struct Sudog {
    waiter: Waiter,
    /// Where the waiter's value is (a sender's), or shall go (a receiver's).
    pub(crate) elem: *mut (),
    next: *mut Sudog,
    prev: *mut Sudog,
    /// Whether it is linked into a queue.
    queued: bool,
}

impl Sudog {
    pub(crate) fn new(waiter: Waiter, elem: *mut ()) -> Sudog {
        Sudog {
            waiter,
            elem,
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
            queued: false,
        }
    }

    pub(crate) fn waiter(&self) -> Waiter {
        self.waiter
    }
}

/// A queue of waiters, first in, first out. All of it is protected by the channel's lock.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    first: *mut Sudog,
    last: *mut Sudog,
}

impl WaitQueue {
    pub(crate) const fn new() -> WaitQueue {
        WaitQueue {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// # Safety
    /// The channel's lock is held. `s` is in no queue, and stays in its place until it is out of
    /// this one.
    #[inline]
    pub(crate) unsafe fn push(&mut self, s: *mut Sudog) {
        // SAFETY: s is valid; what is in the queue is valid.
        unsafe {
            (*s).next = ptr::null_mut();
            (*s).prev = self.last;
            (*s).queued = true;
            if self.last.is_null() {
                self.first = s;
            } else {
                (*self.last).next = s;
            }
        }
        self.last = s;
    }

    /// # Safety
    /// The channel's lock is held. What is returned stays valid only until the lock is released
    /// or its waiter claimed and made ready.
    #[inline]
    pub(crate) unsafe fn pop(&mut self) -> Option<*mut Sudog> {
        let s = self.first;
        if s.is_null() {
            return None;
        }
        // SAFETY: what is in the queue is valid.
        unsafe {
            self.first = (*s).next;
            if self.first.is_null() {
                self.last = ptr::null_mut();
            } else {
                (*self.first).prev = ptr::null_mut();
            }
            (*s).queued = false;
        }
        Some(s)
    }

    /// Takes `s` out, if it is still in.
    ///
    /// # Safety
    /// The channel's lock is held; `s` was pushed to this queue.
    pub(crate) unsafe fn remove(&mut self, s: *mut Sudog) {
        // SAFETY: s is valid; what is in the queue is valid.
        unsafe {
            if !(*s).queued {
                return;
            }
            (*s).queued = false;
            let (prev, next) = ((*s).prev, (*s).next);
            match prev.is_null() {
                true => self.first = next,
                false => (*prev).next = next,
            }
            match next.is_null() {
                true => self.last = prev,
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
        let mut q = WaitQueue::new();
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
