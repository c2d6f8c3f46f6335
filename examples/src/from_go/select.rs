//! Select: on receives, sends, defaults and timeouts.

use super::Step;
use channels::{Receiver, Select, Sender, after, bounded, never, select, select_biased, unbounded};
use runtime::go;
use std::time::Duration;

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("select of receives and sends", mixed),
    ("select with default", with_default),
    ("select with a timeout", with_timeout),
    ("for { select { ... } }, until told to quit", until_quit),
    ("case v, ok := <-ch, and a nil channel", disabled),
    ("an arm that is there or not", optional),
    ("the first that is ready", biased),
    ("reflect.Select", dynamic),
];

fn mixed() -> String {
    let (input, values) = bounded(1);
    let (results, output) = bounded::<i32>(0);
    input.send(5).unwrap();
    select! {
        recv(values) -> v => format!("received {}", v.unwrap()),
        send(results, 1) -> sent => format!("sent: {}, to {output:?}", sent.is_ok()),
    }
}

fn with_default() -> String {
    let (_tx, rx) = bounded::<i32>(0);
    select! {
        recv(rx) -> v => format!("{v:?}"),
        default => "nothing yet".to_owned(),
    }
}

fn with_timeout() -> String {
    let (_tx, rx) = bounded::<i32>(0);
    let first = select! {
        recv(rx) -> v => format!("{v:?}"),
        default(Duration::from_millis(2)) => "too late".to_owned(),
    };
    let second = select! {
        recv(rx) -> v => format!("{v:?}"),
        recv(after(Duration::from_millis(2))) -> _ => "too late again".to_owned(),
    };
    format!("{first}, {second}")
}

fn until_quit() -> String {
    let (jobs, inbox) = bounded(0);
    let (quit, quits) = bounded::<()>(0);
    let worker = go!(move || {
        let mut sum = 0;
        loop {
            select! {
                recv(inbox) -> job => sum += job.unwrap_or(0),
                recv(quits) -> _ => break sum,
            }
        }
    });
    (1..=3).for_each(|n| jobs.send(n).unwrap());
    drop(quit);
    worker.join().unwrap().to_string()
}

fn disabled() -> String {
    fn merge(mut a: Receiver<i32>, mut b: Receiver<i32>, out: Sender<i32>) {
        let (mut a_open, mut b_open) = (true, true);
        while a_open || b_open {
            select! {
                recv(a) -> v => match v {
                    Ok(v) => out.send(v).unwrap(),
                    Err(_) => (a, a_open) = (Receiver::nil(), false),
                },
                recv(b) -> v => match v {
                    Ok(v) => out.send(v).unwrap(),
                    Err(_) => (b, b_open) = (Receiver::nil(), false),
                },
            }
        }
    }
    let ((to_a, a), (to_b, b)) = (bounded(0), bounded(0));
    let (out, merged) = unbounded();
    go!(merge(a, b, out));
    go!(move || (0..10).for_each(|n| to_a.send(n).unwrap()));
    go!(move || (10..15).for_each(|n| to_b.send(n).unwrap()));
    merged.iter().sum::<i32>().to_string()
}

fn optional() -> String {
    let (tx, rx) = bounded(1);
    tx.send("a value").unwrap();
    let limit: Option<Duration> = None;
    select! {
        recv(rx) -> v => v.unwrap().to_owned(),
        recv(limit.map_or_else(never, after)) -> _ => "the limit".to_owned(),
    }
}

fn biased() -> String {
    let (urgent, first) = bounded(1);
    let (normal, second) = bounded(1);
    normal.send("normal").unwrap();
    urgent.send("urgent").unwrap();
    select_biased! {
        recv(first) -> v => v.unwrap().to_owned(),
        recv(second) -> v => v.unwrap().to_owned(),
    }
}

fn dynamic() -> String {
    let ends: Vec<_> = (0..5).map(|_| bounded(1)).collect();
    ends[3].0.send("the fourth").unwrap();
    let mut arms = Select::new();
    for (_, rx) in &ends {
        arms.recv(rx);
    }
    let chosen = arms.select();
    let index = chosen.index();
    format!("{index}: {}", chosen.recv(&ends[index].1).unwrap())
}
