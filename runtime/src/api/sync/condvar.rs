//! Waiting for a change of what a mutex protects: `std::sync::Condvar`, for goroutines.

use super::list::{List, Node, Note, Place};
use super::mutex::MutexGuard;
use super::queue::{Queue, Wait, after, enter, enter_quietly, ready};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicBool;
use crate::park::{self, Token, WaitReason};
use std::fmt;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

const NOTIFIED: Token = Token::new(0);

/// A condition variable: [`std::sync::Condvar`], in which goroutines park and plain threads block.
/// Waiters are notified in the order in which they came (Go's `notifyList`).
///
/// ```
/// use runtime::sync::{Condvar, Mutex};
/// use std::sync::Arc;
///
/// let ready = Arc::new((Mutex::new(false), Condvar::new()));
/// let rt = runtime::start(1);
/// let at = ready.clone();
/// let h = rt.spawn(move || {
///     let (ready, changed) = &*at;
///     drop(changed.wait_while(ready.lock().unwrap(), |ready| !*ready).unwrap());
/// });
/// *ready.0.lock().unwrap() = true; // on a plain thread
/// ready.1.notify_all();
/// h.join().unwrap();
/// ```
pub struct Condvar {
    /// Whether somebody waits. Changed under the queue's lock.
    waiters: AtomicBool,
    queue: Queue,
}

/// Whether a wait on a [`Condvar`] ended because its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether it did. A notification may have come all the same, just before or just after.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable on which nobody waits.
    pub const fn new() -> Condvar {
        Condvar {
            waiters: AtomicBool::new(false),
            queue: Queue::new(List::new()),
        }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. No notification
    /// that comes after the unlock is missed. As in std it may return without one.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again; the guard is in the error.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding, with the mutex
    /// unlocked.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_as(guard, Wait::endless(WaitReason::CondvarWait))
            .0
    }

    /// Waits as long as `condition` holds, which is asked with the mutex locked, at first before
    /// any wait.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`Condvar::wait`], for at most `timeout`; locking the mutex again may take longer.
    ///
    /// ```
    /// use runtime::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let (mutex, never) = (Mutex::new(()), Condvar::new());
    /// let (_guard, result) = never
    ///     .wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1))
    ///     .unwrap();
    /// assert!(result.timed_out());
    /// ```
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_until(guard, after(timeout))
    }

    /// As [`Condvar::wait`], until `deadline` at the latest.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_deadline<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_until(guard, Some(deadline))
    }

    /// As [`Condvar::wait_while`], for at most `timeout`. The result says whether `condition` still
    /// holds because of that.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_until_while(guard, after(timeout), condition)
    }

    /// As [`Condvar::wait_while`], until `deadline` at the latest.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    pub fn wait_deadline_while<'a, T, F>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
        condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_until_while(guard, Some(deadline), condition)
    }

    fn wait_until_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let mut timed_out = false;
        while condition(&mut *guard) {
            if timed_out {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let result;
            (guard, result) = self.wait_until(guard, deadline)?;
            timed_out = result.timed_out();
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, notified) = self.wait_as(guard, Wait::until(WaitReason::CondvarWait, deadline));
        let result = WaitTimeoutResult(!notified);
        match guard {
            Ok(guard) => Ok((guard, result)),
            Err(e) => Err(PoisonError::new((e.into_inner(), result))),
        }
    }

    /// One wait; whether it ended by a notification.
    fn wait_as<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        how: Wait,
    ) -> (LockResult<MutexGuard<'a, T>>, bool) {
        let window = enter(); // if this unwinds, it is with the mutex locked
        let mutex = guard.leave();
        // It must be in the list before the mutex is unlocked, and can be claimed from then on: so
        // it is opened first.
        // SAFETY: for the park below; forgotten with its node.
        let waiter = unsafe { window.open_waiter() };
        let mut node = Node::new(waiter, Note::Plain);
        let node = &raw mut node;
        let mut locked = self.queue.lock(&window);
        // SAFETY: locked; the node is out of the list before this frame ends: by who claims it, or
        // below.
        unsafe { locked.push(node, Place::Back) };
        // Relaxed: who notifies for a change it made under the mutex sees this by the unlock.
        self.waiters.store(true, Ordering::Relaxed);
        locked.unlock();
        // SAFETY: the guard was the lock; the queue is unlocked.
        unsafe { mutex.raw.unlock_in(&window) };
        // SAFETY: nothing is left to commit; opened above.
        let (window, token) =
            unsafe { window.park_open(how.on(&self.queue), how.interrupt, how.deadline, || true) };
        let notified = token == NOTIFIED;
        if !notified {
            let mut locked = self.queue.lock(&window);
            // SAFETY: locked; the node was pushed to this list.
            unsafe { locked.remove(node) };
            if locked.is_empty() {
                self.waiters.store(false, Ordering::Relaxed);
            }
            locked.unlock();
        }
        drop(window);
        if token == Token::INTERRUPTED {
            park::interrupted();
        }
        let pass_on = PassOn(self, notified);
        let guard = mutex.lock();
        std::mem::forget(pass_on);
        (guard, notified)
    }

    /// Notifies the one that has waited for longest, if anybody waits. With the mutex or without.
    pub fn notify_one(&self) {
        // Relaxed: see `wait_as`.
        if !self.waiters.load(Ordering::Relaxed) {
            return;
        }
        let window = enter_quietly();
        let mut locked = self.queue.lock(&window);
        // SAFETY: locked.
        let first = unsafe { locked.claim_first(NOTIFIED) };
        if locked.is_empty() {
            self.waiters.store(false, Ordering::Relaxed);
        }
        locked.unlock();
        ready(&window, first.map(|(claimed, _)| claimed));
    }

    /// Notifies all that wait. With the mutex or without.
    pub fn notify_all(&self) {
        // Relaxed: see `wait_as`.
        if !self.waiters.load(Ordering::Relaxed) {
            return;
        }
        let window = enter_quietly();
        let locked = self.queue.lock(&window);
        self.waiters.store(false, Ordering::Relaxed);
        locked.wake_all(window, NOTIFIED);
    }
}

/// Should a waiter that was notified be unwound before it has the mutex again, another is notified.
struct PassOn<'a>(&'a Condvar, bool);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.notify_one();
        }
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
