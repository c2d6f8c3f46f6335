//! What can go wrong with a trace, and what is known of one that has ended.

use std::{fmt, io};

/// Why there is no trace, or none that is complete.
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// There is a trace already (a flight recorder, if one was asked for): there is one at a time in a
    /// process. `RUNTIME_DEBUG=trace=FILE` starts one, too.
    AlreadyRunning,
    /// There is none that could be stopped.
    NotRunning,
    /// The writer failed, and what came after that is missing.
    Write(io::Error),
    /// The system gives no thread for the collector.
    Thread(io::Error),
    /// The collector's thread has panicked: a bug, or a writer's.
    Collector,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceError::AlreadyRunning => {
                f.write_str("a trace is being recorded already: stop it first")
            }
            TraceError::NotRunning => f.write_str("no trace is being recorded"),
            TraceError::Write(e) => write!(f, "the trace could not be written: {e}"),
            TraceError::Thread(e) => {
                write!(
                    f,
                    "the system gives no thread to write the trace ({e}): raise the limit on threads"
                )
            }
            TraceError::Collector => f.write_str("the thread that writes the trace has panicked"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TraceError::Write(e) | TraceError::Thread(e) => Some(e),
            _ => None,
        }
    }
}

/// What is in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Events that were recorded.
    pub events: u64,
    /// Events that are missing, since they came quicker than they could be written. The trace says when and
    /// where.
    pub lost: u64,
    /// Bytes that were written.
    pub bytes: u64,
}
