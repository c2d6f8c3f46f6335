//! Goroutines that block their thread or compute for long: their P goes to another thread.

mod support;

use runtime::{Builder, Runtime, blocking, go};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{child, in_child, is_child, within, within_minute};

const LIMIT: Duration = Duration::from_secs(120);
/// How long a blocker blocks.
const BLOCK: Duration = Duration::from_millis(300);
/// How soon the others must go on.
const GAP: Duration = Duration::from_millis(50);

/// What the players tell: how many steps there were, and the longest time without any.
struct Game {
    born: Instant,
    stop: AtomicBool,
    steps: AtomicUsize,
    last: AtomicU64,
    longest: AtomicU64,
}

impl Game {
    fn step(&self) {
        let now = self.born.elapsed().as_nanos() as u64;
        let before = self.last.swap(now, SeqCst);
        self.longest.fetch_max(now.saturating_sub(before), SeqCst);
        self.steps.fetch_add(1, SeqCst);
    }
}

/// Runs `body` while 50 pairs of goroutines play ping-pong; the longest time in which not one of
/// them made a step: before, when nobody blocks (that is the machine's own doing), and meanwhile.
fn gaps_during(rt: &Runtime, body: impl FnOnce()) -> (Duration, Duration) {
    let game = Arc::new(Game {
        born: Instant::now(),
        stop: AtomicBool::new(false),
        steps: AtomicUsize::new(0),
        last: AtomicU64::new(0),
        longest: AtomicU64::new(0),
    });
    let mut players = Vec::new();
    for _ in 0..50 {
        let (there_tx, there_rx) = channels::bounded::<()>(0);
        let (back_tx, back_rx) = channels::bounded::<()>(0);
        let g = game.clone();
        players.push(rt.spawn(move || {
            while !g.stop.load(SeqCst) {
                there_tx.send(()).unwrap();
                back_rx.recv().unwrap();
                g.step();
            }
        }));
        players.push(rt.spawn(move || {
            while there_rx.recv().is_ok() {
                back_tx.send(()).unwrap();
            }
        }));
    }
    assert!(support::eventually(|| game.steps.load(SeqCst) > 200));
    game.longest.store(0, SeqCst);
    std::thread::sleep(BLOCK / 3);
    let before = Duration::from_nanos(game.longest.swap(0, SeqCst));
    body();
    let steps = game.steps.load(SeqCst);
    assert!(support::eventually(|| game.steps.load(SeqCst) > steps));
    let longest = Duration::from_nanos(game.longest.load(SeqCst));
    game.stop.store(true, SeqCst);
    for p in players {
        p.join().unwrap();
    }
    (before, longest)
}

/// Runs `body` in this way on a runtime of `procs` Ps of its own, five times if need be: once the
/// gap must be below GAP. An attempt does not count if the machine is so busy with other things
/// that the players stop for long without any blocker.
fn assert_gap(procs: usize, body: impl Fn(&Runtime)) {
    let mut counted = Vec::new();
    for _ in 0..40 {
        let (before, gap) = within(LIMIT, || {
            let rt = runtime::start(procs);
            gaps_during(&rt, || body(&rt))
        });
        if gap < GAP {
            return;
        }
        if before < GAP / 5 {
            counted.push(gap);
            assert!(counted.len() < 5, "nobody made a step for {counted:?}");
        }
    }
    eprintln!("not measured: this machine is too busy; {counted:?}");
}

/// Spawns a goroutine that blocks in a read of an empty pipe. The pipe gets its byte after BLOCK.
fn pipe_reader(rt: &Runtime) -> runtime::JoinHandle<u8> {
    let (mut rx, mut tx) = std::io::pipe().unwrap();
    let h = rt.spawn(move || {
        let mut byte = [0];
        rx.read_exact(&mut byte).unwrap();
        byte[0]
    });
    std::thread::spawn(move || {
        std::thread::sleep(BLOCK);
        tx.write_all(&[7]).unwrap();
    });
    h
}

/// Spawns a goroutine that computes without a call into the runtime, for BLOCK.
fn computer(rt: &Runtime) -> runtime::JoinHandle<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let h = rt.spawn(move || {
        let mut x = 1u64;
        while !seen.load(SeqCst) {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1);
        }
        x | 1
    });
    std::thread::spawn(move || {
        std::thread::sleep(BLOCK);
        stop.store(true, SeqCst);
    });
    h
}

#[test]
fn a_sleeping_goroutine_does_not_stop_the_others() {
    assert_gap(1, |rt| {
        rt.spawn(|| std::thread::sleep(BLOCK)).join().unwrap();
    });
}

#[test]
fn a_goroutine_in_a_blocking_read_does_not_stop_the_others() {
    assert_gap(1, |rt| assert_eq!(pipe_reader(rt).join().unwrap(), 7));
}

#[test]
fn a_computing_goroutine_does_not_stop_the_others() {
    assert_gap(1, |rt| assert_ne!(computer(rt).join().unwrap(), 0));
}

#[test]
fn ten_blockers_at_once_do_not_stop_the_others() {
    assert_gap(2, |rt| {
        let sleepers: Vec<_> = (0..4)
            .map(|_| rt.spawn(|| std::thread::sleep(BLOCK)))
            .collect();
        let readers: Vec<_> = (0..3).map(|_| pipe_reader(rt)).collect();
        let computers: Vec<_> = (0..3).map(|_| computer(rt)).collect();
        sleepers.into_iter().for_each(|h| h.join().unwrap());
        readers
            .into_iter()
            .for_each(|h| assert_eq!(h.join().unwrap(), 7));
        computers
            .into_iter()
            .for_each(|h| assert_ne!(h.join().unwrap(), 0));
    });
}

#[test]
fn blocking_gives_the_p_away_at_once() {
    assert_gap(1, |rt| {
        rt.spawn(|| blocking(|| std::thread::sleep(BLOCK)))
            .join()
            .unwrap();
    });
}

#[test]
fn another_goroutine_runs_as_soon_as_a_blocking_call_begins() {
    within_minute(|| {
        let shortest = runtime::start(1).run(|| {
            let wait = || {
                let (tx, rx) = std::sync::mpsc::channel();
                let other = go!(move || tx.send(Instant::now()).unwrap());
                let start = Instant::now();
                let ran = blocking(|| rx.recv().unwrap());
                other.join().unwrap();
                ran - start
            };
            (0..500).map(|_| wait()).min().unwrap()
        });
        // The monitor would take 50 µs at the least, and mostly some ms.
        assert!(shortest < Duration::from_millis(1), "{shortest:?} at best");
    });
}

#[test]
fn the_others_run_inside_a_blocking_call() {
    // The blocked thread waits, by a way that the runtime does not know, for goroutines that
    // need its P.
    support::with_procs(|rt| {
        rt.run(|| {
            for _ in 0..support::scale(300) {
                let (tx, rx) = std::sync::mpsc::channel();
                let a = go!(move || tx.send(5).unwrap());
                assert_eq!(blocking(|| rx.recv().unwrap()), 5);
                a.join().unwrap();
            }
        });
    });
}

#[test]
fn at_the_bound_of_threads_nothing_is_lost_and_it_is_said() {
    const NAME: &str = "at_the_bound_of_threads_nothing_is_lost_and_it_is_said";
    if !is_child(NAME) {
        let out = child(NAME, &[], LIMIT);
        assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
        let said = "all 2 threads are in use (Builder::max_threads)";
        assert_eq!(out.stderr.matches(said).count(), 1, "{}", out.stderr);
        return;
    }
    let rt = Builder::new().procs(1).max_threads(2).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    gaps_during(&rt, || {
        let hs: Vec<_> = (0..7)
            .map(|i| {
                let done = done.clone();
                rt.spawn(move || {
                    match i % 2 {
                        0 => std::thread::sleep(Duration::from_millis(50)),
                        _ => blocking(|| std::thread::sleep(Duration::from_millis(50))),
                    }
                    done.fetch_add(1, SeqCst);
                    i
                })
            })
            .collect();
        let all: Vec<_> = hs.into_iter().map(|h| h.join().unwrap()).collect();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
    });
    assert_eq!(done.load(SeqCst), 7);
}

#[test]
fn with_one_thread_in_all_blockers_take_turns() {
    within_minute(|| {
        let rt = Builder::new().procs(1).max_threads(1).build().unwrap();
        rt.run(|| {
            let hs: Vec<_> = (0..5)
                .map(|i| {
                    go!(move || {
                        blocking(|| std::thread::sleep(Duration::from_millis(10)));
                        runtime::yield_now();
                        std::thread::sleep(Duration::from_millis(10));
                        i
                    })
                })
                .collect();
            let all: Vec<i32> = hs.into_iter().map(|h| h.join().unwrap()).collect();
            assert_eq!(all, [0, 1, 2, 3, 4]);
        });
    });
}

#[test]
fn goroutines_bound_to_all_threads_of_the_bound_still_go_on() {
    for n in [1, 2] {
        within(Duration::from_secs(20), || {
            let rt = Builder::new().procs(n).max_threads(n).build().unwrap();
            rt.run(|| {
                let hs: Vec<_> = (0..n)
                    .map(|_| {
                        go!(|| {
                            let _bound = runtime::lock_os_thread();
                            for _ in 0..20 {
                                runtime::yield_now();
                            }
                        })
                    })
                    .collect();
                hs.into_iter().for_each(|h| h.join().unwrap());
            });
        });
    }
}

#[test]
fn a_polling_loop_does_not_keep_its_p() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let (tx, rx) = channels::bounded::<u32>(1);
            let poller = go!(move || {
                let mut polls = 0u64;
                loop {
                    match rx.try_recv() {
                        Ok(v) => return (v, polls),
                        Err(_) => polls += 1,
                    }
                }
            });
            // Runs only when the poller's P comes to it.
            let sender = go!(move || tx.send(9).unwrap());
            assert_eq!(poller.join().unwrap().0, 9);
            sender.join().unwrap();
        });
    });
}

#[test]
fn a_loop_over_is_finished_does_not_keep_its_p() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let h = go!(|| 3);
            while !h.is_finished() {}
            assert_eq!(h.join().unwrap(), 3);
        });
    });
}

#[test]
fn blocking_calls_nest() {
    support::with_procs(|rt| {
        let n = rt.run(|| {
            blocking(|| {
                let inner = blocking(|| {
                    std::thread::sleep(Duration::from_millis(2));
                    blocking(|| 1)
                });
                // The runtime is used inside a blocking call.
                inner + go!(|| 10).join().unwrap() + blocking(|| go!(|| 100).join().unwrap())
            })
        });
        assert_eq!(n, 111);
    });
}

#[test]
fn a_panic_passes_through_blocking_and_the_goroutine_goes_on() {
    support::with_procs(|rt| {
        rt.run(|| {
            for _ in 0..20 {
                let caught = std::panic::catch_unwind(|| {
                    blocking(|| std::panic::resume_unwind(Box::new(7)))
                });
                assert_eq!(*caught.unwrap_err().downcast::<i32>().unwrap(), 7);
                assert_eq!(go!(|| 5).join().unwrap(), 5);
            }
        });
    });
}

#[test]
fn blocking_on_a_plain_thread_is_a_call() {
    assert_eq!(blocking(|| 3), 3);
    let rt = runtime::start(1);
    let here = std::thread::current().id();
    assert_eq!(blocking(|| std::thread::current().id()), here);
    drop(rt);
}

/// Loses its P in every way there is, with state on its stack that must survive.
fn wander(seed: usize) -> usize {
    let mut frame = [seed; 64];
    let (tx, rx) = channels::bounded::<usize>(1);
    for (round, slot) in frame.iter_mut().take(12).enumerate() {
        match (seed + round) % 4 {
            0 => std::thread::sleep(Duration::from_millis(1)),
            1 => blocking(|| std::thread::sleep(Duration::from_micros(200))),
            2 => runtime::yield_now(),
            _ => {
                let tx = tx.clone();
                let v = *slot;
                go!(move || tx.send(v).unwrap());
                assert_eq!(rx.recv().unwrap(), v);
            }
        }
        *slot += round;
        assert!(runtime::current().is_some());
    }
    frame.iter().sum()
}

fn wander_all() {
    for procs in [1, 2, 4] {
        within_minute(|| {
            let rt = runtime::start(procs);
            rt.run(|| {
                let hs: Vec<_> = (0..40).map(|i| go!(wander(i))).collect();
                for (i, h) in hs.into_iter().enumerate() {
                    assert_eq!(h.join().unwrap(), 64 * i + 66);
                }
            });
        });
    }
}

#[test]
fn a_goroutine_that_lost_its_p_goes_on_correctly() {
    wander_all();
}

#[test]
fn it_does_so_when_each_wake_changes_the_thread() {
    const NAME: &str = "it_does_so_when_each_wake_changes_the_thread";
    in_child(
        NAME,
        &[("RUNTIME_DEBUG", "migrate=always")],
        LIMIT,
        wander_all,
    );
}

#[test]
fn it_does_so_without_membarrier() {
    const NAME: &str = "it_does_so_without_membarrier";
    in_child(NAME, &[("WEFT_NO_MEMBARRIER", "1")], LIMIT, wander_all);
}
