//! Package `sync`, and its neighbours `sync/atomic` and `x/sync/semaphore`.

use super::Step;
use runtime::go;
use runtime::sync::{Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("sync.Mutex", mutex),
    ("Mutex.TryLock", try_lock),
    ("sync.RWMutex", rwlock),
    ("sync.Cond", cond),
    ("sync.Once", once),
    ("sync.OnceFunc, sync.OnceValue", once_value),
    ("sync.OnceValues, with an error", once_values),
    ("sync.Pool", pool),
    ("sync.Map", map),
    ("sync.WaitGroup, Add and Done", wait_group),
    ("sync.WaitGroup, Go", wait_group_go),
    ("sync/atomic", atomic),
    ("x/sync/semaphore", semaphore),
];

fn mutex() -> String {
    let total = Arc::new(Mutex::new(0));
    let adders: Vec<_> = (0..10)
        .map(|n| {
            let total = total.clone();
            go!(move || {
                let mut total = total.lock().unwrap();
                *total += n;
            })
        })
        .collect();
    adders.into_iter().for_each(|h| h.join().unwrap());
    let sum = *total.lock().unwrap();
    sum.to_string()
}

fn try_lock() -> String {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let free = lock.try_lock().is_ok();
    drop(guard);
    format!("{free} {}", lock.try_lock().is_ok())
}

fn rwlock() -> String {
    let config = RwLock::new("old");
    let before = *config.read().unwrap();
    *config.write().unwrap() = "new";
    format!("{before} {}", config.read().unwrap())
}

fn cond() -> String {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    let other = shared.clone();
    go!(move || {
        let (ready, changed) = &*other;
        *ready.lock().unwrap() = true;
        changed.notify_all();
    });
    let (ready, changed) = &*shared;
    let mut guard = ready.lock().unwrap();
    while !*guard {
        guard = changed.wait(guard).unwrap();
    }
    format!("ready: {guard}")
}

fn once() -> String {
    static INIT: Once = Once::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..3 {
        INIT.call_once(|| _ = COUNT.fetch_add(1, Ordering::Relaxed));
    }
    INIT.is_completed().to_string()
}

fn once_value() -> String {
    static TABLE: LazyLock<Vec<u64>> = LazyLock::new(|| (1..=5).map(|n| n * n).collect());
    format!("{:?}", *TABLE)
}

fn once_values() -> String {
    let parsed: OnceLock<Result<i32, String>> = OnceLock::new();
    let get = || parsed.get_or_init(|| "7".parse::<i32>().map_err(|e| e.to_string()));
    format!("{:?} {:?}", get(), get())
}

fn pool() -> String {
    let pool: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let mut buffer = pool.lock().unwrap().pop().unwrap_or_default();
    buffer.extend(b"text");
    buffer.clear();
    pool.lock().unwrap().push(buffer);
    format!("{} to be had", pool.lock().unwrap().len())
}

fn map() -> String {
    let ages: RwLock<HashMap<&str, i32>> = RwLock::default();
    ages.write().unwrap().insert("ann", 30);
    let ann = ages.read().unwrap().get("ann").copied();
    let new = *ages.write().unwrap().entry("bob").or_insert(20);
    format!("{ann:?} {new}")
}

fn wait_group() -> String {
    let wg = Arc::new(WaitGroup::new());
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        wg.add(1);
        let (wg, count) = (wg.clone(), count.clone());
        go!(move || {
            count.fetch_add(1, Ordering::Relaxed);
            wg.done();
        });
    }
    wg.wait();
    count.load(Ordering::Relaxed).to_string()
}

fn wait_group_go() -> String {
    let wg = Arc::new(WaitGroup::new());
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..5 {
        let count = count.clone();
        wg.go(move || count.fetch_add(1, Ordering::Relaxed));
    }
    wg.wait();
    count.load(Ordering::Relaxed).to_string()
}

fn atomic() -> String {
    let n = AtomicI64::new(5);
    n.fetch_add(2, Ordering::SeqCst);
    let swapped = n
        .compare_exchange(7, 9, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok();
    format!("{} {swapped}", n.load(Ordering::SeqCst))
}

fn semaphore() -> String {
    let slots = Semaphore::new(3);
    let two = slots.acquire_many(2);
    let refused = slots.try_acquire_many(2).is_none();
    drop(two);
    format!("{refused} {}", slots.available_permits())
}
