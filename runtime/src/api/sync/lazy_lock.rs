//! A value that is computed when it is first looked at: `std::sync::LazyLock`, for goroutines.

use super::once::{IfPoisoned, Once, OnceState};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A value that is computed when it is first looked at: [`std::sync::LazyLock`], on which
/// goroutines park and plain threads block while another computes it.
///
/// ```
/// use runtime::sync::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());
/// runtime::start(1).run(|| assert_eq!(SQUARES[3], 9));
/// assert_eq!(SQUARES[4], 16); // on a plain thread
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    state: UnsafeCell<State<T, F>>,
}

enum State<T, F> {
    /// Not computed yet: by this.
    Init(F),
    /// Set when the Once is completed.
    Value(T),
    /// Being computed, or that panicked.
    Gone,
}

// SAFETY: a value that one thread has computed is read, and dropped, by others; `F` is called by
// whoever comes first.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

const POISONED: IfPoisoned = IfPoisoned::Panic("LazyLock instance has previously been poisoned");

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that `f` will compute.
    pub const fn new(f: F) -> LazyLock<T, F> {
        LazyLock {
            once: Once::new(),
            state: UnsafeCell::new(State::Init(f)),
        }
    }

    /// The value, computed now if it was not before; if another is doing so, waits.
    ///
    /// # Panics
    /// If the computation panics, or has panicked before, or looks at this same value. On a goroutine
    /// whose runtime is being shut down, a wait ends by unwinding.
    #[inline]
    #[track_caller]
    pub fn force(this: &LazyLock<T, F>) -> &T {
        if !this.once.is_completed() {
            this.compute();
        }
        LazyLock::get(this).expect("completed")
    }

    #[cold]
    #[track_caller]
    fn compute(&self) {
        let compute = &mut |_: &OnceState| {
            // SAFETY: who runs the Once has the state alone; `f` cannot come here again.
            let state = unsafe { std::mem::replace(&mut *self.state.get(), State::Gone) };
            let State::Init(f) = state else {
                unreachable!("computed once")
            };
            let value = f();
            // SAFETY: as above.
            unsafe { *self.state.get() = State::Value(value) };
        };
        self.once.call(POISONED, compute);
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it was computed already. Never waits.
    #[inline]
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        if !this.once.is_completed() {
            return None;
        }
        // SAFETY: completed: not written any more.
        match unsafe { &*this.state.get() } {
            State::Value(value) => Some(value),
            _ => None,
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        LazyLock::force(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> LazyLock<T> {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_tuple("LazyLock");
        match LazyLock::get(self) {
            Some(value) => d.field(value),
            None => d.field(&format_args!("<uninit>")),
        };
        d.finish()
    }
}
