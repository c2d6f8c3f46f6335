//! How a runtime begins.

use super::deadlock::RUNTIMES;
use super::idle::Idle;
use super::room::{Bound, Room};
use super::run::describe_owner;
use super::thread::Table;
use super::watch::Watch;
use super::{OnDeadlock, OnPanic, Phase, Sched, State};
use crate::atomics::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use crate::atomics::{Condvar, Mutex, Ordering, init_fences};
use crate::fiber::Fiber;
use crate::g::registry::{self, GList};
use crate::m::note::Note;
use crate::netpoll::Poller;
use crate::p::P;
use crate::stack::{StackGuard, StackPool, install_handler};
use crate::timer::Nanos;
use crate::trace;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Most Ps that a runtime takes: far beyond any machine, and small enough that a mistyped number
/// is an error and not a swamp.
pub(crate) const MAX_PROCS: usize = 4096;

/// What a runtime is started with; the builder's fields.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Number of Ps; not 0.
    pub(crate) procs: usize,
    pub(crate) stack_size: usize,
    pub(crate) stack_guard: StackGuard,
    pub(crate) max_threads: usize,
    pub(crate) name: String,
    pub(crate) on_panic: OnPanic,
    pub(crate) on_deadlock: OnDeadlock,
    /// A goroutine that keeps its thread for so long is told of.
    pub(crate) hog: Option<Duration>,
    /// Look for goroutines that can never go on before the shutdown.
    pub(crate) report_leaks: bool,
    pub(crate) busy_poll: Duration,
    pub(crate) room: Room,
    pub(crate) pin_started: bool,
    /// How often to print a scheduler trace.
    pub(crate) schedtrace: Option<Duration>,
    pub(crate) scheddetail: bool,
    /// Test mode: no goroutine runs twice in a row on the same thread.
    pub(crate) migrate: bool,
}

/// Why a runtime cannot start; the text says what to do.
#[derive(Debug)]
pub struct StartError(pub(crate) String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl Sched {
    /// Starts a runtime: the monitor and one M. Further Ms start as there is work for them.
    pub(crate) fn start(
        config: Config,
        traced: Option<trace::program::User>,
    ) -> Result<Arc<Sched>, StartError> {
        if config.procs > MAX_PROCS {
            return Err(StartError(format!(
                "{} Ps are too many: at most {MAX_PROCS}; 0 means one per usable CPU",
                config.procs
            )));
        }
        if config.max_threads < config.procs {
            return Err(StartError(format!(
                "max_threads ({}) is below the number of Ps ({}): each running P needs a thread",
                config.max_threads, config.procs
            )));
        }
        let stacks = StackPool::new(config.stack_size, config.stack_guard)
            .map_err(|e| StartError(e.to_string()))?;
        let reserve = stacks.take().map_err(|e| StartError(e.to_string()))?;
        init_fences();
        install_handler(describe_owner);
        trace::panics::install_panic_hook();
        registry::enter();
        crate::inspect::debugger::prepare();
        RUNTIMES.fetch_add(1, Ordering::Relaxed);
        let procs = config.procs;
        let ps: Box<[P]> = (0..procs as u32).map(P::new).collect();
        let sched = Arc::new_cyclic(|me: &Weak<Sched>| Sched {
            trace_id: trace::runtimes::starts(me.as_ptr().cast(), &config.name, &ps, traced),
            ps,
            stacks,
            idle: Idle::new(),
            global_len: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Running as u8),
            watch: Watch::new(),
            net: Poller::new(config.busy_poll.as_nanos() as Nanos),
            room: Bound::none(),
            next_timer_p: AtomicUsize::new(0),
            spawned_outside: AtomicU64::new(0),
            reserve: Mutex::new(Some(Fiber::new(reserve, super::run::goroutine_entry))),
            no_stack_reported: AtomicBool::new(false),
            lock: Mutex::new(State {
                idle_ps: Vec::with_capacity(procs),
                idle_ms: Vec::new(),
                watcher: std::ptr::null(),
                poller: std::ptr::null(),
                global: GList::new(),
                threads: Table::new(),
                monitor_waits: false,
                shortage_reported: false,
                abandoned: false,
            }),
            all_done: Condvar::new(),
            monitor: Note::new(),
            switches_told: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            monitor_stack: [AtomicUsize::new(0), AtomicUsize::new(0)],
            clock: super::Clock(AtomicU64::new(crate::timer::now())),
            started: Instant::now(),
            me: me.clone(),
            config,
        });
        {
            let mut state = sched.lock.lock();
            // P0 on top: the list is last in, first out.
            for p in sched.ps.iter().rev() {
                sched.put_idle(&mut state, p);
            }
        }
        sched.start_monitor()?;
        let p = sched.take_idle().expect("no M runs yet");
        if !sched.start_m(p, false) {
            sched.begin_exit();
            sched.join_all_threads();
            return Err(StartError(
                "the system gives no thread to run goroutines on: raise the limit on threads"
                    .into(),
            ));
        }
        Ok(sched)
    }

    fn start_monitor(self: &Arc<Sched>) -> Result<(), StartError> {
        let me = Arc::clone(self);
        let handle = std::thread::Builder::new()
            .name(format!("{}-mon", self.config.name))
            .spawn(move || me.monitor())
            .map_err(|e| {
                StartError(format!(
                    "the system gives no thread for the runtime's monitor ({e}): raise the limit \
                     on threads"
                ))
            })?;
        self.lock.lock().threads.file_monitor(handle);
        Ok(())
    }

    /// A share in this runtime. Only for callers that keep it alive already.
    pub(crate) fn me(&self) -> Arc<Sched> {
        self.me.upgrade().expect("whoever runs in it holds it")
    }
}
