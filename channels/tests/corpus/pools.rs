//! Pools, pipelines and actors: circles of bounded queues.

use crate::stage::{Bug, Chan, Class, Stage, Twin, a_while, bugs, pause, twins};
use channels::{Receiver, Sender, bounded, select, unbounded};

const BUGS: &[Bug] = bugs![
    a_feedback_loop_of_full_queues: ["feeder", "stage", "stage"];
    workers_that_submit_to_their_own_full_queue: ["worker", "worker"];
    two_actors_that_call_each_other: ["a", "b"];
    an_actor_that_calls_itself: ["actor"];
    three_actors_in_a_circle: ["a", "b", "c"];
    credits_that_are_not_given_back: ["sender", "taker"];
    philosophers_with_forks_in_channels: ["one", "one", "one"];
    a_pool_of_connections_that_lost_one: ["client", "client"];
    a_barrier_by_channels_with_one_too_few: ["member", "member", "member"];
    a_nested_task_in_a_pool_of_one: ["worker"];
    a_fan_out_that_waits_for_the_slowest: ["fan out", "slow"];
    a_broadcast_in_lockstep: ["broadcast", "listener", "listener"];
];

const TWINS: &[Twin] = twins![
    a_feedback_loop_with_room,
    an_actor_that_answers_itself_later,
    two_actors_one_of_whom_sleeps,
    credits_that_come_back_late,
    philosophers_with_a_waiter,
    a_pool_of_connections_under_load,
    a_pool_that_drains,
    a_slow_member_of_a_fan_out,
];

pub const CLASS: Class = Class {
    name: "pools and pipelines",
    bugs: BUGS,
    twins: TWINS,
    whole: 12,
    partial: 23,
};

/// Kind: a pipeline of bounded queues with a feedback.
fn a_feedback_loop_of_full_queues(stage: &Stage) {
    let ((to_a, a), (to_b, b)) = (bounded::<u32>(2), bounded::<u32>(2));
    let (feed, forward, back) = (to_a.clone(), to_b.clone(), to_a);
    drop(to_b);
    stage.go("stage", move || {
        for n in a {
            forward.send(n).unwrap();
            forward.send(n).unwrap();
        }
    });
    stage.go("stage", move || {
        b.iter().for_each(|n| back.send(n).unwrap())
    });
    stage.go("feeder", move || {
        (0..64).for_each(|n| feed.send(n).unwrap())
    });
}

/// Kind: workers whose jobs make jobs.
fn workers_that_submit_to_their_own_full_queue(stage: &Stage) {
    let jobs = Chan::<u32>::new(2);
    jobs.send(1);
    jobs.send(1);
    for _ in 0..2 {
        let jobs = jobs.clone();
        stage.go("worker", move || {
            while let Some(depth) = jobs.recv() {
                (0..3).for_each(|_| jobs.send(depth + 1));
            }
        });
    }
}

type Call = (u32, Sender<u32>);

fn call(actor: &Sender<Call>, n: u32) -> u32 {
    let (reply, answer) = bounded(0);
    actor.send((n, reply)).unwrap();
    answer.recv().unwrap()
}

/// An actor that asks another before it answers.
fn asks_before_it_answers(inbox: Receiver<Call>, other: Sender<Call>) {
    for (n, reply) in inbox {
        let n = call(&other, n + 1);
        let _ = reply.send(n);
    }
}

/// Kind: synchronous calls both ways, each sent in the other's call.
fn two_actors_that_call_each_other(stage: &Stage) {
    let ((a, inbox_a), (b, inbox_b)) = (bounded(0), bounded(0));
    let first = a.clone();
    stage.go("a", move || asks_before_it_answers(inbox_a, b));
    stage.go("b", move || asks_before_it_answers(inbox_b, a));
    let (reply, _) = bounded(1);
    first.send((1, reply)).unwrap();
}

/// Kind: an actor that calls itself.
fn an_actor_that_calls_itself(stage: &Stage) {
    let (me, inbox) = bounded(1);
    let first = me.clone();
    stage.go("actor", move || asks_before_it_answers(inbox, me));
    let (reply, _) = bounded(1);
    first.send((1, reply)).unwrap();
}

/// Kind: a circle of three synchronous calls.
fn three_actors_in_a_circle(stage: &Stage) {
    let ((a, inbox_a), (b, inbox_b), (c, inbox_c)) = (bounded(0), bounded(0), bounded(0));
    let first = a.clone();
    stage.go("a", move || asks_before_it_answers(inbox_a, b));
    stage.go("b", move || asks_before_it_answers(inbox_b, c));
    stage.go("c", move || asks_before_it_answers(inbox_c, a));
    let (reply, _) = bounded(1);
    first.send((1, reply)).unwrap();
}

/// Kind: flow control by credits, of which one way out takes one away.
fn credits_that_are_not_given_back(stage: &Stage) {
    let (data, credits) = (Chan::<u32>::new(8), Chan::<()>::new(2));
    credits.send(());
    credits.send(());
    let (from, back) = (data.clone(), credits.clone());
    stage.go("sender", move || {
        for n in 0..8 {
            credits.recv();
            data.send(n);
        }
    });
    stage.go("taker", move || {
        while let Some(n) = from.recv() {
            if n % 2 == 0 {
                back.send(());
            }
        }
    });
}

/// Dijkstra's philosophers, with channels of one place for forks.
fn philosophers_with_forks_in_channels(stage: &Stage) {
    let forks: Vec<_> = (0..3).map(|_| Chan::<()>::new(1)).collect();
    forks.iter().for_each(|f| f.send(()));
    let all = crate::stage::Meet::of(3);
    for i in 0..3 {
        let (left, right) = (forks[i].clone(), forks[(i + 1) % 3].clone());
        let all = all.clone();
        stage.go("one", move || {
            left.recv();
            all.arrive();
            right.recv();
            left.send(());
            right.send(());
        });
    }
}

/// Kind: a pool in a channel; who fails does not put it back.
fn a_pool_of_connections_that_lost_one(stage: &Stage) {
    let pool = Chan::<u32>::new(2);
    (0..2).for_each(|n| pool.send(n));
    for n in 0..4 {
        let pool = pool.clone();
        let client = stage.keep("client", move || {
            let connection = pool.recv();
            let failed = std::hint::black_box(n < 2);
            if !failed {
                pool.send(connection.unwrap());
            }
        });
        if n < 2 {
            client.join().unwrap();
        }
    }
}

/// Kind: everybody counts to four, and there are three.
fn a_barrier_by_channels_with_one_too_few(stage: &Stage) {
    let arrived = Chan::<()>::new(3);
    let (open, gate) = bounded::<()>(0);
    for i in 0..3 {
        let (arrived, gate) = (arrived.clone(), gate.clone());
        let open = (i == 0).then(|| open.clone());
        stage.go("member", move || {
            arrived.send(());
            if let Some(open) = open {
                (0..4).for_each(|_| _ = arrived.recv());
                drop(open);
            } else {
                let _ = gate.recv();
            }
        });
    }
}

/// Kind: a task that waits for a task of the same pool, which has one worker.
fn a_nested_task_in_a_pool_of_one(stage: &Stage) {
    type Job = Box<dyn FnOnce() + Send>;
    let (jobs, inbox) = bounded::<Job>(8);
    let inner = jobs.clone();
    let job: Job = Box::new(move || {
        let (tx, rx) = bounded(0);
        let nested: Job = Box::new(move || tx.send(1).unwrap());
        inner.send(nested).unwrap();
        rx.recv().unwrap();
    });
    jobs.send(job).unwrap();
    stage.go("worker", move || inbox.iter().for_each(|job| job()));
}

/// Kind: who feeds many waits at the one that waits for it.
fn a_fan_out_that_waits_for_the_slowest(stage: &Stage) {
    let ((tx, rx), ack) = (bounded::<u32>(0), Chan::<()>::new(0));
    let acked = ack.clone();
    stage.go("slow", move || {
        for _ in rx {
            ack.send(());
            ack.send(());
        }
    });
    stage.go("fan out", move || {
        for n in 0..2 {
            tx.send(n).unwrap();
            acked.recv();
        }
    });
}

/// Kind: a broadcast to all in turn, one of whom waits for another of them.
fn a_broadcast_in_lockstep(stage: &Stage) {
    let ((a, from_a), (b, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    let token = Chan::<()>::new(0);
    let handed = token.clone();
    stage.go("broadcast", move || {
        for n in 0.. {
            a.send(n).unwrap();
            b.send(n).unwrap();
        }
    });
    stage.go("listener", move || {
        from_a.recv().unwrap();
        from_a.recv().unwrap();
        handed.recv(); // from the other, who has got one less
        from_a.iter().count()
    });
    stage.go("listener", move || {
        from_b.iter().take(3).count();
        token.send(());
        from_b.iter().count()
    });
}

/// The same loop, with a queue without a bound.
fn a_feedback_loop_with_room(stage: &Stage) {
    let ((to_a, a), (to_b, b)) = (unbounded::<u32>(), bounded::<u32>(2));
    let feed = to_a.clone();
    stage.go("a", move || {
        for n in a {
            if n == 0 {
                return;
            }
            to_b.send(n - 1).unwrap();
        }
    });
    stage.go("b", move || {
        for n in b {
            pause();
            to_a.send(n).unwrap();
        }
    });
    stage.go("feeder", move || feed.send(8).unwrap());
}

/// An actor that sends itself a message, without waiting for the answer.
fn an_actor_that_answers_itself_later(stage: &Stage) {
    let (me, inbox) = unbounded::<u32>();
    let first = me.clone();
    stage.go("actor", move || {
        for n in inbox {
            if n == 0 {
                return;
            }
            pause();
            me.send(n - 1).unwrap();
        }
    });
    first.send(6).unwrap();
}

/// A call to one that takes its time.
fn two_actors_one_of_whom_sleeps(stage: &Stage) {
    let ((a, inbox_a), (b, inbox_b)) = (bounded::<Call>(0), bounded::<Call>(0));
    stage.go("a", move || asks_before_it_answers(inbox_a, b));
    stage.go("b", move || {
        for (n, reply) in inbox_b {
            a_while();
            reply.send(n + 1).unwrap();
        }
    });
    stage.go("client", move || assert_eq!(call(&a, 1), 3));
}

/// The credits come, in the end.
fn credits_that_come_back_late(stage: &Stage) {
    let ((data, from), (back, credits)) = (bounded::<u32>(8), bounded::<()>(2));
    stage.go("sender", move || {
        for n in 0..4 {
            credits.recv().unwrap();
            data.send(n).unwrap();
        }
    });
    stage.go("taker", move || {
        for _ in 0..4 {
            runtime::time::sleep(std::time::Duration::from_millis(15));
            back.send(()).unwrap();
        }
        assert_eq!(from.iter().count(), 4);
    });
}

/// Philosophers whose waiter lets but two of three sit down.
fn philosophers_with_a_waiter(stage: &Stage) {
    let (forks, seats) = ([(); 3].map(|()| Chan::<()>::new(1)), Chan::<()>::new(2));
    forks.iter().for_each(|f| f.send(()));
    for i in 0..3 {
        let (left, right) = (forks[i].clone(), forks[(i + 1) % 3].clone());
        let seats = seats.clone();
        stage.go("philosopher", move || {
            for _ in 0..3 {
                seats.send(());
                left.recv();
                pause();
                right.recv();
                left.send(());
                right.send(());
                seats.recv();
            }
        });
    }
}

/// More clients than connections, and each puts its own back.
fn a_pool_of_connections_under_load(stage: &Stage) {
    let pool = Chan::<u32>::new(2);
    (0..2).for_each(|n| pool.send(n));
    for _ in 0..8 {
        let pool = pool.clone();
        stage.go("client", move || {
            let connection = pool.recv().unwrap();
            pause();
            pool.send(connection);
        });
    }
}

/// Workers that end when there is nothing more.
fn a_pool_that_drains(stage: &Stage) {
    let ((jobs, inbox), (results, all)) = (bounded::<u32>(4), bounded(0));
    for _ in 0..4 {
        let (inbox, results) = (inbox.clone(), results.clone());
        stage.go("worker", move || {
            for n in inbox {
                pause();
                results.send(n * 2).unwrap();
            }
        });
    }
    drop((inbox, results));
    stage.go("collector", move || {
        assert_eq!(all.iter().sum::<u32>(), 240)
    });
    stage.go("feeder", move || {
        (0..16).for_each(|n| jobs.send(n).unwrap())
    });
}

/// One of those who are fed sleeps; the others wait for it.
fn a_slow_member_of_a_fan_out(stage: &Stage) {
    let (txs, rxs): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded::<u32>(0)).unzip();
    for (i, rx) in rxs.into_iter().enumerate() {
        stage.go("member", move || {
            let (_quit, quits) = bounded::<()>(0);
            loop {
                select! {
                    recv(rx) -> n => match n {
                        Ok(_) if i == 1 => a_while(),
                        Ok(_) => {}
                        Err(_) => return,
                    },
                    recv(quits) -> _ => return,
                }
            }
        });
    }
    stage.go("fan out", move || {
        for n in 0..2 {
            txs.iter().for_each(|tx| tx.send(n).unwrap());
        }
    });
}
