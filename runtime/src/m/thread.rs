//! Plain threads as waiters: whoever calls into the runtime from a thread that is not an M parks
//! that thread, by the same `Waiter` that stands for a goroutine. And what a plain thread has instead
//! of a G beside that: its table of goroutine-local values.

use super::note::Note;
use super::xorshift;
use crate::atomics::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use crate::atomics::{Mutex, Ordering};
use crate::g::locals::{self, Table};
use crate::g::parker::{Kind, Parker, Waiter};
use crate::g::status::WaitReason;
use crate::g::wait::{Subject, Wait};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::time::Instant;

/// The parker of a plain thread. Lives in type-stable memory like a G: reused, never freed.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ThreadParker {
    /// First, so that a pointer to it is a pointer to the whole.
    pub(crate) parker: Parker,
    pub(crate) note: Note,
    /// Whether its thread waits without a deadline. Written by the thread.
    asleep: AtomicBool,
    /// What its thread waits for.
    pub(crate) label: ThreadLabel,
    /// State of the thread's random numbers. Atomic only because parkers are shared.
    rng: AtomicU32,
}

/// What a plain thread waits for, as it says itself, for those who look from outside: as the label of a fiber.
/// Written by the thread, between its waits.
#[derive(Debug)]
pub(crate) struct ThreadLabel {
    reason: AtomicU8,
    pub(crate) bounded: AtomicBool,
    /// The kernel's number of the thread.
    pub(crate) tid: AtomicU32,
    /// The complement of the object's address: a search for leaks takes every address that it finds for a reference.
    on: AtomicUsize,
    /// A [`Subject`], or null.
    what: AtomicPtr<Subject>,
    /// Since when it has slept; 0: it does not yet.
    pub(crate) since: AtomicU64,
}

impl ThreadLabel {
    fn new() -> ThreadLabel {
        ThreadLabel {
            reason: AtomicU8::new(0),
            bounded: AtomicBool::new(false),
            tid: AtomicU32::new(0),
            on: AtomicUsize::new(!0),
            what: AtomicPtr::new(ptr::null_mut()),
            since: AtomicU64::new(0),
        }
    }

    /// By the thread, which is about to arm its parker for this wait.
    pub(crate) fn set(&self, wait: Wait, bounded: bool) {
        // Release: pairs with the Acquire fence in `still_parked`: who reads a word of this wait sees that the last
        // one is over.
        self.reason.store(wait.reason as u8, Ordering::Release);
        self.bounded.store(bounded, Ordering::Release);
        self.on.store(!wait.on.addr(), Ordering::Release);
        let what = wait.what.map_or(ptr::null(), ptr::from_ref);
        self.what.store(what.cast_mut(), Ordering::Release);
        self.since.store(0, Ordering::Release);
        if self.tid.load(Ordering::Relaxed) == 0 {
            // SAFETY: gettid has no preconditions.
            let tid = unsafe { libc::gettid() } as u32;
            self.tid.store(tid, Ordering::Release);
        }
    }

    pub(crate) fn reason(&self) -> WaitReason {
        // Relaxed: as all that is read here, it counts only if the thread is still in that wait.
        WaitReason::from_u8(self.reason.load(Ordering::Relaxed))
    }

    /// The address of what it waits on, or 0.
    pub(crate) fn on(&self) -> usize {
        !self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn what(&self) -> Option<&'static Subject> {
        // SAFETY: null, or an address that `set` took from a static reference.
        unsafe { self.what.load(Ordering::Relaxed).as_ref() }
    }
}

/// All there are.
static ALL: Mutex<Vec<&'static ThreadParker>> = Mutex::new(Vec::new());
static FREE: Mutex<Vec<&'static ThreadParker>> = Mutex::new(Vec::new());

/// A thread's hold on its parker; returns it to the free list when the thread ends.
struct Held(Cell<Option<&'static ThreadParker>>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(p) = self.0.take() {
            FREE.lock().push(p);
        }
    }
}

thread_local! {
    static HELD: Held = const { Held(Cell::new(None)) };
    /// The parker of a thread that is past HELD's destructor. Without a destructor of its own.
    static LATE: Cell<Option<&'static ThreadParker>> = const { Cell::new(None) };
}

/// What becomes of a thread's table of locals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TableState {
    Unused,
    /// It ends with the thread.
    InUse,
    Ended,
}

/// Ends the thread's table.
struct TableEnd;

impl Drop for TableEnd {
    fn drop(&mut self) {
        TABLE.with(|table| {
            if !table.get().is_null() {
                // SAFETY: the thread's own, at its end; from here on `thread_table` finds it ended.
                unsafe { locals::end(table) };
            }
        });
        TABLE_STATE.set(TableState::Ended);
    }
}

thread_local! {
    /// The values that a plain thread has of its own, and what becomes of them. Without destructors,
    /// so that they can be used while those of other thread-locals run.
    static TABLE: Table = const { Cell::new(std::ptr::null_mut()) };
    static TABLE_STATE: Cell<TableState> = const { Cell::new(TableState::Unused) };
    static TABLE_END: TableEnd = const { TableEnd };
}

/// The calling plain thread's table of locals, or `None` if it has ended. Not for goroutines.
pub(crate) fn thread_table() -> Option<*const Table> {
    match TABLE_STATE.get() {
        TableState::InUse => {}
        TableState::Unused => {
            TABLE_END.with(|_| TABLE_STATE.set(TableState::InUse));
        }
        TableState::Ended => return None,
    }
    Some(TABLE.with(std::ptr::from_ref))
}

/// As [`thread_table`], if the thread has one already.
pub(crate) fn used_thread_table() -> Option<*const Table> {
    (TABLE_STATE.get() == TableState::InUse).then(|| TABLE.with(std::ptr::from_ref))
}

fn take() -> &'static ThreadParker {
    let used = FREE.lock().pop();
    if let Some(p) = used {
        p.parker.reset();
        p.label.tid.store(0, Ordering::Relaxed);
    }
    used.unwrap_or_else(|| {
        let new = Box::leak(Box::new(ThreadParker {
            parker: Parker::new(Kind::Thread),
            note: Note::new(),
            asleep: AtomicBool::new(false),
            label: ThreadLabel::new(),
            rng: AtomicU32::new(0),
        }));
        let seed = (&raw const *new as usize as u32).wrapping_mul(0x9E37_79B9) | 1;
        new.rng.store(seed, Ordering::Relaxed);
        ALL.lock().push(new);
        new
    })
}

/// The calling thread's parker. Not for goroutines (an M has one while it is taken for a plain thread, in
/// `sched/pin.rs`), which do not read this thread-local.
pub(crate) fn thread_parker() -> &'static ThreadParker {
    // The destructor of another thread-local may wait on a channel after ours has run: the thread
    // then gets one more parker, for the rest of its life.
    HELD.try_with(|held| match held.0.get() {
        Some(p) => p,
        None => {
            let p = take();
            held.0.set(Some(p));
            p
        }
    })
    .unwrap_or_else(|_| {
        LATE.get().unwrap_or_else(|| {
            let p = take();
            LATE.set(Some(p));
            p
        })
    })
}

impl ThreadParker {
    /// Blocks the calling thread until its episode is over, or the deadline has passed; false if
    /// the deadline came first. (The episode may end meanwhile: the caller must claim it.) `clock` says since when it
    /// sleeps, if it comes to that.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>, clock: fn() -> u64) -> bool {
        // A peer on another CPU often answers within a microsecond or two; a sleep and a wake
        // cost some 50. The claimer wakes the note exactly once per episode, after it has set
        // the word: the note is what must be waited for.
        for _ in 0..SPINS {
            if self.note.try_take() {
                debug_assert!(self.parker.fired());
                return true;
            }
            std::hint::spin_loop();
        }
        self.label.since.store(clock(), Ordering::Release);
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if self.note.sleep(left) {
                debug_assert!(self.parker.fired());
                return true;
            }
            if left.is_some() {
                return false;
            }
        }
    }

    /// As [`ThreadParker::wait_until`], without a deadline, and to be seen by [`parked_threads`].
    pub(crate) fn wait_for_ever(&self, clock: fn() -> u64) {
        // Release: who sees it sees the episode that was armed before.
        self.asleep.store(true, Ordering::Release);
        self.wait_until(None, clock);
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// A pseudo-random number below `n`, for the thread itself.
    pub(crate) fn random(&self, n: u32) -> u32 {
        let x = xorshift(self.rng.load(Ordering::Relaxed));
        self.rng.store(x, Ordering::Relaxed);
        ((u64::from(x) * u64::from(n)) >> 32) as u32
    }

    /// # Safety
    /// `parker` is that of a thread.
    pub(crate) unsafe fn of(parker: NonNull<Parker>) -> &'static ThreadParker {
        // SAFETY: the first field of a ThreadParker, which is never freed.
        unsafe { parker.cast::<ThreadParker>().as_ref() }
    }
}

/// The parkers of all threads that there are, and have been. They are never freed.
pub(crate) fn thread_parkers() -> Vec<&'static ThreadParker> {
    ALL.lock().clone()
}

/// The waits of the plain threads that are parked without a deadline, each of another thread.
pub(crate) fn parked_threads() -> Vec<Waiter> {
    let all = ALL.lock();
    // Acquire: pairs with the Release in `wait_for_ever`. One that was claimed is not armed any more.
    let asleep = all.iter().filter(|t| t.asleep.load(Ordering::Acquire));
    asleep.filter_map(|t| t.parker.armed()).collect()
}

/// Looks at the word before sleeping: about 2 µs.
const SPINS: u32 = 50;
