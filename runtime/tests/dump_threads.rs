//! Dumps say what plain threads wait for, and who waits for them.

mod support;

use channels::{bounded, select};
use runtime::{Dump, DumpedThread, Runtime, go};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use support::{alone, eventually, within_minute};

fn thread<T: Send + 'static>(name: &str, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().name(name.into()).spawn(f).unwrap()
}

/// The thread of this name, once it waits.
fn parked(rt: &Runtime, name: &str) -> (Dump, DumpedThread) {
    let mut found = None;
    let there = eventually(|| {
        let dump = rt.dump();
        let of = dump.threads().find(|t| t.name() == Some(name)).cloned();
        found = of.map(|t| (dump, t));
        found.is_some()
    });
    assert!(there, "{name} does not wait:\n{}", rt.dump());
    found.unwrap()
}

/// Its paragraph.
fn paragraph(dump: &Dump, t: &DumpedThread) -> String {
    let (text, head) = (dump.to_string(), format!("thread {} ", t.tid()));
    let mut all = text.split("\n\n").map(str::trim_start);
    let it = all.find(|p| p.starts_with(&head));
    it.unwrap_or_else(|| panic!("no {head} in\n{text}"))
        .to_owned()
}

#[test]
fn what_it_waits_for_is_told() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let (tx, rx) = bounded::<u32>(3);
        let reader = thread("reader", move || rx.recv());
        let (dump, t) = parked(&rt, "reader");
        let text = paragraph(&dump, &t);
        let head = format!(
            "thread {} \"reader\" [chan receive]:\n    on chan 0x",
            t.tid()
        );
        assert!(text.starts_with(&head), "{text}");
        assert!(
            text.contains(": cap 3, len 0, senders 1, receivers 1, not closed"),
            "{text}"
        );
        assert_eq!(t.reason().as_str(), "chan receive");
        let task = format!("/proc/self/task/{}/comm", t.tid());
        assert_eq!(std::fs::read_to_string(task).unwrap(), "reader\n");

        // The time runs from when it sleeps.
        assert!(eventually(|| {
            let (_, t) = parked(&rt, "reader");
            t.waited() >= Duration::from_millis(50)
        }));
        tx.send(1).unwrap();
        assert_eq!(reader.join().unwrap(), Ok(1));
        // Who waits no more is not in it.
        assert!(rt.dump().threads().all(|t| t.name() != Some("reader")));
    });
}

#[test]
fn joins_selects_and_deadlines_are_told() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let (tx, rx) = bounded::<u32>(0);
        let (end, ended) = bounded::<()>(0);
        let g = rt.spawn(move || ended.recv().is_err());
        let id = g.id();
        let joins = thread("joins", move || g.join().unwrap());
        let (dump, t) = parked(&rt, "joins");
        let text = paragraph(&dump, &t);
        assert!(
            text.ends_with(&format!("\"joins\" [join]:\n    on goroutine {id}")),
            "{text}"
        );

        let selects = thread("selects", {
            let (tx, rx) = (tx.clone(), rx.clone());
            move || {
                select! {
                    recv(rx) -> got => got.ok(),
                    send(tx, 7) -> _ => None,
                }
            }
        });
        let (dump, t) = parked(&rt, "selects");
        let text = paragraph(&dump, &t);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].ends_with("\"selects\" [select]:"), "{text}");
        assert!(
            lines[1].contains(" [chan receive]") && lines[2].contains(" [chan send]"),
            "{text}"
        );
        assert!(!text.contains("; ["), "nobody else is there: {text}");
        assert_eq!(rx.recv(), Ok(7));
        assert_eq!(selects.join().unwrap(), None);

        let bounded_wait = thread("bounded", move || rx.recv_timeout(Duration::from_secs(60)));
        let (dump, _) = parked(&rt, "bounded");
        let json: serde_json::Value = serde_json::from_str(&dump.to_json()).unwrap();
        let threads = json["threads"].as_array().unwrap();
        let it = threads.iter().find(|t| t["name"] == "bounded").unwrap();
        assert_eq!(
            (&it["bounded"], &it["reason"]),
            (&true.into(), &"chan receive".into())
        );
        assert_eq!(it["waits_on"][0]["kind"], "chan");
        assert!(it["waited_ns"].is_u64() && it["tid"].is_u64());
        drop((tx, end));
        assert!(bounded_wait.join().unwrap().is_err());
        assert!(joins.join().unwrap());
    });
}

#[test]
fn who_waits_beside_it_is_told_on_both_sides() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let (tx, rx) = bounded::<u32>(0);
        let g = rt.run(|| {
            let rx = rx.clone();
            go!(name = "inside", move || rx.recv().is_err())
        });
        assert!(eventually(|| rt
            .dump()
            .goroutines()
            .any(|g| g.waits_on().count() == 1)));
        let outside = thread("outside", move || rx.recv().is_err());
        let (dump, t) = parked(&rt, "outside");
        let text = paragraph(&dump, &t);
        assert!(
            text.ends_with(&format!("; [chan receive]: goroutine {}", g.id())),
            "{text}"
        );
        let all = dump.to_string();
        assert!(
            all.contains(&format!("; [chan receive]: thread {}\n", t.tid())),
            "{all}"
        );
        drop(tx);
        assert!(g.join().unwrap() && outside.join().unwrap());
    });
}

#[test]
fn threads_come_and_go_while_they_are_looked_at() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let pairs: Vec<_> = (0..3)
            .map(|i| {
                let stop = stop.clone();
                let (tx, rx) = bounded::<u64>(i);
                let sends = move || {
                    let mut n = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        tx.send(n).unwrap();
                        n += 1;
                    }
                    n
                };
                let receives = thread("receives", move || rx.iter().count() as u64);
                (thread("sends", sends), receives)
            })
            .collect();
        let (mut seen, mut looks) = (0, 0);
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_secs(3) {
            let dump = rt.dump();
            looks += 1;
            for t in dump.threads().filter(|t| t.name() != Some("main")) {
                let of = t.reason().as_str();
                match t.name() {
                    Some("sends") => assert_eq!(of, "chan send"),
                    Some("receives") => assert_eq!(of, "chan receive"),
                    _ => continue,
                }
                assert_eq!(t.waits_on().count(), 1);
                seen += 1;
            }
            assert!(dump.to_string().contains("thread ") == (dump.threads().len() > 0));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for (sends, receives) in pairs {
            assert_eq!(sends.join().unwrap(), receives.join().unwrap());
        }
        assert!(looks > 10 && seen > 0, "{looks} looks, {seen} threads");
    });
}
