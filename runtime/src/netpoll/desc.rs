//! A descriptor as the poller knows it: Go's `pollDesc`.

use super::Side;
use super::direction::Direction;
use super::poller::{Place, Poller};
use crate::atomics::atomic::{AtomicBool, Ordering};
use crate::atomics::{Mutex, MutexGuard};
use crate::g::parker::Claimed;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Desc {
    pub(crate) read: Direction,
    pub(crate) write: Direction,
    /// Somebody has closed it under those who wait.
    closed: AtomicBool,
    /// Something was reported that a read stops short at (an end, an error, urgent data), or may have: a
    /// short read means nothing any more. Never cleared.
    boundary: AtomicBool,
    /// In which directions it is registered. Written under the lock of `registration`, before a report.
    registered: [AtomicBool; 2],
    /// With whom it is registered, and where in its table.
    registration: Mutex<Option<(Arc<Poller>, Place)>>,
}

impl Desc {
    pub(crate) fn new() -> Arc<Desc> {
        Arc::new(Desc {
            read: Direction::new(),
            write: Direction::new(),
            closed: AtomicBool::new(false),
            boundary: AtomicBool::new(false),
            registered: [AtomicBool::new(false), AtomicBool::new(false)],
            registration: Mutex::new(None),
        })
    }

    /// Whether what comes for it in this direction will be reported. True may be outdated; then there was a report of that.
    #[inline]
    pub(crate) fn is_registered(&self, side: Side) -> bool {
        // Relaxed: the report's Release and the Acquire of the attempt that began after it order it.
        self.registered[side as usize].load(Ordering::Relaxed)
    }

    /// Whether an attempt that got, or gave, less than it was to has emptied, or filled, a stream.
    #[inline]
    pub(crate) fn short_drains(&self, side: Side) -> bool {
        // Relaxed: as in `is_registered`. A boundary that was not reported before the attempt will be.
        self.is_registered(side) && !self.has_boundary()
    }

    pub(crate) fn has_boundary(&self) -> bool {
        self.boundary.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: as in `is_registered`.
        self.closed.load(Ordering::Relaxed)
    }

    /// Ends all waits for it, those to come included.
    pub(crate) fn close(&self) -> [Option<Claimed>; 2] {
        // Relaxed: published by the reports.
        self.closed.store(true, Ordering::Relaxed);
        self.report_both()
    }

    pub(super) fn report_both(&self) -> [Option<Claimed>; 2] {
        [self.read.report(), self.write.report()]
    }

    /// A short attempt means nothing here.
    pub(crate) fn set_boundary(&self) {
        // Relaxed: published by the report that follows, or with the descriptor itself.
        self.boundary.store(true, Ordering::Relaxed);
    }

    pub(super) fn registration(&self) -> MutexGuard<'_, Option<(Arc<Poller>, Place)>> {
        self.registration.lock()
    }

    pub(super) fn set_unregistered(&self) {
        for registered in &self.registered {
            registered.store(false, Ordering::Relaxed);
        }
    }

    /// Registers it in this direction: with whom it is registered in the other, or else with `poller`. False:
    /// what the descriptor stands for is always ready (a regular file).
    pub(crate) fn register(
        self: &Arc<Self>,
        poller: &Arc<Poller>,
        fd: BorrowedFd<'_>,
        side: Side,
    ) -> io::Result<bool> {
        let mut registration = self.registration.lock();
        if self.is_registered(side) {
            return Ok(true);
        }
        let added = match &*registration {
            Some((poller, place)) => poller.widen(*place, fd),
            None => poller.add(self, fd, side).map(|place| {
                *registration = Some((Arc::clone(poller), place));
            }),
        };
        match added {
            Ok(()) => {
                self.registered[side as usize].store(true, Ordering::Relaxed);
                Ok(true)
            }
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(io::Error::new(
                e.kind(),
                "this descriptor is waited for by another wrapper of it already: share one `Registered`, \
                 or wrap a copy (`try_clone`) of the descriptor",
            )),
            Err(e) => Err(e),
        }
    }

    /// To be called before `fd` is closed, or goes to somebody else.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        if let Some((poller, place)) = self.registration.lock().take() {
            self.set_unregistered();
            poller.remove(place, fd);
            // What was known is void: if it is used again, it is tried first. Nobody waits.
            let waiting = self.report_both();
            debug_assert!(waiting.iter().all(Option::is_none));
        }
    }
}
