//! How a plain thread parks: the same waiter, a futex in place of the scheduler.

use super::{Interrupt, Window};
use crate::atomics::{Ordering, light_fence};
use crate::g::parker::Token;
use crate::g::wait::Wait;
use crate::m::thread::thread_parker;
use crate::timer;
use std::time::Instant;

/// Blocks the calling plain thread until its waiter is claimed, or the deadline has passed.
#[cold]
pub(super) fn park_thread<F: FnOnce() -> bool>(
    window: Window,
    open: bool,
    wait: Wait,
    interrupt: Interrupt,
    deadline: Option<Instant>,
    commit: F,
) -> (Window, Token) {
    let me = thread_parker();
    me.label.set(wait, deadline.is_some());
    let may_end = interrupt == Interrupt::Allowed;
    // Relaxed: published by the Release in `arm`.
    me.parker.interruptible.store(may_end, Ordering::Relaxed);
    let waiter = if open {
        let waiter = me.parker.opened();
        if !me.parker.arm_open(waiter) {
            commit();
            return (window, me.parker.token());
        }
        waiter
    } else {
        let waiter = me.parker.episode();
        me.parker.arm(waiter);
        waiter
    };
    if !commit() && waiter.claim(Token::NOT_PARKED).is_some() {
        return (window, Token::NOT_PARKED);
    }
    // As in `commit_park`: an interrupter finds us armed, or we see its request.
    light_fence();
    if may_end && me.parker.is_requested() && waiter.claim(Token::INTERRUPTED).is_some() {
        return (window, Token::INTERRUPTED);
    }
    let frames = may_end.then(|| me.parker.next_frame_end()).flatten();
    let limit = deadline.into_iter().chain(frames).min();
    if limit.is_none() {
        me.wait_for_ever(timer::now);
    } else if !me.wait_until(limit, timer::now) {
        let token = match frames.is_some() && me.parker.fire_frames(Instant::now()) {
            true => Token::INTERRUPTED,
            false => Token::TIMEOUT,
        };
        if waiter.claim(token).is_some() {
            return (window, token);
        }
        me.wait_until(None, timer::now); // somebody has claimed it just now, and wakes the note
    }
    (window, me.parker.token())
}
