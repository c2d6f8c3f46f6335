//! The monitor: what it does must not keep it from watching.

mod support;

use channels::{bounded, select, unbounded};
use std::time::{Duration, Instant};
use support::{scale, settle, within_minute};

/// CPU time that this process's monitors have used.
fn monitors_time() -> Duration {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        // One that has ended meanwhile is no monitor of ours.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else {
            continue;
        };
        if name.trim_end() == "weft-mon" {
            let stat = std::fs::read_to_string(path.join("schedstat")).unwrap();
            total += stat.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    Duration::from_nanos(total)
}

/// All goroutines wait most of the time, in selects, without timers: it looks like the deadlock that it is not. To find
/// out what each of them waits for takes a while.
#[test]
fn many_who_wait_do_not_keep_the_monitor_busy() {
    within_minute(|| {
        let rt = runtime::start(2);
        let (tx, rx) = unbounded::<()>();
        let (done_tx, done) = bounded::<()>(0);
        let waiters: Vec<_> = (0..scale(10_000))
            .map(|_| {
                let (rx, done) = (rx.clone(), done.clone());
                rt.spawn(move || {
                    loop {
                        select! {
                            recv(rx) -> message => if message.is_err() { return },
                            recv(done) -> _ => return,
                        }
                    }
                })
            })
            .collect();
        settle();
        let (before, since) = (monitors_time(), Instant::now());
        while since.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(30));
            tx.send(()).unwrap();
        }
        let used = monitors_time() - before;
        assert!(used < since.elapsed() / 10, "{used:?}");
        drop(done_tx);
        waiters.into_iter().for_each(|h| h.join().unwrap());
    });
}
