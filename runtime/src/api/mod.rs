//! What users call. Each file is one topic; nothing here decides anything that the scheduler
//! should decide.

pub(crate) mod builder;
pub(crate) mod calls;
pub(crate) mod cancellable;
mod frame;
pub(crate) mod go;
pub mod io;
pub(crate) mod join;
pub(crate) mod leaks;
pub(crate) mod local;
pub mod net;
pub mod process;
pub(crate) mod runtime;
pub(crate) mod scope;
pub mod signal;
pub mod sync;
pub mod task;
pub mod time;
mod watched;
