//! What each event means for the picture.

use super::draw::{Drawing, End, end};
use super::event::{By, Event, Kind, NO_M, NO_P, Text};
use super::model::{FlowKind, GOpen, MOpen, POpen};
use super::sink::{Arg, Cat, Name, Track, Value};
use crate::g::status::WaitReason;

impl Drawing<'_> {
    /// Draws an event.
    pub(crate) fn event(&mut self, e: &Event) {
        self.at = e.at;
        self.model.events += 1;
        if e.m != NO_M {
            self.m(e.rt, e.m).seen = true;
        }
        if e.p != NO_P && e.kind != Kind::FoundP {
            self.p(e.rt, e.p).seen = true;
        }
        match e.kind {
            Kind::Spawn => self.spawn(e),
            Kind::Exists => {
                let g = self.g(e.g);
                g.site = e.arg as usize;
                if !g.tracked {
                    g.rt = e.rt;
                }
            }
            Kind::Name => {
                let g = self.g(e.g);
                if !g.tracked {
                    g.rt = e.small as u32;
                }
                if g.name.is_none() {
                    g.name.clone_from(&e.text);
                    self.name_track(e.g);
                }
            }
            Kind::FoundP => self.found_p(e),
            Kind::Start => self.start(e.rt, e.p, e.m, e.g),
            Kind::Block => {
                let reason = e.small as u8;
                let why = [
                    (Arg::End, Value::Text("block")),
                    (Arg::Wait, Value::Text(WaitReason::from_u8(reason).as_str())),
                    (Arg::Object, Value::Address(!e.arg)),
                ];
                self.stop(e, &why, GOpen::Waits { reason, on: e.arg });
            }
            Kind::Unblock => self.unblock(e),
            Kind::Yield => self.stop(e, &end("yield"), GOpen::Runnable),
            Kind::SliceOver => self.stop(e, &end("slice over"), GOpen::Runnable),
            Kind::LostP => self.stop(e, &end("lost its P"), GOpen::Runnable),
            Kind::Finish => {
                self.stop(e, &end("finish"), GOpen::Unknown);
                self.m(e.rt, e.m).ended = e.g;
                self.finish(e.g);
            }
            Kind::Blocking => {
                let args = [
                    (Arg::M, Value::Number(e.m.into())),
                    (Arg::G, Value::Number(e.g)),
                ];
                let track = self.place(e);
                self.instant(track, Name::Fixed("given away"), Cat::Handoff, &args);
                if e.p != NO_P {
                    self.lose_p(e.rt, e.p, e.m, "blocking");
                }
            }
            Kind::Taken => {
                let m = e.small as u32;
                let g = match self.p(e.rt, e.p).open {
                    POpen::Runs(g) => g,
                    _ => 0,
                };
                let args = [
                    (Arg::M, Value::Number(m.into())),
                    (Arg::G, Value::Number(g)),
                ];
                let track = Track::P(e.rt, e.p);
                self.instant(track, Name::Fixed("taken"), Cat::Handoff, &args);
                self.lose_p(e.rt, e.p, m, "taken");
            }
            Kind::Back => self.regain_p(e),
            // What a P did for its last M is over.
            Kind::Attach | Kind::Detach | Kind::PBusy => {
                if e.p != NO_P {
                    self.close_p(e.rt, e.p, &end("unseen"));
                }
            }
            Kind::PIdle => {
                self.close_p(e.rt, e.p, &end("unseen"));
                self.p(e.rt, e.p).open = POpen::Idle;
                self.begin(Track::P(e.rt, e.p), Name::Fixed("idle"), Cat::P, &[]);
            }
            Kind::Steal => {
                let args = [
                    (Arg::From, Value::Number(e.arg)),
                    (Arg::Count, Value::Number(e.small)),
                ];
                let track = self.place(e);
                self.instant(track, Name::Fixed("steal"), Cat::Steal, &args);
            }
            Kind::SpinBegin => self.open_m(e.rt, e.m, MOpen::Spins),
            Kind::Sleep => self.open_m(e.rt, e.m, MOpen::Sleeps),
            Kind::SpinEnd => {
                if self.m(e.rt, e.m).open == MOpen::Spins {
                    self.close_m(e.rt, e.m, &[]);
                }
            }
            Kind::Wake => {
                if self.m(e.rt, e.m).open == MOpen::Sleeps {
                    self.close_m(e.rt, e.m, &[]);
                }
            }
            Kind::ThreadStart | Kind::ThreadEnd => {
                self.m(e.rt, e.m);
                let name = match e.kind {
                    Kind::ThreadStart => "thread starts",
                    _ => {
                        self.close_m(e.rt, e.m, &end("unseen"));
                        "thread ends"
                    }
                };
                let args = [(Arg::Tid, Value::Number(e.arg))];
                self.instant(Track::M(e.rt, e.m), Name::Fixed(name), Cat::M, &args);
            }
            Kind::Timers => {
                let track = self.place(e);
                let args = [(Arg::Fired, Value::Number(e.small))];
                self.instant(track, Name::Fixed("timers"), Cat::Timer, &args);
            }
            Kind::Network => {
                let track = self.place(e);
                let args = [(Arg::Ready, Value::Number(e.small))];
                self.instant(track, Name::Fixed("network"), Cat::Network, &args);
            }
            Kind::RegionBegin | Kind::RegionEnd | Kind::Log => self.user(e),
            Kind::RuntimeStart | Kind::RuntimeEnd => self.runtime_event(e),
            Kind::Lost => self.lost(e),
        }
    }

    fn spawn(&mut self, e: &Event) {
        let state = self.g(e.g);
        if !state.tracked {
            state.rt = e.rt; // of who made it; its name, or its start, says better
        }
        state.site = e.arg as usize;
        let at = state.location();
        self.open_g(e.g, GOpen::Runnable, &[]);
        let flow = self.flow(e.g, FlowKind::Spawn);
        let track = self.place(e);
        let site = at.map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
        let args = [
            (Arg::G, Value::Number(e.g)),
            (Arg::Parent, Value::Number(e.parent())),
            (Arg::Site, Value::Text(site.as_deref().unwrap_or_default())),
        ];
        let name = Name::Fixed("spawn");
        self.sink
            .instant(self.at, track, name, Cat::Spawn, &args, Some(flow));
    }

    fn unblock(&mut self, e: &Event) {
        self.evict(e.g);
        let flow = self.flow(e.g, FlowKind::Wake);
        let track = self.place(e);
        let by = By::from_small(e.small);
        let waker = match by {
            By::Ended if e.m != NO_M => self.m(e.rt, e.m).ended,
            _ => e.arg,
        };
        let args = [
            (Arg::G, Value::Number(e.g)),
            (Arg::By, Value::Text(by.as_str())),
            (Arg::Waker, Value::Number(waker)),
        ];
        let args = match by {
            By::Goroutine | By::Ended => &args[..],
            _ => &args[..2],
        };
        let name = Name::Fixed("unblock");
        self.sink
            .instant(self.at, track, name, Cat::Wake, args, Some(flow));
        self.open_g(e.g, GOpen::Runnable, &end("unseen"));
    }

    fn found_p(&mut self, e: &Event) {
        let runs = e.small == 0;
        if self.p(e.rt, e.p).seen {
            return; // its own events are better
        }
        let m = e.arg as u32;
        self.p(e.rt, e.p).seen = true;
        if runs && !self.m(e.rt, m).seen {
            self.start(e.rt, e.p, m, e.g);
        } else if !runs {
            self.p(e.rt, e.p).open = POpen::Idle;
            self.begin(Track::P(e.rt, e.p), Name::Fixed("idle"), Cat::P, &[]);
        }
    }

    fn user(&mut self, e: &Event) {
        let track = if e.g != 0 {
            let state = self.g(e.g);
            if !state.tracked {
                state.rt = e.rt;
            }
            self.regions_track(e.g)
        } else if e.m != NO_M {
            self.m(e.rt, e.m); // an M's own thread, when it begins or ends
            return;
        } else {
            self.thread(e.tid);
            Track::Thread(e.tid)
        };
        let who = [(Arg::G, Value::Number(e.g))];
        let who = match e.g {
            0 => &[],
            _ => &who[..],
        };
        let holes = self.model.holes;
        let regions = match track {
            Track::Thread(tid) => &mut self.thread(tid).regions,
            _ => &mut self.g(e.g).regions,
        };
        // Its words may have been among those that are missing: which regions are open is not known.
        let closed = match std::mem::replace(&mut regions.holes, holes) == holes {
            true => 0,
            false => std::mem::take(&mut regions.open).len(),
        };
        match e.kind {
            Kind::RegionBegin => {
                let name = e.static_text();
                regions.open.push(name);
                self.close_slices(track, closed);
                self.begin(track, Name::Often(name), Cat::Region, who);
            }
            Kind::RegionEnd => {
                let closes = regions.open.pop().is_some();
                self.close_slices(track, closed + usize::from(closes));
            }
            _ => {
                self.close_slices(track, closed);
                let Some(Text::Log(category, message)) = e.text.as_deref() else {
                    return;
                };
                let mut args = vec![(Arg::Message, Value::Text(message))];
                args.extend_from_slice(who);
                self.instant(track, Name::Often(category), Cat::Log, &args);
            }
        }
    }

    fn runtime_event(&mut self, e: &Event) {
        let (mut args, mut procs) = (Vec::new(), 0);
        if let Some(Text::Runtime(_, name, n)) = e.text.as_deref() {
            self.model
                .runtimes
                .entry(e.rt)
                .or_default()
                .name
                .clone_from(name);
            args = vec![
                (Arg::Name, Value::Text(name)),
                (Arg::Procs, Value::Number((*n).into())),
            ];
            procs = *n;
        }
        for p in 0..procs {
            self.p(e.rt, p as u16);
        }
        self.p(e.rt, 0);
        let name = match e.kind {
            Kind::RuntimeStart => "runtime starts",
            _ => "runtime ends",
        };
        self.instant(Track::P(e.rt, 0), Name::Fixed(name), Cat::Runtime, &args);
        if e.kind == Kind::RuntimeEnd {
            self.close_runtime(e.rt, &end("runtime ends"));
        }
    }

    /// Events are missing of this M: what it and its P do is not known.
    fn lost(&mut self, e: &Event) {
        self.model.lost += e.small;
        self.model.holes += 1;
        let args = [
            (Arg::Count, Value::Number(e.small)),
            (Arg::Since, Value::Time(e.arg)),
        ];
        let track = match e.m {
            NO_M => self.place(e),
            m => {
                self.m(e.rt, m);
                self.forget(e.rt, m);
                Track::M(e.rt, m)
            }
        };
        self.instant(track, Name::Fixed("lost events"), Cat::Trace, &args);
    }

    /// A goroutine runs on a P and an M.
    fn start(&mut self, rt: u32, p: u16, m: u32, g: u64) {
        self.evict(g);
        self.close_p(rt, p, &end("unseen"));
        self.close_m(rt, m, &end("unseen"));
        let state = self.g(g);
        let flow = state.flow.take();
        if !state.tracked {
            state.rt = rt;
        }
        self.open_g(g, GOpen::Runs { p, m }, &[]);
        let on = self.p(rt, p);
        on.open = POpen::Runs(g);
        on.m = m;
        self.m(rt, m).open = MOpen::Runs { g, without: None };
        self.begin_run(Track::P(rt, p), g, flow);
        self.begin_run(Track::M(rt, m), g, None);
    }

    /// A goroutine that seems to run has stopped, unseen: events are missing, or it stopped just when the
    /// recording began, and was found before its M had said so.
    fn evict(&mut self, g: u64) {
        let state = self.g(g);
        let (GOpen::Runs { p, m }, rt) = (state.open, state.rt) else {
            return;
        };
        if p != NO_P && self.p(rt, p).open == POpen::Runs(g) {
            self.close_p(rt, p, &end("unseen"));
        }
        if matches!(self.m(rt, m).open, MOpen::Runs { g: of, .. } if of == g) {
            self.close_m(rt, m, &end("unseen"));
        }
    }

    /// The goroutine that ran on the M, with the P or without, is off its stack.
    fn stop(&mut self, e: &Event, why: End<'_>, then: GOpen) {
        if e.p != NO_P && self.p(e.rt, e.p).open == POpen::Runs(e.g) {
            self.close_p(e.rt, e.p, why);
        }
        if matches!(self.m(e.rt, e.m).open, MOpen::Runs { .. }) {
            self.close_m(e.rt, e.m, why);
        }
        self.open_g(e.g, then, why);
    }

    /// A goroutine goes on without its P.
    fn lose_p(&mut self, rt: u32, p: u16, m: u32, why: &'static str) {
        let ended = end(why);
        let g = match self.p(rt, p).open {
            POpen::Runs(g) => g,
            _ => return,
        };
        self.close_p(rt, p, &ended);
        if let MOpen::Runs { without, .. } = &mut self.m(rt, m).open
            && without.is_none()
        {
            *without = Some(why);
            self.begin_without(Track::M(rt, m), Cat::Handoff, why);
        }
        self.open_g(g, GOpen::WithoutP(why), &ended);
    }

    /// A goroutine that has lost its P has one again.
    fn regain_p(&mut self, e: &Event) {
        if let MOpen::Runs { without, .. } = &mut self.m(e.rt, e.m).open
            && without.take().is_some()
        {
            self.sink.end(self.at, Track::M(e.rt, e.m), &[]);
        }
        let args = [
            (Arg::G, Value::Number(e.g)),
            (Arg::P, Value::Number(e.p.into())),
        ];
        self.instant(
            Track::M(e.rt, e.m),
            Name::Fixed("back"),
            Cat::Handoff,
            &args,
        );
        if e.p == NO_P {
            return;
        }
        self.close_p(e.rt, e.p, &end("unseen"));
        let p = self.p(e.rt, e.p);
        p.open = POpen::Runs(e.g);
        p.m = e.m;
        self.begin_run(Track::P(e.rt, e.p), e.g, None);
        self.open_g(e.g, GOpen::Runs { p: e.p, m: e.m }, &[]);
    }
}
