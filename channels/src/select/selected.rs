//! The operation that a `Select` has chosen, and what it keeps until it is completed: the
//! value that was received, or the choice to send.

use super::arm::Won;
use crate::error::{RecvError, SendError};
use crate::hchan::Hchan;
use crate::head::Head;
use crate::meet::Sending;
use crate::{Receiver, Sender};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ptr;

/// An operation that a [`Select`](super::Select) has chosen, and that must now be completed by
/// [`send`](SelectedOperation::send) or [`recv`](SelectedOperation::recv).
///
/// # Panics
/// If it is dropped without. Who was to receive goes on waiting for somebody else; what was received
/// is lost, and not dropped. (One that is leaked, by `std::mem::forget`, is never completed: who was to
/// receive then waits for ever.)
#[must_use]
pub struct SelectedOperation<'a> {
    pub(super) index: usize,
    pub(super) handle: *const (),
    pub(super) head: Option<&'a Head>,
    /// With the value, if one has been received.
    pub(super) place: Place,
    /// `None`: completed.
    pub(super) won: Option<Won>,
    pub(super) release: Release,
    /// Not Send, and borrows the handles.
    pub(super) _handles: PhantomData<(&'a (), *const ())>,
}

impl SelectedOperation<'_> {
    /// The index of the operation in its list.
    ///
    /// ```
    /// let (tx, rx) = channels::bounded(1);
    /// let mut select = channels::Select::new();
    /// let index = select.send(&tx);
    /// let oper = select.select();
    /// assert_eq!(oper.index(), index);
    /// oper.send(&tx, 1).unwrap();
    /// # drop(rx);
    /// ```
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a send, by the very sender that was added. Does not wait.
    ///
    /// ```
    /// let (tx, rx) = channels::bounded(1);
    /// let mut select = channels::Select::new();
    /// select.send(&tx);
    /// let oper = select.select();
    /// oper.send(&tx, "value").unwrap();
    /// assert_eq!(rx.recv(), Ok("value"));
    /// ```
    ///
    /// # Errors
    /// If the channel is closed or has no receiver any more; the value comes back.
    ///
    /// # Panics
    /// If it is another sender.
    #[track_caller]
    pub fn send<T>(mut self, s: &Sender<T>, msg: T) -> Result<(), SendError<T>> {
        assert!(
            ptr::eq(ptr::from_ref(s).cast(), self.handle),
            "this is not the sender that was selected"
        );
        match (self.won.take(), s.chan()) {
            (Some(Won::Sending(sending)), Some(chan)) => {
                chan.complete(sending, msg).map_err(SendError)
            }
            _ => Err(SendError(msg)),
        }
    }

    /// Completes a receive, by the very receiver that was added. Does not wait.
    ///
    /// ```
    /// let (tx, rx) = channels::bounded::<i32>(1);
    /// drop(tx);
    /// let mut select = channels::Select::new();
    /// select.recv(&rx);
    /// assert!(select.select().recv(&rx).is_err());
    /// ```
    ///
    /// # Errors
    /// If the channel is empty and closed, or empty and without senders.
    ///
    /// # Panics
    /// If it is another receiver.
    #[track_caller]
    pub fn recv<T>(mut self, r: &Receiver<T>) -> Result<T, RecvError> {
        assert!(
            ptr::eq(ptr::from_ref(r).cast(), self.handle),
            "this is not the receiver that was selected"
        );
        match self.won.take() {
            // SAFETY: received by this receiver, and so a T; it is not read again.
            Some(Won::Received) => Ok(unsafe { self.place.elem().cast::<T>().read() }),
            _ => Err(RecvError),
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        let Some(won) = self.won.take() else { return };
        if let (Won::Sending(sending), Some(head)) = (won, self.head) {
            // SAFETY: the channel is one of what `release` is for.
            unsafe { (self.release)(head, sending) };
        }
        // While unwinding (a panic in what makes the value, a shutdown) it is no mistake.
        if !std::thread::panicking() {
            panic!("a `SelectedOperation` was dropped without completing the operation");
        }
    }
}

pub(super) type Release = unsafe fn(&Head, Sending);

/// # Safety
/// `head` is that of a channel of Ts, of which `sending` is a choice.
pub(super) unsafe fn release<T>(head: &Head, sending: Sending) {
    // SAFETY: the head is the first field of its channel.
    unsafe { (*ptr::from_ref(head).cast::<Hchan<T>>()).release(sending) }
}

/// Values up to this many words are kept where they are; larger ones are boxed.
const WORDS: usize = 4;

/// Room for a value of some type.
pub(super) struct Place {
    small: [MaybeUninit<usize>; WORDS],
    /// For a value that does not fit; null until it is needed.
    large: *mut u8,
    /// `None`: nothing is received here.
    pub(super) layout: Option<Layout>,
}

impl Place {
    pub(super) fn nothing() -> Place {
        Place::of(None)
    }

    pub(super) fn new(layout: Layout) -> Place {
        Place::of(Some(layout))
    }

    fn of(layout: Option<Layout>) -> Place {
        Place {
            small: [MaybeUninit::uninit(); WORDS],
            large: ptr::null_mut(),
            layout,
        }
    }

    /// Moves the value out with its place; another one is made here if it is needed.
    pub(super) fn take(&mut self) -> Place {
        Place {
            small: self.small,
            large: mem::replace(&mut self.large, ptr::null_mut()),
            layout: self.layout,
        }
    }

    fn is_small(layout: Layout) -> bool {
        layout.size() <= size_of::<[usize; WORDS]>() && layout.align() <= align_of::<usize>()
    }

    /// Where the value is, or shall go.
    pub(super) fn elem(&mut self) -> *mut () {
        let layout = self.layout.expect("something is received");
        if Place::is_small(layout) {
            return self.small.as_mut_ptr().cast();
        }
        if layout.size() == 0 {
            return ptr::without_provenance_mut(layout.align());
        }
        if self.large.is_null() {
            // SAFETY: it is not empty.
            self.large = unsafe { alloc(layout) };
            if self.large.is_null() {
                handle_alloc_error(layout);
            }
        }
        self.large.cast()
    }
}

impl Drop for Place {
    /// Frees the room; what was in it has been moved out, or is lost.
    fn drop(&mut self) {
        if let (false, Some(layout)) = (self.large.is_null(), self.layout) {
            // SAFETY: allocated in `elem` with this layout.
            unsafe { dealloc(self.large, layout) };
        }
    }
}
