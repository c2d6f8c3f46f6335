//! Whether what a trace tells could have happened: each goroutine's life is a legal row of states, nothing
//! runs in two places at once, no time goes back, and slices are nested and closed.
//!
//! It knows of the format only what is documented. Where events are lost, all that it demands is that
//! the picture is well formed; after that it begins anew.

use super::{Event, Is, Place, Trace};
use std::collections::{HashMap, HashSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was there before, or events were lost: its next event may be any.
    Unknown,
    Runnable,
    Runs,
    /// On its M, without a P.
    WithoutP,
    Waits,
    Ended,
}

/// What was seen, for those who want to know that anything was.
#[derive(Debug, Default)]
pub struct Counts {
    pub starts: usize,
    pub flows: usize,
    pub lost: u64,
}

pub fn check(trace: &Trace) -> Counts {
    well_formed(trace);
    times_per_track(trace);
    states(trace)
}

/// Slices of each track are nested and closed, in the order of times.
fn well_formed(trace: &Trace) {
    let mut depth: HashMap<&Place, usize> = HashMap::new();
    let mut last = 0;
    for e in &trace.events {
        assert!(trace.tracks.contains_key(&e.on), "{e:?} is on no track");
        assert!(
            e.at >= last,
            "time goes back to {} before {e:?}",
            last - e.at
        );
        last = e.at;
        let depth = depth.entry(&e.on).or_default();
        match e.is {
            Is::Begin => *depth += 1,
            Is::End => {
                assert!(*depth > 0, "nothing is open: {e:?}");
                *depth -= 1;
            }
            Is::Instant => {}
        }
        let most = match e.on {
            Place::P(..) | Place::G(..) => 1,
            Place::M(..) => 2,
            Place::Regions(..) | Place::Thread(..) => usize::MAX,
        };
        assert!(*depth <= most, "{e:?} is {depth} deep");
    }
    assert!(depth.values().all(|d| *d == 0), "left open: {depth:?}");
}

/// A goroutine has one slice at a time on all Ps together, and one on all Ms.
fn times_per_track(trace: &Trace) {
    let holes = Holes::of(trace);
    let mut open: HashMap<Place, u64> = HashMap::new();
    let (mut on_p, mut on_m) = (HashSet::new(), HashSet::new());
    for e in trace.events.iter().filter(|e| e.is != Is::Instant) {
        if holes.contain(e.at) {
            open.clear();
            on_p.clear();
            on_m.clear();
            continue;
        }
        let set = match e.on {
            Place::P(..) => &mut on_p,
            Place::M(..) => &mut on_m,
            _ => continue,
        };
        if e.is == Is::Begin && e.cat == "goroutine" {
            let g = e.number("g");
            let story = || story(trace, g, e.at);
            assert!(
                set.insert(g),
                "in two places at once: {e:?}; before: {}",
                story()
            );
            open.insert(e.on.clone(), g);
        } else if e.is == Is::End
            && e.args.contains_key("end")
            && let Some(g) = open.remove(&e.on)
        {
            set.remove(&g);
        }
    }
}

/// The last that is told of a goroutine.
fn story(trace: &Trace, g: u64, until: u64) -> String {
    let mut at = HashSet::new();
    let of = trace.events.iter().filter(|e| {
        if e.args.get("g").is_some_and(|n| *n == g.to_string()) {
            if e.is == Is::Begin {
                at.insert(e.on.clone());
            }
            return true;
        }
        match e.is {
            Is::Begin => _ = at.remove(&e.on),
            Is::End => return at.remove(&e.on),
            Is::Instant => {}
        }
        false
    });
    let told: Vec<_> = of.filter(|e| e.at <= until).collect();
    let last = &told[told.len().saturating_sub(20)..];
    format!("{last:#?}")
}

/// When events are missing: periods that do not overlap, in order.
struct Holes(Vec<(u64, u64)>);

impl Holes {
    fn of(trace: &Trace) -> Holes {
        let lost = trace.instants("lost events");
        let mut all: Vec<_> = lost.map(|e| (e.number("since"), e.at)).collect();
        all.sort_unstable();
        let mut apart: Vec<(u64, u64)> = Vec::new();
        for (since, until) in all {
            match apart.last_mut() {
                Some(last) if since <= last.1 => last.1 = last.1.max(until),
                _ => apart.push((since, until)),
            }
        }
        Holes(apart)
    }

    fn contain(&self, at: u64) -> bool {
        let n = self.0.partition_point(|(_, until)| *until < at);
        self.0.get(n).is_some_and(|(since, _)| *since <= at)
    }
}

fn states(trace: &Trace) -> Counts {
    let holes = Holes::of(trace);
    let mut counts = Counts::default();
    let mut of: HashMap<u64, State> = HashMap::new();
    let mut runs: HashMap<Place, u64> = HashMap::new();
    let mut arrows: HashMap<u64, (u64, &Event)> = HashMap::new();
    let mut spawned = HashSet::new();
    let mut back: Option<(u64, u64)> = None;
    for e in &trace.events {
        if holes.contain(e.at) {
            of.clear();
            runs.clear();
            if let Some(flow) = e.flow {
                arrows.insert(flow, (e.number("g"), e)); // it may end after the hole
            }
            if e.name == "lost events" {
                counts.lost += e.number("count");
            }
            continue;
        }
        let state = |of: &HashMap<u64, State>, g| of.get(&g).copied().unwrap_or(State::Unknown);
        match (e.is, e.name.as_str(), &e.on) {
            (Is::Instant, "spawn", _) => {
                let g = e.number("g");
                assert_eq!(state(&of, g), State::Unknown, "{e:?}");
                assert!(spawned.insert(g), "made twice: {e:?}");
                arrows.insert(e.flow.expect("an arrow"), (g, e));
                of.insert(g, State::Runnable);
            }
            (Is::Instant, "unblock", _) => {
                let g = e.number("g");
                let was = state(&of, g);
                assert!(
                    matches!(was, State::Waits | State::Unknown),
                    "{was:?}: {e:?}; {:?}; before: {}",
                    holes.0,
                    story(trace, g, e.at)
                );
                arrows.insert(e.flow.expect("an arrow"), (g, e));
                of.insert(g, State::Runnable);
            }
            (Is::Instant, "back", _) => back = Some((e.number("g"), e.at)),
            (Is::Begin, _, Place::P(..)) if e.cat == "goroutine" => {
                let g = e.number("g");
                let was = state(&of, g);
                let fine = match was {
                    State::Runnable | State::Unknown => true,
                    State::WithoutP => back == Some((g, e.at)),
                    _ => false,
                };
                assert!(fine, "{was:?}: {e:?}; before: {}", story(trace, g, e.at));
                if let Some(flow) = e.flow_end {
                    counts.flows += 1;
                    let (whose, from) = arrows.remove(&flow).expect("an arrow has a beginning");
                    assert!(whose == g && from.at <= e.at, "{from:?} -> {e:?}");
                }
                counts.starts += 1;
                of.insert(g, State::Runs);
                runs.insert(e.on.clone(), g);
            }
            (Is::End, _, Place::P(..)) if e.args.contains_key("end") => {
                // What was running when the trace began, or before a hole, is not known.
                let Some(g) = runs.remove(&e.on) else {
                    continue;
                };
                assert_eq!(state(&of, g), State::Runs, "{e:?}");
                let next = match e.text("end") {
                    "block" => State::Waits,
                    "yield" | "slice over" => State::Runnable,
                    "finish" => State::Ended,
                    "taken" | "blocking" => State::WithoutP,
                    "trace end" | "runtime ends" => State::Unknown,
                    // It was found running just when it stopped, as the trace began.
                    "unseen" if !spawned.contains(&g) || !holes.0.is_empty() => State::Unknown,
                    other => panic!("{other}: {e:?}; {:?}", holes.0),
                };
                of.insert(g, next);
            }
            _ => {}
        }
        // Who comes back and finds no P: its M says so, on its own track.
        if let (Is::Begin, Place::M(..)) = (e.is, &e.on)
            && e.cat == "goroutine"
        {
            runs.insert(e.on.clone(), e.number("g"));
        }
        if let (Is::End, Place::M(..)) = (e.is, &e.on)
            && let Some(why) = e.args.get("end")
            && let Some(g) = runs.remove(&e.on)
            && why == "lost its P"
        {
            let was = state(&of, g);
            assert!(
                matches!(was, State::WithoutP | State::Unknown),
                "{was:?}: {e:?}"
            );
            of.insert(g, State::Runnable);
        }
    }
    counts
}
