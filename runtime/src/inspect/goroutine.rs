//! One goroutine at one moment.

use super::memory::{read, read_word};
use crate::atomics::Ordering;
use crate::atomics::atomic::fence;
use crate::fiber;
use crate::g::parker::{Parker, Waiter};
use crate::g::status::{Status, WaitReason};
use crate::g::wait::{Encoding, Field, ListHead, Subject};
use crate::g::{G, registry};
use crate::m::M;
use crate::timer::Nanos;
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;

const WORD: usize = size_of::<usize>();

/// How often a goroutine is looked at again that goes on while it is looked at.
const ATTEMPTS: u32 = 8;
/// So much of a stack is copied, from its innermost frame on.
pub(crate) const MAX_STACK: usize = 256 << 10;
/// Most arms of a select that are shown.
const MAX_LISTED: usize = 1024;

/// An arm of a select that can never be chosen.
static NEVER: Subject = Subject::named("nil chan");

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) name: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) status: Status,
    /// The M that it runs on, or is blocked on.
    pub(crate) m: Option<u32>,
    /// The M that it is locked to.
    pub(crate) locked_m: Option<u32>,
    /// Of one that is parked.
    pub(crate) wait: Option<WaitPicture>,
    /// The slot of its stack, guard included, if it has one.
    pub(crate) slot: Option<(usize, usize)>,
    /// Of one that is parked, if it was asked for and can be had.
    pub(crate) stack: Option<StackPicture>,
}

/// What a parked goroutine waits for.
#[derive(Clone, Debug)]
pub(crate) struct WaitPicture {
    pub(crate) reason: WaitReason,
    /// By the runtime's coarse clock; `None` on machines whose stacks cannot be looked at.
    pub(crate) since: Option<Nanos>,
    /// It has a deadline.
    pub(crate) bounded: bool,
    /// One, or several of which any may end the wait; none if it did not say.
    pub(crate) on: Vec<ObjectPicture>,
}

/// An object that is waited on.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPicture {
    /// What it is waited on for.
    pub(crate) reason: WaitReason,
    /// 0: one that never becomes ready.
    pub(crate) address: usize,
    pub(crate) kind: &'static str,
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// A place in the stack of whoever has it, or 0.
    pub(crate) holder: usize,
}

impl ObjectPicture {
    /// Whether both are waits on the same object for the same.
    pub(crate) fn is_for_same(&self, other: &ObjectPicture) -> bool {
        (self.address, self.reason) == (other.address, other.reason)
    }
}

/// What a field of an object said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Unlimited,
    Flag(bool),
}

/// A copy of a stack, and where to begin to unwind it.
#[derive(Clone, Debug)]
pub(crate) struct StackPicture {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) bp: usize,
    /// From `sp` on.
    pub(crate) words: Vec<usize>,
    /// The stack's whole extent.
    pub(crate) limit: usize,
    pub(crate) top: usize,
}

/// Calls `f` for every goroutine of the runtime `sched`, which the caller keeps.
///
/// # Safety
/// The runtime does not end meanwhile.
pub(crate) unsafe fn for_each(sched: *const (), mut f: impl FnMut(&G)) {
    registry::walk(|chunk| {
        for g in chunk {
            if ptr::eq(g.sched.load(Ordering::Relaxed), sched) && g.status.get().exists() {
                f(g);
            }
        }
    });
}

/// Looks at a goroutine; `None` if it has ended by now.
///
/// # Safety
/// `g` belongs to a runtime that does not end meanwhile.
pub(crate) unsafe fn look(g: &G, with_stack: bool) -> Option<Picture> {
    let id = g.id().as_u64();
    let (name, labels) = g.tag.copy();
    let mut picture = Picture {
        id,
        parent: g.parent(),
        // SAFETY: always a location of the program's.
        site: unsafe { g.site() },
        name,
        labels,
        status: g.status.get(),
        m: None,
        locked_m: m_id(g.locked_m.load(Ordering::Relaxed)),
        wait: None,
        slot: None,
        stack: None,
    };
    for _ in 0..ATTEMPTS {
        picture.status = g.status.get();
        match picture.status {
            Status::Idle | Status::Dead => return None,
            Status::Waiting => {
                // Acquire, in `armed`: what the goroutine wrote before it parked is seen.
                let Some(waiter) = g.parker.armed() else {
                    std::hint::spin_loop(); // about to park, or just woken
                    continue;
                };
                if let Some((wait, stack)) = look_parked(g, waiter, with_stack) {
                    (picture.wait, picture.stack) = (Some(wait), stack);
                    break;
                }
            }
            Status::Running | Status::Blocked => {
                picture.m = m_id(g.m.load(Ordering::Relaxed));
                break;
            }
            Status::Runnable => break,
        }
    }
    if picture.status == Status::Waiting && picture.wait.is_none() {
        picture.status = Status::Runnable; // it comes and goes faster than it can be looked at
    }
    picture.slot = match &picture.stack {
        Some(stack) => Some((stack.limit, stack.top)),
        None => fiber::bounds(g.fiber_word(), read),
    };
    // What was read above is this goroutine's, and not of the next one in the same G.
    fence(Ordering::Acquire);
    (g.id().as_u64() == id && g.status.get().exists()).then_some(picture)
}

/// Whether somebody, a goroutine or a thread, is parked in this very wait: then all that was copied since is right.
pub(crate) fn still_parked(parker: &Parker, waiter: Waiter) -> bool {
    fence(Ordering::Acquire); // the copies come before
    parker.armed() == Some(waiter)
}

fn m_id(m: *const ()) -> Option<u32> {
    // SAFETY: null, or a record that lives as long as the runtime.
    unsafe { m.cast::<M>().as_ref() }.map(|m| m.id)
}

/// `None`: it has gone on.
fn look_parked(
    g: &G,
    waiter: Waiter,
    with_stack: bool,
) -> Option<(WaitPicture, Option<StackPicture>)> {
    let mut wait = WaitPicture {
        reason: g.status.reason(),
        since: None,
        bounded: false,
        on: Vec::new(),
    };
    let mut stack = None;
    if let Some(seen) = fiber::look(g.fiber_word(), read) {
        wait.since = Some(seen.label.since);
        wait.bounded = seen.label.bounded;
        if with_stack {
            stack = copy_stack(&seen);
        }
        if !still_parked(&g.parker, waiter) {
            return None;
        }
        // SAFETY: it was parked while the label was copied, so this is what it has put there.
        if let Some(what) = unsafe { seen.label.what.cast::<Subject>().as_ref() } {
            look_at(
                &g.parker,
                waiter,
                wait.reason,
                seen.label.on.addr(),
                what,
                &mut wait.on,
            )?;
        }
    }
    still_parked(&g.parker, waiter).then_some((wait, stack))
}

fn copy_stack(seen: &fiber::Seen) -> Option<StackPicture> {
    let bytes = (seen.top - seen.sp).min(MAX_STACK);
    let mut words = vec![0; bytes / size_of::<usize>()];
    read(seen.sp, &mut words).then_some(StackPicture {
        pc: seen.pc,
        sp: seen.sp,
        bp: seen.bp,
        words,
        limit: seen.limit,
        top: seen.top,
    })
}

/// `None`: who waited has gone on.
pub(super) fn look_at(
    parker: &Parker,
    waiter: Waiter,
    reason: WaitReason,
    on: usize,
    what: &'static Subject,
    into: &mut Vec<ObjectPicture>,
) -> Option<()> {
    let Some(list) = &what.list else {
        into.push(look_at_object(reason, on, what));
        return Some(());
    };
    let mut head = [0; size_of::<ListHead>() / WORD];
    if !read(on, &mut head) || !still_parked(parker, waiter) {
        return None;
    }
    let first = head[offset_of!(ListHead, first) / WORD];
    let len = head[offset_of!(ListHead, len) / WORD].min(MAX_LISTED);
    // What is read here may be of somebody else by now, and is believed only at the end.
    for item in (0..len).map(|i| first.wrapping_add(i * list.stride)) {
        let tag = read_word(item.wrapping_add(list.tag))?;
        let object = read_word(item.wrapping_add(list.object))?;
        match list.kinds.get(tag).copied().flatten() {
            Some((reason, what)) => into.push(look_at_object(reason, object, what)),
            None => into.push(look_at_object(reason, 0, &NEVER)),
        }
    }
    Some(())
}

fn look_at_object(reason: WaitReason, address: usize, what: &'static Subject) -> ObjectPicture {
    let (fields, holder) = match address {
        0 => (Vec::new(), 0),
        _ => read_fields(address, what.fields),
    };
    ObjectPicture {
        reason,
        address,
        kind: what.kind,
        fields,
        holder,
    }
}

/// What an object's fields say, none if it is gone; and its holder. All by one copy: a copy costs more than what
/// it copies.
fn read_fields(address: usize, fields: &[Field]) -> (Vec<(&'static str, Value)>, usize) {
    // Others are for the search for leaks only.
    let shown = |f: &&Field| !matches!(f.as_, Encoding::Address | Encoding::Size);
    let holder = |f: &&Field| f.name == "holder" && f.as_ == Encoding::Address;
    let wanted = || fields.iter().filter(|f| shown(f) || holder(f));
    let words = |f: &Field| f.offset / WORD;
    let Some(first) = wanted().map(words).min() else {
        return (Vec::new(), 0);
    };
    let last = wanted().map(words).max().unwrap_or(first);
    let mut copy = vec![0; last - first + 1];
    if !read(address.wrapping_add(first * WORD), &mut copy) {
        return (Vec::new(), 0);
    }
    let value = |field: &Field| {
        // The word that the field lies in; fields do not straddle words.
        let word = copy[words(field) - first].to_ne_bytes();
        let at = field.offset % WORD;
        let value = match field.as_ {
            Encoding::U64 | Encoding::Address | Encoding::Size => {
                Value::Number(u64::from_ne_bytes(word))
            }
            Encoding::U32 => {
                let half = word[at..at + 4].try_into().expect("four bytes");
                Value::Number(u32::from_ne_bytes(half).into())
            }
            Encoding::Flag(bits) => Value::Flag(word[at] & bits != 0),
            Encoding::Limit => match u64::from_ne_bytes(word) {
                u64::MAX => Value::Unlimited,
                n => Value::Number(n),
            },
        };
        (field.name, value)
    };
    let holder = fields
        .iter()
        .find(holder)
        .map_or(0, |f| copy[words(f) - first]);
    (fields.iter().filter(shown).map(value).collect(), holder)
}
