//! Groups of goroutines that work on parts of one task, as in Go's `golang.org/x/sync/errgroup`: wait
//! for all, hear of the first error, tell the others to stop, and have only so many run at once.
//!
//! ```
//! use channels::Context;
//! use channels::errgroup::Group;
//!
//! let rt = runtime::start(2);
//! rt.run(|| {
//!     let (group, ctx) = Group::with_context(&Context::background());
//!     for n in 0..10 {
//!         let ctx = ctx.clone();
//!         group.go(move || {
//!             if n == 3 {
//!                 return Err(format!("{n} is broken"));
//!             }
//!             let _ = ctx.done().recv(); // the others wait until they are told
//!             Ok(())
//!         });
//!     }
//!     assert_eq!(group.wait(), Err("3 is broken".to_owned()));
//! });
//! ```

use crate::context::{CancelFunc, Context};
use crate::{Receiver, Sender, bounded};
use runtime::JoinError;
use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Goroutines that work on parts of one task, and fail with an `E`. A clone is the same group, so a
/// member can add members. Dropping a group neither waits for its members nor stops them.
pub struct Group<E = Box<dyn Error + Send + Sync>> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    state: Mutex<State<E>>,
    /// Of the group's context.
    cancel: Option<CancelFunc>,
}

struct State<E> {
    /// Members that have not ended.
    running: usize,
    /// Dropped, and so closed, when none runs any more; there if somebody waits for that.
    idle: Option<(Sender<Infallible>, Receiver<Infallible>)>,
    slots: Option<Slots>,
    error: Option<E>,
    panic: Option<Box<dyn Any + Send>>,
    /// A member was kept from ending by itself.
    cut_short: bool,
}

/// The limit: a channel with a place for each member that may run.
#[derive(Clone)]
struct Slots {
    taken: Sender<()>,
    free: Receiver<()>,
}

impl<E: Send + 'static> Group<E> {
    /// A group without a context and without a limit (Go's zero `Group`).
    ///
    /// ```
    /// use channels::errgroup::Group;
    ///
    /// let rt = runtime::start(2);
    /// rt.run(|| {
    ///     let group = Group::new();
    ///     group.go(|| "12".parse::<i32>().map(drop));
    ///     group.go(|| "twelve".parse::<i32>().map(drop));
    ///     assert_eq!(group.wait().unwrap_err().to_string(), "invalid digit found in string");
    /// });
    /// ```
    pub fn new() -> Group<E> {
        Group::make(None)
    }

    /// A group, and a context for its members: a child of `parent` that is cancelled when a member
    /// fails, panics or cannot run to its end, and when [`Group::wait`] returns (Go's
    /// `errgroup.WithContext`).
    pub fn with_context(parent: &Context) -> (Group<E>, Context) {
        let (ctx, cancel) = parent.with_cancel();
        (Group::make(Some(cancel)), ctx)
    }

    fn make(cancel: Option<CancelFunc>) -> Group<E> {
        let state = State {
            running: 0,
            idle: None,
            slots: None,
            error: None,
            panic: None,
            cut_short: false,
        };
        Group {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                cancel,
            }),
        }
    }

    /// Lets at most `limit` members run at once; [`None`] takes the limit away, and with 0 nobody can
    /// be added (Go's `SetLimit`, where a negative number is no limit).
    ///
    /// # Panics
    /// If members run.
    pub fn set_limit(&self, limit: impl Into<Option<usize>>) {
        let slots = limit.into().map(|n| {
            let (taken, free) = bounded(n);
            Slots { taken, free }
        });
        let mut state = self.shared.lock();
        let running = state.running;
        let old = match running {
            0 => std::mem::replace(&mut state.slots, slots),
            _ => None,
        };
        drop(state);
        drop(old);
        assert!(
            running == 0,
            "the limit of a group was changed while {running} of its goroutines run"
        );
    }

    /// Runs `f` on a goroutine (of the caller's runtime, on a plain thread of the default one), as
    /// soon as the limit allows: the caller waits for that, a goroutine parked, a plain thread
    /// blocked (Go's `Group.Go`).
    ///
    /// The first error of all members is what [`Group::wait`] gives; the others are dropped.
    ///
    /// # Panics
    /// On a plain thread, if no runtime runs.
    #[track_caller]
    pub fn go<F>(&self, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let slots = self.shared.lock().slots.clone();
        if let Some(slots) = &slots
            && slots.taken.send(()).is_err()
        {
            // The caller unwinds, its runtime shuts down, and it must not wait: nothing starts.
            return;
        }
        self.start(slots, f);
    }

    /// Runs `f` as [`Group::go`] does, unless it would have to wait for that. Whether it runs (Go's
    /// `Group.TryGo`).
    ///
    /// ```
    /// use channels::errgroup::Group;
    ///
    /// let rt = runtime::start(1);
    /// rt.run(|| {
    ///     let group = Group::<String>::new();
    ///     group.set_limit(1);
    ///     let (tx, rx) = channels::bounded::<()>(0);
    ///     group.go(move || Ok(rx.recv().unwrap()));
    ///     assert!(!group.try_go(|| Ok(())));
    ///     tx.send(()).unwrap();
    ///     group.wait().unwrap();
    ///     assert!(group.try_go(|| Ok(())));
    ///     group.wait().unwrap();
    /// });
    /// ```
    ///
    /// # Panics
    /// On a plain thread, if no runtime runs.
    #[track_caller]
    pub fn try_go<F>(&self, f: F) -> bool
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        let slots = self.shared.lock().slots.clone();
        if let Some(slots) = &slots
            && slots.taken.try_send(()).is_err()
        {
            return false;
        }
        self.start(slots, f);
        true
    }

    #[track_caller]
    fn start<F>(&self, slots: Option<Slots>, f: F)
    where
        F: FnOnce() -> Result<(), E> + Send + 'static,
    {
        self.shared.lock().running += 1;
        let member = Member {
            shared: Arc::clone(&self.shared),
            slots,
            ended: false,
        };
        drop(runtime::spawn(move || member.run(f)));
    }

    /// Waits until all members have ended, those that are added meanwhile included. Then cancels the
    /// group's context, and gives the first error since the last wait: to one of those that wait, if
    /// they are several (Go's `Group.Wait`). After that the group can be used again, but for its
    /// context.
    ///
    /// A goroutine parks meanwhile, a plain thread blocks. If the wait is cut short (by a cancel, or
    /// a timeout), the members go on.
    ///
    /// # Errors
    /// If a member failed.
    ///
    /// # Panics
    /// If a member panicked, with its payload. (Not Go's way, where that ends the process.) If a
    /// member never ran for want of a stack, or the members' runtime was shut down before they had
    /// ended.
    pub fn wait(&self) -> Result<(), E> {
        loop {
            let mut state = self.shared.lock();
            if state.running == 0 {
                let error = state.error.take();
                let panic = state.panic.take();
                let cut_short = std::mem::take(&mut state.cut_short);
                drop(state);
                self.shared.cancel();
                if let Some(payload) = panic {
                    resume_unwind(payload);
                }
                assert!(
                    !cut_short,
                    "a goroutine of the group never ended by itself: there was no stack for it, or                      the runtime was shut down meanwhile"
                );
                return error.map_or(Ok(()), Err);
            }
            let idle = state.idle.get_or_insert_with(|| bounded(0)).1.clone();
            drop(state);
            let _ = idle.recv();
            if !idle.is_closed() {
                return Ok(()); // the caller unwinds, and must not wait
            }
        }
    }
}

impl<E> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // Nothing of the user's runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }
}

/// A member, from before it starts until it has ended, or was dropped unstarted.
struct Member<E> {
    shared: Arc<Shared<E>>,
    slots: Option<Slots>,
    /// By itself, in whatever way.
    ended: bool,
}

impl<E> Member<E> {
    fn run(mut self, f: impl FnOnce() -> Result<(), E>) {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // The first stays; what is dropped is dropped under no lock.
                let mut state = self.shared.lock();
                let unused = match state.error {
                    None => state.error.replace(error),
                    Some(_) => Some(error),
                };
                drop(state);
                self.shared.cancel();
                // Should this unwind, it is the report of a destructor, and the end all the same.
                self.ended = true;
                drop(unused);
            }
            Err(payload) => match JoinError::from_payload(payload) {
                JoinError::Panicked(payload) => {
                    let mut state = self.shared.lock();
                    let unused = match state.panic {
                        None => state.panic.replace(payload),
                        Some(_) => Some(payload),
                    };
                    drop(state);
                    self.shared.cancel();
                    self.ended = true;
                    drop(unused);
                }
                _ => return, // the runtime shuts down
            },
        }
        self.ended = true;
    }
}

impl<E> Drop for Member<E> {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            let _ = slots.free.try_recv();
        }
        let mut state = self.shared.lock();
        // (Where it unwinds, `spawn` has told the caller.)
        let lost = !self.ended && !std::thread::panicking();
        state.cut_short |= lost;
        state.running -= 1;
        let idle = match state.running {
            0 => state.idle.take(),
            _ => None,
        };
        drop(state);
        if lost {
            // It does not do its part, so the others need not do theirs.
            self.shared.cancel();
        }
        if let Some((_, idle)) = idle {
            idle.close();
        }
    }
}

impl<E: Send + 'static> Default for Group<E> {
    fn default() -> Group<E> {
        Group::new()
    }
}

impl<E> Clone for Group<E> {
    fn clone(&self) -> Group<E> {
        Group {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("running", &self.shared.lock().running)
            .finish_non_exhaustive()
    }
}
