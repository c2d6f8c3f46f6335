//! Why a context ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a context ended. Texts as Go's.
///
/// ```
/// use channels::context::ContextError;
///
/// assert_eq!(ContextError::Canceled.to_string(), "context canceled");
/// assert_eq!(ContextError::DeadlineExceeded.to_string(), "context deadline exceeded");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// It, or a parent, was cancelled (Go's `context.Canceled`).
    Canceled,
    /// Its deadline, or a parent's, has passed (Go's `context.DeadlineExceeded`).
    DeadlineExceeded,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContextError::Canceled => "context canceled",
            ContextError::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

/// The reason that was given for the end of a context: any error, shared by all who ask.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// The end of a context.
#[derive(Clone)]
pub(super) struct End {
    pub(super) error: ContextError,
    /// What was given as the reason; without one it is the error.
    pub(super) cause: Option<Cause>,
}

impl End {
    pub(super) fn canceled(cause: Option<Cause>) -> End {
        End {
            error: ContextError::Canceled,
            cause,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
            .clone()
            .unwrap_or_else(|| Arc::new(self.error) as Cause)
    }
}

/// An error as a cause.
pub(super) fn cause(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
    Arc::from(error.into())
}
