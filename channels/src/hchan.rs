//! The channel itself: Go's `hchan`, `chansend`, `chanrecv` and `closechan`.
//!
//! Under the lock there is never both something to receive and a receiver waiting, nor both room
//! and a sender waiting. So a sender that finds a receiver hands it the value directly, into the
//! memory where the receiver wants it, and a receiver that finds a full ring takes the head and
//! puts the first waiting sender's value at the tail. Waiters are served in the order in which
//! they came. A waiter is woken after the lock is released.
//!
//! No code of the user runs under the lock or inside the runtime: values are moved there, never
//! dropped or cloned.

use crate::buffer::{List, Ring};
use crate::waitq::{Sudog, WaitQueue};
use crate::{Receiver, Sender};
use runtime::park::{self, Claimed, Held, Interrupt, Lock, Token, WaitReason, Window};
use std::alloc::{Layout, alloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The value was passed on.
const DONE: Token = Token::new(0);
/// The channel was closed.
const CLOSED: Token = Token::new(1);

/// Enters the runtime.
#[inline(always)]
fn enter() -> Window {
    // SAFETY: in this file every window ends, or is parked with, before anything of the user's
    // runs and before the runtime is called again.
    unsafe { park::enter() }
}

/// As `enter`, for destructors: never unwinds.
#[inline(always)]
pub(crate) fn enter_quietly() -> Window {
    // SAFETY: as above.
    unsafe { park::enter_quietly() }
}

pub(crate) struct Hchan<T> {
    pub(crate) lock: Lock,
    /// Values in the buffer. Written under the lock, read without by `len` and its like.
    len: AtomicUsize,
    /// Written under the lock.
    closed: AtomicBool,
    state: UnsafeCell<State<T>>,
    /// `None` is unbounded.
    pub(crate) cap: Option<usize>,
    /// Handles on each side; `ends.rs` counts them.
    pub(crate) senders: AtomicUsize,
    pub(crate) receivers: AtomicUsize,
}

/// What the lock protects.
pub(crate) struct State<T> {
    recvq: WaitQueue,
    sendq: WaitQueue,
    buffer: Buffer<T>,
    /// One side is gone: the other frees the channel when it goes.
    pub(crate) one_side_gone: bool,
}

enum Buffer<T> {
    Ring(Ring<T>),
    List(List<T>),
}

// SAFETY: the state is protected by the lock; values only move through.
unsafe impl<T: Send> Send for Hchan<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Hchan<T> {}

/// Why a value was not passed on.
pub(crate) enum Refused<T> {
    /// Nobody waits for it, and there is no room.
    Full(T),
    /// The channel is closed.
    Closed(T),
}

/// Why there is no value.
pub(crate) enum Nothing {
    Empty,
    Closed,
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
                lock,
                len: AtomicUsize::new(0),
                closed: AtomicBool::new(false),
                state: UnsafeCell::new(State {
                    recvq: WaitQueue::new(),
                    sendq: WaitQueue::new(),
                    buffer,
                    one_side_gone: false,
                }),
                cap,
                senders: AtomicUsize::new(1),
                receivers: AtomicUsize::new(1),
            });
        }
        (Sender::new(chan), Receiver::new(chan))
    }

    /// Locks the channel. The state may be used until the lock is released.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the lock makes it exclusive")]
    pub(crate) fn lock(&self, window: &Window) -> (Held, &mut State<T>) {
        // SAFETY: no other lock is held here, and each use below releases it in the window or by
        // its commit function; the lock protects the state.
        unsafe { (window.lock(&self.lock), &mut *self.state.get()) }
    }

    /// # Safety
    /// `held` is this channel's; the state is not used afterwards.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self, held: Held) {
        // SAFETY: the caller's promise.
        unsafe { self.lock.unlock(held) };
    }

    /// Under the lock.
    #[inline(always)]
    fn is_closed_locked(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The first receiver that still waits.
    #[inline(always)]
    fn first(queue: &mut WaitQueue, token: Token) -> Option<(Claimed, *mut ())> {
        // SAFETY: called under the lock; the sudog is read before its waiter is made ready.
        unsafe {
            while let Some(s) = queue.pop() {
                let elem = (*s).elem;
                // A wait that ended otherwise (a shutdown) is skipped.
                if let Some(claimed) = (*s).waiter().claim(token) {
                    return Some((claimed, elem));
                }
            }
        }
        None
    }

    /// Passes a value on without waiting: to a receiver, or into the buffer.
    #[inline(always)]
    fn pass(&self, state: &mut State<T>, value: T) -> Result<Option<Claimed>, Refused<T>> {
        if self.is_closed_locked() {
            return Err(Refused::Closed(value));
        }
        if !state.recvq.is_empty()
            && let Some((claimed, elem)) = Self::first(&mut state.recvq, DONE)
        {
            // SAFETY: the receiver's slot, which is empty, and which it does not leave before it
            // is made ready.
            unsafe { elem.cast::<T>().write(value) };
            return Ok(Some(claimed));
        }
        let len = self.len.load(Ordering::Relaxed);
        match &mut state.buffer {
            // SAFETY: there is room.
            Buffer::Ring(ring) if len < ring.cap() => unsafe { ring.push(len, value) },
            Buffer::Ring(_) => return Err(Refused::Full(value)),
            Buffer::List(list) => list.push(value),
        }
        self.len.store(len + 1, Ordering::Relaxed);
        Ok(None)
    }

    /// Takes a value without waiting, and lets the first waiting sender move up.
    #[inline(always)]
    pub(crate) fn take(&self, state: &mut State<T>) -> Result<(T, Option<Claimed>), Nothing> {
        let len = self.len.load(Ordering::Relaxed);
        if len > 0 {
            // SAFETY: there is a value.
            let value = unsafe {
                match &mut state.buffer {
                    Buffer::Ring(ring) => ring.pop(),
                    Buffer::List(list) => list.pop(),
                }
            };
            if !state.sendq.is_empty()
                && let Buffer::Ring(ring) = &mut state.buffer
                && let Some((claimed, elem)) = Self::first(&mut state.sendq, DONE)
            {
                // SAFETY: the sender's value is moved out of its slot, which it does not read
                // again; a slot of the ring has just become free.
                unsafe { ring.push(len - 1, elem.cast::<T>().read()) };
                return Ok((value, Some(claimed)));
            }
            self.len.store(len - 1, Ordering::Relaxed);
            return Ok((value, None));
        }
        if !state.sendq.is_empty()
            && let Some((claimed, elem)) = Self::first(&mut state.sendq, DONE)
        {
            // SAFETY: as above.
            return Ok((unsafe { elem.cast::<T>().read() }, Some(claimed)));
        }
        Err(match self.is_closed_locked() {
            true => Nothing::Closed,
            false => Nothing::Empty,
        })
    }

    pub(crate) fn try_send(&self, value: T) -> Result<(), Refused<T>> {
        let window = enter();
        let (held, state) = self.lock(&window);
        let result = self.pass(state, value);
        // SAFETY: locked above.
        unsafe { self.unlock(held) };
        if let Some(claimed) = result? {
            claimed.ready_in(&window);
        }
        Ok(())
    }

    /// Passes a value on, waiting for room or a receiver. Gives it back if the channel is closed.
    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        let window = enter();
        let (held, state) = self.lock(&window);
        match self.pass(state, value) {
            Ok(woken) => {
                // SAFETY: locked above.
                unsafe { self.unlock(held) };
                if let Some(claimed) = woken {
                    claimed.ready_in(&window);
                }
                Ok(())
            }
            Err(Refused::Closed(value)) => {
                // SAFETY: locked above.
                unsafe { self.unlock(held) };
                drop(window);
                Err(value)
            }
            Err(Refused::Full(value)) => self.send_slow(window, held, value),
        }
    }

    /// Inlined, though it is the slow way: every return after a switch is mispredicted, since the
    /// CPU's return stack belongs to the goroutine that ran before (7 ns each).
    #[inline(always)]
    fn send_slow(&self, window: Window, held: Held, value: T) -> Result<(), T> {
        let mut slot = MaybeUninit::new(value);
        // SAFETY: for the park below; published under the lock, and forgotten with its sudog.
        let waiter = unsafe { window.waiter() };
        let mut sudog = Sudog::new(waiter, slot.as_mut_ptr().cast());
        let sudog = &raw mut sudog;
        // SAFETY: locked by the caller; the sudog is taken out of the queue before this frame
        // ends: by whoever passes the value on, or below.
        let (window, token) = unsafe {
            (*self.state.get()).sendq.push(sudog);
            window.park(WaitReason::ChanSend, Interrupt::Allowed, || {
                self.unlock(held);
                true
            })
        };
        if token == DONE {
            return Ok(());
        }
        if token == Token::INTERRUPTED {
            self.forget(&window, sudog, |state| &mut state.sendq);
        }
        drop(window);
        // SAFETY: nobody has taken the value.
        let value = unsafe { slot.assume_init_read() };
        if token == Token::INTERRUPTED {
            park::interrupted(); // drops the value while it unwinds
        }
        Err(value)
    }

    pub(crate) fn try_recv(&self) -> Result<T, Nothing> {
        let window = enter();
        let (held, state) = self.lock(&window);
        let result = self.take(state);
        // SAFETY: locked above.
        unsafe { self.unlock(held) };
        let (value, woken) = result?;
        if let Some(claimed) = woken {
            claimed.ready_in(&window);
        }
        Ok(value)
    }

    /// Takes a value, waiting for one; `None` if the channel is closed and empty.
    pub(crate) fn recv(&self) -> Option<T> {
        let window = enter();
        let (held, state) = self.lock(&window);
        match self.take(state) {
            Ok((value, woken)) => {
                // SAFETY: locked above.
                unsafe { self.unlock(held) };
                if let Some(claimed) = woken {
                    claimed.ready_in(&window);
                }
                Some(value)
            }
            Err(Nothing::Closed) => {
                // SAFETY: locked above.
                unsafe { self.unlock(held) };
                None
            }
            Err(Nothing::Empty) => self.recv_slow(window, held),
        }
    }

    /// Inlined: see `send_slow`.
    #[inline(always)]
    fn recv_slow(&self, window: Window, held: Held) -> Option<T> {
        let mut slot = MaybeUninit::<T>::uninit();
        // SAFETY: as in `send_slow`.
        let waiter = unsafe { window.waiter() };
        let mut sudog = Sudog::new(waiter, slot.as_mut_ptr().cast());
        let sudog = &raw mut sudog;
        // SAFETY: as in `send_slow`.
        let (window, token) = unsafe {
            (*self.state.get()).recvq.push(sudog);
            window.park(WaitReason::ChanReceive, Interrupt::Allowed, || {
                self.unlock(held);
                true
            })
        };
        if token == DONE {
            drop(window);
            // SAFETY: the sender has written the value.
            return Some(unsafe { slot.assume_init() });
        }
        if token == Token::INTERRUPTED {
            self.forget(&window, sudog, |state| &mut state.recvq);
            drop(window);
            park::interrupted();
        }
        None
    }

    /// Takes the sudog of an interrupted wait out of its queue.
    #[cold]
    fn forget(
        &self,
        window: &Window,
        sudog: *mut Sudog,
        queue: fn(&mut State<T>) -> &mut WaitQueue,
    ) {
        let (held, state) = self.lock(window);
        // SAFETY: locked; the sudog was pushed to this queue; then unlocked.
        unsafe {
            queue(state).remove(sudog);
            self.unlock(held);
        }
    }

    /// Closes the channel: what waits is woken, nothing can be sent any more, what is in the
    /// buffer can still be received. False if it was closed already.
    pub(crate) fn close(&self) -> bool {
        let mut did = false;
        loop {
            let window = enter_quietly();
            let (held, state) = self.lock(&window);
            did |= !self.set_closed();
            let next = Self::first_of_all(state);
            // SAFETY: locked above.
            unsafe { self.unlock(held) };
            match next {
                Some(claimed) => claimed.ready_in(&window),
                None => return did,
            }
        }
    }

    /// Marks the channel closed, under the lock; whether it was.
    pub(crate) fn set_closed(&self) -> bool {
        let was = self.is_closed_locked();
        // Release: pairs with the Acquire in `is_closed`.
        self.closed.store(true, Ordering::Release);
        was
    }

    /// The next waiter to be told that the channel is closed: receivers first, as in Go. They are
    /// woken one by one, so that neither the lock nor the window is held for long; new ones
    /// cannot come.
    pub(crate) fn first_of_all(state: &mut State<T>) -> Option<Claimed> {
        Self::first(&mut state.recvq, CLOSED)
            .or_else(|| Self::first(&mut state.sendq, CLOSED))
            .map(|(claimed, _)| claimed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: what the closer did before is visible to who sees this.
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.cap.is_some_and(|cap| self.len() >= cap)
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.cap
    }
}
