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
        /// The number may stand for another file the next time: it is not ours.
        struct Forget<'a>(&'a Pollable, BorrowedFd<'a>);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                self.0.deregister(self.1);
            }
        }
        let _forget = Forget(&self.pollable, fd); // also if the read is cancelled
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

/// What all handles share.
#[derive(Debug)]
struct Shared {
    reader: BufReader<Input>,
    /// The beginning of a line whose reader was interrupted before its end came. Comes before what is in
    /// the buffer.
    begun: Vec<u8>,
}

impl Shared {
    /// Takes the next line with its end, or what there is at the end of the input. Interrupted, it keeps
    /// what it has read.
    fn take_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let buf = self.reader.fill_buf()?;
            let end = buf.iter().position(|&b| b == b'\n');
            let n = end.map_or(buf.len(), |at| at + 1);
            self.begun.extend_from_slice(&buf[..n]);
            self.reader.consume(n);
            if end.is_some() || n == 0 {
                return Ok(std::mem::take(&mut self.begun));
            }
        }
    }
}

impl BufRead for Shared {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.begun.is_empty() {
            true => self.reader.fill_buf(),
            false => Ok(&self.begun),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self.begun.is_empty() {
            true => self.reader.consume(amount),
            false => drop(self.begun.drain(..amount)),
        }
    }
}

impl Read for Shared {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.begun.as_slice().read(buf)?;
        if n == 0 {
            return self.reader.read(buf);
        }
        self.begun.drain(..n);
        Ok(n)
    }
}

static INPUT: LazyLock<Mutex<Shared>> = LazyLock::new(|| {
    let pollable = Pollable::new();
    Mutex::new(Shared {
        reader: BufReader::new(Input { pollable }),
        begun: Vec::new(),
    })
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

    /// Adds the next line, with its end, to `line`; how many bytes. 0 at the end of the input. If the wait for
    /// the line is cut short (by a `timeout`, say), nothing of it is lost: the next reader gets it whole.
    ///
    /// # Errors
    /// Those of reading, and for a line that is not UTF-8.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        let bytes = self.lock().0.take_line()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            io::Error::new(
                ErrorKind::InvalidData,
                "a line of standard input is not UTF-8",
            )
        })?;
        line.push_str(text);
        Ok(text.len())
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
pub struct StdinLock(MutexGuard<'static, Shared>);

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
