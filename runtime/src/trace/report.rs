//! Reports: texts for standard error, from threads that must not wait until they are put together and read.
//! The monitor, while it looks up names of functions, would see to no P; the thread that delivers
//! signals, while nobody reads standard error, would deliver no other.
//!
//! So a report is a closure that makes the text, for a thread of its own (`weft-report`). Few run at a time, so that
//! a slow one does not keep the next from looking while there is something to see; few wait; then
//! no more are taken. Without reports there is no thread.
//!
//! Texts go to the descriptor itself. The lock of `std::io::stderr` may be held by just the goroutine
//! that the report is about; and who reads nothing, or has closed its end, does no harm (`eprintln!` panics).

use crate::atomics::{Condvar, Mutex};
use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Report = Box<dyn FnOnce() -> String + Send>;

/// Reports that wait. Each may hold the copy of a stack.
const MOST: usize = 16;

/// Threads: one that looks up names, one that writes to who does not read, and others.
const THREADS: usize = 4;

/// How long the end of a runtime waits for reports about it: names of functions are slow to look up for the first
/// time (a second, of a large program that was not optimised), and standard error may have no reader.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

struct Desk {
    waiting: VecDeque<Report>,
    /// Threads that will look at what waits.
    running: usize,
    /// Those, and some that have ended.
    threads: Vec<JoinHandle<()>>,
}

static DESK: Mutex<Desk> = Mutex::new(Desk {
    waiting: VecDeque::new(),
    running: 0,
    threads: Vec::new(),
});

/// The last thread has ended.
static IDLE: Condvar = Condvar::new();

/// One text at a time.
static WRITER: Mutex<()> = Mutex::new(());

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    /// It will be made and written.
    Yes,
    /// Too many wait: nobody reads them.
    Full,
    /// There is no thread to be had.
    NoThread,
}

/// Has a report made and written, soon.
#[cold]
pub(crate) fn later(report: impl FnOnce() -> String + Send + 'static) -> Taken {
    let mut desk = DESK.lock();
    if desk.waiting.len() >= MOST {
        return Taken::Full;
    }
    if desk.running < THREADS {
        let thread = std::thread::Builder::new().name("weft-report".into());
        match thread.spawn(serve) {
            Ok(thread) => {
                desk.threads.retain(|t| !t.is_finished());
                desk.threads.push(thread);
                desk.running += 1;
            }
            Err(_) if desk.running == 0 => return Taken::NoThread,
            Err(_) => {}
        }
    }
    desk.waiting.push_back(Box::new(report));
    Taken::Yes
}

/// A thread.
fn serve() {
    loop {
        let report = {
            let mut desk = DESK.lock();
            let Some(report) = desk.waiting.pop_front() else {
                desk.running -= 1;
                if desk.running == 0 {
                    IDLE.notify_all();
                }
                return;
            };
            report
        };
        // A panic here (out of memory for a name, say) costs this report only.
        if let Ok(text) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(report)) {
            let _turn = WRITER.lock();
            write(&text);
        }
    }
}

/// Has a text written, soon; at once if there is no thread for it.
#[cold]
pub(crate) fn soon(text: String) {
    let copy = text.clone();
    if later(|| copy) == Taken::NoThread {
        write(&text);
    }
}

/// Waits until all reports are written, at most so long. There is no thread then.
pub(crate) fn flush(patience: Duration) {
    let until = Instant::now() + patience;
    let mut desk = DESK.lock();
    while desk.running > 0 {
        if IDLE.wait_until(&mut desk, until).timed_out() {
            return;
        }
    }
    let threads = std::mem::take(&mut desk.threads);
    drop(desk);
    for thread in threads {
        let _ = thread.join(); // on its last instructions
    }
}

/// Writes to standard error; as much as can be written.
pub(crate) fn write(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: bytes that exist.
        let n = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        if n > 0 {
            rest = &rest[n as usize..];
            continue;
        }
        if n == 0 {
            return;
        }
        let why = std::io::Error::last_os_error().kind();
        match why {
            std::io::ErrorKind::Interrupted => {}
            // Others share the terminal, and have made it so.
            std::io::ErrorKind::WouldBlock => {
                let mut room = libc::pollfd {
                    fd: libc::STDERR_FILENO,
                    events: libc::POLLOUT,
                    revents: 0,
                };
                let patience = PATIENCE.as_millis() as i32;
                // SAFETY: one entry.
                if unsafe { libc::poll(&mut room, 1, patience) } == 0 {
                    return; // nobody reads
                }
            }
            _ => return,
        }
    }
}
