//! What is known at one moment of a trace: which goroutine runs where, what it is called, what is open on
//! each track. `draw.rs` and `interpret.rs` bring it forward, event by event.
//!
//! Where events are missing, or the recording begins in the middle, it knows less.

use super::event::Text;
use super::sink::Name;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

/// What a P does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum POpen {
    /// Nothing is known, or the scheduler runs.
    #[default]
    None,
    Idle,
    Runs(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct PState {
    pub(super) declared: bool,
    /// An event of its own has come.
    pub(super) seen: bool,
    pub(super) open: POpen,
    /// The M that runs the goroutine.
    pub(super) m: u32,
}

/// What an M does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MOpen {
    #[default]
    None,
    Runs {
        g: u64,
        /// Why it has no P, if it has none.
        without: Option<&'static str>,
    },
    Spins,
    Sleeps,
}

#[derive(Clone, Debug, Default)]
pub(super) struct MState {
    pub(super) declared: bool,
    /// An event of its own has come.
    pub(super) seen: bool,
    pub(super) open: MOpen,
    /// The goroutine that was the last to end here.
    pub(super) ended: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Runtime {
    pub(super) declared: bool,
    pub(super) name: String,
    pub(super) ps: Vec<PState>,
    pub(super) ms: Vec<MState>,
}

/// What a goroutine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GOpen {
    #[default]
    Unknown,
    Runnable,
    Runs {
        p: u16,
        m: u32,
    },
    WithoutP(&'static str),
    Waits {
        reason: u8,
        /// The complement of the object's address.
        on: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Goroutine {
    /// Its runtime, as far as is known. It does not change once the goroutine has a track.
    pub(super) rt: u32,
    pub(super) name: Option<Arc<Text>>,
    /// A `&'static Location`, or 0.
    pub(super) site: usize,
    /// It has a track of its own.
    pub(super) tracked: bool,
    pub(super) open: GOpen,
    /// The arrow that leads to its next start.
    pub(super) flow: Option<(u64, FlowKind)>,
    pub(super) regions: Regions,
    pub(super) regions_declared: bool,
}

/// Open regions of a goroutine or a thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Regions {
    /// The innermost is the last.
    pub(super) open: Vec<&'static str>,
    /// How many holes there were in the trace when it was last heard of.
    pub(super) holes: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Thread {
    pub(super) declared: bool,
    pub(super) regions: Regions,
}

/// What an arrow stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowKind {
    /// From who woke a goroutine to where it goes on.
    Wake,
    /// From who made a goroutine to where it begins.
    Spawn,
}

/// All that is known at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) runtimes: HashMap<u32, Runtime>,
    pub(super) gs: HashMap<u64, Goroutine>,
    pub(super) threads: HashMap<u32, Thread>,
    pub(super) flows: u64,
    pub(crate) events: u64,
    pub(crate) lost: u64,
    /// How often events were missing.
    pub(super) holes: u64,
    /// Goroutines that had ended when it was looked last: what they have said before may still come.
    pub(super) ended: Vec<u64>,
}

impl Model {
    /// These runtimes are up, and are called so.
    pub(super) fn know(&mut self, runtimes: Vec<(u32, String)>) {
        for (number, name) in runtimes {
            self.runtimes.entry(number).or_default().name = name;
        }
    }
}

impl Goroutine {
    /// What slices of it are called.
    pub(super) fn title<'a>(&'a self, g: u64, buffer: &'a mut String) -> Name<'a> {
        if let Some(Text::Name(name)) = self.name.as_deref() {
            return Name::Often(name);
        }
        buffer.clear();
        // Writing to a String cannot fail.
        let _ = match self.location() {
            Some(at) => {
                let file = at.file().rsplit('/').next().unwrap_or_default();
                std::fmt::Write::write_fmt(buffer, format_args!("{file}:{}", at.line()))
            }
            None => std::fmt::Write::write_fmt(buffer, format_args!("G{g}")),
        };
        match self.site {
            0 => Name::Once(buffer),
            _ => Name::Often(buffer),
        }
    }

    /// What its own track is called.
    pub(super) fn track_name(&self, g: u64) -> String {
        match self.name.as_deref() {
            Some(Text::Name(name)) => format!("{name} (G{g})"),
            _ => format!("G{g}"),
        }
    }

    pub(super) fn location(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null, or the address of a location of the program's.
        unsafe { (self.site as *const Location<'static>).as_ref() }
    }
}
