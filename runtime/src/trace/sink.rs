//! What a trace is made of, whatever its format: tracks, with slices and instants and arrows on them.

use super::model::FlowKind;

/// A line in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Track {
    /// A runtime: what its Ps, Ms and goroutines hang from.
    Runtime(u32),
    /// A P of a runtime.
    P(u32, u16),
    /// An M of a runtime.
    M(u32, u32),
    /// A goroutine, of a runtime.
    G(u32, u64),
    /// The regions and logs of a goroutine.
    Regions(u32, u64),
    /// A thread that no runtime made, by the kernel's number.
    Thread(u32),
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum $name { $($(#[$item])* $variant,)* }

        impl $name {
            pub(crate) const ALL: &[$name] = &[$($name::$variant,)*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

vocabulary! {
    /// What kind of thing is shown.
    Cat {
        /// A goroutine runs.
        Goroutine = "goroutine",
        /// Something about a P.
        P = "p",
        /// Something about an M.
        M = "m",
        /// What a goroutine does.
        State = "state",
        /// A goroutine waits.
        Blocked = "blocked",
        /// A P changes hands.
        Handoff = "handoff",
        /// A goroutine is made.
        Spawn = "spawn",
        /// A goroutine is woken.
        Wake = "wake",
        /// Goroutines are stolen.
        Steal = "steal",
        /// Timers fire.
        Timer = "timer",
        /// The network is asked.
        Network = "network",
        /// A region of the user's.
        Region = "region",
        /// A word of the user's.
        Log = "log",
        /// A runtime begins or ends.
        Runtime = "runtime",
        /// Something about the trace itself.
        Trace = "trace",
    }
}

vocabulary! {
    /// What an argument is called.
    Arg {
        /// A goroutine.
        G = "g",
        /// An M.
        M = "m",
        /// A P.
        P = "p",
        /// How a goroutine's turn ended.
        End = "end",
        /// What it waits for.
        Wait = "wait",
        /// What it waits on.
        Object = "object",
        /// Why it has no P.
        Why = "why",
        /// Who made it.
        Parent = "parent",
        /// Where it was made.
        Site = "site",
        /// What kind of thing woke it.
        By = "by",
        /// Which goroutine woke it.
        Waker = "waker",
        /// From which P.
        From = "from",
        /// How many.
        Count = "count",
        /// How many timers.
        Fired = "fired",
        /// For how many goroutines there was something.
        Ready = "ready",
        /// The kernel's number of a thread.
        Tid = "tid",
        /// Since when.
        Since = "since",
        /// What the user says.
        Message = "message",
        /// What it is called.
        Name = "name",
        /// How many Ps.
        Procs = "procs",
    }
}

/// What a slice or an instant is called, and how often that is to be expected.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// One of a few.
    Fixed(&'static str),
    /// A name that comes again.
    Often(&'a str),
    /// A name that hardly comes again.
    Once(&'a str),
}

impl<'a> Name<'a> {
    pub(crate) fn text(self) -> &'a str {
        match self {
            Name::Fixed(s) | Name::Often(s) | Name::Once(s) => s,
        }
    }
}

/// What an argument says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Number(u64),
    /// A time, in ns of CLOCK_MONOTONIC.
    Time(u64),
    Address(u64),
    Text(&'a str),
}

/// An arrow: its number, and what it stands for.
pub(crate) type Flow = (u64, FlowKind);

pub(crate) type Args<'a> = [(Arg, Value<'a>)];

/// A format. Times are nanoseconds and never decrease; a track is declared once, before its first use.
pub(crate) trait Sink: Send {
    /// Before everything else, with the time of the beginning.
    fn head(&mut self, at: u64);

    fn declare(&mut self, track: Track, name: &str);

    /// The name of a track that was declared becomes known only now.
    fn rename(&mut self, track: Track, name: &str) {
        self.declare(track, name);
    }

    /// A slice begins, inside of those that are open on the track; `flow` ends here.
    fn begin(
        &mut self,
        at: u64,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &Args<'_>,
        flow: Option<Flow>,
    );

    /// The innermost slice ends.
    fn end(&mut self, at: u64, track: Track, args: &Args<'_>);

    /// Something happens; `flow` begins here.
    fn instant(
        &mut self,
        at: u64,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &Args<'_>,
        flow: Option<Flow>,
    );

    /// After everything else.
    fn tail(&mut self, events: u64, lost: u64);

    /// What is to be written now.
    fn bytes(&mut self) -> &mut Vec<u8>;
}

/// Draws nothing: for those who only want to know what is.
pub(crate) struct Nothing(pub(crate) Vec<u8>);

impl Sink for Nothing {
    fn head(&mut self, _: u64) {}
    fn declare(&mut self, _: Track, _: &str) {}
    fn begin(&mut self, _: u64, _: Track, _: Name<'_>, _: Cat, _: &Args<'_>, _: Option<Flow>) {}
    fn end(&mut self, _: u64, _: Track, _: &Args<'_>) {}
    fn instant(&mut self, _: u64, _: Track, _: Name<'_>, _: Cat, _: &Args<'_>, _: Option<Flow>) {}
    fn tail(&mut self, _: u64, _: u64) {}
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
