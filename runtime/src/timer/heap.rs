//! The timers of one P: a heap with four children per node, the earliest on top, equal times in the
//! order in which they came (Go's `timers`, which has the same shape for the same reason: half the
//! depth of a binary heap, and four children in two cache lines).
//!
//! Deletion is lazy. A wait that ended otherwise leaves its entry behind, which is not looked for:
//! it is thrown away when it comes to the top, or by a sweep over all when the heap has grown to
//! twice what was alive after the last sweep. So deleting costs nothing, a sweep a few nanoseconds
//! per timer that was added since, and a heap never holds more than twice what is alive and
//! [`SWEEP_MIN`].
//!
//! Nothing here is shared: the owner locks.

use super::node::Node;
use super::{NEVER, Nanos};
use crate::g::parker::Waiter;
use std::sync::Arc;

/// Below this the heap is not swept: 1.5 KiB, and a sweep that finds all alive is then rare enough.
const SWEEP_MIN: usize = 64;

/// Children per node.
const ARITY: usize = 4;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Target {
    /// A wait ends.
    Wake(Waiter),
    /// A timer fires, if this is still its number.
    Node(Arc<Node>, u32),
}

/// One line of the heap: 24 bytes. `raw` is a waiter's parker, or an `Arc<Node>` that is counted
/// here, and `seq` the number of the wait or of the timer's setting.
#[derive(Debug)]
struct Entry {
    when: Nanos,
    raw: *const (),
    seq: u32,
    /// Twice the order of arrival, plus whether `raw` is a node.
    order: u32,
}

impl Entry {
    fn is_node(&self) -> bool {
        self.order & 1 != 0
    }

    /// Earlier, or as early and added before. (Orders wrap: of two that differ by less than 2^30
    /// the smaller is the older one.)
    fn before(&self, other: &Entry) -> bool {
        self.when < other.when
            || self.when == other.when && (self.order.wrapping_sub(other.order) as i32) < 0
    }

    /// Whether it still means something.
    fn is_alive(&self) -> bool {
        if self.is_node() {
            // SAFETY: counted by this entry.
            unsafe { &*self.raw.cast::<Node>() }.keeps(self.seq)
        } else {
            // SAFETY: made of a waiter in `add`.
            unsafe { Waiter::from_parts(self.raw, self.seq) }.is_waiting()
        }
    }

    /// What it stands for; to be called once.
    fn take(&self) -> Target {
        // SAFETY: made of these parts in `add`; a node's count goes to the caller.
        unsafe {
            if self.is_node() {
                Target::Node(Arc::from_raw(self.raw.cast()), self.seq)
            } else {
                Target::Wake(Waiter::from_parts(self.raw, self.seq))
            }
        }
    }
}

/// The heap. See the module's text.
#[derive(Debug)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
    order: u32,
    /// Length at which it is swept.
    sweep_at: usize,
}

// SAFETY: the pointers are to parkers, which are accessed atomically and outlive their waiters'
// names, and to nodes, which are Sync.
unsafe impl Send for Heap {}

impl Heap {
    pub(crate) const fn new() -> Heap {
        Heap {
            entries: Vec::new(),
            order: 0,
            sweep_at: SWEEP_MIN,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The time of the earliest.
    pub(crate) fn next(&self) -> Nanos {
        self.entries.first().map_or(NEVER, |e| e.when)
    }

    /// Adds a timer.
    pub(crate) fn add(&mut self, when: Nanos, target: Target) {
        if self.entries.len() >= self.sweep_at {
            self.sweep();
        }
        self.order = self.order.wrapping_add(2);
        let (raw, seq, node) = match target {
            Target::Wake(waiter) => {
                let (raw, seq) = waiter.into_parts();
                (raw, seq, 0)
            }
            Target::Node(node, seq) => (Arc::into_raw(node).cast(), seq, 1),
        };
        self.entries.push(Entry {
            when,
            raw,
            seq,
            order: self.order | node,
        });
        self.up(self.entries.len() - 1);
    }

    /// Takes the earliest, if its time has come.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, Target)> {
        let first = self.entries.first()?;
        if first.when > now {
            return None;
        }
        let (when, target) = (first.when, first.take());
        self.entries.swap_remove(0);
        if !self.entries.is_empty() {
            self.down(0);
        }
        Some((when, target))
    }

    /// Throws away what has lost its meaning.
    #[cold]
    fn sweep(&mut self) {
        self.entries.retain(|e| {
            let alive = e.is_alive();
            if !alive {
                drop(e.take());
            }
            alive
        });
        for at in (0..self.entries.len().div_ceil(ARITY)).rev() {
            self.down(at);
        }
        self.sweep_at = (2 * self.entries.len()).max(SWEEP_MIN);
        self.entries.shrink_to(self.sweep_at);
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !self.entries[at].before(&self.entries[parent]) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    fn down(&mut self, mut at: usize) {
        loop {
            let first = at * ARITY + 1;
            let end = (first + ARITY).min(self.entries.len());
            let Some(least) = (first..end).reduce(|a, b| {
                if self.entries[b].before(&self.entries[a]) {
                    b
                } else {
                    a
                }
            }) else {
                return;
            };
            if !self.entries[least].before(&self.entries[at]) {
                return;
            }
            self.entries.swap(at, least);
            at = least;
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for e in self.entries.drain(..) {
            if let Target::Node(node, number) = e.take() {
                node.lose_entry(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g::parker::{Kind, Parker, Token};

    fn waiting(n: usize) -> Vec<Parker> {
        (0..n)
            .map(|_| {
                let p = Parker::new(Kind::Thread);
                p.arm(p.episode());
                p
            })
            .collect()
    }

    fn target(p: &Parker) -> Target {
        Target::Wake(p.armed().expect("it waits"))
    }

    #[test]
    fn what_comes_out_is_sorted_and_stable() {
        let parkers = waiting(1000);
        let mut heap = Heap::new();
        let mut x = 1u64;
        let mut want = Vec::new();
        for (i, p) in parkers.iter().enumerate() {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
            let when = x >> 58;
            want.push((when, i));
            heap.add(when, target(p));
        }
        want.sort(); // by time, then by arrival
        assert_eq!(heap.next(), want[0].0);
        for (when, i) in want {
            let (got, Target::Wake(w)) = heap.pop_due(u64::MAX - 1).unwrap() else {
                panic!("only waits are in it");
            };
            assert_eq!((got, w), (when, parkers[i].armed().unwrap()));
        }
        assert_eq!((heap.len(), heap.next()), (0, NEVER));
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let parkers = waiting(1);
        let mut heap = Heap::new();
        heap.add(10, target(&parkers[0]));
        assert!(heap.pop_due(9).is_none());
        assert!(heap.pop_due(10).is_some());
    }

    #[test]
    fn ended_waits_are_swept_and_the_others_kept() {
        let parkers = waiting(100);
        let mut heap = Heap::new();
        for (i, p) in parkers.iter().enumerate() {
            heap.add(1000 - i as u64, target(p));
        }
        for round in 0..10_000u64 {
            let p = Parker::new(Kind::Thread);
            p.arm(p.episode());
            let w = p.armed().unwrap();
            // Kept alive beyond the test: a heap may look at ended waits.
            let p = Box::leak(Box::new(p));
            p.arm(p.episode());
            heap.add(5000 + round, target(p));
            let _ = p.armed().unwrap().claim(Token::new(0)).unwrap();
            let _ = w;
        }
        assert!(heap.len() <= 300, "{} entries of 100 that wait", heap.len());
        let mut last = 0;
        for _ in 0..100 {
            let (when, _) = heap.pop_due(1000).unwrap();
            assert!(when >= last);
            last = when;
        }
        assert!(heap.pop_due(1000).is_none());
    }
}
