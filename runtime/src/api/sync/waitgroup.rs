//! Waiting for a number of things to be done: Go's `sync.WaitGroup`.

use super::list::{List, Note, Place};
use super::queue::{Ended, Queue, Wait, after, enter, enter_quietly, only};
use crate::api::join::{JoinHandle, spawn};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicI64;
use crate::park::{Token, WaitReason};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Somebody waits. Changed under the queue's lock.
const QUEUED: i64 = 1;
/// The counter is above it.
const ONE: i64 = 2;

const DONE: Token = Token::new(0);

/// A counter, and those who wait until it is zero: Go's `sync.WaitGroup`, for goroutines and plain
/// threads.
///
/// ```
/// use runtime::sync::WaitGroup;
/// use std::sync::Arc;
///
/// let wg = Arc::new(WaitGroup::new());
/// let rt = runtime::start(2);
/// let at = wg.clone();
/// rt.run(move || {
///     for _ in 0..10 {
///         at.go(|| ()); // a goroutine that the group waits for
///     }
///     at.wait();
/// });
///
/// wg.add(1); // on a plain thread
/// let at = wg.clone();
/// let thread = std::thread::spawn(move || at.done());
/// wg.wait();
/// thread.join().unwrap();
/// ```
pub struct WaitGroup {
    word: AtomicI64,
    queue: Queue,
}

impl WaitGroup {
    /// A group of nothing.
    pub const fn new() -> WaitGroup {
        WaitGroup {
            word: AtomicI64::new(0),
            queue: Queue::new(List::new()),
        }
    }

    /// Adds `delta`, which may be negative, to the counter. At zero, those who wait go on.
    ///
    /// Additions at a counter of zero must come before the `wait` that shall wait for them.
    ///
    /// # Panics
    /// If the counter becomes negative; or if it grows from zero while those who waited for the
    /// zero have not been let go yet. The counter then stays as it was.
    #[track_caller]
    pub fn add(&self, delta: isize) {
        let mut word = self.word.load(Ordering::Relaxed);
        let new = loop {
            let new = i64::try_from(delta)
                .ok()
                .and_then(|delta| delta.checked_mul(ONE))
                .and_then(|delta| word.checked_add(delta))
                .expect("the counter of a WaitGroup overflows");
            assert!(new >= 0, "negative WaitGroup counter");
            assert!(
                delta <= 0 || word != QUEUED,
                "WaitGroup misuse: add called concurrently with wait"
            );
            // Release: pairs with the Acquire of who waits.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break new,
                Err(now) => word = now,
            }
        };
        if new == QUEUED {
            self.all_done();
        }
    }

    /// Subtracts one from the counter: something is done.
    ///
    /// # Panics
    /// If the counter is zero.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        self.add(-1);
    }

    #[cold]
    fn all_done(&self) {
        let window = enter_quietly();
        let locked = self.queue.lock(&window);
        // Acquire: what the others did before they were done is passed on by the claim. If it
        // fails, another was here before.
        let zero = self
            .word
            .compare_exchange(QUEUED, 0, Ordering::Acquire, Ordering::Relaxed);
        match zero {
            Ok(_) => locked.wake_all(window, DONE),
            Err(_) => locked.unlock(),
        }
    }

    /// Waits until the counter is zero. What was done before each [`WaitGroup::done`] is visible then.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding.
    #[inline]
    pub fn wait(&self) {
        while !self.try_wait() && !self.wait_slow(Wait::endless(WaitReason::WaitGroupWait)) {}
    }

    /// Whether the counter is zero. Never waits.
    #[inline]
    pub fn try_wait(&self) -> bool {
        // Acquire: pairs with the Release in `add`.
        self.word.load(Ordering::Acquire) < ONE
    }

    /// Waits until the counter is zero, for at most `timeout`; whether it was.
    ///
    /// ```
    /// let wg = runtime::sync::WaitGroup::new();
    /// wg.add(1);
    /// assert!(!wg.wait_timeout(std::time::Duration::from_millis(1)));
    /// ```
    ///
    /// # Panics
    /// As [`WaitGroup::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let how = || Wait::until(WaitReason::WaitGroupWait, after(timeout));
        self.try_wait() || self.wait_slow(how())
    }

    /// Waits until the counter is zero, until `deadline` at the latest; whether it was.
    ///
    /// # Panics
    /// As [`WaitGroup::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        let how = || Wait::until(WaitReason::WaitGroupWait, Some(deadline));
        self.try_wait() || self.wait_slow(how())
    }

    #[cold]
    fn wait_slow(&self, how: Wait) -> bool {
        let window = enter();
        let locked = self.queue.lock(&window);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word < ONE {
                locked.unlock();
                return true;
            }
            // Relaxed: the queue's lock orders what is said by it.
            match self.word.compare_exchange_weak(
                word,
                word | QUEUED,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        match locked.wait(window, how, Place::Back, Note::Plain, only) {
            Ended::Claimed(..) => true,
            Ended::Gone(gave_up, locked) => {
                if locked.is_empty() {
                    // Relaxed: nothing else is published by it.
                    self.word.fetch_and(!QUEUED, Ordering::Relaxed);
                }
                locked.unlock();
                // Not in the list: the counter was zero first.
                let done = !gave_up.was_queued;
                gave_up.leave();
                done
            }
        }
    }

    /// Spawns a goroutine that the group waits for (Go's `WaitGroup.Go`): adds one now, and is done
    /// when `f` has returned or panicked. On a plain thread it goes to the default runtime.
    ///
    /// # Panics
    /// As [`spawn`](crate::spawn) and [`WaitGroup::add`].
    #[track_caller]
    pub fn go<F, T>(self: &Arc<WaitGroup>, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        struct Done(Arc<WaitGroup>);
        impl Drop for Done {
            fn drop(&mut self) {
                self.0.done();
            }
        }

        self.add(1);
        let done = Done(self.clone()); // also if there will be no goroutine
        spawn(move || {
            let _done = done;
            f()
        })
    }
}

impl Default for WaitGroup {
    fn default() -> WaitGroup {
        WaitGroup::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("counter", &(self.word.load(Ordering::Relaxed) / ONE))
            .finish_non_exhaustive()
    }
}
