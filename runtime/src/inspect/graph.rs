//! Who waits for what, and what that would take: the notes of the search for leaks (`leaks.rs`).

use super::arena::MapVec;
use super::leaks::{NotNow, Why};
use super::memory::{read, read_word};
use super::roots::{Roots, Span};
use crate::atomics::Ordering;
use crate::fiber;
use crate::g::G;
use crate::g::interrupt::Frame;
use crate::g::parker::Waiter;
use crate::g::status::{Status, WaitReason};
use crate::g::wait::{Encoding, ListHead, Subject};
use std::mem::offset_of;
use std::ptr;

/// So often the goroutines that wait for goroutines are gone through; longer chains are not followed.
const PASSES: usize = 256;

/// What there is to know of one goroutine.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) g: *const G,
    pub(super) id: u64,
    /// Its wait, of a candidate.
    pub(super) waiter: Option<Waiter>,
    pub(super) lost: bool,
    /// Its stack was, or will be, looked through.
    reached: bool,
    reason: WaitReason,
    /// What it waits for: a range of `objects`.
    objects: (u32, u32),
    /// The part of its stack that is in use; of one that runs, all of it.
    stack: Span,
    /// The whole slot.
    slot: Span,
    /// The scope that it belongs to, or 0.
    scope: usize,
    has_handle: bool,
    /// A closure, or a result, that lies in the G.
    task: Option<[usize; G::TASK_WORDS]>,
}

/// Something that is waited for.
#[derive(Clone, Copy)]
struct Object {
    address: usize,
    what: &'static Subject,
}

impl Object {
    /// What its description names by this encoding.
    fn field(&self, as_: Encoding) -> Option<usize> {
        let field = self.what.fields.iter().find(|f| f.as_ == as_)?;
        read_word(self.address + field.offset)
    }
}

/// A channel that a candidate waits on. Once for each of them.
#[derive(Clone, Copy)]
struct Channel {
    address: usize,
    /// One past its highest address.
    end: usize,
    node: u32,
    reached: bool,
}

pub(super) struct Graph {
    pub(super) nodes: MapVec<Node>,
    objects: MapVec<Object>,
    /// Sorted by address.
    channels: MapVec<Channel>,
    /// The length of the longest of them.
    longest: usize,
    /// Nodes with stacks, by their place.
    by_stack: MapVec<u32>,
    /// Who waits for the end of whom (by the address of its G).
    joins: MapVec<(usize, u32)>,
    /// Who belongs to which scope (by its address).
    scopes: MapVec<(usize, u32)>,
    /// Nodes whose stacks are to be looked through.
    work: MapVec<u32>,
    /// By pages: whether a channel or a candidate's stack may be there.
    filter: MapVec<u64>,
}

const FILTER_BITS: usize = 1 << 16;

/// The length of an object that does not tell its own: too much rather than too little.
const UNKNOWN: usize = 1 << 20;

impl Graph {
    pub(super) fn new() -> Option<Graph> {
        let mut filter = MapVec::new()?;
        for _ in 0..FILTER_BITS / 64 {
            filter.push(0u64).then_some(())?;
        }
        Some(Graph {
            nodes: MapVec::new()?,
            objects: MapVec::new()?,
            channels: MapVec::new()?,
            longest: 0,
            by_stack: MapVec::new()?,
            joins: MapVec::new()?,
            scopes: MapVec::new()?,
            work: MapVec::new()?,
            filter,
        })
    }

    /// Its own memory. `work` may grow later: what it holds are small numbers.
    pub(super) fn spans(&self) -> [Span; 7] {
        [
            self.nodes.span(),
            self.objects.span(),
            self.channels.span(),
            self.by_stack.span(),
            self.joins.span(),
            self.scopes.span(),
            self.filter.span(),
        ]
    }

    /// Notes a goroutine of any runtime; it is a candidate only if it is of `sched`. False: there is no
    /// memory.
    pub(super) fn note(&mut self, g: &G, sched: *const ()) -> bool {
        let status = g.status.get();
        let fiber = g.fiber_word();
        let started = fiber != 0;
        let nothing = Span { start: 0, end: 0 };
        let mut node = Node {
            g,
            id: g.id().as_u64(),
            waiter: None,
            lost: false,
            reached: false,
            reason: g.status.reason(),
            objects: (0, 0),
            stack: nothing,
            slot: nothing,
            scope: g.scope_word(),
            has_handle: g.join.has_handle(),
            task: None,
        };
        if status == Status::Idle && !g.task.is_some() && !started {
            return true;
        }
        let parked = match status {
            Status::Waiting => g.parker.armed(),
            _ => None,
        };
        // Who is between its first instruction and its wait, or blocked in a call, has taken its closure
        // out. All others may have it, or the result, nowhere else: also with a stack already, or still.
        if parked.is_none() && status != Status::Blocked {
            node.task = Some(g.task_words());
        }
        if let Some((start, end)) = fiber::bounds(fiber, read) {
            node.slot = Span { start, end };
            node.stack = node.slot;
        }
        let at_rest = parked.is_some() || status == Status::Runnable;
        if at_rest && let Some(seen) = fiber::look(fiber, read) {
            node.stack.start = seen.sp;
            let ours = ptr::eq(g.sched.load(Ordering::Relaxed), sched);
            if ours && !seen.label.bounded && parked.is_some() {
                node.waiter = parked;
                let from = self.objects.len() as u32;
                // SAFETY: it is parked, and stays so: the label is its own.
                let what = unsafe { seen.label.what.cast::<Subject>().as_ref() };
                let known = what.is_none_or(|what| self.note_objects(seen.label.on.addr(), what));
                node.objects = (from, self.objects.len() as u32);
                node.lost = known && self.is_candidate(&node, g);
            }
        }
        let number = self.nodes.len() as u32;
        let mut complete = self.nodes.push(node);
        if node.slot.end != 0 {
            complete &= self.by_stack.push(number);
        }
        if node.scope != 0 {
            complete &= self.scopes.push((node.scope, number));
        }
        if node.lost {
            for i in node.objects.0..node.objects.1 {
                let object = self.objects[i as usize];
                let address = object.address;
                complete &= match object.what.kind {
                    "goroutine" => self.joins.push((address, number)),
                    "chan" => self.channels.push(Channel {
                        address,
                        end: address + object.field(Encoding::Size).unwrap_or(UNKNOWN),
                        node: number,
                        reached: false,
                    }),
                    _ => true,
                };
            }
        }
        complete
    }

    /// False: it has something that is not known.
    fn note_objects(&mut self, on: usize, what: &'static Subject) -> bool {
        let Some(list) = &what.list else {
            let address = on;
            return self.objects.push(Object { address, what });
        };
        let first = read_word(on + offset_of!(ListHead, first));
        let len = read_word(on + offset_of!(ListHead, len));
        let (Some(first), Some(len)) = (first, len) else {
            return false;
        };
        (0..len).map(|i| first + i * list.stride).all(|item| {
            let tag = read_word(item + list.tag);
            let address = read_word(item + list.object);
            let (Some(tag), Some(address)) = (tag, address) else {
                return false;
            };
            match list.kinds.get(tag) {
                Some(&Some((_, what))) => self.objects.push(Object { address, what }),
                Some(None) => true, // never ready
                None => false,
            }
        })
    }

    fn objects_of(&self, node: &Node) -> &[Object] {
        &self.objects[node.objects.0 as usize..node.objects.1 as usize]
    }

    fn is_candidate(&self, node: &Node, g: &G) -> bool {
        let objects = self.objects_of(node);
        let all = |kind: &str| objects.iter().all(|o| o.what.kind == kind);
        let one = |kind: &str| objects.len() == 1 && all(kind);
        let frame = g.parker.frame.load(Ordering::Relaxed);
        let in_frame = match node.reason {
            // Its own frame is ended by its goroutines, which are looked at.
            WaitReason::Scope if !frame.is_null() => {
                read_word(frame.addr() + Frame::OUTER) != Some(0)
            }
            _ => !frame.is_null(),
        };
        !in_frame
            && g.parker.interruptible.load(Ordering::Relaxed)
            && !g.parker.is_requested()
            && match node.reason {
                WaitReason::ChanReceive | WaitReason::ChanSend => one("chan"),
                WaitReason::Select => all("chan"), // nothing that time or the system makes ready
                WaitReason::ChanReceiveNil
                | WaitReason::ChanSendNil
                | WaitReason::SelectNoCases => true,
                WaitReason::MutexLock => one("mutex"),
                WaitReason::Join => one("goroutine"),
                WaitReason::Scope => one("scope"),
                _ => false,
            }
    }

    /// Makes the tables by which words are looked up, and leaves out what is waited on.
    pub(super) fn sort(&mut self, excluded: &mut MapVec<Span>) -> bool {
        let nodes = &self.nodes;
        self.by_stack
            .sort_unstable_by_key(|&i| nodes[i as usize].slot.start);
        self.channels.sort_unstable_by_key(|c| c.address);
        self.joins.sort_unstable();
        self.scopes.sort_unstable();
        let mut complete = true;
        for i in 0..self.channels.len() {
            let Channel { address, end, .. } = self.channels[i];
            self.mark_filter(address, end);
            self.longest = self.longest.max(end - address);
        }
        for i in 0..self.nodes.len() {
            let node = self.nodes[i];
            if !node.lost {
                continue;
            }
            self.mark_filter(node.stack.start, node.stack.end);
            for o in self.objects_of(&node) {
                let (start, end) = (o.address, o.address + o.what.size);
                if o.what.size > 0 {
                    complete &= excluded.push(Span { start, end });
                }
            }
        }
        // The stacks of all others are looked through in any case, and what waits in their Gs.
        for i in 0..self.nodes.len() {
            if !self.nodes[i].lost {
                complete &= self.work.push(i as u32);
                self.nodes[i].reached = true;
            }
        }
        complete
    }

    fn mark_filter(&mut self, start: usize, end: usize) {
        for page in start >> 12..=(end.max(start + 1) - 1) >> 12 {
            let bit = page % FILTER_BITS;
            self.filter[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Somebody alive could look at this word.
    #[inline(always)]
    pub(super) fn reach(&mut self, word: usize) {
        if self.may_lead(word) {
            self.reach_channel(word);
        }
    }

    /// As `reach`, of a word in the stack of a goroutine: that may borrow what is on another's stack, if
    /// the other waits until it is done. (Elsewhere such words are what the runtime, or a channel that is
    /// gone, has left.)
    #[inline(always)]
    fn reach_from_stack(&mut self, word: usize) {
        if self.may_lead(word) {
            self.reach_channel(word);
            self.reach_stack(word);
        }
    }

    #[inline(always)]
    fn may_lead(&self, word: usize) -> bool {
        let bit = (word >> 12) % FILTER_BITS;
        self.filter[bit / 64] & 1 << (bit % 64) != 0
    }

    #[inline(never)]
    fn reach_channel(&mut self, word: usize) {
        let mut i = self.channels.partition_point(|c| c.address <= word);
        while i > 0 && word - self.channels[i - 1].address < self.longest {
            i -= 1;
            if !self.channels[i].reached && word < self.channels[i].end {
                self.channels[i].reached = true;
                let node = self.channels[i].node;
                self.goes_on(node);
            }
        }
    }

    #[inline(never)]
    fn reach_stack(&mut self, word: usize) {
        if let Some(i) = self.owner_of(word)
            && !self.nodes[i as usize].reached
            && self.nodes[i as usize].stack.start <= word
        {
            self.nodes[i as usize].reached = true;
            self.work.push(i);
        }
    }

    /// The node in whose slot an address is.
    fn owner_of(&self, address: usize) -> Option<u32> {
        let nodes = &self.nodes;
        let at = self
            .by_stack
            .partition_point(|&i| nodes[i as usize].slot.start <= address);
        let i = *self.by_stack.get(at.checked_sub(1)?)?;
        (address < nodes[i as usize].slot.end).then_some(i)
    }

    /// It is not lost.
    fn goes_on(&mut self, i: u32) {
        let node = &mut self.nodes[i as usize];
        node.lost = false;
        if !node.reached {
            node.reached = true;
            self.work.push(i);
        }
    }

    /// Takes back all that something alive could make go on.
    pub(super) fn take_back(&mut self, roots: &mut Roots) -> Result<(), NotNow> {
        for _ in 0..PASSES {
            while let Some(i) = self.work.pop() {
                let node = self.nodes[i as usize];
                if let Some(words) = node.task {
                    words.iter().for_each(|&word| self.reach(word));
                }
                if node.stack.end != 0 {
                    roots.scan_stack(node.stack, |word| self.reach_from_stack(word));
                }
            }
            let mut all_stay = true;
            for i in 0..self.nodes.len() {
                if self.nodes[i].lost && self.could_go_on(&self.nodes[i]) {
                    // Its stack may have been looked through before: there is no work, and yet a change.
                    all_stay = false;
                    self.goes_on(i as u32);
                }
            }
            if all_stay {
                return Ok(());
            }
        }
        Err(NotNow)
    }

    /// Whether another goroutine, that is not lost, could end its wait.
    fn could_go_on(&self, node: &Node) -> bool {
        let address = node.g.addr();
        if node.has_handle && !self.pairs(&self.joins, address).any(|j| j.lost) {
            return true; // by a cancel; unless the handle is where somebody joins it
        }
        if node.scope != 0 && self.scope_is_alive(node.scope) {
            return true; // one that fails cancels the others
        }
        match node.reason {
            WaitReason::MutexLock => self.holder(node).is_none_or(|h| !h.lost),
            WaitReason::Join => self.target(node).is_none_or(|t| !t.lost),
            WaitReason::Scope => {
                let scope = self.objects_of(node)[0].address;
                let mut members = self.pairs(&self.scopes, scope).peekable();
                members.peek().is_none() || members.any(|m| !m.lost)
            }
            _ => false,
        }
    }

    /// Whether the scope has a goroutine, or a parent, that is not lost.
    fn scope_is_alive(&self, scope: usize) -> bool {
        let parent = self.owner_of(scope).map(|i| &self.nodes[i as usize]);
        parent.is_none_or(|p| !p.lost) || self.pairs(&self.scopes, scope).any(|m| !m.lost)
    }

    /// Those that a sorted table has under an address.
    fn pairs<'a>(
        &'a self,
        table: &'a [(usize, u32)],
        address: usize,
    ) -> impl Iterator<Item = &'a Node> {
        let from = table.partition_point(|&(a, _)| a < address);
        let same = table[from..]
            .iter()
            .take_while(move |&&(a, _)| a == address);
        same.map(|&(_, i)| &self.nodes[i as usize])
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
    fn target(&self, node: &Node) -> Option<&Node> {
        let address = self.objects_of(node).first()?.address;
        self.nodes.iter().find(|n| n.g.addr() == address)
    }

    pub(super) fn why(&self, node: &Node) -> Why {
        match node.reason {
            WaitReason::MutexLock => Why::Lock(self.holder(node).map_or(0, |h| h.id)),
            WaitReason::Join => Why::Join(self.target(node).map_or(0, |t| t.id)),
            WaitReason::Scope => Why::Scope,
            WaitReason::ChanReceive | WaitReason::ChanSend => Why::Channel,
            WaitReason::Select if node.objects.0 < node.objects.1 => Why::Channel,
            _ => Why::Nil,
        }
    }
}
