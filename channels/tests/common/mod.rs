//! What the channel tests share: kinds of channels, and the worlds that the two ends stand in.
#![allow(dead_code, reason = "each test binary uses a part")]

#[path = "../../../runtime/tests/support/mod.rs"]
pub mod support;

use channels::{Receiver, Sender};
use runtime::Runtime;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Capacities that stand for all kinds of channels; `None` is unbounded.
pub const KINDS: [Option<usize>; 5] = [Some(0), Some(1), Some(3), Some(64), None];

pub fn channel<T>(kind: Option<usize>) -> (Sender<T>, Receiver<T>) {
    match kind {
        Some(cap) => channels::bounded(cap),
        None => channels::unbounded(),
    }
}

/// Which end of a channel a task uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Sends,
    Receives,
}

/// Where the two ends of a channel stand, and how to put a task there.
pub struct World<'a> {
    rt: Option<&'a Runtime>,
    sends_on_goroutine: bool,
    receives_on_goroutine: bool,
    /// Threads that run a task now.
    tids: Arc<Mutex<HashSet<String>>>,
}

impl World<'_> {
    fn new(rt: Option<&Runtime>, sends: bool, receives: bool) -> World<'_> {
        World {
            rt,
            sends_on_goroutine: sends,
            receives_on_goroutine: receives,
            tids: Arc::default(),
        }
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        side: Side,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        let on_goroutine = match side {
            Side::Sends => self.sends_on_goroutine,
            Side::Receives => self.receives_on_goroutine,
        };
        match self.rt {
            Some(rt) if on_goroutine => Task::Goroutine(rt.spawn(f)),
            _ => {
                let tids = Arc::clone(&self.tids);
                Task::Thread(std::thread::spawn(move || {
                    let me = std::fs::read_link("/proc/thread-self").unwrap();
                    let me = me.file_name().unwrap().to_str().unwrap().to_owned();
                    tids.lock().unwrap().insert(me.clone());
                    let result = f();
                    tids.lock().unwrap().remove(&me);
                    result
                }))
            }
        }
    }

    /// Tasks that wait at a channel now.
    fn parked(&self) -> usize {
        let goroutines = self.rt.map_or(0, |rt| {
            let trace = rt.schedtrace(true);
            trace.matches("status=4(chan ").count()
        });
        let tids = self.tids.lock().unwrap();
        let asleep = |tid: &&String| {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"));
            stat.is_ok_and(|s| s.rsplit(") ").next().unwrap().starts_with('S'))
        };
        goroutines + tids.iter().filter(asleep).count()
    }

    /// Waits until exactly `n` tasks wait at a channel.
    pub fn wait_parked(&self, n: usize) {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            match self.parked() {
                p if p == n => seen += 1,
                _ => seen = 0,
            }
            // A thread may sleep for an instant on its way; it does not do so for long.
            if seen >= 2 {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{} tasks wait, not {n}",
                self.parked()
            );
            pause();
        }
    }
}

/// Lets others go on for a moment.
pub fn pause() {
    if runtime::current().is_some() {
        runtime::yield_now();
    } else {
        std::thread::sleep(Duration::from_micros(300));
    }
}

pub enum Task<T> {
    Goroutine(runtime::JoinHandle<T>),
    Thread(std::thread::JoinHandle<T>),
}

impl<T> Task<T> {
    /// What the task returned; its panic is passed on.
    pub fn join(self) -> T {
        match self {
            Task::Goroutine(h) => h.join().unwrap_or_else(|e| match e {
                runtime::JoinError::Panicked(p) => std::panic::resume_unwind(p),
                e => panic!("{e}"),
            }),
            Task::Thread(h) => {
                runtime::blocking(|| h.join()).unwrap_or_else(|p| std::panic::resume_unwind(p))
            }
        }
    }
}

pub fn join_all<T>(tasks: impl IntoIterator<Item = Task<T>>) -> Vec<T> {
    tasks.into_iter().map(Task::join).collect()
}

/// Runs `f` in each world, with a time limit: plain threads alone; and with 1, 2, 4 and 8 Ps:
/// goroutines alone, goroutines that send to threads, and threads that send to goroutines. With a
/// runtime, `f` itself is on a goroutine, so the channels that it makes start biased to a P; once
/// more it is on a plain thread.
pub fn each_world(f: impl Fn(&World) + Sync) {
    support::within_minute(|| f(&World::new(None, false, false)));
    for procs in support::PROCS {
        for (sends, receives) in [(true, true), (true, false), (false, true)] {
            support::within_minute(|| {
                let rt = runtime::start(procs);
                let world = World::new(Some(&rt), sends, receives);
                rt.run(|| f(&world));
            });
        }
    }
    support::within_minute(|| {
        let rt = runtime::start(2);
        f(&World::new(Some(&rt), true, false));
        f(&World::new(Some(&rt), false, true));
    });
}

pub fn pause_sometimes(n: usize) {
    if n.is_multiple_of(31) {
        pause();
    }
}

/// Runs `f` on a plain thread, and on a goroutine with each number of Ps.
pub fn everywhere(f: impl Fn() + Send + Sync + Clone + 'static) {
    support::within_minute(f.clone());
    for procs in support::PROCS {
        let f = f.clone();
        support::within_minute(move || runtime::start(procs).run(f));
    }
}

/// What `f` panics with.
pub fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast_ref::<String>() {
        Some(s) => s.clone(),
        None => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}
