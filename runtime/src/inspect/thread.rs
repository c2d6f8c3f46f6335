//! One plain thread at one moment, if it waits in a runtime.

use super::goroutine::{WaitPicture, look_at, still_parked};
use crate::atomics::Ordering;
use crate::m::thread::{ThreadParker, thread_parkers};

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct ThreadPicture {
    /// The kernel's number.
    pub(crate) tid: u32,
    pub(crate) name: Option<String>,
    pub(crate) wait: WaitPicture,
}

/// Calls `f` for every plain thread that is parked. (Its locks are free meanwhile.)
pub(crate) fn for_each(mut f: impl FnMut(ThreadPicture)) {
    for thread in thread_parkers() {
        if let Some(picture) = look(thread) {
            f(picture);
        }
    }
}

/// `None`: it is not parked.
fn look(thread: &ThreadParker) -> Option<ThreadPicture> {
    // Acquire, in `armed`: the label was written before.
    let waiter = thread.parker.armed()?;
    let label = &thread.label;
    // Relaxed: they count only if the thread is still parked below.
    let (on, what, tid) = (label.on(), label.what(), label.tid.load(Ordering::Relaxed));
    let since = label.since.load(Ordering::Relaxed);
    let mut wait = WaitPicture {
        reason: label.reason(),
        since: (since != 0).then_some(since),
        bounded: label.bounded.load(Ordering::Relaxed),
        on: Vec::new(),
    };
    if let Some(what) = what {
        // What it cannot read, it leaves out; whether the thread is parked is asked below.
        let _ = look_at(&thread.parker, waiter, wait.reason, on, what, &mut wait.on);
    }
    let name = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm"));
    still_parked(&thread.parker, waiter).then(|| ThreadPicture {
        tid,
        name: name.ok().map(|name| name.trim_end().to_owned()),
        wait,
    })
}
