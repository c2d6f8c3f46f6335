//! The scheduler: the only room that knows Gs, Ms and Ps together.
//!
//! | file | what it owns |
//! |---|---|
//! | `run.rs` | the loop of an M: pick, resume, and what a suspended goroutine wanted |
//! | `find.rs` | where the next goroutine comes from; stealing; going idle |
//! | `wake.rs` | submitting work, waking and starting Ms, the idle lists |
//! | `idle.rs` | the protocol between submitting and going idle |
//! | `window.rs` | a goroutine's way into the runtime and out; park; yield |
//! | `handoff.rs` | Ps that change hands: blocking calls, locked threads |
//! | `monitor.rs` | sysmon: takes Ps from goroutines that do not come back |
//! | `spawn.rs` | new goroutines |
//! | `scope_state.rs` | where a scope and its goroutines meet |
//! | `timers.rs` | timers: who runs them, who sleeps until the next |
//! | `watch.rs` | the protocol between adding a timer and going to sleep |
//! | `netpoll.rs` | who polls for the network, and when |
//! | `room.rs`, `crowd.rs` | to how few Ps the network is left where CPUs are short |
//! | `interrupt.rs` | waits that are cut short: cancel, timeouts |
//! | `hogs.rs` | goroutines that keep their threads |
//! | `leaks.rs` | who can never go on |
//! | `deadlock.rs` | when nobody can |
//! | `park_thread.rs` | how a plain thread parks |
//! | `os_thread.rs` | what the kernel says of a thread |
//! | `start.rs`, `shutdown.rs`, `thread.rs` | beginnings and ends |
//! | `snapshot.rs`, `metrics.rs` | what traces, dumps and metrics say |

mod crowd;
mod deadlock;
mod find;
mod handoff;
mod hogs;
mod idle;
pub(crate) mod interrupt;
mod leaks;
mod metrics;
mod monitor;
mod netpoll;
mod os_thread;
mod park_thread;
mod pin;
mod relief;
mod room;
mod run;
mod scope_state;
mod shutdown;
mod snapshot;
mod spawn;
mod start;
mod thread;
mod timers;
mod wake;
mod watch;
mod window;

pub(crate) use deadlock::DEADLOCK;
pub(crate) use handoff::{lock_os_thread, unlock_os_thread};
pub(crate) use leaks::LostGoroutine;
pub(crate) use room::Room;
pub(crate) use scope_state::ScopeState;
pub(crate) use shutdown::Unfinished;
pub(crate) use spawn::{Spawned, free_g, spawn, spawn_outside};
pub(crate) use start::Config;

pub use deadlock::OnDeadlock;
pub use start::StartError;
pub use window::{Interrupt, Window};

use crate::atomics::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use crate::atomics::{Condvar, Mutex, Ordering};
use crate::fiber::Fiber;
use crate::g::G;
use crate::g::registry::GList;
use crate::m::M;
use crate::m::note::Note;
use crate::netpoll::Poller;
use crate::p::P;
use crate::stack::StackPool;
use crate::timer::{self, Nanos};
use idle::Idle;
use std::sync::Arc;
use std::time::{Duration, Instant};
use watch::Watch;

/// What the runtime does when a goroutine panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnPanic {
    /// Report it on standard error and deliver it to `join`; the others go on.
    #[default]
    Report,
    /// Report it and abort the process, as Go does.
    Abort,
}

/// The life of a runtime. Only ever moves down the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Goroutines come and go.
    Running = 0,
    /// Nothing new starts; what waits is unwound; what runs ends at its next runtime call.
    Stopping = 1,
    /// No goroutine is left; threads end.
    Exiting = 2,
}

/// One runtime. Shared by its threads and its handle; goes away with the last of them.
pub(crate) struct Sched {
    pub(crate) config: Config,
    ps: Box<[P]>,
    stacks: StackPool,
    idle: Idle,
    /// Length of the global queue; written under the lock, read as a hint without.
    global_len: AtomicUsize,
    phase: AtomicU8,
    watch: Watch,
    net: Arc<Poller>,
    /// How many busy Ps are enough for it.
    room: room::Bound,
    /// Which P gets the next timer of a plain thread.
    next_timer_p: AtomicUsize,
    /// Goroutines that were spawned without a P.
    spawned_outside: AtomicU64,
    /// A fiber for goroutines that cannot have one: to drop their closures and deliver the error.
    reserve: Mutex<Option<Fiber>>,
    no_stack_reported: AtomicBool,
    lock: Mutex<State>,
    /// Notified under `lock` when the last goroutine of a stopping runtime has finished.
    all_done: Condvar,
    /// Wakes the monitor.
    monitor: Note,
    /// The largest number of switches that metrics have told.
    switches_told: AtomicU64,
    /// Ps that the monitor has taken from Ms. Written by it.
    taken: AtomicU64,
    /// All goroutines were asleep for ever, and were cancelled.
    dead: AtomicBool,
    /// The monitor's own stack, as an M's `native`.
    monitor_stack: [AtomicUsize; 2],
    /// The time, as the monitor last saw it.
    clock: Clock,
    pub(crate) started: Instant,
    /// Its number in traces.
    trace_id: u32,
    me: std::sync::Weak<Sched>,
}

/// A clock that is a load to read: at most [`monitor::PAUSE_MAX`] slow while any P is busy. On a cache
/// line of its own, since every park reads it.
#[repr(align(128))]
struct Clock(AtomicU64);

/// How long a goroutine may compute while others wait for its P. Go's forcePreemptNS.
const SLICE: Duration = Duration::from_millis(10);

/// What the scheduler's lock protects.
struct State {
    idle_ps: Vec<*const P>,
    /// Last in, first out: warm ones first.
    idle_ms: Vec<*const M>,
    /// The idle M that sleeps until the first timer, or null.
    watcher: *const M,
    /// The idle M that sleeps in the poller, or null.
    poller: *const M,
    global: GList,
    threads: thread::Table,
    /// The monitor sleeps until a P becomes busy.
    monitor_waits: bool,
    /// A shortage of threads was reported.
    shortage_reported: bool,
    /// Nobody waits for the end of a stopping runtime: its last goroutine ends it.
    abandoned: bool,
}

// SAFETY: the pointers lead to Ps and Ms of the same Sched; who may touch what is said there.
unsafe impl Send for State {}
// SAFETY: as above; the cells in Ps and Ms have owners.
unsafe impl Sync for Sched {}
// SAFETY: as above.
unsafe impl Send for Sched {}

impl Sched {
    #[inline(always)]
    fn phase(&self) -> Phase {
        // Relaxed: who must not miss a change has a fence of its own (park and shutdown).
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::Exiting,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase() == Phase::Running
    }

    /// The runtime of a goroutine.
    ///
    /// # Safety
    /// The goroutine is not finished.
    #[inline(always)]
    pub(crate) unsafe fn of_g<'a>(g: &G) -> &'a Sched {
        // SAFETY: a runtime lives as long as it has unfinished goroutines.
        unsafe { &*g.sched.load(Ordering::Relaxed).cast::<Sched>() }
    }

    /// The runtime of an M.
    ///
    /// # Safety
    /// `m` is the caller's own M.
    #[inline(always)]
    pub(crate) unsafe fn of_m<'a>(m: &M) -> &'a Sched {
        // SAFETY: an M's thread keeps its runtime alive.
        unsafe { &*m.sched.cast::<Sched>() }
    }

    pub(crate) fn ps(&self) -> &[P] {
        &self.ps
    }

    /// The time, more or less: see [`Clock`].
    #[inline(always)]
    fn coarse_now(&self) -> Nanos {
        // Relaxed: nothing is ordered by it.
        self.clock.0.load(Ordering::Relaxed)
    }

    fn set_clock(&self) {
        self.clock.0.store(timer::now(), Ordering::Relaxed);
    }

    /// Goroutines that are not finished.
    pub(crate) fn num_goroutines(&self) -> u64 {
        let (spawned, finished) = self.spawned_and_finished();
        spawned - finished
    }

    /// Goroutines that were spawned, and that have finished.
    fn spawned_and_finished(&self) -> (u64, u64) {
        // Finished first: with the two counts growing, their difference is then never below
        // the truth at the moment of the first read, and zero only if all had finished.
        let finished: u64 = self
            .ps
            .iter()
            // Acquire: pairs with the Release in the counter's update.
            .map(|p| p.finished.load(Ordering::Acquire))
            .sum();
        let spawned: u64 = self
            .ps
            .iter()
            .map(|p| p.spawned.load(Ordering::Acquire))
            .sum();
        let outside = self.spawned_outside.load(Ordering::Acquire);
        (spawned + outside, finished)
    }
}
