//! Threads of the library's own that are no Ms, and stay: the collector of traces, the deliverer of signals. Whether one of
//! them could wake somebody is asked when all others sleep (`sched/deadlock.rs`).

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicU32};

/// A helper that there is once in the process, or not.
pub(crate) struct Helper {
    /// The kernel's number of its thread, or 0.
    tid: AtomicU32,
    /// It runs code of the user's, or tells the user's code what comes from outside.
    serves: AtomicBool,
}

/// Takes the events of a trace out of their buffers. It serves if it writes them to what is the user's.
pub(crate) static COLLECTOR: Helper = Helper::new();
/// Tells who wants to know that a signal has come. It serves if that is anybody but the runtime, which writes dumps.
pub(crate) static SIGNALS: Helper = Helper::new();

/// The calling thread is the helper, as long as this lives.
pub(crate) struct Here(&'static Helper);

impl Helper {
    const fn new() -> Helper {
        Helper {
            tid: AtomicU32::new(0),
            serves: AtomicBool::new(false),
        }
    }

    /// The calling thread is the helper from now on.
    pub(crate) fn enter(&'static self) -> Here {
        // Relaxed, as all of it: a number, which is compared by the thread itself, or with what the system says.
        self.tid.store(here(), Ordering::Relaxed);
        Here(self)
    }

    /// Whether the calling thread is the helper. (By the system's number: std's own is gone when a process exits.)
    pub(crate) fn is_here(&self) -> bool {
        self.tid.load(Ordering::Relaxed) == here()
    }

    /// Whether it serves, from now on. It is said by a thread that is awake: who finds all asleep afterwards has seen
    /// this, too.
    pub(crate) fn serves(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }

    /// Its thread, if it can wake nobody.
    fn idle_tid(&self) -> Option<u32> {
        let tid = self.tid.load(Ordering::Relaxed);
        (tid != 0 && !self.serves.load(Ordering::Relaxed)).then_some(tid)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // The next one may be there already.
        let tid = &self.0.tid;
        let _ = tid.compare_exchange(here(), 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn here() -> u32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() as u32 }
}

/// Those that can wake nobody.
pub(crate) fn idle() -> impl Iterator<Item = u32> + Clone {
    [&COLLECTOR, &SIGNALS]
        .into_iter()
        .filter_map(Helper::idle_tid)
}
