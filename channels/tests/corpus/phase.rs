//! Channels whose two sides do not come together: each waits for what the other would do next.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, compute, pause, twins};
use channels::{Receiver, Sender, bounded, select, unbounded};

const BUGS: &[Bug] = bugs![
    sends_to_itself: ["alone"];
    receives_from_itself: ["alone"];
    fills_its_own_queue: ["starts"];
    pushes_to_a_full_one: ["cancels"];
    both_receive_first: ["ping", "pong"];
    both_send_first: ["ping", "pong"];
    both_send_first_with_full_buffers: ["ping", "pong"];
    an_acknowledgement_too_many: ["consumer", "producer"];
    a_status_after_the_stop: ["asks"];
    a_dispatcher_that_closes_itself: ["dispatcher", "user"];
    a_signal_that_nobody_gives: ["waits"];
    first_events_before_anybody_listens: ["process"];
    a_ring_without_a_token: ["node", "node", "node", "node"];
    wrong_order_of_two_channels: ["receives", "sends"];
    a_channel_in_a_channel: ["asks", "forwards"];
    ends_in_a_structure_of_its_own: ["alone"];
];

const TWINS: &[Twin] = twins![
    a_slow_producer,
    a_slow_consumer,
    a_producer_that_computes,
    a_plain_thread_sends,
    a_plain_thread_receives,
    a_value_that_comes_by_way_of_others,
    a_ring_with_a_token,
    a_status_before_the_stop,
    ping_and_pong,
    a_sender_that_has_not_begun,
    a_timer_that_sends,
];

pub const CLASS: Class = Class {
    name: "two sides out of step",
    bugs: BUGS,
    twins: TWINS,
    whole: 16,
    partial: 22,
};

/// Kind: an unbuffered channel of which one goroutine has both sides.
fn sends_to_itself(stage: &Stage) {
    stage.go("alone", || {
        let (tx, rx) = bounded::<u32>(0);
        let _ = tx.send(1);
        let _ = rx.recv();
    });
}

/// Kind: the same, the other way round.
fn receives_from_itself(stage: &Stage) {
    stage.go("alone", || {
        let (tx, rx) = unbounded::<u32>();
        let _ = rx.recv();
        let _ = tx.send(1);
    });
}

/// GoBench GOKER cockroach#24808, kind "Channel": the queue has one place, and is filled twice before its
/// worker is started.
fn fills_its_own_queue(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("starts", move || {
        let queue = Chan::<u32>::new(1);
        queue.send(1);
        queue.send(2);
        stage2.go("worker", move || queue.recv());
    });
}

/// GoBench GOKER cockroach#35931, kind "Channel": one of two receivers is full already.
fn pushes_to_a_full_one(stage: &Stage) {
    stage.go("cancels", || {
        let (left, right) = (Chan::<u32>::new(1), Chan::<u32>::new(1));
        left.send(1);
        for receiver in [&right, &left] {
            receiver.send(0);
        }
    });
}

/// Kind: ping-pong out of phase.
fn both_receive_first(stage: &Stage) {
    let (a, b) = (Chan::<u32>::new(0), Chan::<u32>::new(0));
    for (name, mine, other) in [("ping", a.clone(), b.clone()), ("pong", b, a)] {
        stage.go(name, move || {
            let n = mine.recv();
            other.send(n.unwrap_or(0) + 1);
        });
    }
}

/// Kind: the same, of senders.
fn both_send_first(stage: &Stage) {
    let ((to_b, from_a), (to_a, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    stage.go("ping", move || {
        let _ = to_b.send(1);
        let _ = from_b.recv();
    });
    stage.go("pong", move || {
        let _ = to_a.send(1);
        let _ = from_a.recv();
    });
}

/// Kind: the same; buffers only put it off.
fn both_send_first_with_full_buffers(stage: &Stage) {
    let ((to_b, from_a), (to_a, from_b)) = (bounded::<u32>(8), bounded::<u32>(8));
    let side = |tx: Sender<u32>, rx: Receiver<u32>| {
        move || {
            (0..10).for_each(|n| tx.send(n).unwrap());
            rx.iter().take(10).count()
        }
    };
    stage.go("ping", side(to_b, from_b));
    stage.go("pong", side(to_a, from_a));
}

/// Kind: producer and consumer both wait; one waits for an answer that the other gives only once.
fn an_acknowledgement_too_many(stage: &Stage) {
    let ((tx, rx), (ack, acked)) = (bounded::<u32>(0), bounded::<()>(0));
    stage.go("producer", move || {
        for n in 0..4 {
            tx.send(n).unwrap();
            acked.recv().unwrap();
        }
    });
    stage.go("consumer", move || {
        for n in rx.iter() {
            if n % 2 == 0 {
                ack.send(()).unwrap();
            }
        }
    });
}

/// GoBench GOKER etcd#6857, kind "Channel": the question comes when the loop has ended.
fn a_status_after_the_stop(stage: &Stage) {
    let status = Chan::<Sender<u32>>::new(0);
    let (stop, stopped) = bounded::<()>(0);
    let inbox = status.clone();
    stage.go("loop", move || {
        loop {
            select! {
                recv(inbox.rx) -> c => c.unwrap().send(1).unwrap(),
                recv(stopped) -> _ => return,
            }
        }
    });
    stop.send(()).unwrap();
    stage.go("asks", move || {
        let (c, answer) = bounded(0);
        status.send(c);
        let _ = answer.recv();
    });
}

/// GoBench GOKER syncthing#5795, kind "Channel": the loop waits for its own end.
fn a_dispatcher_that_closes_itself(stage: &Stage) {
    let ((tx, inbox), (ended, end)) = (bounded::<u32>(0), bounded::<()>(0));
    let end2 = end.clone();
    stage.go("dispatcher", move || {
        for _config in inbox {
            let _ = end2.recv(); // close, called on the loop
        }
        drop(ended);
    });
    stage.go("user", move || {
        tx.send(1).unwrap();
        let _ = end.recv();
    });
}

/// GoBench GOKER grpc#1424, kind "Channel": the watcher ends without saying so.
fn a_signal_that_nobody_gives(stage: &Stage) {
    let done = Chan::<()>::new(0);
    let (addresses, notify) = bounded::<u32>(0);
    let done2 = done.clone();
    stage.go("watcher", move || {
        let _done = done2;
        notify.iter().count()
    });
    stage.go("waits", move || done.recv());
    drop(addresses);
}

/// GoBench GOKER kubernetes#38669, kind "Channel": the first events are sent before anybody could take them.
fn first_events_before_anybody_listens(stage: &Stage) {
    let (input, result) = (Chan::<u32>::new(0), Chan::<u32>::new(0));
    let input2 = input.clone();
    stage.go("process", move || {
        [1, 2].into_iter().for_each(|n| result.send(n));
        input.rx.iter().count()
    });
    input2.tx.close();
}

/// Kind: a ring, and nobody begins.
fn a_ring_without_a_token(stage: &Stage) {
    let ends: Vec<_> = (0..4).map(|_| Chan::<u32>::new(0)).collect();
    for i in 0..4 {
        let (from, to) = (ends[i].clone(), ends[(i + 1) % 4].clone());
        stage.go("node", move || {
            while let Some(token) = from.recv() {
                to.send(token + 1);
            }
        });
    }
}

/// Kind: two channels, written in one order and read in the other.
fn wrong_order_of_two_channels(stage: &Stage) {
    let ((a, from_a), (b, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    stage.go("sends", move || {
        let _ = a.send(1);
        let _ = b.send(2);
    });
    stage.go("receives", move || {
        let _ = from_b.recv();
        let _ = from_a.recv();
    });
}

/// Kind: who shall forward the answer waits for the question's own sender.
fn a_channel_in_a_channel(stage: &Stage) {
    let (tx, rx) = bounded::<Receiver<u32>>(0);
    stage.go("asks", move || {
        let (reply, answer) = bounded(0);
        tx.send(answer.clone()).unwrap();
        let _ = answer.recv();
        let _ = reply.send(1);
    });
    stage.go("forwards", move || {
        let from = rx.recv().unwrap();
        from.recv()
    });
}

/// Kind: an unbuffered channel of which one goroutine has both sides, in the heap: memory leads to it.
fn ends_in_a_structure_of_its_own(stage: &Stage) {
    stage.go("alone", || {
        let both = Box::new(Chan::<u32>::new(0));
        both.send(1);
        both.recv()
    });
}

/// It sleeps before each value.
fn a_slow_producer(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("producer", move || {
        for n in 0..2 {
            a_while();
            tx.send(n).unwrap();
        }
    });
    stage.go("consumer", move || assert_eq!(rx.iter().sum::<u32>(), 1));
}

/// It sleeps before it takes the first.
fn a_slow_consumer(stage: &Stage) {
    let (tx, rx) = bounded(2);
    for _ in 0..4 {
        let tx = tx.clone();
        stage.go("producer", move || (0..4).for_each(|n| tx.send(n).unwrap()));
    }
    stage.go("consumer", move || {
        a_while();
        assert_eq!(rx.iter().sum::<u32>(), 24);
    });
}

/// It computes before it sends.
fn a_producer_that_computes(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("producer", move || tx.send(compute()).unwrap());
    stage.go("consumer", move || assert_ne!(rx.recv(), Ok(1)));
}

/// The other side is a plain thread that sleeps in the system.
fn a_plain_thread_sends(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("consumer", move || assert_eq!(rx.recv(), Ok(7)));
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(60));
        tx.send(7).unwrap();
    });
}

/// The same, of a receiver.
fn a_plain_thread_receives(stage: &Stage) {
    let (tx, rx) = bounded(1);
    stage.go("producer", move || (0..3).for_each(|n| tx.send(n).unwrap()));
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert_eq!(rx.iter().count(), 3);
    });
}

/// A chain of goroutines, each waits for the one before it; the first one sleeps.
fn a_value_that_comes_by_way_of_others(stage: &Stage) {
    let (tx, mut rx) = bounded::<u32>(0);
    for _ in 0..8 {
        let (next, from) = bounded(0);
        let before = std::mem::replace(&mut rx, from);
        stage.go("link", move || {
            next.send(before.recv().unwrap() + 1).unwrap()
        });
    }
    stage.go("last", move || assert_eq!(rx.recv(), Ok(8)));
    stage.go("first", move || {
        a_while();
        tx.send(0).unwrap();
    });
}

/// A ring, and somebody begins, late.
fn a_ring_with_a_token(stage: &Stage) {
    let ends: Vec<_> = (0..4).map(|_| Chan::<u32>::new(1)).collect();
    for i in 0..4 {
        let (from, to) = (ends[i].clone(), ends[(i + 1) % 4].clone());
        stage.go("node", move || {
            while let Some(token) = from.recv() {
                to.send(token + 1);
                if token > 100 {
                    return;
                }
            }
        });
    }
    stage.go("begins", move || {
        a_while();
        ends[0].send(0);
    });
}

/// As etcd#6857 was mended: the question looks at the end as well.
fn a_status_before_the_stop(stage: &Stage) {
    let (status, inbox) = bounded::<Sender<u32>>(0);
    let (stop, stopped) = bounded::<()>(0);
    stage.go("loop", move || {
        a_while();
        loop {
            select! {
                recv(inbox) -> c => c.unwrap().send(1).unwrap(),
                recv(stopped) -> _ => return,
            }
        }
    });
    stage.go("asks", move || {
        let (c, answer) = bounded(0);
        status.send(c).unwrap();
        assert_eq!(answer.recv(), Ok(1));
        stop.send(()).unwrap();
    });
}

/// In phase, without a rest.
fn ping_and_pong(stage: &Stage) {
    let ((to_b, from_a), (to_a, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    stage.go("ping", move || {
        for n in 0..3000 {
            to_b.send(n).unwrap();
            from_b.recv().unwrap();
        }
    });
    stage.go("pong", move || {
        from_a.iter().for_each(|n| to_a.send(n).unwrap())
    });
}

/// The sender is a goroutine that has not run yet: others keep all Ps.
fn a_sender_that_has_not_begun(stage: &Stage) {
    let (tx, rx) = bounded(0);
    let both = Meet::of(2);
    let both2 = both.clone();
    stage.go("consumer", move || {
        both2.arrive();
        assert_eq!(rx.recv(), Ok(1));
    });
    both.arrive();
    pause();
    for _ in 0..6 {
        stage.go("busy", compute);
    }
    stage.go("sender", move || tx.send(1).unwrap());
}

/// The sender is a function that a timer calls.
fn a_timer_that_sends(stage: &Stage) {
    let (tx, rx) = bounded(1);
    stage.go("consumer", move || assert_eq!(rx.recv(), Ok(1)));
    let after = runtime::time::after_func(std::time::Duration::from_millis(60), move || {
        tx.send(1).unwrap();
    });
    std::mem::forget(after);
}
