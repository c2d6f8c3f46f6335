//! A channel's waiters: a receiver that parks, against a sender, a closer and a shutdown, on the
//! channels' own queue (`channels/src/waitq.rs`), the biased lock and the waiter word.
//!
//! Written out here: `recv_slow`, `first`, `pass`, `forget` and `close` (`channels/src/hchan.rs`)
//! for a channel with room for one value, and `commit_park` and `begin_stop` as in `park.rs`. The
//! receiver's frame, with its sudog and its slot, is a cell that loom watches: it is read by
//! whoever uses the sudog, and written to when the receiver has gone on.

use super::{check, spawn};
use crate::atomics::atomic::{AtomicBool, AtomicPtr};
use crate::atomics::{Backoff, Ordering, heavy_fence, light_fence};
use crate::g::parker::{Claimed, Kind, Parker, Token};
use crate::p::lock::{BiasSlot, Held, Lock};
use loom::cell::UnsafeCell;
use queue::{CLOSED, DONE, Sudog, WaitQueue};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

#[allow(dead_code, reason = "values do not go through the sudog here")]
#[path = "../../../channels/src/waitq.rs"]
mod queue;

/// What the lock protects.
struct State {
    recvq: WaitQueue,
    buffer: Option<u32>,
    closed: bool,
}

struct World {
    lock: Lock,
    state: UnsafeCell<State>,
    /// The receiver's P.
    slot: BiasSlot,
    parker: Parker,
    committing: AtomicPtr<Parker>,
    stopping: AtomicBool,
    /// The receiver's stack is as it was when it parked.
    frame: UnsafeCell<bool>,
    sudog: std::cell::UnsafeCell<Option<Sudog>>,
    elem: UnsafeCell<Option<u32>>,
    /// Not part of the model: how the receiver's call ended, and what the sender got rid of.
    received: Count,
    nothing: Count,
    interrupted: Count,
    sent: Count,
}

// SAFETY: the cells are only touched by who the protocol says owns them, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        let mut w = Arc::new(World {
            lock: Lock::biased_to(None),
            state: UnsafeCell::new(State {
                recvq: WaitQueue::new(),
                buffer: None,
                closed: false,
            }),
            slot: BiasSlot::new(),
            parker: Parker::new(Kind::Goroutine),
            committing: AtomicPtr::new(ptr::null_mut()),
            stopping: AtomicBool::new(false),
            frame: UnsafeCell::new(true),
            sudog: std::cell::UnsafeCell::new(None),
            elem: UnsafeCell::new(None),
            received: Count::new(0),
            nothing: Count::new(0),
            interrupted: Count::new(0),
            sent: Count::new(0),
        });
        // The slot has its final address now.
        let this = Arc::get_mut(&mut w).expect("not shared yet");
        this.lock = Lock::biased_to(Some(&this.slot));
        w
    }

    fn lock(&self, slot: Option<&BiasSlot>) -> Held {
        // SAFETY: the receiver's thread alone gives its slot, until it has parked.
        unsafe { self.lock.lock(slot) }
    }

    fn unlock(&self, held: Held) {
        // SAFETY: locked by the caller.
        unsafe { self.lock.unlock(held) };
    }

    /// Under the lock.
    fn state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: locked by the caller, which loom checks.
        self.state.with_mut(|s| f(unsafe { &mut *s }))
    }

    /// Under the lock, or on the way to wake the receiver: its frame is there.
    fn frame_is_there(&self) {
        // SAFETY: loom checks that the receiver does not go on meanwhile.
        self.frame
            .with(|f| assert!(unsafe { *f }, "the frame is gone"));
    }

    fn first(&self, state: &mut State, token: u32) -> Option<Claimed> {
        // SAFETY: under the lock.
        while let Some(s) = unsafe { state.recvq.pop() } {
            self.frame_is_there();
            // SAFETY: the sudog is in the queue until its frame ends.
            if let Some(claimed) = unsafe { (*s).claim(token) } {
                return Some(claimed);
            }
        }
        None
    }

    /// `try_send`: true if the value was passed on.
    fn send(&self, value: u32) {
        let held = self.lock(None);
        let (passed, woken) = self.state(|state| {
            if state.closed {
                return (false, None);
            }
            let woken = self.first(state, DONE);
            if woken.is_some() {
                self.frame_is_there();
                // SAFETY: the receiver does not run before it is made ready.
                self.elem.with_mut(|e| unsafe { *e = Some(value) });
            } else {
                assert!(state.buffer.replace(value).is_none());
            }
            (true, woken)
        });
        self.sent.fetch_add(u32::from(passed), Relaxed);
        self.unlock(held);
        self.resume(woken);
    }

    fn close(&self) {
        loop {
            let held = self.lock(None);
            let next = self.state(|state| {
                state.closed = true;
                self.first(state, CLOSED)
            });
            self.unlock(held);
            if next.is_none() {
                return;
            }
            self.resume(next);
        }
    }

    fn recv(&self) {
        let held = self.lock(Some(&self.slot));
        let (value, closed) = self.state(|s| (s.buffer.take(), s.closed));
        if value.is_some() || closed {
            self.unlock(held);
            let count = if value.is_some() {
                &self.received
            } else {
                &self.nothing
            };
            count.fetch_add(1, Relaxed);
            return;
        }
        let waiter = self.parker.episode();
        // SAFETY: nobody knows the sudog yet; then it is in the queue until its frame ends.
        self.state(|s| unsafe {
            let sudog = (*self.sudog.get()).insert(Sudog::new(waiter, ptr::null_mut()));
            s.recvq.push(sudog);
        });
        // `commit_park`
        self.committing
            .store(ptr::from_ref(&self.parker).cast_mut(), Ordering::Relaxed);
        self.parker.arm(waiter);
        self.frame_is_there();
        self.unlock(held);
        self.committing.store(ptr::null_mut(), Ordering::Release);
        light_fence();
        if self.stopping.load(Ordering::Relaxed) {
            self.resume(waiter.claim(Token::INTERRUPTED));
        }
    }

    /// The receiver goes on, on another M.
    fn resume(&self, claimed: Option<Claimed>) {
        if claimed.is_none() {
            return;
        }
        let token = self.parker.token();
        if token == Token::INTERRUPTED {
            let held = self.lock(None);
            // SAFETY: locked; the sudog was pushed to this queue.
            self.state(|s| unsafe {
                let sudog = (*self.sudog.get()).as_mut().expect("it parked");
                s.recvq.remove(sudog);
            });
            self.unlock(held);
        }
        // SAFETY: the receiver runs: its frame and what is in it are its own.
        let value = self.elem.with_mut(|e| unsafe { (*e).take() });
        assert_eq!(value.is_some(), token == Token::new(DONE));
        match token.get() {
            DONE => &self.received,
            CLOSED => &self.nothing,
            _ => &self.interrupted,
        }
        .fetch_add(1, Relaxed);
        // SAFETY: as above.
        self.frame.with_mut(|f| unsafe { *f = false });
    }

    /// As `begin_stop` in `sched/shutdown.rs`.
    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        heavy_fence();
        let Some(waiter) = self.parker.armed() else {
            return;
        };
        let claimed = waiter.claim(Token::INTERRUPTED);
        let mut backoff = Backoff::new();
        while claimed.is_some() && ptr::eq(self.committing.load(Ordering::Acquire), &self.parker) {
            backoff.snooze();
        }
        self.resume(claimed);
    }

    /// How often the receiver's call ended with a value, without, and by an interrupt. Every
    /// value that was sent is received or in the buffer.
    fn end(&self) -> [u32; 3] {
        let buffered = self.state(|s| {
            assert!(s.recvq.is_empty());
            u32::from(s.buffer.is_some())
        });
        let ends = [&self.received, &self.nothing, &self.interrupted].map(|c| c.load(Relaxed));
        assert_eq!(
            self.sent.load(Relaxed),
            ends[0] + buffered,
            "a value is lost"
        );
        ends
    }
}

#[test]
fn a_receiver_a_sender_and_a_closer() {
    check(2, || {
        let w = World::new();
        let sender = spawn(&w, |w| w.send(5));
        let closer = spawn(&w, |w| w.close());
        w.recv();
        sender.join().unwrap();
        closer.join().unwrap();
        let [received, nothing, _] = w.end();
        assert_eq!(received + nothing, 1);
    });
}

#[test]
fn a_receiver_a_sender_and_a_shutdown() {
    check(2, || {
        let w = World::new();
        let sender = spawn(&w, |w| w.send(5));
        let stopper = spawn(&w, |w| w.stop());
        w.recv();
        sender.join().unwrap();
        stopper.join().unwrap();
        let [received, nothing, interrupted] = w.end();
        assert_eq!((received + interrupted, nothing), (1, 0));
    });
}

#[test]
fn a_receiver_a_closer_and_a_shutdown() {
    check(2, || {
        let w = World::new();
        let closer = spawn(&w, |w| w.close());
        let stopper = spawn(&w, |w| w.stop());
        w.recv();
        closer.join().unwrap();
        stopper.join().unwrap();
        let [received, nothing, interrupted] = w.end();
        assert_eq!((received, nothing + interrupted), (0, 1));
    });
}
