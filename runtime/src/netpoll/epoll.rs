//! The kernel's side: epoll, edge-triggered. The only file that names it.
//!
//! One wait is one system call, to the nanosecond (`epoll_pwait2`, Linux 5.11; before that, `ppoll` on the
//! epoll descriptor itself). docs/netpoll.md says what this costs less than the `polling` crate.

use super::Side;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicBool;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// Events that one wait takes at most: as many as a P's deque holds, so that thieves can take all of them.
pub(crate) const BATCH: usize = 64;

/// What the kernel reports, and under which key.
pub(crate) type RawEvent = libc::epoll_event;

/// No event.
pub(crate) const NO_EVENT: RawEvent = RawEvent { events: 0, u64: 0 };

/// The key of [`Epoll::wake`].
pub(crate) const WAKE_KEY: u64 = u64::MAX;

/// Whether there is no `epoll_pwait2`.
static NO_PWAIT2: AtomicBool = AtomicBool::new(false);

const READ: u32 =
    (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLHUP | libc::EPOLLERR) as u32;
const WRITE: u32 = (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32;
const BOUNDARY: u32 = (libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// There is something that a read may stop short at, with more behind it: urgent data, the end, an
    /// error.
    pub(crate) boundary: bool,
}

impl From<&RawEvent> for Readiness {
    fn from(event: &RawEvent) -> Readiness {
        let flags = event.events;
        Readiness {
            read: flags & READ != 0,
            write: flags & WRITE != 0,
            boundary: flags & BOUNDARY != 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    /// An eventfd, by which a wait is ended from elsewhere. It is never read: each write is an edge.
    wake: OwnedFd,
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: no preconditions.
        let fd = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: no preconditions.
        let wake = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        let new = Epoll { fd, wake };
        new.control(
            libc::EPOLL_CTL_ADD,
            new.wake.as_raw_fd(),
            libc::EPOLLIN as u32,
            WAKE_KEY,
        )?;
        Ok(new)
    }

    fn control(&self, op: i32, fd: i32, flags: u32, key: u64) -> io::Result<()> {
        let mut event = RawEvent {
            events: flags | libc::EPOLLET as u32,
            u64: key,
        };
        // SAFETY: reads one event.
        match unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Reports from now on what comes for `fd` in one direction, under `key`; what is there already is
    /// reported first.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, side: Side, key: u64) -> io::Result<()> {
        let flags = match side {
            Side::Read => READ,
            Side::Write => WRITE,
        };
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), flags, key)
    }

    /// As [`Epoll::add`], of what is reported in one direction already: in both from now on.
    pub(crate) fn widen(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), READ | WRITE, key)
    }

    /// Reports no more. (A wait that has returned already may hold a report of it.)
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) {
        // The only errors are those of descriptors that are not there.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd.as_raw_fd(), 0, 0);
    }

    /// Ends the present wait, or the next.
    pub(crate) fn wake(&self) {
        let one: u64 = 1;
        // SAFETY: writes eight bytes. It fails only when the counter is full, after 2^64 wakes.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Waits for events, at most for `timeout`; how many there are. Signals end a wait early.
    pub(crate) fn wait(&self, events: &mut [RawEvent], timeout: Option<Duration>) -> usize {
        let n = match timeout {
            Some(Duration::ZERO) => self.wait_millis(events, 0),
            None => self.wait_millis(events, -1),
            Some(timeout) => self.wait_timeout(events, timeout),
        };
        usize::try_from(n).unwrap_or_else(|_| {
            debug_assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
            0
        })
    }

    /// By a bare call: see `api/net/sys.rs`.
    fn wait_millis(&self, events: &mut [RawEvent], millis: i32) -> i32 {
        let (fd, max) = (self.fd.as_raw_fd(), events.len() as i32);
        let no_mask = ptr::null::<libc::sigset_t>();
        // SAFETY: writes at most `max` events.
        unsafe {
            let buffer = events.as_mut_ptr();
            libc::syscall(
                libc::SYS_epoll_pwait,
                fd,
                buffer,
                max,
                millis,
                no_mask,
                0usize,
            ) as i32
        }
    }

    fn wait_timeout(&self, events: &mut [RawEvent], timeout: Duration) -> i32 {
        let (fd, max) = (self.fd.as_raw_fd(), events.len() as i32);
        let limit = timespec(timeout);
        let no_mask = ptr::null::<libc::sigset_t>();
        // Relaxed: who does not see it finds it out again.
        if !NO_PWAIT2.load(Ordering::Relaxed) {
            // SAFETY: writes at most `max` events; the rest is read.
            let n = unsafe {
                let (buffer, limit) = (events.as_mut_ptr(), &raw const limit);
                libc::syscall(libc::SYS_epoll_pwait2, fd, buffer, max, limit, no_mask, 0)
            };
            if n >= 0 || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                return n as i32;
            }
            // ENOSYS from an old kernel, EPERM from an old sandbox.
            NO_PWAIT2.store(true, Ordering::Relaxed);
        }
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd.
        unsafe { libc::ppoll(&mut poll, 1, &limit, no_mask) };
        self.wait_millis(events, 0)
    }
}

/// A duration as the kernel wants it; what is too long for it is as long as can be.
pub(crate) fn timespec(d: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: d.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: d.subsec_nanos().into(),
    }
}
