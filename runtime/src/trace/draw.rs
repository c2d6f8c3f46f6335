//! Bringing a [`Model`] forward, and saying to a [`Sink`] of whatever format what changes in the picture.
//!
//! Whatever comes, what is said is well formed: the slices of a track are nested, and in the end closed.

use super::event::{Event, NO_M, NO_P};
use super::model::{
    FlowKind, GOpen, Goroutine, MOpen, MState, Model, POpen, PState, Runtime, Thread,
};
use super::sink::{Arg, Cat, Flow, Name, Sink, Track, Value};
use crate::g::status::WaitReason;

/// How a goroutine's turn on a P or an M ended.
pub(super) type End<'a> = &'a [(Arg, Value<'a>)];

pub(super) fn end(why: &'static str) -> [(Arg, Value<'static>); 1] {
    [(Arg::End, Value::Text(why))]
}

/// A model at work for one sink.
pub(crate) struct Drawing<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) sink: &'a mut dyn Sink,
    /// The time of the event that is drawn.
    pub(crate) at: u64,
}

impl<'a> Drawing<'a> {
    pub(crate) fn new(model: &'a mut Model, sink: &'a mut dyn Sink, at: u64) -> Drawing<'a> {
        Drawing { model, sink, at }
    }
}

impl Drawing<'_> {
    pub(super) fn runtime(&mut self, rt: u32) -> &mut Runtime {
        let r = self.model.runtimes.entry(rt).or_default();
        if !r.declared {
            r.declared = true;
            let name = match r.name.is_empty() {
                true => format!("weft {rt}"),
                false => format!("weft \"{}\"", r.name),
            };
            self.sink.declare(Track::Runtime(rt), &name);
        }
        r
    }

    pub(super) fn p(&mut self, rt: u32, p: u16) -> &mut PState {
        let at = usize::from(p);
        let r = self.runtime(rt);
        if r.ps.len() <= at {
            r.ps.resize(at + 1, PState::default());
        }
        if !r.ps[at].declared {
            r.ps[at].declared = true;
            self.sink.declare(Track::P(rt, p), &format!("P{p}"));
        }
        self.known_p(rt, p)
    }

    pub(super) fn known_p(&mut self, rt: u32, p: u16) -> &mut PState {
        let r = self.model.runtimes.get_mut(&rt);
        &mut r.expect("it was declared").ps[usize::from(p)]
    }

    pub(super) fn m(&mut self, rt: u32, m: u32) -> &mut MState {
        let at = m as usize;
        let r = self.runtime(rt);
        if r.ms.len() <= at {
            r.ms.resize(at + 1, MState::default());
        }
        if !r.ms[at].declared {
            r.ms[at].declared = true;
            self.sink.declare(Track::M(rt, m), &format!("M{m}"));
        }
        let r = self.model.runtimes.get_mut(&rt);
        &mut r.expect("it was declared").ms[at]
    }

    pub(super) fn g(&mut self, g: u64) -> &mut Goroutine {
        self.model.gs.entry(g).or_default()
    }

    pub(super) fn thread(&mut self, tid: u32) -> &mut Thread {
        let t = self.model.threads.entry(tid).or_default();
        if !t.declared {
            t.declared = true;
            let comm = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm"));
            let name = match comm {
                Ok(comm) => format!("thread {tid} ({})", comm.trim_end()),
                Err(_) => format!("thread {tid}"),
            };
            self.sink.declare(Track::Thread(tid), &name);
        }
        t
    }

    /// Where an event is shown that happened on this P, M or thread.
    pub(super) fn place(&mut self, e: &Event) -> Track {
        if e.m != NO_M && e.p != NO_P {
            self.p(e.rt, e.p);
            Track::P(e.rt, e.p)
        } else if e.m != NO_M {
            self.m(e.rt, e.m);
            Track::M(e.rt, e.m)
        } else {
            self.thread(e.tid);
            Track::Thread(e.tid)
        }
    }

    pub(super) fn begin(
        &mut self,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &[(Arg, Value<'_>)],
    ) {
        self.sink.begin(self.at, track, name, cat, args, None);
    }

    /// Ends what the P does.
    pub(super) fn close_p(&mut self, rt: u32, p: u16, why: End<'_>) {
        match std::mem::take(&mut self.p(rt, p).open) {
            POpen::None => {}
            POpen::Idle => self.sink.end(self.at, Track::P(rt, p), &[]),
            POpen::Runs(_) => self.sink.end(self.at, Track::P(rt, p), why),
        }
    }

    /// Ends what the M does.
    pub(super) fn close_m(&mut self, rt: u32, m: u32, why: End<'_>) {
        let track = Track::M(rt, m);
        match std::mem::take(&mut self.m(rt, m).open) {
            MOpen::None => {}
            MOpen::Spins | MOpen::Sleeps => self.sink.end(self.at, track, &[]),
            MOpen::Runs { without, .. } => {
                if without.is_some() {
                    self.sink.end(self.at, track, &[]);
                }
                self.sink.end(self.at, track, why);
            }
        }
    }

    /// The M does something else.
    pub(super) fn open_m(&mut self, rt: u32, m: u32, open: MOpen) {
        self.close_m(rt, m, &end("unseen"));
        self.m(rt, m).open = open;
        let track = Track::M(rt, m);
        match open {
            MOpen::None => {}
            MOpen::Spins => self.begin(track, Name::Fixed("spinning"), Cat::M, &[]),
            MOpen::Sleeps => self.begin(track, Name::Fixed("asleep"), Cat::M, &[]),
            MOpen::Runs { .. } => unreachable!("see `start`"),
        }
    }

    /// The goroutine has a track of its own from here on.
    pub(super) fn track(&mut self, g: u64) {
        let state = self.g(g);
        if std::mem::replace(&mut state.tracked, true) {
            return;
        }
        let (rt, name, open) = (state.rt, state.track_name(g), state.open);
        self.runtime(rt);
        self.sink.declare(Track::G(rt, g), &name);
        self.draw_g(g, open);
    }

    /// As [`Drawing::track`], now that its name is known. (It has a track already if it used one before it was
    /// found at a trace's beginning.)
    pub(super) fn name_track(&mut self, g: u64) {
        let state = self.g(g);
        if !state.tracked {
            return self.track(g);
        }
        let (rt, name, regions) = (state.rt, state.track_name(g), state.regions_declared);
        self.sink.rename(Track::G(rt, g), &name);
        if regions {
            self.sink.rename(Track::Regions(rt, g), &name);
        }
    }

    pub(super) fn g_track(&mut self, g: u64) -> Track {
        Track::G(self.g(g).rt, g)
    }

    /// What a goroutine does is over.
    pub(super) fn close_g(&mut self, g: u64, why: End<'_>) {
        let state = self.g(g);
        let was = std::mem::take(&mut state.open);
        if !state.tracked || was == GOpen::Unknown {
            return;
        }
        let track = self.g_track(g);
        let why = match was {
            GOpen::Runs { .. } => why,
            _ => &[],
        };
        self.sink.end(self.at, track, why);
    }

    /// The goroutine does something else.
    pub(super) fn open_g(&mut self, g: u64, open: GOpen, why: End<'_>) {
        self.close_g(g, why);
        let state = self.g(g);
        state.open = open;
        if !state.tracked {
            return;
        }
        self.draw_g(g, open);
    }

    pub(super) fn draw_g(&mut self, g: u64, open: GOpen) {
        let track = self.g_track(g);
        match open {
            GOpen::Unknown => {}
            GOpen::Runnable => self.begin(track, Name::Fixed("runnable"), Cat::State, &[]),
            GOpen::Runs { p, m } => {
                let args = [
                    (Arg::P, Value::Number(p.into())),
                    (Arg::M, Value::Number(m.into())),
                ];
                self.begin(track, Name::Fixed("running"), Cat::State, &args);
            }
            GOpen::WithoutP(why) => self.begin_without(track, Cat::State, why),
            GOpen::Waits { reason, on } => {
                let name = Name::Fixed(WaitReason::from_u8(reason).as_str());
                self.begin(
                    track,
                    name,
                    Cat::Blocked,
                    &[(Arg::Object, Value::Address(!on))],
                );
            }
        }
    }

    pub(super) fn instant(
        &mut self,
        track: Track,
        name: Name<'_>,
        cat: Cat,
        args: &[(Arg, Value<'_>)],
    ) {
        self.sink.instant(self.at, track, name, cat, args, None);
    }

    /// A new arrow, to the next start of `g`.
    pub(super) fn flow(&mut self, g: u64, kind: FlowKind) -> (u64, FlowKind) {
        self.model.flows += 1;
        let flow = (self.model.flows, kind);
        self.g(g).flow = Some(flow);
        flow
    }

    /// A goroutine has ended: nothing is shown of it any more.
    pub(super) fn finish(&mut self, g: u64) {
        self.close_regions(g);
        self.model.gs.remove(&g);
    }

    /// The regions of a goroutine are over.
    pub(super) fn close_regions(&mut self, g: u64) {
        let state = self.g(g);
        let track = Track::Regions(state.rt, g);
        let open = std::mem::take(&mut state.regions.open).len();
        self.close_slices(track, open);
    }

    /// The `n` innermost slices of a track end.
    pub(super) fn close_slices(&mut self, track: Track, n: usize) {
        for _ in 0..n {
            self.sink.end(self.at, track, &[]);
        }
    }

    /// At the end of a turn: after it, there were no goroutines but these, which are in order. So others have
    /// ended, unseen, or their last events come in the next turn.
    pub(crate) fn only(&mut self, alive: &[u64]) {
        let ended = |g: &u64| alive.binary_search(g).is_err();
        self.model.ended = self.model.gs.keys().copied().filter(ended).collect();
        self.model.ended.sort_unstable();
    }

    /// At the end of the next turn: forgets those who are left of them.
    pub(crate) fn forget_ended(&mut self) {
        let ended = std::mem::take(&mut self.model.ended);
        if ended.is_empty() {
            return;
        }
        for g in ended {
            if self.model.gs.contains_key(&g) {
                self.close_g(g, &end("lost events"));
                self.finish(g);
            }
        }
        if self.model.gs.capacity() / 4 > self.model.gs.len() {
            self.model.gs.shrink_to_fit();
        }
    }

    pub(super) fn forget(&mut self, rt: u32, m: u32) {
        if let MOpen::Runs { g, .. } = self.m(rt, m).open {
            self.close_g(g, &end("lost events"));
        }
        self.close_m(rt, m, &end("lost events"));
        let ps = self.runtime(rt).ps.len() as u16;
        for p in 0..ps {
            let on = self.known_p(rt, p);
            if on.m == m && matches!(on.open, POpen::Runs(_)) {
                self.close_p(rt, p, &end("lost events"));
            }
        }
    }

    pub(super) fn close_runtime(&mut self, rt: u32, why: End<'_>) {
        let (ps, ms) = match self.model.runtimes.get(&rt) {
            Some(r) => (r.ps.len(), r.ms.len()),
            None => return,
        };
        for p in 0..ps {
            if self.known_p(rt, p as u16).open != POpen::None {
                self.close_p(rt, p as u16, why);
            }
        }
        for m in 0..ms {
            self.close_m(rt, m as u32, why);
        }
    }

    /// The trace begins now, in the middle of what the model knows: opens all that is open.
    pub(crate) fn open_all(&mut self) {
        let mut runtimes: Vec<u32> = self.model.runtimes.keys().copied().collect();
        runtimes.sort_unstable();
        for rt in runtimes {
            let r = self.model.runtimes.entry(rt).or_default();
            r.declared = false;
            let was = (std::mem::take(&mut r.ps), std::mem::take(&mut r.ms));
            for (p, was) in was.0.iter().enumerate() {
                let p = p as u16;
                self.p(rt, p).m = was.m;
                self.p(rt, p).seen = was.seen;
                self.p(rt, p).open = was.open;
                match was.open {
                    POpen::None => {}
                    POpen::Idle => self.begin(Track::P(rt, p), Name::Fixed("idle"), Cat::P, &[]),
                    POpen::Runs(g) => self.begin_run(Track::P(rt, p), g, None),
                }
            }
            for (m, was) in was.1.iter().enumerate() {
                let m = m as u32;
                self.m(rt, m).ended = was.ended;
                self.m(rt, m).seen = was.seen;
                match was.open {
                    MOpen::None => {}
                    MOpen::Runs { g, without } => {
                        self.begin_run(Track::M(rt, m), g, None);
                        if let Some(why) = without {
                            self.begin_without(Track::M(rt, m), Cat::Handoff, why);
                        }
                        self.m(rt, m).open = was.open;
                    }
                    open => self.open_m(rt, m, open),
                }
            }
        }
        let mut gs: Vec<u64> = self.model.gs.keys().copied().collect();
        gs.sort_unstable();
        for g in gs {
            let state = self.g(g);
            state.flow = None;
            if std::mem::take(&mut state.tracked) {
                self.track(g);
            }
            let state = self.g(g);
            if std::mem::take(&mut state.regions_declared) {
                let regions = state.regions.open.clone();
                let track = self.regions_track(g);
                let who = [(Arg::G, Value::Number(g))];
                for name in regions {
                    self.begin(track, Name::Often(name), Cat::Region, &who);
                }
            }
        }
        for (tid, thread) in std::mem::take(&mut self.model.threads) {
            self.thread(tid).regions.holes = thread.regions.holes;
            for name in thread.regions.open {
                self.thread(tid).regions.open.push(name);
                self.begin(Track::Thread(tid), Name::Often(name), Cat::Region, &[]);
            }
        }
    }

    /// The track of a goroutine's regions.
    pub(super) fn regions_track(&mut self, g: u64) -> Track {
        self.track(g);
        let state = self.g(g);
        let track = Track::Regions(state.rt, g);
        if !std::mem::replace(&mut state.regions_declared, true) {
            let name = state.track_name(g);
            self.sink.declare(track, &name);
        }
        track
    }

    /// A goroutine's turn begins on the track of a P or an M.
    pub(super) fn begin_run(&mut self, track: Track, g: u64, flow: Option<Flow>) {
        let (other, number) = match track {
            Track::P(rt, p) => (Arg::M, Some(self.known_p(rt, p).m.into())),
            _ => (Arg::P, self.p_of(g)),
        };
        let args = [
            (Arg::G, Value::Number(g)),
            (other, Value::Number(number.unwrap_or_default())),
        ];
        let args = match number {
            Some(_) => &args[..],
            None => &args[..1],
        };
        let mut text = String::new();
        let state = self.model.gs.entry(g).or_default();
        let name = state.title(g, &mut text);
        self.sink
            .begin(self.at, track, name, Cat::Goroutine, args, flow);
    }

    /// The P that the goroutine runs on, as far as is known.
    fn p_of(&self, g: u64) -> Option<u64> {
        match self.model.gs.get(&g).map(|g| g.open) {
            Some(GOpen::Runs { p, .. }) if p != NO_P => Some(p.into()),
            _ => None,
        }
    }

    pub(super) fn begin_without(&mut self, track: Track, cat: Cat, why: &'static str) {
        let args = [(Arg::Why, Value::Text(why))];
        self.begin(track, Name::Fixed("without P"), cat, &args);
    }

    /// The trace ends now: closes all that is open.
    pub(crate) fn close_all(&mut self) {
        let why = end("trace end");
        let mut runtimes: Vec<u32> = self.model.runtimes.keys().copied().collect();
        runtimes.sort_unstable();
        for rt in runtimes {
            self.close_runtime(rt, &why);
        }
        let mut gs: Vec<u64> = self.model.gs.keys().copied().collect();
        gs.sort_unstable();
        for g in gs {
            self.close_g(g, &why);
            self.finish(g);
        }
        for (tid, thread) in std::mem::take(&mut self.model.threads) {
            self.close_slices(Track::Thread(tid), thread.regions.open.len());
        }
    }
}
