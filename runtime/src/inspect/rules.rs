//! Who could go on, and whom that lets go on: what the search for leaks (`leaks.rs`) concludes from its notes
//! (`graph.rs`).
//!
//! Whoever turns out not to be lost is looked at once, and with it those whose rule names it: so the search takes as long
//! as there are goroutines, and not as long as their chains.

use super::graph::{Graph, Node};
use super::leaks::{NotNow, Why};
use super::roots::Roots;
use crate::g::status::WaitReason;
use crate::g::wait::Encoding;
use std::ops::Range;

/// So often all goroutines are gone through that are still lost: once to find those of which too little is known, and
/// once to see that nobody was forgotten.
const PASSES: usize = 8;

/// Where in a table, that is sorted by them, the keys are from one on to below another.
fn between<T>(table: &[T], key: impl Fn(&T) -> usize, keys: Range<usize>) -> Range<usize> {
    let from = table.partition_point(|t| key(t) < keys.start);
    let to = table.partition_point(|t| key(t) < keys.end);
    from..to
}

impl Graph {
    /// It is not lost.
    pub(super) fn goes_on(&mut self, i: u32) {
        let node = &mut self.nodes[i as usize];
        if std::mem::replace(&mut node.lost, false) {
            self.moved.push(i);
        }
        let node = &mut self.nodes[i as usize];
        if !std::mem::replace(&mut node.reached, true) {
            self.work.push(i);
        }
    }

    /// Takes back all that something alive could make go on.
    pub(super) fn take_back(&mut self, roots: &mut Roots) -> Result<(), NotNow> {
        for _ in 0..PASSES {
            loop {
                if let Some(i) = self.moved.pop() {
                    self.let_go_on(i);
                } else if let Some(i) = self.work.pop() {
                    let node = self.nodes[i as usize];
                    if let Some(words) = node.task {
                        words.iter().for_each(|&word| self.reach(word));
                    }
                    if node.stack.end != 0 {
                        roots.scan_stack(node.stack, |word| self.reach_from_stack(word));
                    }
                } else {
                    break;
                }
            }
            let mut all_stay = true;
            for i in 0..self.nodes.len() {
                all_stay &= !self.look_again(i as u32);
            }
            if all_stay {
                return Ok(());
            }
        }
        Err(NotNow)
    }

    /// Whether it goes on after all, though it was taken for lost.
    fn look_again(&mut self, i: u32) -> bool {
        let node = &self.nodes[i as usize];
        let could = node.lost && self.could_go_on(node);
        if could {
            self.goes_on(i);
        }
        could
    }

    /// What follows for others from one that is not lost.
    fn let_go_on(&mut self, i: u32) {
        let node = self.nodes[i as usize];
        // Who waits for its end.
        for at in self.joiners(&node) {
            self.look_again(self.joins[at].1);
        }
        // Whom it could cancel: it has the handle in its hands.
        if node.reason == WaitReason::Join
            && let Some(target) = self.target(&node)
        {
            self.look_again(target);
        }
        if node.scope != 0 {
            self.scope_goes_on(node.scope);
        }
        // The scopes that it is the parent of, and the mutexes that it holds.
        for at in between(&self.scopes, |m| m.scope, node.slot.start..node.slot.end) {
            self.scope_goes_on(self.scopes[at].scope);
        }
        for at in between(&self.locks, |l| l.0, node.stack.start..node.stack.end) {
            self.look_again(self.locks[at].1);
        }
    }

    /// Its parent, or one of its goroutines, goes on.
    fn scope_goes_on(&mut self, scope: usize) {
        let members = self.members(scope);
        match self.scopes[members.clone()].first_mut() {
            Some(first) if !first.alive => first.alive = true,
            _ => return,
        }
        if let Some(parent) = self.owner_of(scope) {
            self.look_again(parent);
        }
        for at in members {
            self.look_again(self.scopes[at].node);
        }
    }

    /// Whether another goroutine, that is not lost, could end its wait.
    fn could_go_on(&self, node: &Node) -> bool {
        if node.has_handle && !self.is_joined_by_a_lost_one(node) {
            return true; // by a cancel; unless the handle is where somebody joins it
        }
        if node.scope != 0
            && (self.owner_of(node.scope).is_none() || self.is_alive(node.scope) != Some(false))
        {
            return true; // one that fails cancels the others
        }
        match node.reason {
            WaitReason::MutexLock => self.holder(node).is_none_or(|h| !h.lost),
            WaitReason::Join => {
                let target = self.target(node);
                target.is_none_or(|t| !self.nodes[t as usize].lost)
            }
            WaitReason::Scope => self.is_alive(self.objects_of(node)[0].address) != Some(false),
            _ => false,
        }
    }

    fn is_joined_by_a_lost_one(&self, node: &Node) -> bool {
        let mut joiners = self.joins[self.joiners(node)].iter();
        joiners.any(|j| self.nodes[j.1 as usize].lost)
    }

    /// Where in `joins` those are who wait for its end.
    fn joiners(&self, node: &Node) -> Range<usize> {
        let address = node.g.addr();
        between(&self.joins, |j| j.0, address..address + 1)
    }

    /// Where in `scopes` its goroutines are.
    fn members(&self, scope: usize) -> Range<usize> {
        between(&self.scopes, |m| m.scope, scope..scope + 1)
    }

    /// Whether the scope has a goroutine, or a parent, that is not lost. `None`: it has no goroutines.
    fn is_alive(&self, scope: usize) -> Option<bool> {
        let first = self.scopes[self.members(scope)].first()?;
        Some(first.alive)
    }

    /// Who has the mutex that it waits for. `None`: that is not known.
    fn holder(&self, node: &Node) -> Option<&Node> {
        let object = self.objects_of(node).first()?;
        let place = object.field(Encoding::Address)?;
        let owner = &self.nodes[self.owner_of(place)? as usize];
        // Behind its end, the stack is another's.
        (owner.stack.start <= place).then_some(owner)
    }

    /// The goroutine whose end it waits for.
    fn target(&self, node: &Node) -> Option<u32> {
        let address = self.objects_of(node).first()?.address;
        let at = self.by_g.binary_search_by_key(&address, |g| g.0).ok()?;
        Some(self.by_g[at].1)
    }

    pub(super) fn why(&self, node: &Node) -> Why {
        match node.reason {
            WaitReason::MutexLock => Why::Lock(self.holder(node).map_or(0, |h| h.id)),
            WaitReason::Join => {
                let target = self.target(node);
                Why::Join(target.map_or(0, |t| self.nodes[t as usize].id))
            }
            WaitReason::Scope => Why::Scope,
            WaitReason::ChanReceive | WaitReason::ChanSend => Why::Channel,
            WaitReason::Select if node.objects.0 < node.objects.1 => Why::Channel,
            _ => Why::Nil,
        }
    }
}
