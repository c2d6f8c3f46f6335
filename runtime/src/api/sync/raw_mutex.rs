//! The lock inside [`Mutex`](super::Mutex) and [`RwLock`](super::RwLock): Go's `sync.Mutex`.
//!
//! # Protocol
//!
//! ```text
//!   LOCKED    somebody has it
//!   WOKEN     somebody who waits is awake, and will look: no unlock needs to wake another
//!   STARVING  it is handed over from now on, and nobody takes it
//!   QUEUED    the queue is not empty
//! ```
//!
//! QUEUED and STARVING change under the queue's lock only.
//!
//! *Normal mode.* An unlock wakes the first waiter, which competes with those that run: they
//! have the cache line and a CPU, and usually win, and a switch of goroutines per lock is saved. The loser
//! goes back to the front of the queue. Who has waited for more than a millisecond when it loses
//! sets STARVING.
//!
//! *Starvation mode.* An unlock hands the lock to the first waiter, by a claim with `HANDED`:
//! who was claimed so owns it. Newcomers queue behind. It ends with a waiter that is the last, or has
//! waited for less than a millisecond.
//!
//! *Nobody sleeps beside a free lock.* Who queues does so under the queue's lock, by a
//! compare-and-swap of a word that says LOCKED, or STARVING. *LOCKED*: the unlock comes after, and
//! sees QUEUED. It wakes, unless WOKEN is set; who set WOKEN clears it only by taking the lock, or
//! by a compare-and-swap of a word that says LOCKED, when it queues: then another unlock
//! comes. *STARVING without LOCKED*: an unlock is on its way to the queue's lock, where it finds the
//! queue as it is then. A waiter that leaves the queue (a deadline, an interrupt) was either not
//! claimed, and then nothing was given to it; or the claim came first, and it does not leave.

use super::list::{List, Note, Place};
use super::queue::{Ended, Queue, Wait, enter, enter_quietly, only, ready};
use crate::atomics::atomic::AtomicU32;
use crate::atomics::{Ordering, const_fn};
use crate::park::{Encoding, Field, Subject, Token, Window};
use std::mem::offset_of;
use std::time::{Duration, Instant};

const LOCKED: u32 = 1;
const WOKEN: u32 = 2;
const STARVING: u32 = 4;
const QUEUED: u32 = 8;

/// Look again.
const WAKE: Token = Token::new(0);
/// The lock is yours.
const HANDED: Token = Token::new(1);

/// Go's starvationThresholdNs: "fairness against the tail latency", not worth tuning.
const PATIENCE: Duration = Duration::from_millis(1);

#[repr(C)]
pub(crate) struct RawMutex {
    /// First: it is what waits are said to be on.
    queue: Queue,
    word: AtomicU32,
    holder: Holder,
}

/// A place in the stack of whoever has the lock, or 0 where it is not known: for those who look for
/// waits without end. Stored after each lock, and cleared before each unlock.
struct Holder(#[cfg(not(loom))] crate::atomics::atomic::AtomicUsize);

impl Holder {
    const_fn! {
        const fn new() -> Holder {
            Holder(
                #[cfg(not(loom))]
                crate::atomics::atomic::AtomicUsize::new(0),
            )
        }
    }

    #[inline(always)]
    fn is_me(&self) {
        // Relaxed: who looks at it has stopped its holder.
        #[cfg(not(loom))]
        self.0.store(here(), Ordering::Relaxed);
    }

    #[inline(always)]
    fn is_nobody(&self) {
        #[cfg(not(loom))]
        self.0.store(0, Ordering::Relaxed);
    }
}

/// An address in the caller's frame.
#[cfg(not(loom))]
#[inline(always)]
fn here() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let sp: usize;
        // SAFETY: reads a register.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags));
        }
        sp
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// A mutex as something that is waited on.
pub(super) static MUTEX: Subject = Subject {
    kind: "mutex",
    size: size_of::<RawMutex>(),
    fields: &[Field {
        name: "holder",
        offset: offset_of!(RawMutex, holder),
        as_: Encoding::Address,
    }],
    list: None,
};

impl RawMutex {
    const_fn! {
        pub(crate) const fn new() -> RawMutex {
            RawMutex {
                queue: Queue::new(List::new()),
                word: AtomicU32::new(0),
                holder: Holder::new(),
            }
        }
    }

    /// Whether nothing is left of any waiter: of a mutex that the caller has.
    #[cfg(loom)]
    pub(crate) fn nobody_waits(&self) -> bool {
        self.word.load(Ordering::Relaxed) == LOCKED
    }

    /// The whole of an uncontended lock.
    #[inline(always)]
    fn lock_fast(&self) -> bool {
        // Acquire: pairs with the Release in `unlock`.
        self.word
            .compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (LOCKED | STARVING) == 0 {
            // Acquire: pairs with the Release in `unlock`.
            match self.word.compare_exchange_weak(
                word,
                word | LOCKED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.holder.is_me();
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    /// Locks. `how` is asked for only if there is something to wait for. False: the wait ended
    /// otherwise.
    #[inline(always)]
    pub(crate) fn lock(&self, how: impl FnOnce() -> Wait) -> bool {
        let locked = self.lock_fast() || self.lock_slow(enter(), how());
        if locked {
            self.holder.is_me();
        }
        locked
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self, mut window: Window, how: Wait) -> bool {
        let mut since = None;
        // Who has slept before goes to the front; who has only found the lock free for a moment has no
        // such right.
        let mut place = Place::Back;
        // Whether WOKEN is ours.
        let mut woken = false;
        let mut starving = false;
        let mut spins = 0;
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & (LOCKED | STARVING) == 0 {
                let new = (word | LOCKED) & !if woken { WOKEN } else { 0 };
                // Acquire: pairs with the Release in `unlock`.
                if self
                    .word
                    .compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    return true;
                }
                continue;
            }
            if word & STARVING == 0 && window.may_spin(spins) {
                if !woken && word & WOKEN == 0 && word & QUEUED != 0 {
                    // Relaxed: a hint to the owner not to wake another.
                    woken = self
                        .word
                        .compare_exchange(word, word | WOKEN, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok();
                }
                window.spin(spins);
                spins += 1;
                continue;
            }
            let since = *since.get_or_insert_with(now);
            let locked = self.queue.lock(&window);
            if !self.announce(woken, starving) {
                locked.unlock();
                continue;
            }
            match locked.wait(window, how, place, Note::Since(since), only) {
                Ended::Claimed(_, HANDED) => return true,
                Ended::Claimed(again, _) => window = again,
                Ended::Gone(gave_up, locked) => {
                    if locked.is_empty() {
                        // Relaxed: nothing else is published by it.
                        self.word.fetch_and(!(QUEUED | STARVING), Ordering::Relaxed);
                    }
                    locked.unlock();
                    gave_up.leave();
                    return false;
                }
            }
            place = Place::Front;
            woken = true;
            spins = 0;
            starving = starving || waited_long(since);
        }
    }

    /// Under the queue's lock: says that the caller is going to wait. False if there is no reason
    /// to: the lock is free.
    fn announce(&self, woken: bool, starving: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (LOCKED | STARVING) != 0 {
            let mut new = word | QUEUED;
            if woken {
                new &= !WOKEN;
            }
            if starving && word & LOCKED != 0 {
                new |= STARVING;
            }
            // Relaxed: the queue's lock orders what is said by it.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Unlocks.
    ///
    /// # Safety
    /// The caller has the lock.
    #[inline(always)]
    pub(crate) unsafe fn unlock(&self) {
        self.holder.is_nobody();
        // Release: pairs with the Acquire of the next one to lock.
        let word = self.word.fetch_sub(LOCKED, Ordering::Release);
        if needs_waking(word - LOCKED) {
            self.unlock_slow(&enter_quietly());
        }
    }

    /// As [`RawMutex::unlock`], inside the runtime.
    ///
    /// # Safety
    /// The caller has the lock, and holds no queue's lock.
    #[inline]
    pub(crate) unsafe fn unlock_in(&self, window: &Window) {
        self.holder.is_nobody();
        // Release: as in `unlock`.
        let word = self.word.fetch_sub(LOCKED, Ordering::Release);
        if needs_waking(word - LOCKED) {
            self.unlock_slow(window);
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_slow(&self, window: &Window) {
        let mut locked = self.queue.lock(window);
        // Acquire: another may have had the lock since; what it did is passed on by the claim.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if !needs_waking(word) {
                return locked.unlock();
            }
            if word & STARVING != 0 {
                break;
            }
            match self.word.compare_exchange_weak(
                word,
                word | WOKEN,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    // SAFETY: locked.
                    let first = unsafe { locked.claim_first(WAKE) };
                    let gone = match &first {
                        Some(_) if !locked.is_empty() => 0,
                        Some(_) => QUEUED,
                        None => QUEUED | WOKEN,
                    };
                    if gone != 0 {
                        // Relaxed: nothing else is published by it.
                        self.word.fetch_and(!gone, Ordering::Relaxed);
                    }
                    locked.unlock();
                    if let Some((claimed, _)) = first {
                        claimed.ready_beside(window);
                    }
                    return;
                }
                Err(now) => word = now,
            }
        }
        // Starving, and not locked: nobody but us changes the word now. Whoever we claim owns the
        // lock; what the last owner did was acquired above, and is released by the claim.
        // SAFETY: locked.
        let first = unsafe { locked.claim_first(HANDED) };
        let new = match &first {
            None => 0,
            Some(_) if locked.is_empty() => LOCKED,
            Some((_, Note::Since(since))) if waited_long(*since) => LOCKED | QUEUED | STARVING,
            Some(_) => LOCKED | QUEUED,
        };
        self.word.store(new, Ordering::Release);
        locked.unlock();
        ready(window, first.map(|(claimed, _)| claimed));
    }
}

/// Of a word without LOCKED, or a later one: whether it is on the one who unlocked to wake somebody.
#[inline(always)]
fn needs_waking(word: u32) -> bool {
    word & QUEUED != 0 && word & (LOCKED | WOKEN) == 0
}

fn now() -> Instant {
    Instant::now()
}

#[cfg(not(loom))]
fn waited_long(since: Instant) -> bool {
    since.elapsed() > PATIENCE
}

/// A model says who has waited for long.
#[cfg(loom)]
fn waited_long(_since: Instant) -> bool {
    crate::park::everybody_waited_long()
}
