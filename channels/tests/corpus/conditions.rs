//! Conditions, events and barriers. Beside a goroutine that goes on, waits for them are not judged; who waits
//! behind one of their waiters is, where the chain leads over locks, channels and joins only.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, compute, twins};
use channels::{bounded, select};
use runtime::sync::{Barrier, Condvar, Event, Mutex};
use std::sync::Arc;
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    a_wait_that_nobody_notifies: ["active"];
    notified_before_the_wait: ["waits"];
    a_lost_wake_up: ["consumer"];
    notify_one_woke_the_wrong_one: ["eats", "eats"];
    a_condition_under_a_second_lock: ["notifies", "waits"];
    a_condition_behind_a_channel: ["remove", "reset"];
    a_bounded_buffer_with_one_condition_too_few: ["producer"];
    a_barrier_with_one_too_few: ["member", "member"];
    a_barrier_that_is_used_twice_by_one: ["once", "once", "twice"];
    a_barrier_of_which_one_waits_for_another: ["member", "member", "waits"];
    an_event_that_is_never_set: ["waits", "waits"];
    an_event_that_was_cleared_too_soon: ["waits"];
    two_events_that_wait_for_each_other: ["a", "b"];
];

const TWINS: &[Twin] = twins![
    a_condition_that_comes_late,
    a_condition_from_a_plain_thread,
    a_condition_with_a_limit,
    notify_all_woke_all,
    a_barrier_whose_last_one_sleeps,
    a_barrier_whose_last_one_computes,
    an_event_that_is_set_late,
    an_event_with_a_limit,
    an_event_behind_a_select,
];

pub const CLASS: Class = Class {
    name: "condition, event, barrier",
    bugs: BUGS,
    twins: TWINS,
    whole: 13,
    partial: 0,
};

/// A flag, or a number, that is announced.
#[derive(Default)]
struct Cell {
    value: Mutex<u32>,
    changed: Condvar,
}

impl Cell {
    fn until(&self, value: u32) {
        let mut now = self.value.lock().unwrap();
        while *now < value {
            now = self.changed.wait(now).unwrap();
        }
    }

    fn add(&self) {
        *self.value.lock().unwrap() += 1;
        self.changed.notify_all();
    }
}

/// GoBench GOKER moby#30408, kind "Condition Variable": the error path announces nothing.
fn a_wait_that_nobody_notifies(stage: &Stage) {
    let plugin = Cell::default();
    stage.go("active", move || plugin.until(1));
}

/// Kind: lost wake-up; the announcement is no state, and comes first.
fn notified_before_the_wait(stage: &Stage) {
    let (cell, notified) = (Arc::new(Cell::default()), Meet::of(2));
    let (cell2, notified2) = (cell.clone(), notified.clone());
    stage.go("notifies", move || {
        cell.changed.notify_all();
        notified.arrive();
    });
    stage.go("waits", move || {
        notified2.arrive();
        let guard = cell2.value.lock().unwrap();
        drop(cell2.changed.wait(guard));
    });
}

/// Kind: lost wake-up; between the look and the wait the lock is given up.
fn a_lost_wake_up(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    let (looked, changed) = (Meet::of(2), Meet::of(2));
    let (cell2, looked2, changed2) = (cell.clone(), looked.clone(), changed.clone());
    stage.go("producer", move || {
        looked.arrive();
        cell.add();
        changed.arrive();
    });
    stage.go("consumer", move || {
        let empty = *cell2.value.lock().unwrap() == 0;
        looked2.arrive();
        changed2.arrive();
        if empty {
            let guard = cell2.value.lock().unwrap();
            drop(cell2.changed.wait(guard));
        }
    });
}

/// Kind: one announcement, two kinds of waiters: it reaches one that cannot use it.
fn notify_one_woke_the_wrong_one(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    for i in 0..2 {
        let cell = cell.clone();
        stage.go("eats", move || {
            let mut n = cell.value.lock().unwrap();
            while *n <= 10 + i {
                *n += 1;
                n = cell.changed.wait(n).unwrap();
            }
        });
    }
    while *cell.value.lock().unwrap() < 2 {
        runtime::yield_now();
    }
    cell.changed.notify_one();
}

/// Kind: condition and lock; the wait gives up one of two locks, and who announces needs the other.
fn a_condition_under_a_second_lock(stage: &Stage) {
    let (cell, outer) = (Arc::new(Cell::default()), Arc::new(Mutex::new(())));
    let has_it = Meet::of(2);
    let (cell2, outer2, has_it2) = (cell.clone(), outer.clone(), has_it.clone());
    stage.go("waits", move || {
        let _outer = outer.lock();
        has_it.arrive();
        cell.until(1);
    });
    stage.go("notifies", move || {
        has_it2.arrive();
        let _outer = outer2.lock();
        cell2.add();
    });
}

/// GoBench GOKER moby#27782, kind "Channel & Condition Variable": who would announce has ended, and another
/// waits for the waiter.
fn a_condition_behind_a_channel(stage: &Stage) {
    let (cell, (gone, removed)) = (Arc::new(Cell::default()), bounded::<()>(0));
    let (cell2, done) = (cell.clone(), Chan::<()>::new(0));
    let events = done.clone();
    stage.go("read events", move || {
        select! {
            recv(events.rx) -> _ => {}
            default => {}
        }
        drop(cell2);
    });
    stage.go("remove", move || {
        cell.until(1);
        drop(gone);
    });
    stage.go("reset", move || {
        let _ = removed.recv();
        done.tx.close();
    });
}

/// Kind: the consumer takes, and does not announce that there is room.
fn a_bounded_buffer_with_one_condition_too_few(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    let cell2 = cell.clone();
    let full = Meet::of(2);
    let full2 = full.clone();
    stage.go("producer", move || {
        let mut n = cell.value.lock().unwrap();
        *n = 4;
        full.arrive();
        while *n > 3 {
            n = cell.changed.wait(n).unwrap();
        }
    });
    stage.go("consumer", move || {
        full2.arrive();
        *cell2.value.lock().unwrap() -= 1; // locks when the other waits
    });
}

/// Kind: a barrier for three, and two come.
fn a_barrier_with_one_too_few(stage: &Stage) {
    let barrier = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let barrier = barrier.clone();
        stage.go("member", move || barrier.wait());
    }
}

/// Kind: one member goes round once more than the others.
fn a_barrier_that_is_used_twice_by_one(stage: &Stage) {
    let barrier = Arc::new(Barrier::new(4));
    for (name, rounds) in [("once", 1), ("once", 1), ("twice", 2)] {
        let barrier = barrier.clone();
        stage.go(name, move || (0..rounds).for_each(|_| _ = barrier.wait()));
    }
}

/// Kind: barrier and channel; the third member waits for what the second sends after the barrier.
fn a_barrier_of_which_one_waits_for_another(stage: &Stage) {
    let (barrier, (tx, rx)) = (Arc::new(Barrier::new(3)), bounded::<u32>(0));
    for i in 0..2 {
        let (barrier, tx) = (barrier.clone(), tx.clone());
        stage.go("member", move || {
            barrier.wait();
            (i == 1).then(|| tx.send(1))
        });
    }
    drop(tx);
    stage.go("waits", move || {
        let _ = rx.recv();
        barrier.wait();
    });
}

/// Kind: an event that is not set on the way out that was taken.
fn an_event_that_is_never_set(stage: &Stage) {
    let ready = Arc::new(Event::new());
    for _ in 0..2 {
        let ready = ready.clone();
        stage.go("waits", move || ready.wait());
    }
}

/// Kind: an event that is set and cleared before it was looked at.
fn an_event_that_was_cleared_too_soon(stage: &Stage) {
    let (ready, cleared) = (Arc::new(Event::new()), Meet::of(2));
    let (ready2, cleared2) = (ready.clone(), cleared.clone());
    stage.go("pulses", move || {
        ready.set();
        ready.clear();
        cleared.arrive();
    });
    stage.go("waits", move || {
        cleared2.arrive();
        ready2.wait();
    });
}

/// Kind: each sets its event when the other's is set.
fn two_events_that_wait_for_each_other(stage: &Stage) {
    let (a, b) = (Arc::new(Event::new()), Arc::new(Event::new()));
    for (name, mine, other) in [("a", a.clone(), b.clone()), ("b", b, a)] {
        stage.go(name, move || {
            other.wait();
            mine.set();
        });
    }
}

/// It is announced, in the end.
fn a_condition_that_comes_late(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    for _ in 0..3 {
        let cell = cell.clone();
        stage.go("waits", move || cell.until(1));
    }
    stage.go("notifies", move || {
        a_while();
        cell.add();
    });
}

/// A plain thread announces it.
fn a_condition_from_a_plain_thread(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    let cell2 = cell.clone();
    stage.go("waits", move || cell.until(1));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        cell2.add();
    });
}

/// Nobody announces it, but the wait has a limit.
fn a_condition_with_a_limit(stage: &Stage) {
    stage.go("waits", || {
        let cell = Cell::default();
        let guard = cell.value.lock().unwrap();
        let (_, ended) = cell
            .changed
            .wait_timeout(guard, Duration::from_millis(60))
            .unwrap();
        assert!(ended.timed_out());
    });
}

/// As it should be.
fn notify_all_woke_all(stage: &Stage) {
    let cell = Arc::new(Cell::default());
    for i in 1..5 {
        let cell = cell.clone();
        stage.go("waits", move || cell.until(i));
    }
    stage.go("notifies", move || {
        for _ in 0..4 {
            runtime::time::sleep(Duration::from_millis(15));
            cell.add();
        }
    });
}

/// The last one is late.
fn a_barrier_whose_last_one_sleeps(stage: &Stage) {
    let barrier = Arc::new(Barrier::new(4));
    for i in 0..4 {
        let barrier = barrier.clone();
        stage.go("member", move || {
            if i == 3 {
                a_while();
            }
            barrier.wait();
        });
    }
}

/// The last one is late, and not in the runtime.
fn a_barrier_whose_last_one_computes(stage: &Stage) {
    let barrier = Arc::new(Barrier::new(3));
    for i in 0..3 {
        let barrier = barrier.clone();
        stage.go("member", move || {
            if i == 2 {
                compute();
            }
            barrier.wait();
        });
    }
}

/// It is set, in the end.
fn an_event_that_is_set_late(stage: &Stage) {
    let ready = Arc::new(Event::new());
    for _ in 0..3 {
        let ready = ready.clone();
        stage.go("waits", move || ready.wait());
    }
    stage.go("sets", move || {
        a_while();
        ready.set();
    });
}

/// It is not set, but the wait has a limit.
fn an_event_with_a_limit(stage: &Stage) {
    stage.go("waits", || {
        assert!(!Event::new().wait_timeout(Duration::from_millis(60)));
    });
}

/// Who sets it waits in a select.
fn an_event_behind_a_select(stage: &Stage) {
    let (ready, (tx, rx)) = (Arc::new(Event::new()), bounded::<()>(0));
    let (ready2, alone) = (ready.clone(), Chan::<()>::new(0));
    stage.go("waits", move || ready.wait());
    stage.go("sets", move || {
        select! {
            recv(rx) -> _ => ready2.set(),
            recv(alone.rx) -> _ => panic!("nobody sends"),
        }
    });
    stage.go("sends", move || {
        a_while();
        tx.send(()).unwrap();
    });
}
