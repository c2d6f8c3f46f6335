//! What can be received from without being a channel: points in time, and whatever implements
//! `runtime::park::Source`.
//!
//! Time needs no timer here. Nothing is queued anywhere until somebody waits; whoever waits has the
//! point in time as the deadline of the wait.

use crate::Receiver;
use runtime::park::{Source, Taken, Token, Waiter, Window};
use runtime::signal::{Signal, Signals};
use runtime::time::{Ticker, Timer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all receivers of one source share.
pub(crate) struct Handle<T> {
    source: Arc<dyn Source<Item = T>>,
}

impl<T> Handle<T> {
    pub(crate) fn new(source: Arc<dyn Source<Item = T>>) -> Handle<T> {
        Handle { source }
    }

    pub(crate) fn try_take(&self) -> Taken<T> {
        self.source.try_take()
    }

    pub(crate) fn state(&self) -> Taken<()> {
        self.source.state()
    }

    pub(crate) fn watch(&self, window: &Window, waiter: Waiter, token: Token) {
        self.source.watch(window, waiter, token);
    }

    pub(crate) fn unwatch(&self, window: &Window, waiter: Waiter) {
        self.source.unwatch(window, waiter);
    }

    /// Whether both are of one source.
    pub(crate) fn is(&self, other: &Handle<T>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.source), Arc::as_ptr(&other.source))
    }
}

/// A receiver that gives one value after a while: the instant at which it was due. It is never
/// disconnected. Works on plain threads without any runtime.
///
/// ```
/// use channels::{after, select, unbounded};
/// use std::time::Duration;
///
/// let (_tx, rx) = unbounded::<i32>();
/// select! {
///     recv(rx) -> value => panic!("{value:?}, though nobody sends"),
///     recv(after(Duration::from_millis(10))) -> _ => println!("timed out"),
/// }
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    Instant::now().checked_add(duration).map_or_else(never, at)
}

/// A receiver that gives one value at a point in time: that instant. It is never disconnected.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let when = Instant::now() + Duration::from_millis(10);
/// let rx = channels::at(when);
/// assert_eq!(rx.recv(), Ok(when));
/// assert!(Instant::now() >= when);
/// assert!(rx.try_recv().is_err(), "there is only one");
/// ```
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver::from_source(Arc::new(At {
        when,
        taken: AtomicBool::new(false),
    }))
}

/// A receiver that gives a value at regular intervals: the instant at which it was due. A receiver
/// that is late gets one value, not all that it has missed, and the next one an interval later. It
/// is never disconnected.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let ticks = channels::tick(Duration::from_millis(5));
/// let third = ticks.iter().nth(2).unwrap();
/// assert!(third - start >= Duration::from_millis(15));
/// ```
pub fn tick(duration: Duration) -> Receiver<Instant> {
    let start = Instant::now();
    if start.checked_add(duration).is_none() {
        return never();
    }
    let period = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Receiver::from_source(Arc::new(Tick {
        start,
        period,
        next: AtomicU64::new(period),
    }))
}

/// A receiver that never gives anything and is never disconnected: Go's nil channel, for an arm of
/// a select that may be there or not.
///
/// ```
/// use channels::{after, never, select, unbounded};
/// use std::time::Duration;
///
/// let (tx, rx) = unbounded();
/// tx.send(1).unwrap();
/// let limit: Option<Duration> = None;
/// select! {
///     recv(rx) -> value => assert_eq!(value, Ok(1)),
///     recv(limit.map_or_else(never, after)) -> _ => unreachable!("there is no limit"),
/// }
/// ```
pub fn never<T>() -> Receiver<T> {
    Receiver::nil()
}

/// What the timer fires: once per setting, however many receivers there are.
///
/// ```
/// use channels::{Receiver, select};
/// use runtime::time::Timer;
/// use std::time::Duration;
///
/// let timer = Timer::new(Duration::from_secs(3600));
/// let fired = Receiver::from(&timer);
/// timer.reset(Duration::from_millis(5));
/// select! {
///     recv(fired) -> when => assert!(when.is_ok()),
///     default(Duration::from_secs(60)) => unreachable!("it fires sooner"),
/// }
/// ```
impl From<&Timer> for Receiver<Instant> {
    fn from(timer: &Timer) -> Receiver<Instant> {
        Receiver::from_source(timer.source())
    }
}

/// The ticks of the ticker.
///
/// ```
/// use channels::Receiver;
/// use runtime::time::Ticker;
/// use std::time::Duration;
///
/// let ticks = Receiver::from(&Ticker::new(Duration::from_millis(2)));
/// assert_eq!(ticks.iter().take(3).count(), 3);
/// ```
impl From<&Ticker> for Receiver<Instant> {
    fn from(ticker: &Ticker) -> Receiver<Instant> {
        Receiver::from_source(ticker.source())
    }
}

/// The signals, which stay caught as long as there is a receiver of them.
///
/// ```
/// use channels::{Receiver, after, select};
/// use runtime::signal::{Signal, Signals};
/// use std::time::Duration;
///
/// let shutdown = Receiver::from(&Signals::new([Signal::TERM, Signal::INT])?);
/// select! {
///     recv(shutdown) -> signal => println!("{} has come: ending", signal.unwrap()),
///     recv(after(Duration::from_millis(1))) -> _ => println!("nobody wants us to end"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
impl From<&Signals> for Receiver<Signal> {
    fn from(signals: &Signals) -> Receiver<Signal> {
        Receiver::from_source(signals.source())
    }
}

/// One value at a point in time.
struct At {
    when: Instant,
    /// Relaxed: nothing but the value itself, which is the same for all, depends on it.
    taken: AtomicBool,
}

impl At {
    fn state_as<T>(&self, item: T) -> Taken<T> {
        if self.taken.load(Ordering::Relaxed) {
            Taken::Empty(None)
        } else if Instant::now() < self.when {
            Taken::Empty(Some(self.when))
        } else {
            Taken::Item(item)
        }
    }
}

// SAFETY: nothing but loads and stores; waiters are not kept.
unsafe impl Source for At {
    type Item = Instant;

    fn try_take(&self) -> Taken<Instant> {
        match self.state_as(self.when) {
            Taken::Item(_) if self.taken.swap(true, Ordering::Relaxed) => Taken::Empty(None),
            taken => taken,
        }
    }

    fn state(&self) -> Taken<()> {
        self.state_as(())
    }

    // Nothing but the passing of time makes it ready.
    fn watch(&self, _: &Window, _: Waiter, _: Token) {}
    fn unwatch(&self, _: &Window, _: Waiter) {}
}

/// Values at intervals.
struct Tick {
    start: Instant,
    /// Nanoseconds; `u64::MAX` (584 years) is never.
    period: u64,
    /// When the next value is due, in nanoseconds since the start. Relaxed: as for `At`.
    next: AtomicU64,
}

impl Tick {
    fn at(&self, nanos: u64) -> Option<Instant> {
        (nanos != u64::MAX).then(|| self.start.checked_add(Duration::from_nanos(nanos)))?
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

// SAFETY: nothing but loads and stores; waiters are not kept.
unsafe impl Source for Tick {
    type Item = Instant;

    fn try_take(&self) -> Taken<Instant> {
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            let now = self.now();
            let Some(due) = self.at(next) else {
                return Taken::Empty(None);
            };
            if now < next {
                return Taken::Empty(Some(due));
            }
            // From now, if the receiver is late: what it has missed is dropped.
            let then = next.max(now).saturating_add(self.period);
            let order = Ordering::Relaxed;
            match self.next.compare_exchange_weak(next, then, order, order) {
                Ok(_) => return Taken::Item(due),
                Err(other) => next = other,
            }
        }
    }

    fn state(&self) -> Taken<()> {
        let next = self.next.load(Ordering::Relaxed);
        match self.at(next) {
            Some(_) if next <= self.now() => Taken::Item(()),
            due => Taken::Empty(due),
        }
    }

    // When one of several receivers takes a tick, the others wait until the time of that tick, and
    // ask again: nothing needs to be told to anybody.
    fn watch(&self, _: &Window, _: Waiter, _: Token) {}
    fn unwatch(&self, _: &Window, _: Waiter) {}
}
