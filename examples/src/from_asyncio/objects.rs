//! What tasks share: queues.

use super::ms;
use channels::{TryRecvError, TrySendError, bounded, unbounded};
use runtime::go;
use runtime::time::{Elapsed, timeout};

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
