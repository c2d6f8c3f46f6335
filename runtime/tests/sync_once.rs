//! `sync::Once`, `OnceLock`, `LazyLock`: once, whoever comes, and what a panic does.

mod support;

use runtime::sync::{LazyLock, Once, OnceLock};
use runtime::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, scale, with_procs, within_minute};

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(s) => *s,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[test]
fn many_come_and_one_does_it() {
    with_procs(|rt| {
        for _ in 0..scale(100) {
            let once = Arc::new((Once::new(), AtomicUsize::new(0)));
            let at = once.clone();
            crowd(rt, 20, 2, move |_| {
                let (once, runs) = &*at;
                once.call_once(|| {
                    yield_now();
                    runs.fetch_add(1, SeqCst);
                });
                assert_eq!(runs.load(SeqCst), 1, "before it was done");
                assert!(once.is_completed());
            });
        }
    });
}

#[test]
fn a_cell_is_initialised_once_and_set_once() {
    with_procs(|rt| {
        for _ in 0..scale(100) {
            let cell = Arc::new((OnceLock::new(), AtomicUsize::new(0)));
            let at = cell.clone();
            crowd(rt, 12, 2, move |i| {
                let (cell, runs) = &*at;
                let value = *match i % 3 {
                    0 => match cell.set(7) {
                        Ok(()) => {
                            runs.fetch_add(1, SeqCst);
                            cell.get().unwrap()
                        }
                        Err(7) => cell.get().unwrap(),
                        Err(_) => unreachable!(),
                    },
                    1 => cell.get_or_init(|| {
                        yield_now();
                        runs.fetch_add(1, SeqCst);
                        7
                    }),
                    _ => cell.wait(),
                };
                assert_eq!(value, 7);
            });
            assert_eq!(cell.1.load(SeqCst), 1);
        }
    });
}

#[test]
fn a_lazy_value_is_computed_once() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    with_procs(|rt| {
        RUNS.store(0, SeqCst);
        let lazy: Arc<LazyLock<Vec<usize>>> = Arc::new(LazyLock::new(|| {
            yield_now();
            RUNS.fetch_add(1, SeqCst);
            vec![1, 2, 3]
        }));
        assert!(LazyLock::get(&lazy).is_none());
        let at = lazy.clone();
        crowd(rt, 20, 4, move |i| assert_eq!(at[i % 3], i % 3 + 1));
        assert_eq!(RUNS.load(SeqCst), 1);
        assert_eq!(LazyLock::force(&lazy), LazyLock::get(&lazy).unwrap());
    });
}

#[test]
fn a_panic_poisons_a_once_until_it_is_forced() {
    with_procs(|rt| {
        rt.run(|| {
            let once = Once::new();
            assert!(panics(|| once.call_once(|| resume_unwind(Box::new(())))));
            let told = message(|| once.call_once(|| unreachable!()));
            assert_eq!(told, "Once instance has previously been poisoned");
            assert!(panics(|| once.wait()));
            assert!(!once.is_completed());
            once.call_once_force(|state| assert!(state.is_poisoned()));
            once.call_once(|| unreachable!());
            once.wait();
            once.wait_force();
        });
    });
}

#[test]
fn those_who_wait_for_an_attempt_that_panics_are_told() {
    with_procs(|rt| {
        let once = Arc::new(Once::new());
        let (inside, leave) = (Arc::new(Once::new()), Arc::new(Once::new()));
        let (at, i, l) = (once.clone(), inside.clone(), leave.clone());
        let attempt = rt.spawn(move || {
            at.call_once(|| {
                i.call_once(|| ());
                l.wait();
                resume_unwind(Box::new(()));
            });
        });
        inside.wait();
        let waiters: Vec<_> = (0..4)
            .map(|i| {
                let at = once.clone();
                rt.spawn(move || match i % 2 {
                    0 => panics(|| at.call_once(|| ())),
                    _ => panics(|| at.wait()),
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(2));
        leave.call_once(|| ());
        assert!(attempt.join().is_err());
        waiters.into_iter().for_each(|h| assert!(h.join().unwrap()));
    });
}

#[test]
fn a_cell_survives_a_panic_and_an_error_of_its_initialisation() {
    with_procs(|rt| {
        rt.run(|| {
            let mut cell = OnceLock::new();
            assert!(panics(|| {
                cell.get_or_init(|| resume_unwind(Box::new(())));
            }));
            assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
            assert_eq!(cell.get(), None);
            assert_eq!(cell.get_or_try_init(|| Ok::<u8, &str>(1)), Ok(&1));
            assert_eq!(cell.set(2), Err(2));
            assert_eq!(cell.clone(), OnceLock::from(1));
            assert_eq!(format!("{cell:?}"), "OnceLock(1)");
            *cell.get_mut().unwrap() = 3;
            assert_eq!(cell.take(), Some(3));
            assert_eq!(format!("{cell:?}"), "OnceLock(<uninit>)");
            assert_eq!(cell.set(4), Ok(()));
            assert_eq!(cell.into_inner(), Some(4));
        });
    });
}

#[test]
fn a_lazy_value_whose_computation_panicked_is_poisoned() {
    within_minute(|| {
        let lazy: LazyLock<u8> = LazyLock::new(|| resume_unwind(Box::new(())));
        assert!(panics(|| _ = LazyLock::force(&lazy)));
        let told = message(|| _ = *lazy);
        assert_eq!(told, "LazyLock instance has previously been poisoned");
        assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
    });
}

#[test]
fn what_waits_for_itself_panics() {
    with_procs(|rt| {
        let recursion = || {
            let once = Once::new();
            let told = message(|| once.call_once(|| once.call_once(|| ())));
            assert_eq!(told, "what is done once waits for itself to be done");
            let cell = OnceLock::new();
            assert!(panics(|| {
                cell.get_or_init(|| {
                    yield_now(); // perhaps on another thread from here on
                    *cell.get_or_init(|| 1)
                });
            }));
        };
        rt.run(recursion);
        recursion();
    });
}

#[test]
fn a_wait_with_a_deadline_is_never_early() {
    with_procs(|rt| {
        let shared = Arc::new((Once::new(), OnceLock::<u8>::new()));
        let at = shared.clone();
        crowd(rt, 4, 2, move |i| {
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let failed = match i % 4 {
                0 => !at.0.wait_timeout(timeout),
                1 => !at.0.wait_deadline(start + timeout),
                2 => at.1.wait_timeout(timeout).is_none(),
                _ => at.1.wait_deadline(start + timeout).is_none(),
            };
            assert!(failed && start.elapsed() >= timeout);
        });
        shared.0.call_once(|| ());
        shared.1.set(1).unwrap();
        assert!(shared.0.wait_timeout(Duration::ZERO));
        assert_eq!(shared.1.wait_timeout(Duration::ZERO), Some(&1));
    });
}

#[test]
fn what_was_initialised_is_dropped_once() {
    within_minute(|| {
        let alive = support::Alive::default();
        let cell = OnceLock::new();
        cell.get_or_init(|| alive.token());
        assert!(cell.set(alive.token()).is_err());
        assert_eq!(alive.count(), 1);
        drop(cell);
        let made = alive.clone();
        let lazy = LazyLock::new(move || made.token());
        LazyLock::force(&lazy);
        assert_eq!(alive.count(), 1);
        drop(lazy);
        assert_eq!(alive.count(), 0);
    });
}
