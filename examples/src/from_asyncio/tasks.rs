//! Tasks: starting them, waiting for them, ending them.

use super::{fetch, ms};
use runtime::task::{Until, WaitError, as_completed, gather, gather_all, shield, wait, wait_for};
use runtime::time::{Elapsed, sleep, timeout};
use runtime::{JoinError, JoinHandle, go};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The tasks of most examples, slow and quick ones.
fn tasks() -> Vec<JoinHandle<String>> {
    [("a", 30), ("b", 10), ("c", 20)]
        .map(|(name, delay)| go!(fetch(name, delay)))
        .into()
}

/// `asyncio.create_task`, `await task`.
pub fn create_task() -> String {
    let task = go!(fetch("a", 10));
    let other = go!(name = "b", fetch("b", 5));
    let name = other.name();
    let texts = [task.join().unwrap(), other.join().unwrap()];
    format!("{texts:?}, the second by {name:?}")
}

/// `asyncio.sleep`: a hundred sleeps at once take as long as one.
pub fn sleeps() -> Duration {
    let start = Instant::now();
    let sleepers: Vec<_> = (0..100).map(|_| go!(|| sleep(ms(20)))).collect();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
    start.elapsed()
}

/// An exception in a task.
pub fn exception() -> JoinError {
    let task = go!(|| {
        // A panic, without the report that `panic!` would print.
        std::panic::resume_unwind(Box::new("boom"));
    });
    match task.join() {
        Ok(()) => unreachable!("it panics"),
        Err(error) => error,
    }
}

/// `asyncio.gather`.
pub fn gathered() -> Result<Vec<String>, JoinError> {
    let texts = gather([go!(fetch("a", 30)), go!(fetch("b", 10))])?;
    Ok(texts)
}

/// `asyncio.gather(..., return_exceptions=True)`.
pub fn gathered_with_errors() -> Vec<Result<String, JoinError>> {
    let mut tasks = tasks();
    tasks.push(go!(|| std::panic::resume_unwind(Box::new("boom"))));
    gather_all(tasks)
}

/// `asyncio.wait`, with each of its conditions, and with a timeout.
pub fn waits() -> [(usize, usize); 4] {
    let first = wait(tasks(), Until::FirstCompleted, None);
    for task in &first.pending {
        task.cancel();
    }

    let all = wait(tasks(), Until::AllCompleted, None);
    let texts: Vec<_> = all.done.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(texts.len(), 3);

    let mut with_failure = tasks();
    with_failure.push(go!(|| std::panic::resume_unwind(Box::new("boom"))));
    let failed = wait(with_failure, Until::FirstException, None);

    let limited = wait(tasks(), Until::AllCompleted, Some(ms(1)));
    [
        (first.done.len(), first.pending.len()),
        (texts.len(), all.pending.len()),
        (failed.done.len(), failed.pending.len()),
        (limited.done.len(), limited.pending.len()),
    ]
}

/// `asyncio.as_completed`.
pub fn completed() -> Vec<String> {
    let mut texts = Vec::new();
    for (_, result) in as_completed(tasks()) {
        texts.push(result.unwrap());
    }
    texts
}

/// `asyncio.wait_for`.
pub fn waited_for() -> (String, WaitError) {
    let in_time = wait_for(ms(5_000), go!(fetch("a", 5)));
    let too_late = wait_for(ms(5), go!(fetch("b", 3_600_000)));
    (in_time.unwrap(), too_late.unwrap_err())
}

/// `asyncio.timeout`: for whatever one does, not only for tasks.
pub fn timeouts() -> (Result<String, Elapsed>, Result<String, Elapsed>) {
    let slow = timeout(ms(5), || {
        let a = fetch("a", 1);
        let b = fetch("b", 3_600_000);
        a + &b
    });
    let quick = timeout(ms(5_000), || fetch("c", 1));
    (slow, quick)
}

/// `asyncio.shield`.
pub fn shielded() -> (WaitError, String) {
    let (saved, done) = channels::bounded(1);
    let saving = go!(move || {
        sleep(ms(20));
        saved.send("saved all the same".to_owned()).unwrap();
    });
    let late = wait_for(ms(1), shield(saving));
    (late.unwrap_err(), done.recv().unwrap())
}

/// A wait that has a limit and leaves the task alone: the handle comes back.
pub fn join_with_timeout() -> String {
    let mut task = go!(fetch("a", 30));
    let mut looks = 0;
    let text = loop {
        match task.join_timeout(ms(10)) {
            Ok(result) => break result.unwrap(),
            Err(again) => task = again,
        }
        looks += 1;
    };
    format!(
        "{text}, having looked {}",
        if looks > 0 { "before" } else { "once" }
    )
}

/// `Task.cancel`, and what a task does when it is cancelled.
pub fn cancelled() -> (bool, JoinError, String) {
    struct CleanUp(channels::Sender<String>);
    impl Drop for CleanUp {
        fn drop(&mut self) {
            sleep(ms(1)); // may wait
            self.0.send("cleaned up".to_owned()).unwrap();
        }
    }
    let (tx, log) = channels::bounded(1);
    let (started, begun) = channels::bounded(1);
    let task = go!(move || {
        let _clean_up = CleanUp(tx);
        started.send(()).unwrap();
        sleep(ms(3_600_000));
    });
    begun.recv().unwrap();
    let in_time = task.cancel();
    let error = task.join().unwrap_err();
    (in_time, error, log.recv().unwrap())
}

/// `asyncio.TaskGroup`.
pub fn task_group() -> String {
    let words = ["borrowed", "by", "all"];
    let (mut total, mut longest) = (0, "");
    runtime::scope(|group| {
        group.spawn(|| total = words.iter().map(|w| w.len()).sum());
        group.spawn(|| longest = words.iter().max_by_key(|w| w.len()).unwrap());
    });
    format!("{total} letters, the longest is {longest:?}")
}

/// A `TaskGroup` in which one task fails: the others are cancelled.
pub fn failing_task_group() -> (Duration, bool) {
    let start = Instant::now();
    let group = std::panic::catch_unwind(|| {
        runtime::scope(|group| {
            group.spawn(|| sleep(ms(3_600_000)));
            group.spawn(|| std::panic::resume_unwind(Box::new("boom")));
        });
    });
    (start.elapsed(), group.is_err())
}

/// `asyncio.to_thread`: code that blocks its thread.
pub fn to_thread() -> String {
    let other = go!(fetch("meanwhile", 1));
    let text = runtime::blocking(|| {
        std::thread::sleep(ms(20)); // a call that knows nothing of this runtime
        "blocked"
    });
    format!("{text}, {}", other.join().unwrap())
}

/// `contextvars`.
pub fn context() -> String {
    use std::cell::Cell;
    runtime::goroutine_local! {
        static inherit REQUEST: Cell<u32> = Cell::new(0);
    }
    REQUEST.set(7);
    let child = go!(|| {
        let inherited = REQUEST.get();
        REQUEST.set(8);
        inherited
    });
    let inherited = child.join().unwrap();
    format!("the child saw {inherited}, we have {}", REQUEST.get())
}

/// Three tasks at once: the program that many introductions begin with.
pub fn three_tasks() -> String {
    let mut out = String::new();
    let (print, lines) = channels::unbounded();
    let tasks = ["taskA", "taskB", "taskC"].map(|name| {
        let print = print.clone();
        go!(move || {
            print.send(format!("{name}: begins")).unwrap();
            sleep(ms(20));
            print.send(format!("{name}: ends")).unwrap();
        })
    });
    wait(tasks, Until::AllCompleted, None);
    drop(print);
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    out
}
