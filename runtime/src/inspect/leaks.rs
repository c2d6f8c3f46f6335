//! Goroutines that can never go on: a conservative search, in the manner of Go's goroutine leak profile,
//! which asks the garbage collector what a leaked goroutine's channel is reachable from. There is no
//! collector here, so memory itself is asked, as LeakSanitizer does.
//!
//! While all threads are stopped (`stop.rs`), each parked goroutine that waits without a deadline for
//! something whose end others have in their hands is a *candidate*. All candidates are taken for lost, and
//! then those are taken back that something alive could wake:
//!
//! ```text
//!   waits for            could go on if
//!   a channel            its address is in memory that somebody alive could look at
//!   a select             one of its arms could
//!   a mutex              its holder could, or is not known
//!   a goroutine (join)   that goroutine could
//!   a scope              any goroutine of the scope could
//!   a nil channel        never
//! ```
//! and whoever could be cancelled could go on, too: by its join handle, its scope's other goroutines, a
//! frame (`timeout`, `cancellable`). Memory that somebody alive could look at is all memory of the process
//! (the signal frames of the stopped threads with their registers included) without the stacks of
//! goroutines; and the stacks of those that could go on; and those stacks that the former point into.
//! What is left out is the runtime's own: Gs, the heads of the channels that are waited on (their queues
//! lead to those who wait), the threads' stacks below the scheduler's loop, and our own notes.
//!
//! A word that looks like a channel's address counts as one, be it a stale copy: so a leak may be missed,
//! and nothing is reported that could still go on. (But for a program that hides addresses: in unaligned
//! words, encoded, or only in the kernel or in another process.)

use super::arena::MapVec;
use super::graph::Graph;
use super::memory::read_word;
use super::roots::{Roots, Span};
use crate::fiber;
use crate::g::parker::Waiter;
use crate::g::{G, registry};
use crate::stack::for_each_slab;
use std::ptr;

/// Why a goroutine can never go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody who could still run can reach the channel, or any of the select's channels.
    Channel,
    /// It waits for nil channels only, or in a select without arms.
    Nil,
    /// The mutex is held by a goroutine, of this number, that can never go on (or by itself).
    Lock(u64),
    /// It waits for the end of a goroutine, of this number, that can never go on.
    Join(u64),
    /// None of the goroutines of its scope can ever go on.
    Scope,
}

/// A goroutine that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) g: *const G,
    pub(crate) id: u64,
    pub(crate) waiter: Waiter,
    pub(crate) why: Why,
}

/// The search could not be made: what it needs was not to be had at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotNow;

/// The search. All of its memory is its own mappings, so that it does not find its own notes.
pub(crate) struct Search {
    roots: Roots,
    excluded: MapVec<Span>,
    graph: Graph,
    pub(crate) lost: MapVec<Lost>,
}

impl Search {
    /// To be made before the others are stopped. `None`: there is no memory, or none of it can be read.
    pub(crate) fn new() -> Option<Search> {
        fiber::prepare_to_look();
        // Where the system forbids it (a filter of calls), nothing would be found, which is not the same as that there
        // is nothing.
        let word = 1usize;
        read_word(ptr::from_ref(&word).addr()).filter(|&read| read == word)?;
        Some(Search {
            roots: Roots::new()?,
            excluded: MapVec::new()?,
            graph: Graph::new()?,
            lost: MapVec::new()?,
        })
    }

    /// Leaves out memory that is not the user's.
    pub(crate) fn exclude(&mut self, span: Span) {
        if span.start < span.end {
            self.excluded.push(span);
        }
    }

    /// Finds the lost goroutines of the runtime `sched`.
    ///
    /// # Safety
    /// All other threads are stopped, and the runtime does not end.
    pub(crate) unsafe fn run(&mut self, sched: *const ()) -> Result<(), NotNow> {
        let mut complete = true;
        let excluded = &mut self.excluded;
        for_each_slab(|start, len| {
            let end = start + len;
            complete &= excluded.push(Span { start, end });
        });
        let graph = &mut self.graph;
        complete &= registry::try_chunks(|chunk| {
            let start = chunk.cast::<G>().addr();
            let end = start + chunk.len() * size_of::<G>();
            complete &= excluded.push(Span { start, end });
            // SAFETY: chunks stay while a runtime is up, and only atomic fields are read.
            complete &= unsafe { &*chunk }.iter().all(|g| graph.note(g, sched));
        });
        if !complete || !self.graph.sort(&mut self.excluded) {
            return Err(NotNow);
        }
        if !self.graph.nodes.iter().any(|n| n.lost) {
            return Ok(());
        }
        // What is noted from here on finds room: it does not move any more.
        if !self.excluded.reserve(self.excluded.len() + 64) {
            return Err(NotNow);
        }
        for span in self.graph.spans().into_iter().chain([self.lost.span()]) {
            self.exclude(span);
        }
        self.exclude(self.excluded.span());
        merge(&mut self.excluded);
        let Search {
            roots,
            excluded,
            graph,
            lost,
        } = self;
        if !roots.scan(excluded, |word| graph.reach(word)) {
            return Err(NotNow);
        }
        graph.take_back(roots)?;
        for node in graph.nodes.iter().filter(|n| n.lost) {
            if let Some(waiter) = node.waiter {
                let (g, id, why) = (node.g, node.id, graph.why(node));
                if !lost.push(Lost { g, id, waiter, why }) {
                    return Err(NotNow);
                }
            }
        }
        Ok(())
    }
}

/// Sorts spans, and makes one of those that overlap.
fn merge(spans: &mut MapVec<Span>) {
    spans.sort_unstable_by_key(|e| e.start);
    let mut kept = 0;
    for i in 0..spans.len() {
        let e = spans[i];
        if kept > 0 && e.start <= spans[kept - 1].end {
            spans[kept - 1].end = spans[kept - 1].end.max(e.end);
        } else {
            spans[kept] = e;
            kept += 1;
        }
    }
    spans.truncate(kept);
}
