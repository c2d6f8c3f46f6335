//! What a goroutine is called: its name and its labels. Most have neither, and pay one load for it.
//!
//! Those who look from outside (dumps, traces) read it while the goroutine lives and ends. So a tag
//! is made, changed and freed under one lock of the process, under which they read; the goroutine
//! itself, and whoever holds its handle, read the name without: it does not change from spawn to free.

use crate::atomics::atomic::AtomicPtr;
use crate::atomics::{Mutex, Ordering};
use std::ptr;

/// Labels that a goroutine keeps; more would make its lines unreadable. The oldest goes.
const MAX_LABELS: usize = 16;

struct Tag {
    name: Option<Box<str>>,
    labels: Vec<(String, String)>,
}

static LOCK: Mutex<()> = Mutex::new(());

/// The tag of one goroutine, or none.
#[derive(Debug)]
pub(crate) struct TagCell(AtomicPtr<Tag>);

impl TagCell {
    /// Where in what it leads to the name is: address and length, the address null if there is none. For debuggers.
    pub(crate) const NAME: usize = std::mem::offset_of!(Tag, name);

    pub(crate) const fn new() -> TagCell {
        TagCell(AtomicPtr::new(ptr::null_mut()))
    }

    /// Gives a name to one that has no tag. By the goroutine's spawner.
    #[cold]
    pub(crate) fn set_name(&self, name: Box<str>) {
        let _lock = LOCK.lock();
        debug_assert!(self.0.load(Ordering::Relaxed).is_null());
        self.store(Tag {
            name: Some(name),
            labels: Vec::new(),
        });
    }

    fn store(&self, tag: Tag) {
        // Release: pairs with the Acquire in `name`.
        self.0
            .store(Box::into_raw(Box::new(tag)), Ordering::Release);
    }

    /// Sets a label; an empty value takes it away. By the goroutine itself.
    #[cold]
    pub(crate) fn label(&self, key: String, value: String) {
        let _lock = LOCK.lock();
        if self.0.load(Ordering::Relaxed).is_null() {
            self.store(Tag {
                name: None,
                labels: Vec::new(),
            });
        }
        // SAFETY: not null; only changed and freed under the lock. The name, which may be read
        // without it, is not touched.
        let labels = unsafe { &mut (*self.0.load(Ordering::Relaxed)).labels };
        labels.retain(|(k, _)| *k != key);
        if labels.len() == MAX_LABELS {
            labels.remove(0);
        }
        if !value.is_empty() {
            labels.push((key, value));
        }
    }

    /// The name.
    ///
    /// # Safety
    /// The goroutine is not freed while it is used.
    #[inline]
    pub(crate) unsafe fn name(&self) -> Option<&str> {
        // Acquire: pairs with the Release in `store`.
        let tag = self.0.load(Ordering::Acquire);
        if tag.is_null() {
            return None;
        }
        // SAFETY: the caller's promise; this field does not change.
        unsafe { (*tag).name.as_deref() }
    }

    /// A copy of the name and the labels, from outside: of whatever goroutine has the G now.
    pub(crate) fn copy(&self) -> (Option<String>, Vec<(String, String)>) {
        if self.0.load(Ordering::Relaxed).is_null() {
            return (None, Vec::new());
        }
        let _lock = LOCK.lock();
        // SAFETY: freed and changed under the lock only.
        match unsafe { self.0.load(Ordering::Relaxed).as_ref() } {
            Some(tag) => (tag.name.as_deref().map(str::to_owned), tag.labels.clone()),
            None => (None, Vec::new()),
        }
    }

    /// The goroutine has ended. By whoever frees it.
    #[inline]
    pub(crate) fn clear(&self) {
        if !self.0.load(Ordering::Relaxed).is_null() {
            self.free();
        }
    }

    #[cold]
    fn free(&self) {
        let _lock = LOCK.lock();
        let tag = self.0.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: made by `store`; nobody reads it any more without the lock, which we hold.
        drop(unsafe { Box::from_raw(tag) });
    }
}
