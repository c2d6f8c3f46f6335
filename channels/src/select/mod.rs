//! Select: waiting for the first of several operations, and doing it.
//!
//! `run.rs` is the protocol, over arms whose types are erased (`arm.rs`). Above it are the two ways to
//! write a select: the macros (`macros.rs`), whose arms and values are on the stack, and [`Select`]
//! (`list.rs`), for lists that are made at run time, whose choice is completed later (`selected.rs`).

mod arm;
mod list;
pub(crate) mod macros;
mod run;
mod selected;

pub(crate) use arm::{Arm, Won};
pub use list::Select;
pub(crate) use run::{How, Until, run};
pub use selected::SelectedOperation;

use crate::Receiver;
use crate::hchan::Nothing;
use runtime::park::WaitReason;
use std::mem::MaybeUninit;
use std::time::Instant;

/// What an operation on a nil channel does. Without a deadline it returns only if the goroutine is
/// unwinding already.
#[cold]
pub(crate) fn wait_for_nothing(reason: WaitReason, deadline: Option<Instant>) {
    let how = How {
        biased: true,
        ready: false,
        reason,
    };
    let until = deadline.map_or(Until::Forever, Until::Deadline);
    // SAFETY: no arm receives.
    unsafe { run(&mut [], how, until) };
}

/// A receive from a source is a select of one arm.
#[cold]
pub(crate) fn recv_from_source<T>(
    receiver: &Receiver<T>,
    deadline: Option<Instant>,
) -> Result<T, Nothing> {
    let mut slot = MaybeUninit::<T>::uninit();
    let how = How {
        biased: true,
        ready: false,
        reason: WaitReason::ChanReceive,
    };
    let until = deadline.map_or(Until::Forever, Until::Deadline);
    let mut arms = [Arm::recv(receiver, slot.as_mut_ptr())];
    // SAFETY: the arm has the slot for its value.
    match unsafe { run(&mut arms, how, until) } {
        // SAFETY: received into the slot.
        Some((_, Won::Received)) => Ok(unsafe { slot.assume_init() }),
        Some(_) => Err(Nothing::Closed),
        None => Err(Nothing::Empty),
    }
}
