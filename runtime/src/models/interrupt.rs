//! Interrupts (`g/interrupt.rs`): a request against a waiter that parks, and one that is claimed while
//! it is still open (`g/parker.rs`).
//!
//! Written out here: the interrupter's fence and the waiter's check after its park, as
//! `sched/interrupt.rs` and `commit_park` (`sched/run.rs`) have them.

use super::{check, spawn};
use crate::atomics::{Ordering, heavy_fence, light_fence};
use crate::g::interrupt::{Frame, Request};
use crate::g::parker::{Kind, Parker, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

struct World {
    parker: Parker,
    interrupted: Count,
}

// SAFETY: all of it is atomic.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            parker: Parker::new(Kind::Thread),
            interrupted: Count::new(0),
        })
    }

    fn cancel(&self) {
        self.parker.request_cancel();
        heavy_fence();
        if self.parker.claim_requested().is_some() {
            self.interrupted.fetch_add(1, Relaxed);
        }
    }

    /// Arms, and looks for a request; whether the wait is over at once.
    fn park(&self) -> bool {
        self.parker.interruptible.store(true, Ordering::Relaxed);
        let waiter = self.parker.episode();
        self.parker.arm(waiter);
        light_fence();
        self.parker.is_requested() && waiter.claim(Token::INTERRUPTED).is_some()
    }
}

/// A cancel comes while the waiter parks: the wait ends, by the one or the other, once.
#[test]
fn a_request_ends_the_wait_that_it_meets() {
    check(5, || {
        let w = World::new();
        let canceller = spawn(&w, |w| w.cancel());
        let own = w.park();
        canceller.join().unwrap();
        assert_eq!(w.interrupted.load(Relaxed) + u32::from(own), 1);
        assert_eq!(w.parker.token(), Token::INTERRUPTED);
        assert_eq!(w.parker.take_request(), Request::Cancel);
        assert!(!w.parker.is_requested());
    });
}

/// A waiter that has taken the request, and parks again, is not interrupted a second time by the same
/// request, however slow the canceller is.
#[test]
fn a_request_interrupts_one_wait_only() {
    check(4, || {
        let w = World::new();
        let canceller = spawn(&w, |w| w.cancel());
        if w.park() {
            assert_eq!(w.parker.take_request(), Request::Cancel);
            let again = w.park();
            canceller.join().unwrap();
            assert!(!again);
            assert_eq!(w.interrupted.load(Relaxed), 0);
            assert!(w.parker.armed().is_some(), "the second wait goes on");
        } else {
            canceller.join().unwrap();
            assert_eq!(w.interrupted.load(Relaxed), 1);
        }
    });
}

/// A frame that is told to end just as it ends by itself leaves nothing behind; if an outer one was
/// told too, that is not forgotten.
#[test]
fn a_frame_that_ends_takes_its_request_with_it() {
    struct Frames {
        parker: Parker,
        outer: Frame,
    }
    // SAFETY: all of it is atomic but the links, which are the waiter's.
    unsafe impl Send for Frames {}
    // SAFETY: as above.
    unsafe impl Sync for Frames {}

    check(5, || {
        let mut outer = Frame::new(1, None);
        let mut inner = Frame::new(2, None);
        let parker = Parker::new(Kind::Thread);
        // SAFETY: the frames stay: the outer one is moved before anybody follows its link, and
        // linked again in its place.
        unsafe {
            parker.enter_frame(&mut outer);
            parker.leave_frame(&outer);
        }
        let mut f = Arc::new(Frames { parker, outer });
        {
            let f = Arc::get_mut(&mut f).expect("not shared yet");
            // SAFETY: it stays in the Arc until the end of the model.
            unsafe { f.parker.enter_frame(&mut f.outer) };
        }
        // SAFETY: left below, before it goes.
        unsafe { f.parker.enter_frame(&mut inner) };
        f.parker.request_frame(&inner); // it comes too late
        let teller = {
            let f = f.clone();
            loom::thread::spawn(move || f.parker.request_frame(&f.outer))
        };
        f.parker.leave_frame(&inner);
        teller.join().unwrap();
        assert!(f.parker.is_requested());
        assert_eq!(f.parker.take_request(), Request::Frame(1));
        assert_eq!(f.parker.take_request(), Request::None);
        f.parker.leave_frame(&f.outer);
    });
}

/// Two frames are told at once, one of them twice, while the waiter takes what is asked: nothing is
/// left when it has left both, so no later wait is interrupted for nothing.
#[test]
fn frames_that_are_told_together_leave_nothing_behind() {
    struct Frames {
        parker: Parker,
        outer: Frame,
        inner: Frame,
    }
    // SAFETY: all of it is atomic but the links, which are the waiter's.
    unsafe impl Send for Frames {}
    // SAFETY: as above.
    unsafe impl Sync for Frames {}

    check(4, || {
        let mut f = Arc::new(Frames {
            parker: Parker::new(Kind::Thread),
            outer: Frame::new(1, None),
            inner: Frame::new(2, None),
        });
        {
            let f = Arc::get_mut(&mut f).expect("not shared yet");
            // SAFETY: both stay in the Arc until the end of the model, and are left below.
            unsafe {
                f.parker.enter_frame(&mut f.outer);
                f.parker.enter_frame(&mut f.inner);
            }
        }
        let tellers = [1, 2].map(|n| {
            let f = f.clone();
            loom::thread::spawn(move || {
                if n == 2 {
                    f.parker.request_frame(&f.inner);
                }
                f.parker.request_frame(&f.outer);
            })
        });
        let taken = match f.parker.is_requested() {
            true => f.parker.take_request(),
            false => Request::None,
        };
        for t in tellers {
            t.join().unwrap();
        }
        f.parker.leave_frame(&f.inner);
        if taken != Request::Frame(1) {
            assert!(f.parker.is_requested(), "the outer one is still to come");
            assert_eq!(f.parker.take_request(), Request::Frame(1));
        }
        assert!(!f.parker.is_requested());
        f.parker.leave_frame(&f.outer);
        assert!(!f.parker.is_requested());
    });
}

/// A wait that is open to claims before it parks: the claim comes before or after the park, and is
/// never lost; the claimer has to make it ready in the second case only.
#[test]
fn an_open_wait_is_claimed_once_whenever_it_parks() {
    check(5, || {
        let w = World::new();
        let waiter = w.parker.episode();
        w.parker.open(waiter);
        let claimers = [3, 4].map(|n| {
            spawn(&w, move |w| {
                if let Some(claimed) = waiter.claim(Token::new(n)) {
                    let must_ready = claimed.0.is_some();
                    w.interrupted
                        .fetch_add(if must_ready { 1 } else { 16 }, Relaxed);
                }
            })
        });
        let parked = w.parker.arm_open(waiter);
        for c in claimers {
            c.join().unwrap();
        }
        // Exactly one claim; by somebody who must make it ready if it was parked, and else not.
        assert_eq!(w.interrupted.load(Relaxed), if parked { 1 } else { 16 });
        assert!(w.parker.fired());
    });
}
