//! The report of a stack overflow: a SIGSEGV handler on an alternate stack that recognises the
//! guard of a slot by the fault address, says whose stack it was, and aborts. A fault anywhere
//! else goes to the handler that was there before.
//!
//! A signal handler may not allocate or lock, but a symbolised backtrace does both. So the
//! handler only collects addresses, and a thread that is not in a signal handler (the runtime's
//! monitor) prints them, while the handler waits for at most [`REPORT_PATIENCE_MS`]: when the
//! fault came inside the allocator, the message is complete but for the backtrace.

use super::slab::find_guard;
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicU32, AtomicUsize};
use std::fmt::{self, Write as _};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

/// Writes who runs on a stack, given the `owner` word of its slot. Must be async-signal-safe.
pub(crate) type Describe = unsafe fn(owner: *mut (), out: &mut dyn fmt::Write) -> fmt::Result;

/// How long a faulting thread waits for its backtrace to be printed, in milliseconds.
const REPORT_PATIENCE_MS: u32 = 2_000;

/// Frames of the backtrace: a runaway recursion repeats itself long before.
const FRAMES: usize = 32;

static PREVIOUS: [OnceLock<libc::sigaction>; 2] = [const { OnceLock::new() }; 2];
static DESCRIBE: OnceLock<Describe> = OnceLock::new();

fn previous(sig: libc::c_int) -> &'static OnceLock<libc::sigaction> {
    &PREVIOUS[usize::from(sig == libc::SIGBUS)]
}

/// Installs the handler for SIGSEGV and SIGBUS, once per process.
pub(crate) fn install_handler(describe: Describe) {
    if DESCRIBE.set(describe).is_err() {
        return;
    }
    for sig in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler only does what is async-signal-safe; the old action is kept before
        // the new one can run for a guard of ours (no slot exists yet).
        unsafe {
            let mut old = MaybeUninit::<libc::sigaction>::zeroed();
            libc::sigaction(sig, ptr::null(), old.as_mut_ptr());
            let _ = previous(sig).set(old.assume_init());
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = on_fault as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut new.sa_mask);
            libc::sigaction(sig, &new, ptr::null_mut());
        }
    }
}

/// Text in a fixed buffer; what does not fit is cut.
struct Fixed {
    buf: [u8; 1024],
    len: usize,
}

impl fmt::Write for Fixed {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let n = s.len().min(self.buf.len() - self.len);
        self.buf[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

extern "C" fn on_fault(sig: libc::c_int, info: *mut libc::siginfo_t, ctx: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let addr = unsafe { (*info).si_addr() } as usize;
    match find_guard(addr) {
        Some(hit) => {
            let mut text = Fixed {
                buf: [0; 1024],
                len: 0,
            };
            let _ = write!(text, "\nfatal error: stack overflow in ");
            if let Some(describe) = DESCRIBE.get() {
                // SAFETY: the owner is what the scheduler stored for the goroutine that is
                // running on this very thread.
                let _ = unsafe { describe(hit.owner, &mut text) };
            }
            let _ = write!(
                text,
                ": its stack of {} bytes is used up\n\
                 ask for larger stacks with runtime::Builder::stack_size, or recurse less\n\n",
                hit.size
            );
            // SAFETY: write(2) of a buffer of ours; abort never returns.
            unsafe {
                libc::write(2, text.buf.as_ptr().cast(), text.len);
                report_backtrace();
                libc::abort();
            }
        }
        None => forward(sig, info, ctx),
    }
}

/// Passes a fault that is not ours to the handler that was installed before.
fn forward(sig: libc::c_int, info: *mut libc::siginfo_t, ctx: *mut libc::c_void) {
    let Some(old) = previous(sig).get() else {
        return default_action(sig);
    };
    // Ignoring a fault would repeat it for ever.
    if !call_handler(old, sig, info, ctx) {
        default_action(sig);
    }
}

/// Calls the handler that an action names, as the kernel would. False: it names none.
pub(crate) fn call_handler(
    action: &libc::sigaction,
    sig: libc::c_int,
    info: *mut libc::siginfo_t,
    ctx: *mut libc::c_void,
) -> bool {
    match action.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => return false,
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the action says that it is a three-argument handler.
            let f: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            f(sig, info, ctx);
        }
        handler => {
            // SAFETY: the action says that it is a one-argument handler.
            let f: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
            f(sig);
        }
    }
    true
}

/// Restores the default action; the fault repeats on return and ends the process as it should.
fn default_action(sig: libc::c_int) {
    // SAFETY: a zeroed sigaction is SIG_DFL without flags.
    unsafe {
        let dfl: libc::sigaction = std::mem::zeroed();
        libc::sigaction(sig, &dfl, ptr::null_mut());
    }
}

static FRAME: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];
static REPORT: AtomicU32 = AtomicU32::new(NONE);
const NONE: u32 = 0;
const COLLECTING: u32 = 1;
const READY: u32 = 2;
const DONE: u32 = 3;

/// Collects the addresses of the faulting stack and waits until somebody has printed them.
///
/// # Safety
/// To be called in the fault handler only, right before the process ends.
unsafe fn report_backtrace() {
    if REPORT
        .compare_exchange(NONE, COLLECTING, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return; // another thread overflowed at the same time: one backtrace will do
    }
    let mut n = 0;
    // SAFETY: no other thread uses the `backtrace` crate's unsynchronised walk: it is called
    // here only, and once. Walking needs no lock and no allocation.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            FRAME[n].store(frame.ip() as usize, Ordering::Relaxed);
            n += 1;
            n < FRAMES
        });
    }
    // Release: pairs with the Acquire in serve_report.
    REPORT.store(READY, Ordering::Release);
    for _ in 0..REPORT_PATIENCE_MS {
        if REPORT.load(Ordering::Acquire) == DONE {
            break;
        }
        let ms = libc::timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000,
        };
        // SAFETY: nanosleep is async-signal-safe.
        unsafe { libc::nanosleep(&ms, ptr::null_mut()) };
    }
}

/// Prints the backtrace that a fault handler waits for, if there is one. To be called now and
/// then by a thread that may allocate.
pub(crate) fn serve_report() {
    // Relaxed first: this is polled. Acquire: pairs with the Release in report_backtrace.
    if REPORT.load(Ordering::Relaxed) != READY || REPORT.load(Ordering::Acquire) != READY {
        return;
    }
    let mut text =
        String::from("stack (innermost first; the first frames are the fault handler):\n");
    for (i, frame) in FRAME.iter().enumerate() {
        let ip = frame.load(Ordering::Relaxed);
        if ip == 0 {
            break;
        }
        let mut named = false;
        backtrace::resolve(ip as *mut _, |symbol| {
            if let Some(name) = symbol.name() {
                named = true;
                let _ = write!(text, "{i:4}: {name:#}");
                if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
                    let _ = write!(text, "\n             at {}:{line}", file.display());
                }
                text.push('\n');
            }
        });
        if !named {
            let _ = writeln!(text, "{i:4}: {ip:#x}");
        }
    }
    eprint!("{text}");
    REPORT.store(DONE, Ordering::Release);
}

/// An alternate signal stack for the calling thread, taken away again on drop.
pub(crate) struct AltStack {
    base: *mut libc::c_void,
    old: libc::stack_t,
}

/// Room for the kernel's signal frame (up to 11 KiB with AMX state) and for the walk of the
/// faulting stack. Only touched pages cost memory.
const ALT_STACK_BYTES: usize = 128 * 1024;

impl AltStack {
    /// Installs an alternate stack. Without memory for one, faults are reported by the kernel
    /// alone.
    pub(crate) fn install() -> Option<AltStack> {
        // SAFETY: a private mapping of our own that outlives its use as alternate stack.
        unsafe {
            let base = libc::mmap(
                ptr::null_mut(),
                ALT_STACK_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
                -1,
                0,
            );
            if base == libc::MAP_FAILED {
                return None;
            }
            let new = libc::stack_t {
                ss_sp: base,
                ss_flags: 0,
                ss_size: ALT_STACK_BYTES,
            };
            let mut old: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(&new, &mut old) != 0 {
                libc::munmap(base, ALT_STACK_BYTES);
                return None;
            }
            Some(AltStack { base, old })
        }
    }
}

impl AltStack {
    /// Its lowest address, and one past its highest.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        let start = self.base.addr();
        (start, start + ALT_STACK_BYTES)
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        // SAFETY: restores what was there before; the mapping is not in use afterwards.
        unsafe {
            libc::sigaltstack(&self.old, ptr::null_mut());
            libc::munmap(self.base, ALT_STACK_BYTES);
        }
    }
}
