//! How a plain thread parks: the same waiter, a futex in place of the scheduler.

use super::{Interrupt, Window};
use crate::g::parker::Token;
use crate::m::thread::thread_parker;
use std::time::Instant;

/// Blocks the calling plain thread until its waiter is claimed, or the deadline has passed.
#[cold]
pub(super) fn park_thread<F: FnOnce() -> bool>(
    window: Window,
    open: bool,
    _interrupt: Interrupt,
    deadline: Option<Instant>,
    commit: F,
) -> (Window, Token) {
    let me = thread_parker();
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
    if !me.wait_until(deadline) {
        if waiter.claim(Token::TIMEOUT).is_some() {
            return (window, Token::TIMEOUT);
        }
        me.wait_until(None); // somebody has claimed it just now, and wakes the note
    }
    (window, me.parker.token())
}
