//! What is recorded: the closed list of events, and the four words that each is in a buffer.
//!
//! An event says what happened and to whom; what it means together with the others is the business of
//! `model.rs`. Nothing here knows buffers or formats.

use std::sync::Arc;

/// No P: of events of threads that have none, and of those for which it does not matter.
pub(crate) const NO_P: u16 = u16::MAX;

/// No M: the event is of a thread that the runtime did not make, or of a monitor.
pub(crate) const NO_M: u32 = u32::MAX;

/// Bits of the small argument; goroutine numbers in it are completed by [`nearest`].
const SMALL_BITS: u32 = 40;

/// What can happen. "Small" and "arg" are the event's two arguments beside the goroutine `g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `g` was made, and is runnable. Small: the goroutine that made it, 0 if none did. Arg: its
    /// `Location`.
    Spawn,
    /// `g` has a name. Small: its runtime. Arg: a boxed [`Text::Name`].
    Name,
    /// `g` was there when the recording began, and so was its [`Kind::Name`]. Arguments as of `Spawn`.
    Exists,
    /// A P was seen when the recording began. Small: 1 if it was idle. Else `g` ran on it, on the M of
    /// number arg.
    FoundP,
    /// `g` runs, on this M and P.
    Start,
    /// `g` is off its stack, and waits. Small: its reason. Arg: the complement of the object's address, which
    /// is 0 if there is none. (Who looks for leaks takes every address that it finds for a reference.)
    Block,
    /// `g` waits no more, and is runnable. Small: who did it ([`By`]). Arg: which goroutine that was.
    Unblock,
    /// `g` let others run, and is runnable.
    Yield,
    /// `g` has used its time slice up, and is runnable.
    SliceOver,
    /// `g` came into the runtime, its P was gone and no other idle: it is runnable.
    LostP,
    /// `g` has ended.
    Finish,
    /// `g` gives its P away, and goes on without.
    Blocking,
    /// `g` has a P again, without having been runnable meanwhile.
    Back,
    /// The monitor took the P. Small: from which M. Arg: of which runtime.
    Taken,
    /// This M has this P from now on.
    Attach,
    /// This M gives this P up.
    Detach,
    /// The P joins the idle list. Arg: the runtime.
    PIdle,
    /// The P leaves the idle list. Arg: the runtime.
    PBusy,
    /// This M has taken goroutines. Small: how many. Arg: from which P.
    Steal,
    /// This M looks for work.
    SpinBegin,
    /// This M has stopped looking for work.
    SpinEnd,
    /// This M goes to sleep.
    Sleep,
    /// This M has woken up.
    Wake,
    /// This M's thread starts. Arg: the kernel's number of it.
    ThreadStart,
    /// This M's thread ends.
    ThreadEnd,
    /// Timers were due. Small: how many.
    Timers,
    /// The network was asked. Small: for how many goroutines there was something. Arg: the runtime.
    Network,
    /// The user begins a region, on `g` or on this thread. Small and arg: the length and the address of
    /// its name.
    RegionBegin,
    /// The user's last region ends.
    RegionEnd,
    /// The user has something to say, on `g` or on this thread. Arg: a boxed [`Text::Log`].
    Log,
    /// A runtime starts, or was there when the recording began. Arg: a boxed [`Text::Runtime`].
    RuntimeStart,
    /// A runtime has ended. Arg: its number.
    RuntimeEnd,
    /// There was no room in this M's (or the threads') buffer. Small: how many events are missing. Arg:
    /// since when; in ns, once it was taken out of the buffer.
    Lost,
}

impl Kind {
    const ALL: [Kind; 33] = [
        Kind::Spawn,
        Kind::Name,
        Kind::Exists,
        Kind::FoundP,
        Kind::Start,
        Kind::Block,
        Kind::Unblock,
        Kind::Yield,
        Kind::SliceOver,
        Kind::LostP,
        Kind::Finish,
        Kind::Blocking,
        Kind::Back,
        Kind::Taken,
        Kind::Attach,
        Kind::Detach,
        Kind::PIdle,
        Kind::PBusy,
        Kind::Steal,
        Kind::SpinBegin,
        Kind::SpinEnd,
        Kind::Sleep,
        Kind::Wake,
        Kind::ThreadStart,
        Kind::ThreadEnd,
        Kind::Timers,
        Kind::Network,
        Kind::RegionBegin,
        Kind::RegionEnd,
        Kind::Log,
        Kind::RuntimeStart,
        Kind::RuntimeEnd,
        Kind::Lost,
    ];

    /// Whether the argument is a boxed [`Text`], which the event owns.
    const fn has_text(self) -> bool {
        matches!(self, Kind::Name | Kind::Log | Kind::RuntimeStart)
    }
}

/// Who ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum By {
    /// Whoever calls: the goroutine that runs on this M, or this thread. (Not in events.)
    Caller,
    /// A goroutine.
    Goroutine,
    /// The end of the goroutine that was the last to end on this M.
    Ended,
    /// A thread that the runtime did not make.
    Thread,
    /// A timer, or a deadline.
    Timer,
    /// The network.
    Network,
    /// The monitor.
    Monitor,
    /// The wait was over before it had begun, or the scheduler ended it for a request that had come.
    Itself,
}

impl By {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            By::Caller | By::Thread => "thread",
            By::Goroutine | By::Ended => "goroutine",
            By::Timer => "timer",
            By::Network => "network",
            By::Monitor => "monitor",
            By::Itself => "itself",
        }
    }

    pub(crate) fn from_small(small: u64) -> By {
        const ALL: [By; 8] = [
            By::Caller,
            By::Goroutine,
            By::Ended,
            By::Thread,
            By::Timer,
            By::Network,
            By::Monitor,
            By::Itself,
        ];
        ALL.get(small as usize).copied().unwrap_or(By::Caller)
    }
}

/// What does not fit into words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// A goroutine's name.
    Name(Box<str>),
    /// Category and message of the user's.
    Log(&'static str, String),
    /// A runtime: number, name, Ps.
    Runtime(u32, String, u32),
}

/// An event as it lies in a buffer.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Raw {
    /// When, in ticks of the trace's clock.
    pub(crate) at: u64,
    /// Kind (8 bits), P (16), small argument (40).
    head: u64,
    pub(crate) g: u64,
    pub(crate) arg: u64,
}

impl Raw {
    #[inline(always)]
    pub(crate) fn new(at: u64, kind: Kind, p: u16, small: u64, g: u64, arg: u64) -> Raw {
        Raw {
            at,
            head: kind as u64 | (p as u64) << 8 | small << 24,
            g,
            arg,
        }
    }

    pub(crate) fn small(&self) -> u64 {
        self.head >> 24
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::ALL[(self.head & 0xff) as usize]
    }

    /// Frees what an event owns that nobody will read.
    ///
    /// # Safety
    /// The event is not used again.
    #[cold]
    pub(crate) unsafe fn discard(&self) {
        if self.kind().has_text() {
            // SAFETY: made by `boxed`, and the caller's promise.
            drop(unsafe { Box::from_raw(self.arg as *mut Text) });
        }
    }
}

/// A text as the argument of an event.
pub(crate) fn boxed(text: Text) -> u64 {
    Box::into_raw(Box::new(text)) as u64
}

/// An event that was taken out of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When: ticks at first, nanoseconds of CLOCK_MONOTONIC once it is in its place.
    pub(crate) at: u64,
    pub(crate) kind: Kind,
    pub(crate) p: u16,
    /// The runtime of the M that it comes from, or that it is about; 0: none.
    pub(crate) rt: u32,
    /// The M that it comes from, or [`NO_M`].
    pub(crate) m: u32,
    /// The kernel's number of the thread that it comes from, if that is no M.
    pub(crate) tid: u32,
    pub(crate) g: u64,
    pub(crate) small: u64,
    pub(crate) arg: u64,
    pub(crate) text: Option<Arc<Text>>,
}

impl Event {
    /// # Safety
    /// `raw` is used for nothing else any more.
    pub(crate) unsafe fn new(raw: Raw, rt: u32, m: u32, tid: u32) -> Event {
        let kind = raw.kind();
        let mut event = Event {
            at: raw.at,
            kind,
            p: (raw.head >> 8) as u16,
            rt,
            m,
            tid,
            g: raw.g,
            small: raw.small(),
            arg: raw.arg,
            text: None,
        };
        if kind.has_text() {
            // SAFETY: made by `boxed`, and the caller's promise.
            event.text = Some(Arc::from(unsafe { Box::from_raw(raw.arg as *mut Text) }));
            event.arg = 0;
        }
        // Those that may come from anywhere say of which runtime they are.
        match kind {
            Kind::PIdle | Kind::PBusy | Kind::Taken | Kind::Network | Kind::RuntimeEnd => {
                event.rt = event.arg as u32;
            }
            Kind::RuntimeStart => {
                if let Some(Text::Runtime(number, ..)) = event.text.as_deref() {
                    event.rt = *number;
                }
            }
            _ => {}
        }
        event
    }

    /// The goroutine that spawned this one.
    pub(crate) fn parent(&self) -> u64 {
        nearest(self.small, self.g)
    }

    /// The user's words that the two arguments lead to.
    pub(crate) fn static_text(&self) -> &'static str {
        if self.kind != Kind::RegionBegin {
            return "";
        }
        // SAFETY: the address and the length of a `&'static str`.
        unsafe {
            let bytes = std::slice::from_raw_parts(self.arg as *const u8, self.small as usize);
            std::str::from_utf8_unchecked(bytes)
        }
    }

    /// Bytes that it takes, with its text.
    pub(crate) fn size(&self) -> usize {
        let text = match self.text.as_deref() {
            None => 0,
            Some(Text::Name(name)) => name.len() + size_of::<Text>(),
            Some(Text::Log(_, message)) => message.len() + size_of::<Text>(),
            Some(Text::Runtime(_, name, _)) => name.len() + size_of::<Text>(),
        };
        size_of::<Event>() + text
    }
}

/// The low bits of a goroutine's number, for a small argument.
#[inline(always)]
pub(crate) fn low(id: u64) -> u64 {
    id & ((1 << SMALL_BITS) - 1)
}

/// The number that ends in these low bits and is nearest to `near`: numbers are given out in order, so a
/// goroutine's and its parent's differ by less than half of what the bits can tell.
fn nearest(low: u64, near: u64) -> u64 {
    if low == 0 {
        return 0;
    }
    let range = 1u64 << SMALL_BITS;
    let id = (near & !(range - 1)) | low;
    if id > near + range / 2 && id >= range {
        id - range
    } else if id + range / 2 < near {
        id + range
    } else {
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_out_as_it_went_in() {
        for (n, &kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind as usize, n);
            let arg = match kind.has_text() {
                true => boxed(Text::Log("a", "b".into())),
                false => 7,
            };
            let raw = Raw::new(1, kind, 4095, (1 << 40) - 1, u64::MAX, arg);
            // SAFETY: used once.
            let e = unsafe { Event::new(raw, 3, 2, 0) };
            assert_eq!((e.at, e.kind, e.p, e.g), (1, kind, 4095, u64::MAX));
            assert_eq!(e.small, (1 << 40) - 1);
            match kind.has_text() {
                true => assert_eq!(e.text.as_deref(), Some(&Text::Log("a", "b".into()))),
                false => assert_eq!(e.arg, 7),
            }
        }
    }

    #[test]
    fn long_numbers_are_completed() {
        let range = 1u64 << SMALL_BITS;
        for child in [1, 5, range - 1, range, range + 3, 77 * range + 1] {
            for parent in [child.saturating_sub(100), child + 100, child + 1] {
                if low(parent) != 0 {
                    assert_eq!(nearest(low(parent), child), parent, "{child}");
                }
            }
        }
        assert_eq!(nearest(0, 5 * range), 0, "no parent");
    }
}
