//! What is done once: `std::sync::Once`, for goroutines. `OnceLock` and `LazyLock` are built on it.

use super::list::{List, Note, Place};
use super::queue::{Ended, Queue, Wait, after, enter, enter_quietly, identity, only};
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicU8, AtomicUsize};
use crate::park::{Token, WaitReason};
use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

/// Not done yet. Nobody's.
const INCOMPLETE: u8 = 0;
/// Who tried has panicked. Nobody's.
const POISONED: u8 = 1;
/// Somebody does it, who alone leaves this state.
const RUNNING: u8 = 2;
/// Done, for ever.
const COMPLETE: u8 = 3;
/// Or'ed to the states before COMPLETE: somebody waits. Set under the queue's lock.
const QUEUED: u8 = 4;

const CHANGED: Token = Token::new(0);

/// A thing to be done once: [`std::sync::Once`], on which goroutines park and plain threads block
/// while another does it (Go's `sync.Once`).
///
/// ```
/// use runtime::sync::Once;
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
///
/// static ONCE: Once = Once::new();
/// static RUNS: AtomicU32 = AtomicU32::new(0);
/// let init = || ONCE.call_once(|| {
///     RUNS.fetch_add(1, SeqCst);
/// });
/// runtime::start(2).run(move || {
///     let hs: Vec<_> = (0..4).map(|_| runtime::go!(init)).collect();
///     hs.into_iter().for_each(|h| h.join().unwrap());
/// });
/// init(); // on a plain thread
/// assert_eq!(RUNS.load(SeqCst), 1);
/// ```
pub struct Once {
    word: AtomicU8,
    /// Who runs it: to recognise recursion. Zero: nobody.
    runner: AtomicUsize,
    queue: Queue,
}

/// What the closure of [`Once::call_once_force`] is told.
#[derive(Debug)]
pub struct OnceState {
    poisoned: bool,
    /// What becomes of the Once if the closure returns.
    then: Cell<u8>,
}

impl OnceState {
    /// Whether an attempt before this one panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// It was not done after all: the next one tries again.
    pub(super) fn not_done(&self) {
        self.then.set(POISONED);
    }
}

/// What to do about a panic of an earlier attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfPoisoned {
    TryAgain,
    /// With this message.
    Panic(&'static str),
}

const POISON_MESSAGE: IfPoisoned = IfPoisoned::Panic("Once instance has previously been poisoned");

impl Once {
    /// Not done yet.
    pub const fn new() -> Once {
        Once {
            word: AtomicU8::new(INCOMPLETE),
            runner: AtomicUsize::new(0),
            queue: Queue::new(List::new()),
        }
    }

    /// Calls `f` if nobody has before, or waits until another's call has returned. What that did is
    /// then visible.
    ///
    /// # Panics
    /// If `f` does, or an earlier call has (the Once is then poisoned), or if `f` itself calls this
    /// again. On a goroutine whose runtime is being shut down, a wait ends by unwinding.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(POISON_MESSAGE, &mut |_| f.take().expect("called once")());
        }
    }

    /// As [`Once::call_once`], but tries again after a panic.
    ///
    /// ```
    /// use runtime::sync::Once;
    ///
    /// let once = Once::new();
    /// let attempt = || once.call_once(|| panic!("not today"));
    /// assert!(std::panic::catch_unwind(attempt).is_err());
    /// once.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(once.is_completed());
    /// ```
    ///
    /// # Panics
    /// If `f` does, or calls this again. On a goroutine whose runtime is being shut down, a wait
    /// ends by unwinding.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(IfPoisoned::TryAgain, &mut |state| {
                f.take().expect("called once")(state);
            });
        }
    }

    /// Whether it is done. If so, what was done is visible.
    #[inline]
    pub fn is_completed(&self) -> bool {
        // Acquire: pairs with the Release in `Running::drop`.
        self.word.load(Ordering::Acquire) == COMPLETE
    }

    /// Waits until it is done.
    ///
    /// # Panics
    /// If an attempt panicked. Also as [`Once::call_once`].
    pub fn wait(&self) {
        while !self.wait_until(POISON_MESSAGE, || Wait::endless(WaitReason::OnceWait)) {}
    }

    /// As [`Once::wait`], but goes on waiting if an attempt panicked.
    ///
    /// # Panics
    /// On a goroutine whose runtime is being shut down, by unwinding.
    pub fn wait_force(&self) {
        let how = || Wait::endless(WaitReason::OnceWait);
        while !self.wait_until(IfPoisoned::TryAgain, how) {}
    }

    /// As [`Once::wait`], for at most `timeout`; whether it is done.
    ///
    /// # Panics
    /// As [`Once::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let how = || Wait::until(WaitReason::OnceWait, after(timeout));
        self.wait_until(POISON_MESSAGE, how)
    }

    /// As [`Once::wait`], until `deadline` at the latest; whether it is done.
    ///
    /// # Panics
    /// As [`Once::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        let how = || Wait::until(WaitReason::OnceWait, Some(deadline));
        self.wait_until(POISON_MESSAGE, how)
    }

    pub(super) fn wait_until(&self, if_poisoned: IfPoisoned, how: impl FnOnce() -> Wait) -> bool {
        if self.is_completed() {
            return true;
        }
        let how = how();
        loop {
            // Acquire: as in `is_completed`.
            let word = self.word.load(Ordering::Acquire);
            match (word & !QUEUED, if_poisoned) {
                (COMPLETE, _) => return true,
                (POISONED, IfPoisoned::Panic(message)) => panic!("{message}"),
                _ if !self.wait_for_change(word, how) => return self.is_completed(),
                _ => (),
            }
        }
    }

    /// Waits until the word is not `word` any more. False: the wait ended otherwise.
    #[track_caller]
    fn wait_for_change(&self, word: u8, how: Wait) -> bool {
        let window = enter();
        // In this order: who had this identity before us took it away before we got it, but perhaps
        // not long before.
        let me = identity(&window);
        // Relaxed: one's own identity can only have been written by oneself.
        let recursion = word & !QUEUED == RUNNING && self.runner.load(Ordering::Relaxed) == me;
        if recursion {
            drop(window);
            panic!("what is done once waits for itself to be done");
        }
        let locked = self.queue.lock(&window);
        // Relaxed: the queue's lock orders what is said by it.
        if self
            .word
            .compare_exchange(word, word | QUEUED, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            locked.unlock();
            return true;
        }
        match locked.wait(window, how, Place::Back, Note::Plain, only) {
            Ended::Claimed(..) => true,
            Ended::Gone(gave_up, locked) => {
                if locked.is_empty() {
                    // Relaxed: nothing else is published by it. COMPLETE has no such bit.
                    self.word.fetch_and(!QUEUED, Ordering::Relaxed);
                }
                locked.unlock();
                gave_up.leave();
                false
            }
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn call(&self, if_poisoned: IfPoisoned, f: &mut dyn FnMut(&OnceState)) {
        loop {
            // Acquire: as in `is_completed`.
            let word = self.word.load(Ordering::Acquire);
            let state = word & !QUEUED;
            match (state, if_poisoned) {
                (COMPLETE, _) => return,
                (RUNNING, _) => {
                    // Whether it changed or the wait failed: look again.
                    self.wait_for_change(word, Wait::endless(WaitReason::OnceWait));
                    continue;
                }
                (POISONED, IfPoisoned::Panic(message)) => panic!("{message}"),
                _ => (),
            }
            let me = identity(&enter());
            // Acquire: what an attempt before did is visible to this one.
            if self
                .word
                .compare_exchange(
                    word,
                    RUNNING | word & QUEUED,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_err()
            {
                continue;
            }
            self.runner.store(me, Ordering::Relaxed);
            let mut running = Running {
                once: self,
                then: POISONED,
            };
            let state = OnceState {
                poisoned: state == POISONED,
                then: Cell::new(COMPLETE),
            };
            f(&state);
            running.then = state.then.get();
            return;
        }
    }

    /// The state, of a Once that nobody else can have.
    pub(super) fn completed_mut(&mut self) -> bool {
        *self.word.get_mut() == COMPLETE
    }
}

/// An attempt. Dropped, it has ended.
struct Running<'a> {
    once: &'a Once,
    then: u8,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.runner.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire of whoever looks.
        let word = self.once.word.swap(self.then, Ordering::AcqRel);
        if word & QUEUED == 0 {
            return;
        }
        let window = enter_quietly();
        let locked = self.once.queue.lock(&window);
        // Others may have queued since, if it is not COMPLETE: they look again too.
        // Relaxed: nothing else is published by it.
        self.once.word.fetch_and(!QUEUED, Ordering::Relaxed);
        locked.wake_all(window, CHANGED);
    }
}

impl Default for Once {
    fn default() -> Once {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}
