//! What of package `time` waits.

use super::Step;
use channels::{Receiver, after, bounded, select, tick};
use runtime::time::{Ticker, Timer, after_func, sleep, timeout};
use std::time::{Duration, Instant};

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("time.Sleep", sleeping),
    ("time.After", time_after),
    ("time.AfterFunc, Stop", time_after_func),
    ("time.Tick", time_tick),
    ("time.NewTimer, timer.C", new_timer),
    ("Timer.Stop, Timer.Reset", stop_reset),
    ("time.NewTicker", new_ticker),
    ("a limit for anything", limit),
];

const HOUR: Duration = Duration::from_secs(3600);

fn sleeping() -> String {
    let start = Instant::now();
    sleep(Duration::from_millis(2));
    format!("{}", start.elapsed() >= Duration::from_millis(2))
}

fn time_after() -> String {
    let (_tx, rx) = bounded::<i32>(0);
    select! {
        recv(rx) -> v => format!("{v:?}"),
        recv(after(Duration::from_millis(2))) -> _ => "timed out".to_owned(),
    }
}

fn time_after_func() -> String {
    let (tx, rx) = bounded(1);
    let called = after_func(Duration::from_millis(1), move || tx.send("called").unwrap());
    let later = after_func(HOUR, || unreachable!());
    let in_time = later.stop();
    let text = rx.recv().unwrap();
    format!("{text} {in_time} {}", called.stop())
}

fn time_tick() -> String {
    let mut ticks = 0;
    for _ in tick(Duration::from_millis(1)).iter().take(3) {
        ticks += 1;
    }
    ticks.to_string()
}

fn new_timer() -> String {
    let timer = Timer::new(Duration::from_millis(1));
    let c = Receiver::from(&timer);
    c.recv().is_ok().to_string()
}

fn stop_reset() -> String {
    let timer = Timer::new(HOUR);
    let stopped = timer.stop();
    let active = timer.reset(Duration::from_millis(1));
    let fired = timer.wait().is_some();
    format!("{stopped} {active} {fired} {}", timer.stop())
}

fn new_ticker() -> String {
    let ticker = Ticker::new(HOUR);
    ticker.reset(Duration::from_millis(1));
    let c = Receiver::from(&ticker);
    let first = c.recv().unwrap();
    let second = ticker.wait().unwrap();
    ticker.stop();
    format!("{}", second > first)
}

fn limit() -> String {
    let result = timeout(Duration::from_millis(2), || sleep(HOUR));
    result.unwrap_err().to_string()
}
