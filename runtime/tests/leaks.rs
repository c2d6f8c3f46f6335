//! Goroutines that can never go on are found, and only they.

mod support;

use channels::bounded;
use runtime::sync::Mutex;
use runtime::{LeakReason, Runtime, go};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use support::{PROCS, alone, within_minute};

/// Lets those that were just spawned come to their waits.
fn settle() {
    runtime::time::sleep(Duration::from_millis(20));
}

/// The names of those that were found.
fn found() -> BTreeSet<String> {
    let leaks = runtime::leaks();
    leaks.iter().filter_map(|l| l.name()).map(str::to_owned).collect()
}

fn expect(names: &[&str]) {
    let names: BTreeSet<String> = names.iter().map(|&n| n.to_owned()).collect();
    assert_eq!(found(), names);
}

fn on_each(f: impl Fn(&Runtime)) {
    let _alone = alone();
    for n in PROCS {
        within_minute(|| f(&runtime::start(n)));
    }
}

#[inline(never)]
fn leak_a_receiver() {
    drop(go!(name = "receiver", || {
        let (tx, rx) = bounded::<i32>(0);
        let _ = rx.recv();
        drop(tx);
    }));
}

#[test]
fn who_holds_both_ends_waits_for_ever() {
    on_each(|rt| {
        rt.run(|| {
            leak_a_receiver();
            settle();
            expect(&["receiver"]);
            let leaks = runtime::leaks();
            assert_eq!(leaks[0].reason(), LeakReason::Channel);
            assert!(leaks[0].to_string().contains("leaks.rs"), "{}", leaks[0]);
        });
    });
}

#[test]
fn a_mutex_whose_holder_waits_for_the_other() {
    on_each(|rt| {
        rt.run(|| {
            let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
            for (name, first, second) in [("ab", a.clone(), b.clone()), ("ba", b, a)] {
                drop(go!(name = name, move || {
                    let _first = first.lock();
                    runtime::time::sleep(Duration::from_millis(5));
                    let _second = second.lock();
                }));
            }
            settle();
            expect(&["ab", "ba"]);
        });
    });
}

#[test]
fn who_could_go_on_is_not_found() {
    on_each(|rt| {
        rt.run(|| {
            let (tx, rx) = bounded::<i32>(0);
            drop(go!(name = "receiver", move || rx.recv()));
            let m = Arc::new(Mutex::new(()));
            let guard = m.lock();
            let m2 = m.clone();
            drop(go!(name = "locker", move || drop(m2.lock())));
            settle();
            expect(&[]);
            tx.send(1).unwrap();
            drop(guard);
            let (tx, rx) = bounded::<i32>(0);
            let boxed = Box::new(tx);
            drop(go!(name = "receiver", move || rx.recv()));
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                boxed.send(1)
            });
            settle();
            expect(&[]);
            thread.join().unwrap().unwrap();
        });
    });
}
#[test]
fn zz() {
    let _alone = alone();
    let rt = runtime::start(1);
    rt.run(|| {
        leak_a_receiver();
        settle();
        println!("{}", std::fs::read_to_string("/proc/self/maps").unwrap());
        expect(&["receiver"]);
    });
}
