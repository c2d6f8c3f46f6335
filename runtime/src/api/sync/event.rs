//! A flag that can be waited for: `asyncio.Event`, for goroutines.

use super::list::{List, Note, Place};
use super::queue::{Ended, Queue, Wait, after, enter, enter_quietly, only};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use crate::park::{Token, WaitReason};
use std::fmt;
use std::time::{Duration, Instant};

const SET: u32 = 1;
/// Somebody waits. Changed under the queue's lock; never beside SET.
const QUEUED: u32 = 2;

const WAS_SET: Token = Token::new(0);

/// A flag that goroutines and plain threads can wait for: Python's `asyncio.Event`. It stays set
/// until it is cleared.
///
/// ```
/// use runtime::sync::Event;
/// use std::sync::Arc;
///
/// let go = Arc::new(Event::new());
/// let rt = runtime::start(1);
/// let at = go.clone();
/// let h = rt.spawn(move || at.wait());
/// assert!(!go.is_set());
/// go.set(); // on a plain thread
/// h.join().unwrap();
/// go.wait(); // it is still set
/// ```
pub struct Event {
    word: AtomicU32,
    queue: Queue,
}

impl Event {
    /// An event that is not set.
    pub const fn new() -> Event {
        Event {
            word: AtomicU32::new(0),
            queue: Queue::new(List::new()),
        }
    }

    /// Sets it, and lets all go on that wait. What the caller did before is visible to them, and
    /// to whoever finds it set.
    pub fn set(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            // Release: pairs with the Acquire in `is_set`; also if it is set already.
            match self
                .word
                .compare_exchange_weak(word, SET, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        let window = enter_quietly();
        let locked = self.queue.lock(&window);
        // Exactly those go on that wait now, even if it is cleared at once.
        // Release: as above; QUEUED does not change under the lock.
        self.word.swap(SET, Ordering::Release);
        locked.wake_all(window, WAS_SET);
    }

    /// Clears it: who waits from now on waits for the next [`Event::set`].
    pub fn clear(&self) {
        // Acquire: what was done before the `set` is visible.
        self.word.fetch_and(!SET, Ordering::Acquire);
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until it is set. Who waits when it is set goes on, though it be cleared at once.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding.
    #[inline]
    pub fn wait(&self) {
        while !self.is_set() && !self.wait_slow(Wait::endless(WaitReason::EventWait)) {}
    }

    /// Waits until it is set, for at most `timeout`; whether it was.
    ///
    /// ```
    /// let never = runtime::sync::Event::new();
    /// assert!(!never.wait_timeout(std::time::Duration::from_millis(1)));
    /// ```
    ///
    /// # Panics
    /// As [`Event::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_set() || self.wait_slow(Wait::until(WaitReason::EventWait, after(timeout)))
    }

    /// Waits until it is set, until `deadline` at the latest; whether it was.
    ///
    /// # Panics
    /// As [`Event::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.is_set() || self.wait_slow(Wait::until(WaitReason::EventWait, Some(deadline)))
    }

    #[cold]
    fn wait_slow(&self, how: Wait) -> bool {
        let window = enter();
        let locked = self.queue.lock(&window);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let set = word & SET != 0;
            let new = if set { word } else { word | QUEUED };
            // Acquire: as in `is_set`.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if set => {
                    locked.unlock();
                    return true;
                }
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
                // Not in the list: it was set first.
                let was_set = !gave_up.was_queued;
                gave_up.leave();
                was_set
            }
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
