//! Reads Perfetto's format: packet after packet, so that of a file that breaks off there is what came
//! before.
//!
//! What a track is, is told by its name and by what it hangs from, never by its number.

use std::collections::HashMap;

use prost::Message;

use super::build::{Arg, Builder, Head};
use super::model::{Format, Trace, TrackKind};
use super::proto::{
    DebugAnnotation, Interned, InternedData, TracePacket, TrackDescriptor, TrackEvent,
};

/// The byte that a trace begins with, and every packet: field 1, with a length.
pub(super) const PACKET: u8 = 0x0a;

const SLICE_BEGIN: i32 = 1;
const SLICE_END: i32 = 2;
const INSTANT: i32 = 3;
const MONOTONIC: u32 = 3;
const STATE_CLEARED: u32 = 1;

/// What a track that was declared is for.
#[derive(Clone, Copy)]
enum Role {
    Process,
    Runtime(usize),
    Ms(usize),
    Goroutines(usize),
    Threads,
    /// With its number; its name is the builder's.
    Line {
        track: usize,
        kind: TrackKind,
    },
}

struct Reader {
    builder: Builder,
    roles: HashMap<u64, (Role, String)>,
    runtime_of: Vec<Option<usize>>,
    categories: HashMap<u64, String>,
    names: HashMap<u64, String>,
    keys: HashMap<u64, String>,
    /// The time that others are counted from.
    base: Option<u64>,
}

/// The length of a packet, and where it begins.
enum Next<'a> {
    Packet(&'a [u8], &'a [u8]),
    End,
    /// In the middle of a packet.
    Cut,
    /// Something else than a packet.
    Broken,
}

fn next(bytes: &[u8]) -> Next<'_> {
    let Some((&tag, rest)) = bytes.split_first() else {
        return Next::End;
    };
    if tag != PACKET {
        return Next::Broken;
    }
    let mut after = rest;
    match prost::encoding::decode_varint(&mut after) {
        Ok(len) if len <= after.len() as u64 => {
            let (packet, rest) = after.split_at(len as usize);
            Next::Packet(packet, rest)
        }
        Ok(_) => Next::Cut,
        Err(_) if rest.len() < 10 => Next::Cut,
        Err(_) => Next::Broken,
    }
}

/// Whether the first packet can be one of a trace.
pub(super) fn is_perfetto(bytes: &[u8]) -> bool {
    match next(bytes) {
        // A packet of ours has at least a sequence's number; no text has, see the tests.
        Next::Packet(packet, _) => TracePacket::decode(packet)
            .is_ok_and(|packet| packet.trusted_packet_sequence_id.is_some()),
        Next::Cut => bytes
            .get(1)
            .is_some_and(|byte| *byte != b'{' && *byte != b'['),
        Next::End | Next::Broken => false,
    }
}

/// Reads all packets. `Err` says whether a runtime was seen, and why nothing else was.
pub(super) fn read(bytes: &[u8]) -> Result<Trace, (bool, Option<String>)> {
    let mut reader = Reader {
        builder: Builder::new(Format::Perfetto),
        roles: HashMap::new(),
        runtime_of: Vec::new(),
        categories: HashMap::new(),
        names: HashMap::new(),
        keys: HashMap::new(),
        base: None,
    };
    let mut rest = bytes;
    let cut = loop {
        let at = bytes.len() - rest.len();
        match next(rest) {
            Next::End => break None,
            Next::Cut => {
                break Some(format!("the file breaks off in the packet at byte {at}"));
            }
            Next::Broken => break Some(format!("at byte {at} there is no packet")),
            Next::Packet(packet, after) => match TracePacket::decode(packet) {
                Ok(packet) => {
                    reader.packet(packet);
                    rest = after;
                }
                Err(error) => break Some(format!("the packet at byte {at} is broken: {error}")),
            },
        }
    };
    if reader.builder.is_empty() {
        return Err((reader.builder.has_runtime(), cut));
    }
    Ok(reader.builder.finish(cut))
}

/// The number at the end of a name such as `P3`.
fn numbered(name: &str, letter: char) -> Option<u64> {
    name.strip_prefix(letter)?.parse().ok()
}

/// The id of a goroutine from `reader (G7)` or `G7`.
pub(super) fn goroutine_id(name: &str) -> Option<u64> {
    let name = name.strip_suffix(')').unwrap_or(name);
    name.rsplit_once('G')?.1.parse().ok()
}

impl Reader {
    fn packet(&mut self, packet: TracePacket) {
        if let Some(clocks) = &packet.clock_snapshot {
            let clock = clocks
                .clocks
                .iter()
                .find(|clock| clock.clock_id == Some(MONOTONIC));
            self.base = self.base.or(clock.and_then(|clock| clock.timestamp));
        }
        if packet.sequence_flags.unwrap_or(0) & STATE_CLEARED != 0 {
            self.categories.clear();
            self.names.clear();
            self.keys.clear();
        }
        if let Some(interned) = packet.interned_data {
            self.intern(interned);
        }
        if let Some(track) = packet.track_descriptor {
            self.declare(track);
        }
        if let (Some(event), Some(at)) = (packet.track_event, packet.timestamp) {
            let base = *self.base.get_or_insert(at);
            self.event(&event, at.saturating_sub(base));
        }
    }

    fn intern(&mut self, data: InternedData) {
        let add = |to: &mut HashMap<u64, String>, names: Vec<Interned>| {
            for name in names {
                to.insert(name.iid.unwrap_or(0), name.name.unwrap_or_default());
            }
        };
        add(&mut self.categories, data.event_categories);
        add(&mut self.names, data.event_names);
        add(&mut self.keys, data.debug_annotation_names);
    }

    fn line(&mut self, kind: TrackKind, runtime: Option<usize>, name: &str) -> Role {
        let track = self.builder.track(kind, runtime, name);
        self.runtime_of.push(runtime);
        Role::Line { track, kind }
    }

    fn declare(&mut self, track: TrackDescriptor) {
        let Some(uuid) = track.uuid else { return };
        let name = track.name.unwrap_or_default();
        if let Some((role, _)) = self.roles.get(&uuid) {
            if let Role::Line { track, .. } = role {
                self.builder.rename(*track, &name);
            }
            return;
        }
        let parent = track.parent_uuid.and_then(|parent| self.roles.get(&parent));
        let parent = parent.map(|(role, name)| (*role, name.clone()));
        let role = if let Some(process) = track.process {
            self.builder
                .process(process.process_name.as_deref().unwrap_or_default());
            Some(Role::Process)
        } else {
            match parent {
                Some((Role::Process, _)) if name == "other threads" => Some(Role::Threads),
                Some((Role::Process, _)) => Some(Role::Runtime(self.builder.runtime(&name))),
                Some((Role::Runtime(rt), _)) => match (name.as_str(), numbered(&name, 'P')) {
                    ("Ms", _) => Some(Role::Ms(rt)),
                    ("goroutines", _) => Some(Role::Goroutines(rt)),
                    (_, Some(p)) => Some(self.line(TrackKind::P(p), Some(rt), &name)),
                    _ => None,
                },
                Some((Role::Ms(rt), _)) => {
                    numbered(&name, 'M').map(|m| self.line(TrackKind::M(m), Some(rt), &name))
                }
                Some((Role::Goroutines(rt), _)) => {
                    goroutine_id(&name).map(|g| self.line(TrackKind::Goroutine(g), Some(rt), &name))
                }
                Some((
                    Role::Line {
                        track,
                        kind: TrackKind::Goroutine(g),
                    },
                    of,
                )) => {
                    let runtime = self.runtime_of[track];
                    Some(self.line(TrackKind::Regions(g), runtime, &of))
                }
                Some((Role::Threads, _)) => {
                    let tid = name.split(' ').nth(1).and_then(|tid| tid.parse().ok());
                    tid.map(|tid| self.line(TrackKind::Thread(tid), None, &name))
                }
                _ => None,
            }
        };
        if let Some(role) = role {
            self.roles.insert(uuid, (role, name));
        }
    }

    fn event(&mut self, event: &TrackEvent, at: u64) {
        let uuid = event.track_uuid.unwrap_or(0);
        let Some(&(Role::Line { track, .. }, _)) = self.roles.get(&uuid) else {
            return;
        };
        let interned = |names: &'_ HashMap<u64, String>, id: Option<u64>| -> String {
            id.and_then(|id| names.get(&id))
                .cloned()
                .unwrap_or_default()
        };
        let name = match &event.name {
            Some(name) => name.clone(),
            None => interned(&self.names, event.name_iid),
        };
        let category = match event.categories.first() {
            Some(category) => category.clone(),
            None => interned(&self.categories, event.category_iids.first().copied()),
        };
        let args = event.debug_annotations.iter();
        let args = args.filter_map(|a| arg(&self.keys, a));
        let head = Head {
            track,
            at,
            name: &name,
            category: &category,
        };
        match event.r#type {
            Some(SLICE_BEGIN) => {
                self.builder.begin(head, args);
                for &flow in &event.terminating_flow_ids {
                    self.builder.arrow_to(track, flow);
                }
            }
            Some(SLICE_END) => self.builder.end(track, at, args),
            Some(INSTANT) => {
                self.builder.instant(head, args);
                for &flow in &event.flow_ids {
                    self.builder.arrow_from(track, flow);
                }
            }
            _ => {}
        }
    }
}

fn arg<'a>(
    keys: &'a HashMap<u64, String>,
    annotation: &'a DebugAnnotation,
) -> Option<(&'a str, Arg<'a>)> {
    let key = match &annotation.name {
        Some(name) => name,
        None => keys.get(&annotation.name_iid?)?,
    };
    let arg = if let Some(text) = &annotation.string_value {
        Arg::Text(text)
    } else if let Some(address) = annotation.pointer_value {
        Arg::Address(address)
    } else if let Some(number) = annotation.uint_value {
        Arg::Number(number)
    } else {
        Arg::Number(annotation.int_value?.unsigned_abs())
    };
    Some((key, arg))
}
