//! The sending end.

use crate::error::{SendError, TrySendError};
use crate::hchan::{Hchan, Refused};
use runtime::park::{self, Interrupt, WaitReason};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

/// The sending end of a channel. Clones share the channel; when the last one is dropped, the
/// channel is closed, and receivers get what is in it and then an error.
pub struct Sender<T> {
    /// `None` is a nil channel.
    chan: Option<NonNull<Hchan<T>>>,
}

// SAFETY: a shared handle on a channel, which is Sync for values that are Send.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Sender<T> {}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    pub(crate) fn new(chan: NonNull<Hchan<T>>) -> Sender<T> {
        Sender { chan: Some(chan) }
    }

    /// The sending end of a nil channel (a `nil` of Go's type `chan<- T`): a send blocks for ever.
    ///
    /// ```
    /// let tx = channels::Sender::<i32>::nil();
    /// assert!(tx.try_send(1).is_err());
    /// ```
    pub const fn nil() -> Sender<T> {
        Sender { chan: None }
    }

    fn chan(&self) -> Option<&Hchan<T>> {
        // SAFETY: this handle keeps the channel.
        self.chan.map(|c| unsafe { &*c.as_ptr() })
    }

    /// Sends a value, waiting while the channel is full (or, unbuffered, until a receiver takes
    /// it). A goroutine parks meanwhile, a plain thread blocks.
    ///
    /// # Errors
    /// If the channel is closed or has no receiver any more; the value comes back in the error.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.chan() {
            Some(chan) => chan.send(value).map_err(SendError),
            None => {
                block_for_ever(WaitReason::ChanSendNil);
                Err(SendError(value))
            }
        }
    }

    /// Sends a value without waiting: if there is room, or a receiver waits.
    ///
    /// # Errors
    /// If the channel is full, or closed, or has no receiver any more; the value comes back.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.chan() {
            Some(chan) => chan.try_send(value).map_err(|refused| match refused {
                Refused::Full(value) => TrySendError::Full(value),
                Refused::Closed(value) => TrySendError::Disconnected(value),
            }),
            None => Err(TrySendError::Full(value)),
        }
    }

    /// Closes the channel, as Go's `close`: those who wait to send get their values back, those
    /// who wait to receive get what is in the channel and then an error. False if it was closed
    /// already, or is nil.
    ///
    /// ```
    /// let (tx, rx) = channels::bounded(2);
    /// tx.send(1).unwrap();
    /// assert!(tx.close());
    /// assert!(tx.send(2).is_err());
    /// assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn close(&self) -> bool {
        self.chan().is_some_and(Hchan::close)
    }

    /// Whether the channel was closed, or has lost all handles of one side.
    pub fn is_closed(&self) -> bool {
        self.chan().is_some_and(Hchan::is_closed)
    }

    /// Whether there is no value in the channel (always so if it is unbuffered).
    pub fn is_empty(&self) -> bool {
        self.chan().is_none_or(Hchan::is_empty)
    }

    /// Whether there is no room in the channel (always so if it is unbuffered).
    pub fn is_full(&self) -> bool {
        self.chan().is_none_or(Hchan::is_full)
    }

    /// Values in the channel.
    pub fn len(&self) -> usize {
        self.chan().map_or(0, Hchan::len)
    }

    /// Capacity of the channel; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.chan().map_or(Some(0), Hchan::capacity)
    }

    /// Whether two senders belong to the same channel. (Nil channels are all the same one.)
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.chan == other.chan
    }
}

/// What an operation on a nil channel does. Returns only if the goroutine is unwinding already.
#[cold]
pub(crate) fn block_for_ever(reason: WaitReason) {
    loop {
        // SAFETY: the window is parked with at once; nothing is published, so only a shutdown
        // ends the wait.
        let (window, _) = unsafe { park::enter().park(reason, Interrupt::Allowed, || true) };
        let on_goroutine = window.is_goroutine();
        drop(window);
        if on_goroutine {
            return park::interrupted();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        if let Some(chan) = self.chan() {
            chan.add_sender();
        }
        Sender { chan: self.chan }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(chan) = self.chan {
            // SAFETY: this handle's share ends here.
            unsafe { Hchan::drop_sender(chan) };
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
