//! One arm of a select: a send or a receive of which the protocol (`run.rs`) knows no types.

use crate::hchan::{Hchan, Nothing, Took};
use crate::head::{CHAN, Head, Side, enter};
use crate::meet::{Partner, Sending};
use crate::receiver::Kind as From;
use crate::source::Handle;
use crate::waitq::{DONE, Sudog};
use crate::{Receiver, Sender};
use runtime::park::{Held, List, Subject, Taken, Token, WaitReason, Waiter, Window};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};
use std::ptr;

/// How an arm was chosen.
#[derive(Debug)]
pub enum Won {
    /// There is a value where the arm wanted it.
    Received,
    /// The channel is closed.
    Closed,
    /// The value can be sent, and must be, or the choice released.
    Sending(Sending),
}

/// What became of an attempt.
pub(super) enum Attempt {
    /// The window is closed.
    Won(Won),
    NotReady(Window),
}

/// Receives a value to a place without waiting (but for a select that has chosen to send).
type Take = unsafe fn(&Head, Window, *mut ()) -> Attempt;

/// A source's methods, by its handle.
pub(super) struct SourceTable {
    take: unsafe fn(*const (), *mut ()) -> Taken<()>,
    state: unsafe fn(*const ()) -> Taken<()>,
    watch: unsafe fn(*const (), &Window, Waiter, Token),
    unwatch: unsafe fn(*const (), &Window, Waiter),
}

#[derive(Clone, Copy)]
#[repr(C, usize)]
pub(super) enum Kind<'a> {
    Recv(&'a Head, Take),
    Send(&'a Head),
    Source(*const (), &'a SourceTable),
    /// A nil channel.
    Never,
}

static SOURCE: Subject = Subject::named("timer or signal");

/// The arms of a select as dumps show them.
pub(super) static ARMS: Subject = Subject {
    kind: "select",
    size: 0,
    fields: &[],
    list: Some(List {
        stride: size_of::<Arm<'static>>(),
        // A `repr(C, usize)` enum: its tag, and then what it carries.
        tag: offset_of!(Arm<'static>, kind),
        object: offset_of!(Arm<'static>, kind) + size_of::<usize>(),
        kinds: &[
            Some((WaitReason::ChanReceive, &CHAN)),
            Some((WaitReason::ChanSend, &CHAN)),
            Some((WaitReason::Timer, &SOURCE)),
            None,
        ],
    }),
};

/// One arm, and, while the select waits, its sudog.
pub struct Arm<'a> {
    pub(super) kind: Kind<'a>,
    /// Where a received value shall go.
    pub(super) elem: *mut (),
    sudog: MaybeUninit<Sudog>,
    /// The channel's lock, while it is held as one of several.
    pub(super) held: Option<Held>,
    _handle: PhantomData<&'a ()>,
}

impl<'a> Arm<'a> {
    fn new(kind: Kind<'a>, elem: *mut ()) -> Arm<'a> {
        Arm {
            kind,
            elem,
            sudog: MaybeUninit::uninit(),
            held: None,
            _handle: PhantomData,
        }
    }

    /// A receive, of a value that goes to `elem`.
    #[inline]
    pub(crate) fn recv<T>(receiver: &'a Receiver<T>, elem: *mut T) -> Arm<'a> {
        let kind = match receiver.kind() {
            From::Chan(chan) => Kind::Recv(&chan.head, take::<T>),
            From::Source(handle) => Kind::Source(ptr::from_ref(handle).cast(), table::<T>()),
            From::Nil => Kind::Never,
        };
        Arm::new(kind, elem.cast())
    }

    #[inline]
    pub(crate) fn send<T>(sender: &'a Sender<T>) -> Arm<'a> {
        let kind = match sender.chan() {
            Some(chan) => Kind::Send(&chan.head),
            None => Kind::Never,
        };
        Arm::new(kind, ptr::null_mut())
    }

    /// The same arm, without a place for the value.
    pub(super) fn again(&self) -> Arm<'a> {
        Arm::new(self.kind, ptr::null_mut())
    }

    #[inline]
    pub(super) fn head(&self) -> Option<&'a Head> {
        match self.kind {
            Kind::Recv(head, _) | Kind::Send(head) => Some(head),
            Kind::Source(..) | Kind::Never => None,
        }
    }

    pub(super) fn is_source(&self) -> bool {
        matches!(self.kind, Kind::Source(..))
    }

    /// Whether it is worth an attempt.
    #[inline(always)]
    pub(super) fn looks_ready(&self) -> bool {
        match self.kind {
            Kind::Recv(head, _) => head.may_recv(),
            Kind::Send(head) => head.may_send(),
            Kind::Source(..) => !matches!(self.source_state(), Taken::Empty(_)),
            Kind::Never => false,
        }
    }

    /// Tries it, under the lock of its channel alone.
    ///
    /// # Safety
    /// A receive has a place for its value.
    #[inline(always)]
    pub(super) unsafe fn attempt(&self, window: Window) -> Attempt {
        match self.kind {
            // SAFETY: the caller's promise; `take` is for what goes through this channel.
            Kind::Recv(head, take) => unsafe { take(head, window, self.elem) },
            Kind::Send(head) => begin_send(head, window),
            // SAFETY: the handle of this table's type, which the receiver keeps.
            Kind::Source(handle, table) => unsafe {
                drop(window); // sources are asked outside
                match (table.take)(handle, self.elem) {
                    Taken::Item(()) => Attempt::Won(Won::Received),
                    Taken::Closed => Attempt::Won(Won::Closed),
                    Taken::Empty(_) => Attempt::NotReady(enter()),
                }
            },
            Kind::Never => Attempt::NotReady(window),
        }
    }

    /// Whether an attempt would not be in vain, under the channel's lock. (It may be all the same: who
    /// waits there may have been claimed by somebody else. The attempt then takes it out.)
    #[inline(always)]
    pub(super) fn is_ready_locked(&self) -> bool {
        match self.kind {
            Kind::Recv(head, _) => head.may_recv(),
            Kind::Send(head) => {
                !head.queues.recvq.is_empty() || !head.is_full() || head.is_closed_locked()
            }
            Kind::Source(..) | Kind::Never => false,
        }
    }

    /// Queues the arm at its channel, whose lock is held, and wakes those who watch the other side.
    ///
    /// # Safety
    /// The arm stays in its place, and is taken out by `unlink` before it goes.
    #[inline(always)]
    pub(super) unsafe fn enqueue(&mut self, window: &Window, waiter: Waiter, at: u32, ready: bool) {
        let Some(head) = self.head() else { return };
        let side = self.side();
        let sudog = self.sudog.write(Sudog::of_arm(waiter, self.elem, at));
        // SAFETY: locked; the rest is the caller's promise.
        unsafe {
            if ready {
                return head.watch(side, sudog);
            }
            match side {
                Side::Recv => {
                    head.queues.recvq.push(sudog);
                    head.wake_watchers(window, Side::Send);
                }
                Side::Send => {
                    head.queues.sendq.push(sudog);
                    head.wake_watchers(window, Side::Recv);
                }
            }
        }
    }

    fn side(&self) -> Side {
        match self.kind {
            Kind::Send(_) => Side::Send,
            _ => Side::Recv,
        }
    }

    /// Takes the arm out of the queue that `enqueue` has put it in, if it is still there.
    ///
    /// # Safety
    /// The channel's lock is held; the arm was enqueued there.
    #[inline(always)]
    pub(super) unsafe fn unlink(&mut self, head: &Head, ready: bool) {
        let queue = match (ready, self.side()) {
            (true, side) => head.watchers(side).1,
            (false, Side::Recv) => &head.queues.recvq,
            (false, Side::Send) => &head.queues.sendq,
        };
        // SAFETY: the caller's promise.
        unsafe { queue.remove(self.sudog.as_mut_ptr()) };
    }

    /// What has come with the claim of this arm's sudog; `None` if it was for nothing.
    ///
    /// # Safety
    /// The arm was enqueued, claimed with DONE, and made ready.
    #[inline(always)]
    pub(super) unsafe fn claimed(&self) -> Option<Won> {
        // SAFETY: the caller's promise.
        let sudog = unsafe { self.sudog.assume_init_ref() };
        match self.kind {
            Kind::Recv(..) => (!sudog.void).then_some(Won::Received),
            Kind::Send(_) => Some(Won::Sending(match sudog.elem.is_null() {
                true => Sending::Promised,
                false => Sending::Partner(sudog.elem.cast::<Partner>()),
            })),
            Kind::Source(..) | Kind::Never => None,
        }
    }

    pub(super) fn source_state(&self) -> Taken<()> {
        match self.kind {
            // SAFETY: the handle of this table's type, which the receiver keeps.
            Kind::Source(handle, table) => unsafe { (table.state)(handle) },
            _ => Taken::Empty(None),
        }
    }

    pub(super) fn watch(&self, window: &Window, waiter: Waiter, token: Token) {
        if let Kind::Source(handle, table) = self.kind {
            // SAFETY: as in `source_state`.
            unsafe { (table.watch)(handle, window, waiter, token) }
        }
    }

    pub(super) fn unwatch(&self, window: &Window, waiter: Waiter) {
        if let Kind::Source(handle, table) = self.kind {
            // SAFETY: as in `source_state`.
            unsafe { (table.unwatch)(handle, window, waiter) }
        }
    }
}

/// # Safety
/// `head` is that of a channel of Ts; `elem` has room for one.
unsafe fn take<T>(head: &Head, mut window: Window, elem: *mut ()) -> Attempt {
    // SAFETY: the head is the first field of its channel.
    let chan = unsafe { &*ptr::from_ref(head).cast::<Hchan<T>>() };
    // Once, but for a sender that was chosen, and then gave up: there may be another behind it.
    loop {
        let (held, queues) = head.lock(&window);
        // SAFETY: locked above, then unlocked; `meet_at` gets what `take` has found.
        unsafe {
            match chan.take(&window, queues) {
                Ok(Took::Value(value, woken)) => {
                    head.unlock(held);
                    elem.cast::<T>().write(value);
                    if let Some(claimed) = woken {
                        claimed.ready_in(&window);
                    }
                    return Attempt::Won(Won::Received);
                }
                Ok(Took::Select(claimed, s)) => {
                    if chan.meet_at(window, held, claimed, s, elem) {
                        return Attempt::Won(Won::Received);
                    }
                    window = enter();
                }
                Err(nothing) => {
                    head.unlock(held);
                    return match nothing {
                        Nothing::Closed => Attempt::Won(Won::Closed),
                        Nothing::Empty => Attempt::NotReady(window),
                    };
                }
            }
        }
    }
}

/// Chooses a send, if it need not wait: see `meet.rs`.
#[inline]
fn begin_send(head: &Head, window: Window) -> Attempt {
    let (held, queues) = head.lock(&window);
    let mut won = None;
    if head.is_closed_locked() {
        won = Some(Sending::Closed);
    } else if !queues.recvq.is_empty()
        // SAFETY: locked.
        && let Some((claimed, s)) = unsafe { queues.recvq.claim_first(DONE) }
    {
        won = Some(Sending::Direct(claimed, s));
    } else if !head.is_full() {
        queues.promise();
        won = Some(Sending::Promised);
    }
    // SAFETY: locked above.
    unsafe { head.unlock(held) };
    match won {
        Some(Sending::Closed) => Attempt::Won(Won::Closed),
        Some(sending) => Attempt::Won(Won::Sending(sending)),
        None => Attempt::NotReady(window),
    }
}

/// The methods of sources of Ts.
fn table<T>() -> &'static SourceTable {
    const {
        &SourceTable {
            take: source_take::<T>,
            state: source_state::<T>,
            watch: source_watch::<T>,
            unwatch: source_unwatch::<T>,
        }
    }
}

/// # Safety
/// As for the three below: `handle` is one on a source of Ts. `elem` has room for one.
unsafe fn source_take<T>(handle: *const (), elem: *mut ()) -> Taken<()> {
    // SAFETY: the caller's promise.
    match unsafe { (*handle.cast::<Handle<T>>()).try_take() } {
        Taken::Item(item) => {
            // SAFETY: the caller's promise.
            unsafe { elem.cast::<T>().write(item) };
            Taken::Item(())
        }
        Taken::Empty(when) => Taken::Empty(when),
        Taken::Closed => Taken::Closed,
    }
}

unsafe fn source_state<T>(handle: *const ()) -> Taken<()> {
    // SAFETY: see `source_take`.
    unsafe { (*handle.cast::<Handle<T>>()).state() }
}

unsafe fn source_watch<T>(handle: *const (), window: &Window, waiter: Waiter, token: Token) {
    // SAFETY: see `source_take`.
    unsafe { (*handle.cast::<Handle<T>>()).watch(window, waiter, token) }
}

unsafe fn source_unwatch<T>(handle: *const (), window: &Window, waiter: Waiter) {
    // SAFETY: see `source_take`.
    unsafe { (*handle.cast::<Handle<T>>()).unwatch(window, waiter) }
}
