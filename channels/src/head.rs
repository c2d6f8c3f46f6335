//! The part of a channel that does not depend on what goes through it: the lock, the queues of those
//! who wait, the counts, and what a select needs to know before it looks at values.
//!
//! It knows nothing of values. Whoever waits at a channel is in one of four queues: receivers,
//! senders, and those who only watch for the one or the other to become possible
//! (`Select::ready`), who are woken whenever it may have, and take part in nothing.

use crate::waitq::{CLOSED, DONE, Sudog, WaitQueue};
use runtime::park::{
    self, Claimed, Encoding, Field, Held, Lock, Subject, Wait, WaitReason, Window,
};
use std::cell::Cell;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Enters the runtime.
#[inline(always)]
pub(crate) fn enter() -> Window {
    // SAFETY: in this crate every window ends, or is parked with, before anything of the user's
    // runs and before the runtime is called again.
    unsafe { park::enter() }
}

/// As `enter`, for destructors and for what must not be left half done: never unwinds.
#[inline(always)]
pub(crate) fn enter_quietly() -> Window {
    // SAFETY: as above.
    unsafe { park::enter_quietly() }
}

/// `Head::flags`: it is closed.
const CLOSED_FLAG: u8 = 1;
/// Somebody watches for something to receive.
const RECV_WATCHED: u8 = 2;
/// Somebody watches for room, or a receiver.
const SEND_WATCHED: u8 = 4;

/// What every operation needs comes first: one cache line.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) lock: Lock,
    /// Values in the buffer. Written under the lock, read without by `len` and its like.
    pub(crate) len: AtomicUsize,
    /// Written under the lock. Zero in the usual case, which is all that the fast paths ask.
    flags: AtomicU8,
    /// Only `is_empty` of its queues without the lock.
    pub(crate) queues: Queues,
    /// The capacity; the largest number if it is unbounded.
    cap: usize,
    unbounded: bool,
    /// The whole channel's size, its values included.
    bytes: usize,
    /// Handles on each side; `ends.rs` counts them.
    pub(crate) senders: AtomicUsize,
    pub(crate) receivers: AtomicUsize,
}

/// What the lock protects, apart from the values.
#[repr(C)]
pub(crate) struct Queues {
    pub(crate) recvq: WaitQueue,
    pub(crate) sendq: WaitQueue,
    /// How many values may be in the buffer: its capacity, less the places that are promised to
    /// selects which have chosen to send and have not done so yet. Written under the lock, read
    /// without by who asks whether there is room.
    limit: AtomicUsize,
    /// Those who watch for something to receive. Only with a flag set they are looked for.
    recv_watch: WaitQueue,
    /// Those who watch for room, or a receiver.
    send_watch: WaitQueue,
    /// One side is gone: the other frees the channel when it goes.
    pub(crate) one_side_gone: Cell<bool>,
}

/// One side of a channel: what somebody watches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Something to receive.
    Recv,
    /// Room, or a receiver.
    Send,
}

/// A channel as dumps show it.
pub(crate) static CHAN: Subject = {
    const fn field(name: &'static str, offset: usize, as_: Encoding) -> Field {
        Field { name, offset, as_ }
    }
    Subject {
        kind: "chan",
        size: crate::hchan::HEADER,
        fields: &[
            field("cap", offset_of!(Head, cap), Encoding::Limit),
            field("len", offset_of!(Head, len), Encoding::U64),
            field("senders", offset_of!(Head, senders), Encoding::U64),
            field("receivers", offset_of!(Head, receivers), Encoding::U64),
            field("bytes", offset_of!(Head, bytes), Encoding::Size),
            field(
                "closed",
                offset_of!(Head, flags),
                Encoding::Flag(CLOSED_FLAG),
            ),
        ],
        list: None,
    }
};

// SAFETY: the queues, but for their atomic part, are protected by the lock; nothing of the user's is
// in here.
unsafe impl Send for Head {}
// SAFETY: as above.
unsafe impl Sync for Head {}

impl Head {
    pub(crate) fn new(lock: Lock, cap: Option<usize>, bytes: usize) -> Head {
        Head {
            cap: cap.unwrap_or(usize::MAX),
            unbounded: cap.is_none(),
            bytes,
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            queues: Queues {
                one_side_gone: Cell::new(false),
                recv_watch: WaitQueue::new(),
                send_watch: WaitQueue::new(),
                limit: AtomicUsize::new(cap.unwrap_or(usize::MAX)),
                sendq: WaitQueue::new(),
                recvq: WaitQueue::new(),
            },
            lock,
            flags: AtomicU8::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// `None` is unbounded.
    pub(crate) fn cap(&self) -> Option<usize> {
        (!self.unbounded).then_some(self.cap)
    }

    /// A wait on this channel.
    #[inline(always)]
    pub(crate) fn wait(&self, reason: WaitReason) -> Wait {
        Wait::on(reason, self, &CHAN)
    }

    /// Locks the channel. The queues may be used until the lock is released.
    #[inline(always)]
    pub(crate) fn lock(&self, window: &Window) -> (Held, &Queues) {
        // SAFETY: no other lock is held here, and each use of this function releases it in the
        // window, or by its commit function.
        (unsafe { window.lock(&self.lock) }, &self.queues)
    }

    /// # Safety
    /// `held` is this channel's; the queues are not used afterwards.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self, held: Held) {
        // SAFETY: the caller's promise.
        unsafe { self.lock.unlock(held) };
    }

    /// Under the lock.
    #[inline(always)]
    pub(crate) fn is_closed_locked(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & CLOSED_FLAG != 0
    }

    /// Under the lock: it is not closed, and nobody watches.
    #[inline(always)]
    pub(crate) fn is_usual(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == 0
    }

    /// Puts a sudog among those who watch a side.
    ///
    /// # Safety
    /// As for [`WaitQueue::push`].
    pub(crate) unsafe fn watch(&self, side: Side, s: *mut Sudog) {
        let (flag, queue) = self.watchers(side);
        // SAFETY: the caller's promise.
        unsafe { queue.push(s) };
        // Release: as in `set_closed`, whose flag is in the same word.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags | flag, Ordering::Release);
    }

    /// The flag and the queue of those who watch a side. (The flag stays set when the last of
    /// them gives up, until somebody comes to wake them.)
    pub(crate) fn watchers(&self, side: Side) -> (u8, &WaitQueue) {
        match side {
            Side::Recv => (RECV_WATCHED, &self.queues.recv_watch),
            Side::Send => (SEND_WATCHED, &self.queues.send_watch),
        }
    }

    /// Wakes those who watch one side of the channel, if anybody does. Under the lock, the one
    /// exception from the rule that wakes come after the unlock: a sender or receiver who is about to
    /// wait has to wake them after it has queued (or they would look again too early, and sleep), and
    /// when it has unlocked it may be gone. Nobody spins for long: making ready is a push to a queue,
    /// at worst the wake of a thread.
    #[inline(always)]
    pub(crate) fn wake_watchers(&self, window: &Window, side: Side) {
        if !self.is_usual() {
            self.wake_watchers_slow(window, side);
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_watchers_slow(&self, window: &Window, side: Side) {
        let (flag, queue) = self.watchers(side);
        // SAFETY: under the lock.
        while let Some((claimed, _)) = unsafe { queue.claim_first(DONE) } {
            claimed.ready_in(window);
        }
        // Release: as in `watch`.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags & !flag, Ordering::Release);
    }

    /// Marks the channel closed, under the lock; whether it was.
    pub(crate) fn set_closed(&self) -> bool {
        let was = self.is_closed_locked();
        // Release: pairs with the Acquire in `is_closed`.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags | CLOSED_FLAG, Ordering::Release);
        was
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: what the closer did before is visible to who sees this.
        self.flags.load(Ordering::Acquire) & CLOSED_FLAG != 0
    }

    /// Closes the channel: what waits is woken, nothing can be sent any more, what is in the
    /// buffer can still be received. False if it was closed already.
    pub(crate) fn close(&self) -> bool {
        let mut did = false;
        loop {
            let window = enter_quietly();
            let (held, queues) = self.lock(&window);
            did |= !self.set_closed();
            let next = queues.first_of_all();
            // SAFETY: locked above.
            unsafe { self.unlock(held) };
            match next {
                Some(claimed) => claimed.ready_in(&window),
                None => return did,
            }
        }
    }

    /// Whether a receive looks as if it need not wait. Without the lock a hint: what it says was
    /// so a moment ago, and somebody who seems to wait may have been woken by something else.
    #[inline(always)]
    pub(crate) fn may_recv(&self) -> bool {
        // Relaxed: a hint.
        self.len.load(Ordering::Relaxed) != 0
            || !self.queues.sendq.is_empty()
            || self.flags.load(Ordering::Relaxed) & CLOSED_FLAG != 0
    }

    /// As `may_recv`, for a send.
    #[inline(always)]
    pub(crate) fn may_send(&self) -> bool {
        !self.is_full()
            || !self.queues.recvq.is_empty()
            || self.flags.load(Ordering::Relaxed) & CLOSED_FLAG != 0
    }

    /// Lengths of the queues, for tests.
    pub(crate) fn queued(&self) -> [usize; 4] {
        let window = enter_quietly();
        let (held, queues) = self.lock(&window);
        let lengths = [
            queues.recvq.len(),
            queues.sendq.len(),
            queues.recv_watch.len(),
            queues.send_watch.len(),
        ];
        // SAFETY: locked above.
        unsafe { self.unlock(held) };
        lengths
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for a value: what is promised is none.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.queues.limit()
    }
}

impl Queues {
    /// How many values may be in the buffer.
    #[inline(always)]
    pub(crate) fn limit(&self) -> usize {
        // Relaxed, here and below: ordered by the lock; who reads without it gets a hint.
        self.limit.load(Ordering::Relaxed)
    }

    /// Promises a place of the buffer, of which one is free. Under the lock.
    #[inline]
    pub(crate) fn promise(&self) {
        self.limit.store(self.limit() - 1, Ordering::Relaxed);
    }

    /// The place that was promised is free, or is about to be taken. Under the lock.
    #[inline]
    pub(crate) fn end_promise(&self) {
        self.limit.store(self.limit() + 1, Ordering::Relaxed);
    }

    /// The next waiter to be told that the channel is closed: receivers first, as in Go. They are
    /// woken one by one, so that neither the lock nor the window is held for long; new ones
    /// cannot come.
    pub(crate) fn first_of_all(&self) -> Option<Claimed> {
        let queues = [&self.recvq, &self.sendq, &self.recv_watch, &self.send_watch];
        queues
            .into_iter()
            // SAFETY: under the lock.
            .find_map(|queue| unsafe { queue.claim_first(CLOSED) })
            .map(|(claimed, _)| claimed)
    }
}
