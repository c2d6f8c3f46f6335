//! A scope's word (`sched/scope_word.rs`): children that end against the parent that waits for
//! them.
//!
//! The word is on the parent's frame: when the parent goes on, it writes to a cell that each
//! child reads before it says that it is done, so that loom sees a parent that leaves too early.

use super::{Sleeper, check, spawn};
use crate::g::parker::Token;
use crate::sched::scope_word::ScopeWord;
use loom::cell::UnsafeCell;
use std::sync::Arc;

struct World {
    word: ScopeWord,
    parent: Sleeper,
    /// What the children borrow.
    frame: UnsafeCell<u32>,
}

// SAFETY: the frame is only touched by who the protocol says owns it, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            word: ScopeWord::new(),
            parent: Sleeper::new(),
            frame: UnsafeCell::new(0),
        })
    }

    fn child(&self, panics: bool) {
        // SAFETY: the parent waits for this child.
        self.frame.with(|f| assert_eq!(unsafe { *f }, 0));
        self.word.child_done(panics);
    }

    /// The scope's end.
    fn wait(&self) {
        let parker = &self.parent.parker;
        let waiter = parker.episode();
        parker.arm(waiter);
        if self.word.register(waiter) || waiter.claim(Token::NOT_PARKED).is_none() {
            self.parent.wait();
        }
        // SAFETY: all children have ended.
        self.frame.with_mut(|f| unsafe { *f = 1 });
    }
}

#[test]
fn a_parent_waits_for_its_two_children() {
    check(4, || {
        let w = World::new();
        w.word.child_spawned();
        let one = spawn(&w, |w| w.child(true));
        w.word.child_spawned();
        let two = spawn(&w, |w| w.child(false));
        w.wait();
        assert!(!w.word.heard_nothing_bad(), "the panic was seen");
        one.join().unwrap();
        two.join().unwrap();
    });
}

/// A child spawns another when the parent waits already.
#[test]
fn a_parent_waits_for_a_child_of_a_child() {
    check(4, || {
        let w = World::new();
        w.word.child_spawned();
        let shared = w.clone();
        let one = spawn(&w, move |w| {
            w.word.child_spawned();
            let two = spawn(&shared, |w| w.child(false));
            w.child(false);
            two.join().unwrap();
        });
        w.wait();
        one.join().unwrap();
    });
}
