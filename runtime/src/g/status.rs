//! The closed vocabularies of a goroutine's life: its status, and why it waits.

use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicU8, AtomicU32};

/// What a goroutine is doing, with the numbers that Go's traces print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Status {
    /// On a free list. Owned by the list.
    Idle = 0,
    /// In a run queue (a P's, or the global one). Owned by the queue.
    Runnable = 1,
    /// On an M with a P. Owned by that M.
    Running = 2,
    /// On an M, in `blocking`, without a P. Owned by that M. (One whose P was *taken* still says
    /// Running: only its own M writes the status, and does not know yet.)
    Blocked = 3,
    /// Parked. Owned by whoever claims its waiter.
    Waiting = 4,
    /// Finished, its result not yet fetched. Owned by the join handle.
    Dead = 6,
}

impl Status {
    /// Whether a goroutine of this status is one, and neither a free G nor over.
    pub(crate) fn exists(self) -> bool {
        !matches!(self, Status::Idle | Status::Dead)
    }

    fn from_u32(n: u32) -> Status {
        match n {
            0 => Status::Idle,
            1 => Status::Runnable,
            2 => Status::Running,
            3 => Status::Blocked,
            4 => Status::Waiting,
            6 => Status::Dead,
            _ => unreachable!("no goroutine status {n}"),
        }
    }
}

/// Bits of [`StatusWord`]'s `timed`.
const WAIT: u8 = 1;
const PICK: u8 = 2;

/// The status word. Ownership passes through the queues and the parker, not through this word, so
/// its accesses are relaxed: it is what traces and debug assertions read.
#[derive(Debug)]
pub(crate) struct StatusWord {
    status: AtomicU32,
    reason: AtomicU8,
    /// [`WAIT`] if the time was taken when it was made runnable, [`PICK`] if it shall be taken how long it runs.
    /// Here, since the words beside it are touched anyway.
    timed: AtomicU8,
}

#[cfg(not(loom))]
impl StatusWord {
    /// Where in it the status and the reason are; for debuggers.
    pub(crate) const STATUS: usize = std::mem::offset_of!(StatusWord, status);
    pub(crate) const REASON: usize = std::mem::offset_of!(StatusWord, reason);
}

impl StatusWord {
    pub(crate) fn new() -> StatusWord {
        StatusWord {
            status: AtomicU32::new(Status::Idle as u32),
            reason: AtomicU8::new(0),
            timed: AtomicU8::new(0),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Status {
        Status::from_u32(self.status.load(Ordering::Relaxed))
    }

    #[inline]
    fn become_from(&self, from: &[Status], to: Status) {
        debug_assert!(
            from.contains(&self.get()),
            "goroutine goes from {:?} to {to:?}",
            self.get()
        );
        self.status.store(to as u32, Ordering::Relaxed);
    }

    /// A new goroutine was put together, or a finished one's stack could not be had.
    #[inline]
    pub(crate) fn spawned(&self) {
        self.become_from(&[Status::Idle], Status::Runnable);
    }

    /// Its waker made it ready, or it yielded, or it queues for a P.
    #[inline]
    pub(crate) fn readied(&self) {
        self.become_from(
            &[Status::Waiting, Status::Running, Status::Blocked],
            Status::Runnable,
        );
    }

    /// An M with a P resumes it, or it has got a P back.
    #[inline]
    pub(crate) fn running(&self) {
        self.become_from(
            &[Status::Runnable, Status::Running, Status::Blocked],
            Status::Running,
        );
    }

    /// It gives its P away.
    #[inline]
    pub(crate) fn blocked(&self) {
        self.become_from(&[Status::Running], Status::Blocked);
    }

    /// It is off its stack and about to be published to its wakers.
    #[inline]
    pub(crate) fn waiting(&self) {
        self.become_from(&[Status::Running], Status::Waiting);
    }

    /// Why it is going to wait. Written by the goroutine before it parks.
    #[inline]
    pub(crate) fn set_reason(&self, reason: WaitReason) {
        self.reason.store(reason as u8, Ordering::Relaxed);
    }

    /// It returned, and is off its stack.
    #[inline]
    pub(crate) fn dead(&self) {
        self.become_from(&[Status::Running, Status::Runnable], Status::Dead);
    }

    /// Its memory goes to a free list.
    #[inline]
    pub(crate) fn freed(&self) {
        self.become_from(&[Status::Dead], Status::Idle);
    }

    /// The time of its becoming runnable was noted. By its owner.
    #[inline(always)]
    pub(crate) fn set_wait_timed(&self) {
        self.timed.store(WAIT, Ordering::Relaxed);
    }

    /// It was picked, and the time shall be taken. By its owner.
    pub(crate) fn set_pick_timed(&self) {
        let timed = self.timed.load(Ordering::Relaxed);
        self.timed.store(timed | PICK, Ordering::Relaxed);
    }

    /// Nothing is noted, nothing to be taken. By its owner.
    #[inline(always)]
    pub(crate) fn set_untimed(&self) {
        self.timed.store(0, Ordering::Relaxed);
    }

    /// Whether there is anything about times.
    #[inline(always)]
    pub(crate) fn is_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed) != 0
    }

    /// Whether the time of its becoming runnable was noted.
    pub(crate) fn is_wait_timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed) & WAIT != 0
    }

    /// Why it waits, or last waited.
    pub(crate) fn reason(&self) -> WaitReason {
        WaitReason::from_u8(self.reason.load(Ordering::Relaxed))
    }
}

macro_rules! wait_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a goroutine is parked; the texts are Go's where Go has the reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum WaitReason { $($(#[$doc])* $name,)* }

        impl WaitReason {
            pub(crate) const ALL: &[WaitReason] = &[$(WaitReason::$name,)*];
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// The reason as traces print it.
            pub const fn as_str(self) -> &'static str {
                match self { $(WaitReason::$name => $text,)* }
            }
        }
    };
}

wait_reasons! {
    /// Never parked so far.
    None = "",
    /// Receiving from a channel without a value.
    ChanReceive = "chan receive",
    /// Sending on a channel without room.
    ChanSend = "chan send",
    /// Receiving from a nil channel: for ever.
    ChanReceiveNil = "chan receive (nil chan)",
    /// Sending on a nil channel: for ever.
    ChanSendNil = "chan send (nil chan)",
    /// In a select of which no arm is ready.
    Select = "select",
    /// In a select without arms: for ever, or for a time.
    SelectNoCases = "select (no cases)",
    /// Waiting for a descriptor to become ready.
    IoWait = "IO wait",
    /// Waiting for a goroutine to finish.
    Join = "join",
    /// Waiting for the goroutines of a scope.
    Scope = "scope",
    /// Sleeping until a point in time.
    Sleep = "sleep",
    /// Waiting for a timer or a ticker.
    Timer = "timer",
    /// Waiting for a signal of the system.
    Signal = "signal",
    /// Waiting for a `sync::Mutex`.
    MutexLock = "sync.Mutex.Lock",
    /// Waiting to read what a `sync::RwLock` protects.
    RwLockRead = "sync.RWMutex.RLock",
    /// Waiting to write what a `sync::RwLock` protects.
    RwLockWrite = "sync.RWMutex.Lock",
    /// Waiting on a `sync::Condvar`.
    CondvarWait = "sync.Cond.Wait",
    /// Waiting for a `sync::WaitGroup`.
    WaitGroupWait = "sync.WaitGroup.Wait",
    /// Waiting for permits of a `sync::Semaphore`.
    Semacquire = "semacquire",
    /// Waiting for another to finish a `sync::Once`.
    OnceWait = "sync.Once.Do",
    /// Waiting for the others at a `sync::Barrier`.
    BarrierWait = "barrier",
    /// Waiting for a `sync::Event`.
    EventWait = "event",
    /// Waiting on something built with `runtime::park`.
    User = "park",
}

impl WaitReason {
    pub(crate) fn from_u8(n: u8) -> WaitReason {
        WaitReason::ALL
            .get(n as usize)
            .copied()
            .unwrap_or(WaitReason::None)
    }
}
