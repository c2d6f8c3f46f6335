//! The poller of a runtime: the table of what is registered, and the right to poll.
//!
//! An event's key is a place in the table and the number of its use. An event that comes late (a wait that
//! has returned already, a descriptor that was replaced under its owner) names a use that is over, and is
//! nobody's: no event is ever taken for another's, and none finds memory that is gone.

use super::Side;
use super::busy::BusyPoll;
use super::desc::Desc;
use super::epoll::{BATCH, Epoll, NO_EVENT, RawEvent, Readiness, WAKE_KEY};
use crate::atomics::Mutex;
use crate::atomics::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::g::parker::Claimed;
use crate::timer::{self, Nanos};
use std::cell::{OnceCell, UnsafeCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Pauses between two questions while it is asked again and again: some 0.3 µs, as long as a question.
const PAUSES: u32 = 10;

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
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    desc: Option<Arc<Desc>>,
    /// Counts its uses.
    number: u32,
}

/// Where a descriptor is in the table: the place, and the number of its use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    slot: u32,
    number: u32,
}

impl Place {
    fn key(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.slot)
    }

    fn of(key: u64) -> Place {
        Place {
            slot: key as u32,
            number: (key >> 32) as u32,
        }
    }
}

impl Table {
    fn take(&mut self, desc: &Arc<Desc>) -> Place {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                desc: None,
                number: 0,
            });
            (self.slots.len() - 1) as u32
        });
        let used = &mut self.slots[slot as usize];
        used.desc = Some(Arc::clone(desc));
        Place {
            slot,
            number: used.number,
        }
    }

    fn get(&self, place: Place) -> Option<&Desc> {
        let slot = self.slots.get(place.slot as usize)?;
        slot.desc.as_deref().filter(|_| slot.number == place.number)
    }

    /// Ends a use; false if the table was given up meanwhile.
    fn release(&mut self, place: Place) -> bool {
        let found = self.get(place).is_some();
        if found {
            let slot = &mut self.slots[place.slot as usize];
            slot.desc = None;
            // The key of a wake is all ones: this number is left out.
            slot.number = (slot.number + 1) % u32::MAX;
            self.free.push(place.slot);
        }
        found
    }
}

#[derive(Debug)]
struct Buffer {
    busy: BusyPoll,
    /// Asked when it first matters: that reads files.
    one_cpu: OnceCell<bool>,
    events: [RawEvent; BATCH],
    ready: Vec<Claimed>,
}

impl Poller {
    /// One that is asked for as long as `busy` before somebody sleeps in it, if that is worth it.
    pub(crate) fn new(busy: Nanos) -> Arc<Poller> {
        Arc::new(Poller {
            epoll: OnceLock::new(),
            table: Mutex::new(Table {
                slots: Vec::new(),
                free: Vec::new(),
            }),
            registered: AtomicUsize::new(0),
            polling: AtomicBool::new(false),
            looked: AtomicU64::new(0),
            promising: AtomicBool::new(false),
            buffer: UnsafeCell::new(Box::new(Buffer {
                busy: BusyPoll::new(busy),
                one_cpu: OnceCell::new(),
                events: [NO_EVENT; BATCH],
                ready: Vec::with_capacity(2 * BATCH),
            })),
        })
    }

    /// Descriptors that are registered.
    pub(crate) fn registered(&self) -> usize {
        self.registered.load(Ordering::Relaxed)
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

    pub(super) fn add(
        &self,
        desc: &Arc<Desc>,
        fd: BorrowedFd<'_>,
        side: Side,
    ) -> io::Result<Place> {
        let epoll = self.epoll()?;
        // In the table first: whoever is reported must be found.
        let place = {
            let mut table = self.table.lock();
            self.registered.fetch_add(1, Ordering::Relaxed);
            table.take(desc)
        };
        let added = epoll.add(fd, side, place.key());
        if added.is_err() {
            self.forget(place);
        }
        added.map(|()| place)
    }

    /// Of a descriptor that is registered in one direction: in both from now on.
    pub(super) fn widen(&self, place: Place, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll()?.widen(fd, place.key())
    }

    pub(super) fn remove(&self, place: Place, fd: BorrowedFd<'_>) {
        if let Some(epoll) = self.epoll.get() {
            epoll.delete(fd);
        }
        self.forget(place);
    }

    fn forget(&self, place: Place) {
        let mut table = self.table.lock();
        if table.release(place) {
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
        let slots = {
            let mut table = self.table.lock();
            self.registered.store(0, Ordering::Relaxed);
            table.free.clear();
            std::mem::take(&mut table.slots)
        };
        let mut woken = Vec::new();
        for desc in slots.iter().filter_map(|slot| slot.desc.as_ref()) {
            {
                let mut registration = desc.registration();
                if !matches!(&*registration, Some((poller, _)) if Arc::ptr_eq(poller, self)) {
                    continue;
                }
                *registration = None;
                desc.set_unregistered();
            }
            woken.extend(desc.report_both().into_iter().flatten());
        }
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
    /// Waits, at most for `timeout`, for what can go on, up to `most` descriptors and [`BATCH`]; it is for the caller to
    /// make ready. (What is left is found by the next poll.)
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        most: usize,
    ) -> impl ExactSizeIterator<Item = Claimed> {
        // SAFETY: the buffer is that of whoever polls, as long as the right is not given up; what
        // is returned borrows it.
        let buffer = unsafe { &mut **self.poller.buffer.get() };
        let n = match timeout {
            Some(Duration::ZERO) => {
                let events = &mut buffer.events[..most.min(BATCH)];
                self.epoll.wait(events, timeout)
            }
            _ => buffer.sleep(self.epoll, timeout),
        };
        if n > 0 {
            let table = self.poller.table.lock();
            for event in &buffer.events[..n] {
                if event.u64 == WAKE_KEY {
                    continue;
                }
                let Some(desc) = table.get(Place::of(event.u64)) else {
                    continue;
                };
                let readiness = Readiness::from(event);
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
        }
        self.poller.looked.store(timer::now(), Ordering::Relaxed);
        self.poller
            .promising
            .store(buffer.ready.len() > 1, Ordering::Relaxed);
        buffer.ready.drain(..)
    }
}

impl Buffer {
    /// Waits for events; how many there are.
    fn sleep(&mut self, epoll: &Epoll, timeout: Option<Duration>) -> usize {
        let worth = self.busy.worth(timeout);
        let worth = worth.filter(|_| !*self.one_cpu.get_or_init(one_cpu));
        let begin = timer::now();
        let passed = || timer::now().saturating_sub(begin);
        if let Some(limit) = worth {
            while passed() < limit {
                let n = epoll.wait(&mut self.events, Some(Duration::ZERO));
                if n > 0 {
                    if self.is_news(n) {
                        self.busy.paid();
                    }
                    return n;
                }
                (0..PAUSES).for_each(|_| std::hint::spin_loop());
            }
            self.busy.in_vain();
            let passed = Duration::from_nanos(passed());
            let left = timeout.map(|timeout| timeout.saturating_sub(passed));
            return epoll.wait(&mut self.events, left);
        }
        let n = epoll.wait(&mut self.events, timeout);
        if self.is_news(n) {
            self.busy.slept(passed());
        }
        n
    }

    /// Whether something came, and not only a wake.
    fn is_news(&self, n: usize) -> bool {
        self.events[..n].iter().any(|event| event.u64 != WAKE_KEY)
    }
}

/// On a single CPU nobody could send what is asked for.
fn one_cpu() -> bool {
    std::thread::available_parallelism().is_ok_and(|n| n.get() == 1)
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `try_begin`.
        self.poller.polling.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// What a poll brings for a use that is over finds nobody, though the slot is in use again.
    #[test]
    fn a_key_names_one_use_of_a_slot() {
        let mut table = Table {
            slots: Vec::new(),
            free: Vec::new(),
        };
        let descs = [(); 2].map(|()| Desc::new());
        let old = table.take(&descs[0]);
        assert!(std::ptr::eq(
            table.get(Place::of(old.key())).unwrap(),
            &*descs[0]
        ));
        assert!(table.release(old));
        let new = table.take(&descs[1]);
        assert_eq!(old.slot, new.slot);
        assert!(table.get(Place::of(old.key())).is_none());
        assert!(std::ptr::eq(
            table.get(Place::of(new.key())).unwrap(),
            &*descs[1]
        ));
        assert!(!table.release(old), "it was released before");
        assert!(table.release(new));
        assert_ne!(new.key(), WAKE_KEY);
    }
}
