//! Locks and channels: who holds a lock waits for a channel whose other end waits for the lock.

use crate::mixed_twins;
use crate::stage::{Bug, Chan, Class, Meet, Stage, bugs};
use channels::{Receiver, Sender, bounded};
use runtime::sync::{Mutex, WaitGroup};
use std::sync::Arc;

const BUGS: &[Bug] = bugs![
    stop_waits_under_the_lock: ["broadcast", "stop"];
    a_keeper_that_locks_what_its_clients_hold: ["client", "client", "client", "keeper"];
    a_round_under_the_lock: ["follower", "follower", "leader"];
    keepalive_sleeps_under_the_lock: ["keepalive", "new stream"];
    keepalive_in_one_structure: ["keepalive", "new stream"];
    a_status_is_sent_under_the_lock: ["sender", "sender", "syncer"];
    distribute_holds_what_stop_needs: ["distribute", "stop"];
    a_frame_is_sent_under_the_lock: ["monitor", "write frame"];
    a_monitor_that_locks: ["monitor", "state changed"];
    requests_wait_for_locks_of_their_caller: ["caller", "request", "request"];
    a_handler_locks_what_the_caller_holds: ["caller", "run"];
    drains_are_waited_for_under_the_lock: ["quiesce", "worker"];
    a_full_queue_under_the_lock: ["consumer", "producer"];
    two_locks_and_a_channel: ["a", "b", "c"];
    an_answer_waits_for_the_lock: ["asks", "server"];
];

pub const CLASS: Class = Class {
    name: "lock and channel",
    bugs: BUGS,
    twins: mixed_twins::TWINS,
    whole: 15,
    partial: 30,
};

pub(crate) type Lock = Arc<Mutex<u32>>;

fn until_locked(lock: &Mutex<u32>) {
    while lock.try_lock().is_ok() {
        runtime::yield_now();
    }
}

/// GoBench GOKER etcd#6873, kind "Channel & Lock": `stop` waits, with the lock, for one that wants it.
fn stop_waits_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (updates, inbox) = bounded::<u32>(1);
    let (done, ended) = bounded::<()>(0);
    let both = Meet::of(2);
    let (lock2, both2) = (lock.clone(), both.clone());
    updates.send(1).unwrap();
    stage.go("broadcast", move || {
        for n in inbox {
            both2.arrive();
            *lock2.lock().unwrap() += n;
        }
        drop(done);
    });
    stage.go("stop", move || {
        let _guard = lock.lock();
        drop(updates);
        both.arrive();
        let _ = ended.recv();
    });
}

/// GoBench GOKER etcd#7492, kind "Channel & Lock": clients add tokens with the lock, the keeper locks to
/// delete them.
fn a_keeper_that_locks_what_its_clients_hold(stage: &Stage) {
    let lock = Lock::default();
    let (add, tokens) = bounded::<u32>(1);
    let locked = lock.clone();
    stage.go("keeper", move || {
        while !tokens.is_full() {
            runtime::yield_now();
        }
        *locked.lock().unwrap() += 1;
        tokens.iter().count()
    });
    for _ in 0..3 {
        let (lock, add) = (lock.clone(), add.clone());
        stage.go("client", move || {
            let _guard = lock.lock();
            (0..3).for_each(|n| add.send(n).unwrap());
        });
    }
}

/// GoBench GOKER etcd#7902, kind "Channel & Lock": followers wait for the leader's signal with the lock that
/// the leader needs to give it.
fn a_round_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (next, round) = bounded::<()>(0);
    let waits = Meet::of(3);
    let (lock2, waits2) = (lock.clone(), waits.clone());
    stage.go("leader", move || {
        waits2.arrive();
        *lock2.lock().unwrap() += 1;
        drop(next);
    });
    for i in 0..2 {
        let (lock, round, waits) = (lock.clone(), round.clone(), waits.clone());
        stage.go("follower", move || {
            if i == 1 {
                waits.arrive();
            }
            let _guard = lock.lock();
            if i == 0 {
                waits.arrive();
            }
            let _ = round.recv();
        });
    }
}

/// GoBench GOKER grpc#1460, kind "Channel & Lock".
fn keepalive_sleeps_under_the_lock(stage: &Stage) {
    let streams = Lock::default();
    let (awaken, awoken) = bounded::<()>(0);
    let both = Meet::of(2);
    let (streams2, both2) = (streams.clone(), both.clone());
    stage.go("keepalive", move || {
        let streams = streams.lock().unwrap();
        both.arrive();
        if *streams == 0 {
            let _ = awoken.recv();
        }
    });
    stage.go("new stream", move || {
        both2.arrive();
        *streams2.lock().unwrap() += 1;
        let _ = awaken.try_send(());
    });
}

/// The same, with the lock and both ends in one structure in the heap: there memory leads to the ends.
fn keepalive_in_one_structure(stage: &Stage) {
    struct Transport {
        streams: Mutex<u32>,
        awaken: Sender<()>,
        awoken: Receiver<()>,
    }
    let (awaken, awoken) = bounded(0);
    let t = Arc::new(Transport {
        streams: Mutex::new(0),
        awaken,
        awoken,
    });
    let both = Meet::of(2);
    let (t2, both2) = (t.clone(), both.clone());
    stage.go("keepalive", move || {
        let streams = t.streams.lock().unwrap();
        both.arrive();
        if *streams == 0 {
            let _ = t.awoken.recv();
        }
    });
    stage.go("new stream", move || {
        both2.arrive();
        *t2.streams.lock().unwrap() += 1;
        let _ = t2.awaken.try_send(());
    });
}

/// GoBench GOKER kubernetes#10182, kind "Channel & Lock".
fn a_status_is_sent_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let ((tx, rx), next) = (bounded::<bool>(0), Meet::of(2));
    let (lock2, next2) = (lock.clone(), next.clone());
    stage.go("syncer", move || {
        for _ in rx {
            next2.arrive();
            *lock2.lock().unwrap() += 1;
        }
    });
    for i in 0..3 {
        let (lock, tx) = (lock.clone(), tx.clone());
        let sender = stage.keep("sender", move || {
            let _guard = lock.lock();
            tx.send(true).unwrap();
        });
        if i == 0 {
            sender.join().unwrap();
        }
    }
    until_locked(&lock);
    next.arrive();
}

/// GoBench GOKER kubernetes#1321, kind "Channel & Lock": only who needs the lock would take what is sent.
fn distribute_holds_what_stop_needs(stage: &Stage) {
    let watchers = Lock::default();
    let (result, watcher) = bounded::<u32>(0);
    let both = Meet::of(2);
    let (watchers2, both2) = (watchers.clone(), both.clone());
    stage.go("distribute", move || {
        let _guard = watchers.lock();
        both.arrive();
        let _ = result.send(1);
    });
    stage.go("stop", move || {
        both2.arrive();
        *watchers2.lock().unwrap() -= 1;
        drop(watcher);
    });
}

/// GoBench GOKER kubernetes#6632, kind "Channel & Lock".
fn a_frame_is_sent_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let reset = Chan::<bool>::new(0);
    let (close, closed) = bounded::<()>(0);
    let has_it = Meet::of(2);
    let (lock2, reset2, has_it2) = (lock.clone(), reset.clone(), has_it.clone());
    stage.go("monitor", move || {
        closed.recv().unwrap();
        let _guard = lock.lock();
        reset.tx.close();
    });
    stage.go("write frame", move || {
        let _guard = lock2.lock();
        has_it2.arrive();
        reset2.send(true);
    });
    has_it.arrive();
    close.send(()).unwrap();
}

/// GoBench GOKER moby#28462, kind "Channel & Lock": a loop that looks at its stop channel now and then, and
/// locks in between.
fn a_monitor_that_locks(stage: &Stage) {
    let container = Lock::default();
    let (stop, stopped) = bounded::<()>(0);
    let has_it = Meet::of(2);
    let (container2, has_it2) = (container.clone(), has_it.clone());
    stage.go("monitor", move || {
        let mut first = true;
        while stopped.try_recv().is_err() {
            if std::mem::take(&mut first) {
                has_it2.arrive();
            }
            *container2.lock().unwrap() += 1;
            runtime::yield_now();
        }
    });
    stage.go("state changed", move || {
        let _guard = container.lock();
        has_it.arrive();
        let _ = stop.send(());
    });
}

/// GoBench GOKER serving#2137, kind "Channel & Lock": the second request got the only place, and waits for a
/// lock that the caller gives up after the first.
fn requests_wait_for_locks_of_their_caller(stage: &Stage) {
    let active = Chan::<()>::new(1);
    let stage2 = stage.clone();
    stage.go("caller", move || {
        let locks = [Lock::default(), Lock::default()];
        let accepted = [Chan::<bool>::new(1), Chan::<bool>::new(1)];
        let guards = [locks[0].lock(), locks[1].lock()];
        for i in [1, 0] {
            let (places, lock, accepted) = (active.clone(), locks[i].clone(), accepted[i].clone());
            stage2.go("request", move || {
                places.send(());
                drop(lock.lock());
                places.recv();
                accepted.send(true);
            });
            while active.tx.is_empty() {
                runtime::yield_now();
            }
        }
        for (guard, accepted) in guards.into_iter().zip(&accepted) {
            drop(guard);
            accepted.recv();
        }
    });
}

/// GoBench GOKER istio#16224, kind "Channel & Lock": the handler's answer is waited for after the lock.
fn a_handler_locks_what_the_caller_holds(stage: &Stage) {
    let lock = Lock::default();
    let (events, inbox) = bounded::<u32>(0);
    let (done, answer) = bounded::<()>(0);
    let lock2 = lock.clone();
    stage.go("run", move || {
        for n in inbox {
            let mut sum = lock2.lock().unwrap();
            *sum += n;
            done.send(()).unwrap();
        }
    });
    stage.go("caller", move || {
        events.send(1).unwrap();
        until_locked(&lock);
        drop(lock.lock());
        let _ = answer.recv();
    });
}

/// GoBench GOKER cockroach#1055, kind "Channel & WaitGroup": who stops waits, with the lock, for a worker that
/// waits for it to go on.
fn drains_are_waited_for_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (drain, started) = (Arc::new(WaitGroup::new()), Meet::of(2));
    let (stop, stopped) = bounded::<()>(0);
    let (drain2, started2) = (drain.clone(), started.clone());
    stage.go("worker", move || {
        drain2.add(1);
        started2.arrive();
        let _ = stopped.recv();
        drain2.done();
    });
    stage.go("quiesce", move || {
        started.arrive();
        let _guard = lock.lock();
        drain.wait();
        drop(stop);
    });
}

/// Kind: lock and channel; the producer's queue is full, and its consumer needs the lock.
fn a_full_queue_under_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (tx, rx) = bounded::<u32>(4);
    let full = Meet::of(2);
    let (lock2, full2) = (lock.clone(), full.clone());
    stage.go("producer", move || {
        let _guard = lock.lock();
        for n in 0..5 {
            if n == 4 {
                full.arrive();
            }
            tx.send(n).unwrap();
        }
    });
    stage.go("consumer", move || {
        full2.arrive();
        let mut sum = lock2.lock().unwrap();
        rx.iter().for_each(|n| *sum += n);
    });
}

/// Kind: a circle of two locks and a channel.
fn two_locks_and_a_channel(stage: &Stage) {
    let [a, b] = [Lock::default(), Lock::default()];
    let (tx, rx) = bounded::<u32>(0);
    let all = Meet::of(3);
    let (a2, b2, all2, all3) = (a.clone(), b.clone(), all.clone(), all.clone());
    stage.go("a", move || {
        let _a = a.lock();
        all.arrive();
        let _b = b.lock();
    });
    stage.go("b", move || {
        let _b = b2.lock();
        all2.arrive();
        let _ = rx.recv();
    });
    stage.go("c", move || {
        all3.arrive();
        let _a = a2.lock();
        let _ = tx.send(1);
    });
}

/// Kind: lock and channel; the question is asked with the lock that the answer needs.
fn an_answer_waits_for_the_lock(stage: &Stage) {
    let lock = Lock::default();
    let (questions, inbox) = bounded::<Sender<u32>>(0);
    let lock2 = lock.clone();
    stage.go("server", move || {
        for reply in inbox {
            let n = *lock2.lock().unwrap();
            reply.send(n).unwrap();
        }
    });
    stage.go("asks", move || {
        let _guard = lock.lock();
        let (reply, answer) = bounded(0);
        questions.send(reply).unwrap();
        let _ = answer.recv();
    });
}
