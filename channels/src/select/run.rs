//! The protocol of a select: Go's `selectgo`, in three passes.
//!
//! ```text
//!   1  in random order: look at each arm without its lock; try the one that looks ready under
//!      its lock alone. Mostly that is all.
//!   2  all locks at once; look again; nothing: a sudog of each arm into its channel's queue;
//!      park, and unlock off the stack
//!   3  the token says who claimed which arm; the others' sudogs out of their queues, one lock at
//!      a time
//! ```
//!
//! docs/select.md tells it, with the argument that exactly one arm fires.

use super::arm::{ARMS, Arm, Attempt, Won};
use crate::head::{Head, enter};
use crate::waitq::{CLOSED, OUTCOMES};
use runtime::park::{
    self, Held, Interrupt, ListHead, Taken, Token, Wait, WaitReason, Waiter, Window,
};
use std::ptr;
use std::time::Instant;

/// What kind of select it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// In the order of the arms, not at random.
    pub(crate) biased: bool,
    /// Only until an arm is ready; nothing is sent or received.
    pub(crate) ready: bool,
    pub(crate) reason: WaitReason,
}

/// How long it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Now,
    Forever,
    Deadline(Instant),
}

/// The chosen arm, or `None` if there is none in time. (Also if the calling goroutine unwinds, and is
/// told so a second time: whoever waits for ever makes a failure of it.)
///
/// # Safety
/// The arms that receive have places for their values.
#[inline]
pub(crate) unsafe fn run(arms: &mut [Arm<'_>], how: How, until: Until) -> Option<(usize, Won)> {
    let deadline = match until {
        Until::Deadline(at) => Some(at),
        Until::Now | Until::Forever => None,
    };
    loop {
        let mut window = enter();
        let mut order = Order::new(arms.len(), how.biased, &window);
        while let Some(i) = order.next() {
            let arm = &arms[i];
            if !arm.looks_ready() {
                continue;
            }
            if how.ready {
                return Some((i, Won::Closed));
            }
            // SAFETY: the caller's promise.
            match unsafe { arm.attempt(window) } {
                Attempt::Won(won) => return Some((i, won)),
                Attempt::NotReady(again) => window = again,
            }
        }
        if matches!(until, Until::Now) || deadline.is_some_and(|at| Instant::now() >= at) {
            return None;
        }
        // SAFETY: the caller's promise.
        let (window, token) = match unsafe { wait(arms, window, how, deadline) } {
            Some(end) => end,
            None => continue,
        };
        drop(window);
        if token == Token::TIMEOUT {
            continue; // a source may be due; the deadline is looked at above
        }
        if token == Token::INTERRUPTED {
            park::interrupted();
            return None;
        }
        let (i, outcome) = ((token.get() / OUTCOMES) as usize, token.get() % OUTCOMES);
        if how.ready {
            return Some((i, Won::Closed));
        }
        if outcome == CLOSED {
            return Some((i, Won::Closed));
        }
        // SAFETY: claimed with DONE, and made ready. A source's claim is only a hint.
        if let Some(won) = unsafe { arms[i].claimed() } {
            return Some((i, won));
        }
    }
}

/// Passes 2 and 3: waits until an arm is claimed; `None` if one looks ready.
///
/// # Safety
/// As for `run`.
#[inline(always)]
unsafe fn wait(
    arms: &mut [Arm<'_>],
    window: Window,
    how: How,
    mut deadline: Option<Instant>,
) -> Option<(Window, Token)> {
    let sources = arms.iter().any(Arm::is_source);
    // SAFETY: for the park below; published under the channels' locks, and by the sources; taken
    // back from both before this returns.
    let waiter = unsafe {
        match sources {
            true => window.open_waiter(),
            false => window.waiter(),
        }
    };
    if sources && !watch_sources(arms, &window, waiter, &mut deadline) {
        close(arms, &window, waiter);
        return None;
    }
    let mut indices = Indices::new();
    let mut locks = Locks::take(arms, &window, &mut indices);
    if arms.iter().any(Arm::is_ready_locked) {
        locks.release(arms);
        if sources {
            close(arms, &window, waiter);
        }
        return None;
    }
    for (i, arm) in arms.iter_mut().enumerate() {
        // SAFETY: the locks are held; unlinked below.
        unsafe { arm.enqueue(&window, waiter, i as u32, how.ready) };
    }
    let last = locks.last(arms);
    let count = arms.len();
    let all = ptr::from_mut(arms);
    let reason = match how.reason {
        WaitReason::Select if arms.is_empty() => WaitReason::SelectNoCases,
        reason => reason,
    };
    let commit = move || {
        if !matches!(locks, Locks::None) {
            // SAFETY: the frame is there: the goroutine cannot be claimed before an unlock (by a
            // channel), and does not leave `wait` before it has held the lock that is released last.
            locks.release(unsafe { &mut *all });
        }
        true
    };
    let list = ListHead {
        first: all.cast::<()>().cast_const(),
        len: count,
    };
    let what = Wait::on(reason, &raw const list, &ARMS);
    // SAFETY: the commit function only releases locks. What it is published in forgets it below.
    let (window, token) = unsafe {
        match sources {
            false => window.park_until(what, Interrupt::Allowed, deadline, commit),
            true => window.park_open(what, Interrupt::Allowed, deadline, commit),
        }
    };
    if let Some(last) = last {
        // Before anything else in this frame is touched: see `commit`.
        let (held, _) = last.lock(&window);
        // SAFETY: locked above.
        unsafe { last.unlock(held) };
    }
    if sources {
        for arm in arms.iter() {
            arm.unwatch(&window, waiter);
        }
    }
    // The sudog of the arm that was claimed is out of its queue already.
    let winner = (token.get() / OUTCOMES) as usize;
    for (i, arm) in arms.iter_mut().enumerate() {
        if i != winner
            && let Some(head) = arm.head()
        {
            let (held, _) = head.lock(&window);
            // SAFETY: locked above; enqueued there.
            unsafe {
                arm.unlink(head, how.ready);
                head.unlock(held);
            }
        }
    }
    Some((window, token))
}

/// Has the waiter told of the sources' changes; false if one of them is ready. The deadline is no
/// later than what they give.
#[cold]
fn watch_sources(
    arms: &[Arm<'_>],
    window: &Window,
    waiter: Waiter,
    deadline: &mut Option<Instant>,
) -> bool {
    for (i, arm) in arms.iter().enumerate() {
        if !arm.is_source() {
            continue;
        }
        arm.watch(window, waiter, Token::new(i as u32 * OUTCOMES));
        match arm.source_state() {
            Taken::Empty(Some(when)) => *deadline = Some(deadline.map_or(when, |d| d.min(when))),
            Taken::Empty(None) => {}
            Taken::Item(()) | Taken::Closed => return false,
        }
    }
    true
}

/// Ends an open wait without parking.
#[cold]
fn close(arms: &[Arm<'_>], window: &Window, waiter: Waiter) {
    for arm in arms {
        arm.unwatch(window, waiter);
    }
    // If a source has claimed it meanwhile, that was a hint, which is followed anyway.
    if let Some(claimed) = waiter.claim(Token::new(0)) {
        claimed.ready_in(window);
    }
}

/// The locks of all arms' channels, held at once.
#[derive(Debug)]
enum Locks {
    /// Nothing to lock.
    None,
    /// One channel; or all of them by their bias. The index of an arm of it.
    One(usize, Held),
    /// Each one by its own; `Arm::held`. The order of the release, by arms' indices.
    Several(*const [u32]),
}

/// Room for the order of the locks.
struct Indices {
    small: [u32; SMALL],
    large: Vec<u32>,
}

/// Selects with more arms allocate.
const SMALL: usize = 16;

impl Indices {
    fn new() -> Indices {
        Indices {
            small: [0; SMALL],
            large: Vec::new(),
        }
    }
}

impl Locks {
    #[inline(always)]
    fn take(arms: &mut [Arm<'_>], window: &Window, indices: &mut Indices) -> Locks {
        let mut heads = arms.iter().filter_map(Arm::head).map(|head| &head.lock);
        let Some(first) = heads.next() else {
            return Locks::None;
        };
        let at = arms.iter().position(|arm| arm.head().is_some());
        let at = at.expect("there is one");
        // SAFETY: no other lock is held; released by `release`.
        unsafe {
            if heads.all(|lock| ptr::eq(lock, first)) {
                return Locks::One(at, window.lock(first));
            }
            let heads = arms.iter().filter_map(Arm::head).map(|head| &head.lock);
            if let Some(held) = window.lock_all(heads) {
                return Locks::One(at, held);
            }
        }
        Locks::take_slow(arms, window, indices)
    }

    /// One after the other in the order of their addresses, each channel once.
    #[cold]
    #[inline(never)]
    fn take_slow(arms: &mut [Arm<'_>], window: &Window, indices: &mut Indices) -> Locks {
        let address = |i: u32| {
            arms[i as usize]
                .head()
                .map_or(0, |h| ptr::from_ref(h).addr())
        };
        let order = if arms.len() <= SMALL {
            &mut indices.small[..arms.len()]
        } else {
            indices.large.resize(arms.len(), 0);
            &mut indices.large[..]
        };
        for (i, index) in order.iter_mut().enumerate() {
            *index = i as u32;
        }
        order.sort_unstable_by_key(|&i| address(i));
        let mut last = ptr::null();
        for &i in order.iter() {
            let arm = &mut arms[i as usize];
            let Some(head) = arm.head() else { continue };
            if !ptr::eq(head, last) {
                // SAFETY: in the order of the addresses; released by `release`.
                arm.held = Some(unsafe { window.lock_one_of_several(&head.lock) });
                last = head;
            }
        }
        Locks::Several(order)
    }

    /// The channel whose lock is released last, if the release touches the frame until then.
    #[inline(always)]
    fn last<'a>(&self, arms: &[Arm<'a>]) -> Option<&'a Head> {
        let Locks::Several(order) = *self else {
            return None;
        };
        // SAFETY: the order is in the frame of `wait`.
        let order = unsafe { &*order };
        let last = order.iter().rev().map(|&i| &arms[i as usize]);
        last.into_iter().find(|arm| arm.held.is_some())?.head()
    }

    #[inline(always)]
    fn release(&mut self, arms: &mut [Arm<'_>]) {
        match std::mem::replace(self, Locks::None) {
            Locks::None => {}
            Locks::One(at, held) => {
                let head = arms[at].head().expect("it was locked");
                // SAFETY: locked in `take`.
                unsafe { head.unlock(held) };
            }
            Locks::Several(order) => {
                // SAFETY: the order is in the frame of `wait`, which is there until the last
                // unlock; then it is not touched any more.
                let order = unsafe { &*order };
                let mut left = order
                    .iter()
                    .filter(|&&i| arms[i as usize].held.is_some())
                    .count();
                for &i in order {
                    let arm = &mut arms[i as usize];
                    if let (Some(held), Some(head)) = (arm.held.take(), arm.head()) {
                        left -= 1;
                        // SAFETY: locked in `take_slow`.
                        unsafe { head.unlock(held) };
                        if left == 0 {
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// The order in which arms are looked at: theirs, or a random one, of which no more is made than is
/// asked for.
struct Order {
    small: [u32; SMALL],
    large: Vec<u32>,
    len: usize,
    at: usize,
    /// 0: not at random.
    random: u32,
}

/// 0, 1, 2, ...
const COUNT: [u32; SMALL] = {
    let mut count = [0; SMALL];
    let mut i = 0;
    while i < SMALL {
        count[i] = i as u32;
        i += 1;
    }
    count
};

impl Order {
    #[inline(always)]
    fn new(len: usize, biased: bool, window: &Window) -> Order {
        let in_order = biased || len < 2;
        Order {
            small: COUNT,
            large: match in_order || len <= SMALL {
                true => Vec::new(),
                false => (0..len as u32).collect(),
            },
            len,
            at: 0,
            random: match in_order {
                true => 0,
                false => window.random(u32::MAX) | 1,
            },
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let at = self.at;
        if at == self.len {
            return None;
        }
        self.at += 1;
        if self.random == 0 {
            return Some(at);
        }
        // A step of Fisher and Yates's shuffle, by a step of Marsaglia's xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let left = (self.len - at) as u64;
        let other = at + ((u64::from(self.random) * left) >> 32) as usize;
        let indices = match self.len <= SMALL {
            true => &mut self.small[..],
            false => &mut self.large[..],
        };
        indices.swap(at, other);
        Some(indices[at] as usize)
    }
}
