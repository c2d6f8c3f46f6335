//! Many readers or one writer: `std::sync::RwLock`, for goroutines.

use super::poison::{Flag, Noted};
use super::queue::{Wait, after};
use super::raw_rwlock::RawRwLock;
use crate::park::WaitReason;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

/// A lock that protects its value, for many readers or one writer: [`std::sync::RwLock`] with the
/// preferences of Go's `sync.RWMutex`.
///
/// Who has to wait parks, on a goroutine, or blocks, on a plain thread. An uncontended operation is
/// one atomic instruction.
///
/// **Fairness.** A writer that waits stops new readers; readers that wait go before the next writer.
/// So neither starves the other; writers among themselves are as fair as a
/// [`Mutex`](super::Mutex). It follows, as in Go, that who reads already must not read again while it
/// does: a writer that comes in between waits for the first, and the second for the writer.
///
/// **Poisoning** is std's: by a panic of a writer only.
///
/// ```
/// use runtime::sync::RwLock;
///
/// let names = RwLock::new(vec!["G", "M"]);
/// names.write().unwrap().push("P"); // on a plain thread
/// runtime::start(2).run(move || {
///     let one = names.read().unwrap();
///     let two = names.read().unwrap(); // no writer comes in between here
///     assert_eq!(one.len(), two.len());
///     assert!(names.try_write().is_err());
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: a writer has the value alone, by which it may also be moved out.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above; readers share the value.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

/// A reader's lock of a [`RwLock`], which ends when this is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    _not_send: PhantomData<*const ()>,
}

/// The writer's lock of a [`RwLock`], which ends when this is dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    noted: Noted,
    _not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// A lock that nobody has.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            raw: RawRwLock::new(),
            poison: Flag::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// The value of a lock that is no longer needed.
    ///
    /// # Errors
    /// If the lock is poisoned; the value is in the error.
    pub fn into_inner(self) -> LockResult<T> {
        let RwLock { poison, value, .. } = self;
        poison.wrap(value.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, waiting until no writer has the lock or waits for it.
    ///
    /// # Errors
    /// If the lock is poisoned; it is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, a wait ends by unwinding.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        while !self.raw.read(|| Wait::endless(WaitReason::RwLockRead)) {}
        self.reader()
    }

    /// Locks for reading if no writer has the lock or waits for it.
    ///
    /// # Errors
    /// `WouldBlock` if one does; `Poisoned` if it is poisoned, with the guard.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        match self.raw.try_read() {
            true => Ok(self.reader()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// Locks for reading, waiting for at most `timeout`.
    ///
    /// # Errors
    /// `WouldBlock` if the time is over; `Poisoned` if it is poisoned, with the guard.
    ///
    /// # Panics
    /// As [`RwLock::read`].
    pub fn read_timeout(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.read_until(|| after(timeout))
    }

    /// Locks for reading, waiting until `deadline` at the latest.
    ///
    /// # Errors
    /// As [`RwLock::read_timeout`].
    ///
    /// # Panics
    /// As [`RwLock::read`].
    pub fn read_deadline(&self, deadline: Instant) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.read_until(|| Some(deadline))
    }

    fn read_until(
        &self,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let how = || Wait::until(WaitReason::RwLockRead, deadline());
        match self.raw.read(how) {
            true => Ok(self.reader()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// Locks for writing, waiting until nobody has the lock.
    ///
    /// # Errors
    /// If the lock is poisoned; it is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    /// As [`RwLock::read`].
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        while !self.raw.write(|| Wait::endless(WaitReason::RwLockWrite)) {}
        self.writer()
    }

    /// Locks for writing if nobody has the lock or waits for it.
    ///
    /// # Errors
    /// `WouldBlock` if somebody does; `Poisoned` if it is poisoned, with the guard.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        match self.raw.try_write() {
            true => Ok(self.writer()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// Locks for writing, waiting for at most `timeout`. A writer that gives up lets those readers
    /// in that came after it.
    ///
    /// ```
    /// use runtime::sync::RwLock;
    /// use std::time::Duration;
    ///
    /// let lock = RwLock::new(1);
    /// let reader = lock.read().unwrap();
    /// assert!(lock.write_timeout(Duration::from_millis(1)).is_err());
    /// assert_eq!(*lock.read().unwrap(), *reader);
    /// ```
    ///
    /// # Errors
    /// `WouldBlock` if the time is over; `Poisoned` if it is poisoned, with the guard.
    ///
    /// # Panics
    /// As [`RwLock::read`].
    pub fn write_timeout(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.write_until(|| after(timeout))
    }

    /// Locks for writing, waiting until `deadline` at the latest.
    ///
    /// # Errors
    /// As [`RwLock::write_timeout`].
    ///
    /// # Panics
    /// As [`RwLock::read`].
    pub fn write_deadline(&self, deadline: Instant) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        self.write_until(|| Some(deadline))
    }

    fn write_until(
        &self,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let how = || Wait::until(WaitReason::RwLockWrite, deadline());
        match self.raw.write(how) {
            true => Ok(self.writer()?),
            false => Err(TryLockError::WouldBlock),
        }
    }

    #[inline]
    fn reader(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.poison.wrap(RwLockReadGuard {
            lock: self,
            _not_send: PhantomData,
        })
    }

    #[inline]
    fn writer(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.poison.wrap(RwLockWriteGuard {
            lock: self,
            noted: Flag::note(),
            _not_send: PhantomData,
        })
    }

    /// Whether a panic ended a write. Without the lock, it may change at any time.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Says that the value is in order again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value of a lock that nobody else can have.
    ///
    /// # Errors
    /// If the lock is poisoned; the value is in the error.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.value.get_mut())
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes from writing to reading without letting another writer in between. Readers that wait
    /// come in too.
    ///
    /// ```
    /// use runtime::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.write().unwrap();
    /// *writer += 1;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!((*reader, *lock.read().unwrap()), (2, 2));
    /// ```
    pub fn downgrade(s: Self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(s).lock;
        // SAFETY: the guard was the writer's lock, and its destructor does not run.
        unsafe { lock.raw.downgrade() };
        RwLockReadGuard {
            lock,
            _not_send: PhantomData,
        }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a guard is the lock.
        unsafe { self.lock.raw.unlock_read() };
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.done(self.noted);
        // SAFETY: a guard is the lock.
        unsafe { self.lock.raw.unlock_write() };
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for reading.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for writing.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked for writing.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => d.field("data", &&*guard),
            Err(TryLockError::Poisoned(e)) => d.field("data", &&**e.get_ref()),
            Err(TryLockError::WouldBlock) => d.field("data", &format_args!("<locked>")),
        };
        d.field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}
