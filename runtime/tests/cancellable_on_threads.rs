//! `cancellable` on a plain thread, whose goroutines run in the default runtime. One test, since the default
//! runtime is the process's.

mod support;

use runtime::cancellable;
use runtime::go;
use runtime::time::sleep;
use std::time::Duration;
use support::{scale, within_minute};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_canceller_works_from_anywhere_and_at_any_time_on_a_thread() {
    within_minute(|| {
        let _rt = runtime::start(2);
        for _ in 0..scale(500) {
            let mut kept = None;
            let result = cancellable(|work| {
                kept = Some(work.clone());
                let (other, again) = (work.clone(), work);
                go!(move || other.cancel());
                std::thread::spawn(move || again.cancel());
                sleep(HOUR);
            });
            assert!(result.is_err());
            assert!(!kept.unwrap().cancel(), "it is over");
            // Whoever comes after waits undisturbed.
            let (tx, rx) = channels::bounded(0);
            go!(move || tx.send(1).unwrap());
            assert_eq!(rx.recv(), Ok(1));
        }
    });
}
