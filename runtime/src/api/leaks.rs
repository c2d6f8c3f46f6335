//! Goroutines that can never go on, for the user.

use crate::api::calls::blocking_quietly;
use crate::api::runtime::with_sched;
use crate::g::GoroutineId;
use crate::inspect::leaks::Why;
use crate::inspect::stop::NotStopped;
use crate::sched::{LostGoroutine, Sched};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A goroutine that can never go on. See [`Runtime::leaks`](crate::Runtime::leaks).
#[derive(Clone, Debug)]
pub struct Leak {
    id: GoroutineId,
    name: Option<String>,
    site: &'static Location<'static>,
    wait: &'static str,
    reason: LeakReason,
}

/// Why a goroutine can never go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakReason {
    /// Nobody who can still run can reach the channel that it waits on, or any of its select's.
    Channel,
    /// It waits on nil channels only, or in a select without arms.
    Nil,
    /// It waits for a mutex that a goroutine holds which can never go on; maybe itself.
    Lock {
        /// Who holds it.
        holder: GoroutineId,
    },
    /// It waits for the end of a goroutine that can never go on.
    Join {
        /// Whom it waits for.
        goroutine: GoroutineId,
    },
    /// No goroutine of the scope that it waits for can ever go on.
    Scope,
}

impl Leak {
    fn new(lost: LostGoroutine) -> Leak {
        let reason = match lost.why {
            Why::Channel => LeakReason::Channel,
            Why::Nil => LeakReason::Nil,
            Why::Lock(id) => LeakReason::Lock {
                holder: GoroutineId(id),
            },
            Why::Join(id) => LeakReason::Join {
                goroutine: GoroutineId(id),
            },
            Why::Scope => LeakReason::Scope,
        };
        Leak {
            id: lost.id,
            wait: lost.wait.as_str(),
            name: lost.name,
            site: lost.site,
            reason,
        }
    }

    /// Who it is.
    pub fn goroutine(&self) -> GoroutineId {
        self.id
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Why it can never go on.
    pub fn reason(&self) -> LeakReason {
        self.reason
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " [{}]: ", self.wait)?;
        match self.reason {
            LeakReason::Channel => {
                f.write_str("nobody who can still run can reach what it waits on")
            }
            LeakReason::Nil => f.write_str("it waits for what never comes"),
            LeakReason::Lock { holder } if holder == self.id => {
                f.write_str("it holds the mutex itself")
            }
            LeakReason::Lock { holder } => {
                write!(f, "goroutine {holder} holds the mutex, and cannot go on")
            }
            LeakReason::Join { goroutine } => write!(f, "goroutine {goroutine} cannot go on"),
            LeakReason::Scope => f.write_str("no goroutine of its scope can go on"),
        }?;
        write!(f, " (spawned at {})", self.site)
    }
}

/// Why it is not known whether there are goroutines that can never go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum LeaksError {
    /// This machine's stacks cannot be looked at: they are known on x86-64 only.
    Unsupported,
    /// A thread of the process did not stop: it blocks `SIGURG`, or sleeps where no signal wakes it.
    NotStopped,
    /// There was not enough memory for the search, or too much to look through (256 GiB), no list of the threads in
    /// `/proc`, the system forbids `process_vm_readv`, or somebody held a lock that the search needs, each time that it
    /// was tried.
    Resources,
    /// The search panicked, and has said so on standard error.
    Panicked,
    /// The system gives no thread for the search.
    Thread(std::io::Error),
}

impl fmt::Display for LeaksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("goroutines that can never go on could not be looked for: ")?;
        match self {
            LeaksError::Unsupported => f.write_str("it is not known how on this machine"),
            LeaksError::NotStopped => f.write_str(
                "a thread did not stop (it blocks SIGURG, or sleeps where no signal wakes it)",
            ),
            LeaksError::Resources => f.write_str(
                "memory, /proc, process_vm_readv or a lock that is needed was not to be had",
            ),
            LeaksError::Panicked => f.write_str("the search panicked"),
            LeaksError::Thread(e) => write!(f, "there is no thread to be had: {e}"),
        }
    }
}

impl std::error::Error for LeaksError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LeaksError::Thread(e) => Some(e),
            _ => None,
        }
    }
}

/// The goroutines of the caller's runtime that can never go on: [`Runtime::leaks`](crate::Runtime::leaks)
/// for those who have no handle. On a plain thread, of the default runtime; without one, none.
///
/// # Errors
/// If they could not be looked for.
pub fn leaks() -> Result<Vec<Leak>, LeaksError> {
    with_sched(|sched| leaks_of(&sched.me())).unwrap_or_else(|| Ok(Vec::new()))
}

/// On a thread of its own, that has nothing of the user's on its stack; the caller is stopped as all others
/// are, with what its registers hold in memory.
pub(super) fn leaks_of(sched: &Arc<Sched>) -> Result<Vec<Leak>, LeaksError> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(LeaksError::Unsupported);
    }
    let sched = Arc::clone(sched);
    let search = move || match sched.find_lost() {
        Ok(lost) => Ok(lost.into_iter().map(Leak::new).collect()),
        Err(NotStopped::Thread) => Err(LeaksError::NotStopped),
        Err(NotStopped::Resources) => Err(LeaksError::Resources),
    };
    let thread = std::thread::Builder::new().name("weft-leaks".into());
    let thread = thread.spawn(search).map_err(LeaksError::Thread)?;
    forget_vectors();
    blocking_quietly(|| thread.join()).unwrap_or(Err(LeaksError::Panicked))
}

/// Clears the vector registers, which nobody uses across a call: what goroutines have left in them that ran on
/// this thread before would be taken for the caller's.
#[inline(never)]
fn forget_vectors() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions exist where the features do, and change nothing but the registers that a call
    // may change.
    unsafe {
        if std::is_x86_feature_detected!("avx") {
            std::arch::asm!("vzeroall", clobber_abi("C"), options(nomem, nostack));
        }
        if std::is_x86_feature_detected!("avx512f") {
            std::arch::asm!(
                "vpxorq zmm16, zmm16, zmm16",
                "vpxorq zmm17, zmm17, zmm17",
                "vpxorq zmm18, zmm18, zmm18",
                "vpxorq zmm19, zmm19, zmm19",
                "vpxorq zmm20, zmm20, zmm20",
                "vpxorq zmm21, zmm21, zmm21",
                "vpxorq zmm22, zmm22, zmm22",
                "vpxorq zmm23, zmm23, zmm23",
                clobber_abi("C"),
                options(nomem, nostack)
            );
        }
    }
}
