//! Where a scope and its goroutines meet: the list of those that run, and the parent that waits.
//!
//! It lives on the parent's stack. A goroutine of the scope touches it for the last time when it
//! takes itself off the list and releases the lock; the parent leaves only after it has seen, under
//! the lock, that the list is empty. So nobody touches what is gone.
//!
//! The list is what a failure needs: a goroutine that panics and has nobody to hear of it cancels
//! its siblings, and tells the parent's frame to end.

use super::interrupt;
use crate::atomics::{Mutex, MutexGuard, heavy_fence};
use crate::g::G;
use crate::g::interrupt::Frame;
use crate::g::parker::{Claimed, Parker, Token, Waiter};
use std::ptr;

pub(crate) struct ScopeState {
    inner: Mutex<Inner>,
}

struct Inner {
    /// The goroutines that have not ended, linked through `G::siblings`.
    first: *const G,
    len: usize,
    /// The parent, while it waits for the list to be empty.
    parent: Option<Waiter>,
    /// What to tell when a goroutine fails: the parent's parker, and its frame that is this scope.
    frame: (*const Parker, *const Frame),
    /// Those that come after this are cancelled before they start.
    cancelled: bool,
    /// A goroutine panicked whose handle nobody holds.
    unheard_panic: bool,
    /// A goroutine was cancelled by a shutdown, and nobody will hear of it by its handle.
    cut_short: bool,
}

// SAFETY: the goroutines on the list are alive, and their links are used under the lock only.
unsafe impl Send for Inner {}

impl ScopeState {
    pub(crate) fn new() -> ScopeState {
        ScopeState {
            inner: Mutex::new(Inner {
                first: ptr::null(),
                len: 0,
                parent: None,
                frame: (ptr::null(), ptr::null()),
                cancelled: false,
                unheard_panic: false,
                cut_short: false,
            }),
        }
    }

    /// Says which frame of the parent ends when a goroutine fails.
    ///
    /// # Safety
    /// Both are valid as long as goroutines are on the list.
    pub(crate) unsafe fn set_frame(&self, parker: &Parker, frame: &Frame) {
        self.inner.lock().frame = (parker, frame);
    }

    /// A new goroutine, not published yet.
    pub(super) fn add(&self, g: &G) {
        let mut inner = self.inner.lock();
        if inner.cancelled {
            g.parker.request_cancel();
        }
        g.siblings.set((inner.first, ptr::null()));
        // SAFETY: what is on the list is alive.
        if let Some(next) = unsafe { inner.first.as_ref() } {
            next.siblings.set((next.siblings.get().0, g));
        }
        inner.first = g;
        inner.len += 1;
    }

    /// The goroutine has ended, or does not start after all. From here on the scope may be gone.
    pub(super) fn remove(&self, g: &G) {
        let mut inner = self.inner.lock();
        let (next, prev) = g.siblings.get();
        // SAFETY: what is on the list is alive.
        unsafe {
            match prev.as_ref() {
                Some(prev) => prev.siblings.set((next, prev.siblings.get().1)),
                None => inner.first = next,
            }
            if let Some(next) = next.as_ref() {
                next.siblings.set((next.siblings.get().0, prev));
            }
        }
        inner.len -= 1;
        let parent = match inner.len {
            0 => inner.parent.take(),
            _ => None,
        };
        // Claimed under the lock: a parent that was interrupted takes the lock before it goes on.
        let claimed = parent.and_then(|p| p.claim(Token::new(0)));
        drop(inner);
        if let Some(claimed) = claimed {
            claimed.ready();
        }
    }

    /// A goroutine panicked, and nobody hears of it: the scope has failed. Its other goroutines
    /// (but for `except`) are cancelled, and the parent's frame ends.
    pub(crate) fn fail(&self, except: *const G) {
        let mut inner = self.inner.lock();
        if std::mem::replace(&mut inner.unheard_panic, true) {
            return; // asked a second time, the others would be disturbed in their destructors
        }
        inner.end_frame();
        self.interrupt_all(inner, except);
    }

    /// Cancels all goroutines of the scope.
    pub(crate) fn cancel(&self) {
        self.interrupt_all(self.inner.lock(), ptr::null());
    }

    fn interrupt_all(&self, mut inner: MutexGuard<'_, Inner>, except: *const G) {
        inner.cancelled = true;
        if inner.first.is_null() && !inner.unheard_panic {
            return; // nobody is there (nor maybe a runtime, without which there is no fence)
        }
        inner.for_each(except, |g| g.parker.request_cancel());
        // One fence for all of them.
        heavy_fence();
        let mut claimed: Vec<Claimed> = Vec::new();
        inner.for_each(except, |g| claimed.extend(interrupt::claim(&g.parker)));
        if inner.unheard_panic {
            claimed.extend(inner.claim_parent());
        }
        drop(inner);
        for c in claimed {
            c.ready();
        }
    }

    /// A goroutine was cancelled by a shutdown, and nobody will hear of it: what the parent waits
    /// for may never come.
    pub(super) fn cut_short(&self) {
        let mut inner = self.inner.lock();
        inner.cut_short = true;
        inner.end_frame();
        heavy_fence();
        let claimed = inner.claim_parent();
        drop(inner);
        claimed.into_iter().for_each(Claimed::ready);
    }

    pub(crate) fn was_cut_short(&self) -> bool {
        self.inner.lock().cut_short
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.inner.lock().unheard_panic
    }

    /// For the parent's wait: a guard under which goroutines cannot end, unless all have.
    pub(crate) fn lock_unless_empty(&self, parent: Waiter) -> Option<impl Sized + '_> {
        let mut inner = self.inner.lock();
        if inner.len == 0 {
            return None;
        }
        inner.parent = Some(parent);
        Some(inner)
    }

    /// The parent's wait was interrupted.
    pub(crate) fn forget_parent(&self) {
        self.inner.lock().parent = None;
    }
}

impl Inner {
    /// Asks the parent to unwind to its frame. By a goroutine that is on the list, or by the parent.
    fn end_frame(&self) {
        let (parker, frame) = self.frame;
        // SAFETY: `set_frame`'s caller has promised it.
        if let (Some(parker), Some(frame)) = unsafe { (parker.as_ref(), frame.as_ref()) } {
            parker.request_frame(frame);
        }
    }

    /// Ends the parent's wait, after a fence.
    fn claim_parent(&self) -> Option<Claimed> {
        // SAFETY: as in `end_frame`.
        unsafe { self.frame.0.as_ref() }.and_then(interrupt::claim)
    }

    fn for_each(&self, except: *const G, mut f: impl FnMut(&G)) {
        let mut next = self.first;
        // SAFETY: what is on the list is alive.
        while let Some(g) = unsafe { next.as_ref() } {
            if !ptr::eq(g, except) {
                f(g);
            }
            next = g.siblings.get().0;
        }
    }
}
