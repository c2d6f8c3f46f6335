//! Dumps during storms, and of very many goroutines: nothing is lost or torn.

mod support;

use channels::{bounded, unbounded};
use runtime::{GoroutineState, go};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{OnDrop, PROCS, alone, within};

/// What another program would make of a dump's text. Panics at what is not in the format.
struct Parsed {
    id: u64,
    state: String,
    objects: Vec<String>,
    frames: Vec<(String, String)>,
}

fn parse(text: &str) -> Vec<Parsed> {
    let mut all = Vec::new();
    for block in text.split("\n\n").filter(|b| !b.trim().is_empty()) {
        let mut lines = block.trim_start_matches('\n').lines();
        let head = lines.next().unwrap();
        if let Some(thread) = head.strip_prefix("thread ") {
            let (tid, _) = thread.split_once(' ').unwrap();
            assert!(
                tid.parse::<u32>().unwrap() > 0 && thread.ends_with("]:"),
                "{block}"
            );
            assert!(lines.all(|line| line.starts_with("    on ")), "{block}");
            continue;
        }
        let rest = head
            .strip_prefix("goroutine ")
            .unwrap_or_else(|| panic!("{block}"));
        let id = rest.split(' ').next().unwrap().parse().unwrap();
        let state = rest.rsplit_once('[').unwrap().1.strip_suffix("]:").unwrap();
        let mut parsed = Parsed {
            id,
            state: state.to_owned(),
            objects: Vec::new(),
            frames: Vec::new(),
        };
        let mut function: Option<String> = None;
        let mut created = false;
        for line in lines {
            assert!(
                !created,
                "nothing comes after the line of the creation: {block}"
            );
            if let Some(object) = line.strip_prefix("    on ") {
                assert!(parsed.frames.is_empty() && function.is_none(), "{block}");
                parsed.objects.push(object.to_owned());
            } else if line.starts_with("\tgoroutine running") {
                let state = &parsed.state;
                assert!(
                    state.starts_with("running") || state.starts_with("blocking"),
                    "{block}"
                );
            } else if let Some(place) = line.strip_prefix('\t') {
                parsed
                    .frames
                    .push((function.take().expect(block), place.to_owned()));
            } else if line.starts_with("created ") {
                created = true;
            } else {
                assert!(function.is_none(), "{block}");
                function = Some(line.to_owned());
            }
        }
        assert!(created && function.is_none(), "{block}");
        all.push(parsed);
    }
    all
}

fn check(parsed: &[Parsed]) {
    let states = [
        "runnable",
        "chan receive",
        "chan send",
        "select",
        "join",
        "sleep",
        "sync.Mutex.Lock",
        "scope",
    ];
    let ids: HashSet<_> = parsed.iter().map(|p| p.id).collect();
    assert_eq!(ids.len(), parsed.len(), "each goroutine once");
    for p in parsed {
        let known = states.contains(&p.state.as_str())
            || p.state.starts_with("running")
            || p.state.starts_with("blocking");
        assert!(known, "{}", p.state);
        for object in &p.objects {
            // The shape of a channel does not change, whatever else does.
            if object.starts_with("chan ") {
                assert!(
                    object.contains("cap 0") || object.contains("cap 7"),
                    "{object}"
                );
            }
        }
        if p.state.starts_with("chan ") {
            assert_eq!(p.objects.len(), 1);
            let worker = p.frames.iter().any(|(f, _)| f.contains("stage"));
            assert!(worker, "the user's function is on it: {:?}", p.frames);
        }
        if p.state.starts_with("running") {
            assert!(p.frames.is_empty() && p.objects.is_empty());
        }
    }
}

/// The JSON of the same dump says the same.
fn check_json(parsed: &[Parsed], json: &str) {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let all = json["goroutines"].as_array().unwrap();
    assert_eq!(all.len(), parsed.len());
    for (g, text) in all.iter().zip(parsed) {
        assert_eq!(g["id"], text.id);
        assert_eq!(g["waits_on"].as_array().unwrap().len(), text.objects.len());
        let (state, reason) = (g["state"].as_str().unwrap(), g["reason"].as_str());
        match state {
            "waiting" => assert_eq!(reason, Some(text.state.as_str())),
            "runnable" => assert_eq!(text.state, "runnable"),
            "running" => assert!(text.state.starts_with("running")),
            other => panic!("{other}"),
        }
        let stack = g["stack"].as_array().unwrap();
        let functions = stack.iter().map(|f| f["function"].as_str().unwrap());
        assert!(functions.eq(text.frames.iter().map(|(f, _)| f.as_str())));
    }
}

#[inline(never)]
fn stage(rx: channels::Receiver<u64>, tx: channels::Sender<u64>) {
    for n in rx {
        tx.send(n + 1).unwrap();
    }
}

/// Values through chains of goroutines; dumps every millisecond. Ten times as long with WEFT_STRESS.
#[test]
fn dumps_in_a_storm() {
    let _alone = alone();
    let time = match std::env::var_os("WEFT_STRESS") {
        Some(_) => Duration::from_secs(30),
        None => Duration::from_millis(1500),
    };
    for procs in PROCS {
        within(time + Duration::from_secs(60), || {
            let rt = runtime::start(procs);
            let stop = Arc::new(AtomicBool::new(false));
            let dumps = std::thread::scope(|threads| {
                let until = stop.clone();
                let storm = threads.spawn(|| {
                    rt.run(move || {
                        let mut values = 0u64;
                        while !until.load(Ordering::Relaxed) {
                            let (first, mut last) = bounded(0);
                            for i in 0..20 {
                                let (tx, rx) = bounded(if i % 2 == 0 { 0 } else { 7 });
                                let from = std::mem::replace(&mut last, rx);
                                drop(go!(move || stage(from, tx)));
                            }
                            let feed = go!(move || (0..100u64).for_each(|n| stage_in(&first, n)));
                            for n in 0..100 {
                                assert_eq!(stage_out(&last), n + 20);
                                values += 1;
                            }
                            feed.join().unwrap();
                        }
                        values
                    })
                });
                let _stop = OnDrop(|| stop.store(true, Ordering::Relaxed));
                let begin = Instant::now();
                let mut dumps = 0;
                while begin.elapsed() < time {
                    let dump = rt.dump();
                    let parsed = parse(&dump.to_string());
                    check(&parsed);
                    check_json(&parsed, &dump.to_json());
                    dumps += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                stop.store(true, Ordering::Relaxed);
                assert!(storm.join().unwrap() > 0);
                dumps
            });
            println!("{procs} Ps: {dumps} dumps");
            assert!(dumps > 5);
        });
    }
}

#[inline(never)]
fn stage_in(tx: &channels::Sender<u64>, n: u64) {
    tx.send(n).unwrap();
}

#[inline(never)]
fn stage_out(rx: &channels::Receiver<u64>) -> u64 {
    rx.recv().unwrap()
}

#[test]
fn a_hundred_thousand_in_one_dump() {
    let _alone = alone();
    within(Duration::from_secs(170), || {
        let n = if cfg!(debug_assertions) {
            20_000
        } else {
            100_000
        };
        let rt = runtime::start(2);
        rt.run(move || {
            let (tx, rx) = unbounded::<u64>();
            for _ in 0..n {
                let rx = rx.clone();
                drop(go!(move || stage_out(&rx)));
            }
            while runtime::dump_without_stacks()
                .goroutines()
                .filter(is_waiting)
                .count()
                < n
            {
                runtime::time::sleep(Duration::from_millis(50));
            }
            let begin = Instant::now();
            let dump = runtime::dump();
            let took = begin.elapsed();
            let text = dump.to_string();
            let json = dump.to_json();
            let grouped = dump.grouped().to_string();
            println!(
                "{n} goroutines: a dump in {took:?}, as text {} KiB, as JSON {} KiB, all in {:?}",
                text.len() >> 10,
                json.len() >> 10,
                begin.elapsed()
            );
            assert_eq!(dump.goroutines().len(), n + 1);
            assert_eq!(dump.goroutines().filter(is_waiting).count(), n);
            assert!(
                dump.goroutines()
                    .filter(is_waiting)
                    .all(|g| g.frames().count() == 3)
            );
            let largest = grouped.lines().nth(1).unwrap();
            assert!(
                largest.starts_with(&format!("{n} [chan receive]: goroutines ")),
                "{largest}"
            );
            for _ in 0..n {
                tx.send(0).unwrap();
            }
        });
    });
}

fn is_waiting(g: &&runtime::DumpedGoroutine) -> bool {
    matches!(g.state(), GoroutineState::Waiting(_))
}

#[test]
fn json_says_the_same() {
    let _alone = alone();
    within(Duration::from_secs(60), || {
        let rt = runtime::start(1);
        rt.run(|| {
            let (tx, rx) = bounded::<u64>(7);
            let h = go!(name = "q\"uo\\te\n\u{1}", move || {
                runtime::label("k", "v");
                stage_out(&rx)
            });
            while runtime::dump_without_stacks()
                .goroutines()
                .filter(is_waiting)
                .count()
                == 0
            {
                runtime::yield_now();
            }
            let dump = runtime::dump();
            let json: serde_json::Value = serde_json::from_str(&dump.to_json()).unwrap();
            let all = json["goroutines"].as_array().unwrap();
            assert_eq!(all.len(), 2);
            let by_id: HashMap<_, _> = all.iter().map(|g| (g["id"].as_u64().unwrap(), g)).collect();
            let g = by_id[&h.id().as_u64()];
            assert_eq!(g["name"], "q\"uo\\te\n\u{1}");
            assert_eq!(g["labels"]["k"], "v");
            assert_eq!(g["state"], "waiting");
            assert_eq!(g["reason"], "chan receive");
            assert_eq!(g["bounded"], false);
            assert_eq!(g["m"], serde_json::Value::Null);
            assert_eq!(g["waits_on"][0]["kind"], "chan");
            assert_eq!(g["waits_on"][0]["cap"], 7);
            assert_eq!(g["waits_on"][0]["senders"], 1);
            assert_eq!(g["waits_on"][0]["closed"], false);
            let stack = g["stack"].as_array().unwrap();
            assert!(
                stack[1]["function"]
                    .as_str()
                    .unwrap()
                    .ends_with("stage_out")
            );
            assert!(stack[1]["line"].as_u64().unwrap() > 0);
            assert!(g["created_at"].as_str().unwrap().contains("dump_storm.rs:"));
            let main = by_id[&g["created_by"].as_u64().unwrap()];
            assert_eq!(main["state"], "running");
            assert_eq!(main["m"], 0);
            tx.send(1).unwrap();
            assert_eq!(h.join().unwrap(), 1);
        });
    });
}
