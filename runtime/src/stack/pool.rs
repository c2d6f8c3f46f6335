//! The stacks of one runtime: slabs, and the idle slots that its Ps hand back in batches.

use super::slab::{GuardKind, Slab, Slot};
use super::{MAX_STACK_SIZE, MIN_STACK_SIZE, StackError, StackGuard, page_size};
use crate::atomics::Mutex;

/// Slots of a runtime's first slab; each further one is twice the size of the last, up to
/// `MAX_SLAB_BYTES`. A small program maps 16 MiB of address space, a million stacks 300 slabs.
const FIRST_SLOTS: usize = 64;
const MAX_SLAB_BYTES: usize = 1 << 30;

/// The global pool of a runtime. Ps keep stacks of their own and come here for batches.
pub(crate) struct StackPool {
    slot_size: usize,
    guard: GuardKind,
    inner: Mutex<Inner>,
}

struct Inner {
    slabs: Vec<Slab>,
    /// Idle slots that may have touched pages below the top one, warmest last.
    warm: Vec<Slot>,
    /// Idle slots whose memory was given back.
    cold: Vec<Slot>,
    /// Slots that were carved, in use or not.
    total: usize,
    /// How often the memory of one was given back.
    given_back: u64,
}

/// What there is of stacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackCounts {
    /// In use, or kept by Ps.
    pub(crate) out: usize,
    /// Idle in the pool, of which so many have had their memory given back.
    pub(crate) idle: usize,
    pub(crate) cold: usize,
    pub(crate) given_back: u64,
}

impl StackPool {
    /// A pool of stacks of `size` bytes, rounded up to a power of two.
    pub(crate) fn new(size: usize, guard: StackGuard) -> Result<StackPool, StackError> {
        if size < MIN_STACK_SIZE {
            return Err(StackError(format!(
                "a stack of {size} bytes is below the minimum of {MIN_STACK_SIZE}: ask for more"
            )));
        }
        if size > MAX_STACK_SIZE {
            return Err(StackError(format!(
                "a stack of {size} bytes is beyond the address space: at most {MAX_STACK_SIZE}"
            )));
        }
        let guard = match guard {
            StackGuard::Marker if !GuardKind::markers_available() => {
                return Err(StackError(
                    "this kernel has no guard markers (MADV_GUARD_INSTALL, Linux 6.13): \
                     use StackGuard::Auto or StackGuard::Mprotect"
                        .into(),
                ));
            }
            StackGuard::Marker => GuardKind::Marker,
            StackGuard::Mprotect => GuardKind::Mprotect,
            StackGuard::Auto if GuardKind::markers_available() => GuardKind::Marker,
            StackGuard::Auto => GuardKind::Mprotect,
        };
        Ok(StackPool {
            slot_size: size.next_power_of_two().max(4 * page_size()),
            guard,
            inner: Mutex::new(Inner {
                slabs: Vec::new(),
                warm: Vec::new(),
                cold: Vec::new(),
                total: 0,
                given_back: 0,
            }),
        })
    }

    /// One slot: the warmest idle one, or a new one.
    pub(crate) fn take(&self) -> Result<Slot, StackError> {
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.warm.pop().or_else(|| inner.cold.pop()) {
            return Ok(slot);
        }
        if inner.slabs.last().is_none_or(Slab::is_full) {
            let most = (MAX_SLAB_BYTES / self.slot_size).max(1);
            let want = (FIRST_SLOTS << inner.slabs.len().min(12)).min(most);
            let slab = Slab::map(self.slot_size, want, self.guard)
                .or_else(|_| Slab::map(self.slot_size, 1, self.guard))?;
            inner.slabs.push(slab);
        }
        let slot = inner.slabs.last_mut().expect("pushed above").carve()?;
        inner.total += 1;
        Ok(slot)
    }

    /// Takes idle slots back.
    pub(crate) fn give(&self, slots: impl IntoIterator<Item = Slot>) {
        self.inner.lock().warm.extend(slots);
    }

    /// Gives the memory of at most `most` idle stacks back to the system; the topmost page of
    /// each stays. Returns how many there were.
    pub(crate) fn scavenge(&self, most: usize) -> usize {
        let mut inner = self.inner.lock();
        let n = inner.warm.len().min(most);
        let batch: Vec<Slot> = inner.warm.drain(..n).collect();
        drop(inner); // madvise takes a microsecond each: not under the lock
        for slot in &batch {
            slot.give_back();
        }
        let mut inner = self.inner.lock();
        inner.cold.extend(batch);
        inner.given_back += n as u64;
        n
    }

    pub(crate) fn counts(&self) -> StackCounts {
        let inner = self.inner.lock();
        let idle = inner.warm.len() + inner.cold.len();
        StackCounts {
            out: inner.total - idle,
            idle,
            cold: inner.cold.len(),
            given_back: inner.given_back,
        }
    }

    /// Stacks that exist, in use or not.
    #[cfg(test)]
    pub(crate) fn total(&self) -> usize {
        self.inner.lock().total
    }

    /// Idle stacks in this pool (Ps have more).
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        let inner = self.inner.lock();
        inner.warm.len() + inner.cold.len()
    }

    /// Gives up ownership of the slabs without unmapping them: for a runtime that ends while
    /// something still runs on one of its stacks.
    pub(crate) fn leak(&self) {
        for slab in self.inner.lock().slabs.drain(..) {
            std::mem::forget(slab);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_distinct_and_reused() {
        for guard in [StackGuard::Auto, StackGuard::Mprotect] {
            let pool = StackPool::new(MIN_STACK_SIZE, guard).unwrap();
            let slots: Vec<Slot> = (0..200).map(|_| pool.take().unwrap()).collect();
            let mut tops: Vec<usize> = slots.iter().map(Slot::top).collect();
            tops.sort_unstable();
            tops.dedup();
            assert_eq!(tops.len(), 200);
            assert_eq!(pool.total(), 200);
            pool.give(slots);
            assert_eq!(pool.idle(), 200);
            assert_eq!(pool.scavenge(150), 150);
            let again: Vec<Slot> = (0..200).map(|_| pool.take().unwrap()).collect();
            assert_eq!(pool.total(), 200, "no new slot while idle ones are there");
            pool.give(again);
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(StackPool::new(1024, StackGuard::Auto).is_err());
        assert!(StackPool::new(usize::MAX, StackGuard::Auto).is_err());
    }

    #[test]
    fn scavenging_keeps_the_top_page() {
        let pool = StackPool::new(MIN_STACK_SIZE, StackGuard::Auto).unwrap();
        let slot = pool.take().unwrap();
        let top = slot.space();
        let deep = (slot.top() - 2 * page_size()) as *mut usize;
        // SAFETY: both words are inside the slot, above its guard.
        unsafe {
            top.write(7);
            deep.write(9);
            slot.give_back();
            assert_eq!(top.read(), 7);
            assert_eq!(deep.read(), 0);
        }
        pool.give([slot]);
    }
}
