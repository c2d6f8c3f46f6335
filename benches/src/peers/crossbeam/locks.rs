//! Locks on threads: the standard library's, as crossbeam-channel has none.

use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::Instant;

use super::super::{Pass, RWLOCK_GOROUTINES, is_write, writes_among};

pub(super) fn mutex(threads: usize, n: usize) -> Pass {
    let each = n / threads;
    let shared = Mutex::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    *shared.lock().expect("no panics") += 1;
                }
            });
        }
    });
    let pass = Pass::since(start, each * threads);
    assert_eq!(shared.into_inner().expect("no panics"), each * threads);
    pass
}

pub(super) fn rwlock(n: usize) -> Pass {
    let each = n / RWLOCK_GOROUTINES;
    let shared = RwLock::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..RWLOCK_GOROUTINES {
            scope.spawn(|| {
                let mut seen = 0;
                for i in 0..each {
                    if is_write(i) {
                        *shared.write().expect("no panics") += 1;
                    } else {
                        let read = *shared.read().expect("no panics");
                        assert!(read >= seen, "a write was lost");
                        seen = read;
                    }
                }
            });
        }
    });
    let pass = Pass::since(start, each * RWLOCK_GOROUTINES);
    let written = shared.into_inner().expect("no panics");
    assert_eq!(written, writes_among(each) * RWLOCK_GOROUTINES);
    pass
}
