//! Contexts that never end, and groups of goroutines that wait for themselves.

use crate::stage::{Bug, Chan, Class, Stage, Twin, a_while, bugs, twins};
use channels::context::{Context, ContextError};
use channels::errgroup::Group;
use channels::{bounded, select};
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    a_context_whose_cancel_is_kept_by_the_waiter: ["await done"];
    a_context_whose_cancel_was_given_up: ["await done"];
    done_of_the_background: ["await done"];
    a_select_of_done_and_its_own: ["worker"];
    a_child_context_of_one_that_never_ends: ["watcher"];
    a_restore_that_does_not_look_at_the_end: ["split and scatter"];
    a_group_whose_member_waits_for_its_context: ["?", "waits"];
    a_member_that_waits_for_the_group: ["?", "waits"];
    a_member_that_adds_to_a_full_group: ["?", "waits"];
    a_group_that_is_full_of_those_who_hang: ["?", "?", "adds"];
    a_member_whose_result_is_taken_after_the_wait: ["?", "waits"];
];

const TWINS: &[Twin] = twins![
    a_context_that_ends_in_time,
    a_context_that_is_cancelled_late,
    a_cancel_in_a_structure_of_the_heap,
    a_child_context_whose_parent_ends,
    a_run_that_is_cut_short,
    a_group_of_sleepers,
    a_group_whose_member_fails_late,
    a_group_with_a_limit,
    a_member_whose_result_has_a_place,
];

pub const CLASS: Class = Class {
    name: "contexts and groups",
    bugs: BUGS,
    twins: TWINS,
    whole: 11,
    partial: 3,
};

/// GoBench GOKER cockroach#13197, kind "Channel & Context": it would be cancelled after the wait.
fn a_context_whose_cancel_is_kept_by_the_waiter(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    stage.go("await done", move || {
        let _ = ctx.done().recv();
        cancel.cancel();
    });
}

/// Kind: a cancel function that was given up, and no deadline.
fn a_context_whose_cancel_was_given_up(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.keep();
    stage.go("await done", move || ctx.done().recv());
}

/// Kind: nil channel; the background never ends.
fn done_of_the_background(stage: &Stage) {
    let ctx = Context::background();
    stage.go("await done", move || ctx.done().recv());
}

/// Kind: a select of a context that never ends, and of a channel that nobody else has.
fn a_select_of_done_and_its_own(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    stage.go("worker", move || {
        let (jobs, _cancel) = (Chan::<u32>::new(0), cancel);
        select! {
            recv(ctx.done()) -> _ => {}
            recv(jobs.rx) -> _ => {}
        }
    });
}

/// Kind: the cancel function is the parent's, who waits for the child.
fn a_child_context_of_one_that_never_ends(stage: &Stage) {
    let (parent, cancel) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_cancel();
    stage.go("watcher", move || {
        let _both = (cancel, cancel_child);
        child.done().recv()
    });
}

/// GoBench GOKER cockroach#18101, kind "Channel & Context": the reader looks at the end of the context, the
/// writer does not.
fn a_restore_that_does_not_look_at_the_end(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    let ready = Chan::<u32>::new(6);
    let out = ready.clone();
    stage.go("split and scatter", move || {
        (0..9).for_each(|n| out.send(n))
    });
    let _first = ready.recv();
    select! {
        recv(ctx.done()) -> _ => {}
    }
}

/// Kind: errgroup; its context ends when the wait returns, which waits for the member.
fn a_group_whose_member_waits_for_its_context(stage: &Stage) {
    let present = stage.enter("?");
    stage.go("waits", move || {
        let (group, ctx) = Group::<String>::with_context(&Context::background());
        group.go(move || {
            let _present = present;
            let _ = ctx.done().recv();
            Ok(())
        });
        group.wait()
    });
}

/// Kind: errgroup; a member waits for all, itself included.
fn a_member_that_waits_for_the_group(stage: &Stage) {
    let present = stage.enter("?");
    stage.go("waits", move || {
        let group = Group::<String>::new();
        let group2 = group.clone();
        group.go(move || {
            let _present = present;
            group2.wait()
        });
        group.wait()
    });
}

/// Kind: errgroup; the limit is one, and the one wants to add another.
fn a_member_that_adds_to_a_full_group(stage: &Stage) {
    let present = stage.enter("?");
    stage.go("waits", move || {
        let group = Group::<String>::new();
        group.set_limit(1);
        let group2 = group.clone();
        group.go(move || {
            let _present = present;
            group2.go(|| Ok(()));
            Ok(())
        });
        group.wait()
    });
}

/// Kind: errgroup; who adds waits for a place that never comes.
fn a_group_that_is_full_of_those_who_hang(stage: &Stage) {
    let present = [stage.enter("?"), stage.enter("?")];
    stage.go("adds", move || {
        let group = Group::<String>::new();
        group.set_limit(2);
        for present in present {
            group.go(move || {
                let (_present, alone) = (present, Chan::<u32>::new(0));
                alone.recv();
                Ok(())
            });
        }
        group.go(|| Ok(()));
        group.wait()
    });
}

/// Kind: errgroup and channel; results are taken after the wait, and the channel has no place for them.
fn a_member_whose_result_is_taken_after_the_wait(stage: &Stage) {
    let present = stage.enter("?");
    stage.go("waits", move || {
        let (tx, rx) = bounded(0);
        let group = Group::<String>::new();
        group.go(move || {
            let _present = present;
            tx.send(1).map_err(|e| e.to_string())
        });
        group.wait().unwrap();
        rx.recv()
    });
}

/// It has a deadline.
fn a_context_that_ends_in_time(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_timeout(Duration::from_millis(60));
    cancel.keep();
    stage.go("await done", move || {
        assert!(ctx.done().recv().is_err());
        assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    });
}

/// The cancel function is on the stack of one that sleeps.
fn a_context_that_is_cancelled_late(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    for _ in 0..3 {
        let ctx = ctx.clone();
        stage.go("await done", move || assert!(ctx.done().recv().is_err()));
    }
    stage.go("cancels", move || {
        a_while();
        cancel.cancel();
    });
}

/// The cancel function is in the heap, and the heap's address in a plain thread.
fn a_cancel_in_a_structure_of_the_heap(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    let kept = Box::new((1, vec![Some(cancel)]));
    stage.go("await done", move || assert!(ctx.done().recv().is_err()));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        drop(kept);
    });
}

/// The parent ends, and with it the child.
fn a_child_context_whose_parent_ends(stage: &Stage) {
    let (parent, cancel) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_cancel();
    stage.go("watcher", move || {
        let _cancel_child = cancel_child;
        assert!(child.done().recv().is_err());
    });
    stage.go("cancels", move || {
        a_while();
        drop(cancel);
    });
}

/// What it waits for never comes, but its context ends.
fn a_run_that_is_cut_short(stage: &Stage) {
    let (ctx, cancel) = Context::background().with_cancel();
    stage.go("works", move || {
        let alone = Chan::<u32>::new(0);
        assert_eq!(ctx.run(|| alone.recv()), Err(ContextError::Canceled));
    });
    stage.go("cancels", move || {
        a_while();
        cancel.cancel();
    });
}

/// All of a group sleep.
fn a_group_of_sleepers(stage: &Stage) {
    stage.go("waits", || {
        let group = Group::<String>::new();
        (0..5).for_each(|_| {
            group.go(|| {
                a_while();
                Ok(())
            });
        });
        group.wait().unwrap();
    });
}

/// One fails, late; the others wait for that.
fn a_group_whose_member_fails_late(stage: &Stage) {
    stage.go("waits", || {
        let (group, ctx) = Group::with_context(&Context::background());
        for _ in 0..3 {
            let ctx = ctx.clone();
            group.go(move || {
                let _ = ctx.done().recv();
                Ok(())
            });
        }
        group.go(|| {
            a_while();
            Err("failed".to_owned())
        });
        assert_eq!(group.wait(), Err("failed".to_owned()));
    });
}

/// More members than the limit; who adds waits for the others.
fn a_group_with_a_limit(stage: &Stage) {
    stage.go("waits", || {
        let group = Group::<String>::new();
        group.set_limit(2);
        for _ in 0..6 {
            group.go(|| {
                runtime::time::sleep(Duration::from_millis(20));
                Ok(())
            });
        }
        group.wait().unwrap();
    });
}

/// The result is taken after the wait, from a buffer.
fn a_member_whose_result_has_a_place(stage: &Stage) {
    stage.go("waits", || {
        let (tx, rx) = bounded(1);
        let group = Group::<String>::new();
        group.go(move || {
            a_while();
            tx.send(1).map_err(|e| e.to_string())
        });
        group.wait().unwrap();
        assert_eq!(rx.recv(), Ok(1));
    });
}
