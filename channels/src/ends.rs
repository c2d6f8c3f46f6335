//! How a channel ends: handles are counted on each side; the last one of a side closes the channel,
//! and the side that goes second frees it.

use crate::hchan::{Hchan, Took};
use crate::head::enter_quietly;
use std::alloc::dealloc;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

impl<T> Hchan<T> {
    pub(crate) fn add_sender(&self) {
        add(&self.head.senders);
    }

    pub(crate) fn add_receiver(&self) {
        add(&self.head.receivers);
    }

    /// A sender goes. The last one closes the channel.
    ///
    /// # Safety
    /// The caller's share in the channel ends here.
    pub(crate) unsafe fn drop_sender(chan: NonNull<Hchan<T>>) {
        // SAFETY: the caller's share keeps the channel.
        unsafe {
            if last(&chan.as_ref().head.senders) {
                Self::side_gone(chan, false);
            }
        }
    }

    /// A receiver goes. The last one closes the channel and drops what nobody will receive.
    ///
    /// # Safety
    /// The caller's share in the channel ends here.
    pub(crate) unsafe fn drop_receiver(chan: NonNull<Hchan<T>>) {
        // SAFETY: the caller's share keeps the channel.
        unsafe {
            if last(&chan.as_ref().head.receivers) {
                Self::side_gone(chan, true);
            }
        }
    }

    /// One side has no handle left: closes the channel, and frees it if the other side went
    /// before. In the usual case (nobody waits, nothing is left) one turn of the loop.
    ///
    /// # Safety
    /// The caller's share in the channel ends here.
    unsafe fn side_gone(chan: NonNull<Hchan<T>>, discard: bool) {
        loop {
            // SAFETY: the caller's share keeps the channel until `one_side_gone` is set; whoever
            // finds it set is the last.
            unsafe {
                let this = chan.as_ref();
                let window = enter_quietly();
                let (held, queues) = this.head.lock(&window);
                this.head.set_closed();
                if let Some(claimed) = queues.first_of_all() {
                    this.head.unlock(held);
                    claimed.ready_in(&window);
                } else if discard && let Ok(Took::Value(value, _)) = this.take(&window, queues) {
                    this.head.unlock(held);
                    drop(window);
                    // The user's code, outside. Should it unwind, the rest is dropped all the
                    // same.
                    let rest = Rest(chan);
                    drop(value);
                    std::mem::forget(rest);
                } else {
                    let last = queues.one_side_gone.replace(true);
                    // With the unlock the channel may be gone: only the lock itself, an atomic
                    // word, is referred to.
                    let lock = &raw const (*chan.as_ptr()).head.lock;
                    (*lock).unlock(held);
                    if last {
                        window.retire_lock(&mut (*chan.as_ptr()).head.lock);
                        drop(window);
                        Self::free(chan);
                    }
                    return;
                }
            }
        }
    }

    /// # Safety
    /// Both sides are gone, and the values have been taken out.
    unsafe fn free(chan: NonNull<Hchan<T>>) {
        // SAFETY: nobody else knows of the channel any more.
        unsafe {
            let layout = Self::layout(chan.as_ref().head.cap()).0;
            ptr::drop_in_place(chan.as_ptr());
            dealloc(chan.as_ptr().cast(), layout);
        }
    }
}

/// What is left to do for the last receiver when a value's destructor unwinds.
struct Rest<T>(NonNull<Hchan<T>>);

impl<T> Drop for Rest<T> {
    fn drop(&mut self) {
        // SAFETY: the share of the receiver that was being dropped ends here.
        unsafe { Hchan::side_gone(self.0, true) };
    }
}

/// Counts another handle.
fn add(count: &AtomicUsize) {
    // Relaxed: made from a handle that keeps the count above zero.
    if count.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
        // Handles were leaked in a loop; going on would free the channel under the others.
        std::process::abort();
    }
}

/// Counts a handle out; whether it was the last.
#[inline]
fn last(count: &AtomicUsize) -> bool {
    // Acquire and AcqRel: what the other handles did is before what the last one does. A lone
    // handle cannot be cloned by anybody else: no read-modify-write is needed.
    count.load(Ordering::Acquire) == 1 || count.fetch_sub(1, Ordering::AcqRel) == 1
}
