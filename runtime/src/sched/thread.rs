//! The threads of a runtime: how many there may be, how one begins and how it ends.

use super::Sched;
use crate::atomics::Ordering;
use crate::inspect::stop::{exists, note_own_stack, wipe_stack};
use crate::m::{M, set_current};
use crate::stack::AltStack;
use crate::trace;
use crate::trace::event::Kind;
use std::collections::HashMap;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an M sleeps without work before it ends, if there are more idle ones than Ps.
pub(super) const IDLE_LIFE: Duration = Duration::from_secs(10);

/// All Ms of a runtime. Protected by the scheduler's lock.
pub(super) struct Table {
    /// Records are kept until the runtime ends, and reused.
    #[expect(clippy::vec_box, reason = "records must not move")]
    records: Vec<Box<M>>,
    /// Records without a thread.
    unused: Vec<*const M>,
    live: usize,
    /// Threads that sleep until their locked goroutine gets its turn. They do not count against
    /// the bound: with it reached, nobody could run to wake them.
    pub(super) locked_waiting: usize,
    /// By a number that is not reused, unlike records.
    handles: HashMap<u64, JoinHandle<()>>,
    /// Threads that have ended, or are about to: number, and the kernel's id.
    ended: Vec<(u64, u32)>,
    started: u64,
}

/// Why there is no further thread.
#[derive(Debug)]
pub(super) enum Shortage {
    Bound(usize),
    Os(std::io::Error),
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Bound(max) => write!(
                f,
                "all {max} threads are in use (Builder::max_threads) and goroutines block them; \
                 the others wait until one comes back. Raise max_threads, or block less"
            ),
            Shortage::Os(e) => write!(
                f,
                "the system gives no further thread ({e}); goroutines wait until one of those \
                 that block comes back. Raise the limit on threads, or block less"
            ),
        }
    }
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            records: Vec::new(),
            unused: Vec::new(),
            live: 0,
            locked_waiting: 0,
            handles: HashMap::new(),
            ended: Vec::new(),
            started: 0,
        }
    }

    /// Threads that run or sleep now.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Whether there may be no further thread.
    pub(super) fn is_full(&self, max: usize) -> bool {
        self.live - self.locked_waiting >= max
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &M> {
        self.records.iter().map(|m| &**m)
    }

    /// Keeps the monitor's handle.
    pub(super) fn file_monitor(&mut self, handle: JoinHandle<()>) {
        self.handles.insert(0, handle);
    }

    /// Takes back a reservation whose thread could not be started.
    pub(super) fn unreserve(&mut self, m: &M) {
        self.live -= 1;
        self.unused.push(m);
    }

    /// Threads that are gone from the kernel, and so can be joined without waiting (destructors of
    /// thread-locals, the user's code, may still run in one that has only said goodbye here).
    fn take_ended(&mut self) -> Vec<JoinHandle<()>> {
        let Table { handles, ended, .. } = self;
        let mut done = Vec::new();
        ended.retain(|&(number, tid)| match handles.remove(&number) {
            Some(h) if exists(tid as i32) => {
                handles.insert(number, h);
                true
            }
            Some(h) => {
                done.push(h);
                false
            }
            None => true, // its starter has not filed the handle yet
        });
        done
    }
}

impl Sched {
    /// A record for a new thread, within the bound.
    pub(super) fn reserve_thread<'a>(
        &'a self,
        state: &mut super::State,
    ) -> Result<&'a M, Shortage> {
        let table = &mut state.threads;
        if table.is_full(self.config.max_threads) {
            return Err(Shortage::Bound(self.config.max_threads));
        }
        table.live += 1;
        let m = table.unused.pop().unwrap_or_else(|| {
            let id = table.records.len() as u32;
            table.records.push(Box::new(M::new(
                id,
                ptr::from_ref(self).cast(),
                self.trace_id,
            )));
            &raw const **table.records.last().expect("just pushed")
        });
        // SAFETY: records live as long as the runtime and never move.
        Ok(unsafe { &*m })
    }

    /// Starts the thread of a reserved record, which holds the P that it begins with.
    pub(super) fn spawn_thread(&self, m: &M) -> Result<(), Shortage> {
        struct Ptr(*const M);
        // SAFETY: records live as long as the runtime, which the thread holds.
        unsafe impl Send for Ptr {}

        let number = {
            let mut state = self.lock.lock();
            state.threads.started += 1; // 0 is the monitor
            state.threads.started
        };
        let me = self.me();
        let ptr = Ptr(m);
        let handle = std::thread::Builder::new()
            .name(format!("{}-m{}", self.config.name, m.id))
            .spawn(move || {
                let ptr = ptr;
                // SAFETY: as above; this thread is the record's only one.
                thread_main(&me, unsafe { &*ptr.0 }, number);
            })
            .map_err(Shortage::Os)?;
        self.lock.lock().threads.handles.insert(number, handle);
        Ok(())
    }

    /// Joins the threads that have ended.
    pub(super) fn join_ended_threads(&self) {
        // A short look first: this is called at every tick of the monitor.
        let Some(mut state) = self.lock.try_lock() else {
            return;
        };
        if state.threads.ended.is_empty() {
            return;
        }
        let done = state.threads.take_ended();
        drop(state);
        for h in done {
            let _ = h.join();
        }
    }

    /// Waits for all threads of a runtime whose goroutines have all finished.
    pub(super) fn join_all_threads(&self) {
        loop {
            let mut state = self.lock.lock();
            let handles: Vec<_> = state.threads.handles.drain().collect();
            let live = state.threads.live;
            drop(state);
            if handles.is_empty() && live == 0 {
                return;
            }
            for (_, h) in handles {
                let _ = h.join();
            }
            // A thread may be between its start and the filing of its handle.
            std::thread::yield_now();
        }
    }
}

fn thread_main(sched: &Arc<Sched>, m: &M, number: u64) {
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { libc::gettid() } as u32;
    m.tid.store(tid, Ordering::Relaxed);
    // Timers are kept to the microsecond: the kernel may not put a wake-up off by 50.
    // SAFETY: a number for this thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    let base = 0u8;
    note_own_stack(&m.native, &base);
    let alt_stack = AltStack::install();
    if let Some((start, end)) = alt_stack.as_ref().map(AltStack::bounds) {
        m.alternate[0].store(start, Ordering::Relaxed);
        m.alternate[1].store(end, Ordering::Release); // last, as in `note_own_stack`
    }
    set_current(m);
    if trace::on() {
        // SAFETY: our own M, without a P.
        unsafe { trace::emit::of_m(m, Kind::ThreadStart, 0, tid.into()) };
    }
    if sched.take_handed(m) {
        sched.run_loop(m);
    }
    wipe_stack();
    if trace::on() {
        // SAFETY: as above.
        unsafe { trace::emit::of_m(m, Kind::ThreadEnd, 0, tid.into()) };
    }
    trace::session::thread_ends(m);
    set_current(ptr::null());
    // The ends only: with a start of 0 and an old end, for a moment, they would be all memory below.
    m.native[1].store(0, Ordering::Relaxed);
    m.alternate[1].store(0, Ordering::Relaxed);
    drop(alt_stack);
    m.tid.store(0, Ordering::Relaxed);
    let table = &mut sched.lock.lock().threads;
    table.live -= 1;
    table.unused.push(m);
    table.ended.push((number, tid));
}
