//! Goroutines that keep their threads: told once for each time, with their stacks, to those who ask for it.
//!
//! A goroutine that keeps its thread stalls nobody, since its P is taken away; but it takes a thread,
//! and a cancel or a shutdown waits for it. The monitor asks each M that runs one to yield at its next
//! entry into the runtime; a request that is still not met when the limit has passed is a hog's. Its thread
//! is stopped by a signal for as long as its stack is copied. The names of its functions are looked up elsewhere
//! (`trace/report.rs`): the monitor has other things to see to.

use super::Sched;
use crate::atomics::Ordering;
use crate::atomics::atomic::fence;
use crate::fiber;
use crate::g::status::Status;
use crate::inspect::goroutine::{MAX_STACK, StackPicture};
use crate::inspect::memory::read;
use crate::inspect::stop::with_stopped;
use crate::inspect::symbols::Symbols;
use crate::inspect::unwind::Unwinder;
use crate::m::M;
use crate::trace::{dump::frames_text, report};
use std::collections::HashMap;
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
struct Seen {
    g: u64,
    /// Requests that it had met then: see [`Handshake::met`](crate::m::retake::Handshake::met).
    met: u32,
    since: Instant,
    told: bool,
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
                    let time = seen.since.elapsed();
                    if !seen.told && time >= hogs.limit && !m.handshake.inside() {
                        seen.told = self.tell_hog(m, id, time);
                    }
                }
                _ => {
                    m.handshake.request();
                    let (since, told) = (Instant::now(), false);
                    let g = id;
                    hogs.seen.insert(
                        m.id,
                        Seen {
                            g,
                            met,
                            since,
                            told,
                        },
                    );
                }
            }
        }
    }

    /// Has it reported; false if it has come back just now, or too many reports wait.
    fn tell_hog(&self, m: &M, id: u64, time: Duration) -> bool {
        let tid = m.tid.load(Ordering::Relaxed);
        let mut words = Vec::with_capacity(MAX_STACK / size_of::<usize>());
        fiber::prepare_to_look();
        let stopped = with_stopped(tid, |[pc, sp, bp]| {
            // SAFETY: as above; it does not change now.
            let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref()? };
            let (limit, top) = fiber::bounds(g.fiber_word(), read)?;
            if m.handshake.inside() || g.id().as_u64() != id || sp < limit || sp >= top {
                return None;
            }
            words.resize(((top - sp) / size_of::<usize>()).min(words.capacity()), 0);
            let found = read(sp, &mut words);
            found.then_some((pc, sp, bp, limit, top))
        });
        let stack = match stopped {
            Some(None) => return false,
            Some(Some((pc, sp, bp, limit, top))) => Some(StackPicture {
                pc,
                sp,
                bp,
                words,
                limit,
                top,
            }),
            None => None, // the program's threads do not take the signal
        };
        // SAFETY: a G; what is copied is of the goroutine that it is now.
        let g = unsafe { m.curg.load(Ordering::Relaxed).as_ref() };
        let name = g.and_then(|g| g.tag.copy().0).filter(|_| {
            fence(Ordering::Acquire); // the copy comes before
            g.is_some_and(|g| g.id().as_u64() == id)
        });
        let name = name.map_or(String::new(), |name| format!(" {name:?}"));
        let m = m.id;
        let taken = report::later(move || {
            let stack = match stack {
                Some(stack) => {
                    frames_text(&Symbols::default().of_goroutine(&Unwinder::new().frames(&stack)))
                }
                None => "\tits thread did not stop; stack unavailable\n".to_owned(),
            };
            format!(
                "weft: goroutine {id}{name} has kept its thread (m{m}) for {} ms without a call into \
                 the runtime:\n{stack}\n",
                time.as_millis()
            )
        });
        taken == report::Taken::Yes
    }
}
