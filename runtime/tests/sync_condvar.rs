//! `sync::Condvar`: no notification is lost, in order, with deadlines.

mod support;

use runtime::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::{crowd, eventually, scale, with_procs, within_minute};

/// A bounded buffer with one condition per side: one lost notification, and it hangs.
struct Buffer {
    values: Mutex<VecDeque<usize>>,
    not_full: Condvar,
    not_empty: Condvar,
}

impl Buffer {
    const CAP: usize = 3;

    fn new() -> Buffer {
        Buffer {
            values: Mutex::default(),
            not_full: Condvar::new(),
            not_empty: Condvar::default(),
        }
    }

    fn put(&self, value: usize) {
        let values = self.values.lock().unwrap();
        let mut values = self
            .not_full
            .wait_while(values, |v| v.len() == Buffer::CAP)
            .unwrap();
        values.push_back(value);
        drop(values);
        self.not_empty.notify_one();
    }

    /// With a deadline in every other turn.
    fn take(&self, turn: usize) -> usize {
        let mut values = self.values.lock().unwrap();
        while values.is_empty() {
            if turn.is_multiple_of(2) {
                values = self.not_empty.wait(values).unwrap();
            } else {
                let timeout = Duration::from_micros(50);
                values = self.not_empty.wait_timeout(values, timeout).unwrap().0;
            }
        }
        let value = values.pop_front().unwrap();
        self.not_full.notify_one();
        value
    }
}

#[test]
fn a_bounded_buffer_passes_every_value() {
    with_procs(|rt| {
        let buffer = Arc::new((Buffer::new(), AtomicUsize::new(0)));
        let each = scale(5000);
        let at = buffer.clone();
        crowd(rt, 8, 4, move |i| {
            for k in 0..each {
                match i % 2 {
                    0 => at.0.put(k),
                    _ => drop(at.1.fetch_add(at.0.take(0), SeqCst)),
                }
            }
        });
        assert_eq!(buffer.1.load(SeqCst), 6 * (0..each).sum::<usize>());
    });
}

/// Who gives up may have been notified in the same moment: then it must not give up.
#[test]
fn deadlines_swallow_no_notification() {
    with_procs(|rt| {
        let buffer = Arc::new((Buffer::new(), AtomicUsize::new(0)));
        let each = scale(2000);
        let at = buffer.clone();
        crowd(rt, 8, 2, move |i| {
            for k in 0..each {
                match i % 2 {
                    0 => at.0.put(k),
                    _ => drop(at.1.fetch_add(at.0.take(k), SeqCst)),
                }
            }
        });
        assert_eq!(buffer.1.load(SeqCst), 5 * (0..each).sum::<usize>());
    });
}

#[test]
fn those_who_wait_are_notified_in_order() {
    with_procs(|rt| {
        let shared = Arc::new((Mutex::new((0, Vec::new())), Condvar::new()));
        let hs: Vec<_> = (0..10)
            .map(|i| {
                let at = shared.clone();
                let h = rt.spawn(move || {
                    let mut state = at.0.lock().unwrap();
                    state.0 += 1;
                    let mut state = at.1.wait(state).unwrap();
                    state.1.push(i);
                });
                // The mutex is free again when it waits.
                assert!(eventually(|| shared.0.lock().unwrap().0 == i + 1));
                h
            })
            .collect();
        for n in 1..=10 {
            shared.1.notify_one();
            assert!(eventually(|| shared.0.lock().unwrap().1.len() == n));
        }
        hs.into_iter().for_each(|h| h.join().unwrap());
        let order = shared.0.lock().unwrap().1.clone();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn notify_all_reaches_everybody_and_only_those_who_wait() {
    with_procs(|rt| {
        let shared = Arc::new((Mutex::new((0, 0)), Condvar::new()));
        shared.1.notify_all(); // nobody there: nothing is remembered
        shared.1.notify_one();
        let at = shared.clone();
        let all = std::thread::spawn({
            let shared = shared.clone();
            move || {
                assert!(eventually(|| shared.0.lock().unwrap().0 == 100));
                assert_eq!(shared.0.lock().unwrap().1, 0);
                shared.1.notify_all();
            }
        });
        crowd(rt, 95, 5, move |_| {
            let mut state = at.0.lock().unwrap();
            state.0 += 1;
            let mut state = at.1.wait(state).unwrap();
            state.1 += 1;
        });
        all.join().unwrap();
        assert_eq!(shared.0.lock().unwrap().1, 100);
    });
}

#[test]
fn a_deadline_is_never_early_and_says_so() {
    with_procs(|rt| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let at = shared.clone();
        crowd(rt, 4, 4, move |i| {
            let (mutex, never) = &*at;
            let timeout = Duration::from_millis(2 + i as u64);
            let start = Instant::now();
            let guard = mutex.lock().unwrap();
            let (mut guard, result) = match i % 4 {
                0 => never.wait_timeout(guard, timeout),
                1 => never.wait_deadline(guard, start + timeout),
                2 => never.wait_timeout_while(guard, timeout, |_| true),
                _ => never.wait_deadline_while(guard, start + timeout, |_| true),
            }
            .unwrap();
            assert!(result.timed_out() && start.elapsed() >= timeout);
            *guard += 1;
        });
        let guard = shared.0.lock().unwrap();
        assert_eq!(*guard, 8);
        let far = Duration::from_secs(600);
        let (_guard, result) = shared.1.wait_timeout_while(guard, far, |_| false).unwrap();
        assert!(!result.timed_out());
    });
}

#[test]
fn a_wait_with_a_deadline_is_notified() {
    with_procs(|rt| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let at = shared.clone();
        let waits = rt.spawn(move || {
            let far = Duration::from_secs(600);
            let guard = at.0.lock().unwrap();
            let (guard, result) = at.1.wait_timeout_while(guard, far, |set| !*set).unwrap();
            assert!(*guard && !result.timed_out());
        });
        std::thread::sleep(Duration::from_millis(2));
        *shared.0.lock().unwrap() = true;
        shared.1.notify_one();
        waits.join().unwrap();
    });
}

#[test]
fn a_wait_tells_of_poison() {
    within_minute(|| {
        let rt = runtime::start(2);
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let at = shared.clone();
        let waits = rt.spawn(move || {
            let mut guard = at.0.lock().unwrap();
            *guard = 1;
            at.1.wait(guard).is_err()
        });
        let at = shared.clone();
        assert!(eventually(|| *at.0.lock().unwrap() == 1));
        let panics = rt.spawn(move || {
            let _guard = at.0.lock().unwrap();
            at.1.notify_one();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err());
        assert!(waits.join().unwrap());
    });
}
