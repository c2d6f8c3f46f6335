//! Goroutines that borrow from their parent's stack, as `std::thread::scope` has it for threads.

use crate::api::join::{JoinHandle, spawn_unchecked};
use crate::g::GoroutineId;
use crate::g::status::WaitReason;
use crate::g::task::JoinError;
use crate::park::Interrupt;
use crate::sched::{ScopeWord, Spawned, Window};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

/// A scope in which goroutines may borrow what outlives it. See [`scope()`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    word: ScopeWord,
    /// Invariant, as in std.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl std::fmt::Debug for ScopeWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScopeWord")
    }
}

/// Calls `f` with a scope, and returns when it and all goroutines of the scope have finished.
/// On a goroutine the caller parks; on a plain thread it blocks, and the goroutines run in the
/// default runtime.
///
/// A shutdown of the runtime does not end this wait (the goroutines use the caller's frame); it
/// ends the waits of the goroutines, and the caller's next one.
///
/// ```
/// let rt = runtime::start(2);
/// let mut halves = [vec![3, 1], vec![4, 2]];
/// rt.run(|| {
///     runtime::scope(|s| {
///         for half in &mut halves {
///             s.spawn(|| half.sort());
///         }
///     });
/// });
/// assert_eq!(halves, [[1, 3], [2, 4]]);
/// ```
///
/// # Panics
/// If `f` panics, with its payload, or if a goroutine panicked whose handle was not joined. On a
/// plain thread also if no runtime runs, or if it was shut down before the goroutines had ended.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    crate::api::calls::end_if_stopping();
    let scope = Scope {
        word: ScopeWord::new(),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.wait();
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if !scope.word.heard_nothing_bad() => {
            panic!("a goroutine of the scope panicked, and nobody joined it")
        }
        // On a goroutine the caller itself is being stopped.
        Ok(_) if scope.word.was_cut_short() && crate::m::current().is_null() => {
            panic!("a goroutine of the scope was cancelled: the runtime was shut down meanwhile")
        }
        Ok(value) => value,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a goroutine that may borrow what outlives the scope.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        struct Uncount<'a>(&'a ScopeWord);
        impl Drop for Uncount<'_> {
            fn drop(&mut self) {
                self.0.child_done(false);
            }
        }

        let with = Spawned {
            site: Location::caller(),
            name: None,
            scope: &raw const self.word,
        };
        self.word.child_spawned();
        let uncount = Uncount(&self.word); // should the spawn unwind
        // SAFETY: `scope` waits for the goroutine, so what f borrows outlives it.
        let handle = unsafe { spawn_unchecked(with, f) };
        std::mem::forget(uncount);
        ScopedJoinHandle {
            handle: ManuallyDrop::new(handle),
            word: &self.word,
        }
    }

    fn wait(&self) {
        let window = Window::enter_quietly();
        // SAFETY: for the park below, which publishes it.
        let waiter = unsafe { window.waiter() };
        // SAFETY: the commit publishes the waiter by one atomic word, which the last goroutine
        // uses before it wakes us, and never after.
        let (window, _) = unsafe {
            window.park(WaitReason::Scope, Interrupt::Forbidden, || {
                self.word.register(waiter)
            })
        };
        drop(window);
    }
}

/// The handle on a goroutine of a scope.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    handle: ManuallyDrop<JoinHandle<T>>,
    word: &'scope ScopeWord,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the goroutine to finish and returns what it returned.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    pub fn join(self) -> Result<T, JoinError> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once; the destructor does not run.
        unsafe { ManuallyDrop::take(&mut this.handle) }.join()
    }

    /// Whether the goroutine has finished.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Number of the goroutine.
    pub fn id(&self) -> GoroutineId {
        self.handle.id()
    }
}

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        if unsafe { ManuallyDrop::take(&mut self.handle) }.release_checked() {
            self.word.note_unheard_panic();
        }
    }
}
