//! Dumps as JSON. Written here, since it is all of JSON that the runtime knows: strings, numbers, and how
//! they are put into each other.

use super::{Dump, DumpedGoroutine, DumpedThread, GoroutineState};
use crate::g::GoroutineId;
use crate::inspect::goroutine::{ObjectPicture, Value};
use crate::inspect::symbols::Symbol;
use crate::trace::quoted::Quoted;
use std::fmt::Write as _;

/// JSON that is being written. Writing to a String cannot fail.
pub(crate) struct Json(pub(crate) String);

impl Json {
    fn string(&mut self, text: &str) {
        self.value(Quoted(text));
    }

    /// A key; behind another one, if anything has been written into the object.
    pub(crate) fn key(&mut self, key: &str) {
        self.separate();
        self.string(key);
        self.0.push(':');
    }

    /// A comma, unless this is the first in its object or array.
    pub(crate) fn separate(&mut self) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
    }

    pub(crate) fn value(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{value}");
    }

    fn optional_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.0.push_str("null"),
        }
    }

    fn optional(&mut self, value: Option<impl std::fmt::Display>) {
        match value {
            Some(value) => self.value(value),
            None => self.0.push_str("null"),
        }
    }

    fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Json, T)) {
        self.0.push('[');
        for one in items {
            self.separate();
            item(self, one);
        }
        self.0.push(']');
    }

    fn object(&mut self, fields: impl FnOnce(&mut Json)) {
        self.0.push('{');
        fields(self);
        self.0.push('}');
    }
}

pub(super) fn render(dump: &Dump) -> String {
    let mut out = Json(String::new());
    out.object(|out| {
        out.key("runtime");
        out.string(&dump.runtime);
        out.key("goroutines");
        out.array(&dump.goroutines, |out, g| goroutine(out, dump, g));
        out.key("threads");
        out.array(&dump.threads, |out, t| thread(out, dump, t));
    });
    out.0
}

fn goroutine(out: &mut Json, dump: &Dump, g: &DumpedGoroutine) {
    let (state, reason, m) = match g.state {
        GoroutineState::Runnable => ("runnable", None, None),
        GoroutineState::Running(m) => ("running", None, m),
        GoroutineState::Blocked(m) => ("blocked", None, m),
        GoroutineState::Waiting(reason) => ("waiting", Some(reason.as_str()), None),
    };
    out.object(|out| {
        out.key("id");
        out.value(g.id);
        out.key("name");
        out.optional_string(g.name());
        out.key("labels");
        out.object(|out| {
            for (key, value) in &g.labels {
                out.key(key);
                out.string(value);
            }
        });
        out.key("state");
        out.string(state);
        out.key("reason");
        out.optional_string(reason);
        out.key("waited_ns");
        out.value(g.waited.as_nanos());
        out.key("bounded");
        out.value(g.bounded);
        out.key("m");
        out.optional(m);
        out.key("locked_to_thread");
        out.value(g.locked);
        waits_on(out, dump, &g.objects);
        out.key("stack");
        out.array(g.frames.iter(), frame);
        out.key("stack_elided");
        out.value(g.more);
        out.key("created_by");
        out.optional(g.parent);
        out.key("created_at");
        out.string(&g.site.to_string());
    });
}

fn thread(out: &mut Json, dump: &Dump, t: &DumpedThread) {
    out.object(|out| {
        out.key("tid");
        out.value(t.tid);
        out.key("name");
        out.optional_string(t.name());
        out.key("reason");
        out.string(t.reason.as_str());
        out.key("waited_ns");
        out.value(t.waited.as_nanos());
        out.key("bounded");
        out.value(t.bounded);
        waits_on(out, dump, &t.objects);
    });
}

fn waits_on(out: &mut Json, dump: &Dump, objects: &[ObjectPicture]) {
    out.key("waits_on");
    out.array(objects, |out, o| {
        object(out, o, dump.holders.get(&o.address))
    });
}

fn object(out: &mut Json, object: &ObjectPicture, holder: Option<&GoroutineId>) {
    out.object(|out| {
        out.key("reason");
        out.string(object.reason.as_str());
        out.key("kind");
        out.string(object.kind);
        out.key("address");
        out.string(&format!("{:#x}", object.address));
        if let Some(holder) = holder {
            out.key("holder");
            out.value(holder);
        }
        for (name, value) in &object.fields {
            out.key(name);
            match value {
                Value::Number(n) => out.value(n),
                Value::Unlimited => out.0.push_str("null"),
                Value::Flag(flag) => out.value(flag),
            }
        }
    });
}

fn frame(out: &mut Json, symbol: &Symbol) {
    out.object(|out| {
        out.key("function");
        out.string(&symbol.function);
        out.key("file");
        out.optional_string(symbol.file.as_deref());
        out.key("line");
        out.value(symbol.line);
        out.key("address");
        out.string(&format!("{:#x}", symbol.address));
    });
}
