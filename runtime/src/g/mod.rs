//! The goroutine: its header, what it runs, how it is woken and joined, and the registry of all
//! of them. Knows nothing of threads, processors and queues; the words that lead there are opaque
//! here and typed by the rooms above.

pub(crate) mod arrivals;
pub(crate) mod interrupt;
pub(crate) mod join;
pub(crate) mod locals;
pub(crate) mod parker;
pub(crate) mod registry;
pub(crate) mod status;
pub(crate) mod tag;
pub(crate) mod task;
pub(crate) mod wait;

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicPtr, AtomicU64};
use crate::fiber::Fiber;
use join::JoinWord;
use parker::{Kind, Parker};
use status::StatusWord;
use std::cell::Cell;
use std::fmt;
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;
use tag::TagCell;
use task::Task;
use wait::{Encoding, Field, Subject};

/// Number of a goroutine, unique in the process; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoroutineId(pub(crate) u64);

impl GoroutineId {
    /// The number itself.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for GoroutineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A goroutine. Lives in type-stable memory: freed Gs are reused as Gs (see [`registry`]), so a
/// pointer to one stays a pointer to *a* G as long as any runtime or join handle exists.
///
/// The fields of the first cache line are what a park and a wake touch. "Owner" below is whoever
/// the status says: the queue, the M that runs it, or the claimer of its parker.
#[repr(C, align(64))]
pub(crate) struct G {
    /// First, so that a pointer to it is a pointer to the G.
    pub(crate) parker: Parker,
    pub(crate) status: StatusWord,
    /// The fiber it runs on, from its first run until it finishes. Owner only.
    pub(crate) fiber: Cell<Option<Fiber>>,
    /// The M that runs it or last ran it (type `M` above). Written by that M.
    pub(crate) m: AtomicPtr<()>,
    /// The M that alone may run it, or null (type `M` above). Written by the goroutine.
    pub(crate) locked_m: AtomicPtr<()>,
    /// Its runtime (type `Sched` above).
    pub(crate) sched: AtomicPtr<()>,

    /// Next in the intrusive list (global queue, free list) that owns the G.
    pub(crate) link: Cell<*mut G>,
    pub(crate) id: AtomicU64,
    /// Where it was spawned (a `Location`), and by whom (0: not by a goroutine). Written before the G
    /// is published.
    site: AtomicPtr<Location<'static>>,
    parent: AtomicU64,
    /// Its name and labels.
    pub(crate) tag: TagCell,
    pub(crate) join: JoinWord,
    /// When its last slice ended because it had used it up; 0 if it is not in the global queue
    /// for that reason (by the timers' clock). Owner only.
    pub(crate) slice_ended: Cell<u64>,
    /// How many thread locks it holds. The goroutine's own.
    pub(crate) lock_depth: Cell<u32>,
    /// When it was made runnable, in units of [`STAMP`]: if its status says that the time was noted. The
    /// owner's.
    pub(crate) runnable_since: Cell<u32>,
    /// What the goroutine keeps for itself (`locals.rs`), or null. Its own, once its parent has put
    /// in what it inherits.
    pub(crate) locals: locals::Table,
    /// The next and the previous goroutine of its scope. Under the scope's lock.
    pub(crate) siblings: Cell<(*const G, *const G)>,
    /// The scope that waits for it (type `ScopeState` above), or null. Written before the G is
    /// published.
    pub(crate) scope: Cell<*const ()>,
    pub(crate) task: Task,
}

const _: () = assert!(
    std::mem::offset_of!(G, link) <= 64,
    "a wake touches one cache line"
);
const _: () = assert!(size_of::<G>() <= 256, "a parked goroutine must stay small");

// SAFETY: which thread may touch the non-atomic fields is said at each of them, and passes with
// the ownership that queues and the parker hand over.
unsafe impl Sync for G {}
// SAFETY: as above.
unsafe impl Send for G {}

/// Nanoseconds of a unit of `runnable_since`: fine enough for what it is shown as, and it comes round after
/// four minutes only.
const STAMP: u64 = 64;

/// A goroutine as something that is waited on.
pub(crate) static GOROUTINE: Subject = Subject {
    kind: "goroutine",
    size: 0,
    fields: &[Field {
        name: "id",
        offset: offset_of!(G, id),
        as_: Encoding::U64,
    }],
    list: None,
};

impl G {
    fn blank() -> G {
        G {
            parker: Parker::new(Kind::Goroutine),
            status: StatusWord::new(),
            fiber: Cell::new(None),
            m: AtomicPtr::new(ptr::null_mut()),
            locked_m: AtomicPtr::new(ptr::null_mut()),
            link: Cell::new(ptr::null_mut()),
            sched: AtomicPtr::new(ptr::null_mut()),
            id: AtomicU64::new(0),
            site: AtomicPtr::new(ptr::from_ref(Location::caller()).cast_mut()),
            parent: AtomicU64::new(0),
            tag: TagCell::new(),
            join: JoinWord::new(),
            slice_ended: Cell::new(0),
            lock_depth: Cell::new(0),
            runnable_since: Cell::new(0),
            locals: Cell::new(ptr::null_mut()),
            siblings: Cell::new((ptr::null(), ptr::null())),
            scope: Cell::new(ptr::null()),
            task: Task::empty(),
        }
    }

    /// Makes a goroutine of a free G, all but its task.
    ///
    /// # Safety
    /// The caller owns the G, which is on no list.
    #[inline]
    pub(crate) unsafe fn init(
        &self,
        id: u64,
        sched: *mut (),
        site: &'static Location<'static>,
        parent: u64,
        name: Option<Box<str>>,
    ) {
        self.id.store(id, Ordering::Relaxed);
        // Relaxed: a walker of the registry that sees an older runtime here skips the G or finds
        // it idle.
        self.sched.store(sched, Ordering::Relaxed);
        self.site
            .store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        self.parent.store(parent, Ordering::Relaxed);
        if let Some(name) = name {
            self.tag.set_name(name); // a free G has none: `clear` took it
        }
        // Words of its last life, maybe in a runtime that is gone.
        self.m.store(ptr::null_mut(), Ordering::Relaxed);
        self.locked_m.store(ptr::null_mut(), Ordering::Relaxed);
        self.status.set_untimed();
        self.scope.set(ptr::null());
        self.locals.set(ptr::null_mut());
        self.join.reset();
        self.parker.reset();
    }

    pub(crate) fn id(&self) -> GoroutineId {
        GoroutineId(self.id.load(Ordering::Relaxed))
    }

    /// # Safety
    /// The G is not freed meanwhile: the caller is the goroutine itself, or holds its handle.
    pub(crate) unsafe fn name(&self) -> Option<&str> {
        // SAFETY: the caller's promise.
        unsafe { self.tag.name() }
    }

    /// # Safety
    /// As for [`G::name`].
    pub(crate) unsafe fn site(&self) -> &'static Location<'static> {
        // SAFETY: always a location of the program's.
        unsafe { &*self.site.load(Ordering::Relaxed) }
    }

    /// The goroutine that spawned it; 0: it was not spawned by one. Of a G that is looked at from
    /// outside, of whatever life.
    pub(crate) fn parent(&self) -> u64 {
        self.parent.load(Ordering::Relaxed)
    }

    /// The fiber that it has, if any, as a word for [`fiber::look`](crate::fiber::look): from outside.
    pub(crate) fn fiber_word(&self) -> usize {
        const { assert!(size_of::<Option<Fiber>>() == size_of::<usize>()) };
        let place = self.fiber.as_ptr().cast::<usize>();
        // SAFETY: one aligned word that exists, which its owner may write at the same time: read as a
        // machine word by an instruction that the compiler knows nothing of but its result.
        unsafe { place.read_volatile() }
    }

    pub(crate) const TASK_WORDS: usize = task::INLINE_WORDS;

    /// What its task holds, as plain words: from outside, of a goroutine that is stopped.
    pub(crate) fn task_words(&self) -> [usize; Self::TASK_WORDS] {
        self.task.words()
    }

    /// The scope that it belongs to, as a word, or 0: from outside, of a goroutine that is stopped.
    pub(crate) fn scope_word(&self) -> usize {
        // SAFETY: as in `fiber_word`.
        unsafe { self.scope.as_ptr().cast::<usize>().read_volatile() }
    }

    /// Notes the time of its becoming runnable. By its owner.
    #[cold]
    pub(crate) fn stamp(&self, now: u64) {
        self.runnable_since.set((now / STAMP) as u32);
        self.status.set_wait_timed();
    }

    /// How long it has been runnable, of one that was stamped. By its owner.
    #[cold]
    pub(crate) fn take_stamp(&self, now: u64) -> u64 {
        let units = ((now / STAMP) as u32).wrapping_sub(self.runnable_since.get());
        u64::from(units) * STAMP
    }

    /// Drops what a finished goroutine still holds. To be called by whoever frees it.
    ///
    /// # Safety
    /// The caller owns the G, which is finished.
    #[inline]
    pub(crate) unsafe fn clear(&self) {
        self.status.freed();
        self.tag.clear();
        self.task.forget();
    }

    /// Writes `goroutine 7 "reader" (spawned at src/main.rs:3:5)`.
    ///
    /// # Safety
    /// As for [`G::name`]. Async-signal-safe.
    pub(crate) unsafe fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "goroutine {}", self.id())?;
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(name) = self.name() {
                write!(out, " \"{name}\"")?;
            }
            write!(out, " (spawned at {})", self.site())
        }
    }
}
