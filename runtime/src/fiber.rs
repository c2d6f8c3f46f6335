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
use std::mem::{offset_of, size_of, size_of_val};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

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
    label: Cell<Label>,
    slot: Slot,
}

/// A few words that whoever suspends leaves for those who look at the fiber from outside. Here
/// because a switch touches these cache lines anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Label {
    pub(crate) on: *const (),
    pub(crate) what: *const (),
    pub(crate) since: u64,
    pub(crate) bounded: bool,
}

impl Label {
    pub(crate) const NONE: Label = Label {
        on: std::ptr::null(),
        what: std::ptr::null(),
        since: 0,
        bounded: false,
    };
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
                label: Cell::new(Label::NONE),
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

    /// Leaves a label for those who look from outside. By the code that runs on this fiber.
    #[inline(always)]
    pub(crate) fn set_label(&self, label: Label) {
        // SAFETY: the control block is valid while the Fiber exists.
        unsafe { self.0.as_ref() }.label.set(label);
    }

    /// What the label says that is waited on. Of a fiber that is suspended, and the caller's.
    pub(crate) fn waits_on(&self) -> *const () {
        // SAFETY: as above.
        unsafe { self.0.as_ref() }.label.get().on
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

/// A suspended fiber as it is seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) label: Label,
    /// Registers of the code that suspended: all that an unwinder needs to begin with.
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) bp: usize,
    /// Where the registers lie that the switch has saved, below `sp`: the lowest word of its stack that is in
    /// use.
    pub(crate) saved: usize,
    /// One past the highest byte of its stack.
    pub(crate) top: usize,
    /// The lowest address of its stack, guard included.
    pub(crate) limit: usize,
}

/// Looks at the fiber that `control` leads to (a [`Fiber`] as a plain word, of an owner elsewhere), by
/// copies of its words, which `read` makes. What it gives is right if the fiber was suspended all the
/// while; that is for the caller to find out. `None`: it was not, or this kind of machine is not known.
pub(crate) fn look(control: usize, read: impl Fn(usize, &mut [usize]) -> bool) -> Option<Seen> {
    const WORD: usize = size_of::<usize>();
    let mut words = [0; size_of::<Control>().div_ceil(WORD)];
    let stack = saved_stack_pointer()?;
    if !read(control, &mut words) {
        return None;
    }
    let word = |offset: usize| words[offset / WORD];
    let label = offset_of!(Control, label);
    let slot = offset_of!(Control, slot);
    let label = Label {
        on: ptr::with_exposed_provenance(word(label + offset_of!(Label, on))),
        what: ptr::with_exposed_provenance(word(label + offset_of!(Label, what))),
        since: word(label + offset_of!(Label, since)) as u64,
        bounded: word(label + offset_of!(Label, bounded)) & 1 != 0,
    };
    let (limit, top) = Slot::bounds_of([word(slot), word(slot + WORD)]);
    let at = word(stack);
    // What corosensei pushes before it saves its stack pointer.
    let mut saved = [0; 3];
    if at < limit || at + size_of_val(&saved) > top || !read(at, &mut saved) {
        return None;
    }
    let [pc, _rbx, bp] = saved;
    Some(Seen {
        label,
        pc,
        sp: at + size_of_val(&saved),
        bp,
        saved: at,
        top,
        limit,
    })
}

/// The stack, guard included, of the fiber that `control` leads to, whatever it does: its lowest address
/// and one past the highest.
pub(crate) fn bounds(
    control: usize,
    read: impl Fn(usize, &mut [usize]) -> bool,
) -> Option<(usize, usize)> {
    let mut slot = [0; 2];
    const { assert!(size_of::<Slot>() == size_of::<[usize; 2]>()) };
    (control != 0 && read(control + offset_of!(Control, slot), &mut slot))
        .then(|| Slot::bounds_of(slot))
}

/// Finds out all that [`look`] must know, so that it allocates nothing.
pub(crate) fn prepare_to_look() {
    saved_at();
}

/// Where in what a [`Fiber`] leads to the stack pointer is that a suspended one has saved; `None`: this kind
/// of machine is not known.
pub(crate) fn saved_stack_pointer() -> Option<usize> {
    match cfg!(target_arch = "x86_64") {
        true => Some(offset_of!(Control, co) + saved_at()?),
        false => None,
    }
}

/// Where in a suspended coroutine its stack pointer is: corosensei does not say. It is the word that
/// leads into the stack and changes with the first switch.
fn saved_at() -> Option<usize> {
    static AT: OnceLock<Option<usize>> = OnceLock::new();
    *AT.get_or_init(|| {
        const BYTES: usize = 16 << 10;
        let memory = vec![0u128; BYTES / size_of::<u128>()];
        let limit = memory.as_ptr().addr();
        let stack = SlotStack {
            top: StackPointer::new(limit + BYTES)?,
            limit: StackPointer::new(limit)?,
        };
        let mut co = Co::with_stack(stack, |yielder: &Yielder<usize, usize>, _| {
            yielder.suspend(0);
        });
        let words = |co: &Co| {
            let words = size_of::<Co>() / size_of::<usize>();
            // SAFETY: the bytes of a value that exists; all of its fields are words.
            unsafe { std::slice::from_raw_parts(ptr::from_ref(co).cast::<usize>(), words) }.to_vec()
        };
        let fresh = words(&co);
        co.resume(0);
        let suspended = words(&co);
        co.resume(0);
        let leads_in = |word: usize| word > limit && word < limit + BYTES;
        let changed = |i: &usize| suspended[*i] != fresh[*i] && leads_in(suspended[*i]);
        (0..fresh.len())
            .find(changed)
            .map(|i| i * size_of::<usize>())
    })
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
