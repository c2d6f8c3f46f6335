//! A timer that fires once, and can be set anew.

use super::from_now;
use crate::api::watched::{Fires, Watched};
use crate::park::Source;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A timer that fires once (Go's `time.Timer`). It is waited for by [`Timer::wait`], or as a receiver
/// (`channels::Receiver::from(&timer)`) alone or in a select.
///
/// Go 1.23's promise is kept: after `stop` or `reset` no value of the earlier setting is ever
/// received. There is no value: whoever waits looks at the time itself, so a timer that nobody waits
/// for costs nothing.
///
/// ```
/// use runtime::time::Timer;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let timer = Timer::new(Duration::from_secs(3600));
/// assert!(timer.reset(Duration::from_millis(5)), "it had not fired");
/// let fired = timer.wait().unwrap();
/// assert!(fired >= start + Duration::from_millis(5));
/// assert!(!timer.stop(), "it has fired already");
/// ```
#[derive(Clone, Debug)]
pub struct Timer {
    state: Arc<Watched<State>>,
}

#[derive(Debug)]
struct State {
    armed: bool,
    /// When it fires, if it is armed; `None` is never.
    at: Option<Instant>,
}

impl Timer {
    /// A timer that fires after `d`.
    pub fn new(d: Duration) -> Timer {
        let state = State {
            armed: true,
            at: from_now(d),
        };
        Timer {
            state: Arc::new(Watched::new(state)),
        }
    }

    /// Stops it: it does not fire until it is set again. True if it had not fired (or if nobody
    /// had received it yet: what was not received never will be).
    pub fn stop(&self) -> bool {
        self.state
            .change(|s| std::mem::replace(&mut s.armed, false))
    }

    /// Sets it to `d` from now. True if it was still to fire.
    pub fn reset(&self, d: Duration) -> bool {
        let at = from_now(d);
        self.state.change(|s| {
            s.at = at;
            std::mem::replace(&mut s.armed, true)
        })
    }

    /// Waits until it fires, and returns when it was due. If it is stopped, until it is set again
    /// and fires. Of several that wait one gets it. `None` only if the caller is unwinding and must
    /// not wait any more.
    pub fn wait(&self) -> Option<Instant> {
        self.state.wait()
    }

    /// Whether it has fired, without waiting; once per setting.
    pub fn try_wait(&self) -> Option<Instant> {
        self.state.try_wait()
    }

    /// The timer as what `channels` makes a receiver of.
    #[doc(hidden)]
    pub fn source(&self) -> Arc<dyn Source<Item = Instant>> {
        Arc::<Watched<State>>::clone(&self.state)
    }
}

impl Fires for State {
    fn next(&self) -> Option<Instant> {
        self.at.filter(|_| self.armed)
    }

    fn received(&mut self, _: Instant) {
        self.armed = false;
    }
}
