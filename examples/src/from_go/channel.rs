//! Channels: making, sending, receiving, closing.

use super::Step;
use channels::{Receiver, RecvError, SendError, Sender, TryRecvError, bounded, unbounded};
use runtime::go;

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("make(chan T)", unbuffered),
    ("make(chan T, n), len, cap", buffered),
    ("no bound at all", without_bound),
    ("v, ok := <-ch", comma_ok),
    ("for v := range ch", range),
    ("close", close),
    ("send and receive without waiting", tries),
    ("directions, and channels of channels", directions),
    ("channels are values: clone, compare", identity),
    ("var ch chan T (nil)", nil),
    ("for range n { <-done }", signal),
];

fn unbuffered() -> String {
    let (tx, rx) = bounded(0);
    go!(move || tx.send(10).unwrap());
    let v = rx.recv().unwrap();
    v.to_string()
}

fn buffered() -> String {
    let (tx, rx) = bounded::<i32>(3);
    tx.send(1).unwrap();
    format!("{} of {:?}", rx.len(), rx.capacity())
}

fn without_bound() -> String {
    let (tx, rx) = unbounded();
    (0..1000).for_each(|n| tx.send(n).unwrap());
    format!("{} of {:?}", rx.len(), rx.capacity())
}

fn comma_ok() -> String {
    let (tx, rx) = bounded(1);
    tx.send(7).unwrap();
    drop(tx);
    let (v, ok) = match rx.recv() {
        Ok(v) => (v, true),
        Err(RecvError) => (0, false),
    };
    let zero = rx.recv().unwrap_or_default();
    format!("{v} {ok} {zero}")
}

fn range() -> String {
    let (tx, rx) = bounded(0);
    go!(move || {
        for n in 1..=4 {
            tx.send(n).unwrap();
        }
    });
    let mut sum = 0;
    for v in &rx {
        sum += v;
    }
    sum.to_string()
}

fn close() -> String {
    let (tx, rx) = bounded(2);
    tx.send(1).unwrap();
    let first = tx.close();
    let again = tx.close();
    assert_eq!(tx.send(2), Err(SendError(2)));
    let rest: Vec<i32> = rx.iter().collect();
    format!("{first} {again} {rest:?}")
}

fn tries() -> String {
    let (tx, rx) = bounded(1);
    let sent = tx.try_send(1).is_ok();
    let full = tx.try_send(2).is_err();
    let got = rx.try_recv();
    let none = rx.try_recv() == Err(TryRecvError::Empty);
    format!("{sent} {full} {got:?} {none}")
}

fn directions() -> String {
    fn serve(requests: Receiver<Sender<String>>) {
        for reply in requests {
            reply.send("served".to_owned()).unwrap();
        }
    }
    let (requests, inbox) = bounded::<Sender<String>>(0);
    go!(serve(inbox));
    let (tx, rx) = bounded(1);
    requests.send(tx).unwrap();
    rx.recv().unwrap()
}

fn identity() -> String {
    let (tx, rx) = bounded::<()>(0);
    let other = tx.clone();
    format!(
        "{} {}",
        other.same_channel(&tx),
        rx.same_channel(&Receiver::nil())
    )
}

fn nil() -> String {
    let ch: Receiver<i32> = Receiver::nil();
    format!("{:?}", ch.try_recv())
}

fn signal() -> String {
    let (done, ends) = bounded::<()>(0);
    for _ in 0..3 {
        let done = done.clone();
        go!(move || done.send(()).unwrap());
    }
    for _ in 0..3 {
        ends.recv().unwrap();
    }
    "three have ended".to_owned()
}
