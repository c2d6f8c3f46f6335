//! Descriptors that goroutines wait for: pipes here, whatever can be polled.

mod support;
#[path = "support/system.rs"]
mod system;

use runtime::io::Registered;
use runtime::park::WaitReason;
use runtime::sync::Semaphore;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{alone, everywhere, within_minute};
use system::{Dir, event, inotify};

fn registered_pipe() -> (Registered<PipeReader>, Registered<PipeWriter>) {
    let (rx, tx) = pipe().unwrap();
    (Registered::new(rx).unwrap(), Registered::new(tx).unwrap())
}

#[test]
fn a_ping_pong_through_pipes() {
    everywhere(|| {
        let (mut ping_rx, mut ping_tx) = registered_pipe();
        let (mut pong_rx, mut pong_tx) = registered_pipe();
        let h = runtime::go!(move || {
            let mut buf = [0; 8];
            while ping_rx.read_exact(&mut buf).is_ok() {
                pong_tx.write_all(&buf).unwrap();
            }
        });
        for i in 0..2_000u64 {
            let mut buf = [0; 8];
            ping_tx.write_all(&i.to_ne_bytes()).unwrap();
            pong_rx.read_exact(&mut buf).unwrap();
            assert_eq!(u64::from_ne_bytes(buf), i);
        }
        drop(ping_tx);
        h.join().unwrap();
    });
}

#[test]
fn a_reader_without_data_does_not_hold_a_p() {
    let _alone = alone();
    let rt = runtime::start(1);
    rt.run(|| {
        let (rx, mut tx) = registered_pipe();
        let rx = Arc::new(rx);
        let readers: Vec<_> = (0..100)
            .map(|_| {
                let rx = rx.clone();
                runtime::go!(move || {
                    let mut byte = [0];
                    (&*rx).read_exact(&mut byte).unwrap();
                    u64::from(byte[0])
                })
            })
            .collect();
        runtime::time::sleep(Duration::from_millis(10));
        assert!(readers.iter().all(|h| !h.is_finished()));
        for i in 0..100u8 {
            tx.write_all(&[i]).unwrap();
        }
        let sum: u64 = readers.into_iter().map(|h| h.join().unwrap()).sum();
        assert_eq!(sum, (0..100).sum());
    });
}

#[test]
fn a_deadline_ends_a_wait_and_loses_nothing() {
    everywhere(|| {
        let (rx, mut tx) = registered_pipe();
        for i in 0..20u8 {
            let start = Instant::now();
            let end = start + Duration::from_millis(2);
            let e = rx
                .read_deadline(end, |mut rx| rx.read(&mut [0]))
                .unwrap_err();
            assert_eq!(e.kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() >= Duration::from_millis(2));
            tx.write_all(&[i]).unwrap();
            let mut buf = [0; 4];
            let n = rx.read_with(|mut rx| rx.read(&mut buf)).unwrap();
            assert_eq!((n, buf[0]), (1, i));
        }
    });
}

#[test]
fn readable_and_writable_wait() {
    let _alone = alone();
    runtime::start(1).run(|| {
        let (rx, mut tx) = registered_pipe();
        tx.writable().unwrap();
        let rx = Arc::new(rx);
        let r = rx.clone();
        let h = runtime::go!(move || r.readable().unwrap());
        runtime::yield_now();
        assert!(!h.is_finished());
        tx.write_all(b"x").unwrap();
        h.join().unwrap();
        rx.readable().unwrap(); // nobody has read it
        // Full: not writable until somebody reads.
        let mut filled = 0;
        while let Ok(n) = tx.get_ref().write(&[0; 4096]) {
            filled += n;
        }
        let h = runtime::go!(move || tx.writable().unwrap());
        runtime::yield_now();
        assert!(!h.is_finished());
        let mut buf = vec![0; filled + 1];
        (&*rx).read_exact(&mut buf).unwrap();
        h.join().unwrap();
    });
}

#[test]
fn a_descriptor_outlives_the_runtime_it_waited_in() {
    let _alone = alone();
    let (rx, mut tx) = registered_pipe();
    let rx = Arc::new(rx);
    for round in 0..3u8 {
        let r = rx.clone();
        let rt = runtime::start(1);
        let t = std::thread::spawn({
            let mut tx = tx.get_ref().try_clone().unwrap();
            move || {
                std::thread::sleep(Duration::from_millis(5));
                tx.write_all(&[round]).unwrap();
            }
        });
        let mut byte = [9];
        rt.run(move || {
            (&*r).read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], round);
        });
        drop(rt);
        t.join().unwrap();
        // And on a plain thread.
        tx.write_all(b"t").unwrap();
        (&*rx).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"t");
    }
}

#[test]
fn a_wait_by_another_runtimes_poller_survives_its_end() {
    let _alone = alone();
    let (rx, mut tx) = registered_pipe();
    let rx = Arc::new(rx);
    let (first, second) = (runtime::start(1), runtime::start(1));
    let r = rx.clone();
    first.run(move || {
        // Registers it with the first.
        let end = Instant::now() + Duration::from_millis(1);
        r.read_deadline(end, |mut rx| rx.read(&mut [0]))
            .unwrap_err();
    });
    let h = second.spawn(move || {
        let mut byte = [0];
        (&*rx).read_exact(&mut byte).unwrap();
        byte[0]
    });
    std::thread::sleep(Duration::from_millis(20));
    drop(first);
    std::thread::sleep(Duration::from_millis(5));
    tx.write_all(&[7]).unwrap();
    assert_eq!(h.join().unwrap(), 7);
}

#[test]
fn cancel_and_shutdown_end_waits() {
    let _alone = alone();
    let (rx, _tx) = registered_pipe();
    let rx = Arc::new(rx);
    let rt = runtime::start(2);
    let r = rx.clone();
    rt.run(move || {
        let hs: Vec<_> = (0..10)
            .map(|_| {
                let rx = r.clone();
                runtime::go!(move || rx.readable())
            })
            .collect();
        runtime::time::sleep(Duration::from_millis(5));
        for h in hs {
            h.cancel();
            assert!(h.join().unwrap_err().to_string().contains("cancel"));
        }
        let late = runtime::time::timeout(Duration::from_millis(5), || r.readable());
        assert!(late.is_err());
    });
    let h = rt.spawn(move || rx.readable());
    std::thread::sleep(Duration::from_millis(5));
    drop(rt);
    assert!(h.join().is_err());
}

#[test]
fn a_regular_file_is_always_ready() {
    let _alone = alone();
    runtime::start(1).run(|| {
        let file = Registered::new(
            std::fs::File::open(file!())
                .or_else(|_| std::fs::File::open("tests/netpoll.rs"))
                .unwrap(),
        )
        .unwrap();
        file.readable().unwrap();
        let mut text = String::new();
        (&file).read_to_string(&mut text).unwrap();
        assert!(text.contains("a_regular_file_is_always_ready"));
    });
}

#[test]
fn a_thread_waits_with_a_timeout_too() {
    let (rx, mut tx) = registered_pipe();
    let start = Instant::now();
    let late = runtime::time::timeout(Duration::from_millis(20), || rx.readable());
    assert!(late.is_err() && start.elapsed() >= Duration::from_millis(20));
    tx.write_all(b"x").unwrap();
    rx.readable().unwrap();
}

#[test]
fn a_busy_p_still_polls() {
    let _alone = alone();
    let rt = runtime::start(1);
    rt.run(|| {
        let (mut rx, mut tx) = registered_pipe();
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let busy: Vec<_> = (0..10)
            .map(|_| {
                let stop = stop.clone();
                runtime::go!(
                    move || while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        runtime::yield_now();
                    }
                )
            })
            .collect();
        let writer = std::thread::spawn(move || {
            for i in 0..50u8 {
                std::thread::sleep(Duration::from_millis(1));
                tx.write_all(&[i]).unwrap();
            }
        });
        let mut byte = [0];
        for i in 0..50u8 {
            rx.read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], i);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        busy.into_iter().for_each(|h| h.join().unwrap());
        writer.join().unwrap();
    });
    // What the monitor finds, which looks every millisecond, does not count.
    assert!(rt.metrics().network_readied > 0, "the P never polled");
}

/// What is there is read at once: the first attempt comes before any wait.
#[test]
fn who_finds_something_does_not_wait() {
    let _alone = alone();
    for procs in support::PROCS {
        let rt = runtime::start(procs);
        rt.run(|| {
            let (mut rx, mut tx) = registered_pipe();
            let (mut a, mut b) = runtime::net::UnixStream::pair().unwrap();
            let mut byte = [0];
            for i in 0..100 {
                for tx in [&mut tx as &mut dyn Write, &mut b] {
                    tx.write_all(&[i]).unwrap();
                }
                for rx in [&mut rx as &mut dyn Read, &mut a] {
                    rx.read_exact(&mut byte).unwrap();
                    assert_eq!(byte, [i]);
                }
            }
        });
        let parks = rt.metrics().parks;
        let waits = parks.iter().find(|(why, _)| *why == WaitReason::IoWait);
        assert_eq!(waits, None, "{procs} Ps");
    }
}

/// Whatever can be polled: an eventfd between goroutines, and what happens in a directory.
#[test]
fn an_eventfd_and_an_inotify_wake_goroutines() {
    everywhere(|| {
        let event = Arc::new(Registered::new(event()).unwrap());
        let raised = event.clone();
        let waits = runtime::go!(move || {
            let mut n = [0; 8];
            (&*event).read_exact(&mut n).unwrap();
            u64::from_ne_bytes(n)
        });
        runtime::yield_now();
        (&*raised).write_all(&7u64.to_ne_bytes()).unwrap();
        assert_eq!(waits.join().unwrap(), 7);

        let dir = Dir::new();
        let mut watch = Registered::new(inotify(&dir.0)).unwrap();
        let waits = runtime::go!(move || {
            let mut events = [0; 4096];
            let n = watch.read(&mut events).unwrap();
            String::from_utf8_lossy(&events[..n]).into_owned()
        });
        runtime::yield_now();
        std::fs::write(dir.join("a_new_file"), "x").unwrap();
        assert!(waits.join().unwrap().contains("a_new_file"));
    });
}

#[test]
fn a_p_that_is_handed_off_leaves_somebody_who_polls() {
    let _alone = alone();
    support::within_minute(|| {
        let rt = runtime::start(1);
        // A locked thread waits for the network: its M sleeps until its goroutine is ready.
        rt.run(|| {
            let (mut rx, mut tx) = registered_pipe();
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                tx.write_all(b"x").unwrap();
                Instant::now()
            });
            let _locked = runtime::lock_os_thread();
            rx.read_exact(&mut [0]).unwrap();
            assert!(writer.join().unwrap().elapsed() < Duration::from_secs(5));
        });
        // One waits for the network, the other blocks its thread.
        rt.run(|| {
            let (mut rx, mut tx) = registered_pipe();
            let reader = runtime::go!(move || {
                rx.read_exact(&mut [0]).unwrap();
                Instant::now()
            });
            runtime::yield_now();
            let blocked = runtime::blocking(|| {
                std::thread::sleep(Duration::from_millis(50));
                tx.write_all(b"x").unwrap();
                let written = Instant::now();
                std::thread::sleep(Duration::from_secs(2));
                written
            });
            let late = reader.join().unwrap().saturating_duration_since(blocked);
            assert!(late < Duration::from_secs(1), "{late:?}");
        });
    });
}

#[test]
fn a_runtime_that_ends_by_itself_wakes_those_of_others() {
    let _alone = alone();
    support::within_minute(|| {
        let (rx, mut tx) = registered_pipe();
        let rx = Arc::new(rx);
        let (first, second) = (runtime::start(1), runtime::start(1));
        let r = rx.clone();
        first.run(move || {
            let end = Instant::now() + Duration::from_millis(1);
            r.read_deadline(end, |mut rx| rx.read(&mut [0]))
                .unwrap_err();
        });
        let h = second.spawn(move || (&*rx).read_exact(&mut [0]));
        std::thread::sleep(Duration::from_millis(20));
        // Dropped on its own goroutine: its last M ends it.
        let (give, take) = std::sync::mpsc::channel::<runtime::Runtime>();
        let _ = first.spawn(move || drop(take.recv()));
        give.send(first).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        tx.write_all(b"x").unwrap();
        h.join().unwrap().unwrap();
    });
}

#[test]
fn a_descriptor_that_was_replaced_under_its_owner_harms_nobody() {
    let _alone = alone();
    support::within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let (mut rx, mut tx) = registered_pipe();
            let end = Instant::now() + Duration::from_millis(1);
            rx.read_deadline(end, |mut rx| rx.read(&mut [0]))
                .unwrap_err();
            let old = std::mem::replace(rx.get_mut(), pipe().unwrap().0);
            drop(rx);
            tx.write_all(b"x").unwrap(); // reported for nobody
            let (mut rx, mut tx) = registered_pipe();
            let h = runtime::go!(move || rx.read_exact(&mut [0]));
            runtime::time::sleep(Duration::from_millis(5));
            tx.write_all(b"x").unwrap();
            h.join().unwrap().unwrap();
            drop(old);
        });
    });
}

/// A thread and a goroutine exchange bytes, so that waits are short, while others are woken by threads and by
/// the clock: the M that asks the network again and again is given all of it.
fn exchange(procs: usize, busy_poll: Duration) {
    let builder = runtime::Builder::new().procs(procs);
    let rt = builder.busy_poll(busy_poll).build().unwrap();
    let n = support::scale(5_000);
    let ((ping_rx, mut ping_tx), (mut pong_rx, pong_tx)) = (pipe().unwrap(), pipe().unwrap());
    let echo = rt.spawn(move || {
        let mut ping = Registered::new(ping_rx).unwrap();
        let mut pong = Registered::new(pong_tx).unwrap();
        let mut byte = [0];
        while ping.read(&mut byte).unwrap() == 1 {
            pong.write_all(&byte).unwrap();
        }
    });
    let (to, from) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let other = {
        let (to, from) = (to.clone(), from.clone());
        rt.spawn(move || {
            for _ in 0..n {
                to.acquire().forget();
                from.release(1);
            }
        })
    };
    let sleeper = rt.spawn(move || {
        for _ in 0..n / 50 {
            runtime::time::sleep(Duration::from_micros(50));
        }
    });
    let waker = std::thread::spawn(move || {
        for _ in 0..n {
            to.release(1);
            from.acquire().forget();
        }
    });
    for i in 0..n {
        let mut byte = [0];
        ping_tx.write_all(&[i as u8]).unwrap();
        pong_rx.read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], i as u8);
    }
    waker.join().unwrap();
    other.join().unwrap();
    sleeper.join().unwrap();
    drop(ping_tx);
    echo.join().unwrap();
    rt.shutdown();
}

#[test]
fn who_asks_before_it_sleeps_misses_nothing() {
    let _alone = alone();
    for procs in [1, 2, 4] {
        for micros in [0, 10, 1000] {
            within_minute(move || exchange(procs, Duration::from_micros(micros)));
        }
    }
}
