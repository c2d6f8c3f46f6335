//! Metrics count what happens, never go back, and can be read by Prometheus.

mod support;

use channels::{Receiver, bounded};
use runtime::park::WaitReason;
use runtime::{Metrics, go};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{OnDrop, PROCS, alone, eventually, within_minute};

fn parks(m: &Metrics, reason: WaitReason) -> u64 {
    let found = m.parks.iter().find(|(r, _)| *r == reason);
    found.map_or(0, |(_, n)| *n)
}

#[test]
fn spawns_parks_and_switches_are_counted() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let before = rt.metrics();
            rt.run(|| {
                let hs: Vec<_> = (0..100)
                    .map(|_| go!(|| runtime::time::sleep(Duration::from_millis(1))))
                    .collect();
                hs.into_iter().for_each(|h| h.join().unwrap());
                let (tx, rx) = bounded::<u32>(0);
                let pong = go!(move || rx.iter().count());
                (0..50).for_each(|n| tx.send(n).unwrap());
                drop(tx);
                assert_eq!(pong.join().unwrap(), 50);
                (0..1000).for_each(|_| runtime::yield_now());
            });
            let m = rt.metrics();
            assert_eq!(m.spawned - before.spawned, 102);
            assert_eq!(m.finished - before.finished, 102);
            assert_eq!(m.goroutines, 0);
            assert_eq!(parks(&m, WaitReason::Sleep), 100);
            assert!(parks(&m, WaitReason::ChanReceive) + parks(&m, WaitReason::ChanSend) >= 25);
            assert!(parks(&m, WaitReason::Join) >= 1);
            assert_eq!(parks(&m, WaitReason::MutexLock), 0);
            assert!(m.timers_fired >= 100, "{}", m.timers_fired);
            // Each spawn is a switch, and each yield, and each wait.
            assert!(m.switches >= 102 + 1000 + 100, "{}", m.switches);
            assert!(m.switches < 10_000, "{}", m.switches);
            assert!(
                m.hold.count() >= 5 && m.hold.count() < 1000,
                "{:?}",
                m.hold.count()
            );
            assert!(m.latency.count() >= 3, "{:?}", m.latency.count());
            assert!(m.latency.quantile(0.5).unwrap() <= m.latency.quantile(1.0).unwrap());
            assert_eq!(m.queues.len(), procs);
        });
    }
}

#[test]
fn states_of_goroutines_and_threads() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        let stop = Arc::new(AtomicBool::new(false));
        let wait = {
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        };
        let waiting: Vec<_> = (0..10)
            .map(|_| rt.spawn(|| Receiver::<u32>::nil().recv().is_ok()))
            .collect();
        let wait2 = wait.clone();
        let blocking = rt.spawn(move || runtime::blocking(wait2));
        let silent = rt.spawn(wait);
        let seen = |m: &Metrics| {
            let s = m.states;
            s.waiting == 10 && s.runnable == 0 && s.running + s.blocked == 2 && s.blocked >= 1
        };
        assert!(eventually(|| seen(&rt.metrics())), "{:?}", rt.metrics());
        let m = rt.metrics();
        assert_eq!(m.given_away, 1);
        assert_eq!(m.threads.blocked, m.states.blocked);
        assert_eq!(m.goroutines, 12);
        // Work for the P of the silent one: it is taken.
        let others: Vec<_> = (0..50).map(|_| rt.spawn(runtime::yield_now)).collect();
        others.into_iter().for_each(|h| h.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        blocking.join().unwrap();
        silent.join().unwrap();
        waiting.iter().for_each(|h| assert!(h.cancel()));
        assert!(eventually(|| rt.metrics().goroutines == 0));
        assert!(rt.metrics().stacks_in_use + rt.metrics().stacks_pooled >= 10);
    });
}

#[test]
fn a_p_that_was_taken_is_counted() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let other = go!(|| {});
            std::thread::sleep(Duration::from_millis(50)); // the other runs beside it
            assert!(other.is_finished());
        });
        assert!(rt.metrics().taken >= 1);
    });
}

#[test]
fn thefts_and_the_network_are_counted() {
    let _alone = alone();
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            assert!(eventually(|| {
                let hs: Vec<_> = (0..64)
                    .map(|i| {
                        go!(move || (0..20_000u64)
                            .map(|n| std::hint::black_box(n ^ i))
                            .sum::<u64>())
                    })
                    .collect();
                hs.into_iter().for_each(|h| drop(h.join()));
                runtime::metrics().is_some_and(|m| m.steals > 0)
            }));
            let (mut a, mut b) = runtime::net::UnixStream::pair().unwrap();
            let reader = go!(move || {
                let mut byte = [0];
                std::io::Read::read_exact(&mut b, &mut byte).unwrap();
                std::io::Write::write_all(&mut b, &byte).unwrap();
            });
            let mut byte = [7];
            runtime::time::sleep(Duration::from_millis(20));
            assert!(runtime::metrics().unwrap().descriptors >= 1);
            std::io::Write::write_all(&mut a, &byte).unwrap();
            std::io::Read::read_exact(&mut a, &mut byte).unwrap();
            reader.join().unwrap();
        });
        let m = rt.metrics();
        assert!(m.stolen >= m.steals && m.steals > 0);
        assert!(m.network_readied >= 1 && parks(&m, WaitReason::IoWait) >= 1);
    });
}

/// All counters, by name, as another program sees them.
fn counters(parsed: &Parsed) -> HashMap<String, f64> {
    let of_counters = parsed.samples.iter().filter(|(name, _)| {
        let base = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| base.strip_suffix(s));
        let kind = parsed.types.get(
            family
                .filter(|f| parsed.types.contains_key(*f))
                .unwrap_or(base),
        );
        kind.is_some_and(|k| k != "gauge")
    });
    of_counters
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

struct Parsed {
    types: HashMap<String, String>,
    samples: Vec<(String, f64)>,
}

/// A reader of the text format, from its specification.
fn parse(text: &str) -> Parsed {
    let (mut types, mut helps, mut samples) = (HashMap::new(), HashSet::new(), Vec::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(helps.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(
                types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{line}"
            );
        } else {
            let (name, value) = line.rsplit_once(' ').expect(line);
            let (base, labels) = name.split_once('{').expect(line);
            assert!(
                base.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{line}"
            );
            let labels = labels.strip_suffix('}').expect(line);
            assert!(labels.starts_with("runtime=\""), "{line}");
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|s| base.strip_suffix(s));
            let typed = types.contains_key(base) || family.is_some_and(|f| types.contains_key(f));
            assert!(typed, "no type before {line}");
            samples.push((name.to_owned(), value.parse::<f64>().expect(line)));
        }
    }
    let mut names = HashSet::new();
    assert!(
        samples.iter().all(|(name, _)| names.insert(name)),
        "each sample once"
    );
    Parsed { types, samples }
}

fn check_histogram(parsed: &Parsed, name: &str) {
    let prefix = format!("{name}_bucket{{");
    let buckets: Vec<_> = parsed
        .samples
        .iter()
        .filter(|(n, _)| n.starts_with(&prefix))
        .collect();
    assert!(buckets.len() > 20);
    assert!(buckets.windows(2).all(|w| w[0].1 <= w[1].1), "cumulative");
    let bound = |name: &str| -> f64 {
        let le = name.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
        if le == "+Inf" {
            f64::INFINITY
        } else {
            le.parse().unwrap()
        }
    };
    assert!(buckets.windows(2).all(|w| bound(&w[0].0) < bound(&w[1].0)));
    assert_eq!(bound(&buckets.last().unwrap().0), f64::INFINITY);
    let count = parsed
        .samples
        .iter()
        .find(|(n, _)| n.starts_with(&format!("{name}_count{{")));
    assert_eq!(buckets.last().unwrap().1, count.unwrap().1);
}

#[test]
fn scraped_in_a_storm_nothing_goes_back() {
    let _alone = alone();
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            let stop = AtomicBool::new(false);
            std::thread::scope(|threads| {
                let storm = threads.spawn(|| {
                    rt.run(|| {
                        while !stop.load(Ordering::Relaxed) {
                            let (tx, rx) = bounded::<u32>(1);
                            let hs: Vec<_> = (0..20)
                                .map(|n| {
                                    let tx = tx.clone();
                                    go!(move || tx.send(n).unwrap())
                                })
                                .collect();
                            drop(tx);
                            assert_eq!(rx.iter().count(), 20);
                            hs.into_iter().for_each(|h| h.join().unwrap());
                        }
                    })
                });
                // Also if something below panics: the storm is waited for.
                let _stop = OnDrop(|| stop.store(true, Ordering::Relaxed));
                let mut last = HashMap::new();
                for _ in 0..200 {
                    let m = rt.metrics();
                    assert!(m.finished <= m.spawned && m.goroutines == m.spawned - m.finished);
                    let s = m.states;
                    assert!(s.runnable + s.waiting <= m.goroutines);
                    let parsed = parse(&m.to_prometheus());
                    check_histogram(&parsed, "weft_scheduling_latency_seconds");
                    check_histogram(&parsed, "weft_running_seconds");
                    let now = counters(&parsed);
                    for (name, value) in &last {
                        assert!(
                            now[name] >= *value,
                            "{name} goes back from {value} to {}",
                            now[name]
                        );
                    }
                    last = now;
                }
                stop.store(true, Ordering::Relaxed);
                storm.join().unwrap();
            });
        });
    }
}

#[test]
fn names_are_escaped_and_two_runtimes_do_not_mix() {
    let _alone = alone();
    within_minute(|| {
        let a = runtime::Builder::new()
            .procs(1)
            .name("a\"\\\n")
            .build()
            .unwrap();
        let b = runtime::start(1);
        a.run(|| (0..7).for_each(|_| drop(go!(|| {}).join())));
        let (ma, mb) = (a.metrics(), b.metrics());
        assert_eq!((ma.spawned, mb.spawned), (8, 0));
        let text = ma.to_prometheus();
        assert!(
            text.contains("weft_goroutines_spawned_total{runtime=\"a\\\"\\\\\\n\"} 8\n"),
            "{text}"
        );
        parse(&mb.to_prometheus());
    });
}

#[test]
fn the_page_has_each_metric() {
    let page = include_str!("../../docs/metrics.md");
    for (name, kind, help) in Metrics::TABLE {
        let row = page
            .lines()
            .find(|l| l.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/metrics.md has no row for {name}"));
        assert!(row.contains(kind) && row.contains(help), "{row}");
    }
    let rows = page.lines().filter(|l| l.starts_with("| `weft_")).count();
    assert_eq!(rows, Metrics::TABLE.len());
}
