//! Pictures of parked goroutines: `look` in `inspect/goroutine.rs`, a sequence lock over the waiter word
//! (`g/parker.rs`) whose writer is the goroutine, which knows nothing of it.
//!
//! Written out here: the looker's two looks at the word with the copies between them, and the steps of a goroutine that
//! parks, is claimed, goes on and parks again. The stack is two words that are different while the goroutine
//! runs and the same, the number of the wait, while it is parked. The copies are relaxed loads, one word after the other:
//! the kernel makes them, and promises no more. Abstracted: the run queue (who claims goes on with the goroutine).
//!
//! One thing is added: a Release fence between the claim and what the goroutine writes next. Stacks are looked at
//! on x86-64 only, where stores become visible in order, so that the fence is there for nothing (the compiler
//! cannot move stores over the switch of stacks, which is assembler). The model shows that a machine
//! that is not so strict would want it: [`without_the_order_of_stores_it_would_be_wrong`].

use super::{check, spawn};
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, AtomicUsize, fence};
use crate::g::parker::{Kind, Parker, Token, Waiter, WaiterCell};
use std::sync::Arc;

/// What is left out of the protocol, to show that it is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The second look at the word.
    SecondLook,
    /// The fence before it.
    Fence,
    /// The order of the goroutine's stores.
    StoreOrder,
    /// The numbers of the waits: any wait is as good as the first.
    Numbers,
}

struct World {
    without: Without,
    parker: Parker,
    stack: [AtomicUsize; 2],
    published: AtomicBool,
    cell: WaiterCell,
}

impl World {
    fn new(without: Without) -> Arc<World> {
        Arc::new(World {
            without,
            parker: Parker::new(Kind::Goroutine),
            stack: [AtomicUsize::new(0), AtomicUsize::new(0)],
            published: AtomicBool::new(false),
            cell: WaiterCell::new(),
        })
    }

    /// The goroutine runs, then is off its stack in its wait of this number.
    fn run_and_park(&self, number: usize) {
        for word in &self.stack {
            word.store(number, Ordering::Relaxed);
        }
        self.parker.arm(self.parker.episode());
    }

    /// A waker, on whose thread the goroutine goes on.
    fn wake(&self) {
        if !self.published.load(Ordering::Acquire) {
            return;
        }
        let (parker, seq) = self.cell.parts();
        // SAFETY: the parts of the waiter that was set.
        let waiter = unsafe { Waiter::from_parts(parker, seq) };
        if waiter.claim(Token::new(1)).is_some() {
            if self.without != Without::StoreOrder {
                fence(Ordering::Release); // x86-64: for nothing
            }
            self.run_and_park(2);
        }
    }

    /// As `look_parked`. The words, if they are to be believed.
    fn look(&self) -> Option<[usize; 2]> {
        let waiter = self.parker.armed()?;
        let [first, second] = &self.stack;
        let copy = [first, second].map(|word| word.load(Ordering::Relaxed));
        if self.without != Without::Fence {
            fence(Ordering::Acquire);
        }
        let again = self.parker.armed();
        let same = match self.without {
            Without::SecondLook => true,
            Without::Numbers => again.is_some(),
            _ => again == Some(waiter),
        };
        same.then_some(copy)
    }
}

fn model(without: Without) {
    check(4, move || {
        let w = World::new(without);
        let waker = spawn(&w, World::wake);
        let looker = spawn(&w, |w| {
            if let Some([first, second]) = w.look() {
                assert!(first != 0, "what was written before the wait is seen");
                assert_eq!(first, second, "a torn picture was believed");
            }
        });
        let waiter = w.parker.episode();
        w.run_and_park(1);
        w.cell.set(waiter);
        w.published.store(true, Ordering::Release);
        waker.join().unwrap();
        looker.join().unwrap();
    });
}

/// A picture that is believed is one of a goroutine that was parked, in one wait, all the while.
#[test]
fn a_picture_that_is_believed_is_not_torn() {
    model(Without::Nothing);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_second_look_it_would_be_wrong() {
    model(Without::SecondLook);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_fence_it_would_be_wrong() {
    model(Without::Fence);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_order_of_stores_it_would_be_wrong() {
    model(Without::StoreOrder);
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_numbers_of_waits_it_would_be_wrong() {
    model(Without::Numbers);
}
