//! Any descriptor that can be polled.

use super::nonblocking::NonBlocking;
use super::pollable::{Done, Limit, Pollable, Side, is_ready};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

/// A descriptor whose operations wait as goroutines wait: a pipe, an eventfd, an inotify instance, a
/// pidfd, a terminal, a socket of a kind of its own.
///
/// It is made non-blocking. An operation is tried first; if it would block, a goroutine parks until the
/// descriptor is ready, and a plain thread blocks. `Read` and `Write` of the descriptor wait so; other
/// operations by [`Registered::read_with`] and [`Registered::write_with`]. Any number of goroutines may
/// use it at once. Who finds what it came for takes it at once, also before goroutines that wait for it; these take
/// turns as at a [`Mutex`](crate::sync::Mutex): nobody is passed over for long.
///
/// When it goes, the descriptor blocks as it did before, once no copy of it is registered any more. (Where the system does not
/// tell which are copies, before Linux 6.10 and if it refuses `kcmp`, one of the same file that did not block when it was
/// registered is taken for one; and so it is among more than a thousand of these. All eventfds are of one file, all pidfds, and
/// the like.)
///
/// What can not be polled (a regular file) is always ready: its operations block the thread, as the runtime's
/// hand-off allows.
///
/// ```
/// use runtime::io::Registered;
/// use std::io::{Read, Write, pipe};
///
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let (rx, tx) = pipe().unwrap();
///     let (mut rx, mut tx) = (Registered::new(rx).unwrap(), Registered::new(tx).unwrap());
///     let reader = runtime::go!(move || {
///         let mut text = String::new();
///         rx.read_to_string(&mut text).unwrap(); // parks
///         text
///     });
///     tx.write_all(b"through a pipe").unwrap();
///     drop(tx);
///     assert_eq!(reader.join().unwrap(), "through a pipe");
/// });
/// ```
#[derive(Debug)]
pub struct Registered<T: AsFd> {
    /// `None` only in `into_inner`.
    io: Option<T>,
    pollable: Pollable,
    flag: NonBlocking,
}

impl<T: AsFd> Registered<T> {
    /// Takes a descriptor. It is given to the runtime's poller when somebody first has to wait for it.
    ///
    /// # Errors
    /// If it cannot be made non-blocking.
    pub fn new(io: T) -> io::Result<Registered<T>> {
        let flag = NonBlocking::set(io.as_fd())?;
        Ok(Registered {
            io: Some(io),
            pollable: Pollable::new(),
            flag,
        })
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &T {
        self.io.as_ref().expect("only `into_inner` takes it")
    }

    /// The descriptor, to be changed. Not to be replaced by another: waits for that one may not end.
    pub fn get_mut(&mut self) -> &mut T {
        self.io.as_mut().expect("only `into_inner` takes it")
    }

    /// Gives the descriptor back, blocking as it was before. (It stays non-blocking as long as a copy of it, which shares the
    /// flag, is registered.)
    pub fn into_inner(mut self) -> T {
        self.release();
        self.io.take().expect("taken once")
    }

    /// The descriptor goes, to its end or to somebody else.
    fn release(&self) {
        if let Some(io) = &self.io {
            self.pollable.deregister(io.as_fd());
            self.flag.restore(io.as_fd());
        }
    }

    fn run<R>(
        &self,
        side: Side,
        deadline: Option<Instant>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let io = self.get_ref();
        let limit = || Limit {
            deadline,
            ..Limit::default()
        };
        self.pollable
            .run(io.as_fd(), side, limit, || op(io).map(Done::More))
    }

    /// Does `op`, which reads without blocking, as soon as it can be done: whenever it fails with
    /// [`ErrorKind::WouldBlock`], the caller waits until the descriptor is readable, and calls it
    /// again. (Also after [`ErrorKind::Interrupted`].)
    ///
    /// # Errors
    /// Those of `op`, and those of registering the descriptor with the poller.
    ///
    /// # Panics
    /// If `op` does. A goroutine that is cancelled, or whose runtime is shut down, unwinds in its wait.
    pub fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.run(Side::Read, None, op)
    }

    /// As [`Registered::read_with`], for an operation that writes.
    ///
    /// # Errors
    /// As [`Registered::read_with`].
    pub fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.run(Side::Write, None, op)
    }

    /// As [`Registered::read_with`], until `deadline` at most.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when it has passed, and as [`Registered::read_with`].
    pub fn read_deadline<R>(
        &self,
        deadline: Instant,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.run(Side::Read, Some(deadline), op)
    }

    /// As [`Registered::write_with`], until `deadline` at most.
    ///
    /// # Errors
    /// As [`Registered::read_deadline`].
    pub fn write_deadline<R>(
        &self,
        deadline: Instant,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.run(Side::Write, Some(deadline), op)
    }

    /// Waits until there is something to read: data, an end, or an error.
    ///
    /// # Errors
    /// As [`Registered::read_with`].
    pub fn readable(&self) -> io::Result<()> {
        self.read_with(|io| ready(io, Side::Read))
    }

    /// Waits until something can be written, or there is an error.
    ///
    /// # Errors
    /// As [`Registered::read_with`].
    pub fn writable(&self) -> io::Result<()> {
        self.write_with(|io| ready(io, Side::Write))
    }
}

fn ready(io: &impl AsFd, side: Side) -> io::Result<()> {
    match is_ready(io.as_fd(), side)? {
        true => Ok(()),
        false => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<T: AsFd> Drop for Registered<T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T: AsFd> AsFd for Registered<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> AsRawFd for Registered<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Read for &Registered<T>
where
    for<'a> &'a T: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|mut io| io.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with(|mut io| io.read_vectored(bufs))
    }
}

impl<T: AsFd> Write for &Registered<T>
where
    for<'a> &'a T: Write,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|mut io| io.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|mut io| io.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_with(|mut io| io.flush())
    }
}

impl<T: AsFd> Read for Registered<T>
where
    for<'a> &'a T: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl<T: AsFd> Write for Registered<T>
where
    for<'a> &'a T: Write,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}
