//! Writes the same trace in both formats, from one list of calls, by the description of the formats
//! and not by the runtime's own writers.

use std::collections::HashMap;
use std::fmt::Write;

use examples::trace_view::{
    Clock, ClockSnapshot, DebugAnnotation, Interned, InternedData, ProcessDescriptor, TracePacket,
    TrackDescriptor, TrackEvent,
};
use prost::Message;

/// When traces begin, in nanoseconds of the machine's clock.
const START: u64 = 5_000_000_000_123;

/// A line of a trace with one runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Line {
    P(u64),
    M(u64),
    G(u64),
    Regions(u64),
    Thread(u64),
}

/// An argument.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    N(u64),
    Address(u64),
    T(&'static str),
}

pub type Args<'a> = &'a [(&'static str, Arg)];

/// The number and the kind of an arrow: `wake` or `spawn`.
pub type Flow = Option<(u64, &'static str)>;

/// See the module.
#[derive(Default)]
pub struct Writer {
    perfetto: Vec<u8>,
    chrome: String,
    interned: HashMap<String, u64>,
    declared: u64,
    uuids: HashMap<Line, u64>,
    ms: u64,
    gs: u64,
    others: u64,
    events: u64,
    lost: u64,
}

const PROCESS: u64 = 100;
const RUNTIME: u64 = 200;

impl Writer {
    pub fn new() -> Writer {
        let mut w = Writer {
            declared: 1000,
            ..Writer::default()
        };
        w.chrome
            .push_str("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
        let clock = |clock_id: u32, timestamp: u64| Clock {
            clock_id: Some(clock_id),
            timestamp: Some(timestamp),
        };
        w.packet(TracePacket {
            clock_snapshot: Some(ClockSnapshot {
                clocks: vec![clock(6, 77), clock(3, START)],
            }),
            ..TracePacket::default()
        });
        w.packet(TracePacket {
            sequence_flags: Some(1),
            ..TracePacket::default()
        });
        w.packet(TracePacket {
            track_descriptor: Some(TrackDescriptor {
                uuid: Some(PROCESS),
                process: Some(ProcessDescriptor {
                    pid: Some(42),
                    process_name: Some("prog".into()),
                }),
                ..TrackDescriptor::default()
            }),
            ..TracePacket::default()
        });
        w.descriptor(RUNTIME, PROCESS, "weft \"test\"");
        for (pid, part) in [(11, "Ps"), (12, "Ms"), (13, "goroutines"), (14, "regions")] {
            w.metadata(pid, 0, "process_name", &format!("weft \"test\": {part}"));
        }
        w
    }

    fn packet(&mut self, mut packet: TracePacket) {
        packet.trusted_packet_sequence_id = Some(1);
        self.perfetto.push(0x0a);
        packet
            .encode_length_delimited(&mut self.perfetto)
            .expect("memory");
    }

    fn descriptor(&mut self, uuid: u64, parent: u64, name: &str) -> u64 {
        self.packet(TracePacket {
            track_descriptor: Some(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid: Some(parent),
                name: Some(name.into()),
                ..TrackDescriptor::default()
            }),
            ..TracePacket::default()
        });
        uuid
    }

    fn comma(&mut self) {
        if !self.chrome.ends_with('[') {
            self.chrome.push(',');
        }
        self.chrome.push('\n');
    }

    fn metadata(&mut self, pid: u64, tid: u64, what: &str, name: &str) {
        self.comma();
        let name = serde_json::to_string(name).expect("text");
        write!(
            self.chrome,
            r#"{{"ph":"M","pid":{pid},"tid":{tid},"name":"{what}","args":{{"name":{name}}}}}"#
        )
        .expect("memory");
    }

    fn group(&mut self, which: fn(&mut Writer) -> &mut u64, parent: u64, name: &str) -> u64 {
        if *which(self) == 0 {
            self.declared += 1;
            let uuid = self.declared;
            *which(self) = self.descriptor(uuid, parent, name);
        }
        *which(self)
    }

    /// Declares a line under a name.
    pub fn declare(&mut self, line: Line, name: &str) {
        let parent = match line {
            Line::P(_) => RUNTIME,
            Line::M(_) => self.group(|w| &mut w.ms, RUNTIME, "Ms"),
            Line::G(_) => self.group(|w| &mut w.gs, RUNTIME, "goroutines"),
            Line::Regions(g) => self.uuids[&Line::G(g)],
            Line::Thread(_) => self.group(|w| &mut w.others, PROCESS, "other threads"),
        };
        self.declared += 1;
        let uuid = self.declared;
        let own = match line {
            Line::Regions(_) => "regions",
            _ => name,
        };
        self.descriptor(uuid, parent, own);
        self.uuids.insert(line, uuid);
        let (pid, tid) = place(line);
        self.metadata(pid, tid, "thread_name", name);
    }

    /// `kind`: of an event (`n`), a category (`c`) or an argument (`a`).
    fn intern(&mut self, text: &str, data: &mut InternedData, kind: char) -> u64 {
        // One space of numbers for all kinds of names, which is allowed.
        let key = format!("{kind}{text}");
        let next = self.interned.len() as u64 + 1;
        let id = *self.interned.entry(key).or_insert(next);
        if id == next {
            let names = match kind {
                'n' => &mut data.event_names,
                'c' => &mut data.event_categories,
                _ => &mut data.debug_annotation_names,
            };
            names.push(Interned {
                iid: Some(id),
                name: Some(text.into()),
            });
        }
        id
    }

    fn write(
        &mut self,
        kind: (i32, &str),
        at: u64,
        line: Line,
        head: Option<(&str, &str)>,
        args: Args<'_>,
        flow: Flow,
    ) {
        self.events += 1;
        let mut data = InternedData::default();
        let mut event = TrackEvent {
            r#type: Some(kind.0),
            track_uuid: Some(self.uuids[&line]),
            ..TrackEvent::default()
        };
        if let Some((name, category)) = head {
            // Every third name is written out.
            match self.events.is_multiple_of(3) {
                true => event.name = Some(name.into()),
                false => event.name_iid = Some(self.intern(name, &mut data, 'n')),
            }
            event.category_iids = vec![self.intern(category, &mut data, 'c')];
        }
        for (key, arg) in args {
            let mut a = DebugAnnotation {
                name_iid: Some(self.intern(key, &mut data, 'a')),
                ..DebugAnnotation::default()
            };
            match arg {
                Arg::N(n) => a.uint_value = Some(*n),
                Arg::Address(n) => a.pointer_value = Some(*n),
                Arg::T(text) => a.string_value = Some((*text).into()),
            }
            event.debug_annotations.push(a);
        }
        let flows: Vec<u64> = flow.iter().map(|(id, _)| *id).collect();
        match kind.1 {
            "B" => event.terminating_flow_ids = flows,
            _ => event.flow_ids = flows,
        }
        self.packet(TracePacket {
            timestamp: Some(START + at),
            track_event: Some(event),
            interned_data: (data != InternedData::default()).then_some(data),
            ..TracePacket::default()
        });

        self.open(kind.1, at, line);
        if let Some((name, category)) = head {
            let name = serde_json::to_string(name).expect("text");
            write!(self.chrome, r#","name":{name},"cat":"{category}""#).expect("memory");
        }
        if kind.1 == "i" {
            self.chrome.push_str(r#","s":"t""#);
        }
        if !args.is_empty() {
            let args: Vec<String> = args
                .iter()
                .map(|(key, arg)| match arg {
                    Arg::N(n) => format!("\"{key}\":{n}"),
                    Arg::Address(n) => format!("\"{key}\":\"{n:#x}\""),
                    Arg::T(text) => {
                        format!("\"{key}\":{}", serde_json::to_string(text).expect("text"))
                    }
                })
                .collect();
            write!(self.chrome, ",\"args\":{{{}}}", args.join(",")).expect("memory");
        }
        self.chrome.push('}');
        if let Some((id, name)) = flow {
            let (phase, end) = match kind.1 {
                "B" => ("f", r#","bp":"e""#),
                _ => ("s", ""),
            };
            self.open(phase, at, line);
            write!(
                self.chrome,
                r#","name":"{name}","cat":"flow","id":{id}{end}}}"#
            )
            .expect("memory");
        }
    }

    fn open(&mut self, phase: &str, at: u64, line: Line) {
        self.comma();
        let (pid, tid) = place(line);
        write!(
            self.chrome,
            r#"{{"ph":"{phase}","pid":{pid},"tid":{tid},"ts":{}.{:03}"#,
            at / 1000,
            at % 1000
        )
        .expect("memory");
    }

    pub fn begin(
        &mut self,
        at: u64,
        line: Line,
        name: &str,
        category: &str,
        args: Args<'_>,
        flow: Flow,
    ) {
        self.write((1, "B"), at, line, Some((name, category)), args, flow);
    }

    pub fn end(&mut self, at: u64, line: Line, args: Args<'_>) {
        self.write((2, "E"), at, line, None, args, None);
    }

    pub fn instant(
        &mut self,
        at: u64,
        line: Line,
        name: &str,
        category: &str,
        args: Args<'_>,
        flow: Flow,
    ) {
        if name == "lost events"
            && let Some((_, Arg::N(n))) = args.first()
        {
            self.lost += n;
        }
        self.write((3, "i"), at, line, Some((name, category)), args, flow);
    }

    /// The Perfetto file and the Chrome file.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        write!(
            self.chrome,
            "\n],\"otherData\":{{\"clock\":\"tsc\",\"events\":{},\"lost\":{}}}}}\n",
            self.events, self.lost
        )
        .expect("memory");
        (self.perfetto, self.chrome.into_bytes())
    }
}

fn place(line: Line) -> (u64, u64) {
    match line {
        Line::P(n) => (11, n),
        Line::M(n) => (12, n),
        Line::G(n) => (13, n),
        Line::Regions(n) => (14, n),
        Line::Thread(n) => (5, n),
    }
}
