//! A number of permits: Go's `x/sync/semaphore`.

use super::list::{List, Note, Place, Woken};
use super::queue::{Ended, Queue, Wait, after, enter, enter_quietly, only, ready_all};
use crate::atomics::atomic::AtomicUsize;
use crate::atomics::{Ordering, const_fn};
use crate::park::{Token, WaitReason};
use std::fmt;
use std::time::{Duration, Instant};

/// Somebody waits. Changed under the queue's lock.
const QUEUED: usize = 1;
/// The permits are counted above it.
const PERMIT: usize = 2;

const GRANTED: Token = Token::new(0);

/// A number of permits, for goroutines and plain threads: Go's `golang.org/x/sync/semaphore`. To
/// bound how many do something at the same time.
///
/// Permits are given in the order in which they were asked for: who wants many is not passed by
/// those who want few.
///
/// ```
/// use runtime::sync::Semaphore;
/// use std::sync::Arc;
///
/// let two = Arc::new(Semaphore::new(2));
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let hs: Vec<_> = (0..10)
///         .map(|_| {
///             let two = two.clone();
///             runtime::go!(move || {
///                 let _permit = two.acquire();
///                 // at most two are here
///             })
///         })
///         .collect();
///     hs.into_iter().for_each(|h| h.join().unwrap());
/// });
/// assert_eq!(two.available_permits(), 2);
/// let all = two.acquire_many(2); // on a plain thread
/// assert!(two.try_acquire().is_none());
/// drop(all);
/// ```
pub struct Semaphore {
    word: AtomicUsize,
    queue: Queue,
}

/// Permits of a [`Semaphore`], which go back when this is dropped.
#[must_use = "if unused the permits go back at once"]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    const_fn! {
        /// A semaphore with so many permits.
        ///
        /// # Panics
        /// If there are more than [`Semaphore::MAX_PERMITS`].
        pub const fn new(permits: usize) -> Semaphore {
            assert!(permits <= Semaphore::MAX_PERMITS, "too many permits");
            Semaphore {
                word: AtomicUsize::new(permits * PERMIT),
                queue: Queue::new(List::new()),
            }
        }
    }

    /// Permits that nobody has. It may change at any time.
    pub fn available_permits(&self) -> usize {
        self.word.load(Ordering::Relaxed) / PERMIT
    }

    /// Takes a permit, waiting for one.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding.
    #[inline]
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Takes `n` permits at once, waiting until there are so many. For more than there ever will be,
    /// it waits for ever, and those behind it too.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    #[inline]
    pub fn acquire_many(&self, n: usize) -> SemaphorePermit<'_> {
        loop {
            let how = || Wait::endless(WaitReason::Semacquire);
            if let Some(permit) = self.acquire_as(n, how) {
                return permit;
            }
        }
    }

    /// Takes a permit, if there is one and nobody waits.
    #[inline]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits, if there are so many and nobody waits.
    #[inline]
    pub fn try_acquire_many(&self, n: usize) -> Option<SemaphorePermit<'_>> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 && word / PERMIT >= n {
            // Acquire: pairs with the Release in `release`.
            match self.word.compare_exchange_weak(
                word,
                word - n * PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(SemaphorePermit { semaphore: self, n }),
                Err(now) => word = now,
            }
        }
        None
    }

    /// Takes a permit, waiting for at most `timeout`.
    ///
    /// ```
    /// let none = runtime::sync::Semaphore::new(0);
    /// assert!(none.acquire_timeout(std::time::Duration::from_millis(1)).is_none());
    /// ```
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Takes a permit, waiting until `deadline` at the latest.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    pub fn acquire_deadline(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        self.acquire_many_deadline(1, deadline)
    }

    /// Takes `n` permits at once, waiting for at most `timeout`. When it gives up, those behind it
    /// that want less may go on.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    pub fn acquire_many_timeout(&self, n: usize, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        self.acquire_as(n, || Wait::until(WaitReason::Semacquire, after(timeout)))
    }

    /// Takes `n` permits at once, waiting until `deadline` at the latest. As
    /// [`Semaphore::acquire_many_timeout`].
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    pub fn acquire_many_deadline(
        &self,
        n: usize,
        deadline: Instant,
    ) -> Option<SemaphorePermit<'_>> {
        self.acquire_as(n, || Wait::until(WaitReason::Semacquire, Some(deadline)))
    }

    #[inline]
    fn acquire_as(&self, n: usize, how: impl FnOnce() -> Wait) -> Option<SemaphorePermit<'_>> {
        if let Some(permit) = self.try_acquire_many(n) {
            return Some(permit);
        }
        match self.acquire_slow(n, how()) {
            true => Some(SemaphorePermit { semaphore: self, n }),
            false => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, n: usize, how: Wait) -> bool {
        let window = enter();
        let locked = self.queue.lock(&window);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let enough = word & QUEUED == 0 && word / PERMIT >= n;
            let new = match enough {
                true => word - n * PERMIT,
                false => word | QUEUED,
            };
            // Acquire: pairs with the Release in `release`.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if enough => {
                    locked.unlock();
                    return true;
                }
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        match locked.wait(window, how, Place::Back, Note::Need(n), only) {
            Ended::Claimed(..) => true,
            Ended::Gone(gave_up, mut locked) => {
                let woken = self.grant(&mut locked);
                locked.unlock();
                gave_up.ready_all(woken).leave();
                false
            }
        }
    }

    /// Under the queue's lock: gives those in front what they wait for, as far as there is.
    fn grant(&self, list: &mut List) -> Woken {
        let mut woken = Woken::new();
        // SAFETY: locked.
        while let Some(Note::Need(n)) = unsafe { list.first() } {
            // Acquire: pairs with the Release in `release`; the claim passes on what it brings.
            // While QUEUED is set, others only add.
            if self.word.load(Ordering::Acquire) / PERMIT < n {
                return woken;
            }
            // SAFETY: locked, and not empty.
            if unsafe { list.claim_into(&mut woken, GRANTED) } {
                self.word.fetch_sub(n * PERMIT, Ordering::Relaxed);
            }
        }
        // Relaxed: nothing else is published by it.
        self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        woken
    }

    /// Adds permits; they may be more than the semaphore began with.
    ///
    /// # Panics
    /// If it has more than [`Semaphore::MAX_PERMITS`] then.
    #[inline]
    pub fn release(&self, n: usize) {
        let too_many = || panic!("a semaphore has at most {} permits", Semaphore::MAX_PERMITS);
        if n > Semaphore::MAX_PERMITS {
            too_many();
        }
        let more = |word: usize| {
            (word / PERMIT + n <= Semaphore::MAX_PERMITS).then_some(word + n * PERMIT)
        };
        // Release: pairs with the Acquire of whoever takes them.
        match self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, more)
        {
            Ok(word) if word & QUEUED != 0 => self.release_slow(),
            Ok(_) => {}
            Err(_) => too_many(),
        }
    }

    #[cold]
    fn release_slow(&self) {
        let window = enter_quietly();
        let mut locked = self.queue.lock(&window);
        let woken = self.grant(&mut locked);
        locked.unlock();
        drop(ready_all(window, woken));
    }
}

impl SemaphorePermit<'_> {
    /// How many permits it is.
    pub fn num_permits(&self) -> usize {
        self.n
    }

    /// Takes the permits out of the semaphore for good: they do not go back, unless by
    /// [`Semaphore::release`].
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.release(self.n);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}
