//! Programs whose goroutines all wait, and of which one waits for the world: the time, the system, threads that
//! the runtime does not know, other processes. And the circles that plain threads are a part of.

use crate::stage::{Bug, Class, Meet, Stage, Twin, bugs, pause, twins};
use channels::bounded;
use runtime::process::Command;
use runtime::signal::{Signal, Signals};
use runtime::sync::Mutex;
use runtime::{go, net, time, yield_now};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const BUGS: &[Bug] = bugs![
    a_plain_thread_waits_for_who_waits_for_it: ["goroutine"];
    a_plain_thread_holds_the_lock_and_waits: ["behind", "goroutine"];
    hangs_right_after_a_sleep: ["sleeper"];
    hangs_right_after_a_thread_has_sent: ["receiver"];
];

const TWINS: &[Twin] = twins![
    all_sleep,
    all_behind_one_that_sleeps,
    a_plain_thread_that_waits_with_a_limit,
    a_plain_thread_in_a_lock_of_std,
    threads_that_start_threads,
    a_socket_and_a_plain_thread,
    a_pipe_between_goroutines_of_which_one_sleeps,
    a_process_that_ends_later,
    a_signal_from_another_process,
    a_blocking_call,
    a_blocking_call_that_is_not_announced,
    a_destructor_that_the_scheduler_runs,
    a_timer_that_was_moved,
    a_ticker_of_one_round,
];

pub const CLASS: Class = Class {
    name: "plain threads",
    bugs: BUGS,
    twins: TWINS,
    whole: 4,
    partial: 1,
};

const A_WHILE: Duration = Duration::from_millis(60);

/// Kind: a circle of a goroutine and a thread that is not the runtime's.
fn a_plain_thread_waits_for_who_waits_for_it(stage: &Stage) {
    let ((to_thread, inbox), (to_us, outbox)) = (bounded::<u32>(0), bounded::<u32>(0));
    thread::spawn(move || {
        let _ = inbox.recv();
        let _ = to_us.send(1);
    });
    stage.go("goroutine", move || {
        let _ = outbox.recv();
        let _ = to_thread.send(1);
    });
}

/// Kind: the same, with a lock.
fn a_plain_thread_holds_the_lock_and_waits(stage: &Stage) {
    let (lock, has_it) = (Arc::new(Mutex::new(0)), Meet::of(2));
    let (lock2, has_it2) = (lock.clone(), has_it.clone());
    let (tx, rx) = bounded::<u32>(0);
    thread::spawn(move || {
        let _guard = lock2.lock();
        has_it2.arrive();
        let _ = rx.recv();
    });
    has_it.arrive();
    let lock2 = lock.clone();
    stage.go("goroutine", move || {
        *lock.lock().unwrap() += 1;
        tx.send(1)
    });
    stage.go("behind", move || *lock2.lock().unwrap() += 1);
}

/// Kind: never closed; all are idle for a while, then one goes on for some microseconds, and hangs.
fn hangs_right_after_a_sleep(stage: &Stage) {
    stage.go("sleeper", || {
        let (tx, rx) = bounded::<u32>(0);
        time::sleep(2 * A_WHILE);
        let _ = rx.recv();
        drop(tx);
    });
}

/// Kind: never closed; the same, after a word of a plain thread that ends with it.
fn hangs_right_after_a_thread_has_sent(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    let keeps_open = tx.clone();
    thread::spawn(move || {
        thread::sleep(2 * A_WHILE);
        let _ = tx.send(1);
    });
    stage.go("receiver", move || {
        rx.iter().for_each(drop);
        drop(keeps_open);
    });
}

/// Everybody waits for the time.
fn all_sleep(stage: &Stage) {
    for n in 0..5u64 {
        stage.go("sleeper", move || {
            time::sleep(Duration::from_millis(20 + 10 * n))
        });
    }
}

/// Nobody but one does.
fn all_behind_one_that_sleeps(stage: &Stage) {
    let ((tx, rx), lock) = (bounded::<u32>(0), Arc::new(Mutex::new(0)));
    let first = stage.keep("first", move || {
        time::sleep(A_WHILE);
        tx.send(1)
    });
    let lock2 = lock.clone();
    stage.go("receiver", move || {
        *lock2.lock().unwrap() = rx.recv().unwrap()
    });
    stage.go("joiner", move || first.join().unwrap());
    stage.go("behind", move || drop(lock.lock()));
}

/// A thread is parked in the runtime, but not for ever.
fn a_plain_thread_that_waits_with_a_limit(stage: &Stage) {
    let ((to_us, outbox), (_to_thread, inbox)) = (bounded::<u32>(0), bounded::<u32>(0));
    thread::spawn(move || {
        assert!(inbox.recv_timeout(A_WHILE).is_err());
        to_us.send(1).unwrap();
    });
    stage.go("goroutine", move || assert_eq!(outbox.recv(), Ok(1)));
    time::sleep(2 * A_WHILE);
}

/// A thread is parked where the runtime does not see it.
fn a_plain_thread_in_a_lock_of_std(stage: &Stage) {
    let (tx, rx) = bounded::<u32>(0);
    let (state, changed) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    thread::spawn(move || {
        let guard = state.lock().unwrap();
        drop(changed.wait_timeout(guard, A_WHILE).unwrap());
        tx.send(1).unwrap();
    });
    stage.go("goroutine", move || assert_eq!(rx.recv(), Ok(1)));
}

/// There is always one, but never the same for long.
fn threads_that_start_threads(stage: &Stage) {
    fn relay(left: u32, tx: channels::Sender<u32>) {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(4));
            match left {
                0 => tx.send(1).unwrap(),
                _ => relay(left - 1, tx),
            }
        });
    }
    let (tx, rx) = bounded(0);
    relay(15, tx);
    stage.go("goroutine", move || assert_eq!(rx.recv(), Ok(1)));
}

/// The other end of a socket is a thread's.
fn a_socket_and_a_plain_thread(stage: &Stage) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        thread::sleep(A_WHILE);
        socket.write_all(b"7").unwrap();
    });
    stage.go("reader", move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        assert_eq!(text, "7");
    });
}

/// The kernel keeps what leads from one to the other.
fn a_pipe_between_goroutines_of_which_one_sleeps(stage: &Stage) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tx, rx) = bounded(0);
    stage.go("writer", move || {
        let mut socket = net::TcpStream::connect(address).unwrap();
        time::sleep(A_WHILE);
        socket.write_all(b"x").unwrap();
    });
    stage.go("reader", move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        tx.send(byte[0]).unwrap();
    });
    stage.go("last", move || assert_eq!(rx.recv(), Ok(b'x')));
}

/// A child process.
fn a_process_that_ends_later(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("parent", move || {
        let status = Command::new("sleep").arg("0.06").status().unwrap();
        tx.send(status.success()).unwrap();
    });
    stage.go("last", move || assert_eq!(rx.recv(), Ok(true)));
}

/// A child process that this one does not wait for.
fn a_signal_from_another_process(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("waits", move || {
        let signals = Signals::new([Signal::USR1]).unwrap();
        let script = format!("sleep 0.06; kill -USR1 {}", std::process::id());
        let mut child = std::process::Command::new("sh")
            .args(["-c", &script])
            .spawn()
            .unwrap();
        assert_eq!(signals.recv(), Some(Signal::USR1));
        child.wait().unwrap();
        tx.send(()).unwrap();
    });
    stage.go("last", move || assert_eq!(rx.recv(), Ok(())));
}

/// A call that blocks its thread, with notice.
fn a_blocking_call(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("blocks", move || {
        runtime::blocking(|| thread::sleep(A_WHILE));
        tx.send(1).unwrap();
    });
    stage.go("last", move || assert_eq!(rx.recv(), Ok(1)));
}

/// What others have deferred by crossbeam-epoch may be run by the scheduler, in nobody's name.
fn a_destructor_that_the_scheduler_runs(stage: &Stage) {
    let (tx, rx) = bounded(1);
    stage.go("last", move || {
        let begun = Arc::new(AtomicBool::new(false));
        let limit = Instant::now() + Duration::from_secs(5);
        while !begun.load(SeqCst) {
            for _ in 0..64 {
                let (begun, tx) = (begun.clone(), tx.clone());
                crossbeam_epoch::pin().defer(move || {
                    if runtime::current().is_none() && !begun.swap(true, SeqCst) {
                        thread::sleep(4 * A_WHILE);
                        tx.send(()).unwrap();
                    }
                });
            }
            crossbeam_epoch::pin().flush();
            many_yield(Duration::ZERO);
            if Instant::now() > limit {
                return; // whose turn it is to collect is not in our hands
            }
        }
        many_yield(A_WHILE); // its P goes to another thread
        rx.recv().unwrap();
    });
}

/// Goroutines that yield, for so long but twice at least.
fn many_yield(time: Duration) {
    let end = Instant::now() + time;
    let all: Vec<_> = (0..100)
        .map(|_| {
            go!(move || loop {
                yield_now();
                if Instant::now() >= end {
                    break;
                }
            })
        })
        .collect();
    all.into_iter().for_each(|h| h.join().unwrap());
}

/// A blocking call without notice.
fn a_blocking_call_that_is_not_announced(stage: &Stage) {
    let (tx, rx) = bounded(0);
    stage.go("blocks", move || {
        thread::sleep(A_WHILE);
        tx.send(1).unwrap();
    });
    stage.go("last", move || assert_eq!(rx.recv(), Ok(1)));
}

/// Nothing but a timer is left, and it was put off.
fn a_timer_that_was_moved(stage: &Stage) {
    let (tx, rx) = bounded::<Instant>(1);
    let start = Instant::now();
    let call = move || tx.send(Instant::now()).unwrap();
    let after = time::after_func(Duration::from_millis(5), call);
    if after.reset(A_WHILE) {
        stage.go("last", move || {
            assert!(rx.recv().unwrap() >= start + A_WHILE)
        });
    }
    std::mem::forget(after);
}

/// A ticker that is used once.
fn a_ticker_of_one_round(stage: &Stage) {
    let ticks = channels::tick(A_WHILE);
    let (tx, rx) = bounded(0);
    stage.go("ticks", move || tx.send(ticks.recv().is_ok()).unwrap());
    stage.go("last", move || assert_eq!(rx.recv(), Ok(true)));
    pause();
}
