//! Mutual exclusion: `std::sync::Mutex`, for goroutines.

use super::poison::{Flag, Noted};
use super::queue::{Wait, after};
use super::raw_mutex::RawMutex;
use crate::park::WaitReason;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

/// A lock that protects its value: [`std::sync::Mutex`] with the fairness of Go's `sync.Mutex`.
///
/// Who has to wait parks, on a goroutine, or blocks, on a plain thread; both may use one mutex, and so
/// may goroutines of several runtimes. A guard may be held while the goroutine parks for something
/// else. An uncontended lock or unlock is one atomic instruction.
///
/// **Fairness.** Waiters queue, but one that is woken competes with whoever comes along, which is
/// several times as fast as handing the lock over. Once one has waited for more than a millisecond
/// the mutex is handed over from waiter to waiter, until a waiter is the last or has
/// waited for less.
///
/// **Poisoning** is std's: a mutex whose guard is dropped by a panic is poisoned. The unwinding of a
/// goroutine by the shutdown of its runtime is one.
///
/// ```
/// use runtime::sync::Mutex;
/// use std::sync::Arc;
///
/// let count = Arc::new(Mutex::new(0));
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let hs: Vec<_> = (0..10)
///         .map(|_| {
///             let count = count.clone();
///             runtime::go!(move || *count.lock().unwrap() += 1)
///         })
///         .collect();
///     hs.into_iter().for_each(|h| h.join().unwrap());
/// });
/// assert_eq!(*count.lock().unwrap(), 10); // on a plain thread
/// ```
pub struct Mutex<T: ?Sized> {
    pub(super) raw: RawMutex,
    pub(super) poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives one at a time access to the value, by which it may also be moved out.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// The lock of a [`Mutex`], which ends when this is dropped. Gives access to the value.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    noted: Noted,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// A mutex that nobody has.
    ///
    /// ```
    /// static NAMES: runtime::sync::Mutex<Vec<String>> = runtime::sync::Mutex::new(Vec::new());
    /// NAMES.lock().unwrap().push("gopher".into());
    /// ```
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            raw: RawMutex::new(),
            poison: Flag::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// The value of a mutex that is no longer needed.
    ///
    /// # Errors
    /// If the mutex is poisoned; the value is in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let Mutex { poison, value, .. } = self;
        poison.wrap(value.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks, waiting until the mutex is free.
    ///
    /// A goroutine that locks a mutex which it has already waits for ever.
    ///
    /// # Errors
    /// If the mutex is poisoned; it is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, a wait ends by unwinding.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        while !self.raw.lock(|| Wait::endless(WaitReason::MutexLock)) {}
        self.guard()
    }

    /// Locks if the mutex is free.
    ///
    /// # Errors
    /// `WouldBlock` if it is not; `Poisoned` if it is poisoned, with the guard.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.raw.try_lock() {
            true => Ok(self.guard()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// Locks, waiting for at most `timeout`.
    ///
    /// ```
    /// use runtime::sync::Mutex;
    /// use std::time::Duration;
    ///
    /// let m = Mutex::new(1);
    /// let held = m.lock().unwrap();
    /// assert!(m.lock_timeout(Duration::from_millis(1)).is_err());
    /// drop(held);
    /// assert_eq!(*m.lock_timeout(Duration::from_millis(1)).unwrap(), 1);
    /// ```
    ///
    /// # Errors
    /// `WouldBlock` if the time is over; `Poisoned` if it is poisoned, with the guard.
    ///
    /// # Panics
    /// As [`Mutex::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        self.lock_until(|| after(timeout))
    }

    /// Locks, waiting until `deadline` at the latest. One that has passed already is a `try_lock`.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`].
    ///
    /// # Panics
    /// As [`Mutex::lock`].
    pub fn lock_deadline(&self, deadline: Instant) -> TryLockResult<MutexGuard<'_, T>> {
        self.lock_until(|| Some(deadline))
    }

    fn lock_until(
        &self,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> TryLockResult<MutexGuard<'_, T>> {
        let how = || Wait::until(WaitReason::MutexLock, deadline());
        match self.raw.try_lock() || self.raw.lock(how) {
            true => Ok(self.guard()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// The mutex was locked by the caller.
    #[inline]
    pub(super) fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        self.poison.wrap(MutexGuard {
            mutex: self,
            noted: Flag::note(),
            _not_send: PhantomData,
        })
    }

    /// Whether a panic ended a lock. Without the lock, it may change at any time.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Says that the value is in order again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value of a mutex that nobody else can have.
    ///
    /// # Errors
    /// If the mutex is poisoned; the value is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let failed = &self.poison;
        failed.wrap(self.value.get_mut())
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex, without unlocking it or noting a panic.
    pub(super) fn leave(self) -> &'a Mutex<T> {
        let mutex = self.mutex;
        std::mem::forget(self);
        mutex
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.poison.done(self.noted);
        // SAFETY: a guard is the lock.
        unsafe { self.mutex.raw.unlock() };
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => d.field("data", &&*guard),
            Err(TryLockError::Poisoned(e)) => d.field("data", &&**e.get_ref()),
            Err(TryLockError::WouldBlock) => d.field("data", &format_args!("<locked>")),
        };
        d.field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}
