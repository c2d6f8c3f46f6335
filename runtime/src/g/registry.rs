//! All Gs of the process: where they come from, where they go back to, and the walk over them.
//!
//! Gs are allocated in chunks and never move. Ps keep free ones of their own and come here for
//! batches; a handle that is dropped on a plain thread brings its G back here. Since every G that
//! is not free is owned by some runtime or handle, the chunks can be freed when all Gs are free
//! and no runtime is left: then nothing remains of a runtime that was shut down.

use super::G;
use crate::atomics::atomic::{AtomicPtr, AtomicUsize};
use crate::atomics::{Mutex, Ordering};
use std::ptr;

/// Gs per chunk: 64 KiB each, so that a million goroutines are some 4,000 allocations.
pub(crate) const CHUNK: usize = 256;

/// Gs that go to and from a P at a time.
pub(crate) const BATCH: usize = 32;

struct Registry {
    chunks: Vec<Box<[G]>>,
    /// Free Gs in batches, so that taking and giving one touches no G but its ends: with one long
    /// list, walking over cold Gs under the lock was a quarter of a storm of spawns on two Ps.
    free: Vec<GList>,
    /// Gs in all batches.
    free_len: usize,
    /// Runtimes that are up.
    users: usize,
}

// SAFETY: the free list is only touched under the lock of the static below.
unsafe impl Send for Registry {}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    chunks: Vec::new(),
    free: Vec::new(),
    free_len: 0,
    users: 0,
});

/// The registry's chunks for a debugger, which stops the process anywhere: right at every moment, or empty.
#[repr(C)]
pub(crate) struct Listed {
    /// The first of the boxes of Gs, each of which is two words: address and number.
    boxes: AtomicPtr<Box<[G]>>,
    len: AtomicUsize,
}

/// See [`Listed`]. Written under the registry's lock.
pub(crate) static LISTED: Listed = Listed {
    boxes: AtomicPtr::new(ptr::null_mut()),
    len: AtomicUsize::new(0),
};

impl Listed {
    /// There are these from now on; none, before they are changed.
    fn set(&self, boxes: &[Box<[G]>]) {
        // Release: in this order, for a debugger that has stopped us.
        self.len.store(0, Ordering::Release);
        self.boxes
            .store(boxes.as_ptr().cast_mut(), Ordering::Release);
        self.len.store(boxes.len(), Ordering::Release);
    }
}

/// A list of Gs, linked through the Gs themselves; first in, first out.
#[derive(Debug)]
pub(crate) struct GList {
    head: *mut G,
    tail: *mut G,
    len: usize,
}

impl GList {
    pub(crate) const fn new() -> GList {
        GList {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// The caller owns `g`, which is on no list, and passes it to the list's owner.
    #[inline]
    pub(crate) unsafe fn push_front(&mut self, g: *const G) {
        // SAFETY: the caller owns g.
        unsafe { (*g).link.set(self.head) };
        self.head = g.cast_mut();
        if self.tail.is_null() {
            self.tail = self.head;
        }
        self.len += 1;
    }

    /// # Safety
    /// As for [`GList::push_front`].
    #[inline]
    pub(crate) unsafe fn push_back(&mut self, g: *const G) {
        let g = g.cast_mut();
        // SAFETY: the caller owns g; the tail is on this list.
        unsafe {
            (*g).link.set(ptr::null_mut());
            if self.tail.is_null() {
                self.head = g;
            } else {
                (*self.tail).link.set(g);
            }
        }
        self.tail = g;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<*const G> {
        if self.head.is_null() {
            return None;
        }
        let g = self.head;
        // SAFETY: whatever is on the list is owned by it.
        self.head = unsafe { (*g).link.get() };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len -= 1;
        Some(g)
    }

    /// The first one, which stays on the list.
    pub(crate) fn front(&self) -> Option<*const G> {
        (!self.head.is_null()).then_some(self.head.cast_const())
    }

    /// Moves all of `other` to the end of this list.
    pub(crate) fn append(&mut self, other: &mut GList) {
        if other.head.is_null() {
            return;
        }
        if self.tail.is_null() {
            self.head = other.head;
        } else {
            // SAFETY: the tail is on this list.
            unsafe { (*self.tail).link.set(other.head) };
        }
        self.tail = other.tail;
        self.len += other.len;
        *other = GList::new();
    }
}

/// A runtime starts: keep the chunks.
pub(crate) fn enter() {
    REGISTRY.lock().users += 1;
}

/// A runtime has ended, and its Ps have given their Gs back.
pub(crate) fn leave() {
    let mut r = REGISTRY.lock();
    r.users -= 1;
    r.shrink();
}

/// Takes a batch of free Gs: at least one, and at most about [`BATCH`].
pub(crate) fn take(into: &mut GList) {
    let mut r = REGISTRY.lock();
    if r.free.is_empty() {
        r.grow();
    }
    let mut batch = r.free.pop().expect("there is a batch now");
    r.free_len -= batch.len();
    drop(r);
    into.append(&mut batch);
}

/// Takes one free G.
pub(crate) fn take_one() -> *const G {
    let mut r = REGISTRY.lock();
    if r.free.is_empty() {
        r.grow();
    }
    let batch = r.free.last_mut().expect("there is a batch now");
    let g = batch.pop_front().expect("batches are not empty");
    if batch.len() == 0 {
        r.free.pop();
    }
    r.free_len -= 1;
    g
}

/// Takes free Gs back.
pub(crate) fn give(list: &mut GList) {
    if list.len() == 0 {
        return;
    }
    let mut r = REGISTRY.lock();
    r.free_len += list.len();
    match r.free.last_mut() {
        Some(last) if last.len() + list.len() <= BATCH => last.append(list),
        _ => r.free.push(std::mem::replace(list, GList::new())),
    }
    if r.users == 0 {
        r.shrink();
    }
}

impl Registry {
    /// One more chunk.
    fn grow(&mut self) {
        let chunk: Box<[G]> = (0..CHUNK).map(|_| G::blank()).collect();
        for part in chunk.chunks(BATCH) {
            let mut batch = GList::new();
            for g in part {
                // SAFETY: fresh, owned by nobody else.
                unsafe { batch.push_back(g) };
            }
            self.free_len += batch.len();
            self.free.push(batch);
        }
        LISTED.set(&[]);
        self.chunks.push(chunk);
        LISTED.set(&self.chunks);
    }

    /// Frees the chunks when nothing can point to a G any more.
    fn shrink(&mut self) {
        if self.users == 0 && self.free_len == self.chunks.len() * CHUNK {
            self.free = Vec::new();
            self.free_len = 0;
            LISTED.set(&[]);
            self.chunks = Vec::new();
        }
    }
}

/// The chunks that there are now, as they lie in memory. They stay as long as any runtime is up, so who
/// keeps one may look at the atomic fields of their Gs.
fn chunks() -> Vec<*const [G]> {
    let r = REGISTRY.lock();
    r.chunks.iter().map(|c| ptr::from_ref(&**c)).collect()
}

/// Keeps all chunks, though the last runtime may end meanwhile.
struct Kept;

impl Drop for Kept {
    fn drop(&mut self) {
        leave();
    }
}

/// Calls `f` with each chunk that there is now, without the lock. `f` sees Gs that change under its eyes: only
/// atomic fields may be read.
pub(crate) fn walk(mut f: impl FnMut(&[G])) {
    enter();
    let _kept = Kept;
    for chunk in chunks() {
        // SAFETY: kept.
        f(unsafe { &*chunk });
    }
}

/// Calls `f` with each chunk, without waiting and without an allocation; false if somebody has the lock.
pub(crate) fn try_chunks(mut f: impl FnMut(*const [G])) -> bool {
    let Some(r) = REGISTRY.try_lock() else {
        return false;
    };
    r.chunks.iter().for_each(|c| f(ptr::from_ref(&**c)));
    true
}

/// Calls `f` for every G that belongs to the runtime `sched`, free ones excepted, in the order of
/// their memory. `f` sees Gs that change under its eyes: only atomic fields may be read, and it
/// must not call into this module.
pub(crate) fn for_each(sched: *const (), mut f: impl FnMut(&G)) {
    use super::status::Status;
    let r = REGISTRY.lock();
    for g in r.chunks.iter().flat_map(|c| c.iter()) {
        if ptr::eq(g.sched.load(Ordering::Relaxed), sched) && g.status.get() != Status::Idle {
            f(g);
        }
    }
}
