//! Locks on this runtime.

use std::sync::Arc;
use std::time::Instant;

use runtime::go;
use runtime::sync::{Mutex, RwLock};

use super::super::{Pass, RWLOCK_GOROUTINES, is_write, writes_among};
use super::join;

pub(super) fn mutex(goroutines: usize, n: usize) -> Pass {
    let each = n / goroutines;
    let shared = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        go!(move || {
            for _ in 0..each {
                *shared.lock().expect("no panics") += 1;
            }
            each
        })
    };
    let locked = join((0..goroutines).map(spawn).collect()).sum();
    let pass = Pass::since(start, locked);
    assert_eq!(*shared.lock().expect("no panics"), each * goroutines);
    pass
}

pub(super) fn rwlock(n: usize) -> Pass {
    let each = n / RWLOCK_GOROUTINES;
    let shared = Arc::new(RwLock::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        go!(move || {
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
            each
        })
    };
    let locked = join((0..RWLOCK_GOROUTINES).map(spawn).collect()).sum();
    let pass = Pass::since(start, locked);
    let written = *shared.read().expect("no panics");
    assert_eq!(written, writes_among(each) * RWLOCK_GOROUTINES);
    pass
}
