//! Code of others that the scheduler cannot but run.
//!
//! crossbeam-deque frees the buffers that it has outgrown by crossbeam-epoch, and there is one collector for
//! the whole process: whoever grows a deque, or steals from one, now and then runs *what others have deferred*. With a
//! lock-free map in the program, for example, those are the destructors of its values: the user's code, which sends, spawns
//! and locks as it likes. In the midst of the scheduler that must not be (see `sched/window.rs`): it would come
//! into the runtime a second time, use a queue that is just being changed, and go out in the name of the first.
//!
//! So all that may run such code is run *as on a plain thread*: meanwhile the thread does not know that it is an M.
//! What a destructor makes ready goes to the global queue, and if it waits, the thread is blocked, with its P, as by any
//! call inside the scheduler. (The caller holds no lock, therefore.) And it is run on the M's own stack, even if
//! it is a goroutine that spawned another: freeing takes some 10 KiB of stack by itself, and nobody knows what the destructors
//! take.

use super::M;
use super::current::{current, replace_current, set_current};
use crate::atomics::Ordering;
use crate::g::task::AbortOnUnwind;
use std::ptr;

/// Runs `f`, which may run what others have deferred. The caller holds no lock; `f` does not suspend.
pub(crate) fn as_plain_thread<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: the calling thread's own M, or null.
    match unsafe { current().as_ref() } {
        Some(m) if !m.curg.load(Ordering::Relaxed).is_null() => on_its_stack(m, f),
        _ => as_plain_thread_here(f),
    }
}

/// As [`as_plain_thread`], by the scheduler's loop, which is on the M's own stack anyway; or by a plain thread.
#[inline(always)]
pub(crate) fn as_plain_thread_here<R>(f: impl FnOnce() -> R) -> R {
    let guard = AbortOnUnwind("a destructor that was deferred by crossbeam-epoch");
    let m = replace_current(ptr::null());
    let result = f();
    set_current(m);
    guard.disarm();
    result
}

/// By the goroutine that runs on `m`, the caller's: on the stack of `m`.
#[cold]
#[inline(never)]
fn on_its_stack<R>(m: &M, f: impl FnOnce() -> R) -> R {
    m.lent.store(true, Ordering::Relaxed);
    // SAFETY: the caller runs on this goroutine, and so on its fiber. The M's stack is in no other use: nobody
    // gets here from there, as the thread does not know its M meanwhile.
    let result = unsafe {
        let g = &*m.curg.load(Ordering::Relaxed);
        let fiber = (*g.fiber.as_ptr()).as_ref().expect("it runs");
        fiber.on_parent_stack(|| as_plain_thread_here(f))
    };
    m.lent.store(false, Ordering::Relaxed);
    result
}
