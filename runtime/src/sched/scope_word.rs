//! The word that a scope waits on.

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicUsize};
use crate::g::parker::{Token, Waiter, WaiterCell};

/// Where a scope and its goroutines meet: the count of those that run, and the parent that waits.
///
/// The last child touches the word, which lives on the parent's stack, for the last time when it
/// subtracts itself, unless WAITING is set: then the parent cannot leave before this child has
/// claimed it.
pub(crate) struct ScopeWord {
    /// Twice the number of children, plus WAITING.
    word: AtomicUsize,
    parent: WaiterCell,
    /// A child panicked whose handle nobody holds.
    unheard_panic: AtomicBool,
    /// A child was cancelled by a shutdown whose handle nobody holds.
    unheard_cancel: AtomicBool,
}

const WAITING: usize = 1;
const CHILD: usize = 2;

impl ScopeWord {
    pub(crate) fn new() -> ScopeWord {
        ScopeWord {
            word: AtomicUsize::new(0),
            parent: WaiterCell::new(),
            unheard_panic: AtomicBool::new(false),
            unheard_cancel: AtomicBool::new(false),
        }
    }

    /// A child is about to be spawned.
    pub(crate) fn child_spawned(&self) {
        // Relaxed: by the parent or a running child, so the count is not zero or not waited for.
        self.word.fetch_add(CHILD, Ordering::Relaxed);
    }

    /// A child panicked, and its handle was dropped without a look.
    pub(crate) fn note_unheard_panic(&self) {
        self.unheard_panic.store(true, Ordering::Relaxed);
    }

    /// A child was cancelled, and nobody will hear of it by its handle.
    pub(crate) fn note_unheard_cancel(&self) {
        self.unheard_cancel.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_cut_short(&self) -> bool {
        // Relaxed: as in `heard_nothing_bad`.
        self.unheard_cancel.load(Ordering::Relaxed)
    }

    pub(crate) fn heard_nothing_bad(&self) -> bool {
        // Relaxed: ordered by the Acquire in `register` or by the wake-up.
        !self.unheard_panic.load(Ordering::Relaxed)
    }

    /// A child has finished, or was not spawned after all.
    pub(crate) fn child_done(&self, unheard_panic: bool) {
        if unheard_panic {
            self.note_unheard_panic();
        }
        // AcqRel: Release publishes what the child did; Acquire pairs with `register`.
        if self.word.fetch_sub(CHILD, Ordering::AcqRel) == CHILD | WAITING {
            let parent = self.parent.get().expect("WAITING comes after the waiter");
            let claimed = parent.claim(Token::new(0));
            claimed
                .expect("only the last child wakes a scope's parent")
                .ready();
        }
    }

    /// Publishes the parent; false if no child is left.
    pub(crate) fn register(&self, parent: Waiter) -> bool {
        self.parent.set(parent);
        // AcqRel: Release publishes `parent`; Acquire pairs with `child_done`.
        self.word.fetch_or(WAITING, Ordering::AcqRel) != 0
    }
}
