//! The channel itself: Go's `hchan`, `chansend` and `chanrecv`.
//!
//! Under the lock there is never both something to receive and a receiver waiting, nor both room
//! and a sender waiting. So a sender that finds a receiver hands it the value directly, into the
//! memory where the receiver wants it, and a receiver that finds a full ring takes the head and
//! puts the first waiting sender's value at the tail. Waiters are served in the order in which
//! they came. A waiter is woken after the lock is released.
//!
//! A sender that waits in a select has no value yet: it is made when the select has chosen. A
//! receiver that finds such a sender waits for it (`meet.rs`), and one that frees a place of the
//! buffer promises the place to it.
//!
//! No code of the user runs under the lock or inside the runtime: values are moved there, never
//! dropped or cloned.

use crate::buffer::{List, Ring};
use crate::head::{Head, Queues, Side, enter};
use crate::waitq::{CLOSED, DONE, Sudog, WaitQueue};
use crate::{Receiver, Sender};
use runtime::park::{self, Claimed, Held, Interrupt, Token, WaitReason, Window};
use std::alloc::{Layout, alloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Instant;

#[repr(C)]
pub(crate) struct Hchan<T> {
    pub(crate) head: Head,
    /// Protected by the lock.
    buffer: UnsafeCell<Buffer<T>>,
}

enum Buffer<T> {
    Ring(Ring<T>),
    List(List<T>),
}

/// The size of what is before the values, whatever they are: a ring's start is in there, which would lead
/// whoever searches memory from the channel to itself.
pub(crate) const HEADER: usize = size_of::<Hchan<()>>();

// SAFETY: the buffer is protected by the lock; values only move through.
unsafe impl<T: Send> Send for Hchan<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Hchan<T> {}

/// Why a value was not passed on.
pub(crate) enum Refused<T> {
    /// Nobody waits for it, and there is no room; or it was so until the deadline.
    Full(T),
    /// The channel is closed.
    Closed(T),
}

/// Why there is no value.
pub(crate) enum Nothing {
    /// There is none now; or there was none until the deadline.
    Empty,
    Closed,
}

/// What a receiver found.
pub(crate) enum Took<T> {
    /// A value, and perhaps somebody to be made ready after the unlock.
    Value(T, Option<Claimed>),
    /// A select that has now chosen to send here, and is to be met.
    Select(Claimed, *mut Sudog),
}

impl<T> Hchan<T> {
    /// The header's layout with the ring behind it, and where the ring begins.
    pub(crate) fn layout(cap: Option<usize>) -> (Layout, usize) {
        Layout::array::<T>(cap.unwrap_or(0))
            .and_then(|ring| Layout::new::<Hchan<T>>().extend(ring))
            .unwrap_or_else(|_| {
                panic!(
                    "a channel of {} values of {} bytes does not fit the address space",
                    cap.unwrap_or(0),
                    size_of::<T>()
                )
            })
    }

    /// A new channel and its two ends.
    pub(crate) fn ends(cap: Option<usize>) -> (Sender<T>, Receiver<T>) {
        let lock = enter().new_lock();
        let (layout, ring_at) = Self::layout(cap);
        // SAFETY: the layout is not empty: it has a header.
        let place = unsafe { alloc(layout) };
        let Some(chan) = NonNull::new(place.cast::<Hchan<T>>()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the layout has room for the header and for the ring behind it.
        unsafe {
            let buffer = match cap {
                Some(cap) => {
                    let slots = NonNull::new_unchecked(place.add(ring_at)).cast::<T>();
                    Buffer::Ring(Ring::new(slots, cap))
                }
                None => Buffer::List(List::new()),
            };
            chan.write(Hchan {
                head: Head::new(lock, cap, layout.size()),
                buffer: UnsafeCell::new(buffer),
            });
        }
        (Sender::new(chan), Receiver::new(chan))
    }

    /// # Safety
    /// The lock is held, and no other reference to the buffer is in use.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the lock makes it exclusive")]
    unsafe fn buffer(&self) -> &mut Buffer<T> {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.buffer.get() }
    }

    /// Passes a value on without waiting: to a receiver, or into the buffer.
    ///
    /// # Safety
    /// `queues` are this channel's, locked.
    #[inline(always)]
    pub(crate) unsafe fn pass(
        &self,
        window: &Window,
        queues: &Queues,
        value: T,
    ) -> Result<Option<Claimed>, Refused<T>> {
        if self.head.is_usual() {
            // SAFETY: the caller's promise.
            unsafe { self.put(queues, value) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.pass_slow(window, queues, value) }
        }
    }

    /// # Safety
    /// As for `pass`.
    #[cold]
    #[inline(never)]
    unsafe fn pass_slow(
        &self,
        window: &Window,
        queues: &Queues,
        value: T,
    ) -> Result<Option<Claimed>, Refused<T>> {
        if self.head.is_closed_locked() {
            return Err(Refused::Closed(value));
        }
        // SAFETY: the caller's promise.
        let woken = unsafe { self.put(queues, value)? };
        if woken.is_none() {
            self.head.wake_watchers(window, Side::Recv);
        }
        Ok(woken)
    }

    /// `pass`, to a channel that is not closed, and apart from those who watch.
    ///
    /// # Safety
    /// As for `pass`.
    #[inline(always)]
    unsafe fn put(&self, queues: &Queues, value: T) -> Result<Option<Claimed>, Refused<T>> {
        if !queues.recvq.is_empty()
            // SAFETY: locked.
            && let Some((claimed, s)) = unsafe { queues.recvq.claim_first(DONE) }
        {
            // SAFETY: the receiver's slot, which is empty, and which it does not leave before it
            // is made ready.
            unsafe { (*s).elem.cast::<T>().write(value) };
            return Ok(Some(claimed));
        }
        let len = self.head.len.load(Ordering::Relaxed);
        // SAFETY: locked.
        match unsafe { self.buffer() } {
            // SAFETY: there is room.
            Buffer::Ring(ring) if len < queues.limit() => unsafe { ring.push(len, value) },
            Buffer::Ring(_) => return Err(Refused::Full(value)),
            Buffer::List(list) => list.push(value),
        }
        self.head.len.store(len + 1, Ordering::Relaxed);
        Ok(None)
    }

    /// Takes a value without waiting, and lets the first waiting sender move up.
    ///
    /// # Safety
    /// `queues` are this channel's, locked.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, window: &Window, queues: &Queues) -> Result<Took<T>, Nothing> {
        let len = self.head.len.load(Ordering::Relaxed);
        if len > 0 {
            // SAFETY: locked, and there is a value.
            let value = unsafe {
                match self.buffer() {
                    Buffer::Ring(ring) => ring.pop(),
                    Buffer::List(list) => list.pop(),
                }
            };
            self.head.len.store(len - 1, Ordering::Relaxed);
            if !queues.sendq.is_empty()
                // SAFETY: locked; a place has just become free.
                && let Some(woken) = unsafe { self.move_up(queues) }
            {
                return Ok(Took::Value(value, Some(woken)));
            }
            self.head.wake_watchers(window, Side::Send);
            return Ok(Took::Value(value, None));
        }
        if !queues.sendq.is_empty()
            // SAFETY: locked.
            && let Some((claimed, s)) = unsafe { queues.sendq.claim_first(DONE) }
        {
            // SAFETY: the sender's value is moved out of its slot, which it does not read again.
            return Ok(unsafe {
                match (*s).elem.is_null() {
                    true => Took::Select(claimed, s),
                    false => Took::Value((*s).elem.cast::<T>().read(), Some(claimed)),
                }
            });
        }
        Err(match self.head.is_closed_locked() {
            true => Nothing::Closed,
            false => Nothing::Empty,
        })
    }

    /// Gives a free place in the buffer to the first sender that waits, if one does.
    ///
    /// # Safety
    /// `queues` are this channel's, locked, with fewer values in the buffer than the limit.
    #[inline(always)]
    pub(crate) unsafe fn move_up(&self, queues: &Queues) -> Option<Claimed> {
        // SAFETY: locked.
        let Buffer::Ring(ring) = (unsafe { self.buffer() }) else {
            return None;
        };
        // SAFETY: locked.
        let (claimed, s) = unsafe { queues.sendq.claim_first(DONE)? };
        // SAFETY: as in `take`.
        unsafe {
            if (*s).elem.is_null() {
                queues.promise();
            } else {
                let len = self.head.len.load(Ordering::Relaxed);
                ring.push(len, (*s).elem.cast::<T>().read());
                self.head.len.store(len + 1, Ordering::Relaxed);
            }
        }
        Some(claimed)
    }

    pub(crate) fn try_send(&self, value: T) -> Result<(), Refused<T>> {
        let window = enter();
        let (held, queues) = self.head.lock(&window);
        // SAFETY: locked here, and then unlocked.
        let result = unsafe {
            let result = self.pass(&window, queues, value);
            self.head.unlock(held);
            result
        };
        if let Some(claimed) = result? {
            claimed.ready_in(&window);
        }
        Ok(())
    }

    /// Passes a value on, waiting for room or a receiver. Gives it back if the channel is closed.
    pub(crate) fn send(&self, value: T) -> Result<(), Refused<T>> {
        self.send_within(value, None)
    }

    /// As `send`, until the deadline.
    pub(crate) fn send_until(&self, value: T, deadline: Instant) -> Result<(), Refused<T>> {
        self.send_within(value, Some(deadline))
    }

    #[inline(always)]
    fn send_within(&self, value: T, deadline: Option<Instant>) -> Result<(), Refused<T>> {
        let window = enter();
        let (held, queues) = self.head.lock(&window);
        // SAFETY: locked above.
        match unsafe { self.pass(&window, queues, value) } {
            Ok(woken) => {
                // SAFETY: locked above.
                unsafe { self.head.unlock(held) };
                if let Some(claimed) = woken {
                    claimed.ready_in(&window);
                }
                Ok(())
            }
            Err(Refused::Closed(value)) => {
                // SAFETY: locked above.
                unsafe { self.head.unlock(held) };
                drop(window);
                Err(Refused::Closed(value))
            }
            Err(Refused::Full(value)) => self.send_slow(window, held, value, deadline),
        }
    }

    /// Inlined, though it is the slow way: every return after a switch is mispredicted, since the
    /// CPU's return stack belongs to the goroutine that ran before (7 ns each).
    #[inline(always)]
    fn send_slow(
        &self,
        window: Window,
        held: Held,
        value: T,
        deadline: Option<Instant>,
    ) -> Result<(), Refused<T>> {
        let mut slot = MaybeUninit::new(value);
        // SAFETY: for the park below; published under the lock, and forgotten with its sudog.
        let waiter = unsafe { window.waiter() };
        let mut sudog = Sudog::new(waiter, slot.as_mut_ptr().cast());
        let sudog = &raw mut sudog;
        // SAFETY: locked by the caller; the sudog is taken out of the queue before this frame
        // ends: by whoever passes the value on, or below.
        let (window, token) = unsafe {
            let queues = &self.head.queues;
            queues.sendq.push(sudog);
            self.head.wake_watchers(&window, Side::Recv);
            window.park_until(
                self.head.wait(WaitReason::ChanSend),
                Interrupt::Allowed,
                deadline,
                || {
                    self.head.unlock(held);
                    true
                },
            )
        };
        if token == Token::new(DONE) {
            return Ok(());
        }
        if token != Token::new(CLOSED) {
            self.forget(&window, sudog, |queues| &queues.sendq);
        }
        drop(window);
        // SAFETY: nobody has taken the value.
        let value = unsafe { slot.assume_init_read() };
        if token == Token::TIMEOUT {
            return Err(Refused::Full(value));
        }
        if token == Token::INTERRUPTED {
            park::interrupted(); // drops the value while it unwinds
        }
        Err(Refused::Closed(value))
    }

    pub(crate) fn try_recv(&self) -> Result<T, Nothing> {
        // Once, but for a sender that was chosen, and then gave up: there may be another behind it.
        loop {
            let window = enter();
            let (held, queues) = self.head.lock(&window);
            // SAFETY: locked above.
            match unsafe { self.take(&window, queues) } {
                Ok(Took::Value(value, woken)) => {
                    // SAFETY: locked above.
                    unsafe { self.head.unlock(held) };
                    if let Some(claimed) = woken {
                        claimed.ready_in(&window);
                    }
                    return Ok(value);
                }
                Ok(Took::Select(claimed, s)) => {
                    // SAFETY: locked above; just claimed.
                    if let Some(value) = unsafe { self.meet(window, held, claimed, s) } {
                        return Ok(value);
                    }
                }
                Err(nothing) => {
                    // SAFETY: locked above.
                    unsafe { self.head.unlock(held) };
                    return Err(nothing);
                }
            }
        }
    }

    /// Takes a value, waiting for one; `Closed` if the channel is closed and empty.
    pub(crate) fn recv(&self) -> Result<T, Nothing> {
        self.recv_within(None)
    }

    /// As `recv`, until the deadline.
    pub(crate) fn recv_until(&self, deadline: Instant) -> Result<T, Nothing> {
        self.recv_within(Some(deadline))
    }

    #[inline(always)]
    fn recv_within(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        let window = enter();
        let (held, queues) = self.head.lock(&window);
        // SAFETY: locked above.
        let result = match unsafe { self.take(&window, queues) } {
            Ok(Took::Value(value, woken)) => {
                // SAFETY: locked above.
                unsafe { self.head.unlock(held) };
                if let Some(claimed) = woken {
                    claimed.ready_in(&window);
                }
                return Ok(value);
            }
            Err(Nothing::Closed) => {
                // SAFETY: locked above.
                unsafe { self.head.unlock(held) };
                return Err(Nothing::Closed);
            }
            // SAFETY: locked above; just claimed.
            Ok(Took::Select(claimed, s)) => unsafe { self.meet(window, held, claimed, s).map(Ok) },
            Err(Nothing::Empty) => self.recv_slow(window, held, deadline),
        };
        match result {
            Some(result) => result,
            None => self.recv_again(deadline),
        }
    }

    /// After a sender that had been chosen gave up.
    #[cold]
    #[inline(never)]
    fn recv_again(&self, deadline: Option<Instant>) -> Result<T, Nothing> {
        self.recv_within(deadline)
    }

    /// `None`: again. Inlined: see `send_slow`.
    #[inline(always)]
    fn recv_slow(
        &self,
        window: Window,
        held: Held,
        deadline: Option<Instant>,
    ) -> Option<Result<T, Nothing>> {
        let mut slot = MaybeUninit::<T>::uninit();
        // SAFETY: as in `send_slow`.
        let waiter = unsafe { window.waiter() };
        let mut sudog = Sudog::new(waiter, slot.as_mut_ptr().cast());
        let sudog = &raw mut sudog;
        // SAFETY: as in `send_slow`.
        let (window, token) = unsafe {
            let queues = &self.head.queues;
            queues.recvq.push(sudog);
            self.head.wake_watchers(&window, Side::Send);
            window.park_until(
                self.head.wait(WaitReason::ChanReceive),
                Interrupt::Allowed,
                deadline,
                || {
                    self.head.unlock(held);
                    true
                },
            )
        };
        if token == Token::new(DONE) {
            drop(window);
            // SAFETY: our own sudog; who has claimed it has made us ready.
            if unsafe { (*sudog).void } {
                return None;
            }
            // SAFETY: the sender has written the value.
            return Some(Ok(unsafe { slot.assume_init() }));
        }
        if token != Token::new(CLOSED) {
            self.forget(&window, sudog, |queues| &queues.recvq);
            drop(window);
            if token == Token::TIMEOUT {
                return Some(Err(Nothing::Empty));
            }
            park::interrupted();
        }
        Some(Err(Nothing::Closed))
    }

    /// Takes the sudog of a wait that ended otherwise out of its queue.
    #[cold]
    fn forget(&self, window: &Window, sudog: *mut Sudog, queue: fn(&Queues) -> &WaitQueue) {
        let (held, queues) = self.head.lock(window);
        // SAFETY: locked; the sudog was pushed to this queue; then unlocked.
        unsafe {
            queue(queues).remove(sudog);
            self.head.unlock(held);
        }
    }
}
