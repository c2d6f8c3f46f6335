//! The one blocking primitive: Go's `gopark` and `goready`, for goroutines and plain threads.
//!
//! Everything that waits is built on this: channels, joins, scopes. A wait on several things is
//! one [`Waiter`] given to each of them; a deadline is one more that may claim it; which of them
//! came first is the [`Token`] that [`Window::park`] returns.
//!
//! A primitive built on it follows one pattern: enter the runtime, lock, look; if there is nothing
//! to do but wait, put the waiter where a waker will find it, and park with a commit function
//! that unlocks. The waker locks, takes the waiter out, claims it, unlocks, and makes it ready.
//!
//! ```
//! use runtime::park::{self, Interrupt, Lock, Token, Waiter, WaitReason};
//! use std::cell::UnsafeCell;
//! use std::sync::Arc;
//!
//! /// A gate that opens once.
//! struct Gate {
//!     lock: Lock,
//!     inner: UnsafeCell<(bool, Vec<Waiter>)>, // protected by the lock
//! }
//! unsafe impl Sync for Gate {}
//! unsafe impl Send for Gate {}
//!
//! impl Gate {
//!     fn pass(&self) {
//!         unsafe {
//!             let window = park::enter();
//!             let held = window.lock(&self.lock);
//!             if (*self.inner.get()).0 {
//!                 return self.lock.unlock(held);
//!             }
//!             let waiter = window.waiter();
//!             (*self.inner.get()).1.push(waiter);
//!             let lock = &self.lock;
//!             let commit = move || {
//!                 lock.unlock(held);
//!                 true
//!             };
//!             let (window, token) = window.park(WaitReason::User, Interrupt::Allowed, commit);
//!             if token == Token::INTERRUPTED {
//!                 let held = window.lock(&self.lock);
//!                 (*self.inner.get()).1.retain(|w| *w != waiter);
//!                 self.lock.unlock(held);
//!                 drop(window);
//!                 park::interrupted();
//!             }
//!         }
//!     }
//!
//!     fn open(&self) {
//!         let window = unsafe { park::enter() };
//!         let waiting = unsafe {
//!             let held = window.lock(&self.lock);
//!             let inner = &mut *self.inner.get();
//!             inner.0 = true;
//!             let waiting = std::mem::take(&mut inner.1);
//!             self.lock.unlock(held);
//!             waiting
//!         };
//!         for claimed in waiting.into_iter().filter_map(|w| w.claim(Token::new(0))) {
//!             claimed.ready_in(&window);
//!         }
//!     }
//! }
//!
//! let lock = unsafe { park::enter() }.new_lock();
//! let gate = Arc::new(Gate { lock, inner: UnsafeCell::default() });
//! let rt = runtime::start(2);
//! rt.run(|| {
//!     let g = gate.clone();
//!     let h = runtime::go!(move || g.pass());
//!     runtime::yield_now();
//!     gate.open();
//!     h.join().unwrap();
//! });
//! ```

pub use crate::g::parker::{Claimed, Token, Waiter};
pub use crate::g::status::WaitReason;
pub use crate::g::wait::{Encoding, Field, List, ListHead, Subject, Wait};
pub use crate::p::lock::{Held, Lock};
pub use crate::sched::{Interrupt, Window};

/// What can be received from without being a channel: a timer, a ticker, signals. `channels` makes
/// receivers of it, to be used alone or in a select.
///
/// A wait on a source is [opened](Window::open_waiter) before it is registered by
/// [`Source::watch`]; after that the source is asked once more, and then the waiter
/// [parks](Window::park_open), until what [`Source::try_take`] gave as the time.
///
/// # Safety
/// All but [`Source::try_take`] is called inside the caller's window: it is short, does not unwind,
/// runs no user code, and does not enter the runtime again ([`enter`]); nor does it wait for a lock that
/// somebody holds who does. A waiter is claimed with the token that came with it, and not any more
/// when [`Source::unwatch`] of it has returned: its goroutine, and its runtime, may be gone then.
/// (So a claim comes under the lock that `unwatch` takes; [`Claimed::ready`] comes after the unlock.)
pub unsafe trait Source: Send + Sync {
    /// What is received.
    type Item;

    /// Takes the next item, if there is one.
    fn try_take(&self) -> Taken<Self::Item>;

    /// What [`Source::try_take`] would find, without taking it. Inside the caller's window.
    fn state(&self) -> Taken<()>;

    /// Has `waiter` claimed with `token` at the next change: whenever `state` may have become
    /// ready, or its time another one, by something else than the passing of time. Inside
    /// the caller's window.
    fn watch(&self, window: &Window, waiter: Waiter, token: Token);

    /// Forgets a waiter. Inside the caller's window.
    fn unwatch(&self, window: &Window, waiter: Waiter);
}

/// The answer of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// An item.
    Item(T),
    /// There is none now. If nothing changes, there will be one at this time; `None`: never.
    Empty(Option<std::time::Instant>),
    /// There is none and never will be.
    Closed,
}

impl<T> Taken<T> {
    /// The answer, but for what was taken.
    pub fn without_item(self) -> Taken<()> {
        match self {
            Taken::Item(_) => Taken::Item(()),
            Taken::Empty(until) => Taken::Empty(until),
            Taken::Closed => Taken::Closed,
        }
    }
}

/// Enters the runtime. While the window is open the goroutine keeps its P. If the runtime is
/// shutting down, the goroutine is unwound here.
///
/// # Safety
/// Until the window is dropped or parked with, the caller makes no other call into the runtime
/// (windows do not nest; most operations on channels are such calls), and runs no user code.
#[inline(always)]
pub unsafe fn enter() -> Window {
    Window::enter()
}

/// As [`enter`], but never unwinds: for destructors.
///
/// # Safety
/// As for [`enter`].
#[inline(always)]
pub unsafe fn enter_quietly() -> Window {
    Window::enter_quietly()
}

/// What to do after a wait that ended with [`Token::INTERRUPTED`], when the primitive is in order
/// again and the window closed: unwinds the caller (to the end of the goroutine, or of a
/// `timeout`), or, if it unwinds already, returns, and the operation must report failure.
pub fn interrupted() {
    crate::sched::interrupt::interrupted();
}
