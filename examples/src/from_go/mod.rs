//! Go's concurrency, line by line: what docs/from-go.md shows beside Go's lines is taken from here, to
//! the letter, which a test checks. Each step runs on a goroutine, does one thing, and says what came
//! of it.

pub mod channel;
pub mod context;
pub mod errgroup;
pub mod goroutine;
pub mod select;
pub mod sync;
pub mod time;

/// What a step shows, and how it is run.
pub type Step = (&'static str, fn() -> String);

/// A chapter of steps.
pub type Chapter = (&'static str, &'static [Step]);

/// All chapters, in the order of docs/from-go.md.
pub const CHAPTERS: &[Chapter] = &[
    ("Goroutines", goroutine::STEPS),
    ("Channels", channel::STEPS),
    ("Select", select::STEPS),
    ("Package sync", sync::STEPS),
    ("Package context", context::STEPS),
    ("Package time", time::STEPS),
    ("Package errgroup", errgroup::STEPS),
];
