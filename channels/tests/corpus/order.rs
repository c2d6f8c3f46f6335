//! Several locks, taken in different orders.

use crate::stage::{Bug, Class, Meet, Stage, Twin, a_while, bugs, pause, twins};
use runtime::sync::Mutex;
use std::sync::Arc;

const BUGS: &[Bug] = bugs![
    ab_ba: ["ab", "ba"];
    ab_ba_with_others_behind: ["ab", "ba", "behind a", "behind b", "behind it"];
    ab_ba_in_one_structure: ["ab", "ba"];
    three_in_a_circle: ["a", "b", "c"];
    seven_in_a_circle: ["one", "one", "one", "one", "one", "one", "one"];
    philosophers_who_all_begin_at_the_left: ["a", "b", "c", "d", "e"];
    transfers_both_ways: ["back", "forth"];
    two_circles_with_a_bridge: ["a", "b", "bridge", "c", "d"];
    one_of_the_circle_could_be_cancelled: ["ab", "ba"], lost [];
];

const TWINS: &[Twin] = twins![
    ab_ab,
    ab_ba_one_after_the_other,
    ab_ba_that_tries,
    philosophers_with_a_left_hander,
    a_chain_of_holders_whose_last_one_sleeps,
    a_chain_whose_last_one_is_a_plain_thread,
    a_circle_with_one_in_a_hurry,
];

pub const CLASS: Class = Class {
    name: "order of locks",
    bugs: BUGS,
    twins: TWINS,
    whole: 9,
    partial: 31,
};

type Fork = Arc<Mutex<u32>>;

fn forks<const N: usize>() -> [Fork; N] {
    std::array::from_fn(|_| Arc::new(Mutex::new(0)))
}

/// Takes the first, waits until all have theirs, takes the second.
fn crosswise(first: &Mutex<u32>, all: &Meet, second: &Mutex<u32>) {
    let mut first = first.lock().unwrap();
    all.arrive();
    let mut second = second.lock().unwrap();
    *first += 1;
    *second += 1;
}

fn circle<const N: usize>(stage: &Stage, names: [&'static str; N]) {
    let (forks, all) = (forks::<N>(), Meet::of(N));
    for (i, name) in names.into_iter().enumerate() {
        let (left, right) = (forks[i].clone(), forks[(i + 1) % N].clone());
        let all = all.clone();
        stage.go(name, move || crosswise(&left, &all, &right));
    }
}

/// GoBench GOKER cockroach#10214, kind "AB-BA deadlock".
fn ab_ba(stage: &Stage) {
    circle(stage, ["ab", "ba"]);
}

/// Kind: AB-BA; others wait for the two locks, and for what those hold.
fn ab_ba_with_others_behind(stage: &Stage) {
    let ([a, b, c], all) = (forks(), Meet::of(4));
    for (name, first, second) in [("ab", &a, &b), ("ba", &b, &a), ("behind a", &c, &a)] {
        let (first, second, all) = (first.clone(), second.clone(), all.clone());
        stage.go(name, move || crosswise(&first, &all, &second));
    }
    all.arrive();
    stage.go("behind b", move || *b.lock().unwrap() += 1);
    stage.go("behind it", move || *c.lock().unwrap() += 1);
}

/// GoBench GOKER cockroach#7504, kind "AB-BA deadlock"; both locks are in one structure.
fn ab_ba_in_one_structure(stage: &Stage) {
    #[derive(Default)]
    struct State {
        leases: Mutex<u32>,
        table: Mutex<u32>,
    }
    let (state, all) = (Arc::<State>::default(), Meet::of(2));
    let (state2, all2) = (state.clone(), all.clone());
    stage.go("ab", move || crosswise(&state.leases, &all, &state.table));
    stage.go("ba", move || {
        crosswise(&state2.table, &all2, &state2.leases)
    });
}

/// Kind: AB-BC-CA.
fn three_in_a_circle(stage: &Stage) {
    circle(stage, ["a", "b", "c"]);
}

/// Kind: a circle of seven.
fn seven_in_a_circle(stage: &Stage) {
    circle(stage, ["one"; 7]);
}

/// Dijkstra's philosophers: each has its left fork.
fn philosophers_who_all_begin_at_the_left(stage: &Stage) {
    circle(stage, ["a", "b", "c", "d", "e"]);
}

/// Kind: AB-BA; one function takes two locks in the order of its arguments.
fn transfers_both_ways(stage: &Stage) {
    #[derive(Clone)]
    struct Account {
        balance: Arc<Mutex<i64>>,
        all: Meet,
    }
    fn transfer(from: &Account, to: &Account, amount: i64) {
        let mut source = from.balance.lock().unwrap();
        from.all.arrive();
        *to.balance.lock().unwrap() += amount;
        *source -= amount;
    }
    let all = Meet::of(2);
    let [a, b] = [10, 20].map(|n| Account {
        balance: Arc::new(Mutex::new(n)),
        all: all.clone(),
    });
    let (a2, b2) = (a.clone(), b.clone());
    stage.go("forth", move || transfer(&a, &b, 3));
    stage.go("back", move || transfer(&b2, &a2, 4));
}

/// Kind: two circles, and one who holds a lock of nobody's and waits for one of each.
fn two_circles_with_a_bridge(stage: &Stage) {
    let ([a, b, c, d, e], all) = (forks(), Meet::of(5));
    let pairs = [
        ("a", &a, &b),
        ("b", &b, &a),
        ("c", &c, &d),
        ("d", &d, &c),
        ("bridge", &e, &a),
    ];
    for (name, first, second) in pairs {
        let (first, second, all) = (first.clone(), second.clone(), all.clone());
        stage.go(name, move || crosswise(&first, &all, &second));
    }
}

/// Kind: AB-BA; but somebody has the handle of one of the two, and with it both would go on.
fn one_of_the_circle_could_be_cancelled(stage: &Stage) {
    static KEPT: std::sync::Mutex<Option<runtime::JoinHandle<()>>> = std::sync::Mutex::new(None);
    let ([a, b], all) = (forks(), Meet::of(2));
    let (a2, b2, all2) = (a.clone(), b.clone(), all.clone());
    stage.go("ab", move || crosswise(&a, &all, &b));
    let kept = stage.keep("ba", move || crosswise(&b2, &all2, &a2));
    *KEPT.lock().unwrap() = Some(kept);
}

/// Both in the same order.
fn ab_ab(stage: &Stage) {
    let [a, b] = forks();
    for _ in 0..4 {
        let (a, b) = (a.clone(), b.clone());
        stage.go("ab", move || {
            let mut a = a.lock().unwrap();
            pause();
            let mut b = b.lock().unwrap();
            pause();
            *a += 1;
            *b += 1;
        });
    }
}

/// In different orders, but never at the same time.
fn ab_ba_one_after_the_other(stage: &Stage) {
    let [a, b, gate] = forks();
    for (first, second) in [(a.clone(), b.clone()), (b, a)] {
        let gate = gate.clone();
        stage.go("one at a time", move || {
            let _gate = gate.lock();
            let _first = first.lock();
            a_while();
            let _second = second.lock();
        });
    }
}

/// In different orders, and the one lets go if the other has it.
fn ab_ba_that_tries(stage: &Stage) {
    let ([a, b], all) = (forks(), Meet::of(2));
    let (a2, b2, all2) = (a.clone(), b.clone(), all.clone());
    stage.go("ab", move || {
        let first = a.lock().unwrap();
        all.arrive();
        a_while();
        let _second = b.lock();
        drop(first);
    });
    stage.go("ba", move || {
        let first = b2.lock().unwrap();
        all2.arrive();
        drop(first);
        loop {
            let _first = b2.lock();
            if a2.try_lock().is_ok() {
                break;
            }
            pause();
        }
    });
}

/// Dijkstra's philosophers, one of whom begins at the right.
fn philosophers_with_a_left_hander(stage: &Stage) {
    let forks = forks::<5>();
    for i in 0..5 {
        let (mut first, mut second) = (forks[i].clone(), forks[(i + 1) % 5].clone());
        if i == 4 {
            (first, second) = (second, first);
        }
        stage.go("philosopher", move || {
            for _ in 0..3 {
                let mut first = first.lock().unwrap();
                pause();
                let mut second = second.lock().unwrap();
                *first += 1;
                *second += 1;
            }
        });
    }
}

fn chain(stage: &Stage, forks: &[Fork], all: &Meet) {
    for pair in forks.windows(2) {
        let (mine, next, all) = (pair[0].clone(), pair[1].clone(), all.clone());
        stage.go("link", move || crosswise(&mine, &all, &next));
    }
}

/// Each waits for the next one's lock, and the last one sleeps.
fn a_chain_of_holders_whose_last_one_sleeps(stage: &Stage) {
    let (forks, all) = (forks::<6>(), Meet::of(6));
    let (last, all2) = (forks[5].clone(), all.clone());
    stage.go("last", move || {
        let _last = last.lock();
        all2.arrive();
        a_while();
    });
    chain(stage, &forks, &all);
}

/// The same with a plain thread at the end.
fn a_chain_whose_last_one_is_a_plain_thread(stage: &Stage) {
    let (forks, all) = (forks::<6>(), Meet::of(6));
    let (last, all2) = (forks[5].clone(), all.clone());
    chain(stage, &forks, &all);
    let thread = std::thread::spawn(move || {
        let _last = last.lock();
        all2.arrive();
        std::thread::sleep(std::time::Duration::from_millis(60));
    });
    runtime::blocking(|| thread.join()).unwrap();
}

/// A circle, and one of them waits with a deadline.
fn a_circle_with_one_in_a_hurry(stage: &Stage) {
    let (forks, all) = (forks::<4>(), Meet::of(4));
    chain(stage, &forks, &all);
    let (mine, next) = (forks[3].clone(), forks[0].clone());
    stage.go("in a hurry", move || {
        let _mine = mine.lock();
        all.arrive();
        assert!(
            next.lock_timeout(std::time::Duration::from_millis(60))
                .is_err()
        );
    });
}
