//! A value that is written once: `std::sync::OnceLock`, for goroutines.

use super::once::{IfPoisoned, Once};
use super::queue::{Wait, after};
use crate::park::WaitReason;
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A cell that is written once: [`std::sync::OnceLock`], on which goroutines park and plain threads
/// block while another computes the value (Go's `sync.OnceValue`).
///
/// ```
/// use runtime::sync::OnceLock;
///
/// static HOST: OnceLock<String> = OnceLock::new();
/// let host = || HOST.get_or_init(|| "localhost".to_owned());
/// runtime::start(1).run(move || assert_eq!(host(), "localhost"));
/// assert_eq!(HOST.get().unwrap(), "localhost"); // on a plain thread
/// assert_eq!(HOST.set("another".into()), Err("another".into()));
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// Written when the Once is completed.
    value: UnsafeCell<MaybeUninit<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: a value that one thread has written is read, and dropped, by others.
unsafe impl<T: Send> Send for OnceLock<T> {}
// SAFETY: as above; who comes after that reads.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// An empty cell.
    pub const fn new() -> OnceLock<T> {
        OnceLock {
            once: Once::new(),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            _owns: PhantomData,
        }
    }

    /// The value, if there is one. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.once
            .is_completed()
            // SAFETY: written, and never again.
            .then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// The value, if there is one.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match self.once.completed_mut() {
            // SAFETY: written.
            true => Some(unsafe { self.value.get_mut().assume_init_mut() }),
            false => None,
        }
    }

    /// Waits until there is a value.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, the wait ends by unwinding.
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("completed")
    }

    /// Waits until there is a value, for at most `timeout`.
    ///
    /// # Panics
    /// As [`OnceLock::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Option<&T> {
        self.once.wait_until(IfPoisoned::TryAgain, || {
            Wait::until(WaitReason::OnceWait, after(timeout))
        });
        self.get()
    }

    /// Waits until there is a value, until `deadline` at the latest.
    ///
    /// # Panics
    /// As [`OnceLock::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> Option<&T> {
        self.once.wait_until(IfPoisoned::TryAgain, || {
            Wait::until(WaitReason::OnceWait, Some(deadline))
        });
        self.get()
    }

    /// Writes the value, if there is none. If another is writing it, waits.
    ///
    /// # Errors
    /// If there is a value; `value` comes back.
    ///
    /// # Panics
    /// As [`OnceLock::wait`].
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }

    /// The value. If there is none, it is computed by `f`; if another is doing so, waits.
    ///
    /// # Panics
    /// If `f` panics, the cell stays as it is, and the next one tries again; or if `f` initialises
    /// this same cell. Also as [`OnceLock::wait`].
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        match self.initialize(|| Ok::<T, Infallible>(f())) {
            Ok(()) => self.get().expect("completed"),
        }
    }

    /// As [`OnceLock::get_or_init`], with an `f` that may fail (once_cell's `get_or_try_init`).
    ///
    /// # Errors
    /// As `f`; the cell then stays as it is.
    ///
    /// # Panics
    /// As [`OnceLock::get_or_init`].
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<F, E>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        self.initialize(f)?;
        Ok(self.get().expect("completed"))
    }

    #[cold]
    #[track_caller]
    fn initialize<F, E>(&self, f: F) -> Result<(), E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        let mut f = Some(f);
        let mut result = Ok(());
        self.once.call(IfPoisoned::TryAgain, &mut |state| {
            match f.take().expect("called once")() {
                // SAFETY: who runs the Once has the cell alone, and it is empty.
                Ok(value) => unsafe {
                    (*self.value.get()).write(value);
                },
                Err(e) => {
                    result = Err(e);
                    state.not_done();
                }
            }
        });
        result
    }

    /// The value of a cell that is no longer needed, if there is one.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// Takes the value out, if there is one, and leaves the cell empty.
    pub fn take(&mut self) -> Option<T> {
        if !self.once.completed_mut() {
            return None;
        }
        self.once = Once::new();
        // SAFETY: written; the cell is empty from now on.
        Some(unsafe { self.value.get_mut().assume_init_read() })
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => d.field(value),
            None => d.field(&format_args!("<uninit>")),
        };
        d.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> OnceLock<T> {
        match self.get() {
            Some(value) => OnceLock::from(value.clone()),
            None => OnceLock::new(),
        }
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> OnceLock<T> {
        let cell = OnceLock::new();
        let _ = cell.set(value);
        cell
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &OnceLock<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
