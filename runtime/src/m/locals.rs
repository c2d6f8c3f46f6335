//! The caller's table of goroutine-local values, whether it is a goroutine or a plain thread.

use super::current;
use super::thread::{thread_table, used_thread_table};
use crate::atomics::Ordering;
use crate::g::G;
use crate::g::locals::Table;
use std::ptr;

/// The caller's table, or `None` if it has ended. It stays in its place as long as the caller lives.
#[inline]
pub(crate) fn own_table() -> Option<*const Table> {
    own_goroutines_table().or_else(thread_table)
}

/// As [`own_table`]; on a plain thread only if it has been used.
pub(crate) fn own_used_table() -> Option<*const Table> {
    own_goroutines_table().or_else(used_thread_table)
}

/// The calling goroutine.
#[inline]
pub(crate) fn own_goroutine<'a>() -> Option<&'a G> {
    // SAFETY: the calling thread's own M, or null; the goroutine that runs here is the caller.
    unsafe {
        let m = current().as_ref()?;
        m.curg.load(Ordering::Relaxed).as_ref()
    }
}

#[inline]
fn own_goroutines_table() -> Option<*const Table> {
    own_goroutine().map(|g| ptr::from_ref(&g.locals))
}
