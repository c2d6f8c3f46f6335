//! The receiving end, of one of three kinds: of a channel, of a source (a timer, a ticker), of nothing.

use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::hchan::{Hchan, Nothing};
use crate::iter::{IntoIter, Iter, TryIter};
use crate::select::{recv_from_source, wait_for_nothing};
use crate::source::Handle;
use runtime::park::{Source, Taken, WaitReason};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving end of a channel. Clones share the channel: each value goes to one of them. When
/// the last one is dropped, the channel is closed, and what is in it is dropped.
///
/// A receiver may also be that of a timer ([`after`](crate::after), [`at`](crate::at)), a ticker
/// ([`tick`](crate::tick)), of any other [`Source`], or of nothing ([`never`](crate::never)).
pub struct Receiver<T> {
    /// A channel; or, with the lowest bit set, what is no channel: `NIL`, or a source's handle. So
    /// that the fast path has one bit to look at.
    raw: *const (),
    _channel: PhantomData<NonNull<Hchan<T>>>,
}

/// Marks what is no channel.
const TAG: usize = 1;
/// A nil channel: the mark, and no source.
const NIL: *const () = ptr::without_provenance(TAG);

/// What a receiver receives from.
pub(crate) enum Kind<'a, T> {
    Chan(&'a Hchan<T>),
    Source(&'a Handle<T>),
    Nil,
}

// SAFETY: a shared handle on a channel, which is Sync for values that are Send, or on a source,
// which is Send and Sync.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Receiver<T> {}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    pub(crate) fn new(chan: NonNull<Hchan<T>>) -> Receiver<T> {
        Receiver::of(chan.as_ptr().cast())
    }

    const fn of(raw: *const ()) -> Receiver<T> {
        Receiver {
            raw,
            _channel: PhantomData,
        }
    }

    /// The receiving end of a nil channel (a `nil` of Go's type `<-chan T`): a receive blocks for
    /// ever.
    ///
    /// ```
    /// let rx = channels::Receiver::<i32>::nil();
    /// assert!(rx.try_recv().is_err());
    /// ```
    pub const fn nil() -> Receiver<T> {
        Receiver::of(NIL)
    }

    /// A receiver of what is no channel: alone, or as an arm of a select, it receives what the source
    /// gives.
    ///
    /// ```
    /// use runtime::park::{Source, Taken, Token, Waiter, Window};
    /// use std::sync::Arc;
    ///
    /// /// Always gives the same.
    /// struct Constant(u8);
    ///
    /// // SAFETY: nothing is done in a window; waiters are not kept.
    /// unsafe impl Source for Constant {
    ///     type Item = u8;
    ///     fn try_take(&self) -> Taken<u8> {
    ///         Taken::Item(self.0)
    ///     }
    ///     fn state(&self) -> Taken<()> {
    ///         Taken::Item(())
    ///     }
    ///     fn watch(&self, _: &Window, _: Waiter, _: Token) {} // it never changes
    ///     fn unwatch(&self, _: &Window, _: Waiter) {}
    /// }
    ///
    /// let rx = channels::Receiver::from_source(Arc::new(Constant(7)));
    /// assert_eq!(rx.recv(), Ok(7));
    /// ```
    pub fn from_source(source: Arc<dyn Source<Item = T>>) -> Receiver<T> {
        let handle = Arc::new(Handle::new(source));
        Receiver::of(Arc::into_raw(handle).cast::<()>().map_addr(|a| a | TAG))
    }

    #[inline(always)]
    pub(crate) fn chan(&self) -> Option<&Hchan<T>> {
        // SAFETY: without the mark it is a channel, which this handle keeps.
        (self.raw.addr() & TAG == 0).then(|| unsafe { &*self.raw.cast() })
    }

    fn source_ptr(&self) -> *const Handle<T> {
        self.raw.map_addr(|a| a & !TAG).cast()
    }

    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind<'_, T> {
        match self.chan() {
            Some(chan) => Kind::Chan(chan),
            None if self.raw == NIL => Kind::Nil,
            // SAFETY: with the mark, and not nil, it is a source's handle, of which this is a share.
            None => Kind::Source(unsafe { &*self.source_ptr() }),
        }
    }

    /// Receives a value, waiting for one. A goroutine parks meanwhile, a plain thread blocks.
    ///
    /// # Errors
    /// If the channel is empty and closed, or empty and without senders.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.chan() {
            Some(chan) => chan.recv().map_err(|_| RecvError),
            None => self.recv_otherwise(None).map_err(|_| RecvError),
        }
    }

    /// From what is no channel.
    #[cold]
    fn recv_otherwise(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        match self.kind() {
            Kind::Chan(_) => unreachable!("looked at before"),
            Kind::Source(_) => recv_from_source(self, deadline),
            Kind::Nil => {
                wait_for_nothing(WaitReason::ChanReceiveNil, deadline);
                Err(Nothing::Empty)
            }
        }
    }

    /// As [`Receiver::recv`], for at most a time.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (tx, rx) = channels::bounded(1);
    /// assert!(rx.recv_timeout(Duration::from_millis(5)).is_err());
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.recv_timeout(Duration::from_millis(5)), Ok(1));
    /// ```
    ///
    /// # Errors
    /// If no value came in time, or the channel is empty, and closed or without senders.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            None => self.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// As [`Receiver::recv`], at most until a point in time.
    ///
    /// ```
    /// let (_tx, rx) = channels::bounded::<i32>(0);
    /// assert!(rx.recv_deadline(std::time::Instant::now()).is_err());
    /// ```
    ///
    /// # Errors
    /// As for [`Receiver::recv_timeout`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let result = match self.chan() {
            Some(chan) => chan.recv_until(deadline),
            None => self.recv_otherwise(Some(deadline)),
        };
        result.map_err(|nothing| match nothing {
            Nothing::Empty => RecvTimeoutError::Timeout,
            Nothing::Closed => RecvTimeoutError::Disconnected,
        })
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
            None => self.try_recv_otherwise(),
        }
    }

    /// From what is no channel.
    #[cold]
    fn try_recv_otherwise(&self) -> Result<T, TryRecvError> {
        let Kind::Source(source) = self.kind() else {
            return Err(TryRecvError::Empty);
        };
        match source.try_take() {
            Taken::Item(item) => Ok(item),
            Taken::Empty(_) => Err(TryRecvError::Empty),
            Taken::Closed => Err(TryRecvError::Disconnected),
        }
    }

    /// The values as they come, until the channel is empty and closed.
    ///
    /// ```
    /// let (tx, rx) = channels::unbounded();
    /// tx.send(1).unwrap();
    /// tx.send(2).unwrap();
    /// drop(tx);
    /// assert_eq!(rx.iter().sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The values that can be had without waiting.
    ///
    /// ```
    /// let (tx, rx) = channels::unbounded();
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.try_iter().collect::<Vec<i32>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    /// Closes the channel, as [`Sender::close`](crate::Sender::close). What is no channel cannot be
    /// closed.
    pub fn close(&self) -> bool {
        self.chan().is_some_and(|c| c.head.close())
    }

    /// Whether the channel was closed, or has lost all handles of one side. There may still be
    /// values in it.
    pub fn is_closed(&self) -> bool {
        match self.kind() {
            Kind::Chan(chan) => chan.head.is_closed(),
            Kind::Source(source) => source.state() == Taken::Closed,
            Kind::Nil => false,
        }
    }

    /// Whether there is no value in the channel (always so if it is unbuffered).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room in the channel (always so if it is unbuffered).
    pub fn is_full(&self) -> bool {
        match self.kind() {
            Kind::Chan(chan) => chan.head.is_full(),
            Kind::Source(_) => self.len() == 1,
            Kind::Nil => true,
        }
    }

    /// Values in the channel.
    pub fn len(&self) -> usize {
        match self.kind() {
            Kind::Chan(chan) => chan.head.len(),
            Kind::Source(source) => usize::from(matches!(source.state(), Taken::Item(()))),
            Kind::Nil => 0,
        }
    }

    /// Capacity of the channel; `None` if it is unbounded. A source is as a channel of capacity 1.
    pub fn capacity(&self) -> Option<usize> {
        match self.kind() {
            Kind::Chan(chan) => chan.head.cap(),
            Kind::Source(_) => Some(1),
            Kind::Nil => Some(0),
        }
    }

    /// Whether two receivers belong to the same channel. (Nil channels are all the same one.)
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::Source(a), Kind::Source(b)) => a.is(b),
            _ => self.raw == other.raw,
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        match self.kind() {
            Kind::Chan(chan) => chan.add_receiver(),
            // SAFETY: from `Arc::into_raw`; this is a share of it.
            Kind::Source(_) => unsafe { Arc::increment_strong_count(self.source_ptr()) },
            Kind::Nil => {}
        }
        Receiver::of(self.raw)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        match self.kind() {
            // SAFETY: this handle's share ends here.
            Kind::Chan(chan) => unsafe { Hchan::drop_receiver(NonNull::from(chan)) },
            // SAFETY: as above; from `Arc::into_raw`.
            Kind::Source(_) => unsafe { Arc::decrement_strong_count(self.source_ptr()) },
            Kind::Nil => {}
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
