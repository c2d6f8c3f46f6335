//! The only thread-local of the runtime that goroutines read: which M this thread is.
//!
//! A goroutine can change threads at every park, so nothing that was read from a thread-local may
//! live across a switch. The compiler does not know about switches: it may compute the address
//! of a thread-local once per function and reuse it on the other thread. Hence one accessor that
//! is never inlined, and that the optimiser cannot prove pure.

use super::M;
use std::cell::Cell;
use std::ptr;

thread_local! {
    static CURRENT: Cell<*const M> = const { Cell::new(ptr::null()) };
}

/// The M of the calling thread, or null on a thread that the runtime did not make.
#[inline(never)]
pub(crate) fn current() -> *const M {
    // SAFETY: an empty piece of assembly. It counts as an access to memory, so two calls of this
    // function are never merged into one across a switch, with link-time optimisation neither.
    unsafe { std::arch::asm!("", options(nostack, preserves_flags)) };
    CURRENT.get()
}

/// Makes the calling thread an M, or with null, a plain thread again.
pub(crate) fn set_current(m: *const M) {
    CURRENT.set(m);
}
