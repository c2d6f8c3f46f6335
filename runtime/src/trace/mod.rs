//! Execution traces: what each goroutine, P and thread of the process did and when, as Go's `runtime/trace`
//! records it.
//!
//! A trace is written while the program runs, in [Perfetto's format](Format::Perfetto), which
//! <https://ui.perfetto.dev> opens: a track for each P and each M (thread), one for each goroutine with a name,
//! and arrows from who woke a goroutine to where it went on. All runtimes of the process are in it.
//!
//! ```
//! let rt = runtime::start(2);
//! let file = std::env::temp_dir().join("doc.pftrace");
//! runtime::trace::start(std::fs::File::create(&file).unwrap()).unwrap();
//! rt.run(|| {
//!     let h = runtime::go!(name = "helper", || {
//!         let _region = runtime::trace::region("help");
//!         runtime::trace::log("progress", "halfway");
//!     });
//!     h.join().unwrap();
//! });
//! let summary = runtime::trace::stop().unwrap();
//! assert!(summary.events > 0);
//! # std::fs::remove_file(file).unwrap();
//! ```
//!
//! * `RUNTIME_DEBUG=trace=FILE` traces a whole program without a change of it.
//! * A [`FlightRecorder`] keeps the last seconds in memory, to be written when something has happened.
//! * [`region`] and [`log`](log()) say what the program does, in its own words.
//!
//! An event costs some 8 ns while it is recorded, and one load and one branch when nothing is. If events come
//! quicker than they can be written, they are dropped and counted; nobody waits for the writer. docs/tracing.md
//! tells how it works and what it measures.

mod chrome;
mod clock;
mod collector;
mod draw;
pub(crate) mod dump;
pub(crate) mod emit;
mod error;
pub(crate) mod event;
mod flight;
mod interpret;
pub(crate) mod metrics;
mod model;
pub(crate) mod panics;
mod perfetto;
pub(crate) mod program;
mod proto;
mod quoted;
mod recorder;
pub(crate) mod report;
mod ring;
pub(crate) mod runtimes;
pub(crate) mod schedtrace;
pub(crate) mod session;
mod sink;
mod stream;
mod user;

pub use clock::Clock;
pub use error::{Summary, TraceError};
pub use recorder::{FLIGHT_BYTES, FlightRecorder};
pub use stream::Format;
pub use user::{Region, in_region, log, region};

use collector::{Consumer, What};
use session::Owner;
use std::io::Write;
use stream::Stream;

/// Whether events are recorded: what every room asks before it says something.
#[inline(always)]
pub(crate) fn on() -> bool {
    crate::atomics::tracing()
}

/// Whether anything is recorded now, for a trace or a [`FlightRecorder`].
///
/// ```
/// assert!(!runtime::trace::is_on());
/// ```
pub fn is_on() -> bool {
    on()
}

/// The clock that the events of this process have.
///
/// ```
/// println!("{:?}", runtime::trace::clock());
/// ```
pub fn clock() -> Clock {
    clock::init()
}

/// Starts a trace of all runtimes of the process, those included that start later, in Perfetto's format.
/// From any thread, and from goroutines.
///
/// `writer` is used by a thread of its own, until [`stop`]. It may be slow (then events are lost, and counted),
/// and it may fail (then `stop` says so, and the program goes on). It must not call [`start`] or `stop`.
///
/// # Errors
/// If there is a trace already, or the system gives no thread.
pub fn start(writer: impl Write + Send + 'static) -> Result<(), TraceError> {
    start_as(Format::Perfetto, writer)
}

/// As [`start`], in a format of the caller's choice.
///
/// ```
/// use runtime::trace::{self, Format};
///
/// let file = std::env::temp_dir().join("doc.trace.json");
/// trace::start_as(Format::Chrome, std::fs::File::create(&file).unwrap()).unwrap();
/// trace::stop().unwrap();
/// # std::fs::remove_file(file).unwrap();
/// ```
///
/// # Errors
/// As [`start`].
pub fn start_as(format: Format, writer: impl Write + Send + 'static) -> Result<(), TraceError> {
    let stream = Stream::new(format, Box::new(writer));
    session::attach(Some(Owner::Program), Consumer::Trace(stream))
}

/// Ends the trace: when it returns, everything is written and the writer is flushed and dropped. Blocks the
/// calling thread meanwhile, also on a goroutine (whose P goes to others, as in any call that blocks).
///
/// # Errors
/// [`TraceError::NotRunning`] if there is no trace that [`start`] has begun; [`TraceError::Write`] if the writer
/// has failed, now or before.
pub fn stop() -> Result<Summary, TraceError> {
    session::detach(What::Trace, Some(Owner::Program))
}
