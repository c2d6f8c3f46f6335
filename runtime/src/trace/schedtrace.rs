//! Go's `schedtrace` lines, as Go 1.27 spells them, so that tools that read Go's read ours. Fields
//! of things that this runtime does not have (a garbage collector, a C heap) print the value that
//! says so.

use std::fmt::Write as _;

/// The scheduler at one moment, more or less.
pub(crate) struct Snapshot {
    /// Since the runtime started.
    pub(crate) ms: u64,
    pub(crate) procs: usize,
    pub(crate) idle_procs: u32,
    pub(crate) threads: usize,
    pub(crate) spinning: u32,
    pub(crate) idle_threads: usize,
    pub(crate) runqueue: usize,
    pub(crate) monitor_waits: bool,
    pub(crate) p: Vec<PLine>,
    pub(crate) m: Vec<MLine>,
    pub(crate) g: Vec<GLine>,
}

pub(crate) struct PLine {
    pub(crate) id: u32,
    pub(crate) running: bool,
    pub(crate) schedtick: u32,
    pub(crate) m: Option<u32>,
    pub(crate) runqsize: usize,
    pub(crate) gfree: u32,
    pub(crate) timers: u32,
}

pub(crate) struct MLine {
    pub(crate) id: u32,
    pub(crate) p: Option<u32>,
    pub(crate) curg: Option<u64>,
    pub(crate) spinning: bool,
    pub(crate) blocked: bool,
    pub(crate) lockedg: Option<u64>,
}

pub(crate) struct GLine {
    pub(crate) id: u64,
    pub(crate) status: u32,
    pub(crate) reason: &'static str,
    pub(crate) m: Option<u32>,
    pub(crate) lockedm: Option<u32>,
}

/// A number, or `nil` as Go prints it.
fn or_nil<T: ToString>(x: Option<T>) -> String {
    x.map_or_else(|| "nil".into(), |x| x.to_string())
}

impl Snapshot {
    pub(crate) fn render(&self, detail: bool) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, detail);
        out
    }

    fn write(&self, out: &mut String, detail: bool) -> std::fmt::Result {
        write!(
            out,
            "SCHED {}ms: gomaxprocs={} idleprocs={} threads={} spinningthreads={} \
             needspinning=0 idlethreads={} runqueue={}",
            self.ms,
            self.procs,
            self.idle_procs,
            self.threads,
            self.spinning,
            self.idle_threads,
            self.runqueue
        )?;
        if !detail {
            out.push_str(" [");
            for p in &self.p {
                write!(out, " {}", p.runqsize)?;
            }
            out.push_str(" ] schedticks=[ ");
            for p in &self.p {
                write!(out, "{} ", p.schedtick)?;
            }
            out.push_str("]\n");
            return Ok(());
        }
        writeln!(
            out,
            " gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait={}",
            self.monitor_waits
        )?;
        for p in &self.p {
            writeln!(
                out,
                "  P{}: status={} schedtick={} syscalltick=0 m={} runqsize={} gfreecnt={} timerslen={}",
                p.id,
                u32::from(p.running),
                p.schedtick,
                or_nil(p.m),
                p.runqsize,
                p.gfree,
                p.timers
            )?;
        }
        for m in &self.m {
            writeln!(
                out,
                "  M{}: p={} curg={} mallocing=0 throwing=0 preemptoff= locks=0 dying=0 \
                 spinning={} blocked={} lockedg={}",
                m.id,
                or_nil(m.p),
                or_nil(m.curg),
                m.spinning,
                m.blocked,
                or_nil(m.lockedg)
            )?;
        }
        for g in &self.g {
            writeln!(
                out,
                "  G{}: status={}({}) m={} lockedm={}",
                g.id,
                g.status,
                g.reason,
                or_nil(g.m),
                or_nil(g.lockedm)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_spelled_as_go_spells_them() {
        let s = Snapshot {
            ms: 1009,
            procs: 2,
            idle_procs: 1,
            threads: 5,
            spinning: 0,
            idle_threads: 3,
            runqueue: 4,
            monitor_waits: false,
            p: vec![
                PLine {
                    id: 0,
                    running: true,
                    schedtick: 10,
                    m: Some(2),
                    runqsize: 7,
                    gfree: 1,
                    timers: 0,
                },
                PLine {
                    id: 1,
                    running: false,
                    schedtick: 20,
                    m: None,
                    runqsize: 0,
                    gfree: 0,
                    timers: 3,
                },
            ],
            m: vec![MLine {
                id: 2,
                p: Some(0),
                curg: Some(7),
                spinning: false,
                blocked: false,
                lockedg: None,
            }],
            g: vec![GLine {
                id: 7,
                status: 4,
                reason: "chan receive",
                m: None,
                lockedm: None,
            }],
        };
        assert_eq!(
            s.render(false),
            "SCHED 1009ms: gomaxprocs=2 idleprocs=1 threads=5 spinningthreads=0 needspinning=0 \
             idlethreads=3 runqueue=4 [ 7 0 ] schedticks=[ 10 20 ]\n"
        );
        assert_eq!(
            s.render(true),
            "SCHED 1009ms: gomaxprocs=2 idleprocs=1 threads=5 spinningthreads=0 needspinning=0 \
             idlethreads=3 runqueue=4 gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false\n  \
             P0: status=1 schedtick=10 syscalltick=0 m=2 runqsize=7 gfreecnt=1 timerslen=0\n  \
             P1: status=0 schedtick=20 syscalltick=0 m=nil runqsize=0 gfreecnt=0 timerslen=3\n  \
             M2: p=0 curg=7 mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false \
             blocked=false lockedg=nil\n  \
             G7: status=4(chan receive) m=nil lockedm=nil\n"
        );
    }
}
