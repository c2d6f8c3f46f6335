//! The only names for atomics, locks and fences in this crate, so that loom can stand in for
//! them when the protocols are model-checked (`RUSTFLAGS="--cfg loom"`).
//!
//! Beside the usual fences there is an *asymmetric* pair for Dekker-style handshakes of which one
//! side is hot and the other is rare: the hot side pays a compiler fence ([`light_fence`]), the
//! rare side a `membarrier` system call ([`heavy_fence`]) that puts a full fence into every
//! running thread of the process. Where the kernel has no `membarrier`, both are `SeqCst` fences.
//! The pair was chosen by measurement: a full fence on the hot side costs 6 to 8 ns, which is
//! more than the rest of entering the runtime; the heavy side costs 0.15 µs with one running
//! thread and up to 12 µs with two on a virtual machine, and is paid a few hundred times a second.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;

pub(crate) use atomic::Ordering;

#[cfg(not(loom))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

/// loom's mutex with the interface of parking_lot's.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect("as in `lock`")
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no model panics under a lock")
    }
}

/// A `const fn`, except under loom, whose atomics cannot be made at compile time.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$attr])*
        $vis const fn $name($($arg: $ty),*) -> $ret $body

        #[cfg(loom)]
        $(#[$attr])*
        $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_fn;

/// A place for a value that one thread writes and another reads after it, as a protocol of atomics says. Loom
/// watches that they do not meet.
pub(crate) struct Slot<T>(
    #[cfg(not(loom))] std::cell::UnsafeCell<std::mem::MaybeUninit<T>>,
    #[cfg(loom)] loom::cell::UnsafeCell<std::mem::MaybeUninit<T>>,
);

impl<T: Copy> Slot<T> {
    /// So many, without values.
    pub(crate) fn row(n: usize) -> Box<[Slot<T>]> {
        #[cfg(not(loom))]
        // SAFETY: an `UnsafeCell<MaybeUninit<_>>` may be uninitialised. (So no page is touched here.)
        return unsafe { Box::new_uninit_slice(n).assume_init() };
        #[cfg(loom)]
        return (0..n)
            .map(|_| Slot(loom::cell::UnsafeCell::new(std::mem::MaybeUninit::uninit())))
            .collect();
    }

    /// # Safety
    /// The slot is the caller's.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, value: T) {
        #[cfg(not(loom))]
        // SAFETY: the caller's promise.
        unsafe {
            (*self.0.get()).write(value)
        };
        #[cfg(loom)]
        // SAFETY: the caller's promise.
        self.0.with_mut(|slot| unsafe { (*slot).write(value) });
    }

    /// # Safety
    /// The slot is the caller's, and has a value.
    pub(crate) unsafe fn read(&self) -> T {
        #[cfg(not(loom))]
        // SAFETY: the caller's promise.
        return unsafe { (*self.0.get()).assume_init() };
        #[cfg(loom)]
        // SAFETY: the caller's promise.
        return self.0.with(|slot| unsafe { (*slot).assume_init() });
    }
}

/// The turns of a wait loop: pauses that double, so that who waits leaves the cache line to who
/// works, then the CPU is given to other threads, since the one that is waited for may have been
/// descheduled by the kernel.
pub(crate) struct Backoff(u32);

impl Backoff {
    /// Pauses of the first turn, about 1.5 µs: a hundred critical sections of the one that works.
    /// With one pause, two CPUs pass the cache line to and fro for each operation: 4 senders and 4
    /// receivers took 110 ns a value, with 8 pauses 29, with 32 pauses 20.
    #[cfg(not(loom))]
    const FIRST_PAUSES: u32 = 32;
    /// Turns of pauses, which double: 20 µs in all.
    #[cfg(not(loom))]
    const SPIN_TURNS: u32 = 3;

    pub(crate) const fn new() -> Backoff {
        Backoff(0)
    }

    #[inline]
    pub(crate) fn snooze(&mut self) {
        #[cfg(loom)]
        {
            // A wait of many turns shows nothing that one of a few turns does not: this run is
            // finished, but no other is derived from what comes now.
            if self.0 >= 2 {
                loom::skip_branch();
            }
            loom::thread::yield_now();
        }
        #[cfg(not(loom))]
        if self.0 <= Self::SPIN_TURNS {
            for _ in 0..Self::FIRST_PAUSES << self.0 {
                std::hint::spin_loop();
            }
        } else {
            std::thread::yield_now();
        }
        self.0 = self.0.saturating_add(1);
    }
}

#[cfg(loom)]
mod fences {
    use super::{Ordering, atomic};

    /// loom knows no asymmetric fences: each side is modelled as the full fence that the
    /// `membarrier` call guarantees at that point.
    pub(crate) fn light_fence() {
        atomic::fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy_fence() {
        atomic::fence(Ordering::SeqCst);
    }
}

#[cfg(not(loom))]
mod fences {
    use super::Ordering;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, compiler_fence, fence};

    /// What the whole process does, as the hot paths ask it: in one cache line, which is hardly ever
    /// written, so that the second question of a path is in the cache when it is asked.
    #[repr(align(64))]
    struct Modes {
        /// The kernel lacks `membarrier`. Set once, before the first runtime starts a thread.
        symmetric: AtomicBool,
        /// Events are recorded (`trace/`).
        tracing: AtomicBool,
    }

    static MODES: Modes = Modes {
        symmetric: AtomicBool::new(false),
        tracing: AtomicBool::new(false),
    };

    /// Whether events are recorded. One load and one branch, on the line that [`light_fence`] reads.
    #[inline(always)]
    pub(crate) fn tracing() -> bool {
        // Relaxed: a trace begins and ends with a protocol of its own (`trace/session.rs`).
        MODES.tracing.load(Ordering::Relaxed)
    }

    /// Events are recorded from now on, or not any more.
    pub(crate) fn set_tracing(on: bool) {
        // SeqCst: before the heavy fence of a session's end; see `tracing`.
        MODES.tracing.store(on, Ordering::SeqCst);
    }

    /// Waits until all reads of memory before it are done, where the CPU could else be ahead of them with what is no
    /// memory: its time stamp counter.
    #[inline(always)]
    pub(crate) fn finish_reads() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 has the instruction.
        unsafe {
            std::arch::x86_64::_mm_lfence()
        };
    }

    /// The cheap side of an asymmetric fence pair. Pairs with [`heavy_fence`].
    #[inline(always)]
    pub(crate) fn light_fence() {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: written before any thread that could be the other side exists.
        if MODES.symmetric.load(Ordering::Relaxed) {
            // SeqCst: stands in for the fence that membarrier would have put here.
            fence(Ordering::SeqCst);
            // And for its interrupt, ahead of which nothing is done.
            finish_reads();
        }
    }

    /// The expensive side of an asymmetric fence pair: after it, every store that another thread
    /// made before its [`light_fence`] is visible here, or that thread's loads after its light
    /// fence see our stores.
    pub(crate) fn heavy_fence() {
        if MODES.symmetric.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
            return;
        }
        // SAFETY: membarrier takes no pointers.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_membarrier,
                libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
                0,
                0,
            )
        };
        assert_eq!(rc, 0, "membarrier failed after it was registered");
    }

    /// Registers the process for `membarrier`; to be called before the first thread of a runtime
    /// starts. Returns whether the asymmetric pair is in use. `WEFT_NO_MEMBARRIER` in the
    /// environment (set by tests) forces the symmetric one.
    pub(crate) fn init_fences() -> bool {
        static INIT: OnceLock<bool> = OnceLock::new();
        *INIT.get_or_init(|| {
            let forced = std::env::var_os("WEFT_NO_MEMBARRIER").is_some();
            // SAFETY: membarrier takes no pointers.
            let registered = !forced
                && unsafe {
                    libc::syscall(
                        libc::SYS_membarrier,
                        libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
                        0,
                        0,
                    )
                } == 0;
            MODES.symmetric.store(!registered, Ordering::SeqCst);
            registered
        })
    }
}

#[cfg(not(loom))]
pub(crate) use fences::{finish_reads, init_fences, set_tracing, tracing};
#[cfg_attr(
    all(loom, not(test)),
    expect(unused_imports, reason = "the models use them")
)]
pub(crate) use fences::{heavy_fence, light_fence};
