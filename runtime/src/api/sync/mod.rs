//! What goroutines and threads share data with: the primitives of `std::sync`, and Go's, on which
//! a goroutine parks and a plain thread blocks. Both may use one and the same object, and so may
//! goroutines of several runtimes.
//!
//! | here | as in | beyond it |
//! |---|---|---|
//! | [`Mutex`], [`RwLock`], [`Condvar`] | std | deadlines; Go's fairness |
//! | [`Once`], [`OnceLock`], [`LazyLock`] | std | deadlines; recursion panics |
//! | [`Barrier`] | std | `try_wait`, deadlines |
//! | [`Semaphore`] | Go's `x/sync/semaphore` | permits are guards |
//! | [`WaitGroup`] | Go | deadlines; [`WaitGroup::go`] returns a handle |
//! | [`Event`] | Python's `asyncio` | deadlines |
//!
//! Where std has the type, a program that writes `runtime::sync` for `std::sync` compiles and means
//! the same. (What std's guard must not be, namely held by a goroutine across a wait, these may.)
//!
//! Every wait has forms with a timeout (`*_timeout`, which takes a
//! [`Duration`](std::time::Duration)) and a deadline (`*_deadline`, an
//! [`Instant`](std::time::Instant)), and one that does not wait (`try_*`, or a question such as
//! [`Event::is_set`]). They never give up early.
//!
//! A shutdown of the runtime unwinds the goroutines that wait here, and leaves the objects as if those
//! had not come. A goroutine that unwinds already waits on, if its operation cannot report failure.

mod barrier;
mod condvar;
mod event;
mod lazy_lock;
mod list;
mod mutex;
mod once;
mod once_lock;
mod poison;
pub(in crate::api) mod queue;
pub(in crate::api) mod raw_mutex;
mod raw_rwlock;
mod rwlock;
mod semaphore;
mod waitgroup;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lazy_lock::LazyLock;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphorePermit};
#[doc(no_inline)]
pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
pub use waitgroup::WaitGroup;
