//! What all primitives share: a lock with the lists that it protects (Go's semaphore roots and
//! notify lists), and the one way in which anybody waits here.
//!
//! A primitive has a word, which the fast paths change without entering the runtime, and a
//! [`Queue`]. The word says whether somebody waits; that part of it is changed under the queue's lock
//! only. Whoever has to wait enters, locks, looks at the word again, and [`Locked::wait`]s: the
//! lock is released when the waiter is off its stack. Whoever changes the word so that somebody can
//! go on locks, claims, unlocks, and makes ready what it has claimed.
//!
//! The claim decides. A waiter that was claimed has what it waited for, even if its deadline
//! passed or its runtime stopped in the same moment. One whose wait ended otherwise gets the lock
//! back with its node taken out ([`Ended::Gone`]), so that its primitive can mend its word and
//! let those behind it go on.
//!
//! Nothing of the user's runs under the lock or inside the window.

use super::list::{List, Node, Note, Place, Woken};
use super::raw_mutex::MUTEX;
use crate::atomics::const_fn;
use crate::park::{self, Claimed, Held, Interrupt, Lock, Subject, Token, WaitReason, Window};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// Enters the runtime. On a goroutine that is being stopped it unwinds, unless it does so already.
#[inline(always)]
pub(crate) fn enter() -> Window {
    // SAFETY: in this module every window ends, or is parked with, before anything of the user's
    // runs and before the runtime is called again.
    unsafe { park::enter() }
}

/// As [`enter`], but never unwinds: for what must be done whatever happens.
#[inline(always)]
pub(crate) fn enter_quietly() -> Window {
    // SAFETY: as above.
    unsafe { park::enter_quietly() }
}

/// A number that the calling goroutine or thread shares with no other as long as it lives.
#[cfg(not(loom))]
pub(crate) fn identity(window: &Window) -> usize {
    // SAFETY: only a name: it is not published.
    std::ptr::from_ref(unsafe { window.waiter() }.parker()) as usize
}

/// A lock, and the state that it protects.
pub(crate) struct Queue<S = List> {
    lock: Lock,
    state: UnsafeCell<S>,
}

// SAFETY: the state is used under the lock only. It is lists of nodes on the waiters' stacks, which
// stay there until they are out of their list.
unsafe impl<S> Send for Queue<S> {}
// SAFETY: as above.
unsafe impl<S> Sync for Queue<S> {}

// No panic comes in between: nothing of the user's runs under the lock.
impl<S> UnwindSafe for Queue<S> {}
impl<S> RefUnwindSafe for Queue<S> {}

impl<S> Queue<S> {
    const_fn! {
        pub(crate) const fn new(state: S) -> Queue<S> {
            Queue {
                lock: Lock::new(),
                state: UnsafeCell::new(state),
            }
        }
    }

    /// Locks the queue. To be called with no other queue locked, and to be unlocked in the same
    /// window, or by [`Locked::wait`].
    #[inline(always)]
    pub(crate) fn lock(&self, window: &Window) -> Locked<'_, S> {
        Locked {
            queue: self,
            // SAFETY: no primitive holds two locks, and `Locked` goes by `unlock` or `wait`.
            held: unsafe { window.lock(&self.lock) },
        }
    }
}

/// The queue, locked.
#[must_use = "the queue stays locked until `unlock`"]
pub(crate) struct Locked<'a, S = List> {
    queue: &'a Queue<S>,
    held: Held,
}

impl<S> Deref for Locked<'_, S> {
    type Target = S;

    #[inline(always)]
    fn deref(&self) -> &S {
        // SAFETY: the lock is held.
        unsafe { &*self.queue.state.get() }
    }
}

impl<S> DerefMut for Locked<'_, S> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut S {
        // SAFETY: the lock is held.
        unsafe { &mut *self.queue.state.get() }
    }
}

/// How somebody waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) reason: WaitReason,
    pub(crate) interrupt: Interrupt,
    pub(crate) deadline: Option<Instant>,
}

impl Wait {
    /// For an operation that cannot report that it did not succeed: its wait can be interrupted
    /// only if the goroutine can be unwound.
    #[inline]
    pub(crate) fn endless(reason: WaitReason) -> Wait {
        Wait {
            reason,
            interrupt: match std::thread::panicking() {
                true => Interrupt::Forbidden,
                false => Interrupt::Allowed,
            },
            deadline: None,
        }
    }

    /// For an operation that can report that it did not succeed. `None` is no deadline.
    #[inline]
    pub(crate) fn until(reason: WaitReason, deadline: Option<Instant>) -> Wait {
        Wait {
            reason,
            interrupt: Interrupt::Allowed,
            deadline,
        }
    }
}

impl Wait {
    /// The wait as dumps show it: on the object whose queue this is.
    #[inline(always)]
    pub(crate) fn on<S>(&self, queue: *const Queue<S>) -> park::Wait {
        static OF: [Subject; 7] = [
            Subject::named("rwlock"),
            Subject::named("cond"),
            Subject::named("waitgroup"),
            Subject::named("semaphore"),
            Subject::named("once"),
            Subject::named("barrier"),
            Subject::named("event"),
        ];
        let what = match self.reason {
            WaitReason::MutexLock => &MUTEX,
            WaitReason::RwLockRead | WaitReason::RwLockWrite => &OF[0],
            WaitReason::CondvarWait => &OF[1],
            WaitReason::WaitGroupWait => &OF[2],
            WaitReason::Semacquire => &OF[3],
            WaitReason::OnceWait => &OF[4],
            WaitReason::BarrierWait => &OF[5],
            _ => &OF[6],
        };
        park::Wait::on(self.reason, queue, what)
    }
}

/// When a wait of `timeout` that begins now ends. `None`: beyond what the clock can express.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// How a wait ended.
#[must_use]
pub(crate) enum Ended<'a, S> {
    /// It was claimed, with this token. The window is still open.
    Claimed(Window, Token),
    /// By its deadline or an interrupt. The waiter is out of its list, and the lock is held.
    Gone(GaveUp, Locked<'a, S>),
}

/// A wait that ended without what was waited for. To be [ended](GaveUp::leave) when the primitive
/// is in order and unlocked.
#[must_use]
pub(crate) struct GaveUp {
    window: Window,
    token: Token,
    /// Whether the waiter was still in its list: nobody had meant to wake it.
    pub(crate) was_queued: bool,
}

impl GaveUp {
    /// Makes those run that can go on because this waiter has gone.
    pub(crate) fn ready_all(self, woken: Woken) -> GaveUp {
        GaveUp {
            window: ready_all(self.window, woken),
            ..self
        }
    }

    /// Leaves the runtime. After an interrupt the goroutine is unwound here, unless it does so
    /// already.
    pub(crate) fn leave(self) {
        drop(self.window);
        if self.token == Token::INTERRUPTED {
            park::interrupted();
        }
    }
}

impl<'a, S> Locked<'a, S> {
    #[inline(always)]
    pub(crate) fn unlock(self) {
        // SAFETY: locked by `Queue::lock`, in this window.
        unsafe { self.queue.lock.unlock(self.held) };
    }

    /// Puts the caller into a list and parks it, releasing the lock.
    ///
    /// Inlined: every return after a switch is mispredicted, since the CPU's return stack belongs
    /// to the goroutine that ran before.
    #[inline(always)]
    pub(crate) fn wait(
        mut self,
        window: Window,
        how: Wait,
        place: Place,
        note: Note,
        list: fn(&mut S) -> &mut List,
    ) -> Ended<'a, S> {
        // SAFETY: for the park below; published under the lock, and forgotten with its node.
        let waiter = unsafe { window.waiter() };
        let mut node = Node::new(waiter, note);
        let node = &raw mut node;
        // SAFETY: locked; the node is out of the list before this frame ends: by who claims it, or
        // below.
        unsafe { list(&mut self).push(node, place) };
        let Locked { queue, held } = self;
        let commit = move || {
            // SAFETY: locked by this call, whose P this still is.
            unsafe { queue.lock.unlock(held) };
            true
        };
        // SAFETY: the commit function releases the lock and does nothing else.
        let (window, token) =
            unsafe { window.park_until(how.on(queue), how.interrupt, how.deadline, commit) };
        if token != Token::TIMEOUT && token != Token::INTERRUPTED {
            return Ended::Claimed(window, token);
        }
        let mut locked = queue.lock(&window);
        // SAFETY: locked; the node was pushed to this list.
        let was_queued = unsafe { list(&mut locked).remove(node) };
        let gave_up = GaveUp {
            window,
            token,
            was_queued,
        };
        Ended::Gone(gave_up, locked)
    }
}

/// The whole state of most primitives' queues.
pub(crate) fn only(list: &mut List) -> &mut List {
    list
}

impl Locked<'_> {
    /// Unlocks, and makes all waiters run with `token`.
    pub(crate) fn wake_all(mut self, window: Window, token: Token) {
        // SAFETY: locked.
        let woken = unsafe { self.claim_all(token) };
        self.unlock();
        drop(ready_all(window, woken));
    }
}

/// Goroutines that are made ready in one window; some microseconds.
const BATCH: usize = 64;

/// Makes all of them run, after the lock was released.
pub(crate) fn ready_all(mut window: Window, mut woken: Woken) -> Window {
    let mut n = 0;
    while let Some(claimed) = woken.pop() {
        if n == BATCH {
            n = 0;
            drop(window);
            window = enter_quietly();
        }
        claimed.ready_in(&window);
        n += 1;
    }
    window
}

/// Makes one of them run, if there is one.
#[inline]
pub(crate) fn ready(window: &Window, claimed: Option<Claimed>) {
    if let Some(claimed) = claimed {
        claimed.ready_in(window);
    }
}
