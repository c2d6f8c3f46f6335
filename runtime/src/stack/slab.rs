//! One mapping that slots are carved from, its guards, and the table by which a fault address is
//! traced back to its slot.

use super::{StackError, page_size};
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicPtr, AtomicUsize};
use std::io;
use std::mem::size_of;
use std::ptr::{self, NonNull};

/// `madvise` advice that installs a guard marker (not yet in every libc crate's glibc headers).
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Words that the owner of a slot may use at its top, e.g. for the coroutine's control block.
pub(crate) const HEADER_WORDS: usize = 14;

/// Stacks begin at so many different places in their topmost page, so far apart: together 2 KiB,
/// which leaves a shallow goroutine enough of that page.
const COLOURS: usize = 16;
const COLOUR_STEP: usize = 128;

/// The top of a slot. Lives in the page that every started stack touches anyway.
#[repr(C, align(16))]
struct Header {
    /// Whoever runs on this stack now; read by the overflow handler.
    owner: AtomicPtr<()>,
    /// Spare word that keeps `space` 16-byte aligned.
    _pad: usize,
    space: [usize; HEADER_WORDS],
}

/// A stack: exclusive ownership of one slot of a slab. The slab outlives it: slots are handed
/// back to the [`StackPool`](super::StackPool) that carved them before it is dropped.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: a Slot is an exclusive handle on plain memory.
unsafe impl Send for Slot {}

impl Slot {
    fn header(&self) -> *mut Header {
        // SAFETY: the slot spans `size` bytes from `base`, and size >= MIN_STACK_SIZE.
        unsafe {
            self.base
                .as_ptr()
                .add(self.size - self.colour() - size_of::<Header>())
                .cast()
        }
    }

    /// How far below the slot's end its stack begins. Slots are large powers of two apart, so
    /// without this the hot lines of all stacks would fall into the same few sets of the caches:
    /// a thousand goroutines that yield in turn took 55 ns each on one P, and with it 25.
    fn colour(&self) -> usize {
        self.base.as_ptr() as usize / self.size % COLOURS * COLOUR_STEP
    }

    /// Address one past the highest usable byte; 16-byte aligned. The stack grows down from here.
    pub(crate) fn top(&self) -> usize {
        self.header() as usize
    }

    /// Lowest address of the slot, guard included.
    pub(crate) fn limit(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// The limit and the top of the slot of which these are the words: a copy, maybe of one that is
    /// gone. Nothing is accessed.
    pub(crate) fn bounds_of(words: [usize; 2]) -> (usize, usize) {
        let [base, size] = words;
        let colour = base / size.max(1) % COLOURS * COLOUR_STEP;
        let above = base.saturating_add(size);
        (base, above.saturating_sub(colour + size_of::<Header>()))
    }

    /// `HEADER_WORDS` words at the top of the slot, 16-byte aligned, for the slot's user.
    pub(crate) fn space(&self) -> *mut usize {
        // SAFETY: the header is inside the slot.
        unsafe { (&raw mut (*self.header()).space).cast() }
    }

    /// Names whoever runs on this stack, for the overflow report.
    pub(crate) fn set_owner(&self, owner: *mut ()) {
        // SAFETY: the header is inside the slot; fresh memory is zero, a valid AtomicPtr.
        // Relaxed: read by a signal handler on the thread that runs on this stack.
        unsafe { (*self.header()).owner.store(owner, Ordering::Relaxed) };
    }

    /// Gives all pages but the topmost back to the system. Contents below it are lost.
    pub(crate) fn give_back(&self) {
        let page = page_size();
        // SAFETY: the range is inside the slot, above the guard, below the header's page; nothing
        // runs on an idle slot.
        unsafe {
            libc::madvise(
                self.base.as_ptr().add(page).cast(),
                self.size - 2 * page,
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// How the guard page is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardKind {
    Marker,
    Mprotect,
}

impl GuardKind {
    /// Whether this kernel has guard markers. Probed once.
    pub(crate) fn markers_available() -> bool {
        static PROBE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *PROBE.get_or_init(|| {
            let page = page_size();
            // SAFETY: a private mapping of our own, unmapped below.
            unsafe {
                let p = libc::mmap(
                    ptr::null_mut(),
                    page,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                if p == libc::MAP_FAILED {
                    return false;
                }
                let ok = libc::madvise(p, page, MADV_GUARD_INSTALL) == 0;
                libc::munmap(p, page);
                ok
            }
        })
    }
}

/// A mapping that slots are carved from, in address order.
#[derive(Debug)]
pub(crate) struct Slab {
    base: NonNull<u8>,
    len: usize,
    slot_size: usize,
    guard: GuardKind,
    carved: usize,
    record: &'static Record,
}

// SAFETY: a Slab is an exclusive handle on plain memory.
unsafe impl Send for Slab {}

impl Slab {
    pub(crate) fn map(
        slot_size: usize,
        slots: usize,
        guard: GuardKind,
    ) -> Result<Slab, StackError> {
        let len = slot_size.checked_mul(slots).ok_or_else(|| {
            StackError(format!(
                "{slots} stacks of {slot_size} bytes overflow the address space"
            ))
        })?;
        // SAFETY: a fresh private mapping.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(StackError(format!(
                "cannot map {len} bytes for {slots} stacks of {slot_size} bytes: {}",
                io::Error::last_os_error()
            )));
        }
        // A huge page per stack would turn 4 KiB of use into 2 MiB.
        // SAFETY: our mapping; failure (a kernel without huge pages) changes nothing.
        unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
        let base = NonNull::new(base.cast::<u8>()).expect("mmap never returns null");
        let record = Record::publish(base.as_ptr() as usize, len, slot_size);
        Ok(Slab {
            base,
            len,
            slot_size,
            guard,
            carved: 0,
            record,
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        (self.carved + 1) * self.slot_size > self.len
    }

    /// The next slot, with its guard in place.
    pub(crate) fn carve(&mut self) -> Result<Slot, StackError> {
        debug_assert!(!self.is_full());
        // SAFETY: carved < slots of this mapping.
        let base = unsafe { self.base.add(self.carved * self.slot_size) };
        // SAFETY: the first page of a slot that nobody uses yet.
        let rc = unsafe {
            match self.guard {
                GuardKind::Marker => {
                    libc::madvise(base.as_ptr().cast(), page_size(), MADV_GUARD_INSTALL)
                }
                GuardKind::Mprotect => {
                    libc::mprotect(base.as_ptr().cast(), page_size(), libc::PROT_NONE)
                }
            }
        };
        if rc != 0 {
            let e = io::Error::last_os_error();
            let advice = match self.guard {
                GuardKind::Mprotect => {
                    "; each stack guarded by mprotect needs two mappings: raise vm.max_map_count, \
                     or run on Linux 6.13 or later, whose guard markers need none"
                }
                GuardKind::Marker => "",
            };
            return Err(StackError(format!("cannot guard a stack: {e}{advice}")));
        }
        self.carved += 1;
        Ok(Slot {
            base,
            size: self.slot_size,
        })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.record.retract();
        // SAFETY: the mapping is ours and all of its slots have come back (StackPool's duty).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// An entry of the table of slabs that the fault handler searches. Entries are never freed, only
/// reused, so the handler may walk them at any moment without a lock.
#[derive(Debug)]
struct Record {
    /// First address, or 0 when the entry is free, or 1 while it is being filled.
    base: AtomicUsize,
    len: AtomicUsize,
    slot_size: AtomicUsize,
    next: AtomicPtr<Record>,
}

static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

const FREE: usize = 0;
const FILLING: usize = 1;

impl Record {
    fn publish(base: usize, len: usize, slot_size: usize) -> &'static Record {
        let record = Record::reuse().unwrap_or_else(Record::grow);
        record.len.store(len, Ordering::Relaxed);
        record.slot_size.store(slot_size, Ordering::Relaxed);
        // Release: pairs with the Acquire in `find`.
        record.base.store(base, Ordering::Release);
        record
    }

    fn reuse() -> Option<&'static Record> {
        Record::all().find(|r| {
            r.base
                .compare_exchange(FREE, FILLING, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })
    }

    fn grow() -> &'static Record {
        let record: &'static Record = Box::leak(Box::new(Record {
            base: AtomicUsize::new(FILLING),
            len: AtomicUsize::new(0),
            slot_size: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut head = RECORDS.load(Ordering::Relaxed);
        loop {
            record.next.store(head, Ordering::Relaxed);
            // Release: pairs with the Acquire in `all`, which then sees `next`.
            match RECORDS.compare_exchange_weak(
                head,
                ptr::from_ref(record).cast_mut(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return record,
                Err(now) => head = now,
            }
        }
    }

    fn retract(&self) {
        // Release: the mapping's last use is before this; pairs with the Acquire in `reuse`.
        self.base.store(FREE, Ordering::Release);
    }

    fn all() -> impl Iterator<Item = &'static Record> {
        // SAFETY: records are leaked, so every non-null link is valid for ever.
        // Acquire: pairs with the Release in `grow`.
        let mut at = unsafe { RECORDS.load(Ordering::Acquire).as_ref() };
        std::iter::from_fn(move || {
            let r = at?;
            // SAFETY: as above.
            at = unsafe { r.next.load(Ordering::Acquire).as_ref() };
            Some(r)
        })
    }
}

/// Calls `f` with the first address and the length of each slab of the process. Neither waits nor
/// allocates.
pub(crate) fn for_each_slab(mut f: impl FnMut(usize, usize)) {
    for r in Record::all() {
        // Acquire: pairs with the Release in `publish`.
        let base = r.base.load(Ordering::Acquire);
        if base > FILLING {
            f(base, r.len.load(Ordering::Relaxed));
        }
    }
}

/// A fault that hit the guard of a slot.
pub(super) struct GuardHit {
    /// Whoever was running on the stack.
    pub(super) owner: *mut (),
    /// Its size in bytes, guard included.
    pub(super) size: usize,
}

/// Traces a fault address to the guard of a slot. Async-signal-safe.
pub(super) fn find_guard(addr: usize) -> Option<GuardHit> {
    for r in Record::all() {
        // Acquire: pairs with the Release in `publish`.
        let base = r.base.load(Ordering::Acquire);
        let len = r.len.load(Ordering::Relaxed);
        let size = r.slot_size.load(Ordering::Relaxed);
        if base <= FILLING || addr < base || addr - base >= len {
            continue;
        }
        if (addr - base) % size >= page_size() {
            return None;
        }
        let slot = Slot {
            base: NonNull::new((base + (addr - base) / size * size) as *mut u8)?,
            size,
        };
        // SAFETY: the slot is mapped, or its guard could not have been hit.
        let owner = unsafe { (*slot.header()).owner.load(Ordering::Relaxed) };
        return Some(GuardHit { owner, size });
    }
    None
}
