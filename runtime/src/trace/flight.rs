//! The flight recorder's memory: the events of the last seconds, and what was known when they began.
//!
//! It is one more that the collector gives its events to, in order; so there is no second kind of buffer,
//! nothing is overwritten under anybody's eyes, and a snapshot is a copy of some counted pointers. What grows
//! too old is not thrown away but told to a model that draws nothing: so a snapshot knows from the
//! beginning what each P and each goroutine does, and what they are called.

use super::draw::Drawing;
use super::error::{Summary, TraceError};
use super::event::{Event, Kind};
use super::model::Model;
use super::sink::Nothing;
use super::stream::{Format, Stream};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// The events of one turn.
#[derive(Clone)]
struct Chunk {
    events: Arc<Vec<Event>>,
    bytes: usize,
    /// The goroutines that there were after it, in order, if it was looked.
    alive: Option<Arc<Vec<u64>>>,
}

pub(crate) struct Flight {
    keep: u64,
    most_bytes: usize,
    /// What was known before the first chunk.
    before: Model,
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Flight {
    pub(crate) fn new(keep: Duration, most_bytes: usize) -> Flight {
        Flight {
            keep: u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX),
            most_bytes,
            before: Model::default(),
            chunks: VecDeque::new(),
            bytes: 0,
        }
    }

    /// It begins now, with these runtimes.
    pub(crate) fn begin(&mut self, runtimes: Vec<(u32, String)>) {
        self.before.know(runtimes);
    }

    /// Adds the events of a turn that ended `now`, and, if it was looked, which goroutines there were then; and
    /// forgets what is too old, or too much.
    pub(crate) fn remember(&mut self, events: Arc<Vec<Event>>, alive: Option<Vec<u64>>, now: u64) {
        if !events.is_empty() {
            if alive.is_some() {
                self.keep_one_look();
            }
            let bytes = events.iter().map(Event::size).sum();
            self.bytes += bytes;
            self.chunks.push_back(Chunk {
                events,
                bytes,
                alive: alive.map(Arc::new),
            });
        }
        let oldest = now.saturating_sub(self.keep);
        while let Some(first) = self.chunks.front() {
            let young = first.events.last().is_none_or(|e| e.at >= oldest);
            if young && self.bytes <= self.most_bytes {
                break;
            }
            let Some(chunk) = self.chunks.pop_front() else {
                break;
            };
            self.bytes -= chunk.bytes;
            self.tell_before(&chunk);
        }
    }

    /// What was known before the first chunk is what was known after this one.
    fn tell_before(&mut self, chunk: &Chunk) {
        let mut nothing = Nothing(Vec::new());
        let mut last = 0;
        for e in chunk.events.iter() {
            Drawing::new(&mut self.before, &mut nothing, e.at).event(e);
            last = e.at;
        }
        // Not before: what its Ms have lost is told after its end.
        let ended = chunk.events.iter().filter(|e| e.kind == Kind::RuntimeEnd);
        for e in ended {
            self.before.runtimes.remove(&e.rt);
        }
        let threads = &mut self.before.threads;
        threads.retain(|_, thread| !thread.regions.open.is_empty());
        let mut end = Drawing::new(&mut self.before, &mut nothing, last);
        end.forget_ended();
        if let Some(alive) = &chunk.alive {
            end.only(alive);
        }
    }

    /// Forgets all looks but the oldest, which will soon be of use: each is 8 bytes a goroutine.
    fn keep_one_look(&mut self) {
        let looks = self.chunks.iter_mut().filter(|c| c.alive.is_some());
        looks.skip(1).for_each(|c| c.alive = None);
    }

    /// What is remembered `now`, and what is known to be missing at the end of it.
    pub(crate) fn snapshot(&self, now: u64, holes: &[Event]) -> Snapshot {
        let holes = Chunk {
            events: Arc::new(holes.to_vec()),
            bytes: 0,
            alive: None,
        };
        Snapshot {
            before: self.before.clone(),
            chunks: self.chunks.iter().cloned().chain([holes]).collect(),
            now,
        }
    }

    /// What it has seen, in all, with what is known to be missing now.
    pub(crate) fn summary(&self, holes: &[Event]) -> Summary {
        let kept = || self.chunks.iter().flat_map(|c| c.events.iter());
        let lost = kept().filter(|e| e.kind == Kind::Lost);
        Summary {
            events: self.before.events + kept().count() as u64,
            lost: self.before.lost + lost.chain(holes).map(|e| e.small).sum::<u64>(),
            bytes: 0,
        }
    }
}

/// What a flight recorder remembers at one moment.
pub(crate) struct Snapshot {
    before: Model,
    chunks: Vec<Chunk>,
    now: u64,
}

impl Snapshot {
    pub(crate) fn write(
        self,
        format: Format,
        writer: Box<dyn Write + Send + '_>,
    ) -> Result<Summary, TraceError> {
        let mut stream = Stream::new(format, writer);
        let first = self.chunks.iter().find_map(|c| c.events.first());
        stream.begin_with(first.map_or(self.now, |e| e.at), self.before);
        for chunk in &self.chunks {
            stream.write(&chunk.events);
            if let Some(last) = chunk.events.last() {
                stream.end_turn(chunk.alive.as_ref().map(|alive| &alive[..]), last.at);
            }
        }
        stream.finish(self.now)
    }
}
