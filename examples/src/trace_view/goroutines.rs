//! What became of every goroutine: how long it ran, could have run and waited.
//!
//! Only named goroutines have tracks, so all is told by the turns on the tracks of Ms and by the instants
//! that say who was made and woken, in the order of the file. Where events are missing a goroutine's
//! state is unknown until something is heard of it, and that time is nobody's.

use std::collections::HashMap;

use super::latency::{Latencies, Since};
use super::model::{Slice, Step, Trace, TrackKind, What};
use super::waits::{Wait, Waits};

/// What a goroutine does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was heard of it, or events are missing.
    #[default]
    Unknown,
    /// It could run.
    Runnable(Since),
    /// It runs on a P.
    Running,
    /// It runs, without a P.
    WithoutP,
    /// It waits; the number of the wait.
    Waiting(usize),
    /// It has ended.
    Finished,
}

impl State {
    /// What to call it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Runnable(_) => "runnable",
            State::Running => "running",
            State::WithoutP => "without P",
            State::Waiting(_) => "waiting",
            State::Finished => "finished",
        }
    }
}

/// A goroutine's times, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goroutine {
    /// Its id.
    pub id: u64,
    /// Its name, or where it was made, or `G7`.
    pub name: String,
    /// Its own track, if it has one.
    pub track: Option<usize>,
    /// Turns that it had.
    pub turns: u64,
    /// Time on a P.
    pub running: u64,
    /// Time that it ran without a P.
    pub without_p: u64,
    /// Time that it could have run.
    pub runnable: u64,
    /// Time that it waited.
    pub blocked: u64,
    /// Waits that began.
    pub waits: u64,
    /// The longest of them.
    pub longest: u64,
    /// What it was doing when the trace ended.
    pub state: State,
    since: u64,
    /// It was woken while it still ran: its next wait is over at once.
    woken: bool,
}

/// Goroutines of one name, or made at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The name, or the place.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Turns that they had.
    pub turns: u64,
    /// Time on a P.
    pub running: u64,
    /// Time without a P.
    pub without_p: u64,
    /// Time that they could have run.
    pub runnable: u64,
    /// Time that they waited.
    pub blocked: u64,
}

/// All goroutines, their waits and how long it took until they ran.
#[derive(Debug, Default)]
pub struct Goroutines {
    /// By id.
    pub all: Vec<Goroutine>,
    /// Every wait.
    pub waits: Waits,
    /// From runnable to running.
    pub latencies: Latencies,
    /// How many were made while the trace ran.
    pub made: u64,
    /// How many ended.
    pub finished: u64,
}

impl Goroutines {
    /// Follows all goroutines through the trace.
    pub fn of(trace: &Trace) -> Goroutines {
        let mut follow = Follow {
            trace,
            gs: HashMap::new(),
            out: Goroutines::default(),
        };
        for (number, track) in trace.tracks.iter().enumerate() {
            if let TrackKind::Goroutine(id) = track.kind {
                follow.g(id).track = Some(number);
            }
        }
        for step in &trace.steps {
            follow.step(step);
        }
        follow.end()
    }

    /// Goroutines of the same name, or made at the same place, together; those that ran most first.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: HashMap<&str, Group> = HashMap::new();
        for g in &self.all {
            let group = groups.entry(&g.name).or_insert_with(|| Group {
                name: g.name.clone(),
                ..Group::default()
            });
            group.count += 1;
            group.turns += g.turns;
            group.running += g.running;
            group.without_p += g.without_p;
            group.runnable += g.runnable;
            group.blocked += g.blocked;
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|a, b| b.running.cmp(&a.running).then_with(|| a.name.cmp(&b.name)));
        groups
    }
}

struct Follow<'a> {
    trace: &'a Trace,
    gs: HashMap<u64, Goroutine>,
    out: Goroutines,
}

impl Follow<'_> {
    fn g(&mut self, id: u64) -> &mut Goroutine {
        self.gs.entry(id).or_insert_with(|| Goroutine {
            id,
            ..Goroutine::default()
        })
    }

    /// The goroutine goes from one state to another.
    fn enter(&mut self, id: u64, at: u64, state: State) {
        let g = self.gs.entry(id).or_insert_with(|| Goroutine {
            id,
            ..Goroutine::default()
        });
        let lasted = at.saturating_sub(g.since);
        match std::mem::replace(&mut g.state, state) {
            State::Unknown | State::Finished => {}
            State::Runnable(since) => {
                // Anything but its start says that events are missing.
                if state == State::Running {
                    g.runnable += lasted;
                    self.out.latencies.add(since, lasted);
                }
            }
            State::Running => g.running += lasted,
            State::WithoutP => g.without_p += lasted,
            State::Waiting(wait) => {
                // It runs, and nobody was seen to wake it: for how long it waited is not known.
                if state == State::Running {
                    self.out.waits.forget(wait);
                } else {
                    g.blocked += lasted;
                    g.longest = g.longest.max(lasted);
                    self.out
                        .waits
                        .end(wait, at, matches!(state, State::Runnable(_)));
                }
            }
        }
        g.since = at;
    }

    fn slice(&self, track: usize, number: usize) -> &Slice {
        &self.trace.tracks[track].slices[number]
    }

    fn step(&mut self, step: &Step) {
        let (at, track, trace) = (step.at, step.track, self.trace);
        match step.what {
            What::Spawned(number) => {
                let args = &trace.tracks[track].instants[number].args;
                let Some(id) = trace.number(args, "g") else {
                    return;
                };
                self.out.made += 1;
                let name = trace.string(args, "name").or(trace.string(args, "site"));
                let name = name.map(short);
                let g = self.g(id);
                if g.name.is_empty() {
                    g.name = name.unwrap_or_default();
                }
                self.enter(id, at, State::Runnable(Since::Made));
            }
            What::Woken(number) => {
                let args = &trace.tracks[track].instants[number].args;
                let Some(id) = trace.number(args, "g") else {
                    return;
                };
                let g = self.g(id);
                match g.state {
                    State::Running | State::WithoutP => g.woken = true,
                    State::Waiting(wait) => {
                        let by = trace.string(args, "by").unwrap_or_default();
                        let waker = trace.number(args, "waker").unwrap_or(0);
                        self.out.waits.woken(wait, by, waker);
                        self.enter(id, at, State::Runnable(Since::Woken));
                    }
                    State::Unknown => self.enter(id, at, State::Runnable(Since::Woken)),
                    State::Runnable(_) | State::Finished => {}
                }
            }
            What::Runs(number) => {
                let slice = self.slice(track, number);
                let Some(id) = trace.number(&slice.args, "g") else {
                    return;
                };
                let name = trace.text(slice.name);
                self.enter(id, at, State::Running);
                let g = self.g(id);
                g.turns += 1;
                if g.name != name {
                    g.name = name.to_owned();
                }
            }
            What::LosesP(turn) | What::HasP(turn) => {
                let Some(id) = trace.number(&self.slice(track, turn).args, "g") else {
                    return;
                };
                let state = match step.what {
                    What::LosesP(_) => State::WithoutP,
                    _ => State::Running,
                };
                // The end of a turn closes the stretch without P too, at the same moment.
                self.enter(id, at, state);
            }
            What::Stops(number) => self.stops(at, track, number),
            What::Waited(number) => {
                let TrackKind::Goroutine(id) = trace.tracks[track].kind else {
                    return;
                };
                if self.g(id).state == State::Unknown {
                    let slice = self.slice(track, number);
                    let reason = trace.text(slice.name);
                    let object = trace.number(&slice.args, "object").unwrap_or(0);
                    self.wait(id, at, track, reason, object);
                }
            }
        }
    }

    fn wait(&mut self, id: u64, at: u64, track: usize, reason: &str, object: u64) {
        let g = self.g(id);
        g.waits += 1;
        let track = g.track.unwrap_or(track);
        let wait = self
            .out
            .waits
            .begin(Wait::new(id, reason, object, at, track));
        self.enter(id, at, State::Waiting(wait));
    }

    fn stops(&mut self, at: u64, track: usize, number: usize) {
        let trace = self.trace;
        let slice = &trace.tracks[track].slices[number];
        let Some(id) = trace.number(&slice.args, "g") else {
            return;
        };
        let args = &slice.end_args;
        match trace.string(args, "end") {
            Some("block") => {
                let reason = trace.string(args, "wait").unwrap_or("unknown");
                let object = trace.number(args, "object").unwrap_or(0);
                self.wait(id, at, track, reason, object);
                if std::mem::take(&mut self.g(id).woken) {
                    self.enter(id, at, State::Runnable(Since::Woken));
                }
            }
            Some("yield" | "slice over" | "lost its P") => {
                self.g(id).woken = false;
                self.enter(id, at, State::Runnable(Since::Yielded));
            }
            Some("finish") => {
                self.enter(id, at, State::Finished);
                self.out.finished += 1;
            }
            // It is still running; its time up to here counts.
            Some("trace end") | None => {
                let was = self.g(id).state;
                self.enter(id, at, was);
            }
            Some(_) => {
                self.g(id).woken = false;
                self.enter(id, at, State::Unknown);
            }
        }
    }

    fn end(mut self) -> Goroutines {
        let end = self.trace.duration;
        let ids: Vec<u64> = self.gs.keys().copied().collect();
        for id in ids {
            let state = self.g(id).state;
            match state {
                State::Waiting(wait) => {
                    let g = self.g(id);
                    let lasted = end.saturating_sub(g.since);
                    g.blocked += lasted;
                    g.longest = g.longest.max(lasted);
                    self.out.waits.end(wait, end, false);
                }
                State::Runnable(_) => {
                    let g = self.g(id);
                    g.runnable += end.saturating_sub(g.since);
                }
                _ => {}
            }
        }
        let mut all: Vec<Goroutine> = self.gs.into_values().collect();
        all.sort_by_key(|g| g.id);
        for g in &mut all {
            if g.name.is_empty() {
                g.name = match g.track {
                    Some(track) => self.trace.tracks[track].name.clone(),
                    None => format!("G{}", g.id),
                };
            }
        }
        self.out.latencies.sort();
        self.out.all = all;
        self.out
    }
}

/// `src/main.rs:12:5` as slices call it: `main.rs:12`. Names stay as they are.
fn short(site: &str) -> String {
    let file = site.rsplit('/').next().unwrap_or(site);
    let mut parts = file.rsplitn(2, ':');
    match (parts.next(), parts.next()) {
        (Some(column), Some(rest)) if rest.contains(':') && column.parse::<u32>().is_ok() => {
            rest.to_owned()
        }
        _ => site.to_owned(),
    }
}
