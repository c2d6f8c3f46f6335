//! The offline viewer of execution traces: reads a trace of the runtime's in either format and makes one
//! HTML page of it that needs nothing else.
//!
//! ```text
//!   file --> perfetto --+                    +--> goroutines --+
//!                       +--> build --> model +--> latency      +--> page --> HTML
//!   file --> chrome   --+                    +--> waits        |
//!                                            +--> utilisation -+
//! ```
//!
//! A format is known by one file, and all numbers are made here in Rust, where tests can get at them;
//! the page's script draws and finds, and reckons nothing. Nothing here uses the runtime, so that a trace can be
//! looked at where there is none.
//!
//! # Examples
//!
//! ```
//! use examples::trace_view;
//!
//! let json = br#"{"traceEvents":[
//!     {"ph":"M","pid":11,"tid":0,"name":"process_name","args":{"name":"weft: Ps"}},
//!     {"ph":"M","pid":11,"tid":0,"name":"thread_name","args":{"name":"P0"}},
//!     {"ph":"B","pid":11,"tid":0,"ts":0.000,"name":"idle","cat":"p"},
//!     {"ph":"E","pid":11,"tid":0,"ts":2.500}
//! ]}"#;
//! let trace = trace_view::read(json).unwrap();
//! assert_eq!(trace.duration, 2_500);
//! let page = trace_view::page(&trace, "idle.json");
//! assert!(page.starts_with("<!doctype html>"));
//! ```

mod build;
mod chrome;
mod goroutines;
mod latency;
mod model;
mod page;
mod perfetto;
mod proto;
mod utilisation;
mod waits;

use std::fmt;

pub use goroutines::{Goroutine, Goroutines, Group, State};
pub use latency::{BOUNDS, Histogram, Latencies, Since};
pub use model::{
    ArgRange, Arrow, Class, Format, Instant, Lost, Name, Runtime, Slice, Step, Trace, Track,
    TrackKind, Value, What,
};
pub use page::{duration_text, page};
pub use proto::{
    Clock, ClockSnapshot, DebugAnnotation, Interned, InternedData, ProcessDescriptor, TracePacket,
    TrackDescriptor, TrackEvent,
};
pub use utilisation::{Share, Utilisation, utilisation};
pub use waits::{ObjectWaits, ReasonWaits, Wait, Waits};

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The file has no bytes.
    Empty,
    /// The file is neither of the two formats.
    Unknown,
    /// The file has one of the formats, and nothing of the runtime's.
    Foreign(Format),
    /// The file is a trace of the runtime's, and has no event.
    NoEvents(Format, Option<String>),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Empty => f.write_str(
                "the file is empty (a trace is complete only when it was stopped, or when the last runtime has ended)",
            ),
            ReadError::Unknown => f.write_str(
                "this is no trace: neither Perfetto's protobuf nor Chrome's JSON",
            ),
            ReadError::Foreign(format) => write!(
                f,
                "this is {}, but not a trace of the runtime's: it has no tracks of Ps, Ms or goroutines",
                format.as_str()
            ),
            ReadError::NoEvents(_, None) => f.write_str("the trace has no events"),
            ReadError::NoEvents(_, Some(why)) => write!(f, "the trace has no events: {why}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a trace of either format; which, is told by what is in it.
///
/// A file that breaks off or is broken somewhere gives what there is before that place, and
/// [`Trace::cut`] says so.
///
/// # Errors
///
/// When there is nothing to show at all.
pub fn read(bytes: &[u8]) -> Result<Trace, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    if perfetto::is_perfetto(bytes) {
        return perfetto::read(bytes).map_err(|(ours, cut)| match ours {
            true => ReadError::NoEvents(Format::Perfetto, cut),
            false => ReadError::Foreign(Format::Perfetto),
        });
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {}
        _ => return Err(ReadError::Unknown),
    }
    chrome::read(bytes).map_err(|error| match error {
        (true, cut) => ReadError::NoEvents(Format::Chrome, cut),
        (false, None) => ReadError::Foreign(Format::Chrome),
        (false, Some(_)) => ReadError::Unknown,
    })
}
