//! Goroutines that only pass values on are left where they are, though a P is idle; those that wait
//! behind a computation are not.

use channels::{Receiver, bounded, select};
use runtime::go;
use std::time::{Duration, Instant};

/// Selects over three senders until the thefts of their goroutines have shown to be in vain.
fn storm() {
    const EACH: u64 = 30_000;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(0)).unzip();
    for sender in &senders {
        let sender = sender.clone();
        go!(move || (0..EACH).for_each(|i| sender.send(i).unwrap()));
    }
    let mut sum = 0;
    for _ in 0..3 * EACH {
        sum += select! {
            recv(receivers[0]) -> n => n.unwrap(),
            recv(receivers[1]) -> n => n.unwrap(),
            recv(receivers[2]) -> n => n.unwrap(),
        };
    }
    assert_eq!(sum, 3 * EACH * (EACH - 1) / 2);
}

fn tell_when(told: Receiver<()>) -> runtime::JoinHandle<Instant> {
    go!(move || {
        told.recv().unwrap();
        Instant::now()
    })
}

#[test]
fn what_waits_behind_a_computation_runs_elsewhere_after_a_storm_of_short_ones() {
    let rt = runtime::start(2);
    rt.run(|| {
        for _ in 0..5 {
            storm();
            let (senders, times): (Vec<_>, Vec<_>) = (0..4)
                .map(|_| {
                    let (tell, told) = bounded(0);
                    (tell, tell_when(told))
                })
                .unzip();
            runtime::time::sleep(Duration::from_millis(2)); // all of them wait
            storm();
            senders.iter().for_each(|tell| tell.send(()).unwrap());
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(300) {
                std::hint::spin_loop();
            }
            let end = Instant::now();
            for time in times {
                let left = end - time.join().unwrap();
                assert!(left > Duration::from_millis(100), "{left:?} before the end");
            }
        }
    });
}
