//! Locks and channels that only look like those of `mixed.rs`.

use crate::mixed::Lock;
use crate::stage::{Stage, Twin, a_while, pause, twins};
use channels::{bounded, select};

pub const TWINS: &[Twin] = twins![
    stop_waits_after_the_lock,
    a_keeper_that_does_not_lock,
    keepalive_sleeps_without_the_lock,
    a_status_is_sent_after_the_lock,
    a_frame_is_sent_to_one_that_drains,
    a_full_queue_that_is_emptied_later,
    the_lock_is_held_for_a_slow_channel,
    a_monitor_that_tries,
];

/// As etcd#6873 was mended.
fn stop_waits_after_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (updates, inbox) = bounded::<u32>(1);
    let (done, ended) = bounded::<()>(0);
    let lock2 = lock.clone();
    updates.send(1).unwrap();
    stage.go("broadcast", move || {
        for n in inbox {
            a_while();
            *lock2.lock().unwrap() += n;
        }
        drop(done);
    });
    stage.go("stop", move || {
        drop(lock.lock());
        drop(updates);
        assert!(ended.recv().is_err());
    });
}

/// As etcd#7492 was mended: the keeper takes tokens whatever happens.
fn a_keeper_that_does_not_lock(stage: &Stage) {
    let lock = Lock::default();
    let (add, tokens) = bounded::<u32>(1);
    stage.go("keeper", move || {
        a_while();
        assert_eq!(tokens.iter().count(), 9);
    });
    for _ in 0..3 {
        let (lock, add) = (lock.clone(), add.clone());
        stage.go("client", move || {
            let _guard = lock.lock();
            (0..3).for_each(|n| add.send(n).unwrap());
        });
    }
}

/// As grpc#1460 was mended.
fn keepalive_sleeps_without_the_lock(stage: &Stage) {
    let streams = Lock::default();
    let (awaken, awoken) = bounded::<()>(1);
    let streams2 = streams.clone();
    stage.go("keepalive", move || {
        if *streams.lock().unwrap() == 0 {
            awoken.recv().unwrap();
        }
    });
    stage.go("new stream", move || {
        a_while();
        *streams2.lock().unwrap() += 1;
        awaken.try_send(()).unwrap();
    });
}

/// As kubernetes#10182 was mended.
fn a_status_is_sent_after_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (tx, rx) = bounded::<bool>(0);
    for _ in 0..3 {
        let (lock, tx) = (lock.clone(), tx.clone());
        stage.go("sender", move || {
            *lock.lock().unwrap() += 1;
            tx.send(true).unwrap();
        });
    }
    stage.go("syncer", move || {
        for _ in rx {
            pause();
            *lock.lock().unwrap() += 1;
        }
    });
}

/// As kubernetes#6632 was mended: somebody takes what is sent meanwhile.
fn a_frame_is_sent_to_one_that_drains(stage: &Stage) {
    let lock = Lock::default();
    let (reset, resets) = bounded::<bool>(0);
    let lock2 = lock.clone();
    stage.go("write frame", move || {
        let _guard = lock.lock();
        reset.send(true).unwrap();
    });
    stage.go("monitor", move || {
        pause();
        let guard = lock2.lock();
        drop(guard);
    });
    stage.go("drain", move || {
        a_while();
        assert_eq!(resets.iter().count(), 1);
    });
}

/// The queue is full, its producer has the lock; the consumer comes late, and without.
fn a_full_queue_that_is_emptied_later(stage: &Stage) {
    let lock = Lock::default();
    let (tx, rx) = bounded::<u32>(4);
    let lock2 = lock.clone();
    stage.go("producer", move || {
        let _guard = lock.lock();
        (0..9).for_each(|n| tx.send(n).unwrap());
    });
    stage.go("behind", move || {
        pause();
        *lock2.lock().unwrap() += 1;
    });
    stage.go("consumer", move || {
        a_while();
        assert_eq!(rx.iter().sum::<u32>(), 36);
    });
}

/// The holder waits for a value, others for the holder.
fn the_lock_is_held_for_a_slow_channel(stage: &Stage) {
    let lock = Lock::default();
    let (tx, rx) = bounded::<u32>(0);
    for _ in 0..3 {
        let (lock, rx) = (lock.clone(), rx.clone());
        stage.go("holder", move || {
            let mut sum = lock.lock().unwrap();
            select! {
                recv(rx) -> n => *sum += n.unwrap(),
            }
        });
    }
    stage.go("sender", move || {
        for n in 0..3 {
            a_while();
            tx.send(n).unwrap();
        }
    });
}

/// As moby#28462, but the monitor only tries.
fn a_monitor_that_tries(stage: &Stage) {
    let container = Lock::default();
    let (stop, stopped) = bounded::<()>(0);
    let container2 = container.clone();
    stage.go("monitor", move || {
        while stopped.try_recv().is_err() {
            if let Ok(mut n) = container2.try_lock() {
                *n += 1;
            }
            pause();
        }
    });
    stage.go("state changed", move || {
        let _guard = container.lock();
        stop.send(()).unwrap();
    });
}
