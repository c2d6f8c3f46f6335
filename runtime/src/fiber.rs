//! A coroutine on a stack: the only file that names corosensei.
//!
//! A fiber's body is a loop: run whatever it was told to, suspend, be told again. So one fiber
//! serves many goroutines in turn, and is never unwound by anybody but the code that runs on it.
//! One word goes in at each resume, and one comes out at each suspend; what they mean is the
//! scheduler's business.
//!
//! The coroutine's control block lives in the header of its own slot, in the page that running
//! on the stack touches anyway; a `Fiber` is one pointer.

use crate::stack::{HEADER_WORDS, Slot};
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::Cell;
use std::mem::size_of;
use std::ptr::NonNull;

type Co = Coroutine<usize, usize, (), SlotStack>;

/// What the coroutine believes to own; the slot itself is in the control block.
struct SlotStack {
    top: StackPointer,
    limit: StackPointer,
}

// SAFETY: `top` and `limit` are those of a Slot: a guarded, writable range that is larger than
// MIN_STACK_SIZE and 16-byte aligned at both ends.
unsafe impl Stack for SlotStack {
    fn base(&self) -> StackPointer {
        self.top
    }

    fn limit(&self) -> StackPointer {
        self.limit
    }
}

struct Control {
    co: Co,
    yielder: Cell<*const Yielder<usize, usize>>,
    slot: Slot,
}

const _: () = assert!(size_of::<Control>() <= HEADER_WORDS * size_of::<usize>());
const _: () = assert!(align_of::<Control>() <= 16);

/// The body of a fiber: called with each word that a resume brings while the fiber is idle.
pub(crate) type Entry = unsafe fn(usize);

/// What a fiber suspends with when its entry function has returned: it is idle again.
pub(crate) const FINISHED: usize = 0;

/// A suspended or running coroutine with its stack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fiber(NonNull<Control>);

// SAFETY: a fiber moves between threads only while it is suspended; that the code on it may be
// moved is the contract of the scheduler's users (docs/soundness.md).
unsafe impl Send for Fiber {}

impl Fiber {
    /// A fiber on `slot` that calls `entry` each time it is resumed while idle. `entry` must not
    /// unwind.
    pub(crate) fn new(slot: Slot, entry: Entry) -> Fiber {
        let place = slot.space().cast::<Control>();
        let stack = SlotStack {
            top: StackPointer::new(slot.top()).expect("a slot is not at address 0"),
            limit: StackPointer::new(slot.limit()).expect("a slot is not at address 0"),
        };
        let control = place as usize;
        let co = Co::with_stack(stack, move |yielder: &Yielder<usize, usize>, first| {
            // SAFETY: the control block is written below, before the first resume.
            unsafe { (*(control as *const Control)).yielder.set(yielder) };
            let mut word = first;
            loop {
                // SAFETY: the scheduler resumes with words that `entry` understands.
                unsafe { entry(word) };
                word = yielder.suspend(FINISHED);
            }
        });
        // SAFETY: `place` is inside the slot's header, large and aligned enough (asserted above),
        // and not used by anybody else.
        unsafe {
            place.write(Control {
                co,
                yielder: Cell::new(std::ptr::null()),
                slot,
            });
            Fiber(NonNull::new_unchecked(place))
        }
    }

    /// Runs the fiber until it suspends, and returns the word that it suspended with.
    ///
    /// # Safety
    /// The fiber is suspended, and nobody else resumes it meanwhile.
    #[inline]
    pub(crate) unsafe fn resume(&self, word: usize) -> usize {
        // SAFETY: exclusive access to the coroutine is the caller's promise.
        let co = unsafe { &mut (*self.0.as_ptr()).co };
        match co.resume(word) {
            CoroutineResult::Yield(out) => out,
            CoroutineResult::Return(()) => unreachable!("the body of a fiber never returns"),
        }
    }

    /// Suspends this fiber, giving `word` to whoever resumed it; returns the word of the next
    /// resume, possibly on another thread.
    ///
    /// # Safety
    /// The caller is running on this fiber.
    #[inline]
    pub(crate) unsafe fn suspend(&self, word: usize) -> usize {
        // SAFETY: set at the first resume; the yielder lives as long as the coroutine.
        unsafe { (*(*self.0.as_ptr()).yielder.get()).suspend(word) }
    }

    /// Brings the control block into the cache: it will be resumed soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, without effect on any address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.0.as_ptr().cast());
        }
    }

    /// Names whoever runs on this fiber, for the overflow report.
    #[inline]
    pub(crate) fn set_owner(&self, owner: *mut ()) {
        // SAFETY: the control block is valid while the Fiber exists.
        unsafe { self.0.as_ref() }.slot.set_owner(owner);
    }

    /// Takes the stack back from an idle fiber.
    ///
    /// # Safety
    /// The fiber was never resumed, or is suspended with [`FINISHED`].
    pub(crate) unsafe fn into_slot(self) -> Slot {
        // SAFETY: the caller vouches that nothing on the stack needs to be dropped; the control
        // block is read out once and its place is not used afterwards.
        unsafe {
            let mut control = self.0.as_ptr().read();
            if control.co.started() {
                control.co.force_reset();
            }
            drop(control.co);
            control.slot
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{MIN_STACK_SIZE, StackGuard, StackPool};

    thread_local! {
        static CURRENT: Cell<*const Fiber> = const { Cell::new(std::ptr::null()) };
        static LOG: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    unsafe fn body(word: usize) {
        LOG.with_borrow_mut(|l| l.push(word));
        // SAFETY: the test resumes this fiber only, on this thread.
        let next = unsafe { (*CURRENT.get()).suspend(word * 10) };
        LOG.with_borrow_mut(|l| l.push(next));
    }

    #[test]
    fn one_fiber_serves_many_tasks() {
        let pool = StackPool::new(MIN_STACK_SIZE, StackGuard::Auto).unwrap();
        let fiber = Fiber::new(pool.take().unwrap(), body);
        CURRENT.set(&raw const fiber);
        // SAFETY: resumed by this thread alone; idle at the end.
        unsafe {
            for task in 1..4 {
                assert_eq!(fiber.resume(task), task * 10);
                assert_eq!(fiber.resume(task + 100), FINISHED);
            }
            LOG.with_borrow(|l| assert_eq!(*l, [1, 101, 2, 102, 3, 103]));
            pool.give([fiber.into_slot()]);
        }
    }

    #[test]
    fn a_fiber_that_never_ran_gives_its_stack_back() {
        let pool = StackPool::new(MIN_STACK_SIZE, StackGuard::Auto).unwrap();
        let fiber = Fiber::new(pool.take().unwrap(), body);
        // SAFETY: never resumed.
        pool.give([unsafe { fiber.into_slot() }]);
        assert_eq!(pool.idle(), 1);
    }
}
