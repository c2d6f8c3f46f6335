//! Values of which each goroutine (and each plain thread) has its own: the table behind
//! `goroutine_local!`. Who has a table, and when it ends, is decided above.
//!
//! ```text
//!   EMPTY --first use--> ALIVE --the end of the goroutine--> GONE
//! ```
//! A value lies in a box of its own, so it stays in its place when the table grows; it is dropped by
//! the goroutine that it belongs to, in the reverse order of the first uses. Destructors, initial
//! values and clones are user code, which may come back here: nothing is borrowed from the table while
//! they run. What is GONE is never made again, so the end of a table comes to an end.
//!
//! A table is used by its owner only; the one that a parent has put together for its child passes with
//! the child's G.

use super::task::Unwind;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The number of a key: its place in every table. Given at the first use.
#[derive(Debug)]
pub(crate) struct KeyId(AtomicU32);

impl KeyId {
    pub(crate) const fn new() -> KeyId {
        KeyId(AtomicU32::new(u32::MAX))
    }

    #[inline]
    pub(crate) fn get(&self) -> u32 {
        // Relaxed: a number is all that is passed on.
        match self.0.load(Ordering::Relaxed) {
            u32::MAX => self.give(),
            id => id,
        }
    }

    #[cold]
    fn give(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: as above. (Who loses the race has wasted a number.)
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(id < u32::MAX, "too many goroutine-local keys");
        match self
            .0
            .compare_exchange(u32::MAX, id, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => id,
            Err(other) => other,
        }
    }
}

/// What is done with a boxed value of some type.
#[derive(Clone, Copy)]
struct Methods {
    /// Drops the box.
    drop: unsafe fn(*mut ()),
    /// Clones the box, for a child; `None` if children do not inherit it.
    inherit: Option<Inherit>,
}

/// Clones a boxed value. From [`inherit`].
pub(crate) type Inherit = unsafe fn(*mut ()) -> *mut ();

/// # Safety
/// `value` is a box of a `T`, which is not used afterwards.
unsafe fn drop_box<T>(value: *mut ()) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

/// # Safety
/// `value` is a box of a `T`, which stays until this returns.
pub(crate) unsafe fn inherit<T: Clone + Send>(value: *mut ()) -> *mut () {
    // SAFETY: the caller's promise.
    Box::into_raw(Box::new(unsafe { (*value.cast::<T>()).clone() })).cast()
}

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Alive(*mut (), Methods),
    Gone,
}

/// The values of one goroutine or thread.
pub(crate) struct Locals {
    /// By the keys' numbers. Never borrowed while user code runs.
    slots: UnsafeCell<Vec<Slot>>,
    /// The alive ones, in the order of their first uses.
    order: UnsafeCell<Vec<u32>>,
    /// How many alive ones a child inherits.
    inheritable: Cell<usize>,
}

/// The value of a key is gone: its owner is about to end.
#[derive(Debug)]
pub(crate) struct Gone;

/// Tables as their owners keep them: null as long as there is no value.
pub(crate) type Table = Cell<*mut ()>;

impl Locals {
    /// The table, made if need be.
    ///
    /// # Safety
    /// The caller is the table's owner, and uses what it gets no longer than that, and not beyond
    /// [`end`].
    unsafe fn of(table: &Table) -> &Locals {
        if table.get().is_null() {
            let new = Box::new(Locals::new());
            table.set(Box::into_raw(new).cast());
        }
        // SAFETY: only ever set to a box of this type; the rest is the caller's promise.
        unsafe { &*table.get().cast::<Locals>() }
    }

    fn new() -> Locals {
        Locals {
            slots: UnsafeCell::new(Vec::new()),
            order: UnsafeCell::new(Vec::new()),
            inheritable: Cell::new(0),
        }
    }

    fn slot(&self, id: u32) -> Slot {
        // SAFETY: the owner's thread; nobody keeps a borrow.
        let slots = unsafe { &*self.slots.get() };
        slots.get(id as usize).copied().unwrap_or(Slot::Empty)
    }

    fn set(&self, id: u32, slot: Slot) {
        // SAFETY: as above.
        let slots = unsafe { &mut *self.slots.get() };
        let at = id as usize;
        if slots.len() <= at {
            slots.resize(at + 1, Slot::Empty);
        }
        slots[at] = slot;
    }

    /// A first value for an empty slot.
    fn add(&self, id: u32, value: *mut (), methods: Methods) {
        // SAFETY: as above.
        unsafe { (*self.order.get()).push(id) };
        self.set(id, Slot::Alive(value, methods));
        let inherits = usize::from(methods.inherit.is_some());
        self.inheritable.set(self.inheritable.get() + inherits);
    }

    /// The key that was used as the nth of those that are alive.
    fn nth(&self, n: usize) -> Option<u32> {
        // SAFETY: as above.
        let order = unsafe { &*self.order.get() };
        order.get(n).copied()
    }

    /// Makes the value of the last key GONE, to be dropped by the caller.
    fn take_last(&self) -> Option<(*mut (), Methods)> {
        // SAFETY: as above.
        let id = unsafe { (*self.order.get()).pop() }?;
        match self.slot(id) {
            Slot::Alive(value, methods) => {
                self.set(id, Slot::Gone);
                let inherits = usize::from(methods.inherit.is_some());
                self.inheritable.set(self.inheritable.get() - inherits);
                Some((value, methods))
            }
            Slot::Empty | Slot::Gone => unreachable!("only what is alive has an order"),
        }
    }
}

/// The value of a key, if it was used before.
///
/// # Safety
/// The caller is the table's owner. The key with this number has a `T`. The value is not used beyond the
/// table's end.
#[inline]
pub(crate) unsafe fn get<T>(table: &Table, id: u32) -> Result<Option<*const T>, Gone> {
    if table.get().is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    match unsafe { Locals::of(table) }.slot(id) {
        Slot::Alive(value, _) => Ok(Some(value.cast_const().cast())),
        Slot::Empty => Ok(None),
        Slot::Gone => Err(Gone),
    }
}

/// Sets the value of a key, for which [`get`] has found none; `init` may have made one meanwhile, which
/// is replaced, as in std.
///
/// # Safety
/// As for [`get`]. `inherit` is of the same type.
#[cold]
pub(crate) unsafe fn init<T>(
    table: &Table,
    id: u32,
    inherit: Option<Inherit>,
    init: impl FnOnce() -> T,
) -> Result<*const T, Gone> {
    let value: *mut T = Box::into_raw(Box::new(init()));
    let methods = Methods {
        drop: drop_box::<T>,
        inherit,
    };
    // SAFETY: the caller's promise; the table is looked at after `init` has run.
    let locals = unsafe { Locals::of(table) };
    match locals.slot(id) {
        Slot::Empty => locals.add(id, value.cast(), methods),
        Slot::Alive(old, _) => {
            locals.set(id, Slot::Alive(value.cast(), methods));
            // SAFETY: made by `init`, inside of which all uses of it have ended.
            unsafe { drop_box::<T>(old) };
        }
        Slot::Gone => {
            // SAFETY: just made.
            unsafe { drop_box::<T>(value.cast()) };
            return Err(Gone);
        }
    }
    Ok(value)
}

/// Drops all values, and those that their destructors make, and the table. True if one of the destructors
/// panicked, which the panic hook has reported.
///
/// # Safety
/// The caller is the table's owner, outside of any window; no value is in use. The table is not used
/// afterwards: the caller sees to it that it is not asked for a value again.
#[cold]
pub(crate) unsafe fn end(table: &Table) -> bool {
    let mut panicked = false;
    // SAFETY: the caller's promise.
    while let Some((value, methods)) = unsafe { Locals::of(table) }.take_last() {
        // SAFETY: it was taken out, and is of the type that its methods are for.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { (methods.drop)(value) }));
        if let Err(payload) = dropped {
            // One that waited when the runtime stopped was cut short: no panic.
            panicked |= !payload.is::<Unwind>();
            // Its own destructor could panic in turn.
            std::mem::forget(payload);
        }
    }
    // SAFETY: a box, which nobody uses any more.
    drop(unsafe { Box::from_raw(table.replace(ptr::null_mut()).cast::<Locals>()) });
    panicked
}

/// What a child inherits, until it is the child's. Dropping it drops the values.
#[derive(Debug)]
#[must_use]
pub(crate) struct Inherited(*mut ());

impl Inherited {
    pub(crate) const NOTHING: Inherited = Inherited(ptr::null_mut());

    /// The table for the child's G.
    pub(crate) fn into_table(self) -> *mut () {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: never given to a child; the values are clones that nobody has seen.
            unsafe { end(&Cell::new(self.0)) };
        }
    }
}

/// Clones what a child of the caller inherits.
///
/// # Safety
/// The caller is the table's owner, outside of any window.
#[cold]
pub(crate) unsafe fn inherited(table: &Table) -> Inherited {
    if table.get().is_null() {
        return Inherited::NOTHING;
    }
    // SAFETY: the caller's promise; it is not ended while its owner is here.
    let parent = unsafe { Locals::of(table) };
    if parent.inheritable.get() == 0 {
        return Inherited::NOTHING;
    }
    let child = Inherited(Box::into_raw(Box::new(Locals::new())).cast());
    let mut next = 0;
    while let Some(id) = parent.nth(next) {
        next += 1;
        let Slot::Alive(value, methods) = parent.slot(id) else {
            continue;
        };
        if let Some(inherit) = methods.inherit {
            // SAFETY: alive values are dropped by their owner, the caller, at its end, or by the
            // initial value of the key itself, which is not running: it is alive already.
            let clone = unsafe { inherit(value) };
            // SAFETY: still ours alone.
            unsafe { &*child.0.cast::<Locals>() }.add(id, clone, methods);
        }
    }
    child
}
