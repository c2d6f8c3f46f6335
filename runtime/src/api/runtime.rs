//! The handle on a runtime, and the table of runtimes that are up.

use crate::api::join::JoinHandle;
use crate::api::leaks::{Leak, LeaksError, leaks_of};
use crate::api::signal::{OnSignal, Signal};
use crate::atomics::atomic::AtomicBool;
use crate::atomics::{Mutex, Ordering};
use crate::g::task::JoinError;
use crate::m::current;
use crate::sched::{DEADLOCK, Sched, Spawned, Unfinished, spawn_outside};
use crate::trace::dump::Dump;
use crate::trace::metrics::Metrics;
use crate::trace::report;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;
use std::{io, ptr};

/// How long the drop of a [`Runtime`] waits for goroutines that neither finish nor come back into
/// the runtime.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// A running scheduler with its threads. Dropping it shuts it down, as [`Runtime::shutdown`].
#[derive(Debug)]
pub struct Runtime {
    sched: Arc<Sched>,
    /// Writes dumps when a signal comes.
    dumps: Option<OnSignal>,
}

impl fmt::Debug for Sched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sched")
            .field("name", &self.config.name)
            .field("procs", &self.config.procs)
            .field("goroutines", &self.num_goroutines())
            .finish_non_exhaustive()
    }
}

/// Runtimes that are up, in the order in which they started: the first is the default one.
static UP: Mutex<Vec<Arc<Sched>>> = Mutex::new(Vec::new());

/// The runtime of plain threads.
pub(crate) fn default_sched() -> Option<Arc<Sched>> {
    UP.lock().first().cloned()
}

/// The runtime of the calling goroutine, or the default one on a plain thread.
pub(crate) fn with_sched<T>(f: impl FnOnce(&Sched) -> T) -> Option<T> {
    // SAFETY: the calling thread's own M, or null; an M keeps its runtime alive.
    match unsafe { current().as_ref() } {
        // SAFETY: as above.
        Some(m) => Some(f(unsafe { Sched::of_m(m) })),
        None => default_sched().map(|s| f(&s)),
    }
}

/// Has a dump of the runtime written to standard error whenever the signal comes, as long as the answer
/// lives. Of several that come before the dump is begun, one is seen to.
pub(crate) fn dump_on_signal(sched: &Arc<Sched>, signal: Signal) -> io::Result<OnSignal> {
    let sched = Arc::downgrade(sched);
    let asked = Arc::new(AtomicBool::new(false));
    OnSignal::new(signal, move |signal| {
        // AcqRel: pairs with the Release in the report: a dump that will see what was before the signal.
        if asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let (sched, asked_too) = (sched.clone(), Arc::clone(&asked));
        let make = move || {
            // Release: pairs with the swap above.
            asked_too.store(false, Ordering::Release);
            sched.upgrade().map_or(String::new(), |sched| {
                let (name, dump) = (&sched.config.name, sched.dump(true));
                format!("{signal}: goroutines of \"{name}\":\n\n{dump}")
            })
        };
        match report::later(make.clone()) {
            report::Taken::Yes => {}
            // Release: pairs with the swap above.
            report::Taken::Full => asked.store(false, Ordering::Release),
            report::Taken::NoThread => report::write(&make()), // maybe just what is wrong
        }
    })
}

/// A runtime could not be stopped: these goroutines neither finished nor came back into the
/// runtime in time. Their threads, and the memory that they use, live on until they do.
#[derive(Debug)]
pub struct ShutdownError(Unfinished);

impl ShutdownError {
    /// How many goroutines are left.
    pub fn unfinished(&self) -> u64 {
        self.0.count
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} goroutine(s) did not end: {}",
            self.0.count,
            self.0.who.join(", ")
        )?;
        if self.0.count > self.0.who.len() as u64 {
            f.write_str(", ...")?;
        }
        Ok(())
    }
}

impl std::error::Error for ShutdownError {}

impl Runtime {
    pub(crate) fn new(sched: Arc<Sched>, dumps: Option<OnSignal>) -> Runtime {
        UP.lock().push(Arc::clone(&sched));
        Runtime { sched, dumps }
    }

    /// Runs `f` as a goroutine and returns what it returns. The calling thread is blocked
    /// meanwhile, so `f` may borrow from it. Goroutines that `f` spawned and that still run when
    /// it returns go on until the runtime is shut down.
    ///
    /// ```
    /// let rt = runtime::start(1);
    /// let mut words = vec!["b", "a"];
    /// rt.run(|| words.sort());
    /// assert_eq!(words, ["a", "b"]);
    /// ```
    ///
    /// # Panics
    /// If `f` panics, with its payload. If there is no memory for its stack. If it is called on a
    /// goroutine: there, call `f` itself, or spawn and join it.
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        assert!(
            current().is_null(),
            "Runtime::run was called on a goroutine, which would block its thread: \
             use go! and join there, or call the closure itself"
        );
        // SAFETY: `join_blocking` returns only when the goroutine has finished, so what f
        // borrows outlives it.
        let handle = unsafe { self.spawn_unchecked(Location::caller(), f) };
        match handle.join_blocking() {
            Ok(value) => value,
            Err(JoinError::Panicked(payload)) => std::panic::resume_unwind(payload),
            Err(_) if self.sched.was_dead() => panic!("fatal error: {DEADLOCK}"),
            Err(other) => panic!("{other}"),
        }
    }

    /// Spawns a goroutine into this runtime, from anywhere. See [`spawn`](crate::spawn()).
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: f borrows nothing.
        unsafe { self.spawn_unchecked(Location::caller(), f) }
    }

    /// # Safety
    /// What `f` borrows outlives the goroutine.
    unsafe fn spawn_unchecked<F, T>(&self, site: &'static Location<'static>, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T,
    {
        let mut with = Spawned {
            site,
            name: None,
            scope: ptr::null(),
        };
        let mut f = f;
        // SAFETY: the calling thread's own M, or null.
        let here = unsafe { current().as_ref() }
            .is_some_and(|m| ptr::eq(m.sched, Arc::as_ptr(&self.sched).cast()));
        if here {
            // SAFETY: the caller's promise.
            match unsafe { crate::sched::spawn(with, f) } {
                // SAFETY: the G is new, and its result is a T.
                Ok(g) => return unsafe { JoinHandle::new(g) },
                Err(back) => (with, f) = back,
            }
        }
        // SAFETY: the caller's promise.
        match unsafe { spawn_outside(&self.sched, with, f) } {
            // SAFETY: the G is new, and its result is a T.
            Ok(g) => unsafe { JoinHandle::new(g) },
            Err(_) => panic!("the runtime is shutting down and takes no new goroutine"),
        }
    }

    /// The scheduler's state as text, while it runs: Go's `SCHED` line, and with `detail` a line
    /// for each P, M and G. From any thread.
    ///
    /// ```
    /// let rt = runtime::start(2);
    /// assert!(rt.schedtrace(false).contains("gomaxprocs=2"));
    /// ```
    pub fn schedtrace(&self, detail: bool) -> String {
        self.sched.schedtrace(detail)
    }

    /// What the runtime has done and is doing, as numbers. From any thread, and from goroutines; some
    /// microseconds, whatever the number of goroutines. Counting is always on: docs/metrics.md has what it costs,
    /// and what each number means.
    ///
    /// ```
    /// let rt = runtime::start(2);
    /// rt.run(|| (0..10).map(|_| runtime::go!(|| {})).for_each(|h| h.join().unwrap()));
    /// let metrics = rt.metrics();
    /// assert_eq!((metrics.spawned, metrics.finished), (11, 11));
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.sched.metrics()
    }

    /// What all goroutines are doing: their states, what they wait for, for how long, and their stacks, as
    /// `kill -QUIT` shows them of a Go program. From any thread, and from goroutines.
    ///
    /// Nobody is stopped, and no lock of the scheduler's or of a channel is held: each parked goroutine is looked
    /// at by itself, from outside (docs/dumps.md). So what is said of each is true, but not of all at the same
    /// moment. Stacks are those of goroutines that wait, on x86-64; one that runs is shown with its M. On a
    /// goroutine a thread is made to look, since reading debug information takes more stack than a goroutine may have.
    /// Plain threads are not shown. Names and lines need symbols and debug
    /// information in the program.
    ///
    /// ```
    /// let rt = runtime::start(1);
    /// rt.run(|| assert_eq!(runtime::dump().goroutines().len(), 1));
    /// assert_eq!(rt.dump().goroutines().len(), 0);
    /// ```
    pub fn dump(&self) -> Dump {
        self.sched.dump(true)
    }

    /// As [`Runtime::dump`], without the stacks: quicker by far with many goroutines.
    pub fn dump_without_stacks(&self) -> Dump {
        self.sched.dump(false)
    }

    /// Goroutines that can never go on although others run: those that wait on channels which nobody who
    /// could still run can reach, on mutexes whose holders wait in turn, for goroutines that never end. (The
    /// counts of a channel's ends turn many of Go's leaks into errors; these are what is left.)
    ///
    /// What is reported never goes on, unless the runtime is shut down. Not all that never go on are
    /// reported: whoever could be cancelled by a handle, waits with a deadline, or waits on a condition
    /// variable, a wait group and the like, is not; and a channel counts as reachable wherever its
    /// address is found in memory. docs/deadlocks.md tells how it works, and what it finds.
    ///
    /// From any thread, and from goroutines. All threads of the process are stopped by a signal (`SIGURG`)
    /// for as long as its memory is looked through, about a millisecond for 4 MiB; system calls that such
    /// signals interrupt (`epoll_wait`, `nanosleep`) may return early.
    ///
    /// # Errors
    /// If a thread cannot be stopped, or what the search needs is not to be had; and on machines other than x86-64.
    ///
    /// ```
    /// use runtime::sync::Mutex;
    ///
    /// let rt = runtime::start(1);
    /// rt.run(|| {
    ///     drop(runtime::go!(|| {
    ///         let m = Mutex::new(());
    ///         let _first = m.lock();
    ///         let _second = m.lock(); // waits for itself
    ///     }));
    ///     runtime::yield_now();
    /// });
    /// assert_eq!(rt.leaks().unwrap().len(), 1);
    /// ```
    pub fn leaks(&self) -> Result<Vec<Leak>, LeaksError> {
        leaks_of(&self.sched)
    }

    /// Number of Ps.
    pub fn num_procs(&self) -> usize {
        self.sched.ps().len()
    }

    /// Goroutines of this runtime that have not finished.
    pub fn num_goroutines(&self) -> usize {
        self.sched.num_goroutines() as usize
    }

    /// Shuts down: nothing new starts; a goroutine that waits is unwound, so that its destructors
    /// run; one that runs ends at its next call into the runtime; one that has not started is
    /// dropped. Waits until all have ended, then ends the threads and gives all memory back.
    /// Goroutines that do not come back within [`SHUTDOWN_PATIENCE`] are named on standard error
    /// and left behind, with what they use.
    ///
    /// # Panics
    /// If it is called on one of the runtime's own goroutines, which cannot wait for itself: drop
    /// a runtime on the thread that started it. (It then stops by itself.)
    pub fn shutdown(self) {
        drop(self);
    }

    /// As [`Runtime::shutdown`], with a patience of the caller's choice.
    ///
    /// # Errors
    /// If some goroutines had not ended in time.
    ///
    /// # Panics
    /// As [`Runtime::shutdown`].
    pub fn shutdown_timeout(self, patience: Duration) -> Result<(), ShutdownError> {
        let result = self.stop(patience);
        std::mem::forget(self.forget_sched());
        result
    }

    /// Gives up the handle without a second shutdown.
    fn forget_sched(self) -> impl Sized {
        // SAFETY: read out once; the handle's own destructor does not run.
        let (sched, dumps) = unsafe { (ptr::read(&self.sched), ptr::read(&self.dumps)) };
        std::mem::forget(self);
        drop((sched, dumps));
    }

    fn stop(&self, patience: Duration) -> Result<(), ShutdownError> {
        if self.sched.config.report_leaks {
            let name = &self.sched.config.name;
            match leaks_of(&self.sched) {
                Ok(leaks) => leaks
                    .iter()
                    .for_each(|leak| report::write(&format!("weft: leak in \"{name}\": {leak}\n"))),
                Err(e) => report::write(&format!("weft: leaks in \"{name}\": {e}\n")),
            }
        }
        UP.lock().retain(|s| !Arc::ptr_eq(s, &self.sched));
        // SAFETY: the calling thread's own M, or null.
        if let Some(m) = unsafe { current().as_ref() } {
            if ptr::eq(m.sched, Arc::as_ptr(&self.sched).cast()) {
                self.sched.abandon();
                assert!(
                    std::thread::panicking(),
                    "a runtime was dropped on one of its own goroutines, which cannot wait for \
                     itself to end: drop it on the thread that started it"
                );
                return Ok(());
            }
            return crate::api::calls::blocking_quietly(|| self.end(patience));
        }
        self.end(patience)
    }

    fn end(&self, patience: Duration) -> Result<(), ShutdownError> {
        let result = self.sched.shutdown(patience).map_err(ShutdownError);
        report::flush(report::PATIENCE);
        result
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Err(e) = self.stop(SHUTDOWN_PATIENCE) {
            let name = &self.sched.config.name;
            report::write(&format!("weft: shutdown of \"{name}\": {e}\n"));
        }
    }
}

/// What all goroutines of the caller's runtime are doing: [`Runtime::dump`] for those who have no handle. On a
/// plain thread, of the default runtime.
///
/// # Panics
/// On a plain thread, if no runtime runs.
pub fn dump() -> Dump {
    dump_own(true)
}

/// As [`dump()`], without the stacks.
///
/// # Panics
/// As [`dump()`].
pub fn dump_without_stacks() -> Dump {
    dump_own(false)
}

fn dump_own(stacks: bool) -> Dump {
    match with_sched(|sched| sched.dump(stacks)) {
        Some(dump) => dump,
        None => panic!("there is no runtime whose goroutines could be shown: start one first"),
    }
}

/// What the caller's runtime has done and is doing: [`Runtime::metrics`] for those who have no handle. On a
/// plain thread, of the default runtime; `None` without one.
pub fn metrics() -> Option<Metrics> {
    with_sched(Sched::metrics)
}

/// Number of goroutines that have not finished, of the calling goroutine's runtime, or of the
/// default one on a plain thread; 0 without a runtime.
pub fn num_goroutines() -> usize {
    with_sched(Sched::num_goroutines).unwrap_or(0) as usize
}

/// The id of the M that runs the caller, for tests that look at threads.
#[doc(hidden)]
pub fn current_m() -> Option<u32> {
    // SAFETY: the calling thread's own M, or null.
    unsafe { current().as_ref() }.map(|m| m.id)
}
