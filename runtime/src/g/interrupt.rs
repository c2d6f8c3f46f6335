//! How a wait is cut short from outside: cancel requests, and frames whose time is over.
//!
//! # Protocol
//!
//! Each parker has a word of requests. Whoever wants a waiter to stop waiting
//!
//! ```text
//!   interrupter                              waiter
//!   (1) set a bit in the word                (1) arm (off its stack, `interruptible` is set)
//!   (2) heavy fence                          (2) commit; light fence
//!   (3) armed, interruptible, and the        (3) a bit is set?
//!       bit still set? claim it                  then claim itself
//! ```
//!
//! *Case 1: the bit is set before the waiter's light fence.* Then the waiter sees it in its (3).
//! *Case 2: it is set after.* Then the interrupter sees the waiter armed in its (3). Either way the
//! wait ends with `Token::INTERRUPTED`, once, by the claim on the episode's number. A waiter that
//! runs goes on, and meets the bit at its next wait.
//!
//! The bit is taken by the waiter alone ([`Parker::take_request`]), when it unwinds for it. Step
//! (3) of the interrupter reads the bit *after* the episode: if it is still set, the waiter has not
//! taken it before it began this episode, so the claim interrupts no wait that comes after the one
//! that was meant. If the waiter has taken it since, the claim fails on the number.
//!
//! A waiter that unwinds already, for something else, takes nothing: its waits in destructors end at
//! once, and if that unwinding is caught, its next wait meets the request.
//!
//! # Frames
//!
//! A frame is a piece of a waiter's stack that can be told to end: `timeout`, a scope. Frames nest,
//! linked from the parker. One that is told to end is marked, and the FRAME bit set; the waiter's
//! wait is then interrupted, and it unwinds to the *outermost* frame that has fired, by a
//! payload with the frame's number. So an inner frame cannot swallow the end of an outer one.
//!
//! ```text
//!   LIVE --> FIRING --(the bit is set)--> FIRED      by whoever comes first; a second one does nothing
//!                                         FIRED --> DELIVERED   by the waiter, which unwinds to it
//! ```
//!
//! The bit belongs to all frames, so it may be taken for another one between the mark and the setting
//! of the bit. Who delivers a frame therefore waits until it is FIRED, and takes the bit after
//! that: no bit comes for a frame that was delivered, or left, already. It would interrupt a wait
//! for nothing.

use super::parker::{Claimed, Parker, Token};
use crate::atomics::atomic::{AtomicU8, fence};
use crate::atomics::{Backoff, Ordering};
use std::ptr;
use std::time::Instant;

/// The waiter shall unwind as a whole: its `join` gives `Cancelled`.
pub(crate) const CANCEL: u8 = 1;
/// A frame of the waiter has fired.
pub(crate) const FRAME: u8 = 2;

const LIVE: u8 = 0;
const FIRING: u8 = 1;
const FIRED: u8 = 2;
const DELIVERED: u8 = 3;

/// A piece of a waiter's stack that can be told to end.
#[derive(Debug)]
pub(crate) struct Frame {
    state: AtomicU8,
    /// Unique in the process.
    id: u64,
    /// For a plain thread: when it ends by itself. (A goroutine's has a timer.)
    until: Option<Instant>,
    outer: *const Frame,
}

/// The payload by which a waiter is unwound to the frame with this number.
pub(crate) struct FrameUnwind(u64);

/// What a waiter that was interrupted has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Request {
    /// Nothing was asked of it (the runtime shuts down).
    None,
    /// Unwind as a whole.
    Cancel,
    /// Unwind to the frame with this number.
    Frame(u64),
}

impl Frame {
    /// A frame that is not linked yet.
    pub(crate) fn new(id: u64, until: Option<Instant>) -> Frame {
        Frame {
            state: AtomicU8::new(LIVE),
            id,
            until,
            outer: ptr::null(),
        }
    }

    /// Whether it was told to end.
    pub(crate) fn has_fired(&self) -> bool {
        self.state.load(Ordering::Relaxed) != LIVE
    }

    /// Where in a frame the address of the next outer one is; for those who look from outside.
    #[cfg(not(loom))]
    pub(crate) const OUTER: usize = std::mem::offset_of!(Frame, outer);

    /// Whether this is the payload by which the waiter was unwound to this frame.
    pub(crate) fn is_mine(&self, payload: &(dyn std::any::Any + Send)) -> bool {
        payload
            .downcast_ref::<FrameUnwind>()
            .is_some_and(|p| p.0 == self.id)
    }

    /// Whether this is the request to unwind to this frame.
    pub(crate) fn is(&self, request: &Request) -> bool {
        *request == Request::Frame(self.id)
    }

    /// Whether it was told to end, and the waiter has not unwound to it so far.
    fn is_pending(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), FIRING | FIRED)
    }

    /// It was told to end: waits until the teller has set the bit.
    fn settle(&self) {
        let mut backoff = Backoff::new();
        // Acquire: pairs with the Release in `request_frame`; the bit is set before.
        while self.state.load(Ordering::Acquire) == FIRING {
            backoff.snooze();
        }
    }
}

impl FrameUnwind {
    pub(crate) fn new(id: u64) -> FrameUnwind {
        FrameUnwind(id)
    }
}

impl Parker {
    /// Steps (1) of an interrupter that wants the waiter to unwind as a whole. A heavy fence and
    /// [`Parker::claim_requested`] follow.
    pub(crate) fn request_cancel(&self) {
        // Release: what the interrupter did before is visible to who takes the request.
        self.requests.fetch_or(CANCEL, Ordering::Release);
    }

    /// As [`Parker::request_cancel`], for a frame. Nothing happens if it was told before.
    pub(crate) fn request_frame(&self, frame: &Frame) {
        // Relaxed: ordered by the FRAME bit, which is set after it with Release.
        if frame
            .state
            .compare_exchange(LIVE, FIRING, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            self.requests.fetch_or(FRAME, Ordering::Release);
            // Release: pairs with the Acquire in `settle`.
            frame.state.store(FIRED, Ordering::Release);
        }
    }

    /// Whether anything is asked of the waiter.
    #[inline(always)]
    pub(crate) fn is_requested(&self) -> bool {
        // Relaxed: the fences of the protocol order it.
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// Step (3) of an interrupter.
    pub(crate) fn claim_requested(&self) -> Option<Claimed> {
        let waiter = self.armed()?;
        // The flag and the bit belong to the episode that `armed` has seen, or the claim fails.
        if !self.interruptible.load(Ordering::Relaxed) || !self.is_requested() {
            return None;
        }
        waiter.claim(Token::INTERRUPTED)
    }

    /// The waiter takes what is asked of it. Its own.
    pub(crate) fn take_request(&self) -> Request {
        // Acquire: pairs with the Release of who asked.
        let bits = self.requests.load(Ordering::Acquire);
        if bits & CANCEL != 0 {
            self.requests.fetch_and(!CANCEL, Ordering::AcqRel);
            return Request::Cancel;
        }
        if bits & FRAME != 0
            && let Some(frame) = self.take_pending()
        {
            frame.state.store(DELIVERED, Ordering::Relaxed);
            return Request::Frame(frame.id);
        }
        Request::None
    }

    /// Of two requests that the waiter has taken one after the other, the one that unwinds further.
    /// Its own.
    #[cfg_attr(loom, allow(dead_code, reason = "no model uses it"))]
    pub(crate) fn further(&self, a: Request, b: Request) -> Request {
        match (a, b) {
            (Request::Cancel, _) | (_, Request::Cancel) => Request::Cancel,
            (Request::None, other) | (other, Request::None) => other,
            (Request::Frame(x), Request::Frame(y)) => {
                let inner = self.frames().map(|f| f.id).find(|&id| id == x || id == y);
                if inner == Some(x) { b } else { a }
            }
        }
    }

    /// Asks again for what [`Parker::take_request`] gave, and what was not done. Its own.
    pub(crate) fn put_back(&self, request: &Request) {
        match *request {
            Request::None => {}
            Request::Cancel => self.request_cancel(),
            Request::Frame(id) => {
                if let Some(frame) = self.frames().find(|f| f.id == id) {
                    // Relaxed: both are read by the waiter itself, and by interrupters that
                    // claim it armed.
                    frame.state.store(FIRED, Ordering::Relaxed);
                    self.requests.fetch_or(FRAME, Ordering::Release);
                }
            }
        }
    }

    /// Takes the FRAME bit for the outermost frame that was told to end.
    fn take_pending(&self) -> Option<&Frame> {
        let mut taken: Option<&Frame> = None;
        loop {
            if let Some(frame) = taken {
                frame.settle();
            }
            self.requests.fetch_and(!FRAME, Ordering::AcqRel);
            // One that is told now marks its frame before it sets the bit: one of the two is seen.
            fence(Ordering::SeqCst);
            let outermost = self.frames().filter(|f| f.is_pending()).last();
            if outermost.map(ptr::from_ref) == taken.map(ptr::from_ref) {
                return taken;
            }
            taken = outermost;
        }
    }

    /// The waiter's frames, the innermost first. Its own.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        let mut next = self.frame.load(Ordering::Relaxed).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: linked frames are alive: `leave_frame` comes before their end.
            let frame = unsafe { next.as_ref() }?;
            next = frame.outer;
            Some(frame)
        })
    }

    /// Links a frame, as the innermost. The waiter's own.
    ///
    /// # Safety
    /// The frame stays in its place until [`Parker::leave_frame`] is called with it, in the reverse
    /// order of entering.
    pub(crate) unsafe fn enter_frame(&self, frame: &mut Frame) {
        frame.outer = self.frame.load(Ordering::Relaxed).cast_const();
        self.frame.store(frame, Ordering::Relaxed);
    }

    /// Unlinks the innermost frame, which nobody can tell to end any more. The waiter's own.
    pub(crate) fn leave_frame(&self, frame: &Frame) {
        debug_assert!(ptr::eq(self.frame.load(Ordering::Relaxed), frame));
        self.frame.store(frame.outer.cast_mut(), Ordering::Relaxed);
        if frame.is_pending() {
            // It came too late: the bit may have been meant for this frame alone.
            self.requests.fetch_and(!FRAME, Ordering::AcqRel);
            // A frame that is told now sets the bit after its mark, so one of the two is seen.
            fence(Ordering::SeqCst);
            if self.frames().any(Frame::is_pending) {
                self.requests.fetch_or(FRAME, Ordering::AcqRel);
            }
        }
    }

    /// Whether the waiter is in a frame, which others may tell to end. Its own question.
    pub(crate) fn in_frame(&self) -> bool {
        !self.frame.load(Ordering::Relaxed).is_null()
    }

    /// For a plain thread: the frame that ends first by itself, and has not.
    pub(crate) fn next_frame_end(&self) -> Option<Instant> {
        self.frames()
            .filter(|f| f.state.load(Ordering::Relaxed) == LIVE)
            .filter_map(|f| f.until)
            .min()
    }

    /// For a plain thread: marks the frames whose time is over; whether there was one.
    pub(crate) fn fire_frames(&self, now: Instant) -> bool {
        let mut any = false;
        for frame in self.frames() {
            if frame.until.is_some_and(|at| at <= now) && !frame.has_fired() {
                self.request_frame(frame);
                any = true;
            }
        }
        any
    }
}
