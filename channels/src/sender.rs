//! The sending end.

use crate::error::{SendError, SendTimeoutError, TrySendError};
use crate::hchan::{Hchan, Refused};
use crate::head::Head;
use crate::select::wait_for_nothing;
use runtime::park::WaitReason;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

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

    #[inline(always)]
    pub(crate) fn chan(&self) -> Option<&Hchan<T>> {
        // SAFETY: this handle keeps the channel.
        self.chan.map(|c| unsafe { &*c.as_ptr() })
    }

    fn head(&self) -> Option<&Head> {
        self.chan().map(|c| &c.head)
    }

    /// Sends a value, waiting while the channel is full (or, unbuffered, until a receiver takes
    /// it). A goroutine parks meanwhile, a plain thread blocks.
    ///
    /// # Errors
    /// If the channel is closed or has no receiver any more; the value comes back in the error.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.chan() {
            Some(chan) => chan.send(value).map_err(|refused| match refused {
                Refused::Full(value) | Refused::Closed(value) => SendError(value),
            }),
            None => {
                wait_for_nothing(WaitReason::ChanSendNil, None);
                Err(SendError(value))
            }
        }
    }

    /// As [`Sender::send`], for at most a time.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = channels::bounded(1);
    /// tx.send_timeout(1, Duration::from_millis(5)).unwrap();
    /// let refused = tx.send_timeout(2, Duration::from_millis(5)).unwrap_err();
    /// assert!(refused.is_timeout());
    /// # drop(rx);
    /// ```
    ///
    /// # Errors
    /// If there was no room (or no receiver) in time, or the channel is closed or has no receiver any
    /// more; the value comes back in the error.
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.send_deadline(value, deadline),
            None => self.send(value).map_err(SendTimeoutError::from),
        }
    }

    /// As [`Sender::send`], at most until a point in time.
    ///
    /// ```
    /// let (tx, _rx) = channels::bounded(0);
    /// assert!(tx.send_deadline(1, std::time::Instant::now()).is_err());
    /// ```
    ///
    /// # Errors
    /// As for [`Sender::send_timeout`].
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        match self.chan() {
            Some(chan) => chan
                .send_until(value, deadline)
                .map_err(|refused| match refused {
                    Refused::Full(value) => SendTimeoutError::Timeout(value),
                    Refused::Closed(value) => SendTimeoutError::Disconnected(value),
                }),
            None => {
                wait_for_nothing(WaitReason::ChanSendNil, Some(deadline));
                Err(SendTimeoutError::Timeout(value))
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
        self.head().is_some_and(Head::close)
    }

    /// Whether the channel was closed, or has lost all handles of one side.
    pub fn is_closed(&self) -> bool {
        self.head().is_some_and(Head::is_closed)
    }

    /// Whether there is no value in the channel (always so if it is unbuffered).
    pub fn is_empty(&self) -> bool {
        self.head().is_none_or(Head::is_empty)
    }

    /// Whether there is no room in the channel (always so if it is unbuffered).
    pub fn is_full(&self) -> bool {
        self.head().is_none_or(Head::is_full)
    }

    /// Values in the channel.
    pub fn len(&self) -> usize {
        self.head().map_or(0, Head::len)
    }

    /// Capacity of the channel; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.head().map_or(Some(0), Head::cap)
    }

    /// Whether two senders belong to the same channel. (Nil channels are all the same one.)
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        self.chan == other.chan
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
