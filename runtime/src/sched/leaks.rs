//! Who can never go on: the scheduler's side of `inspect/leaks.rs`.

use super::Sched;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicUsize;
use crate::g::GoroutineId;
use crate::g::status::WaitReason;
use crate::inspect::arena::MapVec;
use crate::inspect::goroutine::still_parked;
use crate::inspect::leaks::{Lost, NotNow, Search, Why};
use crate::inspect::roots::Span;
use crate::inspect::stop::{NotStopped, own_stack_low, wipe_stack, with_others_stopped};
use crate::m::M;
use std::panic::Location;
use std::ptr;

/// So often the search is tried again: somebody had a lock, say. (Not if a thread did not stop: all others
/// have waited for it long enough.)
const ATTEMPTS: u32 = 10;

/// A lost goroutine.
#[derive(Debug)]
pub(crate) struct LostGoroutine {
    pub(crate) id: GoroutineId,
    pub(crate) name: Option<String>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) wait: WaitReason,
    pub(crate) why: Why,
}

impl LostGoroutine {
    /// Tells who it is, with nothing in the heap that would lead to what it waits for: the next search would
    /// find it. `None`: its runtime has stopped meanwhile.
    fn of(lost: &Lost) -> Option<LostGoroutine> {
        // SAFETY: a G of a runtime that the caller keeps. It never goes on, unless that stops.
        unsafe {
            let g = &*lost.g;
            let found = LostGoroutine {
                id: GoroutineId(lost.id),
                name: g.tag.copy().0,
                site: g.site(),
                wait: g.status.reason(),
                why: lost.why,
            };
            (g.id().0 == lost.id && still_parked(&g.parker, lost.waiter)).then_some(found)
        }
    }
}

impl Sched {
    /// Finds the goroutines of this runtime that can never go on, if the other threads can be stopped, and memory
    /// be looked through.
    ///
    /// By a thread that has nothing of the user's on its stack.
    pub(crate) fn find_lost(&self) -> Result<Vec<LostGoroutine>, NotStopped> {
        let found = self.search();
        wipe_stack();
        found
    }

    #[inline(never)]
    fn search(&self) -> Result<Vec<LostGoroutine>, NotStopped> {
        for _ in 0..ATTEMPTS {
            let mut search = Search::new().ok_or(NotStopped::Resources)?;
            let ms = self.exclude_own(&mut search).ok_or(NotStopped::Resources)?;
            let here = 0u8;
            search.exclude(Span {
                start: own_stack_low(),
                end: ptr::from_ref(&here).addr() + KEEP,
            });
            let me = ptr::from_ref(self).cast();
            let stopped = with_others_stopped(|| {
                for m in ms.iter() {
                    // SAFETY: records live as long as the runtime.
                    let m = unsafe { &**m };
                    // Not before: a thread may have ended meanwhile, and its stack be that of a thread of
                    // the user's.
                    search.exclude(span(&m.native));
                    // It has what was deferred on its stack, which may lead anywhere.
                    if m.collecting.load(Ordering::Relaxed) {
                        return Err(NotNow);
                    }
                    // Who runs no goroutine was stopped in the scheduler: its registers are not the user's.
                    if m.curg.load(Ordering::Relaxed).is_null() {
                        search.exclude(span(&m.alternate));
                    }
                }
                // SAFETY: all are stopped; the caller keeps the runtime.
                unsafe { search.run(me) }
            });
            if let Ok(()) = stopped? {
                let lost = search.lost.iter();
                return Ok(lost.filter_map(LostGoroutine::of).collect());
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(NotStopped::Resources)
    }

    /// What is the scheduler's own, and leads to goroutines that nothing of the user's leads to.
    fn exclude_own(&self, search: &mut Search) -> Option<MapVec<*const M>> {
        let mut ms = MapVec::new()?;
        let state = self.lock.lock();
        for m in state.threads.records() {
            let start = ptr::from_ref(m).addr();
            search.exclude(Span {
                start,
                end: start + size_of::<M>(),
            });
            ms.push(ptr::from_ref(m)).then_some(())?;
        }
        search.exclude(span(&self.monitor_stack));
        Some(ms)
    }
}

fn span(bounds: &[AtomicUsize; 2]) -> Span {
    let [start, end] = [0, 1].map(|i| bounds[i].load(Ordering::Relaxed));
    Span { start, end }
}

/// How much above the searcher's frame is left out, too: the frames that called it.
const KEEP: usize = 1024;
