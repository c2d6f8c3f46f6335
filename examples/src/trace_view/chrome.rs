//! Reads Chrome's format: the events are taken as the JSON goes by, so that of a file that breaks off
//! there is what came before, and no tree of it is ever in memory.
//!
//! A "process" of the file is a group of tracks: its number says of which runtime and of which kind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::build::{Arg, Builder, Head};
use super::model::{Format, Trace, TrackKind};

/// The group of threads that no runtime made.
const THREADS: u64 = 5;

struct Reader {
    builder: Builder,
    tracks: HashMap<(u64, u64), usize>,
    /// The runtime of each number that the file gives.
    runtimes: HashMap<u64, usize>,
}

/// Reads all events. `Err` says whether a runtime was seen, and why nothing else was.
pub(super) fn read(bytes: &[u8]) -> Result<Trace, (bool, Option<String>)> {
    let mut reader = Reader {
        builder: Builder::new(Format::Chrome),
        tracks: HashMap::new(),
        runtimes: HashMap::new(),
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = File(&mut reader)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    let cut = read.err().map(|error| match error.classify() {
        Category::Eof => format!("the file breaks off in line {}", error.line()),
        _ => format!("the file is broken: {error}"),
    });
    if reader.builder.is_empty() {
        return Err((reader.builder.has_runtime(), cut));
    }
    Ok(reader.builder.finish(cut))
}

/// The whole file: an object with the events in it, or an array of them.
struct File<'r>(&'r mut Reader);

/// The array of events.
struct Events<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `traceEvents`, or an array of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "traceEvents" {
                map.next_value_seed(Events(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Events(self.0).visit_seq(seq)
    }
}

impl<'de> DeserializeSeed<'de> for Events<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(event) = seq.next_element::<Event<'de>>()? {
            self.0.event(event);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    ph: Cow<'a, str>,
    #[serde(default)]
    pid: u64,
    #[serde(default)]
    tid: u64,
    /// Microseconds.
    #[serde(default)]
    ts: f64,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    cat: Cow<'a, str>,
    #[serde(default)]
    id: u64,
    #[serde(borrow, default)]
    args: Args<'a>,
}

/// Arguments, in the order of the file.
#[derive(Default)]
struct Args<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl<'de: 'a, 'a> Deserialize<'de> for Args<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Args<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("arguments")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Args<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Args(pairs))
            }
        }
        json.deserialize_map(Pairs)
    }
}

impl<'a> Args<'a> {
    fn iter(&self) -> impl Iterator<Item = (&str, Arg<'_>)> {
        self.0.iter().filter_map(|(key, value)| {
            let arg = match value {
                Value::Number(n) => Arg::Number(*n),
                Value::Text(text) => match (key.as_ref(), text.strip_prefix("0x")) {
                    ("object", Some(hex)) => Arg::Address(u64::from_str_radix(hex, 16).ok()?),
                    _ => Arg::Text(text),
                },
                Value::Other(_) => return None,
            };
            Some((key.as_ref(), arg))
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|(k, value)| match value {
            Value::Text(text) if k == key => Some(text.as_ref()),
            _ => None,
        })
    }
}

/// What the tracks of a group are.
fn kind(group: u64, number: u64) -> Option<TrackKind> {
    match (group, group % 10) {
        (THREADS, _) => Some(TrackKind::Thread(number)),
        (_, 1) => Some(TrackKind::P(number)),
        (_, 2) => Some(TrackKind::M(number)),
        (_, 3) => Some(TrackKind::Goroutine(number)),
        (_, 4) => Some(TrackKind::Regions(number)),
        _ => None,
    }
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        let (group, number) = (event.pid, event.tid);
        if event.ph == "M" {
            let name = event.args.text("name").unwrap_or_default();
            match event.name.as_ref() {
                "process_name" => {
                    if let Some(name) = name.strip_suffix(": Ps") {
                        let builder = &mut self.builder;
                        self.runtimes
                            .entry(group / 10)
                            .or_insert_with(|| builder.runtime(name));
                    }
                }
                "thread_name" => {
                    self.declare(group, number, name);
                }
                _ => {}
            }
            return;
        }
        let Some(track) = self.tracks.get(&(group, number)) else {
            return; // not of ours
        };
        let track = *track;
        let at = (event.ts * 1000.0).round() as u64;
        let head = Head {
            track,
            at,
            name: &event.name,
            category: &event.cat,
        };
        match event.ph.as_ref() {
            "B" => self.builder.begin(head, event.args.iter()),
            "E" => self.builder.end(track, at, event.args.iter()),
            "i" => self.builder.instant(head, event.args.iter()),
            "s" => self.builder.arrow_from(track, event.id),
            "f" => self.builder.arrow_to(track, event.id),
            _ => {}
        }
    }

    fn declare(&mut self, group: u64, number: u64, name: &str) {
        if let Some(&track) = self.tracks.get(&(group, number)) {
            return self.builder.rename(track, name);
        }
        let runtime = self.runtimes.get(&(group / 10)).copied();
        let Some(kind) = kind(group, number) else {
            return;
        };
        if runtime.is_none() && group != THREADS {
            return;
        }
        let track = self.builder.track(kind, runtime, name);
        self.tracks.insert((group, number), track);
    }
}
