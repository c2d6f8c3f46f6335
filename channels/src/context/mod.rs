//! Contexts, as in Go's package `context`: what a piece of work, and all that it starts, is told of
//! its end (by hand, by a deadline, by the end of what it is a part of) and of its surroundings.
//!
//! A [`Context`] is passed down the calls, by reference or as a clone, and asked by whoever works
//! ([`Context::err`], [`Context::check`]) or waits ([`Context::done`], which is a receiver, to be
//! used in a select). It ends nothing by itself: work that never asks goes on.
//!
//! ```
//! use channels::context::{Context, ContextError};
//! use runtime::go;
//! use std::time::Duration;
//!
//! let rt = runtime::start(2);
//! rt.run(|| {
//!     let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(10));
//!     let workers: Vec<_> = (0..3)
//!         .map(|_| {
//!             let ctx = ctx.clone();
//!             go!(move || {
//!                 let _ = ctx.done().recv(); // until it is closed
//!                 ctx.err()
//!             })
//!         })
//!         .collect();
//!     for worker in workers {
//!         assert_eq!(worker.join().unwrap(), Some(ContextError::DeadlineExceeded));
//!     }
//! });
//! ```
//!
//! Everything here works on goroutines and on plain threads, in any mixture, and never waits.
//! Deadlines are kept by the caller's runtime (on a plain thread by the default one); where no
//! runtime runs, by a thread, one per deadline. If the runtime that keeps a deadline is shut down
//! before, `done` is closed only when somebody asks for `err`, which looks at the clock itself. The
//! same is true of all children that have the deadline from there, wherever they are made.

mod alarm;
mod cancel;
mod error;
mod life;
mod value;

pub use cancel::{AfterFunc, CancelCauseFunc, CancelFunc};
pub use error::{Cause, ContextError};
pub use value::Key;

use crate::Receiver;
use error::cause;
use life::{Core, Due, Life, Waits};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use value::Value;

/// What a piece of work knows of its end and of its surroundings. See the [module](self).
///
/// A clone is the same context. The methods that begin with `with` make a child, which ends when its
/// parent does, at the latest; a child that has ended, or is dropped, leaves nothing in its parent.
#[derive(Clone)]
pub struct Context(Kind);

#[derive(Clone)]
enum Kind {
    Background,
    Todo,
    Made(Arc<Node>),
}

/// A context that was made from another.
struct Node {
    parent: Context,
    made: Made,
    /// The share in what ends it; the parent's own if only a value was added. `None`: it never ends.
    life: Option<Arc<Life>>,
}

/// How a context was made from its parent.
enum Made {
    Cancel,
    Deadline(Instant),
    Value(Value),
    WithoutCancel,
}

/// `done` of a context that never ends.
static NEVER: Receiver<Infallible> = Receiver::nil();

impl Context {
    /// The context at the root of all others: it has no value and never ends (Go's
    /// `context.Background`).
    pub const fn background() -> Context {
        Context(Kind::Background)
    }

    /// As [`Context::background`], where it is not clear yet which context is to be used (Go's
    /// `context.TODO`).
    pub const fn todo() -> Context {
        Context(Kind::Todo)
    }

    /// A child that also ends when it is cancelled (Go's `context.WithCancel`).
    ///
    /// ```
    /// use channels::Context;
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// let (child, _cancel_child) = ctx.with_cancel();
    /// cancel.cancel();
    /// assert!(child.err().is_some(), "it ends with its parent");
    /// ```
    pub fn with_cancel(&self) -> (Context, CancelFunc) {
        let (ctx, life) = self.child(Made::Cancel, None);
        (ctx, CancelFunc::new(life))
    }

    /// As [`Context::with_cancel`]; who cancels gives a reason (Go's `context.WithCancelCause`).
    pub fn with_cancel_cause(&self) -> (Context, CancelCauseFunc) {
        let (ctx, life) = self.child(Made::Cancel, None);
        (ctx, CancelCauseFunc::new(life))
    }

    /// A child that also ends at this point in time, or when it is cancelled (Go's
    /// `context.WithDeadline`). If the parent's deadline is earlier, that remains; if it has passed,
    /// the child has ended when this returns.
    ///
    /// ```
    /// use channels::context::{Context, ContextError};
    /// use std::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// let (ctx, _cancel) = Context::background().with_deadline(now + Duration::from_secs(60));
    /// let (child, _cancel) = ctx.with_deadline(now + Duration::from_secs(3600));
    /// assert_eq!(child.deadline(), ctx.deadline());
    /// let (late, _cancel) = ctx.with_deadline(now);
    /// assert_eq!(late.err(), Some(ContextError::DeadlineExceeded));
    /// ```
    pub fn with_deadline(&self, at: Instant) -> (Context, CancelFunc) {
        self.until(at, None)
    }

    /// As [`Context::with_deadline`], with a reason for the end at the deadline (Go's
    /// `context.WithDeadlineCause`).
    pub fn with_deadline_cause(
        &self,
        at: Instant,
        reason: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Context, CancelFunc) {
        self.until(at, Some(cause(reason)))
    }

    /// As [`Context::with_deadline`], so far from now (Go's `context.WithTimeout`). A duration that
    /// no instant can hold means that there is no deadline.
    pub fn with_timeout(&self, d: Duration) -> (Context, CancelFunc) {
        self.within(d, None)
    }

    /// As [`Context::with_timeout`], with a reason for the end at the deadline (Go's
    /// `context.WithTimeoutCause`).
    ///
    /// ```
    /// use channels::context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let rt = runtime::start(1);
    /// rt.run(|| {
    ///     let (ctx, _cancel) = Context::background()
    ///         .with_timeout_cause(Duration::from_millis(2), "the cook is slow");
    ///     assert!(ctx.done().recv().is_err());
    ///     assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    ///     assert_eq!(ctx.cause().unwrap().to_string(), "the cook is slow");
    /// });
    /// ```
    pub fn with_timeout_cause(
        &self,
        d: Duration,
        reason: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Context, CancelFunc) {
        self.within(d, Some(cause(reason)))
    }

    fn within(&self, d: Duration, cause: Option<Cause>) -> (Context, CancelFunc) {
        match Instant::now().checked_add(d) {
            Some(at) => self.until(at, cause),
            None => self.with_cancel(),
        }
    }

    fn until(&self, at: Instant, cause: Option<Cause>) -> (Context, CancelFunc) {
        let (ctx, life) = self.child(Made::Deadline(at), Some(Due { at, cause }));
        (ctx, CancelFunc::new(life))
    }

    fn child(&self, made: Made, due: Option<Due>) -> (Context, Arc<Life>) {
        let life = Life::new(Core::new(self.core(), due));
        let ctx = self.made(made, Some(Arc::clone(&life)));
        (ctx, life)
    }

    fn made(&self, made: Made, life: Option<Arc<Life>>) -> Context {
        Context(Kind::Made(Arc::new(Node {
            parent: self.clone(),
            made,
            life,
        })))
    }

    /// A child that also has this value (Go's `context.WithValue`). For what belongs to a request and
    /// crosses its borders; not for arguments. See [`Key`].
    pub fn with_value<T: Send + Sync + 'static>(&self, key: &'static Key<T>, value: T) -> Context {
        let life = self.life().cloned();
        self.made(Made::Value(Value::new(key, value)), life)
    }

    /// A child with all values of this one, which does not end with it: it has neither `done` nor
    /// deadline (Go's `context.WithoutCancel`). For what must be seen to after the end.
    ///
    /// ```
    /// use channels::context::{Context, Key};
    ///
    /// static USER: Key<&str> = Key::new("user");
    /// let (ctx, cancel) = Context::background().with_value(&USER, "ann").with_cancel();
    /// let after = ctx.without_cancel();
    /// cancel.cancel();
    /// assert!(after.err().is_none());
    /// assert_eq!(after.value(&USER), Some(&"ann"));
    /// ```
    pub fn without_cancel(&self) -> Context {
        self.made(Made::WithoutCancel, None)
    }

    /// Has `f` called on a goroutine of its own when the context has ended; at once if it has (Go's
    /// `context.AfterFunc`). It is the runtime of who ends the context that makes the call (of a
    /// plain thread, the default one); a thread of its own, if none runs. A runtime that shuts down
    /// does not make it any more.
    ///
    /// `f` is dropped, uncalled, when it is stopped, and when the context cannot end any more.
    ///
    /// ```
    /// use channels::Context;
    ///
    /// let rt = runtime::start(2);
    /// rt.run(|| {
    ///     let (ctx, cancel) = Context::background().with_cancel();
    ///     let (tx, rx) = channels::bounded(1);
    ///     let stopped = ctx.after_func(|| unreachable!());
    ///     let _called = ctx.after_func(move || tx.send("cleaned up").unwrap());
    ///     assert!(stopped.stop());
    ///     cancel.cancel();
    ///     assert_eq!(rx.recv(), Ok("cleaned up"));
    /// });
    /// ```
    pub fn after_func<F>(&self, f: F) -> AfterFunc
    where
        F: FnOnce() + Send + 'static,
    {
        match self.core() {
            Some(core) => AfterFunc::waiting(core, core.add(Waits::Func(Box::new(f)))),
            None => AfterFunc::never(),
        }
    }

    /// What is closed when the context has ended: for a receive, which then fails, alone or in a
    /// select. Nothing is ever sent. For a context that never ends it is a nil channel.
    ///
    /// A clone of it does not keep the context: once that has no handle left (no clone, no child, no
    /// cancel function) and no function waits for its end, it is closed too, also if the parent has
    /// not ended and no deadline has come. Keep the context where the difference matters. Closing it
    /// by hand wakes who waits for it, and ends nothing.
    pub fn done(&self) -> &Receiver<Infallible> {
        self.core().map_or(&NEVER, |core| core.done())
    }

    /// Why the context has ended; `None` if it has not. Once there is an answer it stays, and
    /// [`Context::done`] is closed.
    pub fn err(&self) -> Option<ContextError> {
        Some(self.core()?.ended()?.error)
    }

    /// [`Context::err`] for the operator `?`: fails if the context has ended.
    ///
    /// # Errors
    /// If it has ended.
    ///
    /// ```
    /// use channels::context::{Context, ContextError};
    ///
    /// fn work(ctx: &Context) -> Result<usize, ContextError> {
    ///     let mut done = 0;
    ///     while done < 10 {
    ///         ctx.check()?;
    ///         done += 1;
    ///     }
    ///     Ok(done)
    /// }
    ///
    /// assert_eq!(work(&Context::background()), Ok(10));
    /// ```
    pub fn check(&self) -> Result<(), ContextError> {
        self.err().map_or(Ok(()), Err)
    }

    /// The reason that was given for the end, by whoever ended it or a parent; without one, what
    /// [`Context::err`] gives (Go's `context.Cause`). `None` if the context has not ended.
    pub fn cause(&self) -> Option<Cause> {
        Some(self.core()?.ended()?.cause())
    }

    /// When the context ends at the latest, by itself; `None` if it has no deadline.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.core()?.due.as_ref()?.at)
    }

    /// The value of this key: that of the context itself, or of the nearest parent that has one.
    pub fn value<T: 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        self.nodes().find_map(|node| match &node.made {
            Made::Value(value) => value.get(key),
            _ => None,
        })
    }

    /// Runs `f`, on the caller's own goroutine or thread, at most until the context has ended. Then the
    /// wait that `f` is in (a receive, a sleep, a lock, a join), or the next one that it begins,
    /// unwinds to here: destructors run. So `f` need not know of the context. (Go has no counterpart:
    /// there, whatever waits must be given `ctx.Done()` as well.)
    ///
    /// See [`runtime::cancellable`] for what it means to be cut short.
    ///
    /// # Errors
    /// If the context has ended before, or while `f` was waiting. If `f` returns a value without
    /// waiting again, that is the answer, also after the end.
    ///
    /// # Panics
    /// If `f` panics, with its payload.
    ///
    /// ```
    /// use channels::context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let rt = runtime::start(2);
    /// rt.run(|| {
    ///     let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(2));
    ///     let (_tx, rx) = channels::bounded::<i32>(0);
    ///     assert_eq!(ctx.run(|| rx.recv()), Err(ContextError::DeadlineExceeded));
    ///     assert_eq!(Context::background().run(|| 1 + 1), Ok(2));
    /// });
    /// ```
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> Result<T, ContextError>
    where
        F: FnOnce() -> T,
    {
        /// Takes the work out when it is over, in whatever way.
        struct Over<'a>(&'a Core, Option<u64>);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                if let Some(number) = self.1 {
                    self.0.stop(number);
                }
            }
        }

        let Some(core) = self.core() else {
            return Ok(f());
        };
        self.check()?;
        let result = runtime::cancellable(|work| {
            let _over = Over(core, core.add(Waits::Work(work)));
            f()
        });
        // Only an end of the context tells the work.
        result.map_err(|_| self.err().unwrap_or(ContextError::Canceled))
    }

    fn node(&self) -> Option<&Arc<Node>> {
        match &self.0 {
            Kind::Background | Kind::Todo => None,
            Kind::Made(node) => Some(node),
        }
    }

    /// From the context itself up.
    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        std::iter::successors(self.node(), |node| node.parent.node())
    }

    fn life(&self) -> Option<&Arc<Life>> {
        self.node()?.life.as_ref()
    }

    fn core(&self) -> Option<&Arc<Core>> {
        self.life().map(|life| &***life)
    }
}

/// How it was made, as Go prints it: `Background.WithCancel.WithValue(user)`.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes().collect();
        let root = nodes.last().map_or(self, |node| &node.parent);
        f.write_str(match root.0 {
            Kind::Todo => "Todo",
            _ => "Background",
        })?;
        for node in nodes.iter().rev() {
            match &node.made {
                Made::Cancel => f.write_str(".WithCancel")?,
                Made::Deadline(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    write!(f, ".WithDeadline({left:?})")?;
                }
                Made::Value(value) => write!(f, ".WithValue({})", value.name)?,
                Made::WithoutCancel => f.write_str(".WithoutCancel")?,
            }
        }
        Ok(())
    }
}

impl Drop for Node {
    /// Parents that only this node kept go one by one: a long chain must not end the stack.
    fn drop(&mut self) {
        // First its own: parents in which something still waits do not stop their alarms.
        self.life = None;
        let mut parent = std::mem::replace(&mut self.parent, Context::background());
        while let Kind::Made(node) = parent.0
            && let Some(mut node) = Arc::into_inner(node)
        {
            parent = std::mem::replace(&mut node.parent, Context::background());
        }
    }
}
