//! Goroutines that wait for the end of goroutines: by handles, scopes and groups of tasks.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, compute, pause, twins};
use channels::{Receiver, bounded};
use runtime::sync::Mutex;
use runtime::{JoinHandle, task};
use std::sync::Arc;
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    two_that_join_each_other: ["a", "b"];
    three_that_join_each_other: ["one", "one", "one"];
    a_join_of_one_that_waits_for_the_joiner: ["child", "parent"];
    a_join_under_the_lock_of_the_child: ["child", "parent"];
    a_chain_of_joins_to_one_that_hangs: ["a", "b", "c", "hangs"];
    a_child_of_a_scope_that_never_ends: ["?", "parent"];
    a_scope_that_waits_for_what_comes_after_it: ["?", "parent"];
    scopes_in_scopes: ["?", "?", "outer"];
    siblings_that_wait_for_each_other: ["?", "?", "parent"];
    a_scope_under_a_lock: ["?", "parent"];
    gathered_with_one_that_hangs: ["gathers", "hangs"];
    first_of_several_that_hang: ["hangs", "hangs", "waits"];
    joined_by_two_ways: ["child", "first", "second"];
    a_child_whose_handle_is_kept: ["child"], lost [];
];

const TWINS: &[Twin] = twins![
    a_join_of_one_that_sleeps,
    a_join_of_one_that_computes,
    a_join_of_one_that_a_plain_thread_wakes,
    a_join_with_a_limit,
    a_chain_of_joins,
    a_scope_whose_children_sleep,
    a_scope_that_borrows_the_sender,
    a_scope_that_borrows_what_a_child_waits_on,
    a_scope_that_is_cancelled,
    a_scope_that_an_inner_scope_cancels,
    a_boxed_job_that_borrows,
    gathered_one_by_one,
    a_kept_handle_that_cancels,
    a_timeout_around_a_hang,
    a_cancellable_hang,
    the_main_goroutines_handle,
];

pub const CLASS: Class = Class {
    name: "joins and scopes",
    bugs: BUGS,
    twins: TWINS,
    whole: 14,
    partial: 28,
};

/// Waits for what never comes, and keeps both ends itself.
fn hang() {
    let alone = Chan::<u32>::new(0);
    alone.recv();
}

/// Kind: a circle of joins.
fn two_that_join_each_other(stage: &Stage) {
    let ((to_a, a), (to_b, b)) = (bounded::<JoinHandle<()>>(1), bounded::<JoinHandle<()>>(1));
    let joins = |handles: Receiver<JoinHandle<()>>| move || drop(handles.recv().unwrap().join());
    let first = stage.keep("a", joins(a));
    let second = stage.keep("b", joins(b));
    to_a.send(second).unwrap();
    to_b.send(first).unwrap();
}

/// Kind: a circle of joins.
fn three_that_join_each_other(stage: &Stage) {
    let chans = [(); 3].map(|()| bounded::<JoinHandle<()>>(0));
    let handles = chans
        .clone()
        .map(|(_, handles)| stage.keep("one", move || drop(handles.recv().unwrap().join())));
    for (i, handle) in handles.into_iter().enumerate() {
        chans[(i + 1) % 3].0.send(handle).unwrap();
    }
}

/// Kind: join and channel.
fn a_join_of_one_that_waits_for_the_joiner(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let (tx, rx) = bounded::<u32>(0);
        let child = stage2.keep("child", move || rx.recv());
        let _ = child.join();
        let _ = tx.send(1);
    });
}

/// Kind: join and lock.
fn a_join_under_the_lock_of_the_child(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let lock = Arc::new(Mutex::new(0));
        let guard = lock.lock().unwrap();
        let lock2 = lock.clone();
        let child = stage2.keep("child", move || *lock2.lock().unwrap() += 1);
        let _ = child.join();
        drop(guard);
    });
}

/// Kind: joins of joins, of one that hangs.
fn a_chain_of_joins_to_one_that_hangs(stage: &Stage) {
    let mut last = stage.keep("hangs", hang);
    for name in ["c", "b", "a"] {
        last = stage.keep(name, move || drop(last.join()));
    }
}

/// Kind: a scope waits for a child that waits for nobody.
fn a_child_of_a_scope_that_never_ends(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        runtime::scope(|s| {
            let present = stage2.enter("?");
            s.spawn(move || {
                let _present = present;
                hang();
            });
        });
    });
}

/// Kind: what the child waits for is sent behind the scope.
fn a_scope_that_waits_for_what_comes_after_it(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let (tx, rx) = bounded::<u32>(0);
        runtime::scope(|s| {
            let present = stage2.enter("?");
            let rx = &rx;
            s.spawn(move || {
                let _present = present;
                rx.recv()
            });
        });
        tx.send(1)
    });
}

/// Kind: the same, with a scope in the child.
fn scopes_in_scopes(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("outer", move || {
        runtime::scope(|s| {
            let present = [stage2.enter("?"), stage2.enter("?")];
            s.spawn(move || {
                let [first, second] = present;
                let _first = first;
                runtime::scope(|s| {
                    s.spawn(move || {
                        let _second = second;
                        hang();
                    });
                });
            });
        });
    });
}

/// Kind: two children of a scope, out of step.
fn siblings_that_wait_for_each_other(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let (a, b) = (Chan::<u32>::new(0), Chan::<u32>::new(0));
        runtime::scope(|s| {
            for (mine, other) in [(&a, &b), (&b, &a)] {
                let present = stage2.enter("?");
                s.spawn(move || {
                    let _present = present;
                    mine.recv();
                    other.send(1);
                });
            }
        });
    });
}

/// Kind: scope and lock.
fn a_scope_under_a_lock(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let lock = Mutex::new(0);
        let guard = lock.lock().unwrap();
        runtime::scope(|s| {
            let present = stage2.enter("?");
            let lock = &lock;
            s.spawn(move || {
                let _present = present;
                *lock.lock().unwrap() += 1;
            });
        });
        drop(guard);
    });
}

/// Kind: all of a group are waited for, one of whom hangs.
fn gathered_with_one_that_hangs(stage: &Stage) {
    let ends = stage.keep("ends", pause);
    let hangs = stage.keep("hangs", hang);
    stage.go("gathers", move || task::gather([ends, hangs]));
}

/// Kind: the first of a group is waited for, and all hang.
fn first_of_several_that_hang(stage: &Stage) {
    let all = [(); 2].map(|()| stage.keep("hangs", hang));
    stage.go("waits", move || {
        task::wait(all, task::Until::FirstCompleted, None);
    });
}

/// Kind: one joins, another waits for that one's word.
fn joined_by_two_ways(stage: &Stage) {
    let child = stage.keep("child", hang);
    let (tx, rx) = bounded::<()>(0);
    stage.go("first", move || {
        let _ = child.join();
        tx.send(())
    });
    stage.go("second", move || rx.recv());
}

/// Kind: a child that hangs; but whoever has the handle could cancel it.
fn a_child_whose_handle_is_kept(stage: &Stage) {
    static KEPT: std::sync::Mutex<Vec<JoinHandle<()>>> = std::sync::Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(stage.keep("child", hang));
}

/// The child sleeps.
fn a_join_of_one_that_sleeps(stage: &Stage) {
    let child = stage.keep("child", a_while);
    stage.go("parent", move || child.join().unwrap());
}

/// The child computes.
fn a_join_of_one_that_computes(stage: &Stage) {
    let child = stage.keep("child", compute);
    stage.go("parent", move || assert_ne!(child.join().unwrap(), 1));
}

/// What the child waits for is a plain thread's.
fn a_join_of_one_that_a_plain_thread_wakes(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    let child = stage.keep("child", move || rx.recv());
    stage.go("parent", move || assert_eq!(child.join().unwrap(), Ok(1)));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        tx.send(1).unwrap();
    });
}

/// The child hangs, and the parent does not wait for ever.
fn a_join_with_a_limit(stage: &Stage) {
    let child = stage.keep("child", hang);
    stage.go("parent", move || {
        let child = child.join_timeout(Duration::from_millis(60)).unwrap_err();
        assert!(child.cancel());
    });
}

/// Joins of joins, of one that sleeps.
fn a_chain_of_joins(stage: &Stage) {
    let mut last = stage.keep("sleeps", a_while);
    for _ in 0..6 {
        last = stage.keep("joins", move || last.join().unwrap());
    }
}

/// A scope, and children that take their time.
fn a_scope_whose_children_sleep(stage: &Stage) {
    stage.go("parent", || {
        let mut sums = [0; 4];
        runtime::scope(|s| {
            for sum in &mut sums {
                s.spawn(move || {
                    a_while();
                    *sum += 1;
                });
            }
        });
        assert_eq!(sums, [1; 4]);
    });
}

/// The sender lies in the frame of the parent, who waits for its children; one of them will use it.
fn a_scope_that_borrows_the_sender(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let (tx, rx) = bounded::<u32>(0);
        stage2.go("receiver", move || assert_eq!(rx.recv(), Ok(1)));
        runtime::scope(|s| {
            s.spawn(|| {
                a_while();
                tx.send(1).unwrap();
            });
        });
    });
}

/// Both children use channels of the parent's frame.
fn a_scope_that_borrows_what_a_child_waits_on(stage: &Stage) {
    stage.go("parent", || {
        let (tx, rx) = bounded::<u32>(0);
        runtime::scope(|s| {
            s.spawn(|| assert_eq!(rx.recv(), Ok(1)));
            s.spawn(|| {
                a_while();
                tx.send(1).unwrap();
            });
        });
    });
}

/// Children that hang, and a parent that cancels them.
fn a_scope_that_is_cancelled(stage: &Stage) {
    stage.go("parent", || {
        runtime::scope(|s| {
            s.spawn(hang);
            s.spawn(hang);
            a_while();
            s.cancel();
        });
    });
}

/// Who cancels is a child of another scope.
fn a_scope_that_an_inner_scope_cancels(stage: &Stage) {
    stage.go("parent", || {
        runtime::scope(|outer| {
            outer.spawn(hang);
            runtime::scope(|inner| {
                inner.spawn(|| {
                    a_while();
                    outer.cancel();
                });
            });
        });
    });
}

/// What a child borrows of its parent's frame, only the heap knows.
fn a_boxed_job_that_borrows(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("parent", move || {
        let ((tx, rx), (to_us, outbox)) = (bounded::<u32>(0), bounded::<u32>(0));
        stage2.go("receiver", move || assert_eq!(rx.recv(), Ok(1)));
        runtime::scope(|s| {
            let job: Box<dyn FnOnce() + Send> = Box::new(|| {
                tx.send(1).unwrap();
                to_us.send(2).unwrap();
            });
            s.spawn(move || {
                let jobs = vec![job];
                a_while();
                jobs.into_iter().for_each(|job| job());
            });
            assert_eq!(outbox.recv(), Ok(2));
        });
    });
}

/// A group whose members end one after the other.
fn gathered_one_by_one(stage: &Stage) {
    let handles: Vec<_> = (1..5u64)
        .map(|n| {
            stage.keep("member", move || {
                runtime::time::sleep(Duration::from_millis(15 * n));
                n
            })
        })
        .collect();
    stage.go("gathers", move || {
        assert_eq!(task::gather(handles).unwrap(), [1, 2, 3, 4])
    });
}

/// It hangs until its handle is used.
fn a_kept_handle_that_cancels(stage: &Stage) {
    let handles = Arc::new(std::sync::Mutex::new(vec![stage.keep("child", hang)]));
    stage.go("canceller", move || {
        a_while();
        assert!(handles.lock().unwrap().pop().unwrap().cancel());
    });
}

/// It hangs within a limit.
fn a_timeout_around_a_hang(stage: &Stage) {
    stage.go("in time", || {
        assert!(runtime::time::timeout(Duration::from_millis(60), hang).is_err());
    });
}

/// It hangs where another can cut the wait short.
fn a_cancellable_hang(stage: &Stage) {
    let (tx, rx) = bounded(1);
    stage.go("child", move || {
        let ended = runtime::cancellable(|canceller| {
            tx.send(canceller).unwrap();
            hang();
        });
        assert!(ended.is_err());
    });
    stage.go("canceller", move || {
        let canceller: runtime::Canceller = rx.recv().unwrap();
        a_while();
        assert!(canceller.cancel());
    });
}

/// It waits for a lock, and the holder for its end, with a limit.
fn the_main_goroutines_handle(stage: &Stage) {
    let lock = Arc::new(Mutex::new(0));
    let (has_it, lock2) = (Meet::of(2), lock.clone());
    let has_it2 = has_it.clone();
    let child = stage.keep("child", move || {
        has_it2.arrive();
        *lock2.lock().unwrap() += 1;
    });
    stage.go("parent", move || {
        let guard = lock.lock().unwrap();
        has_it.arrive();
        let child = child.join_timeout(Duration::from_millis(60)).unwrap_err();
        drop(guard);
        child.join().unwrap();
    });
}
