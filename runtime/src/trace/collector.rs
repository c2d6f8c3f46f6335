//! The thread that is there while events are recorded: it takes them out of the buffers, puts them in
//! order, and gives them to who wants them, a trace that is written or a flight recorder.
//!
//! Each turn ends at a moment T: everything older has been taken (`ring.rs` says why), is sorted, and goes on;
//! what is younger waits for the next turn. So those behind see all events of the process in one order.

use super::clock::Anchor;
use super::error::{Summary, TraceError};
use super::event::{Event, Kind, NO_M, NO_P, Raw, low};
use super::flight::{Flight, Snapshot};
use super::stream::Stream;
use super::{emit, runtimes, session};
use crate::atomics::{heavy_fence, set_tracing};
use crate::m::helper::COLLECTOR;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

/// Longest pause between two turns, if no ring fills before: a turn costs some 10 µs, and what was
/// written is not older than this if the process is killed.
const PAUSE: Duration = Duration::from_millis(20);

/// Who wants events.
pub(crate) enum Consumer {
    Trace(Stream<'static>),
    Flight(Flight),
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Trace,
    Flight,
}

/// What is asked of the collector. It answers after a turn.
pub(crate) enum Command {
    Attach(Box<Consumer>, Sender<()>),
    /// With whether it is the last: then nothing is recorded any more.
    Detach(What, bool, Sender<Result<Summary, TraceError>>),
    Snapshot(Sender<Snapshot>),
}

pub(crate) struct Collector {
    inbox: Receiver<Command>,
    trace: Option<Stream<'static>>,
    flight: Option<Flight>,
    /// The end of the last turn.
    anchor: Anchor,
    /// What was taken, and what is younger than the last turn.
    batch: Vec<Event>,
    /// What is missing at the end of the last turn, and not said yet: for those who end now.
    holes: Vec<Event>,
    /// So many goroutines at most have ended unseen: events are missing, or they were found when they
    /// were about to end.
    unseen: u64,
    /// With so many it is looked which they are.
    look_at: u64,
}

/// So many goroutines may have ended unseen before it is looked which they are, or as many as there are.
const UNSEEN: u64 = 4096;

impl Collector {
    pub(crate) fn new(inbox: Receiver<Command>) -> Collector {
        Collector {
            inbox,
            trace: None,
            flight: None,
            anchor: Anchor::take(),
            batch: Vec::new(),
            holes: Vec::new(),
            unseen: 0,
            look_at: UNSEEN,
        }
    }

    /// Until nobody can ask anything any more.
    pub(crate) fn run(mut self) {
        let _here = COLLECTOR.enter();
        loop {
            session::sleep(PAUSE);
            let mut commands = Vec::new();
            let ended = loop {
                match self.inbox.try_recv() {
                    Ok(command) => commands.push(command),
                    Err(e) => break e == TryRecvError::Disconnected,
                }
            };
            let last = commands
                .iter()
                .any(|c| matches!(c, Command::Detach(_, true, _)));
            let attach = commands.iter().any(|c| matches!(c, Command::Attach(..)));
            let names = attach.then(runtimes::names).unwrap_or_default();
            self.turn(last);
            for command in commands {
                self.obey(command, &names);
            }
            if ended {
                return;
            }
        }
    }

    /// `before` are the names of the runtimes that were up before the turn.
    fn obey(&mut self, command: Command, before: &[(u32, String)]) {
        // Whoever asked may be gone (it panicked): nobody minds.
        match command {
            Command::Attach(consumer, answer) => {
                // Also after the turn: one that starts from now on says what it is called, and one that has ended
                // meanwhile may have events to come.
                let names = [before, &runtimes::names()].concat();
                match *consumer {
                    Consumer::Trace(mut stream) => {
                        stream.begin(self.anchor.ns, names);
                        self.trace = Some(stream);
                    }
                    Consumer::Flight(mut flight) => {
                        flight.begin(names);
                        self.flight = Some(flight);
                    }
                }
                let _ = answer.send(());
            }
            Command::Detach(What::Trace, _, answer) => {
                let stream = self.trace.take();
                let end = stream.map(|mut stream| {
                    stream.write(&self.holes);
                    stream.finish(self.anchor.ns)
                });
                let _ = answer.send(end.unwrap_or(Err(TraceError::NotRunning)));
            }
            Command::Detach(What::Flight, _, answer) => {
                let flight = self.flight.take();
                let end = flight.map(|flight| flight.summary(&self.holes));
                let _ = answer.send(end.ok_or(TraceError::NotRunning));
            }
            Command::Snapshot(answer) => {
                if let Some(flight) = &self.flight {
                    let _ = answer.send(flight.snapshot(self.anchor.ns, &self.holes));
                }
            }
        }
    }

    /// Takes what there is, up to now. `last`: nothing is recorded any more.
    fn turn(&mut self, last: bool) {
        let now = Anchor::take();
        // Pairs with the light fence in `Ring::put`.
        heavy_fence();
        let before = self.anchor;
        self.holes.clear();
        for (ring, retired) in session::rings() {
            let (rt, m) = (ring.rt, ring.m);
            let ns = |ticks| before.until(now, ticks);
            // SAFETY: it is registered with our session. What is read is used once.
            let hole = unsafe {
                ring.turn(now.ticks, ns, |raw| {
                    self.batch.push(Event::new(raw, rt, m, 0));
                })
            };
            let Some(hole) = hole else { continue };
            let at_end = |at| missing(at, hole.count, hole.since, rt, m);
            if last || retired && !hole.closed {
                self.batch.push(at_end(now.ticks));
            } else {
                self.holes.push(at_end(now.ns)); // it says so itself when it has room, or has said so
            }
        }
        let (count, since) = emit::take_outside(&mut self.batch);
        if count > 0 {
            let since = before.until(now, since);
            self.batch.push(missing(now.ticks, count, since, 0, NO_M));
        }
        // Stable, and quick on what consists of sorted parts.
        self.batch.sort_by_key(|e| e.at);
        let ready = self.batch.partition_point(|e| e.at <= now.ticks);
        let mut events: Vec<Event> = self.batch.drain(..ready).collect();
        for e in &mut events {
            e.at = before.until(now, e.at);
        }
        self.anchor = now;
        let alive = self.look_for_ends(&events);
        if let Some(stream) = &mut self.trace {
            stream.write(&events);
            stream.end_turn(alive.as_deref(), now.ns);
            if stream.failed() && self.flight.is_none() {
                set_tracing(false); // nobody wants them any more
            }
        }
        if let Some(flight) = &mut self.flight {
            flight.remember(Arc::new(events), alive, now.ns);
        }
    }

    /// The goroutines that there are, in order, if there may be many that have ended unseen: then those who know of
    /// others may forget them. (A look costs some 10 ns for each, so it is paid by as many lost events.)
    fn look_for_ends(&mut self, events: &[Event]) -> Option<Vec<u64>> {
        let unseen = events.iter().map(|e| match e.kind {
            Kind::Lost => e.small,
            Kind::Exists => 1,
            _ => 0,
        });
        self.unseen += unseen.sum::<u64>();
        if self.unseen < self.look_at {
            return None;
        }
        let alive = runtimes::alive();
        self.unseen = 0;
        self.look_at = UNSEEN.max(alive.len() as u64);
        Some(alive)
    }
}

/// Events are missing up to `at`.
fn missing(at: u64, count: u64, since: u64, rt: u32, m: u32) -> Event {
    let raw = Raw::new(at, Kind::Lost, NO_P, low(count), 0, since);
    // SAFETY: it has no text.
    unsafe { Event::new(raw, rt, m, 0) }
}
