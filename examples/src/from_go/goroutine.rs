//! `go`, and what stands around it.

use super::Step;
use channels::bounded;
use runtime::{OnPanic, go};
use std::panic::catch_unwind;
use std::time::Duration;

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("go f(x), evaluated now, called later", call),
    ("go func() { ... }()", closure),
    ("a result", result),
    ("runtime.Gosched", gosched),
    ("runtime.NumGoroutine", count),
    ("runtime.GOMAXPROCS, runtime.NumCPU", procs),
    ("runtime.LockOSThread", os_thread),
    ("panic", panics),
    ("recover", recover),
    ("runtime.Goexit, from outside", goexit),
    ("the end of main", end_of_main),
    ("an unrecovered panic ends the process", abort),
];

const HOUR: Duration = Duration::from_secs(3600);

fn call() -> String {
    fn double(n: i32, result: channels::Sender<i32>) {
        result.send(2 * n).unwrap();
    }
    let (tx, rx) = bounded(0);
    let mut n = 21;
    go!(double(n, tx));
    n += 1;
    format!("{} {n}", rx.recv().unwrap())
}

fn closure() -> String {
    let (tx, rx) = bounded(0);
    go!(move || tx.send("hello").unwrap());
    rx.recv().unwrap().to_owned()
}

fn result() -> String {
    let h = go!(|| 6 * 7);
    let answer = h.join().unwrap();
    answer.to_string()
}

fn gosched() -> String {
    let (tx, rx) = bounded(1);
    go!(move || tx.send("the other ran").unwrap());
    loop {
        if let Ok(text) = rx.try_recv() {
            return text.to_owned();
        }
        runtime::yield_now();
    }
}

fn count() -> String {
    let waits = go!(|| runtime::time::sleep(HOUR));
    let several = runtime::num_goroutines() > 1;
    waits.cancel();
    format!("more than this one: {several}")
}

fn procs() -> String {
    let rt = runtime::start(4);
    let cpus = std::thread::available_parallelism().unwrap();
    format!("{} Ps, CPUs counted: {}", rt.num_procs(), cpus.get() > 0)
}

fn os_thread() -> String {
    let here = || std::thread::current().id();
    let locked = runtime::lock_os_thread();
    let before = here();
    runtime::yield_now();
    let same = before == here();
    drop(locked);
    format!("the same thread: {same}")
}

fn panics() -> String {
    let h = go!(|| panic!("out of ideas"));
    match h.join() {
        Err(e) if e.is_panic() => e.to_string(),
        _ => unreachable!(),
    }
}

fn recover() -> String {
    let result = catch_unwind(|| panic!("out of ideas"));
    format!("recovered: {}", result.is_err())
}

fn goexit() -> String {
    let h = go!(|| runtime::time::sleep(HOUR));
    h.cancel();
    h.join().unwrap_err().to_string()
}

fn end_of_main() -> String {
    let (tx, rx) = bounded::<()>(0);
    let rt = runtime::start(2);
    rt.spawn(move || tx.send(()));
    drop(rt);
    format!("its goroutines have ended: {}", rx.recv().is_err())
}

fn abort() -> String {
    let rt = runtime::Builder::new()
        .procs(1)
        .on_panic(OnPanic::Abort)
        .build()
        .unwrap();
    format!("set up, with {} P, and not tried out here", rt.num_procs())
}
