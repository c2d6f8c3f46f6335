//! Results that nobody waits for any more. The sender keeps both ends, as in Go: else it would get an error.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, pause, twins};
use channels::{Receiver, Sender, after, bounded, select, unbounded};
use std::sync::Arc;
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    the_caller_has_timed_out: ["request"];
    an_error_and_a_result: ["request"];
    the_caller_returns_early: ["task"];
    only_the_first_answer_is_taken: ["backend", "backend", "backend"];
    no_answer_at_all: ["first"];
    sent_twice: ["sender"];
    a_generator_that_is_not_read_to_its_end: ["generator"];
    a_subscriber_that_left: ["publisher"];
    the_poller_of_a_wait_that_is_over: ["waits"];
    an_answer_to_one_that_was_told_to_stop: ["task"];
    a_batch_whose_reader_failed: ["mapper", "mapper", "mapper", "mapper"];
    a_result_whose_reader_panicked: ["task"];
    a_sender_whose_receiver_is_in_an_arc: ["request"];
];

const TWINS: &[Twin] = twins![
    the_answer_has_a_place,
    the_answer_comes_late_but_is_taken,
    the_caller_drops_its_end,
    the_answers_are_all_taken,
    a_generator_that_is_told,
    a_subscriber_that_comes_back,
    the_result_waits_in_a_finished_goroutine,
    a_send_with_a_deadline,
    try_again_later,
];

pub const CLASS: Class = Class {
    name: "abandoned results",
    bugs: BUGS,
    twins: TWINS,
    whole: 13,
    partial: 14,
};

/// Tu et al., ASPLOS 2019, figure 1 (kubernetes#5316, also of GoBench GOKER): the result comes when the caller
/// has given up.
fn the_caller_has_timed_out(stage: &Stage) {
    let result = Chan::<u32>::new(0);
    let (request, over) = (result.clone(), Meet::of(2));
    let over2 = over.clone();
    stage.go("request", move || {
        over2.arrive();
        request.send(1);
    });
    select! {
        recv(result.rx) -> _ => {}
        recv(after(Duration::from_millis(1))) -> _ => {}
    }
    over.arrive();
}

/// Kind: two channels, for a result and for an error; the caller looks at the one and returns.
fn an_error_and_a_result(stage: &Stage) {
    let (result, error) = (Chan::<u32>::new(0), Chan::<u32>::new(0));
    let (result2, error2) = (result.clone(), error.clone());
    stage.go("request", move || {
        error2.send(1);
        result2.send(2);
    });
    select! {
        recv(result.rx) -> _ => {}
        recv(error.rx) -> _ => {}
    }
}

/// CGO 2024 (Uber), pattern "early return".
fn the_caller_returns_early(stage: &Stage) {
    let result = Chan::<u32>::new(0);
    let task = result.clone();
    stage.go("task", move || task.send(1));
    let failed = std::hint::black_box(true);
    if !failed {
        result.recv();
    }
}

/// CGO 2024 (Uber), pattern "NCast leak": the first of many answers.
fn only_the_first_answer_is_taken(stage: &Stage) {
    let answers = Chan::<u32>::new(0);
    for n in 0..4 {
        let answers = answers.clone();
        stage.go("backend", move || answers.send(n));
    }
    answers.recv();
}

/// CGO 2024 (Uber), pattern "NCast leak", of no backends.
fn no_answer_at_all(stage: &Stage) {
    stage.go("first", || {
        let answers = Chan::<u32>::new(0);
        let backends: [u32; 0] = std::hint::black_box([]);
        for n in backends {
            let answers = answers.clone();
            drop(runtime::spawn(move || answers.send(n)));
        }
        answers.recv()
    });
}

/// CGO 2024 (Uber), pattern "double send": a return is missing after the error.
fn sent_twice(stage: &Stage) {
    let results = Chan::<Result<u32, ()>>::new(0);
    let sender = results.clone();
    stage.go("sender", move || {
        let failed = std::hint::black_box(true);
        if failed {
            sender.send(Err(()));
        }
        sender.send(Ok(1));
    });
    results.recv();
}

/// Kind: a generator whose reader has what it wanted.
fn a_generator_that_is_not_read_to_its_end(stage: &Stage) {
    let numbers = Chan::<u64>::new(0);
    let out = numbers.clone();
    stage.go("generator", move || (0..1000).for_each(|n| out.send(n)));
    assert_eq!(numbers.rx.iter().take(5).sum::<u64>(), 10);
}

/// Kind: a publisher that sends to one that has left without a word.
fn a_subscriber_that_left(stage: &Stage) {
    let (events, inbox) = (Chan::<u32>::new(0), Chan::<Sender<u32>>::new(1));
    let (subscribe, mine) = (inbox.clone(), events.clone());
    stage.go("subscriber", move || {
        subscribe.send(mine.tx.clone());
        mine.recv();
    });
    stage.go("publisher", move || {
        let to = inbox.recv().unwrap();
        let _both = events;
        (0..1000).for_each(|n| to.send(n).unwrap());
    });
}

/// GoBench GOKER kubernetes#70277, kind "Channel": the wait is over, its `done` is waited for after that.
fn the_poller_of_a_wait_that_is_over(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("waits", move || {
        let (done, ticks) = (Chan::<()>::new(0), Chan::<()>::new(0));
        let (done2, ticks2) = (done.clone(), ticks.clone());
        stage2.go("poller", move || {
            while done2.rx.try_recv().is_err() {
                runtime::time::sleep(Duration::from_millis(1));
                if ticks2.tx.try_send(()).is_ok() {
                    return;
                }
            }
        });
        ticks.recv();
        done.recv();
    });
}

/// CGO 2024 (Uber), pattern "timeout": the caller's context has ended.
fn an_answer_to_one_that_was_told_to_stop(stage: &Stage) {
    let (ctx, cancel) = channels::Context::background().with_cancel();
    cancel.cancel();
    let result = Chan::<u32>::new(0);
    let (task, over) = (result.clone(), Meet::of(2));
    let over2 = over.clone();
    stage.go("task", move || {
        over2.arrive();
        task.send(1);
    });
    select! {
        recv(result.rx) -> _ => {}
        recv(ctx.done()) -> _ => {}
    }
    over.arrive();
}

/// Kind: the reader of many results fails at one of them.
fn a_batch_whose_reader_failed(stage: &Stage) {
    let results = Chan::<u32>::new(2);
    for n in 0..8 {
        let results = results.clone();
        stage.go("mapper", move || results.send(n));
    }
    results.rx.iter().take(2).for_each(drop);
}

/// Kind: the reader does not come to its receive; its unwinding drops its own handles, and there are others.
fn a_result_whose_reader_panicked(stage: &Stage) {
    let result = Chan::<u32>::new(0);
    let task = result.clone();
    stage.go("task", move || task.send(1));
    let reader = stage.keep("reader", move || {
        let _keeps = &result;
        std::panic::resume_unwind(Box::new("not a word on standard error"));
    });
    assert!(reader.join().is_err());
}

/// Kind: abandoned by a timeout; what the two share is in the heap: memory leads to it.
fn a_sender_whose_receiver_is_in_an_arc(stage: &Stage) {
    let call = Arc::new(Chan::<u32>::new(0));
    let (request, over) = (call.clone(), Meet::of(2));
    let over2 = over.clone();
    stage.go("request", move || {
        over2.arrive();
        request.send(1);
    });
    select! {
        recv(call.rx) -> _ => {}
        recv(after(Duration::from_millis(1))) -> _ => {}
    }
    over.arrive();
}

/// As kubernetes#5316 was mended: a buffer of one.
fn the_answer_has_a_place(stage: &Stage) {
    let result = Chan::<u32>::new(1);
    let request = result.clone();
    stage.go("request", move || {
        a_while();
        request.send(1);
    });
    select! {
        recv(result.rx) -> _ => {}
        recv(after(Duration::from_millis(1))) -> _ => {}
    }
}

/// The caller was away.
fn the_answer_comes_late_but_is_taken(stage: &Stage) {
    let result = Chan::<u32>::new(0);
    let request = result.clone();
    stage.go("request", move || request.send(1));
    stage.go("caller", move || {
        a_while();
        assert_eq!(result.recv(), Some(1));
    });
}

/// Rust's way: the sender hears of it.
fn the_caller_drops_its_end(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("request", move || assert!(tx.send(1).is_err()));
    stage.go("caller", move || {
        a_while();
        drop(rx);
    });
}

/// All of many, slowly.
fn the_answers_are_all_taken(stage: &Stage) {
    let answers = Chan::<u32>::new(0);
    for n in 0..6 {
        let answers = answers.clone();
        stage.go("backend", move || answers.send(n));
    }
    stage.go("caller", move || {
        for _ in 0..6 {
            pause();
            answers.recv().unwrap();
        }
    });
}

/// The generator looks at a stop channel as well.
fn a_generator_that_is_told(stage: &Stage) {
    let (numbers, (stop, stopped)) = (Chan::<u64>::new(0), bounded::<()>(0));
    let out = numbers.clone();
    stage.go("generator", move || {
        for n in 0.. {
            select! {
                send(out.tx, n) -> _ => {}
                recv(stopped) -> _ => return,
            }
        }
    });
    stage.go("reader", move || {
        assert_eq!(numbers.rx.iter().take(5).sum::<u64>(), 10);
        a_while();
        drop(stop);
    });
}

/// The subscriber sleeps between events.
fn a_subscriber_that_comes_back(stage: &Stage) {
    let events = Chan::<u32>::new(0);
    let mine = events.clone();
    stage.go("subscriber", move || {
        for n in 0..3 {
            pause();
            pause();
            assert_eq!(mine.recv(), Some(n));
        }
    });
    stage.go("publisher", move || (0..3).for_each(|n| events.send(n)));
}

/// The receiver is what a goroutine returned, and its result was not fetched yet.
fn the_result_waits_in_a_finished_goroutine(stage: &Stage) {
    let stage2 = stage.clone();
    let made = stage.keep("maker", move || -> Receiver<u32> {
        let (tx, rx) = bounded(0);
        stage2.go("request", move || tx.send(1).unwrap());
        rx
    });
    stage.go("fetcher", move || {
        a_while();
        assert_eq!(made.join().unwrap().recv(), Ok(1));
    });
}

/// The sender gives up as well.
fn a_send_with_a_deadline(stage: &Stage) {
    stage.go("request", || {
        let result = Chan::<u32>::new(0);
        assert!(
            result
                .tx
                .send_timeout(1, Duration::from_millis(60))
                .is_err()
        );
    });
}

/// The caller timed out, and asks again with the same channel.
fn try_again_later(stage: &Stage) {
    let (result, (log, lines)) = (Chan::<u32>::new(0), unbounded());
    let request = result.clone();
    stage.go("request", move || request.send(1));
    stage.go("caller", move || {
        let mut tries = 0;
        loop {
            tries += 1;
            runtime::time::sleep(Duration::from_millis(15));
            if tries > 3 {
                log.send(result.recv()).unwrap();
                return;
            }
        }
    });
    stage.go("log", move || assert_eq!(lines.recv(), Ok(Some(1))));
}
