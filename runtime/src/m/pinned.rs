//! Runnable goroutines that may run on one M only (`Builder::pin_started`).

use crate::atomics::atomic::AtomicUsize;
use crate::atomics::{Mutex, Ordering};
use crate::g::G;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Pinned {
    queue: Mutex<VecDeque<*const G>>,
    len: AtomicUsize,
}

impl Pinned {
    pub(crate) fn new() -> Pinned {
        Pinned {
            queue: Mutex::new(VecDeque::new()),
            len: AtomicUsize::new(0),
        }
    }

    /// Queues `g`, whose ownership passes to the queue.
    pub(crate) fn push(&self, g: *const G) {
        let mut q = self.queue.lock();
        q.push_back(g);
        // Relaxed: a hint; whoever must not miss an entry holds the scheduler's lock, as `push`'s
        // caller does.
        self.len.store(q.len(), Ordering::Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<*const G> {
        if self.is_empty() {
            return None;
        }
        let mut q = self.queue.lock();
        let g = q.pop_front();
        self.len.store(q.len(), Ordering::Relaxed);
        g
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }
}
