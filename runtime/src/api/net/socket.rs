//! What all types of `net` wrap: a socket, how it is waited for, and what is said of it.
//!
//! The descriptor is non-blocking as long as it is here. It is taken from the poller before it is closed or
//! given to somebody else.

use super::options::Options;
use super::sys;
use crate::api::io::pauses::Pauses;
use crate::api::io::pollable::{Done, Limit, Pollable, Side, closed, is_ready};
use crate::api::io::{give_flag_back, take_flag};
use crate::api::time::sleep_until;
use crate::atomics::atomic::{AtomicU64, Ordering};
use crate::timer;
use socket2::{Domain, SockAddr, Type};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Socket {
    /// `None` only in `into_fd`.
    sock: Option<socket2::Socket>,
    pollable: Pollable,
    /// Of reading and of writing, by the clock of `timer`; 0 is none.
    deadlines: [AtomicU64; 2],
    /// Made when something is set, or a copy made. Copies share them.
    options: OnceLock<Arc<Options>>,
}

// No panic comes in between: nothing of the user's runs here.
impl UnwindSafe for Socket {}
impl RefUnwindSafe for Socket {}

const NO_TIME: &str = "cannot set a 0 duration timeout";

impl Socket {
    /// Takes a socket, which is non-blocking.
    pub(super) fn from_nonblocking(sock: socket2::Socket) -> Socket {
        Socket {
            sock: Some(sock),
            pollable: Pollable::new(),
            deadlines: [AtomicU64::new(0), AtomicU64::new(0)],
            options: OnceLock::new(),
        }
    }

    pub(super) fn new(domain: Domain, ty: Type) -> io::Result<Socket> {
        socket2::Socket::new_raw(domain, ty.nonblocking().cloexec(), None)
            .map(Socket::from_nonblocking)
    }

    pub(super) fn pair(ty: Type) -> io::Result<(Socket, Socket)> {
        let ty = ty.nonblocking().cloexec();
        let (a, b) = socket2::Socket::pair_raw(Domain::UNIX, ty, None)?;
        Ok((Socket::from_nonblocking(a), Socket::from_nonblocking(b)))
    }

    /// Takes any descriptor, with what was said of it.
    pub(super) fn from_fd(fd: OwnedFd) -> Socket {
        // Where it fails, the descriptor is no socket, and its operations will say so.
        let nonblocking = take_flag(fd.as_fd()).unwrap_or(false);
        let new = Socket::from_nonblocking(socket2::Socket::from(fd));
        if nonblocking {
            new.options().set_nonblocking(true);
        }
        if !matches!(new.sock().r#type(), Ok(Type::STREAM)) {
            new.pollable.keep_messages();
        }
        let timeouts = [new.sock().read_timeout(), new.sock().write_timeout()];
        for (side, timeout) in [Side::Read, Side::Write].into_iter().zip(timeouts) {
            if let Ok(Some(timeout)) = timeout {
                new.options().set_timeout(side, Some(timeout));
            }
        }
        new
    }

    /// Gives the descriptor up, with the flags that its user set.
    pub(super) fn into_fd(mut self) -> OwnedFd {
        let sock = self.sock.take().expect("taken once");
        self.pollable.deregister(sock.as_fd());
        if !self.nonblocking() {
            // Clones have the same; without any, it concerns nobody.
            if let Some(options) = self.options.get() {
                options.set_blocks();
            }
            give_flag_back(sock.as_fd());
        }
        sock.into()
    }

    #[inline]
    pub(super) fn sock(&self) -> &socket2::Socket {
        self.sock.as_ref().expect("only `into_fd` takes it")
    }

    #[inline]
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.sock().as_fd()
    }

    fn options(&self) -> &Arc<Options> {
        self.options.get_or_init(Arc::default)
    }

    pub(super) fn try_clone(&self) -> io::Result<Socket> {
        let new = Socket::from_nonblocking(self.sock().try_clone()?);
        let set = new.options.set(Arc::clone(self.options()));
        debug_assert!(set.is_ok(), "nobody else has it");
        self.pollable.pass_messages(&new.pollable);
        Ok(new)
    }

    pub(super) fn close(&self) {
        self.pollable.close();
        // For the plain threads that wait in the kernel, and for the other end. It fails if there is
        // no other end, and wakes nonetheless.
        let _ = self.sock().shutdown(Shutdown::Both);
    }

    pub(super) fn set_nonblocking(&self, on: bool) {
        self.options().set_nonblocking(on);
    }

    fn nonblocking(&self) -> bool {
        self.options.get().is_some_and(|o| o.nonblocking())
    }

    pub(super) fn timeout(&self, side: Side) -> Option<Duration> {
        self.options.get().and_then(|o| o.timeout(side))
    }

    pub(super) fn set_timeout(&self, side: Side, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|t| t.is_zero()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, NO_TIME));
        }
        // The kernel is told for those who get the descriptor later: here nothing waits in it. Its
        // unit is the microsecond, and none of them means none at all.
        let told = timeout.map(|t| t.max(Duration::from_micros(1)));
        match side {
            Side::Read => self.sock().set_read_timeout(told)?,
            Side::Write => self.sock().set_write_timeout(told)?,
        }
        self.options().set_timeout(side, timeout);
        Ok(())
    }

    pub(super) fn set_deadline(&self, side: Side, deadline: Option<Instant>) {
        let nanos = deadline.map_or(0, |at| timer::nanos(at).max(1));
        // Relaxed: `renew` publishes it.
        self.deadlines[side as usize].store(nanos, Ordering::Relaxed);
        self.pollable.renew(side);
    }

    fn deadline(&self, side: Side) -> Option<Instant> {
        // Relaxed: as in `run`.
        let deadline = self.deadlines[side as usize].load(Ordering::Relaxed);
        (deadline != 0).then(|| timer::instant(deadline)).flatten()
    }

    /// Does `op`, which does not block, as soon as it can be done.
    #[inline]
    pub(super) fn run<T>(
        &self,
        side: Side,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        let fd = self.fd();
        // Relaxed: who waits and is to see a new one is told by `renew`.
        let deadline = self.deadlines[side as usize].load(Ordering::Relaxed);
        if deadline != 0 && deadline <= timer::now() {
            return Err(self.explain(ErrorKind::TimedOut.into()));
        }
        self.pollable
            .run(fd, side, || self.limit(side), || op(fd))
            .map_err(|e| self.explain(e))
    }

    /// Why an operation failed: who closes a socket under it makes the kernel find other words.
    #[cold]
    fn explain(&self, e: io::Error) -> io::Error {
        match self.pollable.is_closed() {
            true => closed(),
            false => e,
        }
    }

    /// What a read got: an end that a `close` has made is none of the stream's.
    #[inline]
    fn end(&self, n: usize) -> io::Result<usize> {
        match n {
            0 if self.pollable.is_closed() => Err(closed()),
            n => Ok(n),
        }
    }

    #[cold]
    fn limit(&self, side: Side) -> Limit {
        Limit {
            nonblocking: self.nonblocking(),
            timeout: self.timeout(side),
            deadline: self.deadline(side),
        }
    }

    /// Does `op` once, without waiting, whatever is known of the socket.
    fn run_once<T>(
        &self,
        side: Side,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        let limit = || Limit {
            nonblocking: true,
            ..Limit::default()
        };
        let fd = self.fd();
        if self.deadline(side).is_some_and(|at| at <= Instant::now()) {
            return Err(self.explain(ErrorKind::TimedOut.into()));
        }
        self.pollable
            .run(fd, side, limit, || op(fd))
            .map_err(|e| self.explain(e))
    }

    /// As [`Socket::run`], for no bytes of a stream: succeeds also where it would block.
    fn run_empty(
        &self,
        side: Side,
        op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<usize>>,
    ) -> io::Result<usize> {
        match self.run_once(side, op) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Reads from a TCP stream.
    #[inline]
    pub(super) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return self.run_empty(Side::Read, |fd| sys::read(fd, buf));
        }
        let n = self.run(Side::Read, |fd| sys::read(fd, buf))?;
        self.end(n)
    }

    /// Reads from a stream of the Unix kind.
    #[inline]
    pub(super) fn read_unix(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buf)])
    }

    /// Reads from a stream of any kind.
    #[inline]
    pub(super) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|b| b.is_empty()) {
            return self.run_empty(Side::Read, |fd| sys::read_message(fd, bufs));
        }
        let n = self.run(Side::Read, |fd| sys::read_message(fd, bufs))?;
        self.end(n)
    }

    /// Writes to a stream.
    #[inline]
    pub(super) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return self.run_empty(Side::Write, |fd| sys::write(fd, buf));
        }
        self.run(Side::Write, |fd| sys::write(fd, buf))
    }

    /// Writes to a stream.
    #[inline]
    pub(super) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|b| b.is_empty()) {
            return self.run_empty(Side::Write, |fd| sys::write_vectored(fd, bufs));
        }
        self.run(Side::Write, |fd| sys::write_vectored(fd, bufs))
    }

    /// Looks at what comes next in a stream.
    pub(super) fn peek_stream(&self, buf: &mut [u8]) -> io::Result<usize> {
        let empty = buf.is_empty();
        let peek = |fd: BorrowedFd<'_>| sys::recv(fd, buf, libc::MSG_PEEK).map(Done::More);
        if empty {
            return self.run_empty(Side::Read, peek);
        }
        let n = self.run(Side::Read, peek)?;
        self.end(n)
    }

    /// Receives a datagram, or looks at what comes next, by `flags`.
    #[inline]
    pub(super) fn recv(&self, buf: &mut [u8], flags: i32) -> io::Result<usize> {
        let n = self.run(Side::Read, |fd| sys::recv(fd, buf, flags).map(Done::More))?;
        self.end(n)
    }

    /// As [`Socket::recv`], and from whom.
    pub(super) fn recv_from(&self, buf: &mut [u8], flags: i32) -> io::Result<(usize, SockAddr)> {
        let (n, addr) = self.run(Side::Read, |_| {
            let buf = sys::uninit(buf);
            self.sock()
                .recv_from_with_flags(buf, flags | libc::MSG_DONTWAIT)
                .map(Done::More)
        })?;
        self.end(n).map(|n| (n, addr))
    }

    /// Sends a datagram to whom the socket is connected to.
    #[inline]
    pub(super) fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.run(Side::Write, |fd| sys::send(fd, buf).map(Done::More))
    }

    pub(super) fn send_to(&self, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        self.run(Side::Write, |_| {
            self.sock()
                .send_to_with_flags(buf, addr, flags)
                .map(Done::More)
        })
    }

    /// As [`Socket::send`], of the Unix kind. There is no event when the other end stops to receive, so it
    /// is tried even if nothing has been reported since the queue was full.
    pub(super) fn send_unix(&self, buf: &[u8]) -> io::Result<usize> {
        match self.run_once(Side::Write, |fd| sys::send(fd, buf).map(Done::More)) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.send(buf),
            result => result,
        }
    }

    /// Sends a datagram to somebody who may be slow, of the Unix kind. Such a socket is always ready to
    /// write as far as the kernel can say, as that depends on who is written to; so when the
    /// receiver's queue is full, nobody would tell, and we ask again.
    pub(super) fn send_to_slow(&self, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let send = || self.sock().send_to_with_flags(buf, addr, flags);
        let mut pause = Pause::new(self.timeout(Side::Write));
        loop {
            // That this receiver has no room says nothing about the socket: it is an answer.
            let answer = self.run_once(Side::Write, |_| match send() {
                Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(Done::More(Err(e))),
                result => result.map(Ok).map(Done::More),
            })?;
            match answer {
                Ok(n) => return Ok(n),
                Err(e) if self.nonblocking() || !pause.wait(self.deadline(Side::Write)) => {
                    return Err(e);
                }
                Err(_) => {}
            }
        }
    }

    /// Connects a new Unix stream. The kernel makes who is blocking wait while the listener's queue is
    /// full, and has no word for "not yet" to others, nor an event when there is room: we ask again.
    pub(super) fn connect_unix(&self, addr: &SockAddr) -> io::Result<()> {
        let mut pause = Pause::new(None);
        loop {
            match self.sock().connect(addr) {
                Err(e) if e.kind() == ErrorKind::WouldBlock && pause.wait(None) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Takes the next connection. (There is no flag that keeps a single `accept` from blocking. So if a clone was
    /// given away, for whom the descriptor blocks, it is asked first; and where somebody else has cleared
    /// its flag, or takes the connection meanwhile, it blocks the thread.)
    pub(super) fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        self.run(Side::Read, |_| {
            let blocks = self.options.get().is_some_and(|o| o.blocks());
            if blocks && !is_ready(self.fd(), Side::Read)? {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.sock()
                .accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
                .map(Done::More)
        })
        .map(|(sock, addr)| {
            let new = Socket::from_nonblocking(sock);
            self.pollable.pass_messages(&new.pollable);
            (new, addr)
        })
    }

    /// Connects a new TCP socket.
    pub(super) fn connect(&self, addr: &SockAddr, deadline: Option<Instant>) -> io::Result<()> {
        let limit = || Limit {
            deadline,
            ..Limit::default()
        };
        // While a connection is being made, a second `connect` says how far it is, and what came of it:
        // one call in place of a poll and a look at SO_ERROR.
        let op = || match self.sock().connect(addr) {
            Err(e) => match e.raw_os_error() {
                Some(libc::EINPROGRESS | libc::EALREADY) => Err(ErrorKind::WouldBlock.into()),
                Some(libc::EISCONN) => Ok(Done::More(())),
                _ => Err(e),
            },
            Ok(()) => Ok(Done::More(())),
        };
        self.pollable.run(self.fd(), Side::Write, limit, op)
    }
}

/// The pauses of one who has to ask again, with the end of it all.
struct Pause {
    pauses: Pauses,
    end: Option<Instant>,
}

impl Pause {
    fn new(timeout: Option<Duration>) -> Pause {
        Pause {
            pauses: Pauses::new(),
            end: timeout.and_then(|t| Instant::now().checked_add(t)),
        }
    }

    /// Sleeps, at most until `deadline`; false if the timeout is over, or the goroutine is being unwound and
    /// shall not wait.
    fn wait(&mut self, deadline: Option<Instant>) -> bool {
        let now = Instant::now();
        if self.end.is_some_and(|end| end <= now) {
            return false;
        }
        let ends = self.end.into_iter().chain(deadline);
        let until = ends.fold(now + self.pauses.take(), Instant::min);
        sleep_until(until);
        Instant::now() >= until
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(sock) = &self.sock {
            self.pollable.deregister(sock.as_fd());
        }
    }
}
