//! The poller of a runtime: the table of what is registered, and the right to poll.
//!
//! An event's key is the address of its [`Desc`]. A wait that has returned may hold events of a
//! descriptor that is deregistered meanwhile; so its `Desc` is kept (`retired`) until the next wait begins:
//! then no event of it can come any more. (A descriptor number that is reused is another `Desc`: no event
//! is ever taken for another's.)

use super::desc::Desc;
use super::epoll::{BATCH, Epoll, NO_EVENT, RawEvent, Readiness, WAKE_KEY};
use crate::atomics::Mutex;
use crate::atomics::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::g::parker::Claimed;
use crate::timer::{self, Nanos};
use std::cell::UnsafeCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Poller {
    /// Made when something is registered first: most programs have no sockets.
    epoll: OnceLock<Epoll>,
    table: Mutex<Table>,
    /// What is in the table.
    registered: AtomicUsize,
    /// Somebody polls.
    polling: AtomicBool,
    /// When a poll returned last.
    looked: AtomicU64,
    /// Whether it found several things: the next one may find some, too.
    promising: AtomicBool,
    buffer: UnsafeCell<Box<Buffer>>,
}

// SAFETY: the buffer is that of whoever polls.
unsafe impl Sync for Poller {}

#[derive(Debug)]
struct Table {
    slots: Vec<Option<Arc<Desc>>>,
    free: Vec<usize>,
    /// Deregistered, but perhaps not out of the events that a poll has in its hands.
    retired: Vec<Arc<Desc>>,
}

#[derive(Debug)]
struct Buffer {
    events: [RawEvent; BATCH],
    ready: Vec<Claimed>,
}

impl Poller {
    pub(crate) fn new() -> Arc<Poller> {
        Arc::new(Poller {
            epoll: OnceLock::new(),
            table: Mutex::new(Table {
                slots: Vec::new(),
                free: Vec::new(),
                retired: Vec::new(),
            }),
            registered: AtomicUsize::new(0),
            polling: AtomicBool::new(false),
            looked: AtomicU64::new(0),
            promising: AtomicBool::new(false),
            buffer: UnsafeCell::new(Box::new(Buffer {
                events: [NO_EVENT; BATCH],
                ready: Vec::with_capacity(2 * BATCH),
            })),
        })
    }

    /// Whether there is anything to poll for.
    #[inline(always)]
    pub(crate) fn is_active(&self) -> bool {
        // Relaxed: a hint for those who poll on their way; who goes to sleep comes after the
        // registration by its own goroutine, or is not the one that polls.
        self.registered.load(Ordering::Relaxed) > 0
    }

    /// When a poll returned last.
    pub(crate) fn looked(&self) -> Nanos {
        self.looked.load(Ordering::Relaxed)
    }

    /// Whether the last poll found several things.
    pub(crate) fn is_promising(&self) -> bool {
        self.promising.load(Ordering::Relaxed)
    }

    fn epoll(&self) -> io::Result<&Epoll> {
        if let Some(epoll) = self.epoll.get() {
            return Ok(epoll);
        }
        let new = Epoll::new()?; // a second one, of a race, is closed again
        Ok(self.epoll.get_or_init(|| new))
    }

    pub(super) fn add(&self, desc: &Arc<Desc>, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let epoll = self.epoll()?;
        let mut table = self.table.lock();
        let slot = match table.free.pop() {
            Some(slot) => slot,
            None => {
                table.slots.push(None);
                table.slots.len() - 1
            }
        };
        // In the table first: whoever is reported must be kept.
        table.slots[slot] = Some(Arc::clone(desc));
        drop(table);
        self.registered.fetch_add(1, Ordering::Relaxed);
        let added = epoll.add(fd, Arc::as_ptr(desc).addr() as u64);
        if added.is_err() {
            self.forget(slot);
        }
        added.map(|()| slot)
    }

    pub(super) fn remove(&self, slot: usize, fd: BorrowedFd<'_>) {
        if let Some(epoll) = self.epoll.get() {
            epoll.delete(fd);
        }
        self.forget(slot);
    }

    fn forget(&self, slot: usize) {
        let mut table = self.table.lock();
        // Not there: the poller was closed.
        if let Some(desc) = table.slots.get_mut(slot).and_then(Option::take) {
            table.retired.push(desc);
            table.free.push(slot);
            drop(table);
            self.registered.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The right to poll, if nobody has it.
    pub(crate) fn try_begin(&self) -> Option<Polling<'_>> {
        let epoll = self.epoll.get()?;
        // Acquire: pairs with the Release of the one that polled before.
        let free =
            !self.polling.load(Ordering::Relaxed) && !self.polling.swap(true, Ordering::Acquire);
        // Not `then_some`: a Polling that is dropped gives the right up.
        free.then(|| Polling {
            poller: self,
            epoll,
        })
    }

    /// Ends the present poll, or the next.
    pub(crate) fn wake(&self) {
        if let Some(epoll) = self.epoll.get() {
            epoll.wake();
        }
    }

    /// The runtime ends: what is registered is so no more, and those of other runtimes who wait look
    /// where else they can register. Whom to wake.
    pub(crate) fn close(self: &Arc<Self>) -> Vec<Claimed> {
        let slots = std::mem::take(&mut self.table.lock().slots);
        self.registered.store(0, Ordering::Relaxed);
        let mut woken = Vec::new();
        for desc in slots.iter().flatten() {
            {
                let mut registration = desc.registration();
                if !matches!(&*registration, Some((poller, _)) if Arc::ptr_eq(poller, self)) {
                    continue;
                }
                *registration = None;
                desc.set_registered(false);
            }
            woken.extend(desc.report_both().into_iter().flatten());
        }
        // Who polls just now may hold events of them.
        self.table
            .lock()
            .retired
            .extend(slots.into_iter().flatten());
        woken
    }
}

/// The right to poll; there is one.
#[derive(Debug)]
pub(crate) struct Polling<'a> {
    poller: &'a Poller,
    epoll: &'a Epoll,
}

impl Polling<'_> {
    /// Waits, at most for `timeout`, for what can go on; it is for the caller to make ready.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> impl ExactSizeIterator<Item = Claimed> {
        // Those that were retired before this wait begins are not in its events.
        let retired = std::mem::take(&mut self.poller.table.lock().retired);
        drop(retired);
        // SAFETY: the buffer is that of whoever polls, as long as the right is not given up; what
        // is returned borrows it.
        let buffer = unsafe { &mut **self.poller.buffer.get() };
        let n = self.epoll.wait(&mut buffer.events, timeout);
        for event in &buffer.events[..n] {
            if event.u64 == WAKE_KEY {
                continue;
            }
            let readiness = Readiness::from(event);
            // SAFETY: the address of a Desc that was registered when the wait began, or later:
            // the table keeps it until the next wait.
            let desc = unsafe { &*(event.u64 as usize as *const Desc) };
            if readiness.boundary {
                desc.set_boundary();
            }
            if readiness.read {
                buffer.ready.extend(desc.read.report());
            }
            if readiness.write {
                buffer.ready.extend(desc.write.report());
            }
        }
        self.poller.looked.store(timer::now(), Ordering::Relaxed);
        self.poller
            .promising
            .store(buffer.ready.len() > 1, Ordering::Relaxed);
        buffer.ready.drain(..)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `try_begin`.
        self.poller.polling.store(false, Ordering::Release);
    }
}
