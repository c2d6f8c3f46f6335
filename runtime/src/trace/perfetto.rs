//! Perfetto's format: a row of `TracePacket`s of track events, as ui.perfetto.dev and `trace_processor`
//! read them (<https://perfetto.dev/docs/reference/synthetic-track-event>).
//!
//! One sequence of packets with times of CLOCK_MONOTONIC. Names are sent once and then called by number.

use super::clock;
use super::proto::{Message, varint};
use super::sink::{Arg, Args, Cat, Flow, Name, Sink, Track, Value};
use std::collections::{HashMap, HashSet};

/// Numbers of the fields, by message.
mod field {
    pub(super) const PACKET: u32 = 1;

    pub(super) mod packet {
        pub(in super::super) const CLOCK_SNAPSHOT: u32 = 6;
        pub(in super::super) const TIMESTAMP: u32 = 8;
        pub(in super::super) const SEQUENCE_ID: u32 = 10;
        pub(in super::super) const TRACK_EVENT: u32 = 11;
        pub(in super::super) const INTERNED_DATA: u32 = 12;
        pub(in super::super) const SEQUENCE_FLAGS: u32 = 13;
        pub(in super::super) const DEFAULTS: u32 = 59;
        pub(in super::super) const TRACK_DESCRIPTOR: u32 = 60;
    }
    pub(super) mod defaults {
        pub(in super::super) const CLOCK_ID: u32 = 58;
    }
    pub(super) mod clocks {
        pub(in super::super) const CLOCK: u32 = 1;
        pub(in super::super) const PRIMARY: u32 = 2;
        pub(in super::super) const ID: u32 = 1;
        pub(in super::super) const TIMESTAMP: u32 = 2;
    }
    pub(super) mod track {
        pub(in super::super) const UUID: u32 = 1;
        pub(in super::super) const NAME: u32 = 2;
        pub(in super::super) const PROCESS: u32 = 3;
        pub(in super::super) const PARENT: u32 = 5;
        pub(in super::super) const CHILD_ORDERING: u32 = 11;
        pub(in super::super) const RANK: u32 = 12;
        pub(in super::super) const MERGE: u32 = 15;
        pub(in super::super) const PID: u32 = 1;
        pub(in super::super) const PROCESS_NAME: u32 = 6;
    }
    pub(super) mod event {
        pub(in super::super) const CATEGORY: u32 = 3;
        pub(in super::super) const ANNOTATION: u32 = 4;
        pub(in super::super) const TYPE: u32 = 9;
        pub(in super::super) const NAME_ID: u32 = 10;
        pub(in super::super) const TRACK: u32 = 11;
        pub(in super::super) const NAME: u32 = 23;
        pub(in super::super) const FLOW: u32 = 47;
        pub(in super::super) const FLOW_END: u32 = 48;
    }
    pub(super) mod annotation {
        pub(in super::super) const NAME_ID: u32 = 1;
        pub(in super::super) const NUMBER: u32 = 3;
        pub(in super::super) const TEXT: u32 = 6;
        pub(in super::super) const POINTER: u32 = 7;
    }
    pub(super) mod interned {
        pub(in super::super) const CATEGORIES: u32 = 1;
        pub(in super::super) const NAMES: u32 = 2;
        pub(in super::super) const ANNOTATION_NAMES: u32 = 3;
        pub(in super::super) const ID: u32 = 1;
        pub(in super::super) const TEXT: u32 = 2;
    }
}

const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;

/// The first packet of a sequence: numbers of names begin anew.
const STATE_CLEARED: u64 = 1;
/// The packet uses numbers of names.
const NEEDS_STATE: u64 = 2;

/// Children are in the order of their ranks.
const EXPLICIT: u64 = 3;

/// A track stays one of its own, whatever it is called, and has the last name that it was given.
const NEVER: u64 = 2;

const BUILTIN_REALTIME: u64 = 1;
const BUILTIN_MONOTONIC: u64 = 3;
const BUILTIN_BOOTTIME: u64 = 6;

/// Any number but 0.
const SEQUENCE: u64 = 1;

/// Names that are kept: each takes some 100 bytes here and in the reader.
const MOST_NAMES: usize = 1 << 14;

#[derive(Default)]
pub(crate) struct Perfetto {
    out: Vec<u8>,
    names: HashMap<Box<str>, u64>,
    /// Groups that were declared.
    groups: HashSet<u64>,
    // What a packet is put together in.
    packet: Message,
    event: Message,
    inner: Message,
    interned: Message,
}

/// Numbers of tracks: what it is (4 bits), runtime (16), number (44).
fn uuid(class: u64, rt: u32, number: u64) -> u64 {
    class << 60 | u64::from(rt & 0xffff) << 44 | number & ((1 << 44) - 1)
}

const PROCESS: u64 = 1 << 60;

fn threads_group() -> u64 {
    uuid(7, 0, 0)
}

impl Track {
    fn uuid(self) -> u64 {
        match self {
            Track::Runtime(rt) => uuid(2, rt, 0),
            Track::P(rt, p) => uuid(3, rt, p.into()),
            Track::M(rt, m) => uuid(4, rt, m.into()),
            Track::G(rt, g) => uuid(5, rt, g),
            Track::Regions(rt, g) => uuid(6, rt, g),
            Track::Thread(tid) => uuid(8, 0, tid.into()),
        }
    }
}

impl Perfetto {
    /// Ends the packet that is being put together.
    fn flush(&mut self) {
        varint(&mut self.out, u64::from(field::PACKET << 3 | 2));
        varint(&mut self.out, self.packet.as_bytes().len() as u64);
        self.out.extend_from_slice(self.packet.as_bytes());
        self.packet.clear();
    }

    fn descriptor(&mut self, uuid: u64, parent: u64, name: &str, rank: Option<u64>, ordered: bool) {
        use field::{packet, track};
        self.inner.clear();
        self.inner.number(track::UUID, uuid);
        self.inner.number(track::PARENT, parent);
        self.inner.bytes(track::NAME, name.as_bytes());
        if let Some(rank) = rank {
            self.inner.number(track::RANK, rank);
        }
        if ordered {
            self.inner.number(track::CHILD_ORDERING, EXPLICIT);
        }
        self.inner.number(track::MERGE, NEVER);
        self.packet.number(packet::SEQUENCE_ID, SEQUENCE);
        self.packet.message(packet::TRACK_DESCRIPTOR, &self.inner);
        self.flush();
    }

    /// A track that only others hang from.
    fn group(&mut self, uuid: u64, parent: u64, name: &str, rank: u64) -> u64 {
        if self.groups.insert(uuid) {
            self.descriptor(uuid, parent, name, Some(rank), true);
        }
        uuid
    }

    /// Begins an event.
    fn event(&mut self, at: u64, kind: u64, track: Track) {
        use field::{event, packet};
        self.packet.number(packet::TIMESTAMP, at);
        self.packet.number(packet::SEQUENCE_ID, SEQUENCE);
        self.packet.number(packet::SEQUENCE_FLAGS, NEEDS_STATE);
        self.event.clear();
        self.event.number(event::TYPE, kind);
        self.event.number(event::TRACK, track.uuid());
    }

    fn name(&mut self, name: Name<'_>, cat: Cat) {
        use field::{event, interned, packet};
        self.event.number(event::CATEGORY, cat as u64 + 1);
        let text = name.text();
        if let Some(&id) = self.names.get(text) {
            return self.event.number(event::NAME_ID, id);
        }
        if matches!(name, Name::Once(_)) || self.names.len() >= MOST_NAMES {
            return self.event.bytes(event::NAME, text.as_bytes());
        }
        let id = self.names.len() as u64 + 1;
        self.names.insert(text.into(), id);
        self.interned.clear();
        self.inner.clear();
        self.inner.number(interned::ID, id);
        self.inner.bytes(interned::TEXT, text.as_bytes());
        self.interned.message(interned::NAMES, &self.inner);
        self.packet.message(packet::INTERNED_DATA, &self.interned);
        self.event.number(event::NAME_ID, id);
    }

    fn args(&mut self, args: &Args<'_>) {
        use field::{annotation, event};
        for &(arg, value) in args {
            self.inner.clear();
            self.inner.number(annotation::NAME_ID, arg as u64 + 1);
            match value {
                Value::Number(n) | Value::Time(n) => self.inner.number(annotation::NUMBER, n),
                Value::Address(n) => self.inner.number(annotation::POINTER, n),
                Value::Text(s) => self.inner.bytes(annotation::TEXT, s.as_bytes()),
            }
            self.event.message(event::ANNOTATION, &self.inner);
        }
    }

    fn end_event(&mut self) {
        self.packet.message(field::packet::TRACK_EVENT, &self.event);
        self.flush();
    }
}

/// What the process calls itself.
pub(super) fn process_name() -> String {
    let exe = std::env::current_exe().ok();
    let name = exe.as_deref().and_then(|p| p.file_name());
    name.map_or_else(|| "weft".into(), |n| n.to_string_lossy().into_owned())
}

impl Sink for Perfetto {
    fn head(&mut self, at: u64) {
        use field::{clocks, defaults, interned, packet, track};
        // The clocks, at about the same moment.
        let now = clock::monotonic();
        let (boot, real) = clock::others();
        let ago = now.saturating_sub(at);
        let mut snapshot = Message::default();
        let clocks = [
            (BUILTIN_MONOTONIC, at),
            (BUILTIN_BOOTTIME, boot.saturating_sub(ago)),
            (BUILTIN_REALTIME, real.saturating_sub(ago)),
        ];
        for (id, at) in clocks {
            self.inner.clear();
            self.inner.number(clocks::ID, id);
            self.inner.number(clocks::TIMESTAMP, at);
            snapshot.message(clocks::CLOCK, &self.inner);
        }
        snapshot.number(clocks::PRIMARY, BUILTIN_MONOTONIC);
        self.packet.number(packet::SEQUENCE_ID, SEQUENCE);
        self.packet.message(packet::CLOCK_SNAPSHOT, &snapshot);
        self.flush();
        // The vocabulary.
        self.interned.clear();
        let cats = Cat::ALL
            .iter()
            .map(|c| (interned::CATEGORIES, *c as u64, c.as_str()));
        let args = Arg::ALL
            .iter()
            .map(|a| (interned::ANNOTATION_NAMES, *a as u64, a.as_str()));
        for (what, n, text) in cats.chain(args) {
            self.inner.clear();
            self.inner.number(interned::ID, n + 1);
            self.inner.bytes(interned::TEXT, text.as_bytes());
            self.interned.message(what, &self.inner);
        }
        self.inner.clear();
        self.inner.number(defaults::CLOCK_ID, BUILTIN_MONOTONIC);
        self.packet.number(packet::SEQUENCE_ID, SEQUENCE);
        self.packet.number(packet::SEQUENCE_FLAGS, STATE_CLEARED);
        self.packet.message(packet::DEFAULTS, &self.inner);
        self.packet.message(packet::INTERNED_DATA, &self.interned);
        self.flush();
        // The process.
        let mut process = Message::default();
        process.number(track::PID, std::process::id().into());
        process.bytes(track::PROCESS_NAME, process_name().as_bytes());
        self.inner.clear();
        self.inner.number(track::UUID, PROCESS);
        self.inner.message(track::PROCESS, &process);
        self.inner.number(track::CHILD_ORDERING, EXPLICIT);
        self.packet.number(packet::SEQUENCE_ID, SEQUENCE);
        self.packet.message(packet::TRACK_DESCRIPTOR, &self.inner);
        self.flush();
    }

    fn declare(&mut self, track: Track, name: &str) {
        // Groups come after the Ps.
        const MS: u64 = 10_000;
        const GS: u64 = 10_001;
        const OTHERS: u64 = 1 << 20;
        let (parent, rank, name) = match track {
            Track::Runtime(rt) => (PROCESS, Some(u64::from(rt)), name),
            Track::P(rt, p) => (Track::Runtime(rt).uuid(), Some(u64::from(p)), name),
            Track::M(rt, m) => {
                let runtime = Track::Runtime(rt).uuid();
                let group = self.group(uuid(9, rt, 0), runtime, "Ms", MS);
                (group, Some(u64::from(m)), name)
            }
            Track::G(rt, _) => {
                let runtime = Track::Runtime(rt).uuid();
                (
                    self.group(uuid(9, rt, 1), runtime, "goroutines", GS),
                    None,
                    name,
                )
            }
            Track::Regions(rt, g) => (Track::G(rt, g).uuid(), None, "regions"),
            Track::Thread(_) => (
                self.group(threads_group(), PROCESS, "other threads", OTHERS),
                None,
                name,
            ),
        };
        let ordered = matches!(track, Track::Runtime(_));
        self.descriptor(track.uuid(), parent, name, rank, ordered);
    }

    fn rename(&mut self, track: Track, name: &str) {
        // What is called by its place has its name already.
        if !matches!(track, Track::Regions(..)) {
            self.declare(track, name);
        }
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
        self.event(at, SLICE_BEGIN, track);
        self.name(name, cat);
        self.args(args);
        if let Some((flow, _)) = flow {
            self.event.fixed64(field::event::FLOW_END, flow);
        }
        self.end_event();
    }

    fn end(&mut self, at: u64, track: Track, args: &Args<'_>) {
        self.event(at, SLICE_END, track);
        self.args(args);
        self.end_event();
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
        self.event(at, INSTANT, track);
        self.name(name, cat);
        self.args(args);
        if let Some((flow, _)) = flow {
            self.event.fixed64(field::event::FLOW, flow);
        }
        self.end_event();
    }

    fn tail(&mut self, _events: u64, _lost: u64) {}

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}
