//! Locks on tokio: its own, which wait in tasks.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, RwLock};

use super::super::{Pass, RWLOCK_GOROUTINES, is_write, writes_among};
use super::join_sum;

pub(super) async fn mutex(tasks: usize, n: usize) -> Pass {
    let each = n / tasks;
    let shared = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            for _ in 0..each {
                *shared.lock().await += 1;
            }
            each
        })
    };
    let locked = join_sum((0..tasks).map(spawn).collect()).await;
    let pass = Pass::since(start, locked);
    assert_eq!(*shared.lock().await, each * tasks);
    pass
}

pub(super) async fn rwlock(n: usize) -> Pass {
    let each = n / RWLOCK_GOROUTINES;
    let shared = Arc::new(RwLock::new(0));
    let start = Instant::now();
    let spawn = |_| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut seen = 0;
            for i in 0..each {
                if is_write(i) {
                    *shared.write().await += 1;
                } else {
                    let read = *shared.read().await;
                    assert!(read >= seen, "a write was lost");
                    seen = read;
                }
            }
            each
        })
    };
    let locked = join_sum((0..RWLOCK_GOROUTINES).map(spawn).collect()).await;
    let pass = Pass::since(start, locked);
    let written = *shared.read().await;
    assert_eq!(written, writes_among(each) * RWLOCK_GOROUTINES);
    pass
}
