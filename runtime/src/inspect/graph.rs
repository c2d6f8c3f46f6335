//! Who waits for what, and where: the notes of the search for leaks (`leaks.rs`). What follows from them is in
//! `rules.rs`.

use super::arena::MapVec;
use super::memory::{read, read_word};
use super::roots::Span;
use crate::atomics::Ordering;
use crate::fiber;
use crate::g::G;
use crate::g::interrupt::Frame;
use crate::g::parker::Waiter;
use crate::g::status::{Status, WaitReason};
use crate::g::wait::{Encoding, ListHead, Subject};
use std::mem::offset_of;
use std::ptr;

/// What there is to know of one goroutine.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) g: *const G,
    pub(super) id: u64,
    /// Its wait, of a candidate.
    pub(super) waiter: Option<Waiter>,
    pub(super) lost: bool,
    /// Its stack was, or will be, looked through.
    pub(super) reached: bool,
    pub(super) reason: WaitReason,
    /// What it waits for: a range of `objects`.
    pub(super) objects: (u32, u32),
    /// The part of its stack that is in use; of one that runs, all of it.
    pub(super) stack: Span,
    /// The whole slot.
    pub(super) slot: Span,
    /// The scope that it belongs to, or 0.
    pub(super) scope: usize,
    pub(super) has_handle: bool,
    /// A closure, or a result, that lies in the G.
    pub(super) task: Option<[usize; G::TASK_WORDS]>,
}

/// Something that is waited for.
#[derive(Clone, Copy)]
pub(super) struct Object {
    pub(super) address: usize,
    what: &'static Subject,
}

impl Object {
    /// What its description names by this encoding.
    pub(super) fn field(&self, as_: Encoding) -> Option<usize> {
        let field = self.what.fields.iter().find(|f| f.as_ == as_)?;
        read_word(self.address + field.offset)
    }
}

/// A channel that candidates wait on.
#[derive(Clone, Copy)]
struct Channel {
    address: usize,
    /// One past its highest address.
    end: usize,
    /// One past the highest address of those up to this one: beyond it, there is no need to look further down.
    furthest: usize,
    /// The first of them in `waits`.
    first: u32,
    reached: bool,
}

/// A goroutine of a scope.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) scope: usize,
    pub(super) node: u32,
    /// In the first one of each scope: its parent, or one of its goroutines, is not lost.
    pub(super) alive: bool,
}

pub(super) struct Graph {
    pub(super) nodes: MapVec<Node>,
    objects: MapVec<Object>,
    /// Candidates that wait on a channel, by its address, and which of `objects` it is.
    waits: MapVec<(usize, u32, u32)>,
    /// Each channel once, by address.
    channels: MapVec<Channel>,
    /// Nodes with stacks, by their place.
    by_stack: MapVec<u32>,
    /// Nodes by the addresses of their Gs.
    pub(super) by_g: MapVec<(usize, u32)>,
    /// Candidates that wait for the end of a goroutine, by the address of its G.
    pub(super) joins: MapVec<(usize, u32)>,
    /// Candidates that wait for a mutex, by the place on its holder's stack that leads to the holder.
    pub(super) locks: MapVec<(usize, u32)>,
    /// Who belongs to which scope, by its address.
    pub(super) scopes: MapVec<Member>,
    /// Nodes whose stacks are to be looked through: each once at most.
    pub(super) work: MapVec<u32>,
    /// Nodes that are not lost, and of which nothing was concluded yet: each once at most.
    pub(super) moved: MapVec<u32>,
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
            waits: MapVec::new()?,
            channels: MapVec::new()?,
            by_stack: MapVec::new()?,
            by_g: MapVec::new()?,
            joins: MapVec::new()?,
            locks: MapVec::new()?,
            scopes: MapVec::new()?,
            work: MapVec::new()?,
            moved: MapVec::new()?,
            filter,
        })
    }

    /// Its own memory; it does not grow after `sort`.
    pub(super) fn spans(&self) -> [Span; 12] {
        [
            self.nodes.span(),
            self.objects.span(),
            self.waits.span(),
            self.channels.span(),
            self.by_stack.span(),
            self.by_g.span(),
            self.joins.span(),
            self.locks.span(),
            self.scopes.span(),
            self.work.span(),
            self.moved.span(),
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
            // With the registers that outlive a call: a value may be in one of them, and nowhere else.
            node.stack.start = seen.saved;
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
        complete &= self.by_g.push((node.g.addr(), number));
        if node.scope != 0 {
            complete &= self.scopes.push(Member {
                scope: node.scope,
                node: number,
                alive: false,
            });
        }
        if node.lost {
            for i in node.objects.0..node.objects.1 {
                let object = self.objects[i as usize];
                let address = object.address;
                complete &= match object.what.kind {
                    "goroutine" => self.joins.push((address, number)),
                    "mutex" => match object.field(Encoding::Address) {
                        Some(place) => self.locks.push((place, number)),
                        None => true,
                    },
                    "chan" => self.waits.push((address, number, i)),
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

    pub(super) fn objects_of(&self, node: &Node) -> &[Object] {
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
        self.waits.sort_unstable();
        self.by_g.sort_unstable();
        self.joins.sort_unstable();
        self.locks.sort_unstable();
        self.scopes.sort_unstable_by_key(|m| m.scope);
        // From now on nothing grows.
        let all = self.nodes.len();
        let mut complete = self.work.reserve(all) && self.moved.reserve(all);
        for i in 0..self.waits.len() {
            if i == 0 || self.waits[i].0 != self.waits[i - 1].0 {
                complete &= self.note_channel(i as u32);
            }
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
                complete &= self.work.push(i as u32) && self.moved.push(i as u32);
                self.nodes[i].reached = true;
            }
        }
        complete
    }

    /// The channel of which this is the first of `waits`. In the order of their addresses.
    fn note_channel(&mut self, first: u32) -> bool {
        let (address, _, object) = self.waits[first as usize];
        let size = self.objects[object as usize].field(Encoding::Size);
        let end = address + size.unwrap_or(UNKNOWN);
        self.mark_filter(address, end);
        let before = self.channels.last().map_or(0, |c| c.furthest);
        self.channels.push(Channel {
            address,
            end,
            furthest: end.max(before),
            first,
            reached: false,
        })
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
    pub(super) fn reach_from_stack(&mut self, word: usize) {
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
        while i > 0 && word < self.channels[i - 1].furthest {
            i -= 1;
            let Channel { address, end, .. } = self.channels[i];
            if self.channels[i].reached || word >= end {
                continue;
            }
            self.channels[i].reached = true;
            let mut at = self.channels[i].first as usize;
            while let Some(&(channel, waits, _)) = self.waits.get(at)
                && channel == address
            {
                self.goes_on(waits);
                at += 1;
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
    pub(super) fn owner_of(&self, address: usize) -> Option<u32> {
        let nodes = &self.nodes;
        let at = self
            .by_stack
            .partition_point(|&i| nodes[i as usize].slot.start <= address);
        let i = *self.by_stack.get(at.checked_sub(1)?)?;
        (address < nodes[i as usize].slot.end).then_some(i)
    }
}
