//! Random programs: single-threaded ones give what crossbeam-channel gives, step by step;
//! concurrent ones keep every value and the order of each sender.

mod common;

use common::support::{PROCS, within_minute};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step on a channel; the number picks one of the handles there are.
#[derive(Clone, Debug)]
enum Step {
    TrySend(usize),
    TryRecv(usize),
    /// If it does not wait.
    Send(usize),
    /// If it does not wait.
    Recv(usize),
    Look(usize),
    CloneSender(usize),
    CloneReceiver(usize),
    DropSender(usize),
    DropReceiver(usize),
    TryIter(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let n = 0..8usize;
    prop_oneof![
        8 => n.clone().prop_map(TrySend),
        6 => n.clone().prop_map(TryRecv),
        4 => n.clone().prop_map(Send),
        3 => n.clone().prop_map(Recv),
        2 => n.clone().prop_map(Look),
        1 => n.clone().prop_map(CloneSender),
        1 => n.clone().prop_map(CloneReceiver),
        1 => n.clone().prop_map(DropSender),
        1 => n.clone().prop_map(DropReceiver),
        1 => (n, 0..5usize).prop_map(|(i, k)| TryIter(i, k)),
    ]
}

/// The interpreter, over the name of the crate. `run` returns what every step gave.
macro_rules! interpreter {
    ($name:ident, $chan:ident) => {
        mod $name {
            use super::Step;
            use $chan::{Receiver, Sender};

            fn pick<T>(handles: &[T], i: usize) -> Option<usize> {
                (!handles.is_empty()).then(|| i % handles.len())
            }

            fn look(txs: &[Sender<String>], rxs: &[Receiver<String>], i: usize) -> String {
                let tx = pick(txs, i).map(|i| {
                    let tx = &txs[i];
                    let same = tx.same_channel(&txs[0]);
                    if rxs.is_empty() {
                        // Where the two crates differ: see api.rs.
                        return (0, true, false, tx.capacity(), same);
                    }
                    (tx.len(), tx.is_empty(), tx.is_full(), tx.capacity(), same)
                });
                let rx = pick(rxs, i).map(|i| {
                    let rx = &rxs[i];
                    let same = rx.same_channel(&rxs[0]);
                    (rx.len(), rx.is_empty(), rx.is_full(), rx.capacity(), same)
                });
                format!("{tx:?} {rx:?}")
            }

            pub fn run(cap: Option<usize>, steps: &[Step]) -> Vec<String> {
                let (tx, rx) = cap.map_or_else($chan::unbounded, $chan::bounded);
                let (mut txs, mut rxs) = (vec![tx], vec![rx]);
                let mut out = Vec::new();
                for (number, step) in steps.iter().enumerate() {
                    let value = format!("value {number}");
                    let result = match *step {
                        Step::TrySend(i) => pick(&txs, i).map(|i| match txs[i].try_send(value) {
                            Ok(()) => "sent".into(),
                            Err(e) => format!("{e}: ") + &e.into_inner(),
                        }),
                        Step::TryRecv(i) => pick(&rxs, i).map(|i| match rxs[i].try_recv() {
                            Ok(v) => v,
                            Err(e) => format!("{e} {e:?}"),
                        }),
                        Step::Send(i) => pick(&txs, i)
                            .filter(|&i| rxs.is_empty() || !txs[i].is_full())
                            .map(|i| match txs[i].send(value) {
                                Ok(()) => "sent".into(),
                                Err(e) => format!("{e}: ") + &e.into_inner(),
                            }),
                        Step::Recv(i) => pick(&rxs, i)
                            .filter(|&i| txs.is_empty() || !rxs[i].is_empty())
                            .map(|i| rxs[i].recv().unwrap_or_else(|e| format!("{e} {e:?}"))),
                        Step::Look(i) => Some(look(&txs, &rxs, i)),
                        Step::CloneSender(i) => pick(&txs, i).map(|i| {
                            txs.push(txs[i].clone());
                            String::new()
                        }),
                        Step::CloneReceiver(i) => pick(&rxs, i).map(|i| {
                            rxs.push(rxs[i].clone());
                            String::new()
                        }),
                        Step::DropSender(i) => pick(&txs, i).map(|i| {
                            drop(txs.remove(i));
                            look(&txs, &rxs, 0)
                        }),
                        Step::DropReceiver(i) => pick(&rxs, i).map(|i| {
                            drop(rxs.remove(i));
                            look(&txs, &rxs, 0)
                        }),
                        Step::TryIter(i, k) => pick(&rxs, i)
                            .map(|i| rxs[i].try_iter().take(k).collect::<Vec<_>>().join(", ")),
                    };
                    out.push(format!("{number} {step:?}: {result:?}"));
                }
                out
            }
        }
    };
}

interpreter!(ours, channels);
interpreter!(theirs, crossbeam_channel);

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn cap() -> impl Strategy<Value = Option<usize>> {
    prop::sample::select(vec![Some(0), Some(1), Some(2), Some(5), None])
}

#[test]
fn single_threaded_programs_give_what_they_give_with_crossbeam_channel() {
    within_minute(|| {
        let steps = prop::collection::vec(step(), 1..120);
        proptest!(config(1500), |(cap in cap(), steps in steps)| {
            prop_assert_eq!(ours::run(cap, &steps), theirs::run(cap, &steps));
        });
    });
}

#[test]
fn single_threaded_programs_give_the_same_on_a_goroutine() {
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let steps = prop::collection::vec(step(), 1..120);
            proptest!(config(500), |(cap in cap(), steps in steps)| {
                prop_assert_eq!(ours::run(cap, &steps), theirs::run(cap, &steps));
            });
        });
    });
}

/// What a concurrent task does with one of the channels.
#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize),
    /// Tries until it is taken; unbuffered, only a few times, then waits.
    TrySend(usize),
    Yield,
    /// Blocks its thread for a moment.
    Sleep,
}

/// A concurrent program: channels, tasks that send on them, and tasks that receive from each of
/// them until it ends. Some receivers forward to the channel after theirs.
#[derive(Clone, Debug)]
struct Program {
    caps: Vec<Option<usize>>,
    /// Whether it is a goroutine, and what it does.
    senders: Vec<(bool, Vec<Act>)>,
    /// The channel, whether it is a goroutine, whether it polls, whether it forwards.
    receivers: Vec<(usize, bool, bool, bool)>,
}

fn program() -> impl Strategy<Value = Program> {
    use prop::collection::vec;
    vec(cap(), 1..4).prop_flat_map(|caps| {
        let n = caps.len();
        let act = prop_oneof![
            6 => (0..n).prop_map(Act::Send),
            2 => (0..n).prop_map(Act::TrySend),
            1 => Just(Act::Yield),
            1 => Just(Act::Sleep),
        ];
        let goroutine = prop::bool::weighted(0.75);
        let senders = vec((goroutine, vec(act, 0..30)), 1..6);
        let receivers = vec((0..n, goroutine, any::<bool>(), any::<bool>()), 0..4);
        (senders, receivers).prop_map(move |(senders, mut receivers)| {
            // At least one for each channel.
            receivers.extend((0..n).map(|c| (c, true, false, c % 2 == 0)));
            Program {
                caps: caps.clone(),
                senders,
                receivers,
            }
        })
    })
}

/// Sender, number among its values on this channel, channel on which it was sent.
type Item = (usize, usize, usize);

fn act(act: Act, tx: &channels::Sender<Item>, item: Item) {
    let mut turns = 0;
    while matches!(act, Act::TrySend(_)) && !(tx.capacity() == Some(0) && turns > 3) {
        match tx.try_send(item) {
            Ok(()) => return,
            Err(e) => assert!(e.is_full()),
        }
        turns += 1;
        runtime::yield_now();
    }
    tx.send(item).unwrap();
}

fn run(rt: &runtime::Runtime, program: &Program) -> Result<(), TestCaseError> {
    let (txs, rxs): (Vec<_>, Vec<_>) = program.caps.iter().map(|c| common::channel(*c)).unzip();
    let spawn = |goroutine: bool, f: Box<dyn FnOnce() -> Vec<Item> + Send>| match goroutine {
        true => common::Task::Goroutine(rt.spawn(f)),
        false => common::Task::Thread(std::thread::spawn(f)),
    };
    let mut tasks = Vec::new();
    for (id, (goroutine, acts)) in program.senders.iter().cloned().enumerate() {
        let txs = txs.clone();
        let f = move || {
            let mut next = vec![0; txs.len()];
            for a in acts {
                match a {
                    Act::Send(c) | Act::TrySend(c) => {
                        act(a, &txs[c], (id, next[c], c));
                        next[c] += 1;
                    }
                    Act::Yield => runtime::yield_now(),
                    Act::Sleep => std::thread::sleep(std::time::Duration::from_micros(80)),
                }
            }
            Vec::new()
        };
        tasks.push(spawn(goroutine, Box::new(f)));
    }
    let mut receiving = Vec::new();
    for &(c, goroutine, polls, forwards) in &program.receivers {
        let rx = rxs[c].clone();
        let to = txs.get(c + 1).filter(|_| forwards).cloned();
        let f = move || {
            let mut got = Vec::new();
            loop {
                let item = match polls {
                    true => rx.try_recv(),
                    false => rx.recv().map_err(Into::into),
                };
                match item {
                    Ok(item) => match &to {
                        Some(to) => to.send(item).unwrap(),
                        None => got.push(item),
                    },
                    Err(e) if e.is_disconnected() => return got,
                    Err(_) => runtime::yield_now(),
                }
            }
        };
        receiving.push((c, spawn(goroutine, Box::new(f))));
    }
    drop((txs, rxs));
    common::join_all(tasks);
    let mut all = Vec::new();
    for (c, task) in receiving {
        let got = task.join();
        // What was sent on this very channel comes in the order of its sender. (What was
        // forwarded came by several hands, maybe.)
        let mut last = BTreeMap::new();
        for &(id, i, _) in got.iter().filter(|item| item.2 == c) {
            let before = last.insert(id, i);
            prop_assert!(before < Some(i), "{i} of {id} after {before:?} on {c}");
        }
        all.extend(got);
    }
    all.sort_unstable();
    let mut sent = Vec::new();
    for (id, (_, acts)) in program.senders.iter().enumerate() {
        let mut next = vec![0; program.caps.len()];
        for a in acts {
            if let Act::Send(c) | Act::TrySend(c) = *a {
                sent.push((id, next[c], c));
                next[c] += 1;
            }
        }
    }
    sent.sort_unstable();
    prop_assert_eq!(all, sent);
    Ok(())
}

#[test]
fn concurrent_programs_keep_every_value_and_the_order_of_each_sender() {
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            proptest!(config(60), |(program in program())| run(&rt, &program)?);
        });
    }
}

#[test]
fn concurrent_programs_of_a_goroutine_keep_every_value_too() {
    for procs in PROCS {
        within_minute(|| {
            // The channels are made on a goroutine.
            let rt = runtime::start(procs);
            rt.run(|| {
                proptest!(config(60), |(program in program())| run(&rt, &program)?);
            });
        });
    }
}
