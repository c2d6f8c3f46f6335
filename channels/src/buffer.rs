//! Values in a channel: a ring of fixed capacity, or a list of blocks without bound. All of it is
//! protected by the channel's lock; only the length may be read without.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// The ring's place behind the channel's header, in one allocation with it.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    slots: NonNull<T>,
    cap: usize,
    head: usize,
}

impl<T> Ring<T> {
    /// # Safety
    /// `slots` has room for `cap` values, for as long as the ring is used.
    pub(crate) unsafe fn new(slots: NonNull<T>, cap: usize) -> Ring<T> {
        Ring {
            slots,
            cap,
            head: 0,
        }
    }

    /// # Safety
    /// `len` values are in the ring, fewer than its capacity.
    #[inline]
    pub(crate) unsafe fn push(&mut self, len: usize, value: T) {
        debug_assert!(len < self.cap);
        // Without overflow, for zero-sized values with a capacity near usize::MAX too.
        let to_end = self.cap - self.head;
        let at = if len < to_end {
            self.head + len
        } else {
            len - to_end
        };
        // SAFETY: at < cap, and the slot is free.
        unsafe { self.slots.add(at).write(value) };
    }

    /// # Safety
    /// At least one value is in the ring.
    #[inline]
    pub(crate) unsafe fn pop(&mut self) -> T {
        let at = self.head;
        self.head = if at + 1 == self.cap { 0 } else { at + 1 };
        // SAFETY: the head is a value, and is not read again.
        unsafe { self.slots.add(at).read() }
    }
}

/// Values per block: with one-word values a block is 272 bytes, a fair bargain between the cost
/// of an allocation per 32 values and the memory of a channel that holds one.
const BLOCK: usize = 32;

struct Block<T> {
    next: *mut Block<T>,
    slots: [MaybeUninit<T>; BLOCK],
}

/// A queue that grows and shrinks by blocks, so that no send ever copies what is there.
pub(crate) struct List<T> {
    head: *mut Block<T>,
    tail: *mut Block<T>,
    head_at: usize,
    tail_at: usize,
    /// One emptied block, so that a queue that hovers around a block's end does not allocate.
    spare: *mut Block<T>,
}

impl<T> List<T> {
    pub(crate) const fn new() -> List<T> {
        List {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            head_at: 0,
            tail_at: BLOCK,
            spare: ptr::null_mut(),
        }
    }

    fn new_block(&mut self) -> *mut Block<T> {
        let layout = Layout::new::<Block<T>>();
        let mut block = std::mem::replace(&mut self.spare, ptr::null_mut());
        if block.is_null() {
            // SAFETY: a block is not zero-sized: it has a link.
            block = unsafe { alloc(layout) }.cast();
            if block.is_null() {
                handle_alloc_error(layout);
            }
        }
        // SAFETY: a block of ours; the slots may stay uninitialised.
        unsafe { (*block).next = ptr::null_mut() };
        block
    }

    fn free_block(block: *mut Block<T>) {
        if !block.is_null() {
            // SAFETY: allocated above with this layout; its values are gone.
            unsafe { dealloc(block.cast(), Layout::new::<Block<T>>()) };
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        if self.tail_at == BLOCK {
            let block = self.new_block();
            if self.tail.is_null() {
                self.head = block;
                self.head_at = 0;
            } else {
                // SAFETY: the tail is a block of ours.
                unsafe { (*self.tail).next = block };
            }
            self.tail = block;
            self.tail_at = 0;
        }
        // SAFETY: tail_at < BLOCK, and the slot is free.
        unsafe { (&raw mut (*self.tail).slots[self.tail_at]).write(MaybeUninit::new(value)) };
        self.tail_at += 1;
    }

    /// # Safety
    /// At least one value is in the list.
    #[inline]
    pub(crate) unsafe fn pop(&mut self) -> T {
        let block = self.head;
        // SAFETY: the head is a value, and is not read again.
        let value = unsafe {
            (&raw const (*block).slots[self.head_at])
                .read()
                .assume_init()
        };
        self.head_at += 1;
        if self.head_at == BLOCK {
            // SAFETY: a block of ours, now empty.
            self.head = unsafe { (*block).next };
            self.head_at = 0;
            if self.head.is_null() {
                self.tail = ptr::null_mut();
                self.tail_at = BLOCK;
            }
            if self.spare.is_null() {
                self.spare = block;
            } else {
                Self::free_block(block);
            }
        }
        value
    }
}

impl<T> Drop for List<T> {
    /// Frees the blocks; the values must have been taken out.
    fn drop(&mut self) {
        Self::free_block(self.spare);
        let mut block = self.head;
        while !block.is_null() {
            // SAFETY: a block of ours.
            let next = unsafe { (*block).next };
            Self::free_block(block);
            block = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_first_in_first_out_across_blocks() {
        let mut list = List::new();
        let (mut next_in, mut next_out) = (0, 0);
        for round in 0..200 {
            for _ in 0..round % 97 {
                list.push(Box::new(next_in));
                next_in += 1;
            }
            while next_out + round % 5 < next_in {
                // SAFETY: next_in - next_out values are in it.
                assert_eq!(unsafe { *list.pop() }, next_out);
                next_out += 1;
            }
        }
        while next_out < next_in {
            // SAFETY: as above.
            assert_eq!(unsafe { *list.pop() }, next_out);
            next_out += 1;
        }
    }

    #[test]
    fn a_ring_wraps_and_takes_absurd_capacities_of_nothing() {
        let mut place = [0u32; 3];
        // SAFETY: three slots.
        let mut ring = unsafe { Ring::new(NonNull::from(&mut place).cast::<u32>(), 3) };
        // SAFETY: the counts are right.
        unsafe {
            for n in 0..10 {
                ring.push(0, n);
                ring.push(1, n + 100);
                assert_eq!((ring.pop(), ring.pop()), (n, n + 100));
            }
            let mut nothing = Ring::<()>::new(NonNull::dangling(), usize::MAX);
            nothing.push(usize::MAX - 1, ());
            nothing.pop();
        }
    }
}
