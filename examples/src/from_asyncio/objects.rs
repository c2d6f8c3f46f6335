//! What tasks share: queues, and the primitives of synchronisation.

use super::ms;
use channels::{TryRecvError, TrySendError, bounded, unbounded};
use runtime::go;
use runtime::sync::{Barrier, Condvar, Event, Mutex, Semaphore, WaitGroup};
use runtime::task::gather;
use runtime::time::{Elapsed, sleep, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `asyncio.Queue`.
pub fn queue() -> u64 {
    let (put, get) = bounded(10);
    let workers = [0, 1, 2].map(|_| {
        let get = get.clone();
        go!(move || get.iter().sum::<u64>())
    });
    for item in 1..=100 {
        put.send(item).unwrap();
    }
    drop(put); // the workers' loops end when the queue is empty
    workers.into_iter().map(|w| w.join().unwrap()).sum()
}

/// `Queue.put_nowait`, `get_nowait`, `qsize`, a `get` with a limit, a queue without a bound.
pub fn queue_without_waiting() -> (TrySendError<u8>, TryRecvError, Elapsed, usize) {
    let (put, get) = bounded(1);
    put.try_send(1u8).unwrap();
    let full = put.try_send(2).unwrap_err();
    assert_eq!((get.len(), get.try_recv()), (1, Ok(1)));
    let empty = get.try_recv().unwrap_err();
    let late = timeout(ms(1), || get.recv()).unwrap_err();

    let (put, get) = unbounded();
    (0..1000).for_each(|item| put.send(item).unwrap());
    (full, empty, late, get.len())
}

/// `Queue.join` and `task_done`: by a wait group beside the queue.
pub fn queue_join() -> u64 {
    let (put, get) = unbounded();
    let open = Arc::new(WaitGroup::new());
    let total = Arc::new(Mutex::new(0));
    let workers = [0, 1, 2].map(|_| {
        let (get, open, total) = (get.clone(), open.clone(), total.clone());
        go!(move || {
            for item in get {
                *total.lock().unwrap() += item;
                open.done();
            }
        })
    });
    for item in 1..=100 {
        open.add(1);
        put.send(item).unwrap();
    }
    open.wait();
    for worker in &workers {
        worker.cancel();
    }
    *total.lock().unwrap()
}

/// `asyncio.Event`.
pub fn event() -> (bool, usize) {
    let event = Arc::new(Event::new());
    let waiters = [0, 1, 2].map(|i| {
        let event = event.clone();
        go!(move || {
            event.wait();
            i
        })
    });
    let early = event.is_set();
    event.set();
    let woken = gather(waiters).unwrap().len();
    event.clear();
    (early, woken)
}

/// `asyncio.Lock`.
pub fn lock() -> u32 {
    let lock = Arc::new(Mutex::new(0));
    let tasks = (0..10).map(|_| {
        let lock = lock.clone();
        go!(move || {
            let mut count = lock.lock().unwrap();
            let before = *count;
            sleep(ms(1)); // the others wait
            *count = before + 1;
        })
    });
    gather(tasks).unwrap();
    *lock.lock().unwrap()
}

/// `asyncio.Semaphore`: how many were there at most.
pub fn semaphore() -> usize {
    let semaphore = Arc::new(Semaphore::new(3));
    let (here, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..12).map(|_| {
        let (semaphore, here, most) = (semaphore.clone(), here.clone(), most.clone());
        go!(move || {
            let permit = semaphore.acquire();
            most.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(ms(2));
            here.fetch_sub(1, Ordering::SeqCst);
            drop(permit);
        })
    });
    gather(tasks).unwrap();
    most.load(Ordering::SeqCst)
}

/// `asyncio.Condition`.
pub fn condition() -> Vec<u32> {
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let consumer = {
        let shared = shared.clone();
        go!(move || {
            let (items, changed) = &*shared;
            let guard = items.lock().unwrap();
            let guard = changed.wait_while(guard, |i| i.len() < 3).unwrap();
            guard.clone()
        })
    };
    let (items, changed) = &*shared;
    for item in 0..3 {
        items.lock().unwrap().push(item);
        changed.notify_all();
    }
    consumer.join().unwrap()
}

/// `asyncio.Barrier`.
pub fn barrier() -> (usize, bool) {
    let barrier = Arc::new(Barrier::new(3));
    let come = Arc::new(AtomicUsize::new(0));
    let tasks = [0, 1, 2].map(|_| {
        let (barrier, come) = (barrier.clone(), come.clone());
        go!(move || {
            come.fetch_add(1, Ordering::SeqCst);
            let last = barrier.wait().is_leader();
            (last, come.load(Ordering::SeqCst) == 3)
        })
    });
    let seen = gather(tasks).unwrap();
    let leaders = seen.iter().filter(|s| s.0).count();
    (leaders, seen.iter().all(|s| s.1))
}
