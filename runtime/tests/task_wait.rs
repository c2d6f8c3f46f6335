//! `wait`, `as_completed`, `wait_for`, `join_timeout`: who ends first, who comes back, who is cancelled.

mod support;

use runtime::task::{Until, WaitError, as_completed, shield, wait, wait_for};
use runtime::time::{Elapsed, sleep, timeout};
use runtime::{JoinError, JoinHandle, Runtime, go};
use std::time::{Duration, Instant};
use support::{Alive, eventually, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Spawns: into `rt`, or into the caller's own runtime. (On a plain thread that would be the runtime of
/// any test that runs beside this one.)
fn spawn<T: Send + 'static>(
    rt: Option<&Runtime>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match rt {
        Some(rt) => rt.spawn(f),
        None => go!(f),
    }
}

fn after<T: Send + 'static>(rt: Option<&Runtime>, ms: u32, value: T) -> JoinHandle<T> {
    spawn(rt, move || {
        sleep(ms * MS);
        value
    })
}

/// Ends with a value when the gate is opened (dropped).
fn gated<T: Send + 'static>(rt: Option<&Runtime>, value: T) -> (Gate, JoinHandle<T>) {
    let (gate, opened) = channels::bounded(0);
    let h = spawn(rt, move || {
        assert!(opened.recv().is_err());
        value
    });
    (Gate(gate), h)
}

struct Gate(#[allow(dead_code, reason = "it is only dropped")] channels::Sender<()>);

/// Several of them.
fn gates<const N: usize>(rt: Option<&Runtime>) -> ([Option<Gate>; N], [JoinHandle<u32>; N]) {
    let mut gates = [const { None }; N];
    let handles = std::array::from_fn(|i| {
        let (gate, h) = gated(rt, i as u32);
        gates[i] = Some(gate);
        h
    });
    (gates, handles)
}

/// Waits until the goroutine has ended.
fn ended<T>(h: &JoinHandle<T>) {
    assert!(eventually(|| {
        runtime::yield_now();
        h.is_finished()
    }));
}

/// Panics after a while, without a report.
fn failing(rt: Option<&Runtime>, ms: u32) -> JoinHandle<u32> {
    spawn(rt, move || {
        sleep(ms * MS);
        std::panic::resume_unwind(Box::new(()))
    })
}

/// Sleeps for ever, and holds a token while it lives.
fn sleeper(rt: Option<&Runtime>, alive: &Alive) -> JoinHandle<()> {
    let token = alive.token();
    spawn(rt, move || {
        let _token = token;
        sleep(HOUR);
    })
}

/// On goroutines and on plain threads, with 1, 2, 4 and 8 Ps.
fn everywhere(work: impl Fn(Option<&Runtime>) + Sync) {
    with_procs(|rt| {
        rt.run(|| work(None));
        work(Some(rt));
    });
}

fn values(handles: Vec<JoinHandle<u32>>) -> Vec<u32> {
    handles.into_iter().map(|h| h.join().unwrap()).collect()
}

#[test]
fn wait_returns_with_the_first_or_with_all() {
    everywhere(|rt| {
        let handles = [after(rt, 3000, 0), after(rt, 1, 1), after(rt, 3000, 2)];
        let start = Instant::now();
        let waited = wait(handles, Until::FirstCompleted, None);
        assert!(start.elapsed() < 3000 * MS);
        assert_eq!(values(waited.done), [1]);
        assert_eq!(waited.pending.len(), 2);
        waited.pending.iter().for_each(|h| assert!(h.cancel()));
        let waited = wait(waited.pending, Until::AllCompleted, None);
        assert!(waited.pending.is_empty());
        for h in waited.done {
            assert!(matches!(h.join(), Err(JoinError::Cancelled)));
        }
        for until in [
            Until::FirstCompleted,
            Until::AllCompleted,
            Until::FirstException,
        ] {
            let waited = wait(Vec::<JoinHandle<()>>::new(), until, None);
            assert_eq!((waited.done.len(), waited.pending.len()), (0, 0));
        }
    });
}

#[test]
fn wait_keeps_the_order_and_takes_nothing() {
    everywhere(|rt| {
        let handles = [9, 1, 5, 3, 7].map(|ms| after(rt, ms, ms));
        let waited = wait(handles, Until::AllCompleted, None);
        assert_eq!(values(waited.done), [9, 1, 5, 3, 7]);
        // The same handles again and again, until the last has ended.
        let mut pending: Vec<_> = (1..20).map(|ms| after(rt, ms, ms)).collect();
        let mut done = Vec::new();
        while !pending.is_empty() {
            let mut waited = wait(pending, Until::FirstCompleted, None);
            assert!(!waited.done.is_empty());
            done.append(&mut waited.done);
            pending = waited.pending;
        }
        assert_eq!(values(done).into_iter().sum::<u32>(), 190);
    });
}

#[test]
fn wait_for_the_first_exception() {
    everywhere(|rt| {
        let (mut gates, [value, cancelled, never]) = gates(rt);
        cancelled.cancel();
        gates[0] = None;
        ended(&value);
        ended(&cancelled);
        // Neither of these two ends the wait, but this one does.
        let handles = [value, failing(rt, 5), cancelled, never];
        let ids = handles.each_ref().map(JoinHandle::id);
        let waited = wait(handles, Until::FirstException, None);
        let done: Vec<_> = waited.done.iter().map(JoinHandle::id).collect();
        assert_eq!(done, ids[..3]);
        assert_eq!(waited.pending[0].id(), ids[3]);
        let waited = wait(
            [after(rt, 1, 1), after(rt, 2, 2)],
            Until::FirstException,
            None,
        );
        assert_eq!(values(waited.done), [1, 2]);
        // A large result is looked at where it lies.
        let large = spawn(rt, || [7u64; 64]);
        let mut waited = wait([large], Until::FirstException, None);
        assert_eq!(waited.done.remove(0).join().unwrap(), [7; 64]);
    });
}

#[test]
fn wait_for_a_limited_time_cancels_nothing() {
    everywhere(|rt| {
        for until in [
            Until::FirstCompleted,
            Until::AllCompleted,
            Until::FirstException,
        ] {
            for limit in [MS, Duration::ZERO] {
                let (gates, handles) = gates::<2>(rt);
                let waited = wait(handles, until, Some(limit));
                assert_eq!((waited.done.len(), waited.pending.len()), (0, 2));
                drop(gates);
                assert_eq!(values(waited.pending), [0, 1]);
            }
        }
        let waited = wait([after(rt, 1, 0)], Until::AllCompleted, Some(Duration::MAX));
        assert_eq!(values(waited.done), [0]);
    });
}

#[test]
fn who_waits_can_be_cancelled_and_the_others_go_on() {
    everywhere(|rt| {
        let alive = Alive::default();
        let h = sleeper(rt, &alive);
        let over = timeout(5 * MS, || drop(wait([h], Until::AllCompleted, None)));
        assert_eq!(over, Err(Elapsed));
        let h = sleeper(rt, &alive);
        let over = timeout(5 * MS, || as_completed([h]).count());
        assert_eq!(over, Err(Elapsed));
        let h = sleeper(rt, &alive);
        let over = timeout(5 * MS, || h.join_timeout(HOUR).is_ok());
        assert_eq!(over, Err(Elapsed));
        sleep(2 * MS);
        assert_eq!(alive.count(), 3, "they were detached");
        let h = sleeper(rt, &alive);
        let over = timeout(5 * MS, || wait_for(HOUR, h).is_ok());
        assert_eq!(over, Err(Elapsed));
        assert_eq!(alive.count(), 3, "this one was cancelled, and waited for");
    });
}

#[test]
fn results_come_in_the_order_of_the_ends() {
    everywhere(|rt| {
        let (mut gates, handles) = gates::<4>(rt);
        let mut results = as_completed(handles);
        for i in [2, 0, 3, 1] {
            gates[i] = None;
            let (number, result) = results.next().unwrap();
            assert_eq!((number, result.unwrap()), (i, i as u32));
        }
        assert!(results.next().is_none());
        let mut results = as_completed([failing(rt, 5), gated(rt, 7).1]);
        assert_eq!(results.size_hint(), (0, Some(2)));
        let (mut ok, mut failed) = (0, 0);
        for (number, result) in &mut results {
            match result {
                Ok(value) => ok += usize::from((number, value) == (1, 7)),
                Err(why) => failed += usize::from(number == 0 && why.is_panic()),
            }
        }
        assert_eq!((ok, failed), (1, 1));
        assert!(results.next().is_none() && results.next().is_none());
    });
}

#[test]
fn who_has_ended_before_comes_first_and_in_the_order_of_the_handles() {
    everywhere(|rt| {
        let (mut gates, handles) = gates::<4>(rt);
        for i in [3, 1, 2] {
            gates[i] = None;
            ended(&handles[i]);
        }
        let mut results = as_completed(handles);
        for i in [1, 2, 3] {
            assert_eq!(results.next().unwrap().0, i);
        }
        gates[0] = None;
        assert_eq!(results.next().unwrap().0, 0);
    });
}

#[test]
fn what_is_left_of_as_completed_goes_on_or_comes_back() {
    everywhere(|rt| {
        let alive = Alive::default();
        let mut results = as_completed([sleeper(rt, &alive), spawn(rt, || ())]);
        assert_eq!(results.next().unwrap().0, 1);
        drop(results);
        sleep(MS);
        assert_eq!(alive.count(), 1);
        let (mut gates, handles) = gates::<3>(rt);
        let mut results = as_completed(handles);
        gates[1] = None;
        assert_eq!(results.next().unwrap().0, 1);
        drop(gates);
        assert_eq!(values(results.into_rest()), [0, 2]);
    });
}

#[test]
fn an_iterator_of_results_moves_between_threads() {
    within_minute(|| {
        let rt = runtime::start(2);
        let handles: Vec<_> = (0..20).map(|i| after(Some(&rt), i, i)).collect();
        let mut results = as_completed(handles);
        assert!(results.next().is_some());
        let mut results = rt.run(move || {
            assert!(results.next().is_some());
            results
        });
        assert!(results.next().is_some());
        let left = std::thread::spawn(move || results.count()).join().unwrap();
        assert_eq!(left, 17);
    });
}

#[test]
fn a_target_whose_time_is_over_is_cancelled_and_waited_for() {
    everywhere(|rt| {
        let alive = Alive::default();
        let waited = wait_for(5 * MS, sleeper(rt, &alive));
        assert!(matches!(waited, Err(WaitError::Elapsed)));
        assert_eq!(alive.count(), 0);
        assert_eq!(wait_for(HOUR, after(rt, 1, "value")).unwrap(), "value");
        assert_eq!(wait_for(Duration::MAX, after(rt, 1, 2)).unwrap(), 2);
        let failed = wait_for(HOUR, failing(rt, 1));
        assert!(matches!(
            failed,
            Err(WaitError::Failed(JoinError::Panicked(_)))
        ));
        let cancelled = after(rt, 3000, 0);
        cancelled.cancel();
        let failed = wait_for(HOUR, cancelled);
        assert!(matches!(
            failed,
            Err(WaitError::Failed(JoinError::Cancelled))
        ));
        // It does not care, and has a result.
        let (begin, begun) = channels::bounded(1);
        let b = begin.clone();
        let stubborn = spawn(rt, move || {
            b.send(()).unwrap();
            while std::panic::catch_unwind(|| sleep(HOUR)).is_ok() {}
            5
        });
        begun.recv().unwrap();
        assert_eq!(wait_for(2 * MS, stubborn).unwrap(), 5);
        // It fails while it unwinds.
        let worse = spawn(rt, move || {
            begin.send(()).unwrap();
            if std::panic::catch_unwind(|| sleep(HOUR)).is_err() {
                std::panic::resume_unwind(Box::new("worse"));
            }
        });
        begun.recv().unwrap();
        let failed = wait_for(2 * MS, worse);
        assert!(matches!(
            failed,
            Err(WaitError::Failed(JoinError::Panicked(_)))
        ));
    });
}

#[test]
fn a_shield_keeps_its_goroutine_from_the_timeout_and_the_cancel_of_who_waits() {
    everywhere(|rt| {
        let alive = Alive::default();
        let waited = wait_for(2 * MS, shield(sleeper(rt, &alive)));
        assert!(matches!(waited, Err(WaitError::Elapsed)));
        let h = sleeper(rt, &alive);
        let over = timeout(2 * MS, || wait_for(HOUR, shield(h)).is_ok());
        assert_eq!(over, Err(Elapsed));
        sleep(2 * MS);
        assert_eq!(alive.count(), 2);
        assert_eq!(wait_for(HOUR, shield(after(rt, 1, 3))).unwrap(), 3);
        let inner = shield(after(rt, 1, 3)).into_inner();
        assert_eq!(inner.join().unwrap(), 3);
    });
}

#[test]
fn a_handle_comes_back_when_the_time_is_over() {
    everywhere(|rt| {
        let (gate, h) = gated(rt, 5);
        let h = h.join_timeout(MS).unwrap_err();
        let h = h.join_timeout(Duration::ZERO).unwrap_err();
        let h = h.join_deadline(Instant::now() + MS).unwrap_err();
        let mut waited = wait([h], Until::AllCompleted, Some(MS));
        let h = waited.pending.remove(0);
        let h = h.join_deadline(Instant::now()).unwrap_err();
        drop(gate);
        assert_eq!(h.join_timeout(Duration::MAX).unwrap().unwrap(), 5);
        let failed = failing(rt, 1).join_timeout(HOUR).unwrap();
        assert!(failed.unwrap_err().is_panic());
    });
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let (gate, opened) = channels::bounded::<()>(0);
            let word = String::from("borrowed");
            runtime::scope(|s| {
                let h = s.spawn(|| {
                    assert!(opened.recv().is_err());
                    word.len()
                });
                let h = h.join_timeout(MS).unwrap_err();
                let h = h.join_deadline(Instant::now() + MS).unwrap_err();
                drop(gate);
                assert_eq!(wait_for(HOUR, h).unwrap(), 8);
            });
        });
    });
}

#[test]
fn a_scope_hears_of_panics_whose_handles_a_wait_has_dropped() {
    within_minute(|| {
        let rt = runtime::start(2);
        rt.run(|| {
            let scope = std::panic::catch_unwind(|| {
                runtime::scope(|s| {
                    let failing = s.spawn(|| std::panic::resume_unwind(Box::new(())));
                    let waited = wait([failing], Until::FirstException, None);
                    assert_eq!(waited.done.len(), 1);
                });
            });
            assert!(scope.is_err());
            runtime::scope(|s| {
                let failing = s.spawn(|| std::panic::resume_unwind(Box::new(())));
                assert!(as_completed([failing]).next().unwrap().1.is_err());
            });
        });
    });
}
