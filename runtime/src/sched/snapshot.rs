//! What a trace prints of the scheduler's state, read while it runs.

use super::Sched;
use crate::atomics::Ordering;
use crate::g::status::Status;
use crate::g::{G, registry};
use crate::inspect::goroutine::{for_each, look};
use crate::inspect::thread;
use crate::m::{M, current};
use crate::p::P;
use crate::trace::dump::{Dump, Dumper};
use crate::trace::schedtrace::{GLine, MLine, PLine, Snapshot};
use std::ptr;

fn m_id(m: *const M) -> Option<u32> {
    // SAFETY: null, or a record that lives as long as the runtime.
    unsafe { m.as_ref() }.map(|m| m.id)
}

impl Sched {
    /// What all goroutines are doing. Nobody is stopped for it, and no lock of the scheduler's is held.
    pub(crate) fn dump(&self, stacks: bool) -> Dump {
        if stacks && !current().is_null() {
            return self.dump_elsewhere();
        }
        self.dump_here(stacks)
    }

    /// For a goroutine, whose stack may be too small for what reads debug information. Its thread is
    /// blocked meanwhile, as in any call that is not announced: it is shown as running.
    #[cold]
    #[inline(never)]
    fn dump_elsewhere(&self) -> Dump {
        std::thread::scope(|scope| {
            let helper = std::thread::Builder::new().name("weft-dump".into());
            match helper.spawn_scoped(scope, || self.dump_here(true)) {
                Ok(helper) => match helper.join() {
                    Ok(dump) => dump,
                    Err(payload) => std::panic::resume_unwind(payload),
                },
                Err(_) => self.dump_here(false), // no threads are left: better than nothing
            }
        })
    }

    fn dump_here(&self, stacks: bool) -> Dump {
        let mut dumper = Dumper::new(&self.config.name, stacks);
        // SAFETY: the caller keeps the runtime.
        unsafe {
            for_each(ptr::from_ref(self).cast(), |g| {
                if let Some(picture) = look(g, stacks) {
                    dumper.add(picture);
                }
            });
        }
        thread::for_each(|picture| dumper.add_thread(picture));
        dumper.finish()
    }

    /// Go's `SCHED` line, and with `detail` the P, M and G lines. The scheduler goes on
    /// meanwhile: the numbers are each right, but not all of one moment.
    pub(crate) fn schedtrace(&self, detail: bool) -> String {
        let mut snapshot = {
            // As Go: under the scheduler's lock, so that the idle lists agree with each other.
            let state = self.lock.lock();
            Snapshot {
                ms: self.started.elapsed().as_millis() as u64,
                procs: self.ps.len(),
                idle_procs: self.idle.npidle(),
                threads: state.threads.live() + 1, // and the monitor
                spinning: self.idle.nmspinning(),
                idle_threads: state.idle_ms.len(),
                runqueue: state.global.len(),
                monitor_waits: state.monitor_waits,
                p: self.ps.iter().map(p_line).collect(),
                m: if detail {
                    state
                        .threads
                        .records()
                        .filter(|m| m.tid.load(Ordering::Relaxed) != 0)
                        .map(m_line)
                        .collect()
                } else {
                    Vec::new()
                },
                g: Vec::new(),
            }
        };
        if detail {
            registry::for_each(ptr::from_ref(self).cast(), |g| snapshot.g.push(g_line(g)));
        }
        snapshot.render(detail)
    }
}

fn p_line(p: &P) -> PLine {
    PLine {
        id: p.id,
        running: !p.idle.load(Ordering::Relaxed),
        schedtick: p.schedtick.load(Ordering::Relaxed) as u32,
        m: m_id(p.m.load(Ordering::Acquire)),
        runqsize: p.runq.len(),
        gfree: p.gfree_len(),
        timers: p.timers.len(),
    }
}

fn m_line(m: &M) -> MLine {
    let g_id = |g: *mut G| {
        // SAFETY: null, or a G; Gs are type-stable while their runtime lives.
        unsafe { g.as_ref() }.map(|g| g.id().as_u64())
    };
    // SAFETY: an M of the caller's runtime.
    let p = unsafe { P::held_by(m) };
    MLine {
        id: m.id,
        p: p.map(|p| p.id),
        curg: g_id(m.curg.load(Ordering::Relaxed)),
        spinning: m.spinning.load(Ordering::Relaxed),
        blocked: !m.handshake.inside() && p.is_none(),
        lockedg: g_id(m.locked_g.load(Ordering::Relaxed)),
    }
}

fn g_line(g: &G) -> GLine {
    let status = g.status.get();
    let on_m = matches!(status, Status::Running | Status::Blocked);
    GLine {
        id: g.id().as_u64(),
        status: status as u32,
        reason: g.status.reason().as_str(),
        m: on_m
            .then(|| m_id(g.m.load(Ordering::Relaxed).cast()))
            .flatten(),
        lockedm: m_id(g.locked_m.load(Ordering::Relaxed).cast()),
    }
}
