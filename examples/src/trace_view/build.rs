//! Puts a [`Trace`] together from what a reader of a format finds, event by event.
//!
//! It takes whatever comes: what is not closed is closed in the end, ends without a begin are counted and
//! left out, an arrow without one of its ends is dropped.

use std::collections::HashMap;

use super::model::{
    ArgRange, Arrow, Class, Format, Instant, Lost, Runtime, Slice, Step, Trace, Track, TrackKind,
    Value, What,
};

/// An argument as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arg<'a> {
    Number(u64),
    Address(u64),
    Text(&'a str),
}

/// What a slice or an instant is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) track: usize,
    pub(super) at: u64,
    pub(super) name: &'a str,
    pub(super) category: &'a str,
}

/// See the module.
pub(super) struct Builder {
    trace: Trace,
    strings: HashMap<Box<str>, u32>,
    /// The open slices of each track.
    open: Vec<Vec<usize>>,
    /// Arrows that have not arrived, by their number.
    arrows: HashMap<u64, (usize, usize)>,
    ended: Vec<bool>,
}

impl Builder {
    pub(super) fn new(format: Format) -> Builder {
        Builder {
            trace: Trace {
                format,
                process: None,
                runtimes: Vec::new(),
                tracks: Vec::new(),
                args: Vec::new(),
                strings: Vec::new(),
                arrows: Vec::new(),
                steps: Vec::new(),
                lost: Vec::new(),
                duration: 0,
                events: 0,
                cut: None,
                unclosed: 0,
                unopened: 0,
            },
            strings: HashMap::new(),
            open: Vec::new(),
            arrows: HashMap::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn process(&mut self, name: &str) {
        self.trace.process = Some(name.to_owned());
    }

    pub(super) fn runtime(&mut self, name: &str) -> usize {
        self.trace.runtimes.push(Runtime {
            name: name.to_owned(),
            starts: 0,
            ends: 0,
        });
        self.ended.push(false);
        self.trace.runtimes.len() - 1
    }

    pub(super) fn track(&mut self, kind: TrackKind, runtime: Option<usize>, name: &str) -> usize {
        self.trace.tracks.push(Track {
            kind,
            runtime,
            name: name.to_owned(),
            slices: Vec::new(),
            instants: Vec::new(),
        });
        self.open.push(Vec::new());
        self.trace.tracks.len() - 1
    }

    /// The track's name has become known later.
    pub(super) fn rename(&mut self, track: usize, name: &str) {
        self.trace.tracks[track].name = name.to_owned();
    }

    fn string(&mut self, text: &str) -> u32 {
        if let Some(&at) = self.strings.get(text) {
            return at;
        }
        let at = self.trace.strings.len() as u32;
        self.trace.strings.push(text.to_owned());
        self.strings.insert(text.into(), at);
        at
    }

    fn args<'a>(&mut self, args: impl IntoIterator<Item = (&'a str, Arg<'a>)>) -> ArgRange {
        let begin = self.trace.args.len() as u32;
        for (key, arg) in args {
            let key = self.string(key);
            let value = match arg {
                Arg::Number(n) => Value::Number(n),
                Arg::Address(n) => Value::Address(n),
                Arg::Text(text) => Value::Text(self.string(text)),
            };
            self.trace.args.push((key, value));
        }
        begin..self.trace.args.len() as u32
    }

    fn seen(&mut self, at: u64) {
        self.trace.duration = self.trace.duration.max(at);
        self.trace.events += 1;
    }

    fn step(&mut self, at: u64, track: usize, what: What) {
        self.trace.steps.push(Step { at, track, what });
    }

    /// A slice begins.
    pub(super) fn begin<'a>(
        &mut self,
        head: Head<'_>,
        args: impl IntoIterator<Item = (&'a str, Arg<'a>)>,
    ) {
        let Head { track, at, .. } = head;
        self.seen(at);
        let (name, args) = (self.string(head.name), self.args(args));
        let class = Class::of(head.category, head.name);
        let enclosing = self.open[track].last().copied();
        let slices = &mut self.trace.tracks[track].slices;
        let number = slices.len();
        slices.push(Slice {
            begin: at,
            end: at,
            name,
            class,
            depth: self.open[track].len().min(255) as u8,
            args,
            end_args: 0..0,
        });
        self.open[track].push(number);
        match (self.trace.tracks[track].kind, class) {
            (TrackKind::M(_), Class::Turn) => self.step(at, track, What::Runs(number)),
            (TrackKind::M(_), Class::WithoutP) => {
                if let Some(turn) = enclosing {
                    self.step(at, track, What::LosesP(turn));
                }
            }
            (TrackKind::Goroutine(_), Class::Blocked) if number == 0 => {
                self.step(at, track, What::Waited(number));
            }
            _ => {}
        }
    }

    /// The last slice that has begun on the track ends.
    pub(super) fn end<'a>(
        &mut self,
        track: usize,
        at: u64,
        args: impl IntoIterator<Item = (&'a str, Arg<'a>)>,
    ) {
        self.seen(at);
        let Some(number) = self.open[track].pop() else {
            self.trace.unopened += 1;
            return;
        };
        let args = self.args(args);
        self.close(track, number, at, args);
    }

    fn close(&mut self, track: usize, number: usize, at: u64, args: ArgRange) {
        let enclosing = self.open[track].last().copied();
        let kind = self.trace.tracks[track].kind;
        let slice = &mut self.trace.tracks[track].slices[number];
        slice.end = at.max(slice.begin);
        slice.end_args = args;
        match (kind, slice.class) {
            (TrackKind::M(_), Class::Turn) => self.step(at, track, What::Stops(number)),
            (TrackKind::M(_), Class::WithoutP) => {
                if let Some(turn) = enclosing {
                    self.step(at, track, What::HasP(turn));
                }
            }
            _ => {}
        }
    }

    /// Something happens at once.
    pub(super) fn instant<'a>(
        &mut self,
        head: Head<'_>,
        args: impl IntoIterator<Item = (&'a str, Arg<'a>)>,
    ) {
        let Head { track, at, .. } = head;
        self.seen(at);
        let (name, args) = (self.string(head.name), self.args(args));
        let category = self.string(head.category);
        let count = self.trace.number(&args, "count").unwrap_or(0);
        let on = &mut self.trace.tracks[track];
        let number = on.instants.len();
        on.instants.push(Instant {
            at,
            name,
            category,
            args,
        });
        let runtime = on.runtime;
        match (head.category, head.name) {
            ("spawn", _) => self.step(at, track, What::Spawned(number)),
            ("wake", _) => self.step(at, track, What::Woken(number)),
            ("trace", "lost events") => self.trace.lost.push(Lost { track, at, count }),
            ("runtime", "runtime starts") => {
                if let Some(runtime) = runtime {
                    self.trace.runtimes[runtime].starts = at;
                }
            }
            ("runtime", "runtime ends") => {
                if let Some(runtime) = runtime {
                    self.trace.runtimes[runtime].ends = at;
                    self.ended[runtime] = true;
                }
            }
            _ => {}
        }
    }

    /// An arrow starts at the last instant of the track.
    pub(super) fn arrow_from(&mut self, track: usize, id: u64) {
        if let Some(last) = self.trace.tracks[track].instants.len().checked_sub(1) {
            self.arrows.insert(id, (track, last));
        }
    }

    /// An arrow leads to the last slice that has begun on the track.
    pub(super) fn arrow_to(&mut self, track: usize, id: u64) {
        let last = self.trace.tracks[track].slices.len().checked_sub(1);
        if let (Some(last), Some(from)) = (last, self.arrows.remove(&id)) {
            let to = (track, last);
            self.trace.arrows.push(Arrow { from, to });
        }
    }

    /// Whether there is anything yet.
    pub(super) fn is_empty(&self) -> bool {
        self.trace.events == 0
    }

    /// Whether a line of a runtime was seen.
    pub(super) fn has_runtime(&self) -> bool {
        !self.trace.runtimes.is_empty()
    }

    /// The end of the file, or of what could be read of it.
    pub(super) fn finish(mut self, cut: Option<String>) -> Trace {
        let end = self.trace.duration;
        for track in 0..self.open.len() {
            while let Some(number) = self.open[track].pop() {
                self.trace.unclosed += 1;
                self.close(track, number, end, 0..0);
            }
        }
        for (runtime, ended) in self.trace.runtimes.iter_mut().zip(&self.ended) {
            if !ended {
                runtime.ends = end;
            }
        }
        self.trace.cut = cut;
        self.trace
    }
}
