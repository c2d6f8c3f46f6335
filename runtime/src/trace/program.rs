//! `RUNTIME_DEBUG=trace=FILE`: a trace of the whole program, which need not know of it.
//!
//! It begins before the first runtime and ends after the last, or when the process exits
//! (`std::process::exit`, or the end of `main`) with runtimes that are still up. A process that aborts, or is
//! killed, leaves what was written until the collector's last turn, at most some 20 ms before.

use super::collector::{Consumer, What};
use super::report;
use super::session::{self, Owner};
use super::stream::{Format, Stream};
use crate::atomics::Mutex;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Once;

struct Program {
    /// Runtimes that are up, start or end, and are to be traced.
    users: u32,
    /// A trace is being written.
    on: bool,
    /// How many have been.
    files: u32,
    /// The process that began it.
    process: u32,
}

static PROGRAM: Mutex<Program> = Mutex::new(Program {
    users: 0,
    on: false,
    files: 0,
    process: 0,
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

/// As long as a runtime has one, the program is traced.
#[derive(Debug)]
pub(crate) struct User(());

/// A runtime starts that is to be traced; begins the trace of the program, unless there is one already.
pub(crate) fn start(path: &Path) -> Result<User, String> {
    let mut program = PROGRAM.lock();
    if program.users == 0 {
        program.begin(path)?;
    }
    program.users += 1;
    Ok(User(()))
}

impl Drop for User {
    fn drop(&mut self) {
        let mut program = PROGRAM.lock();
        program.users -= 1;
        if program.users == 0 {
            program.end();
        }
    }
}

impl Program {
    fn begin(&mut self, path: &Path) -> Result<(), String> {
        let path = numbered(path, self.files + 1);
        let file = File::create(&path)
            .map_err(|e| format!("the trace cannot be written to {}: {e}", path.display()))?;
        let format = match path.extension().is_some_and(|e| e == "json") {
            true => Format::Chrome,
            false => Format::Perfetto,
        };
        let consumer = Consumer::Trace(Stream::new(format, Box::new(file)));
        session::attach(Some(Owner::Environment), consumer).map_err(|e| e.to_string())?;
        self.on = true;
        self.process = std::process::id();
        self.files += 1;
        static ONCE: Once = Once::new();
        // SAFETY: a function of this program's, which does not unwind.
        ONCE.call_once(|| unsafe {
            libc::atexit(at_exit);
        });
        Ok(())
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.on, false) {
            return;
        }
        match session::detach(What::Trace, Some(Owner::Environment)) {
            Ok(summary) if summary.lost > 0 => report::write(&format!(
                "weft: the trace lacks {} of {} events, which came too quickly\n",
                summary.lost,
                summary.lost + summary.events
            )),
            Ok(_) => {}
            Err(e) => report::write(&format!("weft: RUNTIME_DEBUG=trace: {e}\n")),
        }
    }
}

/// The process exits. Whatever else its threads do, it does not wait for them. (In a child that was forked, the
/// collector's thread does not exist.)
extern "C" fn at_exit() {
    if let Some(mut program) = PROGRAM.try_lock()
        && program.process == std::process::id()
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
