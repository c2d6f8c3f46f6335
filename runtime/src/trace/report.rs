//! Reports: texts for standard error, from threads that must not wait until they are put together and read.
//! The monitor, while it looks up names of functions, would see to no P; the thread that delivers
//! signals, while nobody reads standard error, would deliver no other.
//!
//! So a report is a closure that makes the text, for a thread of its own (`weft-report`). Few run at a time, so that
//! a slow one does not keep the next from looking while there is something to see; few wait; then
//! no more are taken. Without reports there is no thread.
//!
//! Texts go to the descriptor itself. The lock of `std::io::stderr` may be held by just the goroutine
//! that the report is about; and who reads nothing, or has closed its end, does no harm (`eprintln!` panics). Where a write
//! would block, one report waits for a reader for some seconds, and those after it do not, until one could be written.

use crate::atomics::atomic::{AtomicBool, Ordering};
use crate::atomics::{Condvar, Mutex};
use std::collections::VecDeque;
use std::os::fd::RawFd;
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

/// Who wrote last gave up. It costs one report its patience to learn that nobody reads, not each of them.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Writes to standard error; as much as can be written.
pub(crate) fn write(text: &str) {
    write_to(libc::STDERR_FILENO, text.as_bytes(), PATIENCE, &UNREAD);
}

/// Gives up when nothing could be written for so long; at once if the last one did.
fn write_to(fd: RawFd, mut rest: &[u8], patience: Duration, unread: &AtomicBool) {
    let mut until = Instant::now() + patience;
    while !rest.is_empty() {
        // SAFETY: bytes that exist.
        let n = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        if n > 0 {
            rest = &rest[n as usize..];
            until = Instant::now() + patience;
            // Relaxed, as below: it publishes nothing.
            unread.store(false, Ordering::Relaxed);
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
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || unread.load(Ordering::Relaxed) {
                    return unread.store(true, Ordering::Relaxed);
                }
                let mut room = libc::pollfd {
                    fd,
                    events: libc::POLLOUT,
                    revents: 0,
                };
                let millis = left.as_millis() as i32 + 1;
                // SAFETY: one entry. (Whatever it says, a signal included, the next write knows better.)
                unsafe { libc::poll(&mut room, 1, millis) };
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Read, pipe};
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::RecvTimeoutError;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// A pipe that is full, and says so.
    fn full() -> (PipeReader, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        // SAFETY: sets the flag of our own descriptor.
        unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        while std::io::Write::write(&mut &writer, &[b'.'; 4096]).is_ok() {}
        (reader, writer)
    }

    /// How long it took.
    fn say(writer: &PipeWriter, unread: &AtomicBool) -> Duration {
        let begin = Instant::now();
        write_to(writer.as_raw_fd(), b"text", PATIENCE, unread);
        begin.elapsed()
    }

    #[test]
    fn signals_do_not_make_it_more_patient() {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: a handler that does nothing, for a signal that nothing here uses.
        unsafe { libc::signal(libc::SIGIO, nothing as extern "C" fn(i32) as usize) };
        let (_reader, writer) = full();
        let (done, ended) = std::sync::mpsc::channel::<()>();
        // SAFETY: no arguments.
        let me = unsafe { libc::pthread_self() };
        let signals = std::thread::spawn(move || {
            let begin = Instant::now();
            while ended.recv_timeout(PATIENCE / 10) == Err(RecvTimeoutError::Timeout)
                && begin.elapsed() < PATIENCE * 20
            {
                // SAFETY: the thread waits until this one has ended.
                unsafe { libc::pthread_kill(me, libc::SIGIO) };
            }
        });
        let took = say(&writer, &AtomicBool::new(false));
        drop(done);
        signals.join().unwrap();
        assert!(took >= PATIENCE && took < PATIENCE * 10, "{took:?}");
    }

    #[test]
    fn one_finds_out_that_nobody_reads() {
        let (mut reader, writer) = full();
        let unread = AtomicBool::new(false);
        assert!(say(&writer, &unread) >= PATIENCE);
        let took: Duration = (0..10).map(|_| say(&writer, &unread)).sum();
        assert!(took < PATIENCE * 5, "{took:?}"); // and not ten times as long
        // Somebody reads again.
        reader.read_exact(&mut [0; 4096]).unwrap();
        say(&writer, &unread);
        while std::io::Write::write(&mut &writer, b".").is_ok() {}
        assert!(say(&writer, &unread) >= PATIENCE);
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("text").count(), 1);
    }
}
