//! The events as the script reads them: one stream of variable-length numbers, compressed, in base 64;
//! names and texts are JSON beside it.
//!
//! ```text
//!   track:   its slices, then its instants; how many there are says the JSON
//!   slice:   begin (since the begin before), duration, depth, class, name, arguments
//!   instant: time (since the time before), category, name, arguments
//!   arguments: how many, then of each its key and 4 * value + kind (0 number, 1 address, 2 text)
//!   arrow:   track, instant, track, slice; after all tracks
//! ```

use std::collections::HashMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::super::goroutines::Goroutines;
use super::super::model::{ArgRange, Trace, TrackKind, Value};

/// What a JavaScript number holds exactly, after two bits for the kind.
const LARGEST: u64 = 1 << 51;

/// Goroutines whose names the script has beside those with tracks: enough to find one by what it is called.
const MOST_NAMES: usize = 2_000;

pub(super) struct Packed {
    /// JSON, safe within a script element.
    pub(super) words: String,
    /// Base 64.
    pub(super) data: String,
}

#[derive(Serialize)]
struct Words<'a> {
    duration: u64,
    runtimes: Vec<&'a str>,
    strings: Vec<&'a str>,
    arrows: usize,
    tracks: Vec<Row<'a>>,
    goroutines: Vec<(u64, &'a str)>,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    number: u64,
    runtime: Option<usize>,
    name: &'a str,
    slices: usize,
    instants: usize,
}

struct Stream<'a> {
    trace: &'a Trace,
    bytes: Vec<u8>,
    /// Numbers that are too large for the script, as text.
    texts: Vec<String>,
    known: HashMap<u64, u64>,
}

impl Stream<'_> {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    fn large(&mut self, n: u64) -> u64 {
        if let Some(&at) = self.known.get(&n) {
            return at;
        }
        let at = (self.trace.strings.len() + self.texts.len()) as u64;
        self.texts.push(n.to_string());
        self.known.insert(n, at);
        at
    }

    fn args(&mut self, ranges: &[&ArgRange]) {
        let count: u32 = ranges.iter().map(|range| range.end - range.start).sum();
        self.number(count.into());
        for range in ranges {
            for &(key, value) in &self.trace.args[range.start as usize..range.end as usize] {
                self.number(key.into());
                let packed = match value {
                    Value::Number(n) if n < LARGEST => 4 * n,
                    Value::Address(n) if n < LARGEST => 4 * n + 1,
                    Value::Number(n) | Value::Address(n) => 4 * self.large(n) + 2,
                    Value::Text(text) => 4 * u64::from(text) + 2,
                };
                self.number(packed);
            }
        }
    }
}

pub(super) fn pack(trace: &Trace, goroutines: &Goroutines) -> Packed {
    let mut stream = Stream {
        trace,
        bytes: Vec::new(),
        texts: Vec::new(),
        known: HashMap::new(),
    };
    let mut rows = Vec::new();
    for track in &trace.tracks {
        let (kind, number) = match track.kind {
            TrackKind::P(n) => ("P", n),
            TrackKind::M(n) => ("M", n),
            TrackKind::Goroutine(n) => ("G", n),
            TrackKind::Regions(n) => ("R", n),
            TrackKind::Thread(n) => ("T", n),
        };
        rows.push(Row {
            kind,
            number,
            runtime: track.runtime,
            name: &track.name,
            slices: track.slices.len(),
            instants: track.instants.len(),
        });
        let mut last = 0;
        for slice in &track.slices {
            // The writer has them in order; what is not is drawn where the one before begins.
            let begin = slice.begin.max(last);
            stream.number(begin - last);
            stream.number(slice.end.saturating_sub(begin));
            stream.number(slice.depth.into());
            stream.number(slice.class as u64);
            stream.number(slice.name.into());
            stream.args(&[&slice.args, &slice.end_args]);
            last = begin;
        }
        last = 0;
        for instant in &track.instants {
            let at = instant.at.max(last);
            stream.number(at - last);
            stream.number(instant.category.into());
            stream.number(instant.name.into());
            stream.args(&[&instant.args]);
            last = at;
        }
    }
    for arrow in &trace.arrows {
        for n in [arrow.from.0, arrow.from.1, arrow.to.0, arrow.to.1] {
            stream.number(n as u64);
        }
    }
    let mut strings: Vec<&str> = trace.strings.iter().map(String::as_str).collect();
    strings.extend(stream.texts.iter().map(String::as_str));
    let named = goroutines
        .all
        .iter()
        .filter(|g| g.name != format!("G{}", g.id));
    let words = Words {
        duration: trace.duration,
        runtimes: trace
            .runtimes
            .iter()
            .map(|runtime| runtime.name.as_str())
            .collect(),
        strings,
        arrows: trace.arrows.len(),
        tracks: rows,
        goroutines: named
            .take(MOST_NAMES)
            .map(|g| (g.id, g.name.as_str()))
            .collect(),
    };
    let words = serde_json::to_string(&words).expect("words and numbers are JSON");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let zipped = gzip.write_all(&stream.bytes).and_then(|()| gzip.finish());
    Packed {
        // `</script>` in a name must not end the element.
        words: words.replace('<', "\\u003c"),
        data: STANDARD.encode(zipped.expect("memory can be written to")),
    }
}
