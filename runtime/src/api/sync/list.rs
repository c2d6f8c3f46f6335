//! Those who wait at a primitive: an intrusive list, first in, first out.
//!
//! A [`Node`] lives on the stack of whoever waits, linked in under the lock of the primitive's
//! queue (`queue.rs`). It is unlinked, under the same lock, before its frame ends: by the one who
//! claims its waiter, or by the waiter itself when its wait ended otherwise.
//!
//! A claimed waiter stays parked until it is made ready, and its node with it, so those that were
//! claimed together are linked through their own nodes ([`Woken`]), and waking any number of them
//! allocates nothing. The exception is a waiter that was claimed before it had parked (an open
//! one, see `g/parker.rs`): its node is not touched after the claim.

use crate::park::{Claimed, Token, Waiter};
use std::ptr;
use std::time::Instant;

/// One wait.
#[derive(Debug)]
pub(crate) struct Node {
    waiter: Waiter,
    next: *mut Node,
    prev: *mut Node,
    /// Whether it is linked into a list.
    queued: bool,
    /// In a `Woken`: the right to make the waiter run.
    claimed: Option<Claimed>,
    /// What the primitive wants to know of the waiter.
    pub(crate) note: Note,
}

/// What a primitive notes of a waiter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    /// Nothing.
    Plain,
    /// Since when it has been waiting.
    Since(Instant),
    /// How many permits it waits for.
    Need(usize),
}

impl Node {
    pub(crate) fn new(waiter: Waiter, note: Note) -> Node {
        Node {
            waiter,
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
            queued: false,
            claimed: None,
            note,
        }
    }
}

/// Where in the list a waiter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In front: it has been there before.
    Front,
    /// Behind all others.
    Back,
}

/// The list. All of it is protected by the lock of its queue.
#[derive(Debug)]
pub(crate) struct List {
    first: *mut Node,
    last: *mut Node,
}

impl List {
    pub(crate) const fn new() -> List {
        List {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// # Safety
    /// The lock is held. `node` is in no list, and stays in its place until it is out of this one.
    #[inline]
    pub(crate) unsafe fn push(&mut self, node: *mut Node, place: Place) {
        // SAFETY: node is valid; what is in the list is valid.
        unsafe {
            let (prev, next) = match place {
                Place::Back => (self.last, ptr::null_mut()),
                Place::Front => (ptr::null_mut(), self.first),
            };
            (*node).prev = prev;
            (*node).next = next;
            (*node).queued = true;
            match prev.is_null() {
                true => self.first = node,
                false => (*prev).next = node,
            }
            match next.is_null() {
                true => self.last = node,
                false => (*next).prev = node,
            }
        }
    }

    /// Takes `node` out, if it is still in; whether it was.
    ///
    /// # Safety
    /// The lock is held; `node` was pushed to this list.
    pub(crate) unsafe fn remove(&mut self, node: *mut Node) -> bool {
        // SAFETY: node is valid; what is in the list is valid.
        unsafe {
            if !(*node).queued {
                return false;
            }
            (*node).queued = false;
            let (prev, next) = ((*node).prev, (*node).next);
            match prev.is_null() {
                true => self.first = next,
                false => (*prev).next = next,
            }
            match next.is_null() {
                true => self.last = prev,
                false => (*next).prev = prev,
            }
        }
        true
    }

    /// What is noted of the first waiter.
    ///
    /// # Safety
    /// The lock is held.
    pub(crate) unsafe fn first(&self) -> Option<Note> {
        // SAFETY: what is in the list is valid.
        unsafe { self.first.as_ref() }.map(|n| n.note)
    }

    /// Takes the first waiter out and claims it. `None`: its wait had ended otherwise.
    ///
    /// # Safety
    /// The lock is held; the list is not empty.
    unsafe fn pop_claimed(&mut self, token: Token) -> Option<(Claimed, *mut Node)> {
        let node = self.first;
        // SAFETY: what is in the list is valid; the node is read before the claim.
        unsafe {
            let waiter = (*node).waiter;
            self.remove(node);
            waiter.claim(token).map(|claimed| (claimed, node))
        }
    }

    /// Takes out and claims the first waiter that still waits, with what is noted of it.
    ///
    /// # Safety
    /// The lock is held.
    #[inline]
    pub(crate) unsafe fn claim_first(&mut self, token: Token) -> Option<(Claimed, Note)> {
        while !self.first.is_null() {
            // SAFETY: the list is not empty; the node is read before the claim.
            unsafe {
                let note = (*self.first).note;
                if let Some((claimed, _)) = self.pop_claimed(token) {
                    return Some((claimed, note));
                }
            }
        }
        None
    }

    /// Takes out the first waiter, and claims it into `woken`. Whether it still waited.
    ///
    /// # Safety
    /// The lock is held; the list is not empty.
    pub(crate) unsafe fn claim_into(&mut self, woken: &mut Woken, token: Token) -> bool {
        // SAFETY: the caller's promise; see `Woken::push`.
        unsafe {
            match self.pop_claimed(token) {
                Some((claimed, node)) => {
                    woken.push(claimed, node);
                    true
                }
                None => false,
            }
        }
    }

    /// Takes out all waiters, and claims those that still wait.
    ///
    /// # Safety
    /// The lock is held.
    pub(crate) unsafe fn claim_all(&mut self, token: Token) -> Woken {
        let mut woken = Woken::new();
        while !self.first.is_null() {
            // SAFETY: the caller's promise.
            unsafe { self.claim_into(&mut woken, token) };
        }
        woken
    }
}

/// Waiters that were claimed, in the order in which they came, to be made ready after the lock was
/// released.
#[derive(Debug)]
#[must_use = "claimed waiters sleep for ever unless they are made ready"]
pub(crate) struct Woken {
    first: *mut Node,
    last: *mut Node,
    /// How many were claimed.
    count: usize,
}

impl Woken {
    pub(crate) fn new() -> Woken {
        Woken {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            count: 0,
        }
    }

    /// How many were claimed.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// # Safety
    /// The waiter of `node` was claimed just now, which is where `claimed` is from.
    unsafe fn push(&mut self, claimed: Claimed, node: *mut Node) {
        self.count += 1;
        if claimed.is_running() {
            return; // its frame, with the node, may be gone already
        }
        // SAFETY: a parked waiter's frame stays until it is made ready.
        unsafe {
            (*node).claimed = Some(claimed);
            (*node).next = ptr::null_mut();
            match self.last.is_null() {
                true => self.first = node,
                false => (*self.last).next = node,
            }
        }
        self.last = node;
    }

    /// The next one to make ready.
    pub(crate) fn pop(&mut self) -> Option<Claimed> {
        // SAFETY: not made ready yet, so its frame is there; not touched afterwards.
        let node = unsafe { self.first.as_mut() }?;
        self.first = node.next;
        node.claimed.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order_through_removals() {
        // SAFETY: only a name here: nobody claims it.
        let waiter = unsafe { crate::park::enter().waiter() };
        let mut nodes: Vec<Node> = (0..5).map(|i| Node::new(waiter, Note::Need(i))).collect();
        let p: Vec<*mut Node> = nodes.iter_mut().map(ptr::from_mut).collect();
        let mut list = List::new();
        let order = |list: &List| {
            let mut order = Vec::new();
            let mut at = list.first;
            // SAFETY: the nodes outlive the list.
            while let Some(n) = unsafe { at.as_ref() } {
                let Note::Need(i) = n.note else {
                    unreachable!()
                };
                order.push(i);
                at = n.next;
            }
            order
        };
        // SAFETY: no other thread; the nodes outlive the list.
        unsafe {
            for &x in &p[..4] {
                list.push(x, Place::Back);
            }
            list.push(p[4], Place::Front);
            assert_eq!(order(&list), [4, 0, 1, 2, 3]);
            assert!(list.remove(p[4]));
            assert!(list.remove(p[1]));
            assert!(list.remove(p[3]));
            assert!(!list.remove(p[1]));
            assert_eq!(order(&list), [0, 2]);
            list.push(p[3], Place::Back);
            assert!(list.remove(p[0]));
            assert_eq!(order(&list), [2, 3]);
            // The wait that the waiter names never began: nobody can claim it.
            assert!(list.claim_first(Token::new(0)).is_none());
            assert!(list.is_empty());
        }
    }
}
