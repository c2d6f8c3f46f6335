//! What can be waited for: handles, of both kinds, shielded or not.

use crate::api::join::JoinHandle;
use crate::api::scope::ScopedJoinHandle;
use crate::g::task::JoinError;
use sealed::Raw;

mod sealed {
    use crate::g::G;

    /// The goroutine of a handle, which only this crate can look at.
    #[derive(Clone, Copy)]
    pub struct Raw<'a>(pub(crate) &'a G);

    impl std::fmt::Debug for Raw<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Raw")
        }
    }

    pub trait Sealed {}
}

/// A handle on a goroutine that the functions of [`task`](crate::task) wait for: a
/// [`JoinHandle`], a [`ScopedJoinHandle`], or a [`Target`]. Sealed.
pub trait Joinable: sealed::Sealed + Sized {
    /// What the goroutine returns.
    type Output;

    #[doc(hidden)]
    fn raw(&self) -> Raw<'_>;

    #[doc(hidden)]
    fn is_shielded(&self) -> bool {
        false
    }

    /// Whether it ended by something else than a value or a cancel.
    ///
    /// # Safety
    /// The goroutine has finished.
    #[doc(hidden)]
    unsafe fn has_failed(&self) -> bool {
        // SAFETY: it has finished, and its result belongs to the handle.
        let result = unsafe { self.raw().0.task.result::<Self::Output>() };
        matches!(result, Err(JoinError::Panicked(_) | JoinError::NoStack(_)))
    }

    /// # Safety
    /// The goroutine has finished.
    #[doc(hidden)]
    unsafe fn take_output(self) -> Result<Self::Output, JoinError>;
}

impl<T> sealed::Sealed for JoinHandle<T> {}

impl<T> Joinable for JoinHandle<T> {
    type Output = T;

    fn raw(&self) -> Raw<'_> {
        Raw(self.g())
    }

    unsafe fn take_output(self) -> Result<T, JoinError> {
        self.take()
    }
}

impl<T> sealed::Sealed for ScopedJoinHandle<'_, T> {}

impl<T> Joinable for ScopedJoinHandle<'_, T> {
    type Output = T;

    fn raw(&self) -> Raw<'_> {
        Raw(self.handle().g())
    }

    unsafe fn take_output(self) -> Result<T, JoinError> {
        self.into_handle().take()
    }
}

/// A goroutine to be waited for, shielded or not. Made by [`shield`], or by `into()` of a handle that is
/// not to be shielded, where both kinds go into one call.
#[derive(Debug)]
pub struct Target<H> {
    handle: H,
    shielded: bool,
}

/// Has the end of a wait (a timeout of [`wait_for`](super::wait_for), the cancel of who waits in
/// [`gather`](super::gather)) leave this goroutine alone: it goes on detached (asyncio's `shield`).
/// [`JoinHandle::cancel`] still cancels it.
///
/// To get the handle back after a timeout, see [`JoinHandle::join_timeout`].
///
/// ```
/// use runtime::task::{WaitError, shield, wait_for};
/// use runtime::{go, time::sleep};
/// use std::time::Duration;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let (tx, rx) = channels::bounded(1);
///     let saving = go!(move || {
///         sleep(Duration::from_millis(20));
///         tx.send("saved").unwrap();
///     });
///     let waited = wait_for(Duration::from_millis(1), shield(saving));
///     assert!(matches!(waited, Err(WaitError::Elapsed)));
///     assert_eq!(rx.recv(), Ok("saved"));
/// });
/// ```
pub fn shield<H: Joinable>(handle: H) -> Target<H> {
    Target {
        handle,
        shielded: true,
    }
}

impl<H: Joinable> From<H> for Target<H> {
    fn from(handle: H) -> Target<H> {
        Target {
            handle,
            shielded: false,
        }
    }
}

impl<H: Joinable> Target<H> {
    /// The handle.
    pub fn into_inner(self) -> H {
        self.handle
    }
}

impl<H: Joinable> sealed::Sealed for Target<H> {}

impl<H: Joinable> Joinable for Target<H> {
    type Output = H::Output;

    fn raw(&self) -> Raw<'_> {
        self.handle.raw()
    }

    fn is_shielded(&self) -> bool {
        self.shielded || self.handle.is_shielded()
    }

    unsafe fn take_output(self) -> Result<H::Output, JoinError> {
        // SAFETY: the caller's promise.
        unsafe { self.handle.take_output() }
    }
}
