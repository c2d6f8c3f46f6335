//! Interrupting waits: the scheduler's side of `g/interrupt.rs`.

use super::Sched;
use crate::atomics::atomic::AtomicU64;
use crate::atomics::{Backoff, Ordering, heavy_fence};
use crate::g::G;
use crate::g::interrupt::{Frame, FrameUnwind, Request};
use crate::g::parker::{Claimed, Kind, Parker};
use crate::g::task::Unwind;
use crate::m::thread::thread_parker;
use crate::m::{M, current};
use std::ptr;
use std::time::{Duration, Instant};

/// Asks a goroutine to end by a cancel: its present or next wait unwinds it.
///
/// # Safety
/// The goroutine is not freed meanwhile.
pub(crate) unsafe fn cancel(g: &G) {
    // SAFETY: the caller's promise.
    unsafe { cancel_all(std::iter::once(g)) }
}

/// As [`cancel`], of many at the cost of one fence. All that wait are claimed before the first one runs:
/// what it does when it unwinds can end the wait of none of the others.
///
/// # Safety
/// None of the goroutines is freed meanwhile.
pub(crate) unsafe fn cancel_all<'a>(gs: impl Iterator<Item = &'a G> + Clone) {
    gs.clone().for_each(|g| g.parker.request_cancel());
    heavy_fence();
    let claimed: Vec<Claimed> = gs.filter_map(|g| claim(&g.parker)).collect();
    claimed.into_iter().for_each(Claimed::ready);
}

/// Tells a frame to end, and claims the wait that its waiter is in, if it is in one.
pub(crate) fn end_frame(parker: &Parker, frame: &Frame) -> Option<Claimed> {
    parker.request_frame(frame);
    heavy_fence();
    claim(parker)
}

/// Step (3) of an interrupter, whose request is made and fenced: claims the wait, and waits until
/// its commit function is through with the waiter's frame.
pub(crate) fn claim(parker: &Parker) -> Option<Claimed> {
    let claimed = parker.claim_requested()?;
    settle(parker);
    Some(claimed)
}

/// After a claim of a waiter that was found otherwise than by its publication: waits until the
/// commit function of its park has returned.
pub(super) fn settle(parker: &Parker) {
    if parker.kind() == Kind::Thread {
        return; // it runs on the thread itself, which goes on only after it
    }
    let g = ptr::from_ref(parker).cast::<G>();
    // SAFETY: the parker is the first field of a G. It was parked by an M of its runtime; records
    // of Ms live as long as that.
    let m = unsafe { &*(*g).m.load(Ordering::Relaxed).cast::<M>() };
    let mut backoff = Backoff::new();
    // Acquire: pairs with the Release in `commit_park`.
    while ptr::eq(m.committing.load(Ordering::Acquire), g) {
        backoff.snooze();
    }
}

/// A number for a frame.
pub(crate) fn next_frame_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: unique is all that is asked.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The caller's parker. It stays the same as long as the caller lives.
pub(crate) fn me() -> &'static Parker {
    me_and_stopping().0
}

/// The caller's parker, and whether its runtime stops.
fn me_and_stopping() -> (&'static Parker, bool) {
    // SAFETY: the calling thread's own M, or null. A G's memory stays as long as its runtime, which
    // the caller keeps.
    unsafe {
        match current().as_ref() {
            Some(m) => (
                &(*m.curg.load(Ordering::Relaxed)).parker,
                !Sched::of_m(m).is_running(),
            ),
            None => (&thread_parker().parker, false),
        }
    }
}

/// Whether this is what `unwind` unwinds with, and not a panic.
pub(crate) fn is_unwind(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.is::<Unwind>() || payload.is::<FrameUnwind>()
}

/// A wait has ended with `Token::INTERRUPTED`: unwinds the caller, or returns if it unwinds already.
#[cold]
pub(crate) fn interrupted() {
    if std::thread::panicking() {
        return; // the request stands: what unwinds may be caught before it is met
    }
    let (parker, stopping) = me_and_stopping();
    let request = parker.take_request();
    debug_assert!(
        stopping || request != Request::None,
        "interrupted for nothing"
    );
    unwind(request)
}

/// Takes what was asked of the caller, without unwinding for it. For a wait that has to see to
/// something first, and then unwinds, or puts it back.
pub(crate) fn take_request() -> Request {
    me().take_request()
}

/// Whether the caller's runtime stops: its waits are all cut short.
pub(crate) fn stopping() -> bool {
    me_and_stopping().1
}

/// When a plain thread that waits outside the runtime looks again whether it shall unwind; `None`:
/// nobody can ask it to. It then calls [`unwind_if_asked`].
pub(crate) fn thread_patience(slice: Duration) -> Option<Instant> {
    let parker = me();
    let soon = || Instant::now() + slice;
    parker.in_frame().then(|| {
        parker
            .next_frame_end()
            .into_iter()
            .fold(soon(), Instant::min)
    })
}

/// Unwinds the caller if it was asked to, and does not unwind already. For calls that can do so
/// without having waited.
pub(crate) fn unwind_if_asked() {
    let (parker, stopping) = me_and_stopping();
    if parker.kind() == Kind::Thread && parker.next_frame_end().is_some() {
        // Nobody else tells its frames.
        parker.fire_frames(Instant::now());
    }
    if (stopping || parker.is_requested()) && !std::thread::panicking() {
        let request = parker.take_request();
        if stopping || request != Request::None {
            unwind(request)
        }
    }
}

/// Unwinds the caller, which does not unwind already.
#[cold]
pub(crate) fn unwind(request: Request) -> ! {
    match request {
        Request::Frame(id) => std::panic::resume_unwind(Box::new(FrameUnwind::new(id))),
        Request::None | Request::Cancel => std::panic::resume_unwind(Box::new(Unwind)),
    }
}
