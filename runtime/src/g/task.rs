//! What a goroutine runs and what comes out of it: a closure of any type, later its result, in
//! the same few words of the G (or in a box, when either is large).
//!
//! ```text
//!   Empty --put--> Closure --run--> Result --take--> Empty
//!                     \---cancel-->   |  \--drop_result--> Empty
//! ```
//! Each transition is made by the one owner that the goroutine's join word names (`join.rs`).

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io::Write;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Words of a closure or result that are kept in the G itself. 9 words hold what the usual
/// goroutine captures (a few channel ends and numbers) and make a G three cache lines.
pub(crate) const INLINE_WORDS: usize = 9;

type Storage = [MaybeUninit<usize>; INLINE_WORDS];

/// Why a goroutine has no result.
#[non_exhaustive]
pub enum JoinError {
    /// It panicked; the payload is what `std::panic::catch_unwind` gives.
    Panicked(Box<dyn Any + Send + 'static>),
    /// It was cancelled, or its runtime shut down, before it finished or even before it started.
    Cancelled,
    /// There was no memory for its stack, so it never ran; the text says what to do.
    NoStack(String),
}

impl JoinError {
    /// The payload of the panic.
    ///
    /// # Panics
    /// If the goroutine did not panic; the text is the error's own.
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self {
            JoinError::Panicked(payload) => payload,
            other => panic!("{other}"),
        }
    }

    /// What the `join` of a goroutine gives that was unwound by this payload: tells a panic from the
    /// end of a goroutine that was cancelled or shut down, for code that catches both.
    ///
    /// ```
    /// use runtime::JoinError;
    ///
    /// let payload = std::panic::catch_unwind(|| panic!("oh")).unwrap_err();
    /// assert!(JoinError::from_payload(payload).is_panic());
    /// ```
    pub fn from_payload(payload: Box<dyn Any + Send + 'static>) -> JoinError {
        match payload.is::<Unwind>() {
            true => JoinError::Cancelled,
            false => JoinError::Panicked(payload),
        }
    }

    /// Whether the goroutine panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(payload) => match panic_text(&**payload) {
                Some(text) => write!(f, "goroutine panicked: {text}"),
                None => f.write_str("goroutine panicked"),
            },
            JoinError::Cancelled => f.write_str("goroutine was cancelled"),
            JoinError::NoStack(why) => write!(f, "goroutine never ran: {why}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

/// The text of a panic's payload, if it is one of the usual kinds.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// The payload by which a goroutine is unwound when it is cancelled, or its runtime shuts down. Not a
/// panic: it passes by the panic hook.
pub(crate) struct Unwind;

/// How the run of a closure ended, for the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Returned,
    Panicked,
    Cancelled,
}

struct VTable {
    run: unsafe fn(*mut Storage) -> Outcome,
    cancel: unsafe fn(*mut Storage, JoinError),
    drop_result: unsafe fn(*mut Storage),
    result_needs_drop: bool,
}

struct Typed<F, T>(std::marker::PhantomData<fn(F) -> T>);

const fn fits<X>() -> bool {
    size_of::<X>() <= size_of::<Storage>() && align_of::<X>() <= align_of::<usize>()
}

/// # Safety
/// `at` is a G's storage that holds nothing.
unsafe fn store<X>(at: *mut Storage, x: X) {
    // SAFETY: fits, or a pointer does; nothing is overwritten (the caller's promise).
    unsafe {
        if fits::<X>() {
            at.cast::<X>().write(x);
        } else {
            at.cast::<*mut X>().write(Box::into_raw(Box::new(x)));
        }
    }
}

/// # Safety
/// `at` holds an X that `store` put there; it holds nothing afterwards.
unsafe fn load<X>(at: *mut Storage) -> X {
    // SAFETY: the caller's promise.
    unsafe {
        if fits::<X>() {
            at.cast::<X>().read()
        } else {
            *Box::from_raw(at.cast::<*mut X>().read())
        }
    }
}

impl<F: FnOnce() -> T, T> Typed<F, T> {
    const VTABLE: VTable = VTable {
        run: Self::run,
        cancel: Self::cancel,
        drop_result: Self::drop_result,
        result_needs_drop: std::mem::needs_drop::<T>() || !fits::<Result<T, JoinError>>(),
    };

    unsafe fn run(at: *mut Storage) -> Outcome {
        // SAFETY: called once, on storage that holds the closure.
        let f = unsafe { load::<F>(at) };
        let (outcome, result) = match catch_unwind(AssertUnwindSafe(f)) {
            Ok(v) => (Outcome::Returned, Ok(v)),
            Err(payload) if payload.is::<Unwind>() => {
                (Outcome::Cancelled, Err(JoinError::Cancelled))
            }
            Err(payload) => (Outcome::Panicked, Err(JoinError::Panicked(payload))),
        };
        // SAFETY: the closure was moved out above.
        unsafe { store::<Result<T, JoinError>>(at, result) };
        outcome
    }

    unsafe fn cancel(at: *mut Storage, why: JoinError) {
        // SAFETY: called once, on storage that holds the closure.
        let f = unsafe { load::<F>(at) };
        let why = match catch_unwind(AssertUnwindSafe(|| drop(f))) {
            Ok(()) => why,
            // Its destructor called the runtime, which is shutting down.
            Err(payload) if payload.is::<Unwind>() => why,
            Err(payload) => JoinError::Panicked(payload),
        };
        // SAFETY: the closure was moved out above.
        unsafe { store::<Result<T, JoinError>>(at, Err(why)) };
    }

    unsafe fn drop_result(at: *mut Storage) {
        // SAFETY: called once, on storage that holds the result.
        let result = unsafe { load::<Result<T, JoinError>>(at) };
        // A destructor that panics here has been reported by the panic hook, and there is
        // nobody left to hand the payload to.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            std::mem::forget(payload);
        }
    }
}

/// The task of one goroutine.
pub(crate) struct Task {
    vtable: Cell<Option<&'static VTable>>,
    storage: UnsafeCell<Storage>,
}

impl Task {
    pub(crate) const fn empty() -> Task {
        Task {
            vtable: Cell::new(None),
            storage: UnsafeCell::new([MaybeUninit::uninit(); INLINE_WORDS]),
        }
    }

    fn vtable(&self) -> &'static VTable {
        self.vtable.get().expect("a goroutine without a task")
    }

    /// # Safety
    /// The task is empty and the caller owns the G. What `f` borrows outlives the goroutine.
    #[inline]
    pub(crate) unsafe fn put<F: FnOnce() -> T, T>(&self, f: F) {
        self.vtable.set(Some(const { &Typed::<F, T>::VTABLE }));
        // SAFETY: empty, by the caller's promise.
        unsafe { store(self.storage.get(), f) };
    }

    /// Runs the closure and keeps its result.
    ///
    /// # Safety
    /// The task holds a closure and the caller owns the G.
    #[inline]
    pub(crate) unsafe fn run(&self) -> Outcome {
        // SAFETY: the caller's promise.
        unsafe { (self.vtable().run)(self.storage.get()) }
    }

    /// Drops the closure and keeps `why` as its result.
    ///
    /// # Safety
    /// As for [`Task::run`].
    pub(crate) unsafe fn cancel(&self, why: JoinError) {
        // SAFETY: the caller's promise.
        unsafe { (self.vtable().cancel)(self.storage.get(), why) }
    }

    /// Whether there is a closure or a result; from outside, of a goroutine that is stopped.
    pub(crate) fn is_some(&self) -> bool {
        self.vtable.get().is_some()
    }

    /// The closure or the result, as plain words, or what is left of one that was moved out; from outside,
    /// of a goroutine that is stopped. (Whoever takes a result may be stopped between saying so and moving
    /// it: so these are words whatever `is_some` says.)
    pub(crate) fn words(&self) -> [usize; INLINE_WORDS] {
        // SAFETY: memory that exists; who could write to it is stopped. Words that were never written
        // are whatever they are.
        unsafe { std::ptr::read_volatile(self.storage.get().cast()) }
    }

    /// There is nothing in it any more.
    pub(crate) fn forget(&self) {
        self.vtable.set(None);
    }

    /// Whether a result that is a value (not an error) must be dropped. Where it need not, it is
    /// simply forgotten.
    pub(crate) fn result_needs_drop(&self) -> bool {
        self.vtable().result_needs_drop
    }

    /// # Safety
    /// The task holds a result, of which the caller is the owner.
    pub(crate) unsafe fn drop_result(&self) {
        // SAFETY: the caller's promise.
        unsafe { (self.vtable().drop_result)(self.storage.get()) }
        self.vtable.set(None);
    }

    /// The result, where it is.
    ///
    /// # Safety
    /// The task holds a result of type `T`, of which the caller is the owner.
    pub(crate) unsafe fn result<T>(&self) -> &Result<T, JoinError> {
        let at: *const Storage = self.storage.get();
        // SAFETY: the caller's promise; where `store` has put it.
        unsafe {
            if fits::<Result<T, JoinError>>() {
                &*at.cast()
            } else {
                &**at.cast::<*const Result<T, JoinError>>()
            }
        }
    }

    /// # Safety
    /// The task holds a result of type `T`, of which the caller is the owner.
    pub(crate) unsafe fn take_result<T>(&self) -> Result<T, JoinError> {
        self.vtable.set(None);
        // SAFETY: the caller's promise.
        unsafe { load::<Result<T, JoinError>>(self.storage.get()) }
    }
}

/// Aborts the process when dropped: around code that must not unwind, with what it was doing.
pub(crate) struct AbortOnUnwind(pub(crate) &'static str);

impl AbortOnUnwind {
    /// The guarded code has ended well.
    #[inline]
    pub(crate) fn disarm(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        // (`eprintln!` would panic if it cannot write.)
        let _ = writeln!(
            std::io::stderr(),
            "fatal error: unwound out of {}: aborting",
            self.0
        );
        std::process::abort();
    }
}
