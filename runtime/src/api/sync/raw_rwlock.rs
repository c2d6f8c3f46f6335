//! The lock inside [`RwLock`](super::RwLock), with the preferences of Go's `sync.RWMutex`: a writer
//! that waits stops new readers, and readers that wait go before the next writer.
//!
//! # Protocol
//!
//! ```text
//!   WRITER    a writer has it
//!   BY_QUEUE  ... and with it the writers' mutex
//!   PENDING   a writer waits for it: no new readers
//!   QUEUED    readers wait
//!   n * READER
//! ```
//!
//! Writers that do not get the lock at once queue at a mutex of their own ([`RawMutex`]), which
//! brings its fairness with it. Who has that sets PENDING, if it must, and waits until the
//! readers, or the writer, that are in have left: *the* pending writer. It keeps the mutex until it
//! unlocks.
//!
//! PENDING and QUEUED are set and cleared under the queue's lock only. A reader adds itself
//! blindly, and takes itself away again if there was a WRITER or PENDING: *readers that went wrong* may be
//! counted at any time while one of the two is set. So:
//!
//! *The pending writer does not sleep beside a free lock.* It sets PENDING by a compare-and-swap
//! of a word with a WRITER or readers. The last of these sees PENDING when it leaves; a reader
//! that went wrong and makes the count zero counts as the last. It locks the queue, and if there
//! is still a PENDING, no WRITER and no reader, then no reader can come in any more (PENDING is
//! cleared under the lock that it has): it claims the writer and gives it the lock.
//!
//! *A reader does not sleep beside a free lock.* It sets QUEUED by a compare-and-swap of a word with
//! WRITER or PENDING. With WRITER, the unlock sees QUEUED and lets all readers in. With PENDING, the
//! writer either becomes WRITER, or gives up: then it lets the readers in.

use super::list::{List, Note, Place, Woken};
use super::queue::{Ended, Queue, Wait, enter, enter_quietly, ready, ready_all};
use super::raw_mutex::RawMutex;
use crate::atomics::atomic::AtomicUsize;
use crate::atomics::{Ordering, const_fn};
use crate::park::{Claimed, Token};

const WRITER: usize = 1;
const BY_QUEUE: usize = 2;
const PENDING: usize = 4;
const QUEUED: usize = 8;
const READER: usize = 16;

/// What was waited for is the waiter's.
const GRANTED: Token = Token::new(0);

pub(crate) struct RawRwLock {
    word: AtomicUsize,
    /// Of the writers that do not get the lock at once.
    writers: RawMutex,
    queue: Queue<Lists>,
}

struct Lists {
    readers: List,
    /// The pending writer.
    writer: List,
}

fn readers(lists: &mut Lists) -> &mut List {
    &mut lists.readers
}

fn writer(lists: &mut Lists) -> &mut List {
    &mut lists.writer
}

/// Holds the writers' mutex until it is known that the lock is held with it.
struct Turn<'a>(&'a RawMutex);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // SAFETY: locked by `write_slow`.
        unsafe { self.0.unlock() };
    }
}

impl RawRwLock {
    const_fn! {
        pub(crate) const fn new() -> RawRwLock {
            RawRwLock {
                word: AtomicUsize::new(0),
                writers: RawMutex::new(),
                queue: Queue::new(Lists {
                    readers: List::new(),
                    writer: List::new(),
                }),
            }
        }
    }

    /// Takes the lock for reading. `how` is asked for only if there is something to wait for.
    /// False: the wait ended otherwise.
    #[inline(always)]
    pub(crate) fn read(&self, how: impl FnOnce() -> Wait) -> bool {
        // Acquire: pairs with the Release of a writer.
        let word = self.word.fetch_add(READER, Ordering::Acquire);
        word & (WRITER | PENDING) == 0 || {
            // SAFETY: as if it had been locked: the count is ours.
            unsafe { self.unlock_read() };
            self.read_slow(how())
        }
    }

    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (WRITER | PENDING) == 0 {
            // Acquire: pairs with the Release of a writer.
            match self.word.compare_exchange_weak(
                word,
                word + READER,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    #[cold]
    #[inline(never)]
    fn read_slow(&self, how: Wait) -> bool {
        let window = enter();
        let mut spins = 0;
        while window.may_spin(spins) {
            window.spin(spins);
            spins += 1;
            if self.try_read() {
                return true;
            }
        }
        let locked = self.queue.lock(&window);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let free = word & (WRITER | PENDING) == 0;
            let new = if free { word + READER } else { word | QUEUED };
            // Acquire: pairs with the Release of a writer.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) if free => {
                    locked.unlock();
                    return true;
                }
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        match locked.wait(window, how, Place::Back, Note::Plain, readers) {
            Ended::Claimed(..) => true,
            Ended::Gone(gave_up, locked) => {
                if locked.readers.is_empty() {
                    // Relaxed: nothing else is published by it.
                    self.word.fetch_and(!QUEUED, Ordering::Relaxed);
                }
                locked.unlock();
                gave_up.leave();
                false
            }
        }
    }

    /// # Safety
    /// The caller is counted as a reader.
    #[inline(always)]
    pub(crate) unsafe fn unlock_read(&self) {
        // Release: pairs with the Acquire of the next writer.
        let word = self.word.fetch_sub(READER, Ordering::Release) - READER;
        if word & (PENDING | WRITER) == PENDING && word < READER {
            self.last_reader_left();
        }
    }

    #[cold]
    #[inline(never)]
    fn last_reader_left(&self) {
        let window = enter_quietly();
        let mut locked = self.queue.lock(&window);
        let writer = self.grant_writer(&mut locked);
        locked.unlock();
        ready(&window, writer);
    }

    /// Under the queue's lock: gives the lock to the pending writer, if it is free.
    fn grant_writer(&self, lists: &mut Lists) -> Option<Claimed> {
        // Acquire: what the readers and the last writer did is passed on by the claim.
        let word = self.word.load(Ordering::Acquire);
        if word & (PENDING | WRITER) != PENDING || word >= READER {
            return None;
        }
        // SAFETY: locked. If it fails, the writer has given up, and is on its way to say so.
        let (claimed, _) = unsafe { lists.writer.claim_first(GRANTED) }?;
        // Beside readers that went wrong, nobody changes the word. Relaxed: the claim publishes.
        self.word
            .fetch_add((WRITER | BY_QUEUE).wrapping_sub(PENDING), Ordering::Relaxed);
        Some(claimed)
    }

    /// Takes the lock for writing, as [`RawRwLock::read`].
    #[inline(always)]
    pub(crate) fn write(&self, how: impl FnOnce() -> Wait) -> bool {
        self.try_write() || self.write_slow(how())
    }

    #[inline(always)]
    pub(crate) fn try_write(&self) -> bool {
        // Acquire: pairs with the Release of readers and writers.
        self.word
            .compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    #[inline(never)]
    fn write_slow(&self, how: Wait) -> bool {
        if !self.writers.lock(|| how) {
            return false;
        }
        let turn = Turn(&self.writers);
        let window = enter();
        let mut spins = 0;
        let locked = loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & WRITER == 0 && word < READER {
                // Acquire: as in `try_write`.
                if self
                    .word
                    .compare_exchange_weak(
                        word,
                        word | WRITER | BY_QUEUE,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
                {
                    std::mem::forget(turn);
                    return true;
                }
                continue;
            }
            if window.may_spin(spins) {
                window.spin(spins);
                spins += 1;
                continue;
            }
            let locked = self.queue.lock(&window);
            // Relaxed: the queue's lock orders what is said by it.
            if self
                .word
                .compare_exchange(word, word | PENDING, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                break locked;
            }
            locked.unlock();
        };
        match locked.wait(window, how, Place::Back, Note::Plain, writer) {
            Ended::Claimed(..) => {
                std::mem::forget(turn);
                true
            }
            Ended::Gone(gave_up, mut locked) => {
                // Acquire: as in `grant_writer`; the readers that PENDING has stopped come in.
                let word = self.word.fetch_and(!PENDING, Ordering::Acquire) & !PENDING;
                let woken = match word & WRITER {
                    0 => self.grant_readers(&mut locked, word, 0),
                    _ => Woken::new(),
                };
                locked.unlock();
                gave_up.ready_all(woken).leave();
                false
            }
        }
    }

    /// Under the queue's lock: lets all readers in that wait, and takes `away` from the word, of
    /// which `word` is a recent value.
    fn grant_readers(&self, lists: &mut Lists, word: usize, away: usize) -> Woken {
        // SAFETY: locked.
        let woken = unsafe { lists.readers.claim_all(GRANTED) };
        let new = woken.count() * READER;
        // Release: pairs with the Acquire of whoever comes next.
        self.word.fetch_add(
            new.wrapping_sub(word & QUEUED).wrapping_sub(away),
            Ordering::Release,
        );
        woken
    }

    /// # Safety
    /// The caller has the lock for writing.
    #[inline(always)]
    pub(crate) unsafe fn unlock_write(&self) {
        // Release: pairs with the Acquire of whoever comes next.
        if self
            .word
            .compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unlock_write_slow(0);
        }
    }

    /// From writing to reading, without letting go.
    ///
    /// # Safety
    /// The caller has the lock for writing.
    pub(crate) unsafe fn downgrade(&self) {
        // Release: as in `unlock_write`.
        if self
            .word
            .compare_exchange(WRITER, READER, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unlock_write_slow(READER);
        }
    }

    /// Unlocks, but keeps `keep` in the word.
    #[cold]
    #[inline(never)]
    fn unlock_write_slow(&self, keep: usize) {
        // Relaxed: BY_QUEUE is our own; the others are hints.
        let word = self.word.load(Ordering::Relaxed);
        let by_queue = word & BY_QUEUE;
        // Release: as in `unlock_write`.
        if word != WRITER | BY_QUEUE
            || self
                .word
                .compare_exchange(word, keep, Ordering::Release, Ordering::Relaxed)
                .is_err()
        {
            let window = enter_quietly();
            let mut locked = self.queue.lock(&window);
            let word = self.word.load(Ordering::Relaxed);
            let away = (WRITER | by_queue).wrapping_sub(keep);
            let woken = self.grant_readers(&mut locked, word, away);
            let writer = self.grant_writer(&mut locked);
            locked.unlock();
            ready(&window, writer);
            drop(ready_all(window, woken));
        }
        if by_queue != 0 {
            // SAFETY: BY_QUEUE says that the lock was taken with this mutex, and by the caller.
            unsafe { self.writers.unlock() };
        }
    }
}
