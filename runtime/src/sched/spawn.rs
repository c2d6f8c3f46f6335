//! New goroutines: Go's `newproc`.

use super::{Sched, Window};
use crate::atomics::{Ordering, light_fence};
use crate::g::G;
use crate::g::locals::{Inherited, inherited};
use crate::g::registry::{self, GList};
use crate::g::task::JoinError;
use crate::m::locals;
use crate::p::runq::{Pushed, Runnable};
use crate::p::{P, next_id};
use crate::trace;
use std::panic::Location;
use std::ptr;

/// What a goroutine is spawned with, beside its closure.
pub(crate) struct Spawned {
    pub(crate) site: &'static Location<'static>,
    pub(crate) name: Option<Box<str>>,
    /// The scope that waits for it, or null.
    pub(crate) scope: *const super::ScopeState,
}

/// Spawns a goroutine into the caller's runtime, if the caller is a goroutine; else gives the
/// closure back. The G returned belongs to its join handle.
///
/// # Safety
/// What `f` borrows outlives the goroutine.
#[inline]
pub(crate) unsafe fn spawn<F, T>(with: Spawned, f: F) -> Result<*const G, (Spawned, F)>
where
    F: FnOnce() -> T,
{
    let mut window = Window::enter();
    let mut inherited = Inherited::NOTHING;
    let parent = window.g().map_or(0, |me| me.id().0);
    if window.g().is_some_and(|me| !me.locals.get().is_null()) {
        (window, inherited) = inherit(window);
    }
    let Some((m, p)) = window.m_and_p() else {
        return Err((with, f));
    };
    // SAFETY: our own M.
    let sched = unsafe { Sched::of_m(m) };
    // SAFETY: inside the runtime, p is ours; the G is fresh; f's borrows are the caller's promise.
    unsafe {
        let g = p.take_g();
        (*g).init(
            p.next_id(),
            ptr::from_ref(sched).cast_mut().cast(),
            with.site,
            parent,
            with.name,
        );
        (*g).scope.set(with.scope.cast());
        (*g).task.put(f);
        (*g).status.spawned();
        if p.is_sampled() {
            super::wake::stamp_now(&*g);
        }
        p.count_spawned();
        if let Some(scope) = with.scope.as_ref() {
            scope.add(&*g);
        }
        if !sched.is_running() {
            // A goroutine that unwinds spawns another, from a destructor.
            drop(window);
            cancel_unstarted(&*g);
            let window = Window::enter_quietly();
            if let Some((_, p)) = window.m_and_p() {
                p.count_finished();
            }
            return Ok(g);
        }
        (*g).locals.set(inherited.into_table());
        trace_spawned(sched, &*g);
        if p.runq.push_fresh(Runnable(g)) == Pushed::Deque {
            sched.work_in_deque();
        }
        Ok(g)
    }
}

/// Says that `g` was made, if anything is recorded.
///
/// # Safety
/// The caller owns `g`, which is in no queue yet.
#[inline(always)]
unsafe fn trace_spawned(sched: &Sched, g: &G) {
    // Pairs with the heavy fence in `session::attach`: who looks there for what exists sees this G, or we see that
    // something is recorded.
    light_fence();
    if trace::on() {
        // SAFETY: the caller's promise.
        unsafe { trace::emit::spawned(g, sched.trace_id) };
    }
}

/// Clones what a child of the calling goroutine inherits, outside of the window.
#[cold]
#[inline(never)]
fn inherit(window: Window) -> (Window, Inherited) {
    drop(window);
    let inherited = match locals::own_used_table() {
        // SAFETY: the caller's own; the window is closed.
        Some(table) => unsafe { inherited(&*table) },
        None => Inherited::NOTHING,
    };
    (Window::enter(), inherited)
}

/// A goroutine without a handle, to be queued by the caller. By the scheduler, for a timer.
///
/// # Safety
/// The caller owns `p`, a P of `sched`, inside the runtime, and has counted the goroutine.
pub(super) unsafe fn detached<F>(
    sched: &Sched,
    p: &P,
    site: &'static Location<'static>,
    f: F,
) -> *const G
where
    F: FnOnce() + Send + 'static,
{
    // SAFETY: p is ours; the G is fresh.
    unsafe {
        let g = p.take_g();
        (*g).init(
            p.next_id(),
            ptr::from_ref(sched).cast_mut().cast(),
            site,
            0,
            None,
        );
        (*g).join.reset_detached();
        (*g).task.put(f);
        (*g).status.spawned();
        trace_spawned(sched, &*g);
        g
    }
}

/// The goroutine never enters a queue: its result is that it was cancelled.
///
/// # Safety
/// The caller owns g, whose task holds its closure.
unsafe fn cancel_unstarted(g: &G) {
    // SAFETY: the caller's promise.
    unsafe { g.task.cancel(JoinError::Cancelled) };
    g.status.dead();
    g.join.reset_done();
    // SAFETY: scopes outlive their goroutines.
    if let Some(scope) = unsafe { g.scope.get().cast::<super::ScopeState>().as_ref() } {
        scope.remove(g);
    }
}

/// Spawns a goroutine from a plain thread, or from a goroutine of another runtime. Gives the
/// closure back if the runtime is shutting down.
///
/// # Safety
/// As for [`spawn`].
pub(crate) unsafe fn spawn_outside<F, T>(sched: &Sched, with: Spawned, f: F) -> Result<*const G, F>
where
    F: FnOnce() -> T,
{
    // The caller may be a goroutine of another runtime, or a thread.
    let inherited = match locals::own_used_table() {
        // SAFETY: the caller's own; there is no window.
        Some(table) => unsafe { inherited(&*table) },
        None => Inherited::NOTHING,
    };
    let parent = locals::own_goroutine().map_or(0, |me| me.id().0);
    let g = registry::take_one();
    let mut state = sched.lock.lock();
    if !sched.is_running() {
        drop(state);
        // SAFETY: g was just taken off the free list.
        unsafe { give_back(g) };
        return Err(f);
    }
    // SAFETY: the G is fresh and ours; f's borrows are the caller's promise.
    unsafe {
        (*g).init(
            next_id().as_u64(),
            ptr::from_ref(sched).cast_mut().cast(),
            with.site,
            parent,
            with.name,
        );
        (*g).scope.set(with.scope.cast());
        (*g).locals.set(inherited.into_table());
        (*g).task.put(f);
        (*g).status.spawned();
        if let Some(scope) = with.scope.as_ref() {
            scope.add(&*g);
        }
        trace_spawned(sched, &*g);
        state.global.push_back(g);
    }
    sched.spawned_outside.fetch_add(1, Ordering::Release);
    sched
        .global_len
        .store(state.global.len(), Ordering::Relaxed);
    drop(state);
    sched.work_in_deque();
    Ok(g)
}

/// Frees a finished goroutine, from wherever its handle ends.
///
/// # Safety
/// The caller owns g, which is finished, and whose result is gone.
#[inline]
pub(crate) unsafe fn free_g(g: *const G) {
    // SAFETY: the caller's promise.
    unsafe { (*g).clear() };
    let window = Window::enter_quietly();
    match window.m_and_p() {
        // SAFETY: inside the runtime, p is ours. (A G of another runtime is as good as any.)
        Some((_, p)) => unsafe { p.give_g(g) },
        // SAFETY: as above.
        None => unsafe { give_back(g) },
    }
}

/// Gives a free G to the registry.
///
/// # Safety
/// The caller owns g, which is free.
unsafe fn give_back(g: *const G) {
    let mut one = GList::new();
    // SAFETY: the caller's promise.
    unsafe { one.push_front(g) };
    registry::give(&mut one);
}
