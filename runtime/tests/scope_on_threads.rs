//! Scopes on plain threads, whose goroutines run in the default runtime. One test, since the default
//! runtime is the process's.

mod support;

use runtime::time::{sleep, timeout};
use runtime::{go, scope};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;
use support::within_minute;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Counts what is inside.
struct Inside<'a>(&'a AtomicIsize);

impl<'a> Inside<'a> {
    fn new(n: &'a AtomicIsize) -> Inside<'a> {
        n.fetch_add(1, Ordering::SeqCst);
        Inside(n)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn text_of(result: std::thread::Result<()>) -> String {
    let payload = result.unwrap_err();
    (*payload.downcast_ref::<&str>().unwrap()).to_owned()
}

#[test]
fn scopes_on_threads_end_as_those_on_goroutines_do() {
    within_minute(|| {
        let inside = AtomicIsize::new(0);
        for procs in support::PROCS {
            let rt = runtime::start(procs);
            for _ in 0..20 {
                let failed = catch_unwind(AssertUnwindSafe(|| {
                    scope(|s| {
                        for _ in 0..10 {
                            s.spawn(|| {
                                let _inside = Inside::new(&inside);
                                sleep(HOUR);
                            });
                        }
                        s.spawn(|| {
                            sleep(MS);
                            std::panic::resume_unwind(Box::new("on purpose"));
                        });
                        sleep(HOUR); // what the body waits for ends too
                    })
                }));
                assert!(text_of(failed).contains("panicked"));
                assert_eq!(inside.load(Ordering::SeqCst), 0);

                let over = timeout(2 * MS, || {
                    scope(|s| {
                        for _ in 0..5 {
                            s.spawn(|| {
                                let _inside = Inside::new(&inside);
                                sleep(HOUR);
                            });
                        }
                    })
                });
                assert!(over.is_err());
                assert_eq!(inside.load(Ordering::SeqCst), 0);
                assert!(timeout(MS, || sleep(HOUR)).is_err());
                sleep(MS); // nothing is left of it
            }
            // A runtime that is shut down ends the scope of a thread, whatever it waits for.
            let stop = std::thread::spawn(move || {
                std::thread::sleep(20 * MS);
                drop(rt);
            });
            let cut = catch_unwind(|| {
                scope(|s| {
                    s.spawn(|| sleep(HOUR));
                    sleep(HOUR);
                })
            });
            assert!(text_of(cut).contains("shut down"));
            stop.join().unwrap();
        }
        let rt = runtime::start(1);
        assert_eq!(go!(|| 1).join().unwrap(), 1);
        drop(rt);
    });
}
