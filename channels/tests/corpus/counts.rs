//! Wait groups, semaphores and things that are done once. Beside a goroutine that goes on, waits for them are
//! not judged.

use crate::stage::{Bug, Chan, Class, Meet, Stage, Twin, a_while, bugs, pause, twins};
use channels::bounded;
use runtime::sync::{Once, OnceLock, Semaphore, WaitGroup};
use std::sync::Arc;
use std::time::Duration;

const BUGS: &[Bug] = bugs![
    a_group_that_counts_one_too_many: ["waits"];
    a_wait_inside_of_the_loop: ["init"];
    a_member_that_does_not_come_to_its_done: ["member", "waits"];
    a_member_that_waits_for_its_group: ["member", "waits"];
    added_after_the_wait_began: ["waits"];
    a_group_and_a_full_channel: ["sender", "waits"];
    a_permit_that_was_forgotten: ["second"];
    more_permits_than_there_are: ["wants three"];
    half_of_the_permits_each: ["half", "half"];
    a_permit_for_the_inner_call: ["outer"];
    a_release_that_the_error_path_forgot: ["third"];
    a_semaphore_and_a_channel: ["holder", "sender"];
    once_by_way_of_another: ["first", "second"];
    two_onces_that_call_each_other: ["a", "b"];
    a_cell_that_is_never_set: ["waits", "waits"];
    a_cell_that_asks_one_that_reads_it: ["init", "reads"];
    once_behind_one_that_hangs: ["first", "second"];
];

const TWINS: &[Twin] = twins![
    a_group_of_slow_members,
    a_wait_with_a_limit,
    added_while_it_waits,
    permits_that_come_back_late,
    a_permit_of_a_plain_thread,
    an_acquire_with_a_limit,
    once_by_one_that_is_slow,
    a_cell_that_is_set_late,
    a_cell_that_is_made_slowly,
];

pub const CLASS: Class = Class {
    name: "wait group, semaphore, once",
    bugs: BUGS,
    twins: TWINS,
    whole: 17,
    partial: 2,
};

/// Kind: wait group; a missing done.
fn a_group_that_counts_one_too_many(stage: &Stage) {
    let group = Arc::new(WaitGroup::new());
    group.add(3);
    for _ in 0..2 {
        let group = group.clone();
        stage.go("member", move || group.done());
    }
    stage.go("waits", move || group.wait());
}

/// GoBench GOKER moby#25384, kind "Misuse WaitGroup": all are counted, and waited for after the first.
fn a_wait_inside_of_the_loop(stage: &Stage) {
    let stage2 = stage.clone();
    stage.go("init", move || {
        let group = Arc::new(WaitGroup::new());
        group.add(2);
        for _ in 0..2 {
            let group2 = group.clone();
            stage2.go("plugin", move || group2.done());
            group.wait();
        }
    });
}

/// Kind: wait group and channel; the done comes after a receive of what nobody sends.
fn a_member_that_does_not_come_to_its_done(stage: &Stage) {
    let group = Arc::new(WaitGroup::new());
    group.add(1);
    let group2 = group.clone();
    stage.go("member", move || {
        let (tx, rx) = bounded::<()>(0);
        let _ = rx.recv();
        drop(tx);
        group2.done();
    });
    stage.go("waits", move || group.wait());
}

/// Kind: wait group; a member waits for all.
fn a_member_that_waits_for_its_group(stage: &Stage) {
    let group = Arc::new(WaitGroup::new());
    group.add(1);
    let group2 = group.clone();
    stage.go("member", move || {
        group2.wait();
        group2.done();
    });
    stage.go("waits", move || group.wait());
}

/// Kind: wait group; one more is counted by somebody who then finds nothing to do.
fn added_after_the_wait_began(stage: &Stage) {
    let (group, waits) = (Arc::new(WaitGroup::new()), Meet::of(2));
    group.add(1);
    let (group2, waits2) = (group.clone(), waits.clone());
    stage.go("waits", move || {
        waits.arrive();
        group.wait();
    });
    stage.go("adds", move || {
        waits2.arrive();
        group2.add(1);
        group2.done();
        let nothing_to_do = std::hint::black_box(true);
        if !nothing_to_do {
            group2.done();
        }
    });
}

/// Kind: wait group and channel; results are taken after all have ended, and there is no room for them.
fn a_group_and_a_full_channel(stage: &Stage) {
    let (group, (tx, rx)) = (Arc::new(WaitGroup::new()), bounded::<u32>(1));
    group.add(2);
    for n in 0..2 {
        let (group, tx) = (group.clone(), tx.clone());
        stage.go("sender", move || {
            tx.send(n).unwrap();
            group.done();
        });
    }
    stage.go("waits", move || {
        group.wait();
        rx.iter().count()
    });
}

/// Kind: semaphore leak; a permit whose release was forgotten.
fn a_permit_that_was_forgotten(stage: &Stage) {
    let semaphore = Arc::new(Semaphore::new(1));
    let semaphore2 = semaphore.clone();
    stage
        .keep("first", move || semaphore2.acquire().forget())
        .join()
        .unwrap();
    stage.go("second", move || drop(semaphore.acquire()));
}

/// Kind: more than there will ever be.
fn more_permits_than_there_are(stage: &Stage) {
    stage.go("wants three", || drop(Semaphore::new(2).acquire_many(3)));
}

/// Kind: hold and wait; each has one of two, and wants two.
fn half_of_the_permits_each(stage: &Stage) {
    let (semaphore, both) = (Arc::new(Semaphore::new(2)), Meet::of(2));
    for _ in 0..2 {
        let (semaphore, both) = (semaphore.clone(), both.clone());
        stage.go("half", move || {
            let _first = semaphore.acquire();
            both.arrive();
            let _second = semaphore.acquire();
        });
    }
}

/// Kind: the semaphore is a lock, and taken twice.
fn a_permit_for_the_inner_call(stage: &Stage) {
    fn call(semaphore: &Semaphore, depth: u32) -> u32 {
        let _permit = semaphore.acquire();
        match depth {
            0 => 0,
            _ => call(semaphore, depth - 1) + 1,
        }
    }
    stage.go("outer", || call(&Semaphore::new(2), 2));
}

/// Kind: semaphore leak; acquire and release by hand, and an early return between them.
fn a_release_that_the_error_path_forgot(stage: &Stage) {
    fn limited(semaphore: &Semaphore, fails: bool) -> Result<(), ()> {
        semaphore.acquire().forget();
        if fails {
            return Err(());
        }
        semaphore.release(1);
        Ok(())
    }
    let semaphore = Arc::new(Semaphore::new(2));
    for fails in [true, false, true] {
        let semaphore = semaphore.clone();
        let one = stage.keep("one", move || limited(&semaphore, fails));
        assert_eq!(one.join().unwrap().is_err(), fails);
    }
    stage.go("third", move || limited(&semaphore, false));
}

/// Kind: semaphore and channel.
fn a_semaphore_and_a_channel(stage: &Stage) {
    let (semaphore, (tx, rx)) = (Arc::new(Semaphore::new(1)), bounded::<u32>(0));
    let (has_it, semaphore2) = (Meet::of(2), semaphore.clone());
    let has_it2 = has_it.clone();
    stage.go("holder", move || {
        let _permit = semaphore.acquire();
        has_it.arrive();
        rx.recv()
    });
    stage.go("sender", move || {
        has_it2.arrive();
        let _permit = semaphore2.acquire();
        tx.send(1)
    });
}

/// Kind: once, re-entered; the second entry is another goroutine's, which the first one joins. (By one and the
/// same goroutine it is a panic, here.)
fn once_by_way_of_another(stage: &Stage) {
    static ONCE: Once = Once::new();
    let stage2 = stage.clone();
    stage.go("first", move || {
        ONCE.call_once(|| {
            let second = stage2.keep("second", || ONCE.call_once(|| {}));
            let _ = second.join();
        });
    });
}

/// Kind: AB-BA of initialisations.
fn two_onces_that_call_each_other(stage: &Stage) {
    let (a, b, both) = (Arc::new(Once::new()), Arc::new(Once::new()), Meet::of(2));
    for (name, mine, other) in [("a", a.clone(), b.clone()), ("b", b, a)] {
        let both = both.clone();
        stage.go(name, move || {
            mine.call_once(|| {
                both.arrive();
                other.call_once(|| {});
            });
        });
    }
}

/// Kind: a cell that nobody sets.
fn a_cell_that_is_never_set(stage: &Stage) {
    static CELL: OnceLock<u32> = OnceLock::new();
    for _ in 0..2 {
        stage.go("waits", || *CELL.wait());
    }
}

/// Kind: an initialisation that waits for the answer of one that reads what it initialises.
fn a_cell_that_asks_one_that_reads_it(stage: &Stage) {
    static CELL: OnceLock<u32> = OnceLock::new();
    let (tx, rx) = bounded::<u32>(0);
    stage.go("init", move || *CELL.get_or_init(|| rx.recv().unwrap_or(0)));
    stage.go("reads", move || tx.send(*CELL.wait()));
}

/// Kind: once and channel; the first one hangs, and so do those behind it.
fn once_behind_one_that_hangs(stage: &Stage) {
    let (once, inside) = (Arc::new(Once::new()), Meet::of(2));
    let (once2, inside2) = (once.clone(), inside.clone());
    stage.go("first", move || {
        once.call_once(|| {
            inside.arrive();
            let alone = Chan::<u32>::new(0);
            alone.recv();
        });
    });
    stage.go("second", move || {
        inside2.arrive();
        once2.call_once(|| {});
    });
}

/// Its members sleep.
fn a_group_of_slow_members(stage: &Stage) {
    let group = Arc::new(WaitGroup::new());
    for _ in 0..4 {
        drop(group.go(a_while));
    }
    stage.go("waits", move || group.wait());
}

/// Nobody is done, but the wait has a limit.
fn a_wait_with_a_limit(stage: &Stage) {
    stage.go("waits", || {
        let group = WaitGroup::new();
        group.add(1);
        assert!(!group.wait_timeout(Duration::from_millis(60)));
        group.done();
    });
}

/// Members add members.
fn added_while_it_waits(stage: &Stage) {
    fn spawn(group: &Arc<WaitGroup>, depth: u32) {
        let inner = group.clone();
        drop(group.go(move || {
            pause();
            if depth > 0 {
                spawn(&inner, depth - 1);
                spawn(&inner, depth - 1);
            }
        }));
    }
    let group = Arc::new(WaitGroup::new());
    spawn(&group, 4);
    stage.go("waits", move || group.wait());
}

/// Few permits, and each is held for a while.
fn permits_that_come_back_late(stage: &Stage) {
    let semaphore = Arc::new(Semaphore::new(2));
    for _ in 0..6 {
        let semaphore = semaphore.clone();
        stage.go("one of many", move || {
            let _permit = semaphore.acquire();
            runtime::time::sleep(Duration::from_millis(20));
        });
    }
}

/// A plain thread gives what it has taken.
fn a_permit_of_a_plain_thread(stage: &Stage) {
    let semaphore = Arc::new(Semaphore::new(0));
    let semaphore2 = semaphore.clone();
    stage.go("waits", move || drop(semaphore.acquire_many(2)));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        semaphore2.release(2);
    });
}

/// There is none, but the wait has a limit.
fn an_acquire_with_a_limit(stage: &Stage) {
    stage.go("waits", || {
        let semaphore = Semaphore::new(0);
        assert!(
            semaphore
                .acquire_timeout(Duration::from_millis(60))
                .is_none()
        );
    });
}

/// The first one takes its time.
fn once_by_one_that_is_slow(stage: &Stage) {
    let once = Arc::new(Once::new());
    for _ in 0..4 {
        let once = once.clone();
        stage.go("one of many", move || once.call_once(a_while));
    }
}

/// It is set, in the end.
fn a_cell_that_is_set_late(stage: &Stage) {
    static CELL: OnceLock<u32> = OnceLock::new();
    stage.go("waits", || assert_eq!(*CELL.wait(), 1));
    stage.go("sets", || {
        a_while();
        CELL.set(1).unwrap();
    });
}

/// Its value comes by a channel, from one that sleeps.
fn a_cell_that_is_made_slowly(stage: &Stage) {
    static CELL: OnceLock<u32> = OnceLock::new();
    let (tx, rx) = bounded(0);
    stage.go("init", move || CELL.get_or_init(|| rx.recv().unwrap()));
    stage.go("waits", || assert_eq!(*CELL.wait(), 1));
    stage.go("sender", move || {
        a_while();
        tx.send(1).unwrap();
    });
}
