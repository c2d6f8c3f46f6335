//! The join word (`g/join.rs`): a goroutine's end against its handle, which is dropped or joined.
//!
//! The result and the G are cells that loom watches; to free the G is to write to it. Written out
//! here: the end of `goroutine_entry` and `finish` (`sched/run.rs`), `release`, `join` and `take`
//! (`api/join.rs`), `park_thread` (`sched/window.rs`). The joiner is a plain thread.

use super::{Sleeper, check, spawn};
use crate::g::join::{Finished, JoinWord, Released, Stored};
use crate::g::parker::Token;
use loom::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Count, Ordering::Relaxed};

struct World {
    join: JoinWord,
    /// Some while a result is stored.
    result: UnsafeCell<Option<u32>>,
    /// Whether the G is free.
    g: UnsafeCell<bool>,
    joiner: Sleeper,
    /// A second joiner, of the next goroutine that has the same G.
    next_joiner: Sleeper,
    /// Not part of the model.
    dropped: Count,
    freed: Count,
}

// SAFETY: the cells are only touched by who the protocol says owns them, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl World {
    fn new() -> Arc<World> {
        let w = World {
            join: JoinWord::new(),
            result: UnsafeCell::new(None),
            g: UnsafeCell::new(false),
            joiner: Sleeper::new(),
            next_joiner: Sleeper::new(),
            dropped: Count::new(0),
            freed: Count::new(0),
        };
        w.join.reset();
        Arc::new(w)
    }

    fn drop_result(&self) {
        // SAFETY: the caller thinks that the result is its own.
        let was = self.result.with_mut(|r| unsafe { (*r).take() });
        assert_eq!(was, Some(42), "dropped once, after it was stored");
        self.dropped.fetch_add(1, Relaxed);
    }

    fn free(&self) {
        // SAFETY: the caller thinks that the G is its own.
        let was = self
            .g
            .with_mut(|g| unsafe { std::mem::replace(&mut *g, true) });
        assert!(!was, "freed twice");
        // SAFETY: as above; the next goroutine's result goes there.
        self.result.with_mut(|r| assert!(unsafe { *r }.is_none()));
        self.freed.fetch_add(1, Relaxed);
    }

    /// The goroutine's end; a result without destructor is stored without a word.
    fn run(&self, needs_drop: bool) {
        // SAFETY: the goroutine runs.
        self.result.with_mut(|r| unsafe { *r = Some(42) });
        if needs_drop && self.join.stored() == Stored::ByGoroutine {
            self.drop_result();
        }
        // SAFETY: the G belongs to the scheduler until DONE.
        self.g.with(|g| assert!(!unsafe { *g }));
        match self.join.finish() {
            Finished::Free => self.free(),
            Finished::Wake(waiter) => {
                if let Some(claimed) = waiter.claim(Token::new(0)) {
                    claimed.ready();
                }
            }
            Finished::Leave => {}
        }
    }

    /// The handle is dropped.
    fn release(&self) {
        // SAFETY: a G is not freed while its handle exists.
        self.g.with(|g| assert!(!unsafe { *g }));
        match self.join.release() {
            Released::Detached => {}
            Released::Owned { result } => {
                if result {
                    self.drop_result();
                }
                if self.join.release_owned() {
                    self.free();
                }
            }
        }
    }

    /// One wait of the handle's owner.
    fn wait(&self) {
        let waiter = self.joiner.parker.episode();
        self.joiner.parker.arm(waiter);
        if !self.join.register(waiter) && waiter.claim(Token::NOT_PARKED).is_some() {
            return;
        }
        self.joiner.wait();
    }

    /// The handle is joined, by one wait: one that was interrupted unwinds the caller.
    fn join(&self) {
        if !self.join.is_done() {
            self.wait();
            if !self.join.is_done() {
                assert_eq!(self.joiner.parker.token(), Token::INTERRUPTED);
                return self.release();
            }
        }
        self.drop_result();
        self.free();
    }
}

#[test]
fn an_end_and_a_dropped_handle() {
    check(5, || {
        let w = World::new();
        let goroutine = spawn(&w, |w| w.run(true));
        w.release();
        goroutine.join().unwrap();
        assert_eq!((w.dropped.load(Relaxed), w.freed.load(Relaxed)), (1, 1));
    });
}

#[test]
fn an_end_and_a_join() {
    for needs_drop in [true, false] {
        check(5, move || {
            let w = World::new();
            let goroutine = spawn(&w, move |w| w.run(needs_drop));
            w.join();
            goroutine.join().unwrap();
            assert_eq!((w.dropped.load(Relaxed), w.freed.load(Relaxed)), (1, 1));
        });
    }
}

/// The wait is interrupted: the result is there all the same, or the handle is dropped.
#[test]
fn an_end_and_a_wait_that_is_interrupted() {
    check(3, || {
        let w = World::new();
        let goroutine = spawn(&w, |w| w.run(true));
        let stopper = spawn(&w, |w| {
            if let Some(waiter) = w.joiner.parker.armed()
                && let Some(claimed) = waiter.claim(Token::INTERRUPTED)
            {
                claimed.ready();
            }
        });
        w.join();
        goroutine.join().unwrap();
        stopper.join().unwrap();
        assert_eq!((w.dropped.load(Relaxed), w.freed.load(Relaxed)), (1, 1));
    });
}

/// The handle sees the end by itself and frees the G, which then serves another goroutine with
/// another joiner, while the first end is still on its way to its own joiner: that one must not be
/// mixed up with the new one.
#[test]
fn a_late_end_does_not_wake_the_joiner_of_the_next_goroutine() {
    check(4, || {
        let w = World::new();
        // The first joiner waited in its episode 2, was interrupted, and looks again.
        let parker = &w.joiner.parker;
        parker.arm(parker.episode());
        assert!(parker.armed().unwrap().claim(Token::new(0)).is_some());
        parker.arm(parker.episode());
        let waiter = parker.armed().unwrap();
        assert!(w.join.register(waiter));
        assert!(waiter.claim(Token::INTERRUPTED).is_some());
        let goroutine = spawn(&w, |w| w.run(true));
        if w.join.is_done() {
            w.drop_result();
            w.join.reset();
            // The next joiner has waited in its episode 1, and waits for something else in its
            // episode 2.
            let next = &w.next_joiner.parker;
            let waiter = next.episode();
            next.arm(waiter);
            assert!(w.join.register(waiter));
            let _ = waiter.claim(Token::INTERRUPTED);
            next.arm(next.episode());
            goroutine.join().unwrap();
            assert!(next.armed().is_some(), "woken by the wrong goroutine");
        } else {
            goroutine.join().unwrap();
        }
    });
}

/// A joiner's wait has timed out, and another one registers in its place while the goroutine ends: the
/// end meets the new one, or is seen by it, and never a mixture of the two.
#[test]
fn an_end_and_a_second_joiner() {
    check(5, || {
        let w = World::new();
        let first = &w.joiner.parker;
        let waiter = first.episode();
        first.arm(waiter);
        assert!(w.join.register(waiter));
        assert!(waiter.claim(Token::TIMEOUT).is_some());
        // It waits for something else now, in its episode 2.
        first.arm(first.episode());
        // The other one's next episode has that number too.
        let second = &w.next_joiner.parker;
        second.arm(second.episode());
        assert!(second.armed().unwrap().claim(Token::new(0)).is_some());
        let goroutine = spawn(&w, |w| w.run(false));
        let waiter = second.episode();
        second.arm(waiter);
        if !w.join.register(waiter) {
            let _ = waiter.claim(Token::NOT_PARKED);
        }
        goroutine.join().unwrap();
        assert!(second.fired(), "the end was lost");
        assert!(
            first.armed().is_some(),
            "woken by what it does not wait for"
        );
    });
}
