//! A timer that fires again and again.

use crate::api::watched::{Fires, Watched};
use crate::park::Source;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A timer that fires every `period` (Go's `time.Ticker`). It is waited for by [`Ticker::wait`], or
/// as a receiver (`channels::Receiver::from(&ticker)`). Ticks that nobody took in time are dropped:
/// at most one waits for its receiver. As with [`Timer`](super::Timer), no tick of an earlier
/// setting comes after `stop` or `reset`.
///
/// ```
/// use runtime::time::Ticker;
/// use std::time::Duration;
///
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let first = ticker.wait().unwrap();
/// let second = ticker.wait().unwrap();
/// assert!(second - first >= Duration::from_millis(2));
/// ```
#[derive(Clone, Debug)]
pub struct Ticker {
    state: Arc<Watched<State>>,
}

#[derive(Debug)]
struct State {
    period: Duration,
    /// When it ticks next; `None` is never.
    next: Option<Instant>,
}

impl State {
    fn starting(period: Duration) -> State {
        assert!(
            !period.is_zero(),
            "the period of a ticker must be longer than zero"
        );
        State {
            period,
            next: super::from_now(period),
        }
    }
}

impl Ticker {
    /// A ticker whose first tick comes after one period.
    ///
    /// # Panics
    /// If the period is zero.
    pub fn new(period: Duration) -> Ticker {
        Ticker {
            state: Arc::new(Watched::new(State::starting(period))),
        }
    }

    /// Stops it: it does not tick until it is set again.
    pub fn stop(&self) {
        self.state.change(|s| s.next = None);
    }

    /// Sets it to another period; the next tick comes after one.
    ///
    /// # Panics
    /// If the period is zero.
    pub fn reset(&self, period: Duration) {
        let new = State::starting(period);
        self.state.change(|s| *s = new);
    }

    /// Waits for the next tick, and returns when it was due. Of several that wait one gets it.
    /// `None` only if the caller is unwinding and must not wait any more.
    pub fn wait(&self) -> Option<Instant> {
        self.state.wait()
    }

    /// The ticker as what `channels` makes a receiver of.
    #[doc(hidden)]
    pub fn source(&self) -> Arc<dyn Source<Item = Instant>> {
        Arc::<Watched<State>>::clone(&self.state)
    }
}

impl Fires for State {
    fn next(&self) -> Option<Instant> {
        self.next
    }

    fn received(&mut self, at: Instant) {
        self.next = after(at, self.period);
    }
}

/// The first tick after now of those that follow `at`: what was missed is dropped, the rhythm kept.
fn after(at: Instant, period: Duration) -> Option<Instant> {
    let now = Instant::now();
    let into = now.saturating_duration_since(at).as_nanos() % period.as_nanos();
    // Less than a period, which was added to an instant: it fits.
    let into = Duration::from_nanos(u64::try_from(into).ok()?);
    now.checked_add(period - into)
}
