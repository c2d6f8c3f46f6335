//! The scheduler's traces: in Go's format to the letter, right, and never in anybody's way.

mod support;

use runtime::go;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use support::{child, eventually, is_child, within_minute};

const LIMIT: Duration = Duration::from_secs(60);

/// A strict reader of one line: what comes next must be exactly this.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    #[track_caller]
    fn text(&mut self, want: &str) {
        let rest = self.0.strip_prefix(want);
        self.0 = rest.unwrap_or_else(|| panic!("{want:?} wanted at {:?}", self.0));
    }

    #[track_caller]
    fn number(&mut self) -> u64 {
        let n = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(n);
        self.0 = rest;
        let canonical = digits == "0" || !digits.starts_with('0');
        assert!(n > 0 && canonical, "a number wanted at {digits:?}{rest:?}");
        digits.parse().unwrap()
    }

    #[track_caller]
    fn field(&mut self, key: &str) -> u64 {
        self.text(key);
        self.number()
    }

    #[track_caller]
    fn field_or_nil(&mut self, key: &str) -> Option<u64> {
        self.text(key);
        match self.0.strip_prefix("nil") {
            Some(rest) => {
                self.0 = rest;
                None
            }
            None => Some(self.number()),
        }
    }

    #[track_caller]
    fn boolean(&mut self, key: &str) -> bool {
        self.text(key);
        let value = self.0.starts_with("true");
        self.text(if value { "true" } else { "false" });
        value
    }

    #[track_caller]
    fn end(self) {
        assert_eq!(self.0, "", "the line goes on");
    }
}

#[derive(Default)]
struct Trace {
    ms: u64,
    procs: u64,
    idle_procs: u64,
    threads: u64,
    spinning: u64,
    idle_threads: u64,
    runqueue: u64,
    /// Without detail: lengths and ticks. With: lengths only.
    queues: Vec<u64>,
    ticks: Vec<u64>,
    /// Of each P: whether it runs, and its M.
    ps: Vec<(bool, Option<u64>)>,
    /// Of each M: number, P, goroutine.
    ms_: Vec<(u64, Option<u64>, Option<u64>)>,
    /// Of each goroutine: number, status, reason, M.
    gs: Vec<(u64, u64, String, Option<u64>)>,
}

fn head(line: &mut Reader<'_>) -> Trace {
    Trace {
        ms: line.field("SCHED "),
        procs: line.field("ms: gomaxprocs="),
        idle_procs: line.field(" idleprocs="),
        threads: line.field(" threads="),
        spinning: line.field(" spinningthreads="),
        idle_threads: {
            assert_eq!(line.field(" needspinning="), 0);
            line.field(" idlethreads=")
        },
        runqueue: line.field(" runqueue="),
        ..Trace::default()
    }
}

/// Reads one `SCHED` line without detail.
fn brief(line: &str) -> Trace {
    let mut r = Reader(line);
    let mut t = head(&mut r);
    r.text(" [");
    for _ in 0..t.procs {
        t.queues.push(r.field(" "));
    }
    r.text(" ] schedticks=[ ");
    for _ in 0..t.procs {
        t.ticks.push(r.number());
        r.text(" ");
    }
    r.text("]");
    r.end();
    t
}

/// Reads a `SCHED` line with all that belongs to it.
fn detailed(text: &str) -> Trace {
    assert!(text.ends_with('\n'));
    let mut lines = text.lines();
    let mut r = Reader(lines.next().unwrap());
    let mut t = head(&mut r);
    r.text(" gcwaiting=false nmidlelocked=");
    r.number();
    r.text(" stopwait=0 sysmonwait=");
    r.boolean("");
    r.end();
    for line in lines {
        let mut r = Reader(line);
        match line.as_bytes()[2] {
            b'P' => {
                assert_eq!(r.field("  P"), t.ps.len() as u64, "Ps are in order");
                let running = r.field(": status=");
                assert!(running <= 4);
                r.field(" schedtick=");
                r.field(" syscalltick=");
                let m = r.field_or_nil(" m=");
                t.queues.push(r.field(" runqsize="));
                r.field(" gfreecnt=");
                r.field(" timerslen=");
                t.ps.push((running == 1, m));
            }
            b'M' => {
                let id = r.field("  M");
                let p = r.field_or_nil(": p=");
                let g = r.field_or_nil(" curg=");
                r.field(" mallocing=");
                r.field(" throwing=");
                r.text(" preemptoff=");
                r.field(" locks=");
                r.field(" dying=");
                r.boolean(" spinning=");
                r.boolean(" blocked=");
                r.field_or_nil(" lockedg=");
                t.ms_.push((id, p, g));
            }
            _ => {
                let id = r.field("  G");
                let status = r.field(": status=");
                r.text("(");
                // A reason may have parentheses of its own.
                let (reason, rest) = r.0.split_once(") m=").unwrap();
                r.0 = rest;
                let m = r.field_or_nil("");
                r.field_or_nil(" lockedm=");
                t.gs.push((id, status, reason.to_owned(), m));
            }
        }
        r.end();
    }
    assert_eq!(t.ps.len() as u64, t.procs);
    // Ps, then Ms, then Gs, as Go has them.
    let kinds: Vec<u8> = text.lines().skip(1).map(|l| l.as_bytes()[2]).collect();
    let mut sorted = kinds.clone();
    sorted.sort_by_key(|k| match k {
        b'P' => 0,
        b'M' => 1,
        _ => 2,
    });
    assert_eq!(kinds, sorted);
    t
}

/// What no trace may contradict, whenever it is taken.
fn assert_sane(t: &Trace, procs: u64) {
    assert_eq!(t.procs, procs);
    assert!(t.idle_procs <= procs);
    assert!(t.spinning <= t.threads && t.idle_threads < t.threads);
    assert_eq!(t.queues.len() as u64, procs);
}

/// Some work: pairs that talk, and goroutines that come and go.
fn work(stop: Arc<AtomicBool>) {
    let mut hs = Vec::new();
    for _ in 0..8 {
        let (tx, rx) = channels::bounded::<u64>(1);
        let stop = stop.clone();
        hs.push(go!(move || {
            while !stop.load(SeqCst) {
                tx.send(1).unwrap();
                go!(|| ()).join().unwrap();
            }
        }));
        hs.push(go!(move || rx.iter().for_each(drop)));
    }
    hs.into_iter().for_each(|h| h.join().unwrap());
}

#[test]
fn traces_are_printed_in_gos_format() {
    const NAME: &str = "traces_are_printed_in_gos_format";
    if is_child(NAME) {
        let rt = runtime::start(3);
        let stop = Arc::new(AtomicBool::new(false));
        let hers = stop.clone();
        let h = rt.spawn(move || work(hers));
        std::thread::sleep(Duration::from_millis(400));
        stop.store(true, SeqCst);
        return h.join().unwrap();
    }
    let out = child(NAME, &[("RUNTIME_DEBUG", "schedtrace=20")], LIMIT);
    assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
    let traces: Vec<Trace> = out.stderr.lines().map(brief).collect();
    // One every 20 ms for 400 ms, on a machine that does other things too.
    assert!((5..=30).contains(&traces.len()), "{}", traces.len());
    // Not more often: but one that came late may be followed by another at once.
    for (i, t) in traces.iter().enumerate() {
        assert!(t.ms >= 20 * i as u64, "{} is number {i}", t.ms);
    }
    for pair in traces.windows(2) {
        assert_sane(&pair[1], 3);
        assert!(pair[1].ms >= pair[0].ms);
        for (now, before) in pair[1].ticks.iter().zip(&pair[0].ticks) {
            assert!(now >= before);
        }
    }
    // On a machine with other things to do, 20 ms can pass in which none of the threads runs.
    let ticks = |t: &Trace| t.ticks.iter().sum::<u64>();
    let pairs = traces.windows(2);
    let moved = pairs
        .clone()
        .filter(|p| ticks(&p[1]) > ticks(&p[0]))
        .count();
    assert!(2 * moved >= pairs.len(), "goroutines run");
    // The monitor is a thread too, and the Ps that run have one each.
    assert!(
        traces
            .iter()
            .all(|t| t.threads >= 1 + t.procs - t.idle_procs)
    );
}

#[test]
fn detailed_traces_are_printed_in_gos_format() {
    const NAME: &str = "detailed_traces_are_printed_in_gos_format";
    if is_child(NAME) {
        let rt = runtime::start(2);
        let _receiver = rt.spawn(|| channels::bounded::<u8>(0).1.recv());
        let _nil = rt.spawn(|| channels::Receiver::<u8>::nil().recv());
        let _sleeper = rt.spawn(|| std::thread::sleep(Duration::from_millis(400)));
        return std::thread::sleep(Duration::from_millis(200));
    }
    let env = [("RUNTIME_DEBUG", "schedtrace=20,scheddetail=1")];
    let out = child(NAME, &env, LIMIT);
    assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
    let mut starts: Vec<usize> = out.stderr.match_indices("SCHED ").map(|(i, _)| i).collect();
    starts.push(out.stderr.len());
    let traces: Vec<Trace> = starts
        .windows(2)
        .map(|w| detailed(&out.stderr[w[0]..w[1]]))
        .collect();
    // The last ones tell of the shutdown.
    let traces: Vec<_> = traces.iter().filter(|t| t.gs.len() == 3).collect();
    assert!(traces.len() >= 3, "{}", out.stderr);
    // The first may come before the goroutines have begun, the last when they are being stopped.
    for t in &traces[traces.len() / 3..=traces.len() / 2] {
        assert_sane(t, 2);
        let waits = |reason: &str| t.gs.iter().any(|g| g.1 == 4 && g.2 == reason);
        assert!(
            waits("chan receive") && waits("chan receive (nil chan)"),
            "{}",
            out.stderr
        );
        // The sleeper is on its M.
        let on = t.gs.iter().find(|g| g.3.is_some()).unwrap();
        assert!(
            t.ms_.iter().any(|m| Some(m.0) == on.3 && m.2 == Some(on.0)),
            "{}",
            out.stderr
        );
    }
}

#[test]
fn a_trace_on_demand_is_right() {
    support::with_procs(|rt| {
        let procs = rt.num_procs() as u64;
        let line = rt.schedtrace(false);
        assert_sane(&brief(line.strip_suffix('\n').unwrap()), procs);
        let all_idle = || brief(rt.schedtrace(false).trim_end()).idle_procs == procs;
        assert!(eventually(all_idle));
        let t = detailed(&rt.schedtrace(true));
        assert!(t.gs.is_empty() && t.runqueue == 0);
        assert!(t.ps.iter().all(|p| *p == (false, None)));

        // A parked, a running one.
        let (tx, rx) = channels::bounded::<()>(0);
        let parked = rt.spawn(move || rx.recv().is_ok());
        let stop = Arc::new(AtomicBool::new(false));
        let hers = stop.clone();
        let runs = rt.spawn(move || {
            while !hers.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        assert!(eventually(|| {
            let t = detailed(&rt.schedtrace(true));
            let of = |id: u64| t.gs.iter().find(|g| g.0 == id).cloned();
            let (Some(p), Some(r)) = (of(parked.id().as_u64()), of(runs.id().as_u64())) else {
                return false;
            };
            let on = t.ms_.iter().find(|m| m.2 == Some(r.0));
            (p.1, p.2.as_str(), p.3) == (4, "chan receive", None)
                && r.1 == 2
                && on.is_some_and(|m| Some(m.0) == r.3 && m.1.is_some())
                && t.idle_procs == procs - 1
        }));
        stop.store(true, SeqCst);
        tx.send(()).unwrap();
        runs.join().unwrap();
        assert!(parked.join().unwrap());
    });
}

#[test]
fn an_m_whose_p_was_taken_says_so() {
    within_minute(|| {
        let rt = runtime::start(1);
        let (up, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (his, hers) = (up.clone(), stop.clone());
        let h = rt.spawn(move || {
            his.store(true, SeqCst);
            while !hers.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        assert!(eventually(|| up.load(SeqCst)));
        assert_eq!(rt.spawn(|| 1).join().unwrap(), 1); // on the P that was taken
        let right = || {
            let t = detailed(&rt.schedtrace(true));
            let m = t.ms_.iter().find(|m| m.2 == Some(h.id().as_u64())).unwrap();
            t.idle_procs == 1 && m.1.is_none()
        };
        assert!(eventually(right), "{}", rt.schedtrace(true));
        stop.store(true, SeqCst);
        h.join().unwrap();
    });
}

#[test]
fn a_trace_from_another_thread_never_blocks_and_always_parses() {
    for procs in support::PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let stop = Arc::new(AtomicBool::new(false));
            let hers = stop.clone();
            let h = rt.spawn(move || work(hers));
            std::thread::scope(|s| {
                for detail in [false, true] {
                    let rt = &rt;
                    s.spawn(move || {
                        for _ in 0..support::scale(3000) {
                            let text = rt.schedtrace(detail);
                            let t = match detail {
                                false => brief(text.strip_suffix('\n').unwrap()),
                                true => detailed(&text),
                            };
                            assert_sane(&t, procs as u64);
                        }
                    });
                }
            });
            stop.store(true, SeqCst);
            h.join().unwrap();
        });
    }
}

#[test]
fn a_goroutine_may_trace_its_own_runtime() {
    within_minute(|| {
        let rt = runtime::start(2);
        let t = rt.run(|| detailed(&rt.schedtrace(true)));
        assert_eq!(t.gs.len(), 1);
        assert_eq!(t.gs[0].1, 2, "it runs");
    });
}
