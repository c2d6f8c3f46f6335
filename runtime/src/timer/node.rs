//! A timer that is more than one wait: it can be stopped, and set to another time.
//!
//! ```text
//!            set                        fire (its time has come)
//!   IDLE ------------> ARMED(number) ----------------------------> IDLE
//!     ^                    |
//!     +------- stop -------+
//! ```
//!
//! All of it is under the node's lock. A heap has at most one entry that counts: the one with the
//! node's current number. A timer that is stopped leaves it there, and one that is set to a later
//! time keeps it: when it comes up, the heap is told the new time. Only a timer that is set to an
//! *earlier* time gets a new number and a new entry, and the old one is void. So stopping a timer,
//! or putting it off again and again (an idle timeout), touches no heap.
//!
//! What a timer does belongs to the node only while somebody could make it do it: it is armed, or
//! due, or has a handle. So an entry that is thrown away never drops anything of the user's.

use super::Nanos;
use crate::atomics::atomic::AtomicU32;
use crate::atomics::{Mutex, Ordering};
use crate::g::interrupt::Frame;
use crate::g::parker::Parker;
use std::panic::Location;
use std::ptr::NonNull;

/// What a function timer calls.
pub(crate) type Call = Box<dyn FnMut() + Send>;

/// A timer that can be stopped and set anew.
#[derive(Debug)]
pub(crate) struct Node {
    /// The number of the entry that counts, or 0. A copy of `State::number` for who sweeps.
    number: AtomicU32,
    state: Mutex<State>,
    /// Where it was made.
    pub(crate) site: &'static Location<'static>,
}

struct State {
    /// When it shall fire, if it is armed.
    armed: Option<Nanos>,
    /// Number of the entry in a heap that counts, and its time. An entry that is forgotten here is
    /// void.
    entry: Option<(u32, Nanos)>,
    last_number: u32,
    action: Action,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("armed", &self.armed)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// What happens when the time has come.
pub(crate) enum Action {
    /// Nothing any more.
    None,
    /// A goroutine makes a call.
    Call {
        /// `None` while it is being made.
        call: Option<Call>,
        /// How often it is to be made: its time has come, and it has not returned since. As long
        /// as this is not zero, there is a goroutine for it.
        due: u32,
        /// Whether somebody can set the timer anew.
        handle: bool,
    },
    /// A frame of a waiter ends.
    Frame(NonNull<Parker>, *const Frame),
}

// SAFETY: the pointers of `Frame` are valid until `end_frame` takes them out, under the lock; what
// they point to is Sync. The call is Send, and only ever used by one at a time.
unsafe impl Send for Action {}

/// What a caller of [`Node::set`] has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Set {
    /// Whether it was armed before.
    pub(crate) was_armed: bool,
    /// The number by which it must be added to a heap now.
    pub(crate) add: Option<u32>,
}

/// What is due.
#[must_use]
pub(crate) enum Fired {
    /// Nothing.
    Nothing,
    /// It was put off: the entry belongs into a heap again, with this time.
    Later(Nanos),
    /// A goroutine shall call [`Node::run`].
    Call,
    /// It was said to the frame.
    Frame,
}

impl Node {
    /// A timer that is not armed.
    pub(crate) fn new(action: Action, site: &'static Location<'static>) -> Node {
        Node {
            number: AtomicU32::new(0),
            state: Mutex::new(State {
                armed: None,
                entry: None,
                last_number: 0,
                action,
            }),
            site,
        }
    }

    /// A new timer that is armed, and the number by which it must be added to a heap.
    pub(crate) fn armed(
        action: Action,
        when: Nanos,
        site: &'static Location<'static>,
    ) -> (Node, u32) {
        let mut node = Node::new(action, site);
        let state = node.state.get_mut();
        state.armed = Some(when);
        state.entry = Some((1, when));
        state.last_number = 1;
        node.number = AtomicU32::new(1);
        (node, 1)
    }

    /// Whether the entry with this number still counts. May be outdated at once; for sweeps.
    pub(crate) fn keeps(&self, number: u32) -> bool {
        if self.number.load(Ordering::Relaxed) != number {
            return false;
        }
        let mut state = self.state.lock();
        let counts = state.entry.is_some_and(|(n, _)| n == number);
        if counts && state.armed.is_none() {
            // Thrown away by the caller: the next `set` adds another.
            self.forget_entry(&mut state);
            return false;
        }
        counts
    }

    fn forget_entry(&self, state: &mut State) {
        state.entry = None;
        self.number.store(0, Ordering::Relaxed);
    }

    /// Sets the timer, armed or not, to this time.
    pub(crate) fn set(&self, when: Nanos) -> Set {
        let mut state = self.state.lock();
        let was_armed = state.armed.replace(when).is_some();
        if state.entry.is_some_and(|(_, at)| at <= when) {
            return Set {
                was_armed,
                add: None,
            };
        }
        // 0 is no number.
        let number = state.last_number.checked_add(1).unwrap_or(1);
        state.last_number = number;
        state.entry = Some((number, when));
        self.number.store(number, Ordering::Relaxed);
        Set {
            was_armed,
            add: Some(number),
        }
    }

    /// Stops the timer; whether it was armed.
    pub(crate) fn stop(&self) -> bool {
        self.state.lock().armed.take().is_some()
    }

    /// The entry with this number will never come up: its heap is gone, or there is none. The timer is
    /// not armed any more, and the next `set` adds another entry.
    pub(crate) fn lose_entry(&self, number: u32) {
        let mut state = self.state.lock();
        if state.entry.is_some_and(|(n, _)| n == number) {
            self.forget_entry(&mut state);
            state.armed = None;
        }
    }

    /// The handle goes, and with it the way to set the timer anew. What the timer would do is
    /// returned if it never will, to be dropped by the caller.
    pub(crate) fn handle_gone(&self) -> Option<Call> {
        let mut state = self.state.lock();
        if let Action::Call { handle, .. } = &mut state.action {
            *handle = false;
        }
        if state.armed.is_some() {
            return None;
        }
        self.forget_entry(&mut state); // for ever: nobody sets it again
        match &mut state.action {
            Action::Call { call, due: 0, .. } => call.take(),
            _ => None,
        }
    }

    /// Its entry with this number has come up in a heap, and is out of it. With a frame, `end` is
    /// called under the lock.
    pub(crate) fn fire(&self, number: u32, now: Nanos, end: impl FnOnce(&Parker, &Frame)) -> Fired {
        let mut state = self.state.lock();
        if state.entry.is_none_or(|(n, _)| n != number) {
            return Fired::Nothing;
        }
        if let Some(when) = state.armed
            && when > now
        {
            state.entry = Some((number, when));
            return Fired::Later(when);
        }
        self.forget_entry(&mut state);
        if state.armed.take().is_none() {
            return Fired::Nothing;
        }
        match &mut state.action {
            Action::None => Fired::Nothing,
            Action::Call { due, .. } => {
                *due += 1;
                match *due {
                    1 => Fired::Call,
                    _ => Fired::Nothing, // the goroutine that is there sees it
                }
            }
            Action::Frame(parker, frame) => {
                // SAFETY: both are there until `end_frame`, which waits for the lock.
                unsafe { end(parker.as_ref(), &**frame) };
                Fired::Frame
            }
        }
    }

    /// Makes the call, as often as its time has come. Runs the user's code.
    pub(crate) fn run(&self) {
        let mut taken = match &mut self.state.lock().action {
            Action::Call { call, .. } => call.take(),
            _ => None,
        };
        while let Some(mut f) = taken {
            f();
            let mut state = self.state.lock();
            let armed = state.armed.is_some();
            let Action::Call { call, due, handle } = &mut state.action else {
                return;
            };
            taken = None;
            *due -= 1;
            if *due > 0 {
                taken = Some(f);
            } else if *handle || armed {
                *call = Some(f);
            } else {
                drop(state);
                drop(f);
            }
        }
    }

    /// Ends the frame now, if it has not ended by itself; whether it had not. `end` is called under
    /// the lock.
    pub(crate) fn end_now(&self, end: impl FnOnce(&Parker, &Frame)) -> bool {
        let state = self.state.lock();
        match state.action {
            Action::Frame(parker, frame) => {
                // SAFETY: as in `fire`.
                unsafe { end(parker.as_ref(), &*frame) };
                true
            }
            _ => false,
        }
    }

    /// The frame that it would have ended has ended by itself.
    pub(crate) fn end_frame(&self) {
        let mut state = self.state.lock();
        state.armed = None;
        state.action = Action::None;
        self.forget_entry(&mut state);
    }
}
