//! Goroutines that keep their threads: told once for each time, with their stacks, to those who ask for it.
//!
//! A goroutine that keeps its thread stalls nobody, since its P is taken away; but it takes a thread,
//! and a cancel or a shutdown waits for it. The monitor asks each M that runs one to yield at its next
//! entry into the runtime; a request that is still not met when the limit has passed is a hog's. (Not counted is
//! the time in which its thread waited for a CPU: on a busy machine the politest would be a hog else.) Its
//! thread is stopped by a signal for as long as its stack is copied. That, and the names of its functions, are
//! seen to elsewhere (`trace/report.rs`): the monitor has other things to do than to wait for it.

use super::{Sched, os_thread};
use crate::atomics::Ordering;
use crate::atomics::atomic::{AtomicBool, fence};
use crate::fiber;
use crate::g::status::Status;
use crate::inspect::goroutine::{MAX_STACK, StackPicture};
use crate::inspect::memory::read;
use crate::inspect::stop::{SIGNAL, with_stopped};
use crate::inspect::symbols::Symbols;
use crate::inspect::unwind::Unwinder;
use crate::m::M;
use crate::trace::{dump::frames_text, report};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks during the limit: so much too late is a hog found, at most a quarter of it.
const LOOKS: u32 = 4;

/// What the monitor remembers of the Ms.
pub(super) struct Hogs {
    limit: Duration,
    last: Instant,
    /// By the M's number.
    seen: HashMap<u32, Seen>,
}

/// An M that runs a goroutine and was asked to yield.
#[derive(Clone)]
struct Seen {
    g: u64,
    /// Requests that it had met then: see [`Handshake::met`](crate::m::retake::Handshake::met).
    met: u32,
    since: Instant,
    /// How long its thread had waited for a CPU by then.
    starved: Duration,
    /// A report was made, or is being made.
    told: Arc<AtomicBool>,
}

impl Hogs {
    pub(super) fn new(limit: Duration) -> Hogs {
        Hogs {
            limit,
            last: Instant::now(),
            seen: HashMap::new(),
        }
    }

    /// How long the monitor may sleep.
    pub(super) fn pause(&self) -> Duration {
        self.limit / LOOKS
    }
}

impl Sched {
    /// Looks at all Ms, if it is time to. By the monitor.
    pub(super) fn watch_hogs(&self, hogs: &mut Hogs) {
        if hogs.last.elapsed() < hogs.pause() {
            return;
        }
        hogs.last = Instant::now();
        let ms: Vec<*const M> = {
            let state = self.lock.lock();
            state.threads.records().map(std::ptr::from_ref).collect()
        };
        for m in ms {
            // SAFETY: records live as long as the runtime.
            let m = unsafe { &*m };
            // SAFETY: null, or a G, which is type-stable while the runtime lives.
            let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref() };
            let Some(g) = g.filter(|g| g.status.get() == Status::Running) else {
                hogs.seen.remove(&m.id);
                continue;
            };
            let id = g.id().as_u64();
            let met = m.handshake.met();
            match hogs.seen.get_mut(&m.id) {
                Some(seen) if seen.g == id && seen.met == met => {
                    let told = seen.told.load(Ordering::Relaxed);
                    if !told && seen.since.elapsed() >= hogs.limit && !m.handshake.inside() {
                        seen.told.store(true, Ordering::Relaxed);
                        let (sched, seen, limit) = (self.me(), seen.clone(), hogs.limit);
                        let m = m.id;
                        let told = Arc::clone(&seen.told);
                        let report = move || sched.report_hog(m, &seen, limit);
                        if report::later(report) != report::Taken::Yes {
                            told.store(false, Ordering::Relaxed);
                        }
                    }
                }
                _ => {
                    m.handshake.request();
                    let seen = Seen {
                        g: id,
                        met,
                        since: Instant::now(),
                        starved: starved(m),
                        told: Arc::default(),
                    };
                    hogs.seen.insert(m.id, seen);
                }
            }
        }
    }

    /// The report, on a thread for it. Empty if it turns out that there is none to be made.
    fn report_hog(&self, m: u32, seen: &Seen, limit: Duration) -> String {
        let record = {
            let state = self.lock.lock();
            let found = state.threads.records().find(|r| r.id == m);
            found.map(std::ptr::from_ref)
        };
        // SAFETY: records live as long as the runtime, which the caller keeps.
        let report = record.and_then(|record| hog(unsafe { &*record }, seen, limit));
        if report.is_none() {
            // Relaxed: as in `watch_hogs`; told or not is all there is to know.
            seen.told.store(false, Ordering::Relaxed);
        }
        report.unwrap_or_default()
    }
}

/// What is to be said of the goroutine that keeps the M, if it still does.
fn hog(m: &M, seen: &Seen, limit: Duration) -> Option<String> {
    let tid = m.tid.load(Ordering::Relaxed);
    let mut words = Vec::with_capacity(MAX_STACK / size_of::<usize>());
    fiber::prepare_to_look();
    // The goroutine, if it has not been inside since it was seen first.
    let still = || {
        // SAFETY: null, or a G, which is type-stable while the runtime lives.
        let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref()? };
        let same = g.id().as_u64() == seen.g && m.handshake.met() == seen.met;
        (same && !m.handshake.inside()).then_some(g)
    };
    let stopped = with_stopped(tid, |[pc, sp, bp]| {
        let (limit, top) = fiber::bounds(still()?.fiber_word(), read)?;
        if sp < limit || sp >= top {
            return None;
        }
        words.resize(((top - sp) / size_of::<usize>()).min(words.capacity()), 0);
        let found = read(sp, &mut words);
        found.then_some((pc, sp, bp, limit, top))
    });
    let time = seen.since.elapsed();
    let stack = match stopped {
        Some(found) => {
            let (pc, sp, bp, limit, top) = found?;
            Some(StackPicture {
                pc,
                sp,
                bp,
                words,
                limit,
                top,
            })
        }
        None if is_deaf(tid) => None,
        None => return None, // it got no CPU: no wonder
    };
    // It ran a moment ago, to be stopped: only now has the kernel counted how long it waited for that.
    let time = time.saturating_sub(starved(m).saturating_sub(seen.starved));
    if time < limit {
        return None;
    }
    let name = still().and_then(|g| g.tag.copy().0);
    fence(Ordering::Acquire); // the copy comes before
    let name = name.filter(|_| still().is_some());
    let name = name.map_or(String::new(), |name| format!(" {name:?}"));
    let stack = match stack {
        Some(stack) => {
            frames_text(&Symbols::default().of_goroutine(&Unwinder::new().frames(&stack)))
        }
        None => "\tits thread did not stop; stack unavailable\n".to_owned(),
    };
    Some(format!(
        "weft: goroutine {}{name} has kept its thread (m{}) for {} ms without a call into the \
         runtime:\n{stack}\n",
        seen.g,
        m.id,
        time.as_millis()
    ))
}

/// How long the thread has waited for a CPU, up to when it last got one; zero where the kernel does not say.
fn starved(m: &M) -> Duration {
    let tid = m.tid.load(Ordering::Relaxed);
    Duration::from_nanos(os_thread::times(tid).map_or(0, |times| times.waited))
}

/// Whether a thread that did not stop is one that cannot: it blocks the signal, or sleeps so that none wakes it.
fn is_deaf(tid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")) else {
        return false;
    };
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
    };
    let blocked = field("SigBlk").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    blocked.is_some_and(|set| set & (1 << (SIGNAL - 1)) != 0)
        || field("State").is_some_and(|state| state.trim().starts_with('D'))
}
