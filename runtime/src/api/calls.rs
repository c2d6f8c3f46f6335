//! What a goroutine can ask of the scheduler directly.

use crate::m::locals::own_goroutine;
use crate::sched::interrupt::unwind_if_asked;
use crate::sched::{Window, lock_os_thread as lock, unlock_os_thread as unlock};
use std::marker::PhantomData;

/// Lets other goroutines run: the caller goes to the end of its P's queue (Go's
/// `runtime.Gosched`). On a plain thread it is `std::thread::yield_now`.
///
/// During a shutdown, or if it was cancelled, the goroutine ends here.
#[inline]
pub fn yield_now() {
    drop(Window::enter().yield_now());
    unwind_if_asked();
}

/// Runs `f`, which is known to block its thread (a file, a C library, a long computation), with
/// the caller's P given away at once, so that nobody waits for it.
///
/// It is never *necessary*: a goroutine that blocks without a word loses its P too, when the
/// monitor notices, 50 µs to 10 ms later. On a plain thread `f` is simply called. `f` may use the
/// runtime; its first call that does takes a P again.
///
/// ```
/// let rt = runtime::start(1);
/// let text = rt.run(|| runtime::blocking(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(text.unwrap().contains("[package]"));
/// ```
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    unwind_if_asked();
    blocking_quietly(f)
}

/// As [`blocking`], but never unwinds by itself.
pub(crate) fn blocking_quietly<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    Window::enter_quietly().release_p();
    let result = f();
    // Back to a P now, rather than at some later call: who calls this expects to go on at once.
    drop(Window::enter_quietly());
    result
}

/// Labels the calling goroutine: dumps and traces show `key=value` wherever they name it, until another
/// value is set, or an empty one, which takes the label away (Go's `pprof.SetGoroutineLabels`). A
/// goroutine keeps 16; the oldest goes first. Labels are not inherited. On a plain thread nothing
/// happens.
///
/// ```
/// let rt = runtime::start(1);
/// rt.run(|| {
///     runtime::label("request", "GET /");
///     runtime::label("user", 17);
/// });
/// ```
pub fn label(key: impl Into<String>, value: impl ToString) {
    if let Some(g) = own_goroutine() {
        g.tag.label(key.into(), value.to_string());
    }
}

/// Binds the calling goroutine to the thread it runs on, and this thread to it, until the guard is
/// dropped (Go's `runtime.LockOSThread`): for values and libraries that are tied to a thread.
/// Nests. A bound goroutine's waits cost a switch of threads. On a plain thread, nothing is
/// needed, and nothing happens.
///
/// ```
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let _bound = runtime::lock_os_thread();
///     let thread = std::thread::current().id();
///     runtime::yield_now();
///     assert_eq!(thread, std::thread::current().id());
/// });
/// ```
pub fn lock_os_thread() -> OsThreadGuard {
    OsThreadGuard {
        locked: lock(),
        _not_send: PhantomData,
    }
}

/// Keeps a goroutine on its thread. See [`lock_os_thread`].
#[derive(Debug)]
#[must_use = "the goroutine is bound only as long as the guard lives"]
pub struct OsThreadGuard {
    locked: bool,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for OsThreadGuard {
    fn drop(&mut self) {
        if self.locked {
            unlock();
        }
    }
}
