//! Dumps as text, as Go prints them, with what Go does not know: what is waited on.

use super::{Dump, DumpedGoroutine, DumpedThread, GoroutineState, NAMED, Who, describe};
use crate::inspect::goroutine::ObjectPicture;
use crate::inspect::symbols::Symbol;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::mem::discriminant;
use std::time::Duration;

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for g in &self.goroutines {
            g.head(f)?;
            f.write_str(":\n")?;
            self.objects(Who::Goroutine(g.id), &g.objects, f)?;
            frames(g, f)?;
            g.created(f)?;
            f.write_str("\n")?;
        }
        for t in &self.threads {
            t.head(f)?;
            f.write_str(":\n")?;
            self.objects(Who::Thread(t.tid), &t.objects, f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl DumpedGoroutine {
    /// `goroutine 7 "reader" {user="17"} [chan receive, 3 minutes, locked to thread]`.
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        for (i, (key, value)) in self.labels.iter().enumerate() {
            f.write_str(if i == 0 { " {" } else { ", " })?;
            // As it is, unless that could be taken for something else.
            match !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_-./:".contains(c))
            {
                true => write!(f, "{key}={value:?}")?,
                false => write!(f, "{key:?}={value:?}")?,
            }
        }
        if !self.labels.is_empty() {
            f.write_str("}")?;
        }
        f.write_str(" [")?;
        self.what(f)?;
        minutes(self.waited, f)?;
        if self.locked {
            f.write_str(", locked to thread")?;
        }
        f.write_str("]")
    }

    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            GoroutineState::Runnable => f.write_str("runnable"),
            GoroutineState::Running(Some(m)) => write!(f, "running on m{m}"),
            GoroutineState::Running(None) => f.write_str("running"),
            GoroutineState::Blocked(Some(m)) => write!(f, "blocking on m{m}"),
            GoroutineState::Blocked(None) => f.write_str("blocking"),
            GoroutineState::Waiting(reason) => f.write_str(reason.as_str()),
        }
    }

    fn created(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            Some(parent) => writeln!(f, "created by goroutine {parent} at {}", self.site),
            None => writeln!(f, "created at {}", self.site),
        }
    }
}

impl DumpedThread {
    /// `thread 4711 "main" [join, 3 minutes]`.
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.tid)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " [{}", self.reason.as_str())?;
        minutes(self.waited, f)?;
        f.write_str("]")
    }
}

fn minutes(waited: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match waited.as_secs() / 60 {
        0 => Ok(()),
        minutes => write!(f, ", {minutes} minutes"),
    }
}

fn frames(g: &DumpedGoroutine, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let GoroutineState::Running(_) | GoroutineState::Blocked(_) = g.state {
        return f.write_str("\tgoroutine running on other thread; stack unavailable\n");
    }
    f.write_str(&frames_text(&g.frames))?;
    match g.more {
        true => f.write_str("...additional frames elided...\n"),
        false => Ok(()),
    }
}

/// Two lines for each: the function, and where it is.
pub(crate) fn frames_text(frames: &[Symbol]) -> String {
    let mut out = String::new();
    for frame in frames {
        out.push_str(&frame.function);
        // Writing to a String cannot fail.
        let _ = match &frame.file {
            Some(file) => writeln!(out, "\n\t{file}:{}", frame.line),
            None => writeln!(out, "\n\t{:#x}", frame.address),
        };
    }
    out
}

impl Dump {
    /// A line for each object that is waited on, with who else waits there.
    fn objects(
        &self,
        who: Who,
        objects: &[ObjectPicture],
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        for object in objects {
            f.write_str("    on ")?;
            describe(object, f)?;
            if let Some(holder) = self.holders.get(&object.address) {
                write!(f, ", held by goroutine {holder}")?;
            }
            if objects.len() > 1 {
                write!(f, " [{}]", object.reason.as_str())?;
            }
            for crowd in self.waiting.get(&object.address).into_iter().flatten() {
                let others = crowd.first.iter().copied().filter(|other| *other != who);
                let others: Vec<_> = others.take(NAMED).collect();
                let own =
                    |o: &ObjectPicture| (o.address, o.reason) == (object.address, crowd.reason);
                let count = crowd.count - usize::from(objects.iter().any(own));
                if count > 0 {
                    write!(f, "; [{}]: ", crowd.reason.as_str())?;
                    list(f, &others, count)?;
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// `goroutines 3, 4 and 17 others`, of whom the first are known; or `goroutines 3, 4, thread 4711`.
fn list(f: &mut fmt::Formatter<'_>, first: &[Who], count: usize) -> fmt::Result {
    let mut last = None;
    for (i, who) in first.iter().enumerate() {
        let (word, number): (_, &dyn fmt::Display) = match who {
            Who::Goroutine(id) => ("goroutine", id),
            Who::Thread(tid) => ("thread", tid),
        };
        f.write_str(if i == 0 { "" } else { ", " })?;
        if last != Some(word) {
            let alike = first
                .iter()
                .filter(|w| discriminant(*w) == discriminant(who));
            let one = alike.count() == 1 && first.len() == count;
            write!(f, "{word}{} ", if one { "" } else { "s" })?;
        }
        write!(f, "{number}")?;
        last = Some(word);
    }
    match count.saturating_sub(first.len()) {
        0 => Ok(()),
        more => write!(f, " and {more} others"),
    }
}

/// A dump with equal goroutines in one entry: see [`Dump::grouped`].
#[derive(Clone, Copy, Debug)]
pub struct Grouped<'a>(pub(super) &'a Dump);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: HashMap<_, Vec<&DumpedGoroutine>> = HashMap::new();
        for g in &self.0.goroutines {
            let state = match g.state {
                GoroutineState::Waiting(reason) => reason.as_str(),
                GoroutineState::Runnable => "runnable",
                GoroutineState::Running(_) => "running",
                GoroutineState::Blocked(_) => "blocking",
            };
            let key = (state, &g.frames, g.site.to_string());
            groups.entry(key).or_default().push(g);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, members)| (usize::MAX - members.len(), members[0].id));
        writeln!(f, "goroutines: total {}", self.0.goroutines.len())?;
        for ((state, _, site), members) in groups {
            write!(f, "{} [{state}]: ", members.len())?;
            let first = members.iter().take(NAMED).map(|g| Who::Goroutine(g.id));
            let first: Vec<_> = first.collect();
            list(f, &first, members.len())?;
            let longest = members.iter().map(|g| g.waited).max().unwrap_or_default();
            if longest.as_secs() > 0 {
                write!(f, ", waiting for at most {} s", longest.as_secs())?;
            }
            f.write_str("\n")?;
            frames(members[0], f)?;
            writeln!(f, "created at {site}\n")?;
        }
        for t in &self.0.threads {
            t.head(f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}
