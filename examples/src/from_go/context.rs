//! Package `context`.

use super::Step;
use channels::context::{Context, ContextError, Key};
use channels::{bounded, select};
use runtime::go;
use std::time::{Duration, Instant};

/// What is shown, in this order.
pub const STEPS: &[Step] = &[
    ("context.Background, context.TODO", roots),
    ("context.WithCancel", with_cancel),
    ("select on ctx.Done()", done),
    ("context.WithCancelCause, context.Cause", with_cancel_cause),
    ("context.WithTimeout, context.WithDeadline", with_timeout),
    ("context.WithTimeoutCause", with_timeout_cause),
    ("ctx.Deadline", deadline),
    ("context.WithValue, ctx.Value", with_value),
    ("context.WithoutCancel", without_cancel),
    ("context.AfterFunc", after_func),
    ("waits that know nothing of the context", run),
    ("a cancel function that is lost", lost),
];

fn roots() -> String {
    let ctx = Context::background();
    format!("{ctx:?} {:?} {:?}", Context::todo(), ctx.err())
}

fn with_cancel() -> String {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    format!("{}", ctx.err().unwrap())
}

fn done() -> String {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded(0);
    let worker = go!(move || {
        let mut sent = 0;
        loop {
            select! {
                send(tx, sent) -> _ => sent += 1,
                recv(ctx.done()) -> _ => return ctx.err(),
            }
        }
    });
    rx.recv().unwrap();
    cancel.cancel();
    format!("{:?}", worker.join().unwrap())
}

fn with_cancel_cause() -> String {
    let (ctx, cancel) = Context::background().with_cancel_cause();
    cancel.cancel("the disk is full");
    format!("{}: {}", ctx.err().unwrap(), ctx.cause().unwrap())
}

fn with_timeout() -> String {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(2));
    let at = Instant::now() + Duration::from_secs(3600);
    let (child, _cancel) = ctx.with_deadline(at);
    let _ = child.done().recv();
    child.err().unwrap().to_string()
}

fn with_timeout_cause() -> String {
    let d = Duration::from_millis(2);
    let (ctx, _cancel) = Context::background().with_timeout_cause(d, "the cook is slow");
    let _ = ctx.done().recv();
    format!("{}: {}", ctx.err().unwrap(), ctx.cause().unwrap())
}

fn deadline() -> String {
    let at = Instant::now() + Duration::from_secs(60);
    let (ctx, _cancel) = Context::background().with_deadline_cause(at, "closing time");
    let known = ctx.deadline() == Some(at);
    format!("{known} {:?}", Context::background().deadline())
}

static USER: Key<String> = Key::new("user");

fn with_value() -> String {
    let ctx = Context::background().with_value(&USER, "ann".to_owned());
    let user = ctx.value(&USER).map_or("nobody", |name| name);
    user.to_owned()
}

fn without_cancel() -> String {
    let (ctx, cancel) = Context::todo().with_cancel();
    let cleanup = ctx.without_cancel();
    cancel.cancel();
    format!("{:?} {:?}", ctx.err(), cleanup.err())
}

fn after_func() -> String {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded(1);
    let called = ctx.after_func(move || tx.send("called").unwrap());
    let stopped = ctx.after_func(|| unreachable!());
    let in_time = stopped.stop();
    cancel.cancel();
    format!("{in_time} {} {}", rx.recv().unwrap(), called.stop())
}

fn run() -> String {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(2));
    let (_tx, rx) = bounded::<i32>(0);
    let result = ctx.run(|| rx.recv());
    result.unwrap_err().to_string()
}

fn lost() -> String {
    let (ctx, cancel) = Context::background().with_cancel();
    drop(cancel);
    let (kept, cancel) = Context::background().with_timeout(Duration::from_millis(2));
    cancel.keep();
    let _ = kept.done().recv();
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
    assert_eq!(kept.err(), Some(ContextError::DeadlineExceeded));
    let work = |ctx: &Context| -> Result<(), ContextError> {
        ctx.check()?;
        unreachable!("it has ended")
    };
    work(&ctx).unwrap_err().to_string()
}
