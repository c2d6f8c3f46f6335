//! Where a select's send meets its receiver.
//!
//! A select chooses before the value that it sends exists: `Select` returns a `SelectedOperation`
//! that is given the value later, and `select!` evaluates the value of the chosen arm alone. What has
//! been chosen cannot fail for want of room, though. So the choice, made under the channel's lock, is
//! one of these:
//!
//! ```text
//!   a receiver waits           it is claimed, and sleeps on until the value has come   Direct
//!   the buffer has room        a place of it is promised (Queues::promise)             Promised
//!   nothing: the select waits, and is chosen by
//!     a receiver               which claims it, and waits for the value in `meet`      Partner
//!     a place becoming free    which is promised to it                                 Promised
//! ```
//!
//! A receiver never spins for the value: it is parked in every case, and whoever brings the value
//! makes it ready. If none comes (the code that makes it panics; the operation is dropped),
//! the receiver is told that it was for nothing, and starts again.
//!
//! A promised place is a number only. The value goes to the tail of the buffer when it comes, so
//! nobody ever waits for a slot that is reserved, and not full yet.

use crate::hchan::{Hchan, Refused};
use crate::head::{Side, enter_quietly};
use crate::waitq::Sudog;
use runtime::park::{Claimed, Held, Interrupt, Token, WaitReason, Waiter, Window};
use std::mem::MaybeUninit;

/// A receiver that waits for the value of a select which it has chosen.
#[derive(Debug)]
pub struct Partner {
    waiter: Waiter,
    elem: *mut (),
    /// No value came.
    void: bool,
}

/// How a select that has chosen to send goes on.
#[derive(Debug)]
pub enum Sending {
    /// To this receiver, whose sudog is off its queue and stays where it is until it is made ready.
    Direct(Claimed, *mut Sudog),
    /// To this one, who stays in `meet`.
    Partner(*mut Partner),
    /// Into the buffer, or to whoever waits there by then.
    Promised,
    /// Nowhere.
    Closed,
}

impl<T> Hchan<T> {
    /// What a receiver does with a select that sends, which it has claimed: tells it, makes it ready,
    /// and waits for its value; `None` if it could not make one. Nothing ends this wait but the
    /// select: it counts on it.
    ///
    /// # Safety
    /// `held` is this channel's lock; `claimed` and `s` are what `take` has found.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn meet(
        &self,
        window: Window,
        held: Held,
        claimed: Claimed,
        s: *mut Sudog,
    ) -> Option<T> {
        let mut slot = MaybeUninit::<T>::uninit();
        // SAFETY: the caller's promise; the slot is for a T.
        unsafe {
            self.meet_at(window, held, claimed, s, slot.as_mut_ptr().cast())
                .then(|| slot.assume_init())
        }
    }

    /// As `meet`: whether there is a value at `elem` now.
    ///
    /// # Safety
    /// As for `meet`; `elem` has room for a value.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn meet_at(
        &self,
        window: Window,
        held: Held,
        claimed: Claimed,
        s: *mut Sudog,
        elem: *mut (),
    ) -> bool {
        // Open: the select may answer before we have parked.
        // SAFETY: for the park below; nobody but the select knows of it, which forgets it by its
        // claim, the only end of the wait.
        let mut partner = unsafe {
            Partner {
                waiter: window.open_waiter(),
                elem,
                void: false,
            }
        };
        let p = &raw mut partner;
        // SAFETY: a claimed waiter's sudog is there until it is made ready; the lock is held, and
        // the commit function does nothing.
        unsafe {
            (*s).elem = p.cast();
            self.head.unlock(held);
            claimed.ready_in(&window);
            let wait = self.head.wait(WaitReason::ChanReceive);
            let (window, token) = window.park_open(wait, Interrupt::Forbidden, None, || true);
            debug_assert_eq!(token, Token::new(0));
            drop(window);
            // SAFETY: the select wrote before its claim, and does not touch it any more.
            !(*p).void
        }
    }

    /// Sends the value of a select that has chosen this channel. It comes back if the channel is
    /// closed: before the choice, or since.
    pub(crate) fn complete(&self, sending: Sending, value: T) -> Result<(), T> {
        match sending {
            Sending::Direct(claimed, s) => {
                // SAFETY: the receiver's slot, which is empty; it leaves it when it is ready.
                unsafe { (*s).elem.cast::<T>().write(value) };
                claimed.ready();
                Ok(())
            }
            Sending::Partner(partner) => {
                // SAFETY: as above; the partner is there until it is claimed.
                let waiter = unsafe {
                    (*partner).elem.cast::<T>().write(value);
                    (*partner).waiter
                };
                finish(waiter);
                Ok(())
            }
            Sending::Promised => {
                let window = enter_quietly();
                let (held, queues) = self.head.lock(&window);
                queues.end_promise();
                // SAFETY: locked above, then unlocked.
                let result = unsafe {
                    let result = self.pass(&window, queues, value);
                    self.head.unlock(held);
                    result
                };
                match result {
                    Ok(woken) => {
                        if let Some(claimed) = woken {
                            claimed.ready_in(&window);
                        }
                        Ok(())
                    }
                    Err(Refused::Closed(value) | Refused::Full(value)) => {
                        drop(window);
                        Err(value)
                    }
                }
            }
            Sending::Closed => Err(value),
        }
    }

    /// Takes back the choice of this channel: no value comes.
    pub(crate) fn release(&self, sending: Sending) {
        match sending {
            Sending::Direct(claimed, s) => {
                // SAFETY: a claimed receiver's sudog is there until it is made ready.
                unsafe { (*s).void = true };
                claimed.ready();
            }
            Sending::Partner(partner) => {
                // SAFETY: the partner is there until it is claimed.
                let waiter = unsafe {
                    (*partner).void = true;
                    (*partner).waiter
                };
                finish(waiter);
            }
            Sending::Promised => {
                let window = enter_quietly();
                let (held, queues) = self.head.lock(&window);
                queues.end_promise();
                // SAFETY: locked above; the place that was promised is free.
                let woken = unsafe { self.move_up(queues) };
                let side = match woken {
                    Some(_) => Side::Recv,
                    None => Side::Send,
                };
                self.head.wake_watchers(&window, side);
                // SAFETY: locked above.
                unsafe { self.head.unlock(held) };
                if let Some(claimed) = woken {
                    claimed.ready_in(&window);
                }
            }
            Sending::Closed => {}
        }
    }
}

/// Ends the wait in `meet`.
fn finish(waiter: Waiter) {
    // Release in the claim: the partner may poll its word.
    match waiter.claim(Token::new(0)) {
        Some(claimed) => claimed.ready(),
        None => unreachable!("nobody else ends this wait"),
    }
}
