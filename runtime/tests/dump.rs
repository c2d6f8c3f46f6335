//! Dumps say what each goroutine does, where, and for what it waits.

mod support;

use channels::{Receiver, Sender, bounded, unbounded};
use runtime::sync::{Barrier, Condvar, Event, Mutex, RwLock, Semaphore, WaitGroup};
use runtime::{Dump, DumpedGoroutine, GoroutineState, go};
use std::sync::Arc;
use std::time::Duration;
use support::{PROCS, alone, eventually, within_minute};

fn ignore<T>(_: T) {}

/// The goroutine of this name, when it waits.
fn parked(name: &str) -> (Dump, DumpedGoroutine) {
    let mut found = None;
    assert!(
        eventually(|| {
            let dump = runtime::dump();
            let g = dump.goroutines().find(|g| g.name() == Some(name));
            let waiting = g.filter(|g| matches!(g.state(), GoroutineState::Waiting(_)));
            found = waiting.cloned().map(|g| (dump.clone(), g));
            found.is_some()
        }),
        "{name} does not wait:\n{}",
        runtime::dump()
    );
    found.unwrap()
}

/// What the dump says of the goroutine: its paragraph.
fn paragraph(dump: &Dump, g: &DumpedGoroutine) -> String {
    let text = dump.to_string();
    let head = format!("goroutine {} ", g.id());
    let all = text
        .split("\n\n")
        .find(|p| p.trim_start().starts_with(&head));
    all.unwrap_or_else(|| panic!("no {head} in\n{text}"))
        .trim_start()
        .to_owned()
}

#[inline(never)]
fn receive_the_order(rx: &Receiver<u32>) -> u32 {
    rx.recv().unwrap() + 1
}

#[inline(never)]
fn serve_one_customer(rx: Receiver<u32>) -> u32 {
    receive_the_order(&rx) * 2
}

#[test]
fn a_stack_names_the_users_functions_and_lines() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            runtime::start(procs).run(|| {
                let (tx, rx) = bounded(3);
                let h = go!(name = "waiter", move || serve_one_customer(rx));
                let (dump, g) = parked("waiter");
                let names: Vec<_> = g.frames().map(|f| f.function().to_owned()).collect();
                assert!(names[0].contains("recv"), "{names:?}");
                assert!(names[1].ends_with("receive_the_order"), "{names:?}");
                assert!(names[2].ends_with("serve_one_customer"), "{names:?}");
                assert_eq!(names.len(), 4, "and the closure: {names:?}");
                for frame in g.frames().skip(1) {
                    assert!(frame.file().unwrap().ends_with("dump.rs"), "{frame:?}");
                    assert!(frame.line() > 0);
                }
                let text = paragraph(&dump, &g);
                assert!(text.contains("\"waiter\" [chan receive]:\n"), "{text}");
                assert!(
                    text.contains(": cap 3, len 0, senders 1, receivers 1, not closed"),
                    "{text}"
                );
                let created = format!(
                    "created by goroutine {} at ",
                    runtime::current().unwrap().id()
                );
                assert!(text.contains(&created), "{text}");
                assert!(text.contains("dump.rs:"), "{text}");
                tx.send(20).unwrap();
                assert_eq!(h.join().unwrap(), 42);
            });
        });
    }
}

/// Runs `f` on a goroutine of this name; what the dump says of it while it waits.
fn shown(name: &'static str, f: impl FnOnce() + Send + 'static) -> String {
    let h = go!(name = name, f);
    let (dump, g) = parked(name);
    h.cancel();
    let _ = h.join();
    paragraph(&dump, &g)
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn each_kind_of_wait_is_told() {
    let _alone = alone();
    within_minute(|| {
        runtime::start(2).run(|| {
            let (tx, rx) = bounded::<u32>(1);
            tx.send(1).unwrap();
            let sender = tx.clone();
            let text = shown("sender", move || ignore(sender.send(2)));
            assert_has(
                &text,
                &[
                    "[chan send]:",
                    "on chan 0x",
                    "cap 1, len 1, senders 2",
                    "send",
                ],
            );
            let (utx, urx) = unbounded::<u32>();
            let text = shown("unbounded", move || ignore(urx.recv()));
            assert_has(&text, &["[chan receive]:", "cap unbounded, len 0"]);
            drop(utx);
            let text = shown("nil", || ignore(Receiver::<u32>::nil().recv()));
            assert_has(&text, &["[chan receive (nil chan)]:"]);
            let (a, b, nil) = (bounded::<u32>(0), tx.clone(), Sender::<u32>::nil());
            let text = shown("select", move || {
                channels::select! {
                    recv(a.1) -> _ => {}
                    send(b, 3) -> _ => {}
                    send(nil, 3) -> _ => {}
                }
            });
            assert_has(
                &text,
                &[
                    "[select]:",
                    "cap 0, len 0",
                    "[chan receive]",
                    "cap 1, len 1",
                    "[chan send]",
                    "nil chan",
                ],
            );
            drop((tx, rx));

            let m = Arc::new(Mutex::new(()));
            let guard = m.lock().unwrap();
            let text = shown("mutex", {
                let m = m.clone();
                move || drop(m.lock())
            });
            assert_has(
                &text,
                &[
                    "[sync.Mutex.Lock]:",
                    "on mutex 0x",
                    &format!(", held by goroutine {}\n", runtime::current().unwrap().id()),
                    "Mutex<T>::lock",
                    "dump.rs",
                ],
            );
            drop(guard);
            let rw = Arc::new(RwLock::new(()));
            let guard = rw.write().unwrap();
            let (r, w) = (rw.clone(), rw.clone());
            assert_has(
                &shown("read", move || drop(r.read())),
                &["[sync.RWMutex.RLock]:", "on rwlock 0x"],
            );
            assert_has(
                &shown("write", move || drop(w.write())),
                &["[sync.RWMutex.Lock]:", "on rwlock 0x"],
            );
            drop(guard);
            let text = shown("condvar", || {
                let (m, c) = (Mutex::new(()), Condvar::new());
                drop(c.wait(m.lock().unwrap()));
            });
            assert_has(&text, &["[sync.Cond.Wait]:", "on cond 0x"]);
            let text = shown("group", || {
                let group = WaitGroup::new();
                group.add(1);
                group.wait();
            });
            assert_has(&text, &["[sync.WaitGroup.Wait]:", "on waitgroup 0x"]);
            let text = shown("semaphore", || drop(Semaphore::new(0).acquire()));
            assert_has(&text, &["[semacquire]:", "on semaphore 0x"]);
            assert_has(
                &shown("barrier", || ignore(Barrier::new(2).wait())),
                &["[barrier]:", "on barrier 0x"],
            );
            let text = shown("event", || {
                Event::new().wait();
            });
            assert_has(&text, &["[event]:", "on event 0x"]);

            let asleep = go!(name = "asleep", || runtime::time::sleep(
                Duration::from_secs(600)
            ));
            let id = asleep.id();
            let text = shown("join", move || drop(asleep.join()));
            assert_has(&text, &["[join]:", &format!("on goroutine {id}")]);
            let (dump, g) = parked("asleep");
            assert_has(&paragraph(&dump, &g), &["[sleep]:", "sleep"]);
            let text = shown("scope", || {
                runtime::scope(|s| {
                    s.spawn(|| ignore(Receiver::<u32>::nil().recv()));
                });
            });
            assert_has(&text, &["[scope]:", "on scope 0x"]);
            let once = Arc::new(runtime::sync::Once::new());
            let (done, wait) = bounded::<u32>(0);
            let first = {
                let once = once.clone();
                go!(name = "first", move || once
                    .call_once(|| ignore(wait.recv())))
            };
            let (_, g) = parked("first");
            assert_eq!(g.id(), first.id());
            let text = shown("once", move || once.call_once(|| {}));
            assert_has(&text, &["[sync.Once.Do]:", "on once 0x"]);
            drop(done);
            first.join().unwrap();
            let text = shown("signal", || {
                let signals = runtime::signal::Signals::new([runtime::signal::Signal::WINCH]);
                let _ = signals.unwrap().recv();
            });
            assert_has(&text, &["[signal]:", "each_kind_of_wait_is_told"]);
            let text = shown("io", || {
                let (mut a, _b) = runtime::net::UnixStream::pair().unwrap();
                let _ = std::io::Read::read(&mut a, &mut [0]);
            });
            assert_has(&text, &["[IO wait]:", "on fd ", "read"]);
        });
    });
}

#[test]
fn who_waits_on_the_other_side_is_named() {
    let _alone = alone();
    within_minute(|| {
        runtime::start(2).run(|| {
            let (tx, rx) = bounded::<u32>(0);
            let hs: Vec<_> = (0..10)
                .map(|_| {
                    let rx = rx.clone();
                    go!(name = "receiver", move || ignore(rx.recv()))
                })
                .collect();
            let first = hs[0].id();
            assert!(eventually(|| {
                let dump = runtime::dump();
                let waits = dump.goroutines().filter(|g| g.waits_on().count() == 1);
                waits.count() == 10
            }));
            let dump = runtime::dump();
            let objects: std::collections::HashSet<_> =
                dump.goroutines().flat_map(|g| g.waits_on()).collect();
            assert_eq!(objects.len(), 1, "one channel, one address");
            let last = dump.goroutines().last().unwrap();
            let text = paragraph(&dump, last);
            assert_has(
                &text,
                &[
                    "; [chan receive]: goroutines ",
                    &format!("{first}"),
                    " and 1 others",
                ],
            );
            let grouped = dump.grouped().to_string();
            assert_has(
                &grouped,
                &["goroutines: total 11\n", "10 [chan receive]: goroutines "],
            );
            drop(tx);
            hs.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn names_labels_and_threads_are_told() {
    let _alone = alone();
    within_minute(|| {
        runtime::start(2).run(|| {
            let text = shown("quo\"ted", || {
                runtime::label("request", "GET /");
                runtime::label("user", 17);
                runtime::label("user", 18);
                runtime::label("gone", 1);
                runtime::label("gone", "");
                let _locked = runtime::lock_os_thread();
                let _ = Receiver::<u32>::nil().recv();
            });
            assert_has(
                &text,
                &[
                    "\"quo\\\"ted\" {request=\"GET /\", user=\"18\"} [",
                    ", locked to thread]:",
                ],
            );
            // One that runs, and one that blocks its thread by its word.
            let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let runs = {
                let stop = stop.clone();
                go!(name = "runs", move || {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            };
            let blocks = {
                let stop = stop.clone();
                go!(name = "blocks", move || runtime::blocking(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }))
            };
            let state = |name: &str| {
                let dump = runtime::dump();
                let g = dump.goroutines().find(|g| g.name() == Some(name));
                g.unwrap().state()
            };
            assert!(eventually(|| matches!(
                state("runs"),
                GoroutineState::Running(Some(_))
            )));
            assert!(eventually(|| matches!(
                state("blocks"),
                GoroutineState::Blocked(Some(_))
            )));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            runs.join().unwrap();
            blocks.join().unwrap();
        });
    });
}

/// The lines of one object in a program in which nothing moves: its address, and what is said of it.
#[test]
fn in_a_hung_program_all_lines_agree() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let m = Arc::new(Mutex::new(()));
            let (tx, rx) = bounded::<u32>(2);
            tx.send(1).unwrap();
            tx.send(2).unwrap();
            let held = m.lock().unwrap();
            let mut hs = Vec::new();
            for i in 0..30 {
                let (m, tx) = (m.clone(), tx.clone());
                hs.push(match i % 3 {
                    0 => rt.spawn(move || drop(m.lock())),
                    1 => rt.spawn(move || ignore(tx.send(3))),
                    _ => rt.spawn(move || {
                        channels::select! {
                            send(tx, 4) -> _ => {}
                            recv(Receiver::<u32>::nil()) -> _ => {}
                        }
                    }),
                });
            }
            let all_wait = |d: &Dump| {
                d.goroutines()
                    .all(|g| matches!(g.state(), GoroutineState::Waiting(_)))
            };
            assert!(eventually(|| all_wait(&rt.dump_without_stacks())));
            let dump = rt.dump();
            assert_eq!(dump.goroutines().len(), 30);
            let text = dump.to_string();
            // "chan 0x7f..: cap 2, len 2, ..." up to what differs: the arm's direction, the others.
            let facts: std::collections::BTreeSet<_> = text
                .lines()
                .filter_map(|l| l.strip_prefix("    on "))
                .map(|l| l.split(" [").next().unwrap().split(';').next().unwrap())
                .collect();
            let kinds: Vec<_> = facts
                .iter()
                .map(|f| f.split(" 0x").next().unwrap())
                .collect();
            assert_eq!(kinds, ["chan", "mutex", "nil chan"], "{facts:?}");
            let channel = facts.first().unwrap();
            assert_has(channel, &["cap 2, len 2", "senders 21, receivers 1"]);
            // The same when asked again: nothing has moved, and nothing was moved by looking.
            let minutes = |t: &str| t.replace(", 1 minutes", "");
            assert_eq!(minutes(&rt.dump().to_string()), minutes(&text));
            drop(held);
            for _ in 0..22 {
                rx.recv().unwrap();
            }
            hs.into_iter().for_each(|h| h.join().unwrap());
        });
    }
}

/// Two locks in the wrong order: each line names the other.
#[test]
fn a_deadlock_of_two_locks_can_be_read_off() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            runtime::start(procs).run(|| {
                let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
                let both = Arc::new(Barrier::new(2));
                let lock = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
                    let (first, second, both) = (first.clone(), second.clone(), both.clone());
                    move || {
                        let _first = first.lock();
                        both.wait();
                        let _second = second.lock();
                    }
                };
                let one = {
                    let f = lock(&a, &b);
                    go!(name = "one", f)
                };
                let two = {
                    let f = lock(&b, &a);
                    go!(name = "two", f)
                };
                let waits_for_lock = |name| {
                    assert!(eventually(|| {
                        let (dump, g) = parked(name);
                        paragraph(&dump, &g).contains("[sync.Mutex.Lock]")
                    }));
                };
                waits_for_lock("one");
                waits_for_lock("two");
                for (name, other) in [("one", two.id()), ("two", one.id())] {
                    let (dump, g) = parked(name);
                    let held = format!(", held by goroutine {other}\n");
                    assert_has(&paragraph(&dump, &g), &[&held]);
                    let json: serde_json::Value = serde_json::from_str(&dump.to_json()).unwrap();
                    let all = json["goroutines"].as_array().unwrap();
                    let me = all.iter().find(|g| g["name"] == name).unwrap();
                    assert_eq!(me["waits_on"][0]["holder"], other.as_u64());
                }
                one.cancel();
                two.cancel();
            });
        });
    }
}
