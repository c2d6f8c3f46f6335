//! What the user says in a trace: regions and logs.

use super::event::{Kind, Text, boxed};
use super::{emit, on};
use std::fmt;
use std::marker::PhantomData;

/// Marks what the calling goroutine does, until the answer is dropped: the trace shows it under the name,
/// on the goroutine's own track, also across waits and threads (Go's `trace.StartRegion`). On a
/// plain thread, on the thread's track. Regions nest; the one that ends is the innermost.
///
/// Without a trace it costs a load and a branch. Names are fixed, so that what is alike can be found; what
/// differs is for [`log`].
///
/// ```
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let _all = runtime::trace::region("request");
///     {
///         let _part = runtime::trace::region("parse");
///         runtime::yield_now();
///     }
/// });
/// ```
#[inline]
pub fn region(name: &'static str) -> Region {
    let open = on();
    if open {
        begin(name);
    }
    Region {
        open,
        _not_send: PhantomData,
    }
}

/// Calls `f` in a [`region`].
///
/// ```
/// assert_eq!(runtime::trace::in_region("sum", || 1 + 2), 3);
/// ```
pub fn in_region<T>(name: &'static str, f: impl FnOnce() -> T) -> T {
    let _region = region(name);
    f()
}

#[cold]
#[inline(never)]
fn begin(name: &'static str) {
    emit::user(Kind::RegionBegin, name.len() as u64, name.as_ptr() as u64);
}

/// A region that goes on. See [`region`].
#[derive(Debug)]
#[must_use = "a region ends when this is dropped"]
pub struct Region {
    open: bool,
    /// It ends where it began.
    _not_send: PhantomData<*mut ()>,
}

impl Drop for Region {
    #[inline]
    fn drop(&mut self) {
        if self.open && on() {
            end();
        }
    }
}

#[cold]
#[inline(never)]
fn end() {
    emit::user(Kind::RegionEnd, 0, 0);
}

/// Puts a message into the trace, where and when it is said (Go's `trace.Log`): on the calling goroutine's
/// track, or the plain thread's. Without a trace, the message is not even formatted.
///
/// ```
/// runtime::trace::log("cache", format_args!("{} of {}", 3, 4));
/// ```
#[inline]
pub fn log(category: &'static str, message: impl fmt::Display) {
    if on() {
        say(category, &message);
    }
}

#[cold]
#[inline(never)]
fn say(category: &'static str, message: &dyn fmt::Display) {
    // First: it is the user's code, and may wait, and go on on another thread.
    let message = message.to_string();
    emit::user(Kind::Log, 0, boxed(Text::Log(category, message)));
}
