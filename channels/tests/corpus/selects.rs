//! Selects with an arm too few, and channels that are nil.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, pause, twins};
use channels::{Receiver, Select, Sender, after, bounded, never, select, tick};
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    the_stop_channel_is_not_among_the_arms: ["worker"];
    the_stop_is_another_channels: ["worker"];
    all_arms_are_dead: ["worker"];
    two_selects_that_wait_for_each_other: ["raft", "store"];
    sends_and_receives_of_itself: ["alone"];
    a_nested_wait_without_the_stop: ["worker"];
    a_receive_of_nil: ["nil"];
    a_send_to_nil: ["nil"];
    a_select_of_nils: ["nil"];
    the_arms_have_become_nil: ["merge"];
    an_arm_that_never_fires: ["worker"];
    a_select_for_its_own_close: ["worker"];
    many_arms_of_one_goroutine: ["worker"];
];

const TWINS: &[Twin] = twins![
    the_stop_channel_is_among_the_arms,
    one_of_many_arms_is_alive,
    an_arm_of_time,
    a_ticker_and_the_dead,
    a_select_with_a_limit,
    a_nil_arm_and_a_live_one,
    a_select_that_sends_to_one_that_sleeps,
    a_default_arm,
    a_select_that_is_cancelled,
];

pub const CLASS: Class = Class {
    name: "select and nil",
    bugs: BUGS,
    twins: TWINS,
    whole: 13,
    partial: 13,
};

/// Kind: a missing case: the stop comes while it waits for something else, with both ends.
fn the_stop_channel_is_not_among_the_arms(stage: &Stage) {
    let (jobs, (stop, stopped)) = (Chan::<u32>::new(0), bounded::<()>(1));
    let both = Meet::of(2);
    let looked = both.clone();
    stage.go("worker", move || {
        while stopped.try_recv().is_err() {
            looked.arrive();
            select! {
                recv(jobs.rx) -> _ => {}
            }
        }
    });
    both.arrive();
    stop.send(()).unwrap();
}

/// Kind: the stop is given on a channel that nobody looks at.
fn the_stop_is_another_channels(stage: &Stage) {
    let (jobs, quit, stop) = (Chan::<u32>::new(0), Chan::<()>::new(0), Chan::<()>::new(1));
    stop.send(());
    stage.go("worker", move || {
        select! {
            recv(jobs.rx) -> _ => {}
            recv(quit.rx) -> _ => {}
        }
    });
}

/// Kind: a select of channels that all others have left.
fn all_arms_are_dead(stage: &Stage) {
    let [a, b, c] = [(); 3].map(|()| Chan::<u32>::new(0));
    let others = [a.clone(), b.clone(), c.clone()];
    stage.go("others", move || drop(others));
    stage.go("worker", move || {
        select! {
            recv(a.rx) -> _ => {}
            send(b.tx, 1) -> _ => {}
            recv(c.rx) -> _ => {}
        }
    });
}

/// GoBench GOKER cockroach#2448, kind "Channel": each of the two sends, and neither receives meanwhile.
fn two_selects_that_wait_for_each_other(stage: &Stage) {
    let (events, callbacks, stop) = (Chan::<u32>::new(0), Chan::<u32>::new(0), Chan::<()>::new(0));
    let (events2, callbacks2, stop2) = (events.clone(), callbacks.clone(), stop.clone());
    stage.go("raft", move || {
        for n in 0..2 {
            select! {
                send(events.tx, n) -> _ => {}
                recv(stop.rx) -> _ => {}
            }
        }
        callbacks.recv();
    });
    stage.go("store", move || {
        events2.recv();
        select! {
            send(callbacks2.tx, 1) -> _ => {}
            recv(stop2.rx) -> _ => {}
        }
    });
}

/// Kind: one select with both sides of a channel: nobody meets itself.
fn sends_and_receives_of_itself(stage: &Stage) {
    stage.go("alone", || {
        let both = Chan::<u32>::new(0);
        select! {
            send(both.tx, 1) -> _ => {}
            recv(both.rx) -> _ => {}
        }
    });
}

/// Kind: a missing case: the outer select knows of the stop, the wait in its arm does not.
fn a_nested_wait_without_the_stop(stage: &Stage) {
    let (jobs, results, (stop, stopped)) =
        (Chan::<u32>::new(0), Chan::<u32>::new(0), bounded::<()>(1));
    let inbox = jobs.clone();
    stage.go("worker", move || {
        loop {
            select! {
                recv(inbox.rx) -> n => results.send(n.unwrap()),
                recv(stopped) -> _ => return,
            }
        }
    });
    jobs.send(1);
    stop.send(()).unwrap();
}

/// Kind: nil channel.
fn a_receive_of_nil(stage: &Stage) {
    stage.go("nil", || {
        let results: Receiver<u32> = Receiver::nil();
        results.recv()
    });
}

/// Kind: nil channel; a field that nobody set.
fn a_send_to_nil(stage: &Stage) {
    struct Server {
        events: Sender<u32>,
    }
    stage.go("nil", || {
        let server = Server {
            events: Sender::nil(),
        };
        server.events.send(1)
    });
}

/// Kind: nil channel, in each arm.
fn a_select_of_nils(stage: &Stage) {
    stage.go("nil", || {
        let (a, b) = (Receiver::<u32>::nil(), Sender::<u32>::nil());
        select! {
            recv(a) -> _ => {}
            send(b, 1) -> _ => {}
        }
    });
}

/// Kind: nil channel; a merge that sets what has ended to nil, and does not look whether all have.
fn the_arms_have_become_nil(stage: &Stage) {
    let ((a, mut from_a), (b, mut from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    stage.go("merge", move || {
        let mut sum = 0;
        loop {
            select! {
                recv(from_a) -> n => match n {
                    Ok(n) => sum += n,
                    Err(_) => from_a = Receiver::nil(),
                },
                recv(from_b) -> n => match n {
                    Ok(n) => sum += n,
                    Err(_) => from_b = Receiver::nil(),
                },
            }
            std::hint::black_box(sum);
        }
    });
    a.send(1).unwrap();
    b.send(2).unwrap();
}

/// Kind: a missing case; of two arms one can never fire, and the other's end is its own.
fn an_arm_that_never_fires(stage: &Stage) {
    stage.go("worker", || {
        let jobs = Chan::<u32>::new(0);
        select! {
            recv(never::<u32>()) -> _ => {}
            recv(jobs.rx) -> _ => {}
        }
    });
}

/// Kind: it waits for the close of what it would close itself.
fn a_select_for_its_own_close(stage: &Stage) {
    let (done, jobs) = (Chan::<()>::new(0), Chan::<u32>::new(0));
    stage.go("worker", move || {
        select! {
            recv(done.rx) -> _ => {}
            recv(jobs.rx) -> _ => {}
        }
        done.tx.close();
    });
}

/// Kind: a list of arms made at run time, all of them its own.
fn many_arms_of_one_goroutine(stage: &Stage) {
    stage.go("worker", || {
        let chans: [Chan<u32>; 12] = std::array::from_fn(|_| Chan::new(0));
        let mut select = Select::new();
        for chan in &chans {
            select.recv(&chan.rx);
        }
        select.ready()
    });
}

/// With the arm that makes the difference.
fn the_stop_channel_is_among_the_arms(stage: &Stage) {
    let (jobs, (stop, stopped)) = (Chan::<u32>::new(0), bounded::<()>(0));
    stage.go("worker", move || {
        select! {
            recv(jobs.rx) -> _ => {}
            recv(stopped) -> _ => {}
        }
    });
    stage.go("stop", move || {
        a_while();
        stop.send(()).unwrap();
    });
}

/// Of eight arms, seven are its own.
fn one_of_many_arms_is_alive(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    stage.go("worker", move || {
        let chans: [Chan<u32>; 7] = std::array::from_fn(|_| Chan::new(0));
        let mut select = Select::new();
        for chan in &chans {
            select.recv(&chan.rx);
        }
        let live = select.recv(&rx);
        assert_eq!(select.ready(), live);
        assert_eq!(rx.recv(), Ok(1));
    });
    stage.go("sender", move || {
        a_while();
        tx.send(1).unwrap();
    });
}

/// Nothing but time, and the dead.
fn an_arm_of_time(stage: &Stage) {
    stage.go("worker", || {
        let jobs = Chan::<u32>::new(0);
        select! {
            recv(jobs.rx) -> _ => panic!("nobody sends"),
            recv(after(Duration::from_millis(60))) -> _ => {}
        }
    });
}

/// Again and again.
fn a_ticker_and_the_dead(stage: &Stage) {
    stage.go("worker", || {
        let (jobs, ticks) = (Chan::<u32>::new(0), tick(Duration::from_millis(15)));
        for _ in 0..4 {
            select! {
                recv(jobs.rx) -> _ => panic!("nobody sends"),
                recv(ticks) -> _ => {}
            }
        }
    });
}

/// The whole select has a limit.
fn a_select_with_a_limit(stage: &Stage) {
    stage.go("worker", || {
        let jobs = Chan::<u32>::new(0);
        select! {
            recv(jobs.rx) -> _ => panic!("nobody sends"),
            recv(Receiver::<u32>::nil()) -> _ => panic!("nobody can"),
            default(Duration::from_millis(60)) => {}
        }
    });
}

/// A nil arm beside one that will be ready.
fn a_nil_arm_and_a_live_one(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    stage.go("worker", move || {
        select! {
            recv(Receiver::<u32>::nil()) -> _ => panic!("nobody can"),
            recv(rx) -> n => assert_eq!(n, Ok(1)),
        }
    });
    stage.go("sender", move || {
        a_while();
        tx.send(1).unwrap();
    });
}

/// It would send to whoever wakes first.
fn a_select_that_sends_to_one_that_sleeps(stage: &Stage) {
    let ((a, from_a), (b, from_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    stage.go("sender", move || {
        for n in 0..2 {
            select! {
                send(a, n) -> _ => {}
                send(b, n) -> _ => {}
            }
        }
    });
    for rx in [from_a, from_b] {
        stage.go("sleeper", move || {
            a_while();
            let _ = rx.recv();
        });
    }
}

/// It never waits.
fn a_default_arm(stage: &Stage) {
    stage.go("worker", || {
        let jobs = Chan::<u32>::new(0);
        for _ in 0..8 {
            select! {
                recv(jobs.rx) -> _ => panic!("nobody sends"),
                default => pause(),
            }
        }
    });
}

/// Dead arms, but whoever has the handle cancels it.
fn a_select_that_is_cancelled(stage: &Stage) {
    let worker = stage.keep("worker", || {
        let (a, b) = (Chan::<u32>::new(0), Chan::<u32>::new(0));
        select! {
            recv(a.rx) -> _ => {}
            send(b.tx, 1) -> _ => {}
        }
    });
    a_while();
    assert!(worker.cancel());
}
