//! The biased lock (`p/lock.rs`): the owner on its P against one and two others, while the P, and
//! with it the slot, passes from one M to another.
//!
//! What the lock protects is a cell that loom watches. A thread with a slot is an M inside the
//! runtime on the slot's P; one without is a plain thread or an M on another P. A P that changes
//! hands does so through a mutex, like the scheduler's.

use super::{check, spawn};
use crate::p::lock::{BiasSlot, Lock};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use std::sync::Arc;

struct Guarded {
    lock: Lock,
    data: UnsafeCell<u32>,
}

struct World {
    slot: BiasSlot,
    /// A second P.
    other_slot: BiasSlot,
    a: Guarded,
    b: Guarded,
    /// Whether the P of `slot` is free to be taken.
    free_p: Mutex<bool>,
}

// SAFETY: the data is only touched under its lock, which loom checks.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Guarded {
    fn bump(&self, slot: Option<&BiasSlot>) {
        // SAFETY: the models give a slot to one thread at a time, and take one lock at a time.
        unsafe {
            let held = self.lock.lock(slot);
            self.data.with_mut(|d| *d += 1);
            self.lock.unlock(held);
        }
    }

    fn is(&self, n: u32) {
        // SAFETY: the other threads have ended.
        self.data.with(|d| assert_eq!(unsafe { *d }, n));
    }
}

impl World {
    /// Two locks, both biased to `slot`.
    fn new() -> Arc<World> {
        let slot = BiasSlot::new();
        let guarded = || Guarded {
            lock: Lock::biased_to(None),
            data: UnsafeCell::new(0),
        };
        let mut w = Arc::new(World {
            slot,
            other_slot: BiasSlot::new(),
            a: guarded(),
            b: guarded(),
            free_p: Mutex::new(false),
        });
        // The slot has its final address now.
        let this = Arc::get_mut(&mut w).expect("not shared yet");
        this.a.lock = Lock::biased_to(Some(&this.slot));
        this.b.lock = Lock::biased_to(Some(&this.slot));
        w
    }
}

#[test]
fn the_owner_and_a_revoker() {
    check(5, || {
        let w = World::new();
        let other = spawn(&w, |w| w.a.bump(None));
        w.a.bump(Some(&w.slot));
        w.a.bump(Some(&w.slot));
        other.join().unwrap();
        w.a.is(3);
    });
}

#[test]
fn the_owner_and_two_revokers() {
    check(3, || {
        let w = World::new();
        let others = [
            spawn(&w, |w| w.a.bump(None)),
            spawn(&w, |w| w.a.bump(Some(&w.other_slot))),
        ];
        w.a.bump(Some(&w.slot));
        for other in others {
            other.join().unwrap();
        }
        w.a.is(3);
    });
}

/// The owner goes on to another lock of its own while the first is taken from it.
#[test]
fn the_owner_of_two_locks_and_a_revoker() {
    check(4, || {
        let w = World::new();
        let other = spawn(&w, |w| w.a.bump(None));
        w.a.bump(Some(&w.slot));
        w.b.bump(Some(&w.slot));
        other.join().unwrap();
        w.a.is(2);
        w.b.is(1);
    });
}

/// The owner takes both at once while one of them is taken from it.
#[test]
fn the_owner_of_two_locks_at_once_and_a_revoker() {
    check(4, || {
        let w = World::new();
        let other = spawn(&w, |w| {
            w.b.bump(None);
            w.b.bump(None);
        });
        for _ in 0..2 {
            // SAFETY: one thread has the slot, and no lock.
            let all = unsafe { Lock::lock_all(&w.slot, [&w.a.lock, &w.b.lock].into_iter()) };
            match all {
                // SAFETY: both are locked.
                Some(held) => unsafe {
                    w.a.data.with_mut(|d| *d += 1);
                    w.b.data.with_mut(|d| *d += 1);
                    w.a.lock.unlock(held);
                },
                None => {
                    w.a.bump(Some(&w.slot));
                    w.b.bump(Some(&w.slot));
                }
            }
        }
        other.join().unwrap();
        w.a.is(2);
        w.b.is(4);
    });
}

/// The P passes to another M, which uses the same lock by the same slot.
#[test]
fn the_slot_passes_to_another_m_while_a_third_revokes() {
    check(3, || {
        let w = World::new();
        let next = spawn(&w, |w| {
            if std::mem::take(&mut *w.free_p.lock().unwrap()) {
                w.a.bump(Some(&w.slot));
            } else {
                w.a.bump(None);
            }
        });
        let other = spawn(&w, |w| w.a.bump(None));
        w.a.bump(Some(&w.slot));
        *w.free_p.lock().unwrap() = true;
        next.join().unwrap();
        other.join().unwrap();
        w.a.is(3);
    });
}

/// A lock without bias.
#[test]
fn two_threads_and_a_plain_lock() {
    check(5, || {
        let mut w = World::new();
        Arc::get_mut(&mut w).expect("not shared yet").a.lock = Lock::biased_to(None);
        let other = spawn(&w, |w| w.a.bump(Some(&w.slot)));
        w.a.bump(None);
        w.a.bump(None);
        other.join().unwrap();
        w.a.is(3);
    });
}
