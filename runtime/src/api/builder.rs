//! How a runtime is asked for: the builder, and what the environment has to say.

use crate::api::runtime::{Runtime, dump_on_signal};
use crate::api::signal::Signal;
use crate::sched::{Config, OnDeadlock, OnPanic, Room, Sched, StartError};
use crate::stack::{DEFAULT_STACK_SIZE, StackGuard};
use std::path::PathBuf;
use std::time::Duration;

/// Default bound on the number of threads of a runtime, blocked ones included.
pub const DEFAULT_MAX_THREADS: usize = 512;

/// See [`Builder::busy_poll`].
const DEFAULT_BUSY_POLL: Duration = Duration::from_micros(10);

/// A runtime to be started, with other settings than [`start`] gives.
///
/// ```
/// let rt = runtime::Builder::new()
///     .procs(2)
///     .stack_size(64 * 1024)
///     .name("worker")
///     .build()
///     .unwrap();
/// assert_eq!(rt.run(|| 6 * 7), 42);
/// ```
///
/// # Environment
///
/// * `RUNTIME_PROCS=n` is the number of Ps of a runtime that was asked for with 0.
/// * `RUNTIME_DEBUG=key=value,...`: `schedtrace=MS` prints a `SCHED` line to standard error every
///   so many milliseconds, `scheddetail=1` adds the P, M and G lines to each; `dumpsig=QUIT` is
///   [`Builder::dump_on`], `hog=100ms` [`Builder::report_hogs`], `leaks=1` [`Builder::report_leaks`]; `migrate=always`
///   moves every goroutine to another thread at each wake (a test mode, and slow); `room=never` is
///   [`Builder::make_room`], and `room=always` leaves the network to one P all the time (a test mode).
///   `trace=FILE` writes a [trace](crate::trace) of the whole program, in Chrome's format if the file's name ends in
///   `.json`, else in Perfetto's. It is complete when the last runtime has been shut down, or the
///   process exits; a program that starts a runtime again after that gets a further file, `FILE-2`
///   (before the ending).
/// * `RUNTIME_STACK_GUARD=marker|mprotect` overrides [`StackGuard::Auto`].
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing until `build`"]
pub struct Builder {
    procs: usize,
    stack_size: usize,
    stack_guard: StackGuard,
    max_threads: usize,
    name: String,
    on_panic: OnPanic,
    on_deadlock: OnDeadlock,
    hog: Option<Duration>,
    dump_on: Option<Signal>,
    report_leaks: bool,
    busy_poll: Duration,
    room: Room,
    pin_started: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// The settings of [`start`] with 0 Ps.
    pub fn new() -> Builder {
        Builder {
            procs: 0,
            stack_size: DEFAULT_STACK_SIZE,
            stack_guard: StackGuard::Auto,
            max_threads: DEFAULT_MAX_THREADS,
            name: "weft".into(),
            on_panic: OnPanic::Report,
            on_deadlock: OnDeadlock::default(),
            hog: None,
            dump_on: None,
            report_leaks: false,
            busy_poll: DEFAULT_BUSY_POLL,
            room: Room::Judged,
            pin_started: false,
        }
    }

    /// Number of Ps: how many goroutines run at the same time. 0 means one per usable CPU: the
    /// smaller of the thread's affinity and the cgroup's CPU quota, or `RUNTIME_PROCS`.
    pub fn procs(mut self, n: usize) -> Builder {
        self.procs = n;
        self
    }

    /// Size of each goroutine's stack in bytes, its guard page included; rounded up to a power of
    /// two. It costs address space; memory is used as it is touched, in pages of 4 KiB.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = bytes;
        self
    }

    /// How stacks are guarded.
    pub fn stack_guard(mut self, guard: StackGuard) -> Builder {
        self.stack_guard = guard;
        self
    }

    /// Most threads that run goroutines, those included that a goroutine blocks. At the bound
    /// nothing is lost: goroutines wait until a thread comes back.
    pub fn max_threads(mut self, n: usize) -> Builder {
        self.max_threads = n;
        self
    }

    /// Name of the runtime: its threads are called `name-m0`, `name-m1`, ..., `name-mon`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// What to do when a goroutine panics.
    pub fn on_panic(mut self, what: OnPanic) -> Builder {
        self.on_panic = what;
        self
    }

    /// What to do when all goroutines are asleep and nothing can ever wake one. It is only said if that
    /// is certain: if all other threads of the process wait in the runtime, too (docs/deadlocks.md).
    ///
    /// ```no_run
    /// let rt = runtime::Builder::new().procs(1).build().unwrap();
    /// rt.run(|| {
    ///     let m = runtime::sync::Mutex::new(());
    ///     let _first = m.lock();
    ///     let _second = m.lock(); // for ever
    /// });
    /// ```
    pub fn on_deadlock(mut self, what: OnDeadlock) -> Builder {
        self.on_deadlock = what;
        self
    }

    /// Writes a [`Dump`](crate::Dump) of all goroutines to standard error whenever this signal comes, and goes
    /// on. It may be one that the program waits for, too ([`signal`](crate::signal)).
    ///
    /// ```
    /// use runtime::signal::Signal;
    ///
    /// let rt = runtime::Builder::new().dump_on(Signal::QUIT).build();
    /// # drop(rt);
    /// ```
    pub fn dump_on(mut self, signal: Signal) -> Builder {
        self.dump_on = Some(signal);
        self
    }

    /// Reports on standard error, once and with its stack, each goroutine that keeps its thread for longer
    /// than this without a call into the runtime: one that computes, or that blocks in a call that is
    /// not in [`blocking`](crate::blocking). To get the stack its thread is interrupted by a signal
    /// (`SIGURG`).
    pub fn report_hogs(mut self, limit: Duration) -> Builder {
        self.hog = Some(limit.max(Duration::from_millis(1)));
        self
    }

    /// Reports goroutines that can never go on, on standard error, before a shutdown: see
    /// [`Runtime::leaks`].
    pub fn report_leaks(mut self, report: bool) -> Builder {
        self.report_leaks = report;
        self
    }

    /// How long the thread that waits for the network asks again and again for something to come before it sleeps, *if
    /// that has paid of late*: if nearly all waits were over in about that time. 10 µs, 1 ms at most, and none with a
    /// single usable CPU. An exchange with one peer takes a quarter to a third less time by it, since nobody must
    /// be woken, and half as much CPU time again; [`Duration::ZERO`] saves that.
    pub fn busy_poll(mut self, limit: Duration) -> Builder {
        self.busy_poll = limit.min(Duration::from_millis(1));
        self
    }

    /// Whether the network is left to fewer Ps *where CPUs are short*: where the threads wait for a CPU for more than a quarter
    /// of the time that they run, and hardly wait if there are fewer (true). Then an idle P is not called in for what
    /// comes over a socket while as many are busy as there were CPUs for. Beside clients, or other programs, that take
    /// the rest, a message takes some per cent less time by it, and the slowest a quarter to a half. What it costs is that beside a
    /// goroutine that computes, or blocks its thread, a message may wait for a millisecond or two.
    pub fn make_room(mut self, yes: bool) -> Builder {
        self.room = if yes { Room::Judged } else { Room::Never };
        self
    }

    /// Keeps each goroutine on the thread where it first ran; only goroutines that have not run
    /// yet move to other threads. For code that keeps values of a thread across a wait (see
    /// docs/soundness.md), at the price of balance: a thread that is blocked holds up all the
    /// goroutines that started on it.
    pub fn pin_started(mut self, pin: bool) -> Builder {
        self.pin_started = pin;
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    /// If a number is out of range, an environment variable makes no sense, or the system gives
    /// no memory or no thread; the text says what to do.
    pub fn build(self) -> Result<Runtime, StartError> {
        let mut config = Config {
            procs: match self.procs {
                0 => default_procs()?,
                n => n,
            },
            stack_size: self.stack_size,
            stack_guard: self.stack_guard,
            max_threads: self.max_threads,
            name: self.name,
            on_panic: self.on_panic,
            on_deadlock: self.on_deadlock,
            hog: self.hog,
            report_leaks: self.report_leaks,
            busy_poll: self.busy_poll,
            room: self.room,
            pin_started: self.pin_started,
            schedtrace: None,
            scheddetail: false,
            migrate: false,
        };
        if let Some(guard) = env("RUNTIME_STACK_GUARD")?
            && config.stack_guard == StackGuard::Auto
        {
            config.stack_guard = match guard.as_str() {
                "marker" => StackGuard::Marker,
                "mprotect" => StackGuard::Mprotect,
                _ => {
                    return Err(nonsense(
                        "RUNTIME_STACK_GUARD",
                        &guard,
                        "marker or mprotect",
                    ));
                }
            };
        }
        if let Some(debug) = env("RUNTIME_DEBUG")? {
            read_debug(&debug, &mut config)?;
        }
        let (mut dump_on, mut traced) = (self.dump_on, None);
        if let Some(debug) = env("RUNTIME_DEBUG")? {
            dump_on = read_dumpsig(&debug)?.or(dump_on);
            if let Some(file) = read_trace(&debug) {
                let user = crate::trace::program::start(&file)
                    .map_err(|e| StartError(format!("RUNTIME_DEBUG: {e}")))?;
                traced = Some(user);
            }
        }
        let sched = Sched::start(config, traced)?;
        let dumps = dump_on.map(|signal| dump_on_signal(&sched, signal));
        match dumps.transpose() {
            Ok(dumps) => Ok(Runtime::new(sched, dumps)),
            Err(e) => {
                drop(Runtime::new(sched, None));
                Err(StartError(format!("no dumps can be had on a signal: {e}")))
            }
        }
    }
}

/// Starts a runtime with `n_procs` Ps; 0 means one per usable CPU (see [`Builder::procs`]).
///
/// The first runtime that runs is the default one, which [`spawn`](crate::spawn()) and
/// [`go!`](crate::go!) use on plain threads.
///
/// ```
/// let rt = runtime::start(2);
/// let sum: u32 = rt.run(|| {
///     let handles: Vec<_> = (1..=10).map(|n| runtime::go!(move || n * n)).collect();
///     handles.into_iter().map(|h| h.join().unwrap()).sum()
/// });
/// assert_eq!(sum, 385);
/// ```
///
/// # Panics
/// If the runtime cannot start; [`Builder::build`] gives an error instead.
pub fn start(n_procs: usize) -> Runtime {
    match Builder::new().procs(n_procs).build() {
        Ok(rt) => rt,
        Err(e) => panic!("cannot start the runtime: {e}"),
    }
}

fn nonsense(key: &str, value: &str, want: &str) -> StartError {
    StartError(format!("{key}={value} makes no sense: {want} is wanted"))
}

fn env(key: &str) -> Result<Option<String>, StartError> {
    match std::env::var(key) {
        Ok(s) if s.is_empty() => Ok(None),
        Ok(s) => Ok(Some(s)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(s)) => Err(nonsense(key, &s.to_string_lossy(), "text")),
    }
}

/// One P per usable CPU, unless the environment says otherwise.
fn default_procs() -> Result<usize, StartError> {
    if let Some(s) = env("RUNTIME_PROCS")? {
        return match s.parse() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(nonsense("RUNTIME_PROCS", &s, "a number above 0")),
        };
    }
    // Affinity and the quotas of the cgroup and its ancestors.
    Ok(std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// The signal of `dumpsig=NAME`.
fn read_dumpsig(debug: &str) -> Result<Option<Signal>, StartError> {
    let mut items = debug.split(',');
    let Some(name) = items.find_map(|item| item.strip_prefix("dumpsig=")) else {
        return Ok(None);
    };
    match Signal::named(name) {
        Some(signal) => Ok(Some(signal)),
        None => Err(nonsense(
            "RUNTIME_DEBUG",
            &format!("dumpsig={name}"),
            "the name of a signal, such as QUIT or USR1,",
        )),
    }
}

/// The file of `trace=FILE`.
fn read_trace(debug: &str) -> Option<PathBuf> {
    let mut items = debug.split(',');
    let file = items.find_map(|item| item.strip_prefix("trace="));
    file.map(PathBuf::from)
}

fn read_debug(debug: &str, config: &mut Config) -> Result<(), StartError> {
    for item in debug.split(',').filter(|s| !s.is_empty()) {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        match key {
            "schedtrace" => match value.parse() {
                Ok(0) => config.schedtrace = None,
                Ok(ms) => config.schedtrace = Some(Duration::from_millis(ms)),
                Err(_) => return Err(nonsense("RUNTIME_DEBUG", item, "schedtrace=MILLISECONDS")),
            },
            "scheddetail" => match value {
                "0" => config.scheddetail = false,
                "1" => config.scheddetail = true,
                _ => return Err(nonsense("RUNTIME_DEBUG", item, "scheddetail=0 or 1")),
            },
            "dumpsig" => {} // see `read_dumpsig`
            "trace" if value.is_empty() => {
                return Err(nonsense("RUNTIME_DEBUG", item, "trace=FILE"));
            }
            "trace" => {} // see `read_trace`
            "hog" => {
                let limit = value.strip_suffix("ms").and_then(|ms| ms.parse().ok());
                match limit {
                    Some(ms) if ms > 0 => config.hog = Some(Duration::from_millis(ms)),
                    _ => return Err(nonsense("RUNTIME_DEBUG", item, "hog=MILLISECONDSms")),
                }
            }
            "leaks" => match value {
                "0" => config.report_leaks = false,
                "1" => config.report_leaks = true,
                _ => return Err(nonsense("RUNTIME_DEBUG", item, "leaks=0 or 1")),
            },
            "room" => match value {
                "always" => config.room = Room::Always,
                "never" => config.room = Room::Never,
                _ => return Err(nonsense("RUNTIME_DEBUG", item, "room=always or never")),
            },
            "migrate" => match value {
                "always" => config.migrate = true,
                _ => return Err(nonsense("RUNTIME_DEBUG", item, "migrate=always")),
            },
            _ => {
                return Err(nonsense(
                    "RUNTIME_DEBUG",
                    item,
                    "schedtrace=MS, scheddetail=1, leaks=1, dumpsig=QUIT, hog=100ms, trace=FILE, room=never or migrate=always",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            procs: 1,
            stack_size: DEFAULT_STACK_SIZE,
            stack_guard: StackGuard::Auto,
            max_threads: 1,
            name: String::new(),
            on_panic: OnPanic::Report,
            on_deadlock: OnDeadlock::default(),
            hog: None,
            report_leaks: false,
            busy_poll: DEFAULT_BUSY_POLL,
            room: Room::Judged,
            pin_started: false,
            schedtrace: None,
            scheddetail: false,
            migrate: false,
        }
    }

    #[test]
    fn debug_settings_are_read() {
        let mut c = config();
        read_debug("schedtrace=250,scheddetail=1,migrate=always", &mut c).unwrap();
        assert_eq!(c.schedtrace, Some(Duration::from_millis(250)));
        assert!(c.scheddetail && c.migrate);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for bad in ["schedtrace=x", "scheddetail=2", "migrate", "foo=1"] {
            let e = read_debug(bad, &mut config()).unwrap_err();
            assert!(e.to_string().contains(bad), "{e}");
        }
    }
}
