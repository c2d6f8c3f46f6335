//! A trace that is written: a model, a format, and where it goes.

use super::chrome::Chrome;
use super::draw::Drawing;
use super::error::{Summary, TraceError};
use super::event::Event;
use super::model::Model;
use super::perfetto::Perfetto;
use super::sink::Sink;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// In which format a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Perfetto's protobuf, which <https://ui.perfetto.dev> opens.
    #[default]
    Perfetto,
    /// Chrome's JSON, which chrome://tracing opens, and ui.perfetto.dev too: larger, and easy to read for
    /// scripts.
    Chrome,
}

impl Format {
    pub(super) fn sink(self) -> Box<dyn Sink> {
        match self {
            Format::Perfetto => Box::new(Perfetto::default()),
            Format::Chrome => Box::new(Chrome::default()),
        }
    }
}

/// So much is gathered before it is written.
const WRITE_AT: usize = 256 << 10;

pub(crate) struct Stream<'w> {
    model: Model,
    sink: Box<dyn Sink>,
    /// `None`: it has failed.
    writer: Option<Box<dyn Write + Send + 'w>>,
    failure: Option<io::Error>,
    bytes: u64,
}

impl<'w> Stream<'w> {
    pub(crate) fn new(format: Format, writer: Box<dyn Write + Send + 'w>) -> Stream<'w> {
        Stream {
            model: Model::default(),
            sink: format.sink(),
            writer: Some(writer),
            failure: None,
            bytes: 0,
        }
    }

    /// The trace begins at this time, with these runtimes.
    pub(crate) fn begin(&mut self, at: u64, runtimes: Vec<(u32, String)>) {
        self.sink.head(at);
        self.model.know(runtimes);
    }

    /// As [`Stream::begin`], in the middle of what `model` knows.
    pub(crate) fn begin_with(&mut self, at: u64, model: Model) {
        self.sink.head(at);
        self.model = model;
        Drawing::new(&mut self.model, &mut *self.sink, at).open_all();
    }

    /// Whether the writer has failed.
    pub(crate) fn failed(&self) -> bool {
        self.writer.is_none()
    }

    pub(crate) fn write(&mut self, events: &[Event]) {
        for e in events {
            if self.failed() {
                return;
            }
            Drawing::new(&mut self.model, &mut *self.sink, e.at).event(e);
            if self.sink.bytes().len() >= WRITE_AT {
                self.send();
            }
        }
        self.send();
    }

    /// A turn of the collector's has ended, at this time; and if it was looked, there are no goroutines but these.
    pub(crate) fn end_turn(&mut self, alive: Option<&[u64]>, at: u64) {
        if self.failed() {
            return;
        }
        let mut end = Drawing::new(&mut self.model, &mut *self.sink, at);
        end.forget_ended();
        if let Some(alive) = alive {
            end.only(alive);
        }
        self.send();
    }

    /// Writes what there is. The writer is the user's: whatever it does, it ends here.
    fn send(&mut self) {
        let bytes = self.sink.bytes();
        let Some(writer) = &mut self.writer else {
            return bytes.clear();
        };
        if bytes.is_empty() {
            return;
        }
        let result = guarded(|| writer.write_all(bytes));
        self.bytes += bytes.len() as u64;
        bytes.clear();
        if let Err(e) = result {
            self.fail(e);
        }
    }

    fn fail(&mut self, why: io::Error) {
        self.failure = Some(why);
        let writer = self.writer.take();
        let _ = guarded(|| {
            drop(writer);
            Ok(())
        });
    }

    /// The trace ends at this time.
    pub(crate) fn finish(mut self, at: u64) -> Result<Summary, TraceError> {
        if !self.failed() {
            Drawing::new(&mut self.model, &mut *self.sink, at).close_all();
            self.sink.tail(self.model.events, self.model.lost);
            self.send();
        }
        if let Some(mut writer) = self.writer.take() {
            let result = guarded(move || writer.flush());
            if let Err(e) = result {
                self.failure = Some(e);
            }
        }
        match self.failure {
            Some(e) => Err(TraceError::Write(e)),
            None => Ok(Summary {
                events: self.model.events,
                lost: self.model.lost,
                bytes: self.bytes,
            }),
        }
    }
}

/// Calls the user's code; a panic becomes an error.
fn guarded(f: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
}
