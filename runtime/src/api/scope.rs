//! Goroutines that borrow from their parent's stack, as `std::thread::scope` has it for threads.

use crate::api::join::{JoinHandle, spawn_unchecked};
use crate::g::GoroutineId;
use crate::g::interrupt::{Frame, Request};
use crate::g::parker::Token;
use crate::g::status::WaitReason;
use crate::g::task::JoinError;
use crate::park::{Interrupt, Subject, Wait};
use crate::sched::interrupt::{self, next_frame_id, take_request, unwind, unwind_if_asked};
use crate::sched::{ScopeState, Spawned, Window};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

static SCOPE: Subject = Subject::named("scope");

/// A scope in which goroutines may borrow what outlives it. See [`scope()`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    state: ScopeState,
    /// Invariant, as in std.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl std::fmt::Debug for ScopeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScopeState")
    }
}

/// Calls `f` with a scope, and returns when it and all goroutines of the scope have finished.
/// On a goroutine the caller parks; on a plain thread it blocks, and the goroutines run in the
/// default runtime.
///
/// It is what asyncio calls a `TaskGroup`: nothing outlives it, and one failure ends it. If a
/// goroutine panics whose handle was dropped, so that nobody else will hear of it, the others are
/// cancelled, and so is what `f` itself is waiting for; when all have ended, `scope` panics. A
/// goroutine whose handle is kept reports its panic to `join` alone.
///
/// A caller that is cancelled, or whose `timeout` is over, cancels the goroutines, waits until they
/// have ended (they use its frame), and unwinds. A shutdown of the runtime ends the goroutines, and the
/// caller's next wait.
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
    unwind_if_asked();
    let scope = Scope {
        state: ScopeState::new(),
        scope: PhantomData,
        env: PhantomData,
    };
    let mut frame = Frame::new(next_frame_id(), None);
    let me = interrupt::me();
    // SAFETY: the frame is left below, after all goroutines have ended; nothing in between moves
    // it or returns early (the code that could unwind is caught).
    unsafe {
        me.enter_frame(&mut frame);
        scope.state.set_frame(me, &frame);
    }
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if matches!(&result, Err(payload) if interrupt::is_unwind(&**payload)) {
        // A cancel, the end of an outer frame, or a shutdown met a wait of f itself.
        scope.cancel_once();
    }
    let asked = scope.wait();
    me.leave_frame(&frame);
    let failed = scope.state.has_failed();
    if let Some(request) = asked.filter(|r| *r != Request::None && !frame.is(r)) {
        let ended = matches!(&result, Err(payload) if !frame.is_mine(&**payload));
        if !ended && !failed && !std::thread::panicking() {
            unwind(request);
        }
        // It unwinds for something else, which may be caught before the request is met.
        me.put_back(&request);
    }
    match result {
        Err(payload) if !frame.is_mine(&*payload) => resume_unwind(payload),
        _ if failed => panic!("a goroutine of the scope panicked, and nobody joined it"),
        // On a goroutine the caller itself is being stopped, and ends at its next wait.
        _ if scope.state.was_cut_short() && crate::m::current().is_null() => {
            panic!("a goroutine of the scope was cancelled: the runtime was shut down meanwhile")
        }
        Ok(value) => value,
        Err(_) => unwind(Request::None), // its frame's end was the shutdown
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
        let with = Spawned {
            site: Location::caller(),
            name: None,
            scope: &raw const self.state,
        };
        // SAFETY: `scope` waits for the goroutine, so what f borrows outlives it.
        let handle = unsafe { spawn_unchecked(with, f) };
        ScopedJoinHandle {
            handle: ManuallyDrop::new(handle),
            state: &self.state,
        }
    }

    /// Cancels all goroutines of the scope, as [`JoinHandle::cancel`] does; those that are spawned
    /// later never start.
    pub fn cancel(&self) {
        self.state.cancel();
    }

    /// Cancels them, unless a failure has: asked twice, they would be disturbed in destructors.
    fn cancel_once(&self) {
        if !self.state.has_failed() {
            self.state.cancel();
        }
    }

    /// Waits until all goroutines have ended. If the wait was interrupted: by what, to be seen to
    /// afterwards.
    fn wait(&self) -> Option<Request> {
        let mut asked = None;
        let mut interrupt = Interrupt::Allowed;
        loop {
            let window = Window::enter_quietly();
            // SAFETY: for the park below; published under the state's lock, and forgotten by who
            // claims it, or below.
            let waiter = unsafe { window.waiter() };
            let Some(guard) = self.state.lock_unless_empty(waiter) else {
                return asked;
            };
            // SAFETY: the commit releases the lock under which the waiter was published, and does
            // nothing else.
            let (window, token) = unsafe {
                window.park(
                    Wait::on(WaitReason::Scope, &self.state, &SCOPE),
                    interrupt,
                    || {
                        drop(guard);
                        true
                    },
                )
            };
            drop(window);
            if token == Token::INTERRUPTED {
                self.state.forget_parent();
                asked = Some(take_request());
                self.cancel_once();
                interrupt = Interrupt::Forbidden;
            }
        }
    }
}

/// The handle on a goroutine of a scope.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    handle: ManuallyDrop<JoinHandle<T>>,
    state: &'scope ScopeState,
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
        self.into_handle().join()
    }

    /// As [`JoinHandle::join_timeout`].
    ///
    /// # Errors
    /// The handle, if the time was over first.
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    pub fn join_timeout(self, d: Duration) -> Result<Result<T, JoinError>, Self> {
        self.join_by(|h| h.join_timeout(d))
    }

    /// As [`JoinHandle::join_deadline`].
    ///
    /// # Errors
    /// The handle, if the time was over first.
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    pub fn join_deadline(self, at: Instant) -> Result<Result<T, JoinError>, Self> {
        self.join_by(|h| h.join_deadline(at))
    }

    fn join_by(
        self,
        join: impl FnOnce(JoinHandle<T>) -> Result<Result<T, JoinError>, JoinHandle<T>>,
    ) -> Result<Result<T, JoinError>, Self> {
        let state = self.state;
        join(self.into_handle()).map_err(|h| ScopedJoinHandle {
            handle: ManuallyDrop::new(h),
            state,
        })
    }

    pub(crate) fn handle(&self) -> &JoinHandle<T> {
        &self.handle
    }

    /// The handle inside, which does not tell the scope of a panic that nobody hears of.
    pub(crate) fn into_handle(self) -> JoinHandle<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once; the destructor does not run.
        unsafe { ManuallyDrop::take(&mut this.handle) }
    }

    /// Whether the goroutine has finished.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Asks the goroutine to end. As [`JoinHandle::cancel`].
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
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
            self.state.fail(std::ptr::null());
        }
    }
}
