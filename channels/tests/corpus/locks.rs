//! One lock, and who never gives it back.

use crate::stage::{Bug, Class, Meet, Stage, Twin, a_while, bugs, compute, pause, twins};
use runtime::sync::{Mutex, MutexGuard};
use std::mem;
use std::sync::{Arc, TryLockError};
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    locked_twice: ["locker"];
    locked_twice_through_a_callback: ["locker"];
    locked_twice_with_others_behind: ["behind", "behind", "behind", "locker"];
    two_methods_that_lock: ["locker"];
    a_static_lock_twice: ["locker"];
    the_error_path_keeps_the_lock: ["locker"];
    a_guard_forgotten_by_one_that_goes_on: ["behind", "holder"];
    a_guard_forgotten_by_one_that_ended: ["behind"];
    a_guard_in_a_box: ["locker"];
    locked_in_a_destructor: ["locker"];
    a_handle_that_is_kept: ["locker"], lost [];
];

const TWINS: &[Twin] = twins![
    the_holder_sleeps,
    the_holder_computes,
    the_holder_is_a_plain_thread,
    the_holder_waits_for_a_plain_thread,
    the_holder_has_not_run_for_long,
    a_guard_in_a_box_that_is_opened_later,
    a_lock_that_is_tried,
    a_lock_with_a_deadline,
    a_row_behind_one_lock,
    a_guard_on_a_deep_stack,
    a_static_lock_held_for_long,
    the_holder_is_cancelled,
    the_locker_is_cancelled,
];

pub const CLASS: Class = Class {
    name: "one lock",
    bugs: BUGS,
    twins: TWINS,
    whole: 11,
    partial: 13,
};

/// GoBench GOKER, kind "Double locking" (etcd#6708, hugo#5379, and ten others).
fn locked_twice(stage: &Stage) {
    stage.go("locker", || {
        let m = Mutex::new(0);
        let _first = m.lock();
        let _second = m.lock();
    });
}

/// Kind: double locking; the callee is a callback that locks what its caller holds.
fn locked_twice_through_a_callback(stage: &Stage) {
    let m = Arc::new(Mutex::new(vec![1, 2]));
    stage.go("locker", move || {
        let again = Arc::clone(&m);
        let callbacks: Vec<Box<dyn Fn(i32) + Send>> = vec![Box::new(move |n| {
            again.lock().unwrap().push(n);
        })];
        for &n in m.lock().unwrap().iter() {
            callbacks.iter().for_each(|f| f(n));
        }
    });
}

/// Kind: double locking; others, who do nothing wrong, are behind it.
fn locked_twice_with_others_behind(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(4);
    for name in ["locker", "behind", "behind", "behind"] {
        let (m, has_it) = (Arc::clone(&m), has_it.clone());
        stage.go(name, move || {
            let first = (name == "locker").then(|| m.lock().unwrap());
            has_it.arrive();
            *m.lock().unwrap() += 1;
            drop(first);
        });
    }
}

/// Kind: double locking; one method that locks calls another that does (as in etcd#10492, of GoBench GOKER).
fn two_methods_that_lock(stage: &Stage) {
    #[derive(Default)]
    struct Lessor {
        leases: Mutex<Vec<u32>>,
    }
    impl Lessor {
        fn checkpoint(&self) {
            let _leases = self.leases.lock();
            self.renew();
        }
        fn renew(&self) {
            self.leases.lock().unwrap().push(1);
        }
    }
    let lessor = Arc::new(Lessor::default());
    stage.go("locker", move || lessor.checkpoint());
}

/// Kind: double locking, of a lock in a static.
fn a_static_lock_twice(stage: &Stage) {
    static LOCK: Mutex<u32> = Mutex::new(0);
    stage.go("locker", || {
        let first = LOCK.lock().unwrap();
        *LOCK.lock().unwrap() = *first;
    });
}

/// GoBench GOKER cockroach#584, kind "Double locking": a way out of the loop without an unlock.
fn the_error_path_keeps_the_lock(stage: &Stage) {
    stage.go("locker", || {
        let closed = Mutex::new(true);
        for _ in 0..2 {
            let guard = closed.lock().unwrap();
            if *guard {
                mem::forget(guard);
            }
        }
    });
}

/// Kind: forgotten unlock; who forgot it waits for something else that never comes.
fn a_guard_forgotten_by_one_that_goes_on(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(2);
    let (m2, has_it2) = (Arc::clone(&m), has_it.clone());
    stage.go("holder", move || {
        mem::forget(m2.lock());
        has_it2.arrive();
        let (tx, rx) = channels::bounded::<()>(0);
        let _ = rx.recv();
        drop(tx);
    });
    stage.go("behind", move || {
        has_it.arrive();
        *m.lock().unwrap() += 1;
    });
}

/// GoBench GOKER moby#17176, kind "Double locking": a return without an unlock, and the next one waits.
fn a_guard_forgotten_by_one_that_ended(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let m2 = Arc::clone(&m);
    let holder = stage.keep("holder", move || mem::forget(m2.lock()));
    holder.join().unwrap();
    stage.go("behind", move || *m.lock().unwrap() += 1);
}

/// Kind: double locking; the first guard is in the heap.
fn a_guard_in_a_box(stage: &Stage) {
    stage.go("locker", || {
        let m = Mutex::new(0);
        let _held: Vec<Box<MutexGuard<i32>>> = vec![Box::new(m.lock().unwrap())];
        let _again = m.lock();
    });
}

/// Kind: double locking; the second lock is in the destructor of what the lock protects.
fn locked_in_a_destructor(stage: &Stage) {
    struct Entry(Arc<Mutex<usize>>);
    impl Drop for Entry {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }
    stage.go("locker", || {
        let count = Arc::new(Mutex::new(1));
        let entries = Mutex::new(vec![Entry(Arc::clone(&count))]);
        let held = count.lock().unwrap();
        entries.lock().unwrap().clear();
        drop(held);
    });
}

/// Kind: double locking; but whoever has the handle could cancel it.
fn a_handle_that_is_kept(stage: &Stage) {
    static KEPT: std::sync::Mutex<Option<runtime::JoinHandle<()>>> = std::sync::Mutex::new(None);
    let handle = stage.keep("locker", || {
        let m = Mutex::new(0);
        let _first = m.lock();
        let _second = m.lock();
    });
    *KEPT.lock().unwrap() = Some(handle);
}

/// Others who wait for the lock that `hold` holds for a while, and get it.
fn behind(stage: &Stage, n: usize, hold: impl FnOnce(&Mutex<u32>) + Send + 'static) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(2);
    let (m2, has_it2) = (Arc::clone(&m), has_it.clone());
    stage.go("holder", move || {
        let mut guard = m2.lock().unwrap();
        has_it2.arrive();
        let other = Mutex::new(0);
        hold(&other);
        *guard = 1;
    });
    has_it.arrive();
    for _ in 0..n {
        let m = Arc::clone(&m);
        stage.go("behind", move || assert_eq!(*m.lock().unwrap(), 1));
    }
}

/// The holder sleeps.
fn the_holder_sleeps(stage: &Stage) {
    behind(stage, 3, |_| a_while());
}

/// The holder computes, and does not enter the runtime.
fn the_holder_computes(stage: &Stage) {
    behind(stage, 3, |_| {
        compute();
    });
}

/// The holder is a plain thread, which has no goroutine's stack.
fn the_holder_is_a_plain_thread(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(2);
    let (m2, has_it2) = (Arc::clone(&m), has_it.clone());
    let thread = std::thread::spawn(move || {
        let mut guard = m2.lock().unwrap();
        has_it2.arrive();
        std::thread::sleep(Duration::from_millis(60));
        *guard = 1;
    });
    has_it.arrive();
    stage.go("behind", move || assert_eq!(*m.lock().unwrap(), 1));
    runtime::blocking(|| thread.join()).unwrap();
}

/// The holder waits for what a plain thread will send.
fn the_holder_waits_for_a_plain_thread(stage: &Stage) {
    behind(stage, 2, |_| {
        let (tx, rx) = channels::bounded(0);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            tx.send(1)
        });
        assert_eq!(rx.recv(), Ok(1));
        thread.join().unwrap().unwrap();
    });
}

/// The holder is ready to run, but others keep it from that.
fn the_holder_has_not_run_for_long(stage: &Stage) {
    for _ in 0..4 {
        stage.go("busy", || {
            pause();
            compute();
        });
    }
    behind(stage, 2, |_| (0..40).for_each(|_| runtime::yield_now()));
}

/// The holder's guard is in the heap, with the holder asleep.
fn a_guard_in_a_box_that_is_opened_later(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(2);
    let (m2, has_it2) = (Arc::clone(&m), has_it.clone());
    stage.go("holder", move || {
        let mut held = Vec::from([Box::new(m2.lock().unwrap())]);
        has_it2.arrive();
        a_while();
        **held[0] = 1;
    });
    has_it.arrive();
    stage.go("behind", move || assert_eq!(*m.lock().unwrap(), 1));
}

/// Who holds it tries it again, and does without.
fn a_lock_that_is_tried(stage: &Stage) {
    stage.go("locker", || {
        let m = Mutex::new(0);
        let _first = m.lock();
        a_while();
        assert!(matches!(m.try_lock(), Err(TryLockError::WouldBlock)));
    });
}

/// Who holds it waits for it again, but not for ever.
fn a_lock_with_a_deadline(stage: &Stage) {
    stage.go("locker", || {
        let m = Mutex::new(0);
        let _first = m.lock();
        assert!(m.lock_timeout(Duration::from_millis(60)).is_err());
    });
}

/// Many behind one lock, each of whom holds it for a while.
fn a_row_behind_one_lock(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    for _ in 0..8 {
        let m = Arc::clone(&m);
        stage.go("one of many", move || {
            let mut n = m.lock().unwrap();
            pause();
            *n += 1;
        });
    }
}

/// The holder's frame is far below the one in which it locked.
fn a_guard_on_a_deep_stack(stage: &Stage) {
    fn deep(n: usize) -> usize {
        let frame = std::hint::black_box([n; 64]);
        match n {
            0 => {
                a_while();
                0
            }
            _ => deep(n - 1) + frame[63],
        }
    }
    behind(stage, 2, |_| assert_eq!(deep(40), 820));
}

/// A lock in a static, held for long.
fn a_static_lock_held_for_long(stage: &Stage) {
    static LOCK: Mutex<u32> = Mutex::new(0);
    for _ in 0..3 {
        stage.go("locker", || {
            let mut n = LOCK.lock().unwrap();
            a_while();
            *n += 1;
        });
    }
}

/// The holder hangs, but its handle is somebody's who cancels it.
fn the_holder_is_cancelled(stage: &Stage) {
    let m = Arc::new(Mutex::new(0));
    let has_it = Meet::of(2);
    let (m2, has_it2) = (Arc::clone(&m), has_it.clone());
    let holder = stage.keep("holder", move || {
        let _guard = m2.lock();
        has_it2.arrive();
        let _ = channels::Receiver::<()>::nil().recv();
    });
    has_it.arrive();
    stage.go("behind", move || drop(m.lock()));
    a_while();
    assert!(holder.cancel());
}

/// It locks twice, and is cancelled.
fn the_locker_is_cancelled(stage: &Stage) {
    let locker = stage.keep("locker", || {
        let m = Mutex::new(0);
        let _first = m.lock();
        let _second = m.lock();
    });
    a_while();
    assert!(locker.cancel());
}
