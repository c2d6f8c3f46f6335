//! Channels that somebody reads to their end, which never comes: an end that was not dropped.

use crate::stage::{Bug, Chan, Class, Stage, Twin, a_while, bugs, pause, twins};
use channels::{Receiver, Sender, bounded, unbounded};
use runtime::sync::{Mutex, WaitGroup};
use std::sync::Arc;

const BUGS: &[Bug] = bugs![
    workers_of_a_channel_that_is_never_closed: ["worker", "worker", "worker"];
    the_reader_keeps_a_sender: ["reader"];
    the_collector_keeps_the_workers_sender: ["collector"];
    a_sender_in_the_message: ["server"];
    a_reader_waits_for_a_member_that_reads: ["reader", "reader"];
    the_closer_waits_for_its_workers: ["closer", "worker", "worker"];
    stages_that_keep_what_they_do_not_use: ["double", "print", "square"];
    a_worker_without_its_stop: ["worker"];
    a_merge_that_keeps_its_output: ["merged"];
    forgotten_with_mem_forget: ["reader"];
    a_sender_in_a_structure_of_the_reader: ["reader"];
];

const TWINS: &[Twin] = twins![
    workers_of_a_channel_that_is_closed,
    the_collector_drops_the_workers_sender,
    closed_by_hand_though_an_end_is_left,
    the_closer_comes_late,
    a_plain_thread_closes,
    a_sender_in_a_message_that_is_answered,
    stages_that_end_one_after_the_other,
    an_idle_server_that_somebody_will_use,
];

pub const CLASS: Class = Class {
    name: "never closed",
    bugs: BUGS,
    twins: TWINS,
    whole: 11,
    partial: 11,
};

/// CGO 2024 (Uber), pattern "range without close": the workers have both ends, as in Go.
fn workers_of_a_channel_that_is_never_closed(stage: &Stage) {
    let jobs = Chan::<u32>::new(0);
    for _ in 0..3 {
        let jobs = jobs.clone();
        stage.go("worker", move || jobs.rx.iter().count());
    }
    (0..3).for_each(|n| jobs.send(n));
}

/// Kind: never closed; a sender is in scope where the receiver is read to its end.
fn the_reader_keeps_a_sender(stage: &Stage) {
    stage.go("reader", || {
        let (tx, rx) = unbounded();
        let first = tx.clone();
        std::thread::spawn(move || first.send(1))
            .join()
            .unwrap()
            .unwrap();
        let sum: u32 = rx.iter().sum();
        drop(tx);
        sum
    });
}

/// Kind: never closed; each worker has a clone, and the original was not dropped.
fn the_collector_keeps_the_workers_sender(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("collector", move || {
        let (results, all) = bounded::<u32>(0);
        for n in 0..4 {
            let results = results.clone();
            stage2.go("worker", move || results.send(n));
        }
        let all: Vec<_> = all.iter().collect();
        drop(results);
        all
    });
}

/// Kind: never closed; the last message, which nobody drops, has a sender of the server's own inbox.
fn a_sender_in_the_message(stage: &Stage) {
    struct Request(Sender<Request>);
    let (tx, inbox) = bounded::<Request>(1);
    stage.go("server", move || {
        let mut last = None;
        while let Ok(request) = inbox.recv() {
            last = Some(request);
        }
        last.map(|r| r.0.is_closed())
    });
    tx.send(Request(tx.clone())).unwrap();
}

/// Kind: never closed; each of two reads what the other keeps open.
fn a_reader_waits_for_a_member_that_reads(stage: &Stage) {
    let ((a, from_a), (b, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    for (rx, tx) in [(from_a, b), (from_b, a)] {
        stage.go("reader", move || {
            let n = rx.iter().count();
            drop(tx);
            n
        });
    }
}

/// Kind: never closed; who would close the jobs waits for the workers, who wait for the close.
fn the_closer_waits_for_its_workers(stage: &Stage) {
    let (jobs, inbox) = bounded::<u32>(0);
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let inbox = inbox.clone();
            stage.keep("worker", move || inbox.iter().count())
        })
        .collect();
    stage.go("closer", move || {
        jobs.send(1).unwrap();
        workers.into_iter().for_each(|w| drop(w.join()));
        drop(jobs);
    });
}

/// Kind: never closed; a pipeline whose stages keep the sender of their own input.
fn stages_that_keep_what_they_do_not_use(stage: &Stage) {
    let links = [(); 3].map(|()| Chan::<u32>::new(1));
    let [a, b, c] = links.clone();
    stage.go("double", move || a.rx.iter().for_each(|n| b.send(2 * n)));
    let [_, b, _] = links.clone();
    stage.go("square", move || b.rx.iter().for_each(|n| c.send(n * n)));
    let [a, _, c] = links;
    stage.go("print", move || c.rx.iter().count());
    a.send(1);
}

/// CGO 2024 (Uber), pattern "method contract violation": started, used, never stopped.
fn a_worker_without_its_stop(stage: &Stage) {
    let (jobs, done) = (Chan::<u32>::new(0), Chan::<()>::new(0));
    let (inbox, stopped) = (jobs.clone(), done.clone());
    stage.go("worker", move || {
        let mut n = 0;
        loop {
            channels::select! {
                recv(inbox.rx) -> job => n += job.unwrap(),
                recv(stopped.rx) -> _ => return n,
            }
        }
    });
    (0..10).for_each(|n| jobs.send(n));
    drop(done);
}

/// Kind: never closed; one who merges many into one ends, but not what it merged into.
fn a_merge_that_keeps_its_output(stage: &Stage) {
    let merged = Chan::<u32>::new(0);
    for n in 0..3 {
        let (out, (tx, rx)) = (merged.tx.clone(), bounded(0));
        stage.go("forward", move || {
            rx.iter().for_each(|n| out.send(n).unwrap())
        });
        stage.go("source", move || tx.send(n).unwrap());
    }
    stage.go("merged", move || merged.rx.iter().count());
}

/// Kind: never closed; an end that was forgotten, and that nobody has.
fn forgotten_with_mem_forget(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    stage.go("reader", move || rx.iter().count());
    std::mem::forget(tx);
}

/// Kind: never closed; the reader's own structure, in the heap, has the sender: memory leads to it.
fn a_sender_in_a_structure_of_the_reader(stage: &Stage) {
    struct Hub {
        subscribe: Sender<u32>,
        subscriptions: Receiver<u32>,
        seen: Mutex<Vec<u32>>,
    }
    let (subscribe, subscriptions) = bounded(0);
    let hub = Arc::new(Hub {
        subscribe,
        subscriptions,
        seen: Mutex::default(),
    });
    stage.go("reader", move || {
        for n in &hub.subscriptions {
            hub.seen.lock().unwrap().push(n);
        }
        hub.subscribe.is_closed()
    });
}

/// As it should be.
fn workers_of_a_channel_that_is_closed(stage: &Stage) {
    let (jobs, inbox) = bounded(0);
    for _ in 0..3 {
        let inbox = inbox.clone();
        stage.go("worker", move || inbox.iter().count());
    }
    stage.go("producer", move || {
        for n in 0..6 {
            pause();
            jobs.send(n).unwrap();
        }
    });
}

/// With the `drop` that makes the difference.
fn the_collector_drops_the_workers_sender(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("collector", move || {
        let (results, all) = bounded::<u32>(0);
        for n in 0..4 {
            let results = results.clone();
            stage2.go("worker", move || {
                a_while();
                results.send(n)
            });
        }
        drop(results);
        assert_eq!(all.iter().sum::<u32>(), 6);
    });
}

/// The reader has a sender itself, but another closes.
fn closed_by_hand_though_an_end_is_left(stage: &Stage) {
    let chan = Chan::<u32>::new(0);
    let other = chan.tx.clone();
    stage.go("reader", move || assert_eq!(chan.rx.iter().count(), 0));
    stage.go("closer", move || {
        a_while();
        assert!(other.close());
    });
}

/// Who closes waits for a group of workers first, who end by themselves.
fn the_closer_comes_late(stage: &Stage) {
    let (tx, rx) = bounded(0);
    let group = Arc::new(WaitGroup::new());
    for n in 0..3 {
        let tx = tx.clone();
        drop(group.go(move || {
            a_while();
            tx.send(n).unwrap();
        }));
    }
    stage.go("closer", move || {
        group.wait();
        drop(tx);
    });
    stage.go("reader", move || assert_eq!(rx.iter().sum::<u32>(), 3));
}

/// The last end is a plain thread's, which does nothing but keep it.
fn a_plain_thread_closes(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    stage.go("reader", move || assert_eq!(rx.iter().count(), 0));
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(60));
        drop(tx);
    });
}

/// The message has a sender of the server's own inbox, and is dropped.
fn a_sender_in_a_message_that_is_answered(stage: &Stage) {
    struct Request(Sender<Request>);
    let (tx, inbox) = bounded::<Request>(0);
    stage.go("server", move || {
        for Request(sender) in inbox {
            a_while();
            drop(sender);
        }
    });
    tx.send(Request(tx.clone())).unwrap();
}

/// A pipeline, of slow stages.
fn stages_that_end_one_after_the_other(stage: &Stage) {
    let ((first, a), (to_b, b), (to_c, c)) = (bounded(1), bounded(1), bounded(1));
    let slow = |n: u32| {
        pause();
        n + 1
    };
    stage.go("a", move || {
        a.iter().for_each(|n| to_b.send(slow(n)).unwrap())
    });
    stage.go("b", move || {
        b.iter().for_each(|n| to_c.send(slow(n)).unwrap())
    });
    stage.go("c", move || assert_eq!(c.iter().sum::<u32>(), 14));
    stage.go("first", move || {
        a_while();
        (0..4).for_each(|n| first.send(n).unwrap());
    });
}

/// A server that waits for who has its address: in a table, for now.
fn an_idle_server_that_somebody_will_use(stage: &Stage) {
    static TABLE: std::sync::Mutex<Vec<(u32, Sender<u32>)>> = std::sync::Mutex::new(Vec::new());
    for key in 0..3 {
        let (tx, inbox) = bounded::<u32>(0);
        TABLE.lock().unwrap().push((key, tx));
        stage.go("server", move || assert_eq!(inbox.iter().sum::<u32>(), key));
    }
    stage.go("client", || {
        a_while();
        let table = std::mem::take(&mut *TABLE.lock().unwrap());
        table.iter().for_each(|(key, tx)| tx.send(*key).unwrap());
    });
}
