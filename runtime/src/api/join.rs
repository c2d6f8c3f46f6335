//! Spawning, and waiting for what was spawned.

use crate::api::runtime::default_sched;
use crate::api::time::from_now;
use crate::atomics::Ordering;
use crate::g::join::Released;
use crate::g::parker::Token;
use crate::g::status::WaitReason;
use crate::g::task::JoinError;
use crate::g::{G, GOROUTINE, GoroutineId};
use crate::park::{Interrupt, Wait};
use crate::sched::{Spawned, Window, free_g, interrupt, spawn_outside};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

/// Spawns a goroutine: into the caller's own runtime on a goroutine, into the default one (the
/// first that runs) on a plain thread. The macro [`go!`](crate::go!) is the same with more forms.
///
/// A goroutine may move between threads at every wait. Values that are tied to a thread must not
/// live across one: see docs/soundness.md.
///
/// ```
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let h = runtime::spawn(|| "done");
///     assert_eq!(h.join().unwrap(), "done");
/// });
/// ```
///
/// # Panics
/// On a plain thread, if no runtime runs.
#[track_caller]
#[inline]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_named(None, f)
}

/// What `go!(name = ...)` expands to.
#[doc(hidden)]
#[track_caller]
#[inline]
pub fn spawn_named<F, T>(name: Option<Box<str>>, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let with = Spawned {
        site: Location::caller(),
        name,
        scope: ptr::null(),
    };
    // SAFETY: f borrows nothing.
    unsafe { spawn_unchecked(with, f) }
}

/// # Safety
/// What `f` borrows outlives the goroutine.
#[inline]
pub(crate) unsafe fn spawn_unchecked<F, T>(with: Spawned, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T,
{
    // SAFETY: the caller's promise.
    match unsafe { crate::sched::spawn(with, f) } {
        // SAFETY: the G is new, and its result is a T.
        Ok(g) => unsafe { JoinHandle::new(g) },
        // SAFETY: the caller's promise.
        Err((with, f)) => unsafe { spawn_from_thread(with, f) },
    }
}

/// # Safety
/// What `f` borrows outlives the goroutine.
#[cold]
unsafe fn spawn_from_thread<F, T>(with: Spawned, f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T,
{
    let Some(sched) = default_sched() else {
        panic!(
            "no runtime runs: a goroutine can be spawned on a plain thread only while there is one \
             (keep what runtime::start returned)"
        );
    };
    // SAFETY: the caller's promise.
    match unsafe { spawn_outside(&sched, with, f) } {
        // SAFETY: the G is new, and its result is a T.
        Ok(g) => unsafe { JoinHandle::new(g) },
        Err(_) => panic!("the runtime is shutting down and takes no new goroutine"),
    }
}

/// The handle on a goroutine's end. Dropping it detaches the goroutine, which goes on by itself;
/// its result is then dropped when it ends.
pub struct JoinHandle<T> {
    g: *const G,
    _result: PhantomData<T>,
}

// SAFETY: what moves to the joiner is the result.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: through a shared handle only atomic and read-only fields are read.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// `g` is a new goroutine whose result is a `T`, and this is its only handle.
    #[inline]
    pub(crate) unsafe fn new(g: *const G) -> JoinHandle<T> {
        JoinHandle {
            g,
            _result: PhantomData,
        }
    }

    pub(crate) fn g(&self) -> &G {
        // SAFETY: a G is not freed while its handle exists.
        unsafe { &*self.g }
    }

    /// Waits for the goroutine to finish and returns what it returned. A goroutine parks, a plain
    /// thread blocks.
    ///
    /// # Errors
    /// If it panicked, was cancelled (by [`JoinHandle::cancel`], or the shutdown of its runtime), or
    /// got no stack.
    ///
    /// # Panics
    /// If a goroutine joins itself.
    #[inline]
    pub fn join(self) -> Result<T, JoinError> {
        if !self.g().join.is_done() && self.wait(Interrupt::Allowed, None) == Waited::Interrupted {
            // Interrupted while it unwinds already: there is nothing more to wait for.
            return Err(JoinError::Cancelled);
        }
        self.take()
    }

    /// As [`JoinHandle::join`], for at most `d`. If that is over first, the handle comes back, and
    /// nothing has happened to the goroutine. (To cancel it then:
    /// [`task::wait_for`](crate::task::wait_for).)
    ///
    /// ```
    /// use runtime::{go, time::sleep};
    /// use std::time::Duration;
    ///
    /// let rt = runtime::start(2);
    /// rt.run(|| {
    ///     let h = go!(|| {
    ///         sleep(Duration::from_millis(20));
    ///         "done"
    ///     });
    ///     let h = h.join_timeout(Duration::from_millis(1)).unwrap_err();
    ///     assert_eq!(h.join().unwrap(), "done");
    /// });
    /// ```
    ///
    /// # Errors
    /// The handle, if the time was over first. (Or if the caller is unwinding and its waits are cut
    /// short.)
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    pub fn join_timeout(self, d: Duration) -> Result<Result<T, JoinError>, JoinHandle<T>> {
        self.join_until(from_now(d))
    }

    /// As [`JoinHandle::join_timeout`], until a point in time.
    ///
    /// # Errors
    /// As [`JoinHandle::join_timeout`].
    ///
    /// # Panics
    /// As [`JoinHandle::join`].
    pub fn join_deadline(self, at: Instant) -> Result<Result<T, JoinError>, JoinHandle<T>> {
        self.join_until(Some(at))
    }

    fn join_until(self, at: Option<Instant>) -> Result<Result<T, JoinError>, JoinHandle<T>> {
        if !self.g().join.is_done() && self.wait(Interrupt::Allowed, at) != Waited::Done {
            return Err(self);
        }
        Ok(self.take())
    }

    /// As `join`, for a wait that something's safety depends on.
    pub(crate) fn join_blocking(self) -> Result<T, JoinError> {
        if !self.g().join.is_done() {
            self.wait(Interrupt::Forbidden, None);
        }
        self.take()
    }

    /// The goroutine has finished, and the handle is the last that knows of it.
    #[inline]
    pub(crate) fn take(self) -> Result<T, JoinError> {
        let g = ManuallyDrop::new(self).g;
        // SAFETY: DONE was read with Acquire and HANDLE is ours: G and result belong to us.
        unsafe {
            let result = (*g).task.take_result::<T>();
            free_g(g);
            result
        }
    }

    #[inline]
    fn wait(&self, interrupt: Interrupt, until: Option<Instant>) -> Waited {
        let g = self.g();
        loop {
            let window = Window::enter();
            if let Some(me) = window.g()
                && ptr::eq(me, g)
            {
                drop(window);
                joins_itself();
            }
            // SAFETY: for the park below, which publishes it.
            let waiter = unsafe { window.waiter() };
            // SAFETY: the commit publishes the waiter by one atomic word; a stale waiter is
            // harmless there.
            let (window, token) = unsafe {
                window.park_until(
                    Wait::on(WaitReason::Join, g, &GOROUTINE),
                    interrupt,
                    until,
                    || g.join.register(waiter),
                )
            };
            drop(window);
            if g.join.is_done() {
                return Waited::Done;
            }
            if token == Token::INTERRUPTED {
                interrupt::interrupted();
                return Waited::Interrupted;
            }
            if token == Token::TIMEOUT {
                return Waited::TimedOut;
            }
        }
    }

    /// Asks the goroutine to end (asyncio's `Task.cancel`): its present wait, or the next one if it
    /// runs, unwinds it, so that destructors run, and `join` gives [`JoinError::Cancelled`]. One that
    /// has not started never does.
    ///
    /// It is a request. A goroutine that does not wait any more finishes as if nothing had been
    /// asked of it; one that catches the unwinding goes on, and can be cancelled again. Waits in
    /// destructors, while it unwinds, are not cut short by the same request.
    ///
    /// Returns false if it comes too late: the goroutine has finished already.
    ///
    /// ```
    /// use runtime::{go, JoinError};
    ///
    /// let rt = runtime::start(2);
    /// rt.run(|| {
    ///     let h = go!(|| runtime::time::sleep(std::time::Duration::from_secs(3600)));
    ///     assert!(h.cancel());
    ///     assert!(matches!(h.join(), Err(JoinError::Cancelled)));
    /// });
    /// ```
    pub fn cancel(&self) -> bool {
        let g = self.g();
        if g.join.is_done() {
            return false;
        }
        // SAFETY: a G is not freed while its handle exists.
        unsafe { interrupt::cancel(g) };
        true
    }

    /// Whether the goroutine has finished: `join` will not wait.
    pub fn is_finished(&self) -> bool {
        self.g().join.is_done()
    }

    /// Number of the goroutine.
    pub fn id(&self) -> GoroutineId {
        self.g().id()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<String> {
        // SAFETY: a G is not freed while its handle exists.
        unsafe { self.g().name() }.map(str::to_owned)
    }

    /// Ends a scope's handle that nobody joined: as a drop, but says whether what it dropped was
    /// the report of a panic.
    pub(crate) fn release_checked(self) -> bool {
        let this = ManuallyDrop::new(self);
        // SAFETY: this is the end of the handle.
        unsafe {
            release(this.g, |g| {
                // SAFETY: a result of type T is stored, and ours.
                matches!((*g).task.take_result::<T>(), Err(JoinError::Panicked(_)))
            })
        }
    }
}

/// How a wait for a goroutine ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waited {
    Done,
    /// The deadline has passed.
    TimedOut,
    /// It was interrupted while the caller unwinds.
    Interrupted,
}

#[cold]
pub(crate) fn joins_itself() -> ! {
    panic!("a goroutine cannot join itself: it would wait for ever")
}

/// The handle ends: leaves the goroutine to itself, or cleans up after it. `drop_result` drops a
/// stored result.
///
/// # Safety
/// The handle is not used afterwards.
unsafe fn release(g: *const G, drop_result: impl FnOnce(*const G) -> bool) -> bool {
    // SAFETY: a G is not freed while its handle exists.
    match unsafe { (*g).join.release() } {
        Released::Detached => false,
        Released::Owned { result } => {
            let was_panic = result && drop_result(g);
            // SAFETY: the handle stands until here; if it was the last that knew of the finished
            // goroutine, the G is ours.
            unsafe {
                if (*g).join.release_owned() {
                    free_g(g);
                }
            }
            was_panic
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the end of the handle; a stored result is ours.
        unsafe {
            release(self.g, |g| {
                (*g).task.drop_result();
                false
            });
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id().as_u64())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// A goroutine as it sees itself.
#[derive(Clone, Debug)]
pub struct Goroutine {
    id: GoroutineId,
    name: Option<String>,
    site: &'static Location<'static>,
}

impl Goroutine {
    /// Its number.
    pub fn id(&self) -> GoroutineId {
        self.id
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it was spawned.
    pub fn spawn_site(&self) -> &'static Location<'static> {
        self.site
    }
}

/// The calling goroutine; `None` on a plain thread.
///
/// ```
/// assert!(runtime::current().is_none());
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let h = runtime::go!(name = "reader", || runtime::current().unwrap().name().unwrap().to_owned());
///     assert_eq!(h.join().unwrap(), "reader");
/// });
/// ```
pub fn current() -> Option<Goroutine> {
    // SAFETY: the calling thread's own M, or null.
    let m = unsafe { crate::m::current().as_ref() }?;
    // SAFETY: the goroutine that runs here is the caller, so it is not finished.
    unsafe {
        let g = m.curg.load(Ordering::Relaxed).as_ref()?;
        Some(Goroutine {
            id: g.id(),
            name: g.name().map(str::to_owned),
            site: g.site(),
        })
    }
}
