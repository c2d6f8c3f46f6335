//! Chrome's format: one JSON object with an array of events, as chrome://tracing, ui.perfetto.dev and
//! many scripts read it ("Trace Event Format").
//!
//! Its processes are groups of tracks here, and its threads are tracks: see `place`.

use super::clock::{self, Clock};
use super::model::FlowKind;
use super::quoted::Quoted;
use super::sink::{Args, Cat, Flow, Name, Sink, Track, Value};
use std::collections::HashSet;
use std::io::Write as _;

#[derive(Default)]
pub(crate) struct Chrome {
    out: Vec<u8>,
    /// When the trace began: what times are counted from.
    start: u64,
    groups: HashSet<u64>,
    any: bool,
}

/// Where a track is: the group, and its number there.
fn place(track: Track) -> (u64, u64) {
    match track {
        Track::Runtime(rt) => (10 * u64::from(rt) + 1, 0),
        Track::P(rt, p) => (10 * u64::from(rt) + 1, p.into()),
        Track::M(rt, m) => (10 * u64::from(rt) + 2, m.into()),
        Track::G(rt, g) => (10 * u64::from(rt) + 3, g),
        Track::Regions(rt, g) => (10 * u64::from(rt) + 4, g),
        Track::Thread(tid) => (5, tid.into()),
    }
}

impl Chrome {
    /// Begins an event: all but its name and its arguments.
    fn open(&mut self, phase: &str, track: Track, at: Option<u64>) {
        let comma = match std::mem::replace(&mut self.any, true) {
            true => ",\n",
            false => "\n",
        };
        let (pid, tid) = place(track);
        let _ = write!(
            self.out,
            "{comma}{{\"ph\":\"{phase}\",\"pid\":{pid},\"tid\":{tid}"
        );
        if let Some(at) = at {
            let at = at.saturating_sub(self.start);
            let _ = write!(self.out, ",\"ts\":{}.{:03}", at / 1000, at % 1000);
        }
    }

    fn name(&mut self, name: &str, cat: &str) {
        // Writing to memory cannot fail.
        let _ = write!(self.out, ",\"name\":{},\"cat\":\"{cat}\"", Quoted(name));
    }

    /// Ends an event.
    fn close(&mut self, args: &Args<'_>) {
        if !args.is_empty() {
            self.out.extend_from_slice(b",\"args\":{");
            for (i, (arg, value)) in args.iter().enumerate() {
                let comma = match i {
                    0 => "",
                    _ => ",",
                };
                let _ = write!(self.out, "{comma}\"{}\":", arg.as_str());
                let _ = match value {
                    Value::Number(n) => write!(self.out, "{n}"),
                    Value::Time(n) => write!(self.out, "{}", n.saturating_sub(self.start)),
                    Value::Address(n) => write!(self.out, "\"{n:#x}\""),
                    Value::Text(s) => write!(self.out, "{}", Quoted(s)),
                };
            }
            self.out.push(b'}');
        }
        self.out.push(b'}');
    }

    fn metadata(&mut self, track: Track, what: &str, name: &str) {
        self.open("M", track, None);
        let _ = write!(
            self.out,
            ",\"name\":\"{what}\",\"args\":{{\"name\":{}}}}}",
            Quoted(name)
        );
    }

    fn flow(&mut self, phase: &str, at: u64, track: Track, (flow, kind): Flow) {
        let name = match kind {
            FlowKind::Wake => "wake",
            FlowKind::Spawn => "spawn",
        };
        self.open(phase, track, Some(at));
        self.name(name, "flow");
        let _ = write!(self.out, ",\"id\":{flow}");
        if phase == "f" {
            self.out.extend_from_slice(b",\"bp\":\"e\"");
        }
        self.close(&[]);
    }
}

impl Sink for Chrome {
    fn head(&mut self, at: u64) {
        self.start = at;
        self.out
            .extend_from_slice(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    }

    fn declare(&mut self, track: Track, name: &str) {
        let (group, _) = place(track);
        if let Track::Runtime(rt) = track {
            let parts = ["Ps", "Ms", "goroutines", "regions"];
            let tracks = [
                Track::P(rt, 0),
                Track::M(rt, 0),
                Track::G(rt, 0),
                Track::Regions(rt, 0),
            ];
            for (part, track) in parts.iter().zip(tracks) {
                self.metadata(track, "process_name", &format!("{name}: {part}"));
            }
            return;
        }
        if matches!(track, Track::Thread(_)) && self.groups.insert(group) {
            self.metadata(track, "process_name", "other threads");
        }
        self.metadata(track, "thread_name", name);
    }

    fn begin(
        &mut self,
        at: u64,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &Args<'_>,
        flow: Option<Flow>,
    ) {
        self.open("B", track, Some(at));
        self.name(name.text(), cat.as_str());
        self.close(args);
        if let Some(flow) = flow {
            self.flow("f", at, track, flow);
        }
    }

    fn end(&mut self, at: u64, track: Track, args: &Args<'_>) {
        self.open("E", track, Some(at));
        self.close(args);
    }

    fn instant(
        &mut self,
        at: u64,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &Args<'_>,
        flow: Option<Flow>,
    ) {
        self.open("i", track, Some(at));
        self.name(name.text(), cat.as_str());
        self.out.extend_from_slice(b",\"s\":\"t\"");
        self.close(args);
        if let Some(flow) = flow {
            self.flow("s", at, track, flow);
        }
    }

    fn tail(&mut self, events: u64, lost: u64) {
        let clock = match clock::init() {
            Clock::Tsc => "tsc",
            Clock::Monotonic => "monotonic",
        };
        let _ = write!(
            self.out,
            "\n],\"otherData\":{{\"clock\":\"{clock}\",\"events\":{events},\"lost\":{lost}}}}}\n"
        );
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}
