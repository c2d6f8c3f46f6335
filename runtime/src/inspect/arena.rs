//! Vectors outside of the heap, for work that must not allocate, nor leave its own notes where it
//! searches: a mapping of their own, whose addresses it knows, and which is gone afterwards.

use super::roots::Span;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

/// A vector of plain values in a mapping.
pub(crate) struct MapVec<T: Copy> {
    at: NonNull<T>,
    len: usize,
    bytes: usize,
}

/// First size of a mapping.
const FIRST: usize = 64 << 10;

fn map(bytes: usize) -> Option<NonNull<libc::c_void>> {
    // SAFETY: a new private mapping.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    (at != libc::MAP_FAILED).then(|| NonNull::new(at)).flatten()
}

impl<T: Copy> MapVec<T> {
    /// An empty one. `None`: there is no memory.
    pub(crate) fn new() -> Option<MapVec<T>> {
        Some(MapVec {
            at: map(FIRST)?.cast(),
            len: 0,
            bytes: FIRST,
        })
    }

    /// Adds a value; false: there is no memory.
    pub(crate) fn push(&mut self, value: T) -> bool {
        if (self.len + 1) * size_of::<T>() > self.bytes && !self.grow() {
            return false;
        }
        // SAFETY: there is room.
        unsafe { self.at.as_ptr().add(self.len).write(value) };
        self.len += 1;
        true
    }

    /// Makes room for so many values in all; false: there is no memory.
    pub(crate) fn reserve(&mut self, values: usize) -> bool {
        while values * size_of::<T>() > self.bytes {
            if !self.grow() {
                return false;
            }
        }
        true
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let bytes = self.bytes * 2;
        // SAFETY: our own mapping, which may move.
        let at = unsafe {
            libc::mremap(
                self.at.as_ptr().cast(),
                self.bytes,
                bytes,
                libc::MREMAP_MAYMOVE,
            )
        };
        if at == libc::MAP_FAILED {
            return false;
        }
        let Some(at) = NonNull::new(at) else {
            return false;
        };
        self.at = at.cast();
        self.bytes = bytes;
        true
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was initialised.
        Some(unsafe { self.at.as_ptr().add(self.len).read() })
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The addresses that it occupies.
    pub(crate) fn span(&self) -> Span {
        let start = self.at.as_ptr().addr();
        let end = start + self.bytes;
        Span { start, end }
    }
}

impl<T: Copy> Deref for MapVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many are initialised.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for MapVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: so many are initialised.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for MapVec<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.bytes) };
    }
}
