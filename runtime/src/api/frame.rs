//! Running a piece of work in a frame, which others can tell to end: what `timeout` and `cancellable` are.

use crate::g::interrupt::Frame;
use crate::g::parker::Parker;
use crate::sched::interrupt::{me, next_frame_id};
use crate::timer::node::{Action, Node};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

/// Runs `f` in a frame of the caller's. `teller` makes the node by which others may tell the frame to end,
/// of the action that does so; `until` is when a plain thread tells its own. `None`: it was told, and
/// `f` unwound for it.
///
/// # Panics
/// If `f` panics, with its payload; what unwinds to an outer frame passes.
pub(super) fn run<T>(
    until: Option<Instant>,
    teller: impl FnOnce(Action) -> Option<Arc<Node>>,
    f: impl FnOnce(Option<&Arc<Node>>) -> T,
) -> Option<T> {
    let me: &Parker = me();
    let mut frame = Frame::new(next_frame_id(), until);
    // SAFETY: left below, in the same place; what could unwind is caught.
    unsafe { me.enter_frame(&mut frame) };
    let node = teller(Action::Frame(NonNull::from(me), &raw const frame));
    let result = catch_unwind(AssertUnwindSafe(|| f(node.as_ref())));
    if let Some(node) = node {
        node.end_frame();
    }
    me.leave_frame(&frame);
    match result {
        Ok(value) => Some(value),
        Err(payload) if frame.is_mine(&*payload) => None,
        Err(payload) => resume_unwind(payload),
    }
}
