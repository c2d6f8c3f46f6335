//! Signals of the system as something to wait for, and to select on (Go's os/signal).
//!
//! The handler only notes the number and wakes a thread, which exists while there are [`Signals`]; that
//! thread tells all who want it. So nothing of the runtime runs in a handler.

use crate::api::watched::{Gives, Watched};
use crate::atomics::Mutex;
use crate::atomics::atomic::{AtomicU64, Ordering};
use crate::g::status::WaitReason;
use crate::m::helper::SIGNALS;
use crate::m::note::Note;
use crate::park::{Source, Taken, Token, Waiter, Window};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_int;
use std::sync::{Arc, Weak};
use std::{fmt, io, mem, ptr};

/// A signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(c_int);

macro_rules! signals {
    ($($name:ident = $number:ident, $doc:literal;)*) => {
        impl Signal {
            $(#[doc = $doc] pub const $name: Signal = Signal(libc::$number);)*
        }

        impl fmt::Display for Signal {
            /// Its usual name, or its number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(libc::$number => f.write_str(stringify!($number)),)*
                    n => write!(f, "signal {n}"),
                }
            }
        }
    };
}

signals! {
    HUP = SIGHUP, "The terminal was closed, or the configuration is to be read again.";
    INT = SIGINT, "Interrupted from the terminal (Ctrl-C).";
    QUIT = SIGQUIT, "Quit from the terminal (Ctrl-\\).";
    USR1 = SIGUSR1, "The program's own.";
    USR2 = SIGUSR2, "The program's own.";
    PIPE = SIGPIPE, "Written to a pipe that nobody reads. (Rust programs ignore it.)";
    ALRM = SIGALRM, "An alarm clock has rung.";
    TERM = SIGTERM, "To end.";
    CHLD = SIGCHLD, "A child has ended, or stopped.";
    CONT = SIGCONT, "Continued after a stop.";
    TSTP = SIGTSTP, "Stopped from the terminal (Ctrl-Z).";
    TTIN = SIGTTIN, "Read from the terminal in the background.";
    TTOU = SIGTTOU, "Written to the terminal in the background.";
    URG = SIGURG, "Urgent data on a socket.";
    WINCH = SIGWINCH, "The terminal's window has changed its size.";
    IO = SIGIO, "Input or output has become possible.";
}

impl Signal {
    /// The signal of this number.
    pub const fn from_raw(number: c_int) -> Signal {
        Signal(number)
    }

    /// Its number.
    pub const fn as_raw(self) -> c_int {
        self.0
    }

    /// The signal of this name: `QUIT`, or `SIGQUIT`.
    pub(crate) fn named(name: &str) -> Option<Signal> {
        let mut all = (1..=64).map(Signal).filter(|s| s.bit().is_some());
        let name = format!("SIG{}", name.trim_start_matches("SIG"));
        all.find(|s| s.to_string() == name)
    }

    /// Its bit in a set; `None` for those that cannot be waited for.
    fn bit(self) -> Option<u64> {
        const NOT: [c_int; 7] = [
            libc::SIGKILL,
            libc::SIGSTOP,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
        ];
        let possible = (1..=64).contains(&self.0) && !NOT.contains(&self.0);
        possible.then(|| 1 << (self.0 - 1))
    }
}

impl Signal {
    /// Its bit in a set.
    fn catchable(self) -> io::Result<u64> {
        self.bit().ok_or_else(|| {
            let text = format!("{self} cannot be waited for");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signals to wait for. While it lives, they do nothing else; when the last that wants a signal is
/// dropped, it does again what it did before. Clones share what has come: each signal is received once.
///
/// Of a signal that comes several times before it is received, one is kept. It is received by
/// [`Signals::recv`], or as a channel's receiver (`channels::Receiver::from(&signals)`), in a select,
/// say. Works on goroutines and on plain threads, without any runtime.
///
/// ```
/// use runtime::signal::{Signal, Signals};
///
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let signals = Signals::new([Signal::USR1, Signal::TERM])?;
///     let waiting = runtime::go!(move || signals.recv());
///     # let signals = Signals::new([Signal::USR1])?;
///     std::process::Command::new("kill")
///         .args(["-USR1", &std::process::id().to_string()])
///         .status()?;
///     assert_eq!(waiting.join().unwrap(), Some(Signal::USR1));
///     # drop(signals);
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Signals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wanted: u64,
    state: Arc<Watched<Pending>>,
}

/// The signals that have come and were not received.
#[derive(Debug)]
struct Pending(u64);

impl Gives for Pending {
    type Item = Signal;

    const REASON: WaitReason = WaitReason::Signal;

    fn look(&self) -> Taken<()> {
        match self.0 {
            0 => Taken::Empty(None),
            _ => Taken::Item(()),
        }
    }

    fn take(&mut self) -> Taken<Signal> {
        match self.0 {
            0 => Taken::Empty(None),
            set => {
                self.0 &= set - 1; // without its lowest
                Taken::Item(Signal(set.trailing_zeros() as c_int + 1))
            }
        }
    }
}

impl Signals {
    /// Catches these signals from now on.
    ///
    /// # Errors
    /// For a signal that does not exist or cannot be caught (KILL, STOP), or that says that the program
    /// is broken (SEGV, BUS, FPE, ILL, TRAP); and if there can be no thread.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
        let mut wanted = 0;
        for signal in signals {
            wanted |= signal.catchable()?;
        }
        let state = Arc::new(Watched::new(Pending(0)));
        let shared = Arc::new(Shared { wanted, state });
        HUB.lock().add(&shared, None)?;
        Ok(Signals { shared })
    }

    /// Waits for the next. `None` only if the caller is unwinding and must not wait any more.
    pub fn recv(&self) -> Option<Signal> {
        self.shared.state.wait()
    }

    /// The next, if one has come.
    pub fn try_recv(&self) -> Option<Signal> {
        self.shared.state.try_wait()
    }

    /// The signals as what `channels` makes a receiver of.
    #[doc(hidden)]
    pub fn source(&self) -> Arc<dyn Source<Item = Signal>> {
        Arc::<Kept>::new(Kept(Arc::clone(&self.shared)))
    }
}

/// A source that keeps the signals caught.
struct Kept(Arc<Shared>);

// SAFETY: as that of `Watched`, which does all of it.
unsafe impl Source for Kept {
    type Item = Signal;

    fn try_take(&self) -> Taken<Signal> {
        self.0.state.try_take()
    }

    fn state(&self) -> Taken<()> {
        self.0.state.state()
    }

    fn watch(&self, window: &Window, waiter: Waiter, token: Token) {
        self.0.state.watch(window, waiter, token);
    }

    fn unwatch(&self, window: &Window, waiter: Waiter) {
        self.0.state.unwatch(window, waiter);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        HUB.lock().remove_unwanted();
        NOTE.wake(); // the thread ends with the last
    }
}

/// Signals that have come, and that the thread has not seen yet. Written by the handler.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// Wakes the thread.
static NOTE: Note = Note::new();

static HUB: Mutex<Hub> = Mutex::new(Hub {
    subscribers: Vec::new(),
    before: None,
    running: false,
});

/// One `Signals`, which is never upgraded: it would then end when the thread lets it go, and what comes
/// in between would be caught for nobody.
struct Subscriber {
    wanted: u64,
    state: Arc<Watched<Pending>>,
    alive: Weak<Shared>,
    call: Option<Call>,
}

/// What is called when a signal comes, by the thread.
type Call = Arc<dyn Fn(Signal) + Send + Sync>;

/// Has a function called whenever a signal comes, as long as it lives; others may wait for the same. The
/// function must be quick, or others learn of their signals late.
#[derive(Debug)]
pub(crate) struct OnSignal(#[expect(dead_code, reason = "kept")] Arc<Shared>);

impl OnSignal {
    pub(crate) fn new(
        signal: Signal,
        call: impl Fn(Signal) + Send + Sync + 'static,
    ) -> io::Result<OnSignal> {
        let wanted = signal.catchable()?;
        let state = Arc::new(Watched::new(Pending(0)));
        let shared = Arc::new(Shared { wanted, state });
        HUB.lock().add(&shared, Some(Arc::new(call)))?;
        Ok(OnSignal(shared))
    }
}

struct Hub {
    subscribers: Vec<Subscriber>,
    /// What the signals that are caught did before.
    before: Option<HashMap<c_int, Action>>,
    /// Whether there is a thread.
    running: bool,
}

/// A signal's disposition.
struct Action(libc::sigaction);

// SAFETY: numbers and addresses of functions.
unsafe impl Send for Action {}

/// Runs on the alternate stack, at any moment, on any thread: two atomics and a system call.
extern "C" fn handler(signal: c_int) {
    // SAFETY: the thread's own errno, put back at the end.
    let errno = unsafe { *libc::__errno_location() };
    // Release: pairs with the Acquire of the thread.
    ARRIVED.fetch_or(1 << (signal - 1), Ordering::Release);
    NOTE.wake();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

impl Hub {
    fn add(&mut self, new: &Arc<Shared>, call: Option<Call>) -> io::Result<()> {
        if !self.running {
            // What came for those who were here before, and found no thread any more, is for nobody.
            NOTE.try_take();
            // Relaxed: no thread runs, and the handlers are not installed yet.
            ARRIVED.store(0, Ordering::Relaxed);
            std::thread::Builder::new()
                .name("weft-signals".into())
                .spawn(deliver)?;
            self.running = true;
        }
        self.subscribers.push(Subscriber {
            wanted: new.wanted,
            state: Arc::clone(&new.state),
            alive: Arc::downgrade(new),
            call,
        });
        self.tell_helper();
        let before = self.before.get_or_insert_default();
        for signal in (1..=64).filter(|n| new.wanted & (1 << (n - 1)) != 0) {
            if let Entry::Vacant(entry) = before.entry(signal) {
                entry.insert(Action(catch(signal)?));
            }
        }
        Ok(())
    }

    /// What is called is the runtime's, and wakes nobody.
    fn tell_helper(&self) {
        SIGNALS.serves(self.subscribers.iter().any(|s| s.call.is_none()));
    }

    /// Lets those signals do again what they did before that nobody wants any more.
    fn remove_unwanted(&mut self) {
        self.subscribers.retain(|s| s.alive.strong_count() > 0);
        self.tell_helper();
        let wanted = self.subscribers.iter().fold(0, |set, s| set | s.wanted);
        if let Some(before) = &mut self.before {
            before.retain(|signal, action| {
                let keep = wanted & (1 << (signal - 1)) != 0;
                if !keep {
                    // SAFETY: what the system gave us.
                    unsafe { libc::sigaction(*signal, &action.0, ptr::null_mut()) };
                }
                keep
            });
        }
    }
}

/// Installs the handler; what was there before.
fn catch(signal: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: plain data, for which zero is a value.
    let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { mem::zeroed() };
    new.sa_sigaction = handler as extern "C" fn(c_int) as usize;
    // On the alternate stack: a goroutine's own may have no room.
    new.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: a handler that does only what is allowed in one.
    match unsafe { libc::sigaction(signal, &new, &mut old) } {
        0 => Ok(old),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The thread: tells all who want a signal that has come.
fn deliver() {
    let _here = SIGNALS.enter();
    loop {
        NOTE.sleep(None);
        // Acquire: pairs with the Release in `handler`.
        let arrived = ARRIVED.swap(0, Ordering::Acquire);
        let subscribers: Vec<_> = {
            let mut hub = HUB.lock();
            let live = hub.subscribers.iter();
            let live = live.filter(|s| s.alive.strong_count() > 0);
            let live = live.map(|s| (s.wanted, Arc::clone(&s.state), s.call.clone()));
            let live: Vec<_> = live.collect();
            if live.is_empty() {
                hub.running = false;
                return;
            }
            live
        };
        for (wanted, state, call) in &subscribers {
            if wanted & arrived != 0 && call.is_none() {
                state.change(|p| p.0 |= wanted & arrived);
            }
        }
        // Last: they may take their time.
        for (wanted, _, call) in &subscribers {
            if let (true, Some(call)) = (wanted & arrived != 0, call) {
                call(Signal((wanted & arrived).trailing_zeros() as c_int + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_came_for_nobody_is_for_nobody() {
        let signals = || Signals::new([Signal::TTOU, Signal::WINCH]).unwrap();
        drop(signals());
        while HUB.lock().running {
            std::thread::sleep(Duration::from_millis(1));
        }
        handler(libc::SIGWINCH); // begun before what was there before was there again
        let signals = signals();
        handler(libc::SIGTTOU);
        assert_eq!(signals.recv(), Some(Signal::TTOU));
        assert_eq!(signals.try_recv(), None);
    }
}
