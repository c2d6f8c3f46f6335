//! Calls that come later wherever the caller stands: on a goroutine of a runtime if one runs, on a
//! thread of their own if none does.
//!
//! Knows nothing of contexts.

use runtime::time::{AfterFunc, try_after_func};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A call that is to come. Dropping it does not stop it.
pub(super) enum Alarm {
    Timer(AfterFunc),
    Thread {
        thread: Thread,
        stop: Arc<AtomicBool>,
    },
}

impl Alarm {
    /// Has `f` called at this point in time, once.
    pub(super) fn at(at: Instant, f: impl FnOnce() + Send + 'static) -> Alarm {
        let f = match later(at.saturating_duration_since(Instant::now()), f) {
            Ok(timer) => return Alarm::Timer(timer),
            Err(f) => f,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = on_thread(move || {
            // Acquire: pairs with the Release in `stop`.
            while !stopped.load(Ordering::Acquire) {
                let left = at.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return f();
                }
                thread::park_timeout(left);
            }
        });
        Alarm::Thread { thread, stop }
    }

    /// Has nothing called any more, unless it is being called already.
    pub(super) fn stop(&self) {
        match self {
            Alarm::Timer(timer) => {
                timer.stop();
            }
            Alarm::Thread { thread, stop } => {
                stop.store(true, Ordering::Release);
                thread.unpark();
            }
        }
    }
}

/// Calls `f` on a goroutine of its own, soon; if no runtime runs, on a thread of its own. Never
/// waits: also for destructors. A runtime that is shutting down drops `f`.
pub(super) fn start(f: impl FnOnce() + Send + 'static) {
    match later(Duration::ZERO, f) {
        Ok(timer) => drop(timer), // which does not stop it
        Err(f) => drop(on_thread(f)),
    }
}

/// `f` on a goroutine; given back if no runtime runs.
fn later(
    d: Duration,
    f: impl FnOnce() + Send + 'static,
) -> Result<AfterFunc, impl FnOnce() + Send + 'static> {
    let mut once = Some(f);
    try_after_func(d, move || {
        if let Some(f) = once.take() {
            f();
        }
    })
    .map_err(|mut call| move || call())
}

fn on_thread(f: impl FnOnce() + Send + 'static) -> Thread {
    let builder = thread::Builder::new().name("weft-context".to_owned());
    let spawned = builder.spawn(f).expect("a thread can be started");
    spawned.thread().clone()
}
