//! The receiving end.

use crate::error::{RecvError, TryRecvError};
use crate::hchan::{Hchan, Nothing};
use crate::iter::{IntoIter, Iter, TryIter};
use crate::sender::block_for_ever;
use runtime::park::WaitReason;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

/// The receiving end of a channel. Clones share the channel: each value goes to one of them. When
/// the last one is dropped, the channel is closed, and what is in it is dropped.
pub struct Receiver<T> {
    /// `None` is a nil channel.
    chan: Option<NonNull<Hchan<T>>>,
}

// SAFETY: a shared handle on a channel, which is Sync for values that are Send.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Receiver<T> {}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(crate) fn new(chan: NonNull<Hchan<T>>) -> Receiver<T> {
        Receiver { chan: Some(chan) }
    }

    /// The receiving end of a nil channel (a `nil` of Go's type `<-chan T`): a receive blocks for
    /// ever.
    pub const fn nil() -> Receiver<T> {
        Receiver { chan: None }
    }

    fn chan(&self) -> Option<&Hchan<T>> {
        // SAFETY: this handle keeps the channel.
        self.chan.map(|c| unsafe { &*c.as_ptr() })
    }

    /// Receives a value, waiting for one. A goroutine parks meanwhile, a plain thread blocks.
    ///
    /// # Errors
    /// If the channel is empty and closed, or empty and without senders.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.chan() {
            Some(chan) => chan.recv().ok_or(RecvError),
            None => {
                block_for_ever(WaitReason::ChanReceiveNil);
                Err(RecvError)
            }
        }
    }

    /// Receives a value without waiting: from the buffer, or from a sender that waits.
    ///
    /// # Errors
    /// If there is none, now or for ever.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.chan() {
            Some(chan) => chan.try_recv().map_err(|nothing| match nothing {
                Nothing::Empty => TryRecvError::Empty,
                Nothing::Closed => TryRecvError::Disconnected,
            }),
            None => Err(TryRecvError::Empty),
        }
    }

    /// The values as they come, until the channel is empty and closed.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The values that can be had without waiting.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    /// Closes the channel, as [`Sender::close`](crate::Sender::close).
    pub fn close(&self) -> bool {
        self.chan().is_some_and(Hchan::close)
    }

    /// Whether the channel was closed, or has lost all handles of one side. There may still be
    /// values in it.
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

    /// Whether two receivers belong to the same channel. (Nil channels are all the same one.)
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        self.chan == other.chan
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        if let Some(chan) = self.chan() {
            chan.add_receiver();
        }
        Receiver { chan: self.chan }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Some(chan) = self.chan {
            // SAFETY: this handle's share ends here.
            unsafe { Hchan::drop_receiver(chan) };
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter::new(self)
    }
}
