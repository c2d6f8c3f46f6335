//! The flight recorder, as users see it.

use super::collector::{Consumer, What};
use super::error::{Summary, TraceError};
use super::flight::Flight;
use super::session;
use super::stream::Format;
use std::io::Write;
use std::time::Duration;

/// Most memory that a flight recorder's events take, unless it is asked for otherwise: 64 MiB, about a million
/// events.
pub const FLIGHT_BYTES: usize = 64 << 20;

/// Remembers what happened in the last seconds, to be written when it is known that it matters: when a
/// request was slow, or an assertion failed (Go's `trace.FlightRecorder`). There is one at a time in a process;
/// it may be there beside a trace. Dropping it ends it.
///
/// ```
/// use runtime::trace::FlightRecorder;
/// use std::time::Duration;
///
/// let rt = runtime::start(2);
/// let recorder = FlightRecorder::start(Duration::from_secs(5)).unwrap();
/// rt.run(|| runtime::go!(|| ()).join().unwrap());
/// let mut trace = Vec::new();
/// let summary = recorder.snapshot(&mut trace).unwrap();
/// assert!(summary.events > 0 && !trace.is_empty());
/// ```
#[derive(Debug)]
#[must_use = "a flight recorder ends when it is dropped"]
pub struct FlightRecorder(());

impl FlightRecorder {
    /// Starts to remember, for at least so long, what happens in all runtimes, in at most [`FLIGHT_BYTES`].
    ///
    /// # Errors
    /// If there is a flight recorder already, or the system gives no thread.
    pub fn start(keep: Duration) -> Result<FlightRecorder, TraceError> {
        FlightRecorder::start_within(keep, FLIGHT_BYTES)
    }

    /// As [`FlightRecorder::start`], in at most so many bytes: with more events than fit, the time is
    /// shorter. (Beside them, some 100 bytes are kept for each goroutine that is not finished.)
    ///
    /// # Errors
    /// As [`FlightRecorder::start`].
    pub fn start_within(keep: Duration, most_bytes: usize) -> Result<FlightRecorder, TraceError> {
        session::attach(None, Consumer::Flight(Flight::new(keep, most_bytes)))?;
        Ok(FlightRecorder(()))
    }

    /// Writes what is remembered now, up to this moment, in Perfetto's format, on the calling thread. It is
    /// remembered further, and recording goes on meanwhile.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn snapshot(&self, writer: impl Write + Send) -> Result<Summary, TraceError> {
        self.snapshot_as(Format::Perfetto, writer)
    }

    /// As [`FlightRecorder::snapshot`], in a format of the caller's choice.
    ///
    /// # Errors
    /// As [`FlightRecorder::snapshot`].
    pub fn snapshot_as(
        &self,
        format: Format,
        writer: impl Write + Send,
    ) -> Result<Summary, TraceError> {
        session::snapshot()?.write(format, Box::new(writer))
    }

    /// Ends it, and says what it has seen. Dropping it is the same.
    ///
    /// # Errors
    /// If the collector's thread has panicked.
    pub fn stop(self) -> Result<Summary, TraceError> {
        let summary = session::detach(What::Flight, None);
        std::mem::forget(self);
        summary
    }
}

impl Drop for FlightRecorder {
    fn drop(&mut self) {
        let _ = session::detach(What::Flight, None);
    }
}
