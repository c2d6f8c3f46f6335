//! What ends a context by hand, and what is called when it has ended.

use super::error::{Cause, cause};
use super::life::{Core, Life};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Cancels its context: by [`CancelFunc::cancel`], or when it is dropped (Go's `context.CancelFunc`,
/// and the `defer cancel()` that goes with it).
///
/// Go's vet complains of a cancel function that is lost, since what it would have freed stays until
/// the parent ends. Here a lost one has done its work. Mind that a pattern of `_` drops at once, as
/// everywhere in Rust: write `let (ctx, _cancel) = ...`, not `let (ctx, _) = ...`.
///
/// ```
/// use channels::context::{Context, ContextError};
///
/// let (ctx, cancel) = Context::background().with_cancel();
/// assert_eq!(ctx.err(), None);
/// cancel.cancel();
/// cancel.cancel(); // does nothing more
/// assert_eq!(ctx.err(), Some(ContextError::Canceled));
///
/// let (ctx, cancel) = Context::background().with_cancel();
/// drop(cancel);
/// assert_eq!(ctx.err(), Some(ContextError::Canceled));
/// ```
#[must_use = "dropping it cancels the context: keep it as long as the work takes"]
pub struct CancelFunc(Option<Arc<Life>>);

impl CancelFunc {
    pub(super) fn new(life: Arc<Life>) -> CancelFunc {
        CancelFunc(Some(life))
    }

    /// Cancels the context and all its children, which have ended when this returns. Does nothing if
    /// they have ended already. From any goroutine or thread, any number of times; it never waits.
    pub fn cancel(&self) {
        self.cancel_for(None);
    }

    fn cancel_for(&self, cause: Option<Cause>) {
        if let Some(life) = &self.0 {
            life.cancel(cause);
        }
    }

    /// Gives the cancel function up without cancelling: from now on the context ends with its parent,
    /// or by its deadline. (In Go: ignoring what `WithTimeout` returns.)
    ///
    /// ```
    /// use channels::context::Context;
    ///
    /// let (parent, cancel) = Context::background().with_cancel();
    /// let (ctx, child) = parent.with_cancel();
    /// child.keep();
    /// assert_eq!(ctx.err(), None);
    /// cancel.cancel();
    /// assert!(ctx.err().is_some());
    /// ```
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelFunc {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for CancelFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("CancelFunc { .. }")
    }
}

/// As [`CancelFunc`], with a reason (Go's `context.CancelCauseFunc`).
///
/// ```
/// use channels::context::{Context, ContextError};
///
/// let (ctx, cancel) = Context::background().with_cancel_cause();
/// cancel.cancel("the disk is full");
/// assert_eq!(ctx.err(), Some(ContextError::Canceled));
/// assert_eq!(ctx.cause().unwrap().to_string(), "the disk is full");
/// ```
#[must_use = "dropping it cancels the context: keep it as long as the work takes"]
#[derive(Debug)]
pub struct CancelCauseFunc(CancelFunc);

impl CancelCauseFunc {
    pub(super) fn new(life: Arc<Life>) -> CancelCauseFunc {
        CancelCauseFunc(CancelFunc::new(life))
    }

    /// Cancels as [`CancelFunc::cancel`]; the reason is what [`Context::cause`](super::Context::cause)
    /// gives, unless the context has ended already.
    pub fn cancel(&self, reason: impl Into<Box<dyn Error + Send + Sync>>) {
        self.0.cancel_for(Some(cause(reason)));
    }

    /// As [`CancelFunc::keep`].
    pub fn keep(self) {
        self.0.keep();
    }
}

/// A function that is called when a context has ended. From
/// [`Context::after_func`](super::Context::after_func); dropping it does not stop it.
#[must_use = "stop it by `stop`; it is not stopped by being dropped, so `let _ =` is fine too"]
pub struct AfterFunc {
    core: Weak<Core>,
    /// Of the function, while it waits; `None` if it was started at once.
    number: Option<u64>,
    /// For a context that never ends, which has no core.
    waits: AtomicBool,
}

impl AfterFunc {
    pub(super) fn waiting(core: &Arc<Core>, number: Option<u64>) -> AfterFunc {
        AfterFunc {
            core: Arc::downgrade(core),
            number,
            waits: AtomicBool::new(false),
        }
    }

    pub(super) fn never() -> AfterFunc {
        AfterFunc {
            core: Weak::new(),
            number: None,
            waits: AtomicBool::new(true),
        }
    }

    /// Stops it; whether that kept it from being called. False: it was started already (and may
    /// still run), or was stopped before.
    pub fn stop(&self) -> bool {
        match (self.number, self.core.upgrade()) {
            (Some(number), Some(core)) => core.stop(number),
            // Relaxed: nothing else hangs on it.
            _ => self.waits.swap(false, Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}
