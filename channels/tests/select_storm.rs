//! Selects under contention: on the same channels in both directions, with and without time limits,
//! goroutines and threads. No arm fires twice, and none is lost: counts and sums of all values agree.

mod common;

use channels::{Select, after, bounded, internal, never, select};
use common::pause_sometimes;
use common::support::{PROCS, scale, within, within_minute};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Alternately a goroutine and a plain thread. Joined by `Joins`.
#[derive(Default)]
struct Tasks<T> {
    goroutines: Vec<runtime::JoinHandle<T>>,
    threads: Vec<std::thread::JoinHandle<T>>,
}

impl<T: Send + 'static> Tasks<T> {
    fn new() -> Tasks<T> {
        Tasks {
            goroutines: Vec::new(),
            threads: Vec::new(),
        }
    }

    fn spawn(
        &mut self,
        rt: &runtime::Runtime,
        thread: bool,
        f: impl FnOnce() -> T + Send + 'static,
    ) {
        match thread {
            true => self.threads.push(std::thread::spawn(f)),
            false => self.goroutines.push(rt.spawn(f)),
        }
    }

    fn join(self) -> Vec<T> {
        let threads = self.threads.into_iter().map(|h| h.join().unwrap());
        let goroutines = self.goroutines.into_iter().map(|h| h.join().unwrap());
        threads.chain(goroutines).collect()
    }
}

/// What a task has done.
#[derive(Clone, Copy, Default)]
struct Done {
    sent: (usize, u64),
    received: (usize, u64),
}

impl Done {
    fn send(&mut self, value: u64) {
        self.sent = (self.sent.0 + 1, self.sent.1 + value);
    }

    fn receive(&mut self, value: u64) {
        self.received = (self.received.0 + 1, self.received.1 + value);
    }
}

/// Selects on the same channels in both directions, until each has done enough.
fn storm(rt: &runtime::Runtime, caps: [usize; 2], rounds: usize, threads: bool) {
    let (sa, ra) = bounded::<u64>(caps[0]);
    let (sb, rb) = bounded::<u64>(caps[1]);
    let (stop, stopped) = bounded::<()>(0);
    let count = Arc::new(AtomicUsize::new(0));
    let mut tasks = Tasks::new();
    for id in 0..6u64 {
        let (sa, ra, sb, rb) = (sa.clone(), ra.clone(), sb.clone(), rb.clone());
        let (stopped, count) = (stopped.clone(), Arc::clone(&count));
        tasks.spawn(rt, threads && id % 2 == 1, move || {
            let mut done = Done::default();
            for i in 0.. {
                let value = id * 1_000_000_000 + i;
                if i % 7 == id {
                    select! {
                        recv(stopped) -> _ => break,
                        recv(ra) -> v => done.receive(v.unwrap()),
                        default => {}
                    }
                }
                if i % 5 == id % 3 {
                    // The same by a list, whose arms can meet each other, too.
                    let mut list = Select::new();
                    let (a, b, c) = (list.recv(&rb), list.send(&sb), list.recv(&stopped));
                    let oper = list.select();
                    match oper.index() {
                        i if i == a => done.receive(oper.recv(&rb).unwrap()),
                        i if i == b => {
                            oper.send(&sb, value).unwrap();
                            done.send(value);
                        }
                        i if i == c => {
                            let _ = oper.recv(&stopped);
                            break;
                        }
                        _ => unreachable!(),
                    }
                    continue;
                }
                select! {
                    send(sa, value) -> v => { v.unwrap(); done.send(value) }
                    send(sb, value) -> v => { v.unwrap(); done.send(value) }
                    recv(ra) -> v => done.receive(v.unwrap()),
                    recv(rb) -> v => done.receive(v.unwrap()),
                    recv(stopped) -> _ => break,
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            done
        });
    }
    while count.load(Ordering::Relaxed) < rounds {
        std::thread::sleep(Duration::from_micros(200));
    }
    drop(stop);
    let all = tasks.join();
    let mut total = Done::default();
    for done in &all {
        total.sent = (total.sent.0 + done.sent.0, total.sent.1 + done.sent.1);
        total.received = (
            total.received.0 + done.received.0,
            total.received.1 + done.received.1,
        );
    }
    ra.try_iter()
        .chain(rb.try_iter())
        .for_each(|v| total.receive(v));
    assert_eq!(total.sent, total.received);
    assert_eq!(internal::queued(&ra), [0; 4]);
    assert_eq!(internal::queued(&rb), [0; 4]);
    assert_eq!(internal::queued(&stopped), [0; 4]);
}

#[test]
fn selects_in_both_directions_lose_nothing() {
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            for caps in [[0, 0], [0, 1], [2, 0], [1, 3]] {
                storm(&rt, caps, scale(20_000), false);
                storm(&rt, caps, scale(20_000), true);
            }
        });
    }
}

/// Values that are numbers of their own, sent and received with time limits that are often over.
fn deadlines(rt: &runtime::Runtime, cap: usize, n: usize, threads: bool) {
    let (s, r) = bounded::<usize>(cap);
    let (s2, r2) = bounded::<usize>(cap);
    let next = Arc::new(AtomicUsize::new(0));
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let mut tasks = Tasks::new();
    for id in 0..3 {
        let (s, s2, next) = (s.clone(), s2.clone(), Arc::clone(&next));
        tasks.spawn(rt, threads && id % 2 == 1, move || {
            loop {
                let value = next.fetch_add(1, Ordering::Relaxed);
                if value >= n {
                    return;
                }
                let limit = Duration::from_micros(value as u64 % 60);
                loop {
                    match value % 4 {
                        0 if s.send_timeout(value, limit).is_ok() => break,
                        0 => {}
                        1 => select! {
                            send(s, value) -> v => { v.unwrap(); break }
                            send(s2, value) -> v => { v.unwrap(); break }
                            default(limit) => {}
                        },
                        2 => select! {
                            send(s2, value) -> v => { v.unwrap(); break }
                            recv(after(limit)) -> _ => {}
                        },
                        _ => {
                            let mut list = Select::new();
                            list.send(&s2);
                            if let Ok(oper) = list.select_timeout(limit) {
                                pause_sometimes(value);
                                oper.send(&s2, value).unwrap();
                                break;
                            }
                        }
                    }
                }
            }
        });
    }
    drop((s, s2));
    for id in 0..3u64 {
        let (r, r2, seen) = (r.clone(), r2.clone(), Arc::clone(&seen));
        tasks.spawn(rt, threads && id % 2 == 0, move || {
            let (mut r, mut r2) = (r, r2);
            let mut mine = Vec::new();
            let (mut closed, mut i) = (0, id);
            while closed < 2 {
                i += 1;
                let limit = Duration::from_micros(i * 7 % 50);
                match i % 3 {
                    0 => {
                        if let Ok(v) = r.recv_timeout(limit) {
                            mine.push(v);
                        }
                    }
                    1 => mine.extend(r2.try_recv()),
                    _ => select! {
                        recv(r) -> v => match v {
                            Ok(v) => mine.push(v),
                            Err(_) => { closed += 1; r = never() }
                        },
                        recv(r2) -> v => match v {
                            Ok(v) => mine.push(v),
                            Err(_) => { closed += 1; r2 = never() }
                        },
                        default(limit) => {}
                    },
                }
            }
            seen.lock().unwrap().extend(mine);
        });
    }
    tasks.join();
    let mut seen = seen.lock().unwrap();
    seen.sort_unstable();
    assert!(
        seen.iter().copied().eq(0..n),
        "{} of {n} values",
        seen.len()
    );
    assert_eq!(internal::queued(&r), [0; 4]);
    assert_eq!(internal::queued(&r2), [0; 4]);
}

#[test]
fn selects_with_time_limits_lose_nothing() {
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            for cap in [0, 1, 4] {
                deadlines(&rt, cap, scale(6000), false);
                deadlines(&rt, cap, scale(6000), true);
            }
        });
    }
}

/// `WEFT_STRESS=1`: the two above for a minute.
#[test]
fn a_minute_of_storms() {
    if std::env::var_os("WEFT_STRESS").is_none() {
        return;
    }
    within(Duration::from_secs(150), || {
        let start = Instant::now();
        for round in 0.. {
            let rt = runtime::start(PROCS[round % 4]);
            let caps = [[0, 0], [1, 0], [0, 2], [3, 1]][round / 4 % 4];
            storm(&rt, caps, 50_000, round % 3 == 0);
            deadlines(&rt, caps[0], 5_000, round % 3 == 0);
            if start.elapsed() > Duration::from_secs(60) {
                return;
            }
        }
    });
}
