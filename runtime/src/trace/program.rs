//! `RUNTIME_DEBUG=trace=FILE`: a trace of the whole program, which need not know of it.
//!
//! It begins with the first runtime and ends with the last, or when the process exits
//! (`std::process::exit`, or the end of `main`) with runtimes that are still up. A process that aborts, or is
//! killed, leaves what was written until the collector's last turn, at most some 20 ms before.

use super::collector::{Consumer, What};
use super::session::{self, Owner};
use super::stream::{Format, Stream};
use crate::atomics::Mutex;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Once;

struct Program {
    /// A trace is being written.
    on: bool,
    /// How many have been.
    files: u32,
}

static PROGRAM: Mutex<Program> = Mutex::new(Program {
    on: false,
    files: 0,
});

/// The `n`th file: `trace.pftrace`, `trace-2.pftrace`, ...
fn numbered(path: &Path, n: u32) -> PathBuf {
    if n <= 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(e) => format!("{stem}-{n}.{}", e.to_string_lossy()),
        None => format!("{stem}-{n}"),
    };
    path.with_file_name(name)
}

/// Begins the trace of the program, unless there is one already. Before a runtime starts.
pub(crate) fn start(path: &Path) -> Result<(), String> {
    let mut program = PROGRAM.lock();
    if program.on {
        return Ok(());
    }
    let path = numbered(path, program.files + 1);
    let file = File::create(&path)
        .map_err(|e| format!("the trace cannot be written to {}: {e}", path.display()))?;
    let format = match path.extension().is_some_and(|e| e == "json") {
        true => Format::Chrome,
        false => Format::Perfetto,
    };
    let consumer = Consumer::Trace(Stream::new(format, Box::new(file)));
    session::attach(Some(Owner::Environment), consumer).map_err(|e| e.to_string())?;
    program.on = true;
    program.files += 1;
    static ONCE: Once = Once::new();
    // SAFETY: a function of this program's, which does not unwind.
    ONCE.call_once(|| unsafe {
        libc::atexit(at_exit);
    });
    Ok(())
}

/// The last runtime has ended.
pub(super) fn last_runtime_ended() {
    let mut program = PROGRAM.lock();
    if !std::mem::replace(&mut program.on, false) {
        return;
    }
    match session::detach(What::Trace, Some(Owner::Environment)) {
        Ok(summary) if summary.lost > 0 => eprintln!(
            "weft: the trace lacks {} of {} events, which came too quickly",
            summary.lost,
            summary.lost + summary.events
        ),
        Ok(_) => {}
        Err(e) => eprintln!("weft: RUNTIME_DEBUG=trace: {e}"),
    }
}

/// The process exits. Whatever else its threads do, it does not wait for them.
extern "C" fn at_exit() {
    if let Some(mut program) = PROGRAM.try_lock()
        && std::mem::replace(&mut program.on, false)
    {
        session::try_detach(What::Trace, Some(Owner::Environment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_numbers() {
        let p = Path::new("/tmp/a.b/t.json");
        assert_eq!(numbered(p, 1), p);
        assert_eq!(numbered(p, 2), Path::new("/tmp/a.b/t-2.json"));
        assert_eq!(numbered(Path::new("t"), 3), Path::new("t-3"));
    }
}
