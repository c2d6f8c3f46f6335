//! What the tests of traces share: reading both formats, and checking that what is read could have happened.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod proto;
pub mod states;

use prost::Message;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What an event is on its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Begin,
    End,
    Instant,
}

/// Where something is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    P(u64, u64),
    M(u64, u64),
    G(u64, u64),
    Regions(u64, u64),
    Thread(u64),
}

#[derive(Clone, Debug)]
pub struct Event {
    pub at: u64,
    pub on: Place,
    pub is: Is,
    pub name: String,
    pub cat: String,
    pub args: HashMap<String, String>,
    pub flow: Option<u64>,
    pub flow_end: Option<u64>,
}

impl Event {
    pub fn number(&self, arg: &str) -> u64 {
        match self.args.get(arg) {
            Some(text) => text.parse().unwrap(),
            None => panic!("no {arg} in {self:?}"),
        }
    }

    pub fn text(&self, arg: &str) -> &str {
        self.args.get(arg).map_or("", |s| s)
    }
}

#[derive(Debug, Default)]
pub struct Trace {
    pub events: Vec<Event>,
    /// Names of tracks.
    pub tracks: HashMap<Place, String>,
    /// Names of runtimes.
    pub runtimes: HashMap<u64, String>,
}

fn place_of(uuid: u64) -> Option<Place> {
    let (rt, number) = ((uuid >> 44) & 0xffff, uuid & ((1 << 44) - 1));
    Some(match uuid >> 60 {
        3 => Place::P(rt, number),
        4 => Place::M(rt, number),
        5 => Place::G(rt, number),
        6 => Place::Regions(rt, number),
        8 => Place::Thread(number),
        _ => return None,
    })
}

/// Reads a trace in Perfetto's format, of this process.
pub fn perfetto(bytes: &[u8]) -> Trace {
    perfetto_of(bytes, Some(std::process::id()))
}

/// As [`perfetto`], of any process.
pub fn perfetto_of_another(bytes: &[u8]) -> Trace {
    perfetto_of(bytes, None)
}

fn perfetto_of(bytes: &[u8], pid: Option<u32>) -> Trace {
    let read = proto::Trace::decode(bytes).expect("it is a protobuf message");
    let mut trace = Trace::default();
    let mut uuids = HashSet::new();
    let (mut names, mut cats, mut args) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut cleared = false;
    for (n, packet) in read.packet.into_iter().enumerate() {
        assert_eq!(packet.trusted_packet_sequence_id, 1);
        if n == 0 {
            let clocks = packet.clock_snapshot.expect("the clocks come first");
            assert_eq!(clocks.primary_trace_clock, 3);
            assert_eq!(clocks.clocks.len(), 3);
            continue;
        }
        cleared |= packet.sequence_flags & 1 != 0;
        if let Some(defaults) = packet.trace_packet_defaults {
            assert_eq!(defaults.timestamp_clock_id, 3, "CLOCK_MONOTONIC");
        }
        if let Some(data) = packet.interned_data {
            for (of, into) in [
                (data.event_names, &mut names),
                (data.event_categories, &mut cats),
                (data.debug_annotation_names, &mut args),
            ] {
                for i in of {
                    assert!(i.iid != 0 && into.insert(i.iid, i.name).is_none());
                }
            }
        }
        if let Some(track) = packet.track_descriptor {
            if !uuids.insert(track.uuid) {
                let before = place_of(track.uuid).and_then(|place| trace.tracks.get(&place));
                let renamed = before.is_some_and(|before| *before != track.name);
                assert!(renamed, "declared twice: {track:?}");
            }
            if let Some(process) = &track.process {
                assert!(pid.is_none_or(|pid| process.pid as u32 == pid));
            } else {
                assert!(uuids.contains(&track.parent_uuid), "{track:?}");
            }
            if let Some(place) = place_of(track.uuid) {
                trace.tracks.insert(place, track.name);
            } else if track.uuid >> 60 == 2 {
                trace
                    .runtimes
                    .insert((track.uuid >> 44) & 0xffff, track.name);
            }
        }
        let Some(e) = packet.track_event else {
            continue;
        };
        assert!(cleared && packet.sequence_flags & 2 != 0);
        assert!(uuids.contains(&e.track_uuid), "an event on no track: {e:?}");
        let is = match e.r#type {
            1 => Is::Begin,
            2 => Is::End,
            3 => Is::Instant,
            other => panic!("type {other}"),
        };
        let name = e.name.or_else(|| e.name_iid.map(|id| names[&id].clone()));
        assert_eq!(name.is_some(), is != Is::End);
        trace.events.push(Event {
            at: packet.timestamp.expect("an event has a time"),
            on: place_of(e.track_uuid).expect("events are on tracks, not on groups"),
            is,
            name: name.unwrap_or_default(),
            cat: e.category_iids.iter().map(|c| cats[c].clone()).collect(),
            args: e
                .debug_annotations
                .into_iter()
                .map(|a| {
                    let value = a
                        .string_value
                        .or(a.uint_value.map(|n| n.to_string()))
                        .or(a.pointer_value.map(|n| format!("{n:#x}")));
                    (args[&a.name_iid].clone(), value.expect("a value"))
                })
                .collect(),
            flow: e.flow_ids.first().copied(),
            flow_end: e.terminating_flow_ids.first().copied(),
        });
    }
    trace
}

/// Reads a trace in Chrome's format.
pub fn chrome(bytes: &[u8]) -> Trace {
    let read: serde_json::Value = serde_json::from_slice(bytes).expect("it is JSON");
    let mut trace = Trace::default();
    for e in read["traceEvents"].as_array().unwrap() {
        let (pid, tid) = (e["pid"].as_u64().unwrap(), e["tid"].as_u64().unwrap());
        let on = match (pid % 10, pid / 10) {
            (1, rt) => Place::P(rt, tid),
            (2, rt) => Place::M(rt, tid),
            (3, rt) => Place::G(rt, tid),
            (4, rt) => Place::Regions(rt, tid),
            _ => Place::Thread(tid),
        };
        let name = e["name"].as_str().unwrap_or_default().to_owned();
        // Nanoseconds, without the errors of binary fractions.
        let at = e["ts"]
            .as_f64()
            .map_or(0, |us| (us * 1000.0).round() as u64);
        let is = match e["ph"].as_str().unwrap() {
            "B" => Is::Begin,
            "E" => Is::End,
            "i" => Is::Instant,
            "M" => {
                let what = e["args"]["name"].as_str().unwrap().to_owned();
                match name.as_str() {
                    "thread_name" => {
                        let before = trace.tracks.insert(on, what.clone());
                        assert_ne!(before, Some(what), "declared twice");
                    }
                    "process_name" => {
                        if let (Place::P(rt, _), Some(name)) = (on, what.strip_suffix(": Ps")) {
                            trace.runtimes.insert(rt, name.to_owned());
                        }
                    }
                    other => panic!("{other}"),
                }
                continue;
            }
            phase @ ("s" | "f") => {
                let last = trace.events.last_mut().unwrap();
                assert_eq!((last.at, &last.on), (at, &on), "an arrow is at an event");
                let id = e["id"].as_u64();
                match phase {
                    "s" => last.flow = id,
                    _ => last.flow_end = id,
                }
                continue;
            }
            other => panic!("phase {other}"),
        };
        let args = e["args"].as_object().into_iter().flatten();
        trace.events.push(Event {
            at,
            on,
            is,
            name,
            cat: e["cat"].as_str().unwrap_or_default().to_owned(),
            args: args
                .map(|(k, v)| {
                    (
                        k.clone(),
                        v.as_str().map_or_else(|| v.to_string(), str::to_owned),
                    )
                })
                .collect(),
            flow: None,
            flow_end: None,
        });
    }
    assert!(read["otherData"]["events"].as_u64().is_some());
    trace
}

impl Trace {
    pub fn instants<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |e| e.is == Is::Instant && e.name == name)
    }

    /// Slices of this name: place, begin, end.
    pub fn slices(&self, name: &str) -> Vec<(Place, u64, u64)> {
        let mut open: HashMap<&Place, Vec<(&str, u64)>> = HashMap::new();
        let mut found = Vec::new();
        for e in &self.events {
            match e.is {
                Is::Begin => open.entry(&e.on).or_default().push((&e.name, e.at)),
                Is::End => {
                    let (was, since) = open.get_mut(&e.on).unwrap().pop().unwrap();
                    if was == name {
                        found.push((e.on.clone(), since, e.at));
                    }
                }
                Is::Instant => {}
            }
        }
        found
    }

    /// The number of the named goroutine.
    pub fn named(&self, name: &str) -> u64 {
        let mut found = self.tracks.iter().filter_map(|(on, track)| match on {
            Place::G(_, g) if track.starts_with(&format!("{name} (G")) => Some(*g),
            _ => None,
        });
        found.next().unwrap_or_else(|| panic!("no track of {name}"))
    }
}

/// A writer whose bytes can be read by others.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Traces `f`, in Perfetto's format, and checks what comes out.
pub fn traced<T>(f: impl FnOnce() -> T) -> (Trace, T) {
    let out = Shared::default();
    runtime::trace::start(out.clone()).unwrap();
    let result = f();
    runtime::trace::stop().unwrap();
    let trace = perfetto(&out.take());
    states::check(&trace);
    (trace, result)
}
