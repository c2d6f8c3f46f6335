//! What others defer by crossbeam-epoch, destructors of a lock-free map's values for example, may run on any thread that
//! pins itself: on one of the scheduler's that is about to steal, too. All runtimes of a process share what is deferred, so
//! these tests take turns: a destructor of one must not spawn on a runtime of another, which may be at its end.

mod support;

use channels::{Sender, unbounded};
use crossbeam_epoch as epoch;
use runtime::sync::{Mutex, Semaphore};
use runtime::{Builder, MIN_STACK_SIZE, Runtime, go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{alone, child, eventually, is_child, running, scale, within_minute};

/// What the destructors of one runtime's values use.
struct Shared {
    permits: Semaphore,
    total: Mutex<usize>,
    /// Whether goroutines can be spawned.
    up: Mutex<bool>,
    /// Whether those that are woken go on.
    wanted: AtomicBool,
    /// How many destructors ran by the scheduler.
    ran: AtomicUsize,
    /// How many goroutines that they have spawned ran.
    spawned: AtomicUsize,
}

/// A value of the user's, whose destructor does what destructors do.
struct Value {
    shared: Arc<Shared>,
    sender: Sender<usize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        let shared = &self.shared;
        if runtime::current().is_some() {
            // Run by a goroutine that has pinned itself: to call the runtime may be to carry that to another thread.
            return;
        }
        {
            // Goroutines hold it that are in the queue of the P of whoever waits here.
            let up = shared.up.lock().unwrap();
            if *up {
                let count = shared.clone();
                go!(move || count.spawned.fetch_add(1, SeqCst));
            }
        }
        shared.permits.release(1);
        if let Ok(mut total) = shared.total.try_lock() {
            *total += 1;
        }
        let _ = self.sender.send(1); // some are left when all is over
        shared.ran.fetch_add(1, SeqCst);
    }
}

#[test]
fn destructors_that_others_have_deferred_run_as_on_a_plain_thread() {
    let _alone = alone();
    // Whose turn it is to collect is not in our hands.
    let any = (0..10).any(|_| {
        let on = |procs| within_minute(move || deferred_on(&runtime::start(procs)));
        support::PROCS.map(on).iter().sum::<usize>() > 0
    });
    assert!(any, "none ran by the scheduler");
}

/// How many were run by the scheduler.
fn deferred_on(rt: &Runtime) -> usize {
    let shared = Arc::new(Shared {
        permits: Semaphore::new(0),
        total: Mutex::new(0),
        up: Mutex::new(true),
        wanted: AtomicBool::new(true),
        ran: AtomicUsize::new(0),
        spawned: AtomicUsize::new(0),
    });
    let (sender, receiver) = unbounded();
    // Those that are woken by destructors.
    let woken: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            rt.spawn(move || {
                while shared.wanted.load(SeqCst) {
                    shared.permits.acquire().forget();
                    let _held = shared.up.lock();
                    yield_now();
                }
            })
        })
        .collect();
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let receives = rt.spawn(move || {
        for n in receiver.iter().take_while(|&n| n > 0) {
            count.fetch_add(n, SeqCst);
        }
    });
    let rounds = scale(2000);
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let (shared, sender) = (shared.clone(), sender.clone());
            rt.spawn(move || {
                for i in 0..rounds {
                    let (shared, sender) = (shared.clone(), sender.clone());
                    let value = Value { shared, sender };
                    epoch::pin().defer(move || drop(value));
                    if i % 50 == 0 {
                        // There is something to steal.
                        let children: Vec<_> = (0..300).map(|_| go!(yield_now())).collect();
                        children.into_iter().for_each(|h| h.join().unwrap());
                    }
                }
                epoch::pin().flush();
            })
        })
        .collect();
    makers.into_iter().for_each(|h| h.join().unwrap());
    // Some are left with threads that do nothing more.
    assert!(eventually(|| {
        let ran = shared.ran.load(SeqCst);
        received.load(SeqCst) == ran && shared.spawned.load(SeqCst) == ran
    }));
    *shared.up.lock().unwrap() = false;
    shared.wanted.store(false, SeqCst);
    shared.permits.release(woken.len());
    woken.into_iter().for_each(|h| h.join().unwrap());
    sender.send(0).unwrap();
    receives.join().unwrap();
    assert!(eventually(|| rt.num_goroutines() == 0));
    shared.ran.load(SeqCst)
}

/// As for a goroutine that blocks its thread: its P goes to another M, and others steal in its place.
#[test]
fn a_destructor_that_takes_long_keeps_neither_its_p_nor_others_from_stealing() {
    let _alone = alone();
    for procs in [2, 4] {
        within_minute(move || {
            let rt = runtime::start(procs);
            let begun = Arc::new(AtomicBool::new(false));
            let wanted = Arc::new(AtomicBool::new(true));
            let (b, w) = (begun.clone(), wanted.clone());
            rt.run(move || {
                while !b.load(SeqCst) {
                    for _ in 0..64 {
                        let (begun, wanted) = (b.clone(), w.clone());
                        epoch::pin().defer(move || {
                            if runtime::current().is_none() && !begun.swap(true, SeqCst) {
                                while wanted.load(SeqCst) {
                                    std::thread::sleep(Duration::from_millis(1));
                                }
                            }
                        });
                    }
                    epoch::pin().flush();
                    let children: Vec<_> = (0..300).map(|_| go!(yield_now())).collect();
                    children.into_iter().for_each(|h| h.join().unwrap());
                }
            });
            // One goroutine has them all, and the other Ps must come and steal.
            let stop = Arc::new(AtomicBool::new(false));
            let s = stop.clone();
            let spawner = rt.spawn(move || {
                let work = || {
                    while !s.load(SeqCst) {
                        yield_now();
                    }
                };
                runtime::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(work))));
            });
            let since = Instant::now();
            let all = eventually(|| running(&rt) == procs);
            let all = all && since.elapsed() < Duration::from_secs(2);
            let trace = rt.schedtrace(true);
            wanted.store(false, SeqCst);
            stop.store(true, SeqCst);
            spawner.join().unwrap();
            assert!(all, "{trace}");
        });
    }
}

#[test]
fn child_spawns_on_the_smallest_stack() {
    if !is_child("child_spawns_on_the_smallest_stack") {
        return;
    }
    within_minute(|| {
        let builder = Builder::new().procs(1).stack_size(MIN_STACK_SIZE);
        let rt = builder.build().unwrap();
        rt.run(|| {
            // By whoever called. (Without optimisation a spawn itself takes more.)
            let used = [0u8; if cfg!(debug_assertions) { 512 } else { 4096 }];
            std::hint::black_box(&used);
            for n in [100, 1000, 100, 10_000] {
                let children: Vec<_> = (0..n).map(|_| go!(yield_now())).collect();
                children.into_iter().for_each(|h| h.join().unwrap());
            }
        });
    });
}

/// Whatever else comes with a spawn, it is not done on the stack of who spawns.
#[test]
fn a_burst_of_spawns_fits_the_smallest_stack() {
    let out = child(
        "child_spawns_on_the_smallest_stack",
        &[],
        Duration::from_secs(60),
    );
    assert!(out.status.success(), "{}", out.stderr);
}
