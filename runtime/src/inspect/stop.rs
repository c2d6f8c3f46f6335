//! Stopping other threads of the process, for a moment in which nothing changes: by a signal, in
//! whose handler they wait. What their registers hold lies in memory then, in their signal frames. All at
//! once, or one, whose stack is wanted.
//!
//! The signal is `SIGURG`, as in Go's preemption: who does not know it ignores it, and a program that uses
//! it must expect it without a reason. A handler that was there before gets those that are not ours.
//! A thread that blocks the signal, or sleeps in the kernel so that nothing wakes it, does not stop; then
//! nobody is kept stopped, and the attempt has failed.
//!
//! While others are stopped the stopper must not allocate, nor wait for any lock: whoever has it may be
//! stopped.

use super::arena::MapVec;
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicI32, AtomicU32, AtomicUsize};
use crate::stack::call_handler;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

pub(crate) const SIGNAL: libc::c_int = libc::SIGURG;

/// How long a thread may take to stop: longer than a busy machine lets one wait for its CPU.
const PATIENCE: Duration = Duration::from_millis(500);

/// The one thread that shall stop, or 0: all but the stopper.
static TARGET: AtomicI32 = AtomicI32::new(0);
/// Odd while others shall wait.
static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Threads that wait in the handler.
static WAITING: AtomicU32 = AtomicU32::new(0);
/// The pc, sp and bp of the last thread to stop; for those who stop one only.
static REGISTERS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
/// One stopper at a time.
static TURN: Mutex<()> = Mutex::new(());

extern "C" fn on_stop(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let epoch = EPOCH.load(Ordering::SeqCst);
    // Relaxed: ordered by EPOCH. (Whoever else gets the signal now got it from elsewhere, or late.)
    let target = TARGET.load(Ordering::Relaxed);
    // SAFETY: no preconditions.
    if epoch.is_multiple_of(2) || (target != 0 && target != unsafe { libc::gettid() }) {
        forward(signal, info, context);
        return;
    }
    // SAFETY: the thread's own.
    let errno = unsafe { *libc::__errno_location() };
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the kernel passes the interrupted context.
        let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let wanted = [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP];
        for (to, from) in REGISTERS.iter().zip(wanted) {
            to.store(registers[from as usize] as usize, Ordering::Relaxed);
        }
    }
    // SeqCst: pairs with the look of the stopper; what this thread did before is seen by it.
    WAITING.fetch_add(1, Ordering::SeqCst);
    while EPOCH.load(Ordering::SeqCst) == epoch {
        futex(libc::FUTEX_WAIT, epoch);
    }
    WAITING.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if let Some(old) = PREVIOUS.get() {
        let _ = call_handler(old, signal, info, context); // none: the signal is to be ignored
    }
}

fn futex(op: libc::c_int, value: u32) {
    // SAFETY: the word is a static.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            EPOCH.as_ptr(),
            op | libc::FUTEX_PRIVATE_FLAG,
            value,
            ptr::null::<libc::timespec>(),
        )
    };
}

/// Sets the handler, unless it is there. One that somebody has set over ours since is left: it may pass on
/// what is not its own.
fn install() {
    // SAFETY: the handler does only what is async-signal-safe.
    unsafe {
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        libc::sigaction(SIGNAL, ptr::null(), old.as_mut_ptr());
        let old = old.assume_init();
        let none = matches!(old.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN);
        if PREVIOUS.set(old).is_err() && !none {
            return;
        }
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = on_stop as *const () as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&mut new.sa_mask);
        libc::sigaction(SIGNAL, &new, ptr::null_mut());
    }
}

/// Overwrites what the caller's callees have left on its stack. Before a thread of the runtime's ends: the
/// memory of its stack is kept for the next thread, and a search would take for the user's what it finds there.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut zeros = [0u8; 16 << 10];
    std::hint::black_box(&mut zeros);
}

/// Notes the part of the calling thread's stack that is below `base`, a place in the caller's frame.
pub(crate) fn note_own_stack(bounds: &[AtomicUsize; 2], base: &u8) {
    // An end of 0, until both are known, is no stack. Release: so that who stops this thread between
    // the two finds the start first.
    bounds[0].store(own_stack_low(), Ordering::Relaxed);
    bounds[1].store(ptr::from_ref(base).addr(), Ordering::Release);
}

/// The lowest address of the calling thread's stack.
pub(crate) fn own_stack_low() -> usize {
    // SAFETY: the attributes are initialised by the one call, read, and given back.
    unsafe {
        let mut attr = MaybeUninit::<libc::pthread_attr_t>::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), attr.as_mut_ptr()) != 0 {
            return 0;
        }
        let (mut low, mut size) = (ptr::null_mut(), 0);
        libc::pthread_attr_getstack(attr.as_ptr(), &mut low, &mut size);
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        low.addr()
    }
}

/// Ends the stop.
struct Stop {
    /// The signals that the stopper had blocked before.
    mask: libc::sigset_t,
}

impl Drop for Stop {
    fn drop(&mut self) {
        EPOCH.fetch_add(1, Ordering::SeqCst);
        futex(libc::FUTEX_WAKE, i32::MAX as u32);
        // SAFETY: the mask was read by `begin`, on this thread.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.mask, ptr::null_mut()) };
    }
}

/// Blocks the signal on the calling thread; what was blocked before. The stopper would wait for itself in the
/// handler; and a signal to the process, not to a thread, is the stopper's as soon as all others have it
/// blocked, since they are in the handler.
fn block_signal() -> libc::sigset_t {
    // SAFETY: both sets are initialised by the calls.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        let mut old = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGNAL);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), old.as_mut_ptr());
        old.assume_init()
    }
}

/// Waits until those of the last stop have gone on, and begins a new one, for `target`.
fn begin(since: Instant, target: i32) -> Option<Stop> {
    while WAITING.load(Ordering::SeqCst) > 0 {
        if since.elapsed() > PATIENCE {
            return None;
        }
        std::thread::yield_now();
    }
    let mask = block_signal();
    TARGET.store(target, Ordering::Relaxed);
    EPOCH.fetch_add(1, Ordering::SeqCst);
    Some(Stop { mask })
}

/// Calls `f` while the thread `tid` is stopped, with its pc, sp and bp. `None`: it could not be stopped.
///
/// `f` must not allocate, nor wait for a lock. Not of the calling thread.
pub(crate) fn with_stopped<T>(tid: u32, f: impl FnOnce([usize; 3]) -> T) -> Option<T> {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    install();
    let since = Instant::now();
    let stop = begin(since, tid as i32)?;
    // SAFETY: a signal with a handler.
    let told = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, SIGNAL) } == 0;
    while told && since.elapsed() < PATIENCE {
        if WAITING.load(Ordering::SeqCst) == 1 {
            // Relaxed: ordered by WAITING.
            let registers = [0, 1, 2].map(|i| REGISTERS[i].load(Ordering::Relaxed));
            let result = f(registers);
            drop(stop);
            return Some(result);
        }
        std::thread::yield_now();
    }
    None
}

/// Why the others could not be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotStopped {
    /// There was no memory, or no list of threads.
    Resources,
    /// One did not stop.
    Thread,
}

/// Calls `f` while all other threads are stopped.
///
/// `f` must not allocate, nor wait for a lock.
pub(crate) fn with_others_stopped<T>(f: impl FnOnce() -> T) -> Result<T, NotStopped> {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    install();
    // SAFETY: no preconditions.
    let (process, me) = unsafe { (libc::getpid(), libc::gettid()) };
    let mut told = MapVec::<i32>::new().ok_or(NotStopped::Resources)?;
    let mut tasks = Tasks::open().ok_or(NotStopped::Resources)?;
    let since = Instant::now();
    let stop = begin(since, 0).ok_or(NotStopped::Thread)?;
    loop {
        // Until a look at all threads finds none that was not told: who is stopped makes none.
        let mut new = false;
        tasks.rewind();
        for tid in tasks.by_ref() {
            if tid == me || told.contains(&tid) {
                continue;
            }
            new = true;
            // SAFETY: a signal with a handler. Fails if the thread has ended.
            unsafe { libc::syscall(libc::SYS_tgkill, process, tid, SIGNAL) };
            if !told.push(tid) {
                return Err(NotStopped::Resources);
            }
        }
        // A thread that ends while the list is read can cut it short: then more were seen than are left, and
        // it is read again. (A count of those that are left, and not of the list, for the same reason.)
        let left = told.iter().filter(|&&tid| exists(tid)).count();
        let waiting = WAITING.load(Ordering::SeqCst) as usize;
        if !new && tasks.seen == left + 1 && waiting >= left {
            let result = f();
            drop(stop);
            return Ok(result);
        }
        if since.elapsed() > PATIENCE {
            return Err(NotStopped::Thread);
        }
        std::thread::yield_now();
    }
}

/// Whether the process has this thread.
pub(crate) fn exists(tid: i32) -> bool {
    // SAFETY: signal 0 is only a question.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, 0) == 0 }
}

/// The ids of the process's threads, read without an allocation.
pub(crate) struct Tasks {
    fd: libc::c_int,
    buffer: [u8; 4096],
    at: usize,
    end: usize,
    /// Seen since the last rewind.
    pub(crate) seen: usize,
}

impl Tasks {
    pub(crate) fn open() -> Option<Tasks> {
        // SAFETY: a constant path.
        let fd = unsafe {
            libc::open(
                c"/proc/self/task".as_ptr(),
                libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
            )
        };
        (fd >= 0).then_some(Tasks {
            fd,
            buffer: [0; 4096],
            at: 0,
            end: 0,
            seen: 0,
        })
    }

    pub(crate) fn rewind(&mut self) {
        // SAFETY: our own descriptor.
        unsafe { libc::lseek(self.fd, 0, libc::SEEK_SET) };
        (self.at, self.end, self.seen) = (0, 0, 0);
    }
}

impl Iterator for Tasks {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        loop {
            if self.at == self.end {
                let (buffer, len) = (self.buffer.as_mut_ptr(), self.buffer.len());
                // SAFETY: our own descriptor and buffer.
                let n = unsafe { libc::syscall(libc::SYS_getdents64, self.fd, buffer, len) };
                if n <= 0 {
                    return None;
                }
                (self.at, self.end) = (0, n as usize);
            }
            // struct linux_dirent64: inode, offset, length of the record, type, name.
            let record = &self.buffer[self.at..self.end];
            let length = u16::from_ne_bytes([record[16], record[17]]) as usize;
            self.at += length;
            let digits = record[19..length].iter().take_while(|b| b.is_ascii_digit());
            let mut tid = 0;
            let mut any = false;
            for d in digits {
                tid = tid * 10 + i32::from(d - b'0');
                any = true;
            }
            if any {
                self.seen += 1;
                return Some(tid);
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // SAFETY: our own descriptor.
        unsafe { libc::close(self.fd) };
    }
}
