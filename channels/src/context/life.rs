//! How contexts end: the tree of those that can, and the walk that ends one and all below it.
//!
//! ```text
//!   Context -> Node -> Life -> Core <------- children ------- Core of the parent
//!              |                 \- - - - - - parent - - - - - - ^   (weak)
//!              '-> Context of the parent
//! ```
//!
//! A *core* is what can end. Its parent's core owns it (so that an end reaches it, and the functions
//! that wait for it, also when nobody has a handle on the context any more), and so does a *life*, the
//! share of all handles: clones of the context, contexts with values on top of it, its cancel
//! function. When the life goes and nothing waits below, the core takes itself out of its parent.
//! Handles point up, cores down, so there is no cycle; the alarm of a deadline, which owns its core,
//! is taken out of it when the life goes (and goes on by itself, until the deadline, if a function
//! waits for it).
//!
//! # The end
//!
//! Done is: `ended` is set (under the lock), then the channel closed (not under it: it enters the
//! runtime). "Ended" means that the channel is closed, so nobody sees an error before `done` is
//! closed. Two that end the same tree at once: the second walks along, through the children that the
//! first has left in `closing`, and closes what the first has not closed yet; so each of them returns
//! when all has ended, and neither waits for the other.
//!
//! No function and no destructor of the user's runs under a lock, nor does the runtime.

use super::alarm::{self, Alarm};
use super::error::{Cause, ContextError, End};
use crate::{Receiver, Sender, bounded};
use runtime::Canceller;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::mem::take;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

/// What waits for an end.
pub(super) enum Waits {
    /// A function, to be started.
    Func(Box<dyn FnOnce() + Send>),
    /// A piece of work, to be told.
    Work(Canceller),
}

/// What can end.
pub(super) struct Core {
    done: Receiver<Infallible>,
    /// Keeps the channel open.
    _open: Sender<Infallible>,
    /// Set under the lock, once.
    ended: OnceLock<End>,
    /// Its own deadline, or that of a parent, whichever is earlier.
    pub(super) due: Option<Due>,
    /// The core that ends it too, and its number there.
    parent: Option<(Weak<Core>, u64)>,
    state: Mutex<State>,
}

/// When a core ends by itself.
#[derive(Clone)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) cause: Option<Cause>,
}

#[derive(Default)]
struct State {
    /// What ends with it, in the order in which it came.
    children: BTreeMap<u64, Child>,
    last_number: u64,
    /// While it is being ended: the children, for another who ends it too.
    closing: Option<Arc<Vec<Arc<Core>>>>,
    /// Ends it at its deadline; `None` also if a parent's does.
    alarm: Option<Alarm>,
    /// Its life is gone: nobody has a handle on it.
    left: bool,
}

enum Child {
    Core(Arc<Core>),
    Waits(Waits),
}

impl Core {
    /// A new core, below `parent`. It may have ended already.
    pub(super) fn new(parent: Option<&Arc<Core>>, own: Option<Due>) -> Arc<Core> {
        let inherited = parent.and_then(|p| p.due.clone());
        let (due, alarm_at) = match (own, inherited) {
            (Some(own), Some(parents)) if parents.at <= own.at => (Some(parents), None),
            (Some(own), _) => {
                let at = own.at;
                (Some(own), Some(at))
            }
            (None, inherited) => (inherited, None),
        };
        let (open, done) = bounded(0);
        let mut core = Core {
            done,
            _open: open,
            ended: OnceLock::new(),
            due,
            parent: None,
            state: Mutex::default(),
        };
        let Some(parent) = parent else {
            let core = Arc::new(core);
            core.set_alarm(alarm_at);
            return core;
        };
        let number = parent.lock().next_number();
        core.parent = Some((Arc::downgrade(parent), number));
        let core = Arc::new(core);
        if parent.ended.get().is_none() {
            // First: should there be no thread for it, nothing is left in the parent.
            core.set_alarm(alarm_at);
        }
        let mut state = parent.lock();
        if let Some(end) = parent.ended.get().cloned() {
            drop(state);
            core.end(end);
        } else if core.ended.get().is_none() {
            // (Who ends it from now on takes it out of the parent after that.)
            let child = Child::Core(Arc::clone(&core));
            state.children.insert(number, child);
        }
        core
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closed when it has ended.
    pub(super) fn done(&self) -> &Receiver<Infallible> {
        &self.done
    }

    /// How it ended, if it has. Ends it if its time has come and nobody has noticed.
    pub(super) fn ended(self: &Arc<Core>) -> Option<&End> {
        // (A channel that is closed alone was closed by a user, who has the receiver.)
        if !self.has_ended() {
            if !self.is_due() {
                return None;
            }
            self.end_by_deadline();
        }
        self.ended.get()
    }

    fn has_ended(&self) -> bool {
        self.done.is_closed() && self.ended.get().is_some()
    }

    fn is_due(&self) -> bool {
        (self.due.as_ref()).is_some_and(|due| due.at <= Instant::now())
    }

    fn set_alarm(self: &Arc<Core>, at: Option<Instant>) {
        let Some(at) = at else { return };
        if self.is_due() {
            return self.end_by_deadline();
        }
        let core = Arc::clone(self);
        let alarm = Alarm::at(at, move || core.end_by_deadline());
        let mut state = self.lock();
        if self.ended.get().is_none() {
            state.alarm = Some(alarm);
        } else {
            drop(state);
            alarm.stop();
        }
    }

    fn end_by_deadline(self: &Arc<Core>) {
        self.end(End {
            error: ContextError::DeadlineExceeded,
            cause: self.due.as_ref().and_then(|due| due.cause.clone()),
        });
    }

    /// Cancels it, unless its deadline has come first.
    pub(super) fn cancel(self: &Arc<Core>, cause: Option<Cause>) {
        if !self.has_ended() && self.is_due() {
            self.end_by_deadline();
        } else {
            self.end(End::canceled(cause));
        }
    }

    /// Ends it and all below. On return they have ended, whoever did it. After that the work that runs
    /// under them is told, and the functions that wait for them are started.
    pub(super) fn end(self: &Arc<Core>, end: End) {
        let mut functions = Vec::new();
        let mut works = Vec::new();
        let mut walked = Vec::new();
        let mut walk = vec![Arc::clone(self)];
        while let Some(core) = walk.pop() {
            let mut state = core.lock();
            if core.ended.get().is_none() {
                let _ = core.ended.set(end.clone());
                let mut cores = Vec::new();
                for child in take(&mut state.children).into_values() {
                    match child {
                        Child::Core(core) => cores.push(core),
                        Child::Waits(Waits::Func(f)) => functions.push(f),
                        Child::Waits(Waits::Work(work)) => works.push(work),
                    }
                }
                if !cores.is_empty() {
                    state.closing = Some(Arc::new(cores));
                }
            }
            let closing = state.closing.clone();
            let alarm = state.alarm.take();
            drop(state);
            if let Some(alarm) = alarm {
                alarm.stop();
            }
            core.done.close();
            if let Some(cores) = closing {
                walk.extend(cores.iter().rev().cloned());
                walked.push(core);
            }
        }
        for core in walked {
            let closing = core.lock().closing.take();
            drop(closing);
        }
        self.leave_parent();
        for work in works {
            work.cancel();
        }
        // One that cannot be started, or dropped, must not keep the others from it.
        let mut panic = None;
        for f in functions {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| alarm::start(f))) {
                panic.get_or_insert(payload);
            }
        }
        if let Some(payload) = panic
            && !std::thread::panicking()
        {
            resume_unwind(payload);
        }
    }

    /// Has something done when it ends; at once if it has ended. The number by which it is stopped.
    pub(super) fn add(self: &Arc<Core>, waits: Waits) -> Option<u64> {
        let mut state = self.lock();
        if self.ended.get().is_none() {
            let number = state.next_number();
            state.children.insert(number, Child::Waits(waits));
            return Some(number);
        }
        drop(state);
        match waits {
            Waits::Func(f) => alarm::start(f),
            Waits::Work(work) => {
                work.cancel();
            }
        }
        None
    }

    /// Takes out what waits, and has not been done; whether it was there.
    pub(super) fn stop(&self, number: u64) -> bool {
        let (waits, alone) = self.remove(number);
        if alone {
            self.leave_parent();
        }
        waits.is_some() // dropped here, under no lock
    }

    /// Takes a child out; and whether the core, now that it is gone, is of no use any more: it has
    /// no handle, and nothing waits for it.
    fn remove(&self, number: u64) -> (Option<Child>, bool) {
        let mut state = self.lock();
        let child = state.children.remove(&number);
        let alone = child.is_some() && state.left && state.children.is_empty();
        (child, alone)
    }

    /// Takes itself out of its parent, and that out of its own, if it was there for this one only.
    fn leave_parent(&self) {
        let mut next = self.parent.clone();
        while let Some((parent, number)) = next {
            let Some(parent) = parent.upgrade() else {
                return;
            };
            let (child, alone) = parent.remove(number);
            drop(child);
            next = if alone { parent.parent.clone() } else { None };
        }
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Drop for Core {
    /// Cores that only this one owned go one by one: a long chain must not end the stack.
    fn drop(&mut self) {
        fn children(core: &mut Core) -> BTreeMap<u64, Child> {
            let state = core.state.get_mut();
            take(&mut state.unwrap_or_else(PoisonError::into_inner).children)
        }
        let mut gone: Vec<Child> = children(self).into_values().collect();
        while let Some(child) = gone.pop() {
            if let Child::Core(core) = child
                && let Some(mut core) = Arc::into_inner(core)
            {
                gone.extend(children(&mut core).into_values());
            }
        }
    }
}

/// The share of all handles in a core.
pub(super) struct Life(Arc<Core>);

impl Life {
    pub(super) fn new(core: Arc<Core>) -> Arc<Life> {
        Arc::new(Life(core))
    }
}

impl Deref for Life {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.0
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.left = true;
        let alone = state.children.is_empty();
        let alarm = state.alarm.take();
        drop(state);
        if let Some(alarm) = alarm
            && alone
        {
            // With a function that waits for the deadline it goes on, and keeps the core.
            alarm.stop();
        }
        if alone {
            self.0.leave_parent();
        }
    }
}
