//! Looking for goroutines that can never go on among very many, and along chains. (In a process of its own: what so many leave
//! in free memory hides leaks from those who look later.)

mod support;

use channels::bounded;
use runtime::park::WaitReason;
use runtime::{GoroutineState, go};
use support::{alone, settle, with_procs, within_minute};

/// Goroutines that wait each for the end of the one that was made before it, the first of them for `end`.
fn wait_for_older(name: &'static str, len: usize, end: impl FnOnce() + Send + 'static) {
    let mut next = go!(name = name, end);
    for _ in 0..len {
        let waits_for = next;
        next = go!(name = name, move || drop(waits_for.join()));
    }
}

/// As many that wait each for the one that it has made itself.
fn wait_for_younger(name: &'static str, len: usize, end: impl FnOnce() + Send + 'static) {
    let mut end: Box<dyn FnOnce() + Send> = Box::new(end);
    for _ in 0..len {
        end = Box::new(move || drop(go!(name = name, end).join()));
    }
    drop(go!(name = name, end));
}

#[test]
fn long_chains_of_joins() {
    const LEN: usize = 1500;
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = bounded::<i32>(0);
            let alive = move |rx: &channels::Receiver<i32>| {
                let rx = rx.clone();
                move || _ = rx.recv()
            };
            let lost = || _ = channels::Receiver::<i32>::nil().recv();
            wait_for_older("alive", LEN, alive(&rx));
            wait_for_younger("alive", LEN, alive(&rx));
            wait_for_older("lost", LEN, lost);
            wait_for_younger("lost", LEN, lost);
            drop(rx);
            while runtime::leaks().unwrap().len() < 2 * (LEN + 1) {
                settle();
            }
            let leaks = runtime::leaks().unwrap();
            assert_eq!(leaks.len(), 2 * (LEN + 1));
            assert!(leaks.iter().all(|l| l.name() == Some("lost")));
            drop(tx);
        });
    });
}

#[test]
fn many_that_wait_for_others_are_looked_at_once_each() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let (tx, rx) = bounded::<i32>(0);
            for _ in 0..support::scale(20_000) {
                let rx = rx.clone();
                drop(go!(move || {
                    let other = go!(move || rx.recv());
                    let _ = other.join();
                }));
            }
            settle();
            assert_eq!(runtime::leaks().unwrap().len(), 0);
            drop(tx);
        });
    });
}

/// If each word were compared with all channels, or each arm with all others, it would take minutes.
#[test]
fn a_select_of_very_many_beside_a_channel_with_much_room() {
    const MANY: usize = 100_000;
    let _alone = alone();
    within_minute(|| {
        runtime::start(2).run(|| {
            let large = bounded::<u64>(1 << 20);
            drop(go!(move || large.1.recv()));
            let (ends, waits): (Vec<_>, Vec<_>) = (0..MANY).map(|_| bounded::<u64>(0)).unzip();
            drop(go!(move || {
                let mut list = channels::Select::new();
                waits.iter().for_each(|rx| _ = list.recv(rx));
                list.ready()
            }));
            let waits = GoroutineState::Waiting(WaitReason::Select);
            let all = || runtime::dump_without_stacks();
            while !all().goroutines().any(|g| g.state() == waits) {
                settle();
            }
            assert_eq!(runtime::leaks().unwrap().len(), 0);
            drop((ends, large.0));
        });
    });
}
