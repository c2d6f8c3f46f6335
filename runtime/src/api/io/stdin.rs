//! Standard input, which parks a goroutine and not its thread.
//!
//! It is not made non-blocking: a terminal or a pipe is shared with other processes, which would be
//! surprised. So each read is preceded by a question whether there is something.

use super::pollable::{Done, Limit, Pollable, Side, is_ready};
use crate::api::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The descriptor.
#[derive(Debug)]
struct Input {
    pollable: Pollable,
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let fd = std::io::stdin();
        let fd = fd.as_fd();
        let read = || match is_ready(fd, Side::Read)? {
            true => read_once(fd, buf).map(Done::More),
            false => Err(ErrorKind::WouldBlock.into()),
        };
        self.pollable.run(fd, Side::Read, Limit::default, read)
    }
}

fn read_once(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    use std::os::fd::AsRawFd;
    // SAFETY: writes at most the length of the buffer.
    let n = unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        // Closed: as std has it, there is nothing to read.
        Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EBADF) => Ok(0),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

static INPUT: LazyLock<Mutex<BufReader<Input>>> = LazyLock::new(|| {
    let pollable = Pollable::new();
    Mutex::new(BufReader::new(Input { pollable }))
});

/// Standard input, with a buffer that all share: as `std::io::stdin`, but a goroutine that waits for input
/// parks. (Its buffer is another one than std's: use one of the two.)
///
/// ```no_run
/// let rt = runtime::start(1);
/// rt.run(|| {
///     for line in runtime::io::stdin().lines() {
///         println!("{}", line?.to_uppercase());
///     }
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
pub fn stdin() -> Stdin {
    Stdin(())
}

/// See [`stdin`].
#[derive(Clone, Copy, Debug)]
pub struct Stdin(());

impl Stdin {
    /// Locks it, waiting until nobody else has it locked.
    pub fn lock(&self) -> StdinLock {
        // Nothing is broken by a panic of who had it.
        StdinLock(INPUT.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the next line, with its end, to `line`; how many bytes. 0 at the end of the input.
    ///
    /// # Errors
    /// Those of reading, and for a line that is not UTF-8.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        self.lock().read_line(line)
    }

    /// The lines that are left. It is locked for each one only.
    pub fn lines(self) -> Lines {
        Lines(self)
    }
}

/// The lines of standard input, without their ends. See [`Stdin::lines`].
#[derive(Debug)]
pub struct Lines(Stdin);

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.ends_with('\n') {
                    line.pop();
                    if line.ends_with('\r') {
                        line.pop();
                    }
                }
                Some(Ok(line))
            }
            Err(e) => Some(Err(e)),
        }
    }
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }
}

impl Read for &Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }
}

/// Standard input, locked. See [`Stdin::lock`].
#[derive(Debug)]
pub struct StdinLock(MutexGuard<'static, BufReader<Input>>);

impl Read for StdinLock {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl BufRead for StdinLock {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}
