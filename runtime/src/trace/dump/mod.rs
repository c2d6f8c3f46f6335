//! What all goroutines are doing: the pictures of them, put together so that people and programs can read
//! it. Printed in `text.rs` and `json.rs`.

mod json;
mod text;

pub use text::Grouped;
pub(crate) use text::frames_text;

use crate::g::GoroutineId;
use crate::g::status::{Status, WaitReason};
use crate::inspect::goroutine::{ObjectPicture, Picture, Value, WaitPicture};
use crate::inspect::symbols::{Symbol, Symbols};
use crate::inspect::thread::ThreadPicture;
use crate::inspect::unwind::{MAX_FRAMES, Unwinder};
use crate::timer::{self, Nanos};
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What all goroutines of a runtime are doing, and what plain threads wait for: see [`Runtime::dump`](crate::Runtime::dump).
///
/// Displayed as Go's dumps are; [`Dump::grouped`] shows equal stacks once, [`Dump::to_json`] is for
/// programs.
///
/// ```
/// let rt = runtime::start(1);
/// let text = rt.run(|| {
///     let waiting = runtime::go!(name = "reader", || channels::Receiver::<i32>::nil().recv());
///     runtime::time::sleep(std::time::Duration::from_millis(20)); // it gets to its wait
///     let text = runtime::dump().to_string();
///     waiting.cancel();
///     text
/// });
/// assert!(text.contains("\"reader\" [chan receive (nil chan)]:"), "{text}");
/// ```
#[derive(Clone, Debug)]
pub struct Dump {
    runtime: String,
    goroutines: Vec<DumpedGoroutine>,
    threads: Vec<DumpedThread>,
    /// Who waits on which object.
    waiting: HashMap<usize, Vec<Crowd>>,
    /// Which goroutine has which mutex, where that is known.
    holders: HashMap<usize, GoroutineId>,
}

/// Those who wait on an object for the same.
#[derive(Clone, Debug)]
struct Crowd {
    reason: WaitReason,
    count: usize,
    /// The first of them: one more than are named.
    first: Vec<Who>,
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Goroutine(GoroutineId),
    /// By the kernel's number.
    Thread(u32),
}

/// So many goroutines are named where many could be.
const NAMED: usize = 8;

/// What a goroutine was doing when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoroutineState {
    /// It waits for its turn.
    Runnable,
    /// It runs, on the M of this number.
    Running(Option<u32>),
    /// It is in [`blocking`](crate::blocking), on the M of this number.
    Blocked(Option<u32>),
    /// It waits.
    Waiting(WaitReason),
}

/// One goroutine of a [`Dump`].
#[derive(Clone, Debug)]
pub struct DumpedGoroutine {
    id: GoroutineId,
    name: Option<String>,
    labels: Vec<(String, String)>,
    state: GoroutineState,
    waited: Duration,
    bounded: bool,
    locked: bool,
    objects: Vec<ObjectPicture>,
    frames: Arc<[Symbol]>,
    /// There are more frames than are kept.
    more: bool,
    parent: Option<GoroutineId>,
    site: &'static Location<'static>,
}

/// A thread that the runtime did not make, and that waits in it: in `run`, for a channel, a lock, a goroutine. It may
/// hold what a goroutine waits for, or be all that waits for one. (A thread knows no runtime: all that wait are in the dumps
/// of all.)
#[derive(Clone, Debug)]
pub struct DumpedThread {
    tid: u32,
    name: Option<String>,
    reason: WaitReason,
    waited: Duration,
    bounded: bool,
    objects: Vec<ObjectPicture>,
}

impl DumpedThread {
    /// The kernel's number of it, as `ps -L` and debuggers show it.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Its name, as the system knows it; the first 15 bytes.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it waits for.
    pub fn reason(&self) -> WaitReason {
        self.reason
    }

    /// For how long it has slept; zero if it does not yet.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The addresses of the objects that it waits on: the same in all that wait on one.
    pub fn waits_on(&self) -> impl Iterator<Item = usize> {
        self.objects.iter().map(|o| o.address)
    }
}

/// A function on a goroutine's stack.
#[derive(Clone, Copy, Debug)]
pub struct DumpedFrame<'a>(&'a Symbol);

impl<'a> DumpedFrame<'a> {
    /// Its name, or its address where the program has no symbols.
    pub fn function(&self) -> &'a str {
        &self.0.function
    }

    /// Its file, if the program has debug information.
    pub fn file(&self) -> Option<&'a str> {
        self.0.file.as_deref()
    }

    /// The line in its file; 0 if it is not known.
    pub fn line(&self) -> u32 {
        self.0.line
    }
}

impl DumpedGoroutine {
    /// Its number.
    pub fn id(&self) -> GoroutineId {
        self.id
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its labels: see [`label`](crate::label).
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(k, v)| (&**k, &**v))
    }

    /// What it was doing.
    pub fn state(&self) -> GoroutineState {
        self.state
    }

    /// For how long it had been waiting, to within 10 ms; zero if it did not wait, or if this machine's stacks
    /// cannot be looked at.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The addresses of the objects that it waits on: the same in all goroutines that wait on one.
    pub fn waits_on(&self) -> impl Iterator<Item = usize> {
        self.objects.iter().map(|o| o.address)
    }

    /// Its stack, the innermost function first, without the runtime's own; the 128 innermost calls. Empty if it
    /// was not parked, or if stacks were not asked for.
    pub fn frames(&self) -> impl Iterator<Item = DumpedFrame<'_>> {
        self.frames.iter().map(DumpedFrame)
    }

    /// The goroutine that spawned it.
    pub fn parent(&self) -> Option<GoroutineId> {
        self.parent
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.site
    }
}

/// Makes a dump of pictures, one after the other. Names of functions are looked up at the end: that may take
/// a second at first, in which those would go on who are not looked at yet.
pub(crate) struct Dumper {
    dump: Dump,
    /// The slots of all stacks, by their lowest addresses.
    slots: BTreeMap<usize, (usize, GoroutineId)>,
    unwinder: Option<Unwinder>,
    /// The stacks that were seen, each once, and which of them each goroutine has.
    stacks: HashMap<Vec<usize>, usize>,
    stack_of: Vec<Option<usize>>,
    now: Nanos,
}

impl Dumper {
    pub(crate) fn new(runtime: &str, stacks: bool) -> Dumper {
        Dumper {
            dump: Dump {
                runtime: runtime.to_owned(),
                goroutines: Vec::new(),
                threads: Vec::new(),
                waiting: HashMap::new(),
                holders: HashMap::new(),
            },
            slots: BTreeMap::new(),
            unwinder: stacks.then(Unwinder::new),
            stacks: HashMap::new(),
            stack_of: Vec::new(),
            now: timer::now(),
        }
    }

    pub(crate) fn add(&mut self, picture: Picture) {
        let unwound = self.unwinder.as_mut().zip(picture.stack.as_ref());
        let frames = unwound.map(|(unwinder, stack)| unwinder.frames(stack));
        let more = frames.as_ref().is_some_and(|f| f.len() == MAX_FRAMES);
        let next = self.stacks.len();
        let stack = frames.map(|frames| *self.stacks.entry(frames).or_insert(next));
        self.stack_of.push(stack);
        let id = GoroutineId(picture.id);
        if let Some((limit, top)) = picture.slot {
            self.slots.insert(limit, (top, id));
        }
        let state = match picture.status {
            Status::Waiting => GoroutineState::Waiting(
                picture.wait.as_ref().map_or(WaitReason::None, |w| w.reason),
            ),
            Status::Running => GoroutineState::Running(picture.m),
            Status::Blocked => GoroutineState::Blocked(picture.m),
            Status::Runnable | Status::Idle | Status::Dead => GoroutineState::Runnable,
        };
        let (waited, bounded, objects) = match picture.wait {
            Some(wait) => (self.waited(&wait), wait.bounded, wait.on),
            None => (Duration::ZERO, false, Vec::new()),
        };
        self.join_crowds(Who::Goroutine(id), &objects);
        self.dump.goroutines.push(DumpedGoroutine {
            id,
            name: picture.name,
            labels: picture.labels,
            state,
            waited,
            bounded,
            locked: picture.locked_m.is_some(),
            objects,
            frames: Arc::new([]), // see `finish`
            more,
            parent: (picture.parent != 0).then_some(GoroutineId(picture.parent)),
            site: picture.site,
        });
    }

    pub(crate) fn add_thread(&mut self, picture: ThreadPicture) {
        let wait = picture.wait;
        self.join_crowds(Who::Thread(picture.tid), &wait.on);
        self.dump.threads.push(DumpedThread {
            tid: picture.tid,
            name: picture.name,
            reason: wait.reason,
            waited: self.waited(&wait),
            bounded: wait.bounded,
            objects: wait.on,
        });
    }

    fn waited(&self, wait: &WaitPicture) -> Duration {
        let waited = wait.since.map(|since| self.now.saturating_sub(since));
        Duration::from_nanos(waited.unwrap_or(0))
    }

    /// Who waits on what, from the objects' side.
    fn join_crowds(&mut self, who: Who, objects: &[ObjectPicture]) {
        for (i, object) in objects.iter().enumerate() {
            // Once, though several arms of a select may be about the same.
            if object.address == 0 || objects[..i].iter().any(|o| o.is_for_same(object)) {
                continue;
            }
            let crowds = self.dump.waiting.entry(object.address).or_default();
            let at = crowds.iter().position(|c| c.reason == object.reason);
            let at = at.unwrap_or_else(|| {
                crowds.push(Crowd {
                    reason: object.reason,
                    count: 0,
                    first: Vec::new(),
                });
                crowds.len() - 1
            });
            let crowd = &mut crowds[at];
            crowd.count += 1;
            if crowd.first.len() <= NAMED {
                crowd.first.push(who);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Dump {
        let mut symbols = Symbols::default();
        let mut named = vec![Arc::default(); self.stacks.len()];
        for (frames, at) in &self.stacks {
            named[*at] = symbols.of_goroutine(frames);
        }
        for (g, stack) in self.dump.goroutines.iter_mut().zip(&self.stack_of) {
            if let Some(at) = stack {
                g.frames = Arc::clone(&named[*at]);
            }
        }
        self.dump.goroutines.sort_unstable_by_key(|g| g.id);
        self.dump.threads.sort_unstable_by_key(|t| t.tid);
        let owner = |place: usize| {
            let (_, &(top, id)) = self.slots.range(..=place).next_back()?;
            (place < top).then_some(id)
        };
        let of_goroutines = self.dump.goroutines.iter().flat_map(|g| &g.objects);
        let of_threads = self.dump.threads.iter().flat_map(|t| &t.objects);
        for object in of_goroutines.chain(of_threads).filter(|o| o.holder != 0) {
            if let Some(id) = owner(object.holder) {
                self.dump.holders.insert(object.address, id);
            }
        }
        self.dump
    }
}

impl Dump {
    /// The goroutines, in the order of their numbers.
    pub fn goroutines(&self) -> impl ExactSizeIterator<Item = &DumpedGoroutine> {
        self.goroutines.iter()
    }

    /// The threads that the runtime did not make, and that wait in it, in the order of their numbers.
    pub fn threads(&self) -> impl ExactSizeIterator<Item = &DumpedThread> {
        self.threads.iter()
    }

    /// The same, to be displayed with goroutines that do the same in one entry: those whose state and
    /// stack are equal, the most numerous first.
    pub fn grouped(&self) -> Grouped<'_> {
        Grouped(self)
    }

    /// The dump as JSON, for programs: an object with the `runtime`'s name and an array of `goroutines`, each
    /// with `id`, `name`, `labels`, `state` (`runnable`, `running`, `blocked`, `waiting`), `reason`,
    /// `waited_ns`, `bounded` (it has a deadline), `m`, `locked_to_thread`, `waits_on` (objects with
    /// `reason`, `kind`, `address` and what is known of them), `stack` (frames with `function`, `file`,
    /// `line`, `address`), `stack_elided` (there are more), `created_by` and `created_at`; and an array of `threads`,
    /// each with `tid`, `name`, `reason`, `waited_ns`, `bounded` and `waits_on`. What is not known is `null`.
    pub fn to_json(&self) -> String {
        json::render(self)
    }
}

/// An object in words: `chan 0x7f3210: cap 8, len 2`.
fn describe(object: &ObjectPicture, out: &mut impl std::fmt::Write) -> std::fmt::Result {
    if object.address == 0 {
        return write!(out, "{}", object.kind);
    }
    match (object.kind, object.fields.first()) {
        ("goroutine", Some((_, Value::Number(id)))) => return write!(out, "goroutine {id}"),
        ("fd", Some((_, Value::Number(fd)))) => return write!(out, "fd {fd}"),
        _ => write!(out, "{} {:#x}", object.kind, object.address)?,
    }
    for (i, (name, value)) in object.fields.iter().enumerate() {
        out.write_str(if i == 0 { ": " } else { ", " })?;
        match value {
            Value::Number(n) => write!(out, "{name} {n}")?,
            Value::Unlimited => write!(out, "{name} unbounded")?,
            Value::Flag(flag) => write!(out, "{}{name}", if *flag { "" } else { "not " })?,
        }
    }
    Ok(())
}
