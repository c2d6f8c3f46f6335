//! A trace as the viewer has it in memory, whatever file it came from.
//!
//! Times are nanoseconds since the trace began. The slices of a track are in the order in which they
//! begin and nested by `depth`; all are closed. Names and keys are numbers of [`Trace::strings`].

use std::ops::Range;

/// A name, as its place in [`Trace::strings`].
pub type Name = u32;

/// Which of the two formats a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A Perfetto trace: a row of protobuf packets.
    Perfetto,
    /// Chrome's trace event format: JSON.
    Chrome,
}

impl Format {
    /// What to call it in a sentence.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Perfetto => "Perfetto protobuf",
            Format::Chrome => "Chrome JSON",
        }
    }
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// A P, by its number.
    P(u64),
    /// An M, by its number.
    M(u64),
    /// A goroutine, by its id.
    Goroutine(u64),
    /// The regions and logs of a goroutine, by its id.
    Regions(u64),
    /// A thread that no runtime made, by the kernel's number.
    Thread(u64),
}

/// What a slice shows; it decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// A goroutine's turn on a P or an M.
    Turn,
    /// A P has nothing to do.
    Idle,
    /// An M looks for work.
    Spinning,
    /// An M sleeps.
    Asleep,
    /// A goroutine goes on without its P.
    WithoutP,
    /// On its own track: the goroutine runs.
    Running,
    /// On its own track: the goroutine could run.
    Runnable,
    /// On its own track: the goroutine waits.
    Blocked,
    /// A region of the user's.
    Region,
    /// Something that this viewer does not know.
    Other,
}

impl Class {
    /// What a slice of this category and this name is.
    pub fn of(category: &str, name: &str) -> Class {
        match (category, name) {
            ("goroutine", _) => Class::Turn,
            ("blocked", _) => Class::Blocked,
            ("region", _) => Class::Region,
            ("p", "idle") => Class::Idle,
            ("m", "spinning") => Class::Spinning,
            ("m", "asleep") => Class::Asleep,
            ("state" | "handoff", "without P") => Class::WithoutP,
            ("state", "running") => Class::Running,
            ("state", "runnable") => Class::Runnable,
            _ => Class::Other,
        }
    }
}

/// The value of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// An address.
    Address(u64),
    /// A text, as its place in [`Trace::strings`].
    Text(u32),
}

impl Value {
    /// The number or the address.
    pub fn number(self) -> Option<u64> {
        match self {
            Value::Number(n) | Value::Address(n) => Some(n),
            Value::Text(_) => None,
        }
    }
}

/// Where the arguments of a slice or of an instant are in [`Trace::args`].
pub type ArgRange = Range<u32>;

/// Something that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// When it begins.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
    /// What it is called.
    pub name: Name,
    /// What it shows.
    pub class: Class,
    /// How many slices of the track it lies in.
    pub depth: u8,
    /// Arguments of the begin.
    pub args: ArgRange,
    /// Arguments of the end.
    pub end_args: ArgRange,
}

/// Something that happens at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instant {
    /// When.
    pub at: u64,
    /// What it is called.
    pub name: Name,
    /// Its category.
    pub category: Name,
    /// Its arguments.
    pub args: ArgRange,
}

/// A line of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Whose it is.
    pub kind: TrackKind,
    /// The runtime, as its place in [`Trace::runtimes`]; threads have none.
    pub runtime: Option<usize>,
    /// Its label.
    pub name: String,
    /// What lasts, by begin.
    pub slices: Vec<Slice>,
    /// What happens at once, by time.
    pub instants: Vec<Instant>,
}

/// A runtime of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its label, as `weft "NAME"`.
    pub name: String,
    /// When it started, 0 if it was there when the trace began.
    pub starts: u64,
    /// When it ended, or the trace did.
    pub ends: u64,
}

/// From who made or woke a goroutine to where that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrow {
    /// Track and place of the instant.
    pub from: (usize, usize),
    /// Track and place of the slice.
    pub to: (usize, usize),
}

/// What happened to goroutines, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: u64,
    /// Which track of the trace says so.
    pub track: usize,
    /// What.
    pub what: What,
}

/// See [`Step`]. The numbers are places in the track's slices or instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An instant `spawn`.
    Spawned(usize),
    /// An instant `unblock`.
    Woken(usize),
    /// A turn begins on an M.
    Runs(usize),
    /// A turn ends on an M.
    Stops(usize),
    /// The goroutine of this turn has lost its P.
    LosesP(usize),
    /// The goroutine of this turn has a P again.
    HasP(usize),
    /// On its own track: the goroutine waits, and did so when the trace began.
    Waited(usize),
}

/// A place where events are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// On which track.
    pub track: usize,
    /// When the writer found room again.
    pub at: u64,
    /// How many are missing.
    pub count: u64,
}

/// A trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What the file was.
    pub format: Format,
    /// The traced program, if the file says so (Chrome's does not).
    pub process: Option<String>,
    /// The runtimes, in the order in which the file speaks of them.
    pub runtimes: Vec<Runtime>,
    /// The lines, in that order.
    pub tracks: Vec<Track>,
    /// Arguments of all slices and instants: key and value.
    pub args: Vec<(Name, Value)>,
    /// All names and texts.
    pub strings: Vec<String>,
    /// Arrows.
    pub arrows: Vec<Arrow>,
    /// What happened to goroutines.
    pub steps: Vec<Step>,
    /// Where events are missing.
    pub lost: Vec<Lost>,
    /// The time of the last event.
    pub duration: u64,
    /// Begins, ends and instants.
    pub events: u64,
    /// Why the rest of the file could not be read, if there is a rest.
    pub cut: Option<String>,
    /// Slices without an end, which were closed at the end of the trace.
    pub unclosed: usize,
    /// Ends without a begin, which were left out.
    pub unopened: usize,
}

impl Trace {
    /// A name as text.
    pub fn text(&self, name: u32) -> &str {
        &self.strings[name as usize]
    }

    /// The value of the argument of this name.
    pub fn arg(&self, args: &ArgRange, key: &str) -> Option<Value> {
        let args = &self.args[args.start as usize..args.end as usize];
        let found = args.iter().find(|(k, _)| self.text(*k) == key);
        found.map(|(_, value)| *value)
    }

    /// The number under this name; an address is one too.
    pub fn number(&self, args: &ArgRange, key: &str) -> Option<u64> {
        self.arg(args, key)?.number()
    }

    /// The text under this name.
    pub fn string(&self, args: &ArgRange, key: &str) -> Option<&str> {
        match self.arg(args, key)? {
            Value::Text(text) => Some(self.text(text)),
            Value::Number(_) | Value::Address(_) => None,
        }
    }

    /// How many events are missing.
    pub fn lost(&self) -> u64 {
        self.lost.iter().map(|lost| lost.count).sum()
    }
}
