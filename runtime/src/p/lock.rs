//! The lock of channels and other primitives: a spin lock that is *biased* to a P.
//!
//! # Why
//!
//! A channel's critical section takes a few nanoseconds; one locked instruction takes 6 on the
//! machine this was measured on, so a lock and an unlock cost more than all the rest. Nearly
//! always the goroutines at both ends of a channel run on the same P, one at a time, and a P is
//! held by one M: they exclude each other without any lock.
//!
//! # Protocol
//!
//! The word is `FREE`, `LOCKED`, or the address of a [`BiasSlot`]. Each P has one slot. A lock
//! made on a goroutine starts biased to that goroutine's P.
//!
//! ```text
//!  owner (inside the runtime, on the P)       anybody else
//!  slot.held = this lock                      word: slot -> LOCKED   (compare-and-swap)
//!  light fence                                heavy fence
//!  word == slot?  yes: it has the lock        wait while slot.held == this lock
//!                 no:  held = null, slow way  it has the lock, which is never biased again
//!  ... critical section ...
//!  slot.held = null   (Release)
//! ```
//!
//! *Case 1: the owner's store to `held` comes before the heavy fence.* The other sees it and waits
//! until the owner has cleared it; then, by Release and Acquire, it sees all that the owner wrote.
//! *Case 2: it comes after.* Then the owner's read of the word sees LOCKED (or later), and the
//! owner goes the slow way. In both cases one of the two is inside. Two others are kept apart by
//! the compare-and-swap.
//!
//! `held` is one word. Whoever needs several locks (a select) first tries to take them all by their
//! bias: `held` then says `ALL`, for which a revoker of any lock of this P waits; the words of all of
//! them are looked at after the fence, and the argument is the same for each. If one of them is not
//! biased to this P, the owner leaves again *before it waits for anything*, and takes them one by
//! one by the slow way ([`Lock::lock_unbiased`]): an owner that waited for one lock while it is in
//! another by its bias, and a revoker that holds the one and waits for the other, would stand
//! against each other.
//! A slot outlives its P (slots are reused, never freed), so a word never dangles; a P of a later
//! runtime that gets the slot is simply the new owner.
//!
//! Unbiased, it is a test-and-set lock whose unlock is a plain store. That saves the second locked
//! instruction of a mutex that can sleep, and is fair enough for sections of some nanoseconds; a
//! waiter gives up its CPU after 20 µs, in case the holder has been descheduled.
//!
//! Taking a bias away costs up to 12 µs (the heavy fence), once per lock. A slot keeps account:
//! locks that are freed without revocation earn, revocations cost, and a P in the red makes only
//! every [`PROBE`]th lock biased, so that a program whose channels all cross Ps does not pay for
//! each (HotSpot's bulk revocation does the same for biased object locks).

use crate::atomics::atomic::{AtomicI32, AtomicPtr, AtomicUsize};
use crate::atomics::{Backoff, Ordering, const_fn, heavy_fence, light_fence};
use std::ptr;

const FREE: usize = 0;
const LOCKED: usize = 1;

/// What a revocation costs on a slot's account, in locks that were never revoked. A revocation is
/// up to 12 µs, a biased life of a channel saves some 50 ns and more: 64 is on the kind side.
const REVOKED: i32 = 64;
/// An account never holds more than this.
const CREDIT_MAX: i32 = 1024;
/// With an empty account, one lock in this many is biased all the same, to see whether times
/// have changed.
const PROBE: i32 = 256;

/// The place where a P says which biased lock it is in.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct BiasSlot {
    held: AtomicPtr<Lock>,
    credit: AtomicI32,
}

impl BiasSlot {
    pub(crate) fn new() -> BiasSlot {
        BiasSlot {
            held: AtomicPtr::new(ptr::null_mut()),
            credit: AtomicI32::new(CREDIT_MAX),
        }
    }

    fn word(&self) -> usize {
        ptr::from_ref(self) as usize
    }

    /// What `held` says while the owner is in several locks. No lock has this address.
    fn all() -> *mut Lock {
        ptr::without_provenance_mut(1)
    }

    /// Adds to the account. Not atomic as a whole: an update lost to a race does not matter.
    fn earn(&self, n: i32) {
        let c = self.credit.load(Ordering::Relaxed);
        self.credit
            .store((c + n).clamp(-PROBE, CREDIT_MAX), Ordering::Relaxed);
    }

    /// Whether the next lock shall be biased.
    fn affords(&self) -> bool {
        let c = self.credit.load(Ordering::Relaxed);
        if c > 0 {
            return true;
        }
        // In the red: count up towards the next probe.
        self.credit.store(c + 1, Ordering::Relaxed);
        c == 0
    }
}

/// The lock. See the module's text.
#[derive(Debug)]
pub struct Lock {
    word: AtomicUsize,
}

/// Proof that the lock is held, and how to release it.
#[derive(Debug)]
#[must_use = "the lock stays locked until `unlock`"]
pub struct Held {
    /// The slot by whose bias it is held, or null.
    slot: *const BiasSlot,
}

impl Lock {
    const_fn! {
        /// A lock without a bias: for what is made outside of the runtime, or shared between Ps
        /// from the beginning.
        pub const fn new() -> Lock {
            Lock {
                word: AtomicUsize::new(FREE),
            }
        }
    }

    /// A lock that is biased to the owner of `slot`, if there is one and it can afford it.
    pub(crate) fn biased_to(slot: Option<&BiasSlot>) -> Lock {
        let word = match slot {
            Some(slot) if slot.affords() => slot.word(),
            _ => FREE,
        };
        Lock {
            word: AtomicUsize::new(word),
        }
    }

    /// Takes the lock.
    ///
    /// # Safety
    /// If a slot is given, the caller is inside the runtime on the P that the slot belongs to,
    /// stays there until it unlocks, and holds no other biased lock.
    #[inline(always)]
    pub(crate) unsafe fn lock(&self, slot: Option<&BiasSlot>) -> Held {
        if let Some(slot) = slot {
            debug_assert!(slot.held.load(Ordering::Relaxed).is_null());
            // The light fence pairs with the heavy fence in `revoke`. Release: whoever takes the
            // last lock of this slot away may read this store instead of the one by which the
            // owner left it, and must see all the same what the owner did in there.
            slot.held
                .store(ptr::from_ref(self).cast_mut(), Ordering::Release);
            light_fence();
            // Acquire: what the last owner of the slot wrote came to us with the P.
            if self.word.load(Ordering::Acquire) == slot.word() {
                return Held { slot };
            }
            slot.held.store(ptr::null_mut(), Ordering::Release);
        }
        self.lock_unbiased()
    }

    /// Takes all of `locks` by their bias, without waiting for anybody; `None` if one of them is
    /// not biased to the owner of `slot`. All are released by one [`Lock::unlock`] of any of them.
    ///
    /// # Safety
    /// As for [`Lock::lock`].
    #[inline(always)]
    pub(crate) unsafe fn lock_all<'a>(
        slot: &BiasSlot,
        mut locks: impl Iterator<Item = &'a Lock>,
    ) -> Option<Held> {
        debug_assert!(slot.held.load(Ordering::Relaxed).is_null());
        // The light fence pairs with the heavy fence in `revoke`. Release: as in `lock`.
        slot.held.store(BiasSlot::all(), Ordering::Release);
        light_fence();
        // Acquire: as in `lock`.
        if locks.all(|lock| lock.word.load(Ordering::Acquire) == slot.word()) {
            return Some(Held { slot });
        }
        slot.held.store(ptr::null_mut(), Ordering::Release);
        None
    }

    /// Takes the lock by the way that is open to everybody, taking its bias away if need be.
    #[inline(always)]
    pub(crate) fn lock_unbiased(&self) -> Held {
        // Acquire: pairs with the Release in `unlock`.
        if self
            .word
            .compare_exchange(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            self.lock_slow();
        }
        Held { slot: ptr::null() }
    }

    #[cold]
    fn lock_slow(&self) {
        let mut backoff = Backoff::new();
        loop {
            match self.word.load(Ordering::Relaxed) {
                FREE => {
                    // Acquire: pairs with the Release in `unlock`.
                    if self
                        .word
                        .compare_exchange_weak(FREE, LOCKED, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                    {
                        return;
                    }
                }
                LOCKED => backoff.snooze(),
                slot => {
                    if self
                        .word
                        .compare_exchange(slot, LOCKED, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                    {
                        // SAFETY: slots are never freed.
                        return self.revoke(unsafe { &*(slot as *const BiasSlot) });
                    }
                }
            }
        }
    }

    /// The word was moved from `slot` to LOCKED by us: waits until the slot's owner is out.
    fn revoke(&self, slot: &BiasSlot) {
        heavy_fence();
        slot.earn(-REVOKED);
        let mut backoff = Backoff::new();
        loop {
            // Acquire: pairs with the Release in `unlock`.
            let held = slot.held.load(Ordering::Acquire).cast_const();
            if !ptr::eq(held, self) && !ptr::eq(held, BiasSlot::all()) {
                return;
            }
            backoff.snooze();
        }
    }

    /// Releases the lock.
    ///
    /// # Safety
    /// `held` came from locking this lock; if it was by a bias, the caller is still on that P.
    #[inline(always)]
    pub unsafe fn unlock(&self, held: Held) {
        // SAFETY: slots are never freed.
        match unsafe { held.slot.as_ref() } {
            // Release: pairs with the Acquire in `revoke`.
            Some(slot) => slot.held.store(ptr::null_mut(), Ordering::Release),
            // Release: pairs with the Acquire of the next locker.
            None => self.word.store(FREE, Ordering::Release),
        }
    }

    /// Tells the account of the P that the lock was biased to, if it still is, that it ends well.
    pub(crate) fn retire(&mut self, slot: Option<&BiasSlot>) {
        if let Some(slot) = slot
            && self.word.load(Ordering::Relaxed) == slot.word()
        {
            slot.earn(1);
        }
    }
}

#[cfg(not(loom))]
impl Default for Lock {
    fn default() -> Lock {
        Lock::new()
    }
}

#[cfg(not(loom))]
mod slots {
    use super::BiasSlot;
    use crate::atomics::Mutex;

    static FREE_SLOTS: Mutex<Vec<&'static BiasSlot>> = Mutex::new(Vec::new());

    impl BiasSlot {
        /// A slot for a new P.
        pub(crate) fn take() -> &'static BiasSlot {
            FREE_SLOTS
                .lock()
                .pop()
                .unwrap_or_else(|| Box::leak(Box::new(BiasSlot::new())))
        }

        /// The P of this slot is gone.
        pub(crate) fn give(&'static self) {
            FREE_SLOTS.lock().push(self);
        }
    }
}
