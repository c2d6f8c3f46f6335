//! `goroutine_local!`: made at the first use, dropped at the end, never found by the next goroutine that has the same
//! header. (`local_inherit.rs`: inherited where asked for.)

mod support;

use runtime::time::sleep;
use runtime::{JoinError, go, goroutine_local};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Alive, Token, eventually, scale, status_kib, with_procs, within_minute};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

goroutine_local! {
    static COUNT: Cell<u32> = Cell::new(10);
    static WORDS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static TOKEN: RefCell<Option<Token>> = RefCell::new(None);
    static inherit TRACE: RefCell<String> = RefCell::new(String::from("none"));
    static inherit DEPTH: Cell<u32> = Cell::new(0)
}

goroutine_local! {
    /// With attributes and a path.
    #[allow(dead_code, reason = "it shall compile")]
    pub(crate) static UNUSED: std::cell::Cell<u8> = std::cell::Cell::new(1);
}

#[test]
fn each_goroutine_and_each_thread_has_its_own() {
    let work = || {
        assert_eq!(COUNT.get(), 10);
        COUNT.set(11);
        assert_eq!((COUNT.get(), COUNT.replace(12), COUNT.take()), (11, 11, 12));
        COUNT.with(|c| assert_eq!(c.get(), 0));
        WORDS.with_borrow_mut(|w| w.push("a".into()));
        assert_eq!(WORDS.with_borrow(Vec::len), 1);
        assert_eq!(WORDS.replace(vec!["b".into(), "c".into()]), ["a"]);
        assert_eq!(WORDS.take(), ["b", "c"]);
        WORDS.set(vec!["d".into()]);
        assert_eq!(WORDS.try_with(|w| w.borrow().len()), Ok(1));
    };
    with_procs(|rt| {
        let handles: Vec<_> = (0..20).map(|_| rt.spawn(work)).collect();
        handles.into_iter().for_each(|h| h.join().unwrap());
        std::thread::spawn(work).join().unwrap();
    });
}

#[test]
fn a_value_stays_with_its_goroutine_when_that_moves() {
    with_procs(|rt| {
        rt.run(|| {
            let handles: Vec<_> = (0..100)
                .map(|i| {
                    go!(move || {
                        COUNT.set(i);
                        for k in 0..scale(500) as u32 {
                            runtime::yield_now();
                            COUNT.with(|c| {
                                assert_eq!(c.get(), i + k);
                                runtime::yield_now(); // also inside
                                c.set(i + k + 1);
                            });
                        }
                    })
                })
                .collect();
            handles.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn the_next_goroutine_with_the_same_header_finds_nothing() {
    with_procs(|rt| {
        rt.run(|| {
            for _ in 0..scale(2000) {
                go!(|| {
                    assert_eq!(COUNT.get(), 10);
                    COUNT.set(99);
                    assert_eq!(DEPTH.get(), 0);
                    DEPTH.set(99);
                    WORDS.with_borrow_mut(|w| w.push("left".into()));
                })
                .join()
                .unwrap();
            }
        });
        // Nor do those whose closure never runs, or unwinds.
        rt.run(|| {
            for i in 0..scale(1000) {
                let h = go!(|| {
                    assert_eq!(COUNT.get(), 10);
                    COUNT.set(99);
                    sleep(HOUR);
                });
                if i % 2 == 0 {
                    runtime::yield_now();
                }
                h.cancel();
                assert!(matches!(h.join(), Err(JoinError::Cancelled)));
            }
        });
    });
}

#[test]
fn values_are_dropped_before_the_join_returns() {
    with_procs(|rt| {
        rt.run(|| {
            let alive = Alive::default();
            for _ in 0..scale(500) {
                let token = alive.token();
                go!(move || TOKEN.set(Some(token))).join().unwrap();
                assert_eq!(alive.count(), 0);
                let token = alive.token();
                runtime::scope(|s| {
                    s.spawn(|| TOKEN.set(Some(token)));
                });
                assert_eq!(alive.count(), 0);
                let token = alive.token();
                let failed = go!(move || {
                    TOKEN.set(Some(token));
                    std::panic::resume_unwind(Box::new(()));
                });
                assert!(failed.join().is_err());
                assert_eq!(alive.count(), 0);
            }
        });
    });
}

/// Notes its name when it is dropped.
struct Note(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Note {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[test]
fn the_last_made_is_the_first_dropped_and_the_closure_before_them() {
    goroutine_local! {
        static A: RefCell<Option<Note>> = RefCell::new(None);
        static B: RefCell<Option<Note>> = RefCell::new(None);
        static C: RefCell<Option<Note>> = RefCell::new(None);
    }
    let work = |log: Arc<Mutex<Vec<&'static str>>>| {
        move || {
            let _captured = Note("closure", log.clone());
            B.set(Some(Note("b", log.clone())));
            C.set(Some(Note("c", log.clone())));
            A.set(Some(Note("a", log.clone())));
            B.with(|b| assert!(b.borrow().is_some()));
        }
    };
    within_minute(move || {
        let rt = runtime::start(2);
        let log = Arc::new(Mutex::new(Vec::new()));
        rt.spawn(work(log.clone())).join().unwrap();
        assert_eq!(*log.lock().unwrap(), ["closure", "a", "c", "b"]);
        log.lock().unwrap().clear();
        std::thread::spawn(work(log.clone())).join().unwrap();
        assert_eq!(*log.lock().unwrap(), ["closure", "a", "c", "b"]);
    });
}

#[test]
fn destructors_use_the_runtime_and_other_values() {
    struct Busy(Arc<AtomicUsize>);
    impl Drop for Busy {
        fn drop(&mut self) {
            sleep(MS);
            runtime::yield_now();
            let (tx, rx) = channels::bounded(0);
            let child = go!(move || tx.send(COUNT.get()).unwrap());
            assert_eq!(rx.recv(), Ok(10));
            child.join().unwrap();
            // One that was not used before; it is dropped too.
            WORDS.with_borrow_mut(|w| w.push("late".into()));
            assert!(BUSY.try_with(|_| ()).is_err());
            assert!(std::panic::catch_unwind(|| BUSY.with(|_| ())).is_err());
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    goroutine_local! {
        static BUSY: RefCell<Option<Busy>> = RefCell::new(None);
    }
    std::panic::set_hook(Box::new(|_| {}));
    with_procs(|rt| {
        rt.run(|| {
            let ended = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..20)
                .map(|_| {
                    let busy = Busy(ended.clone());
                    go!(move || BUSY.set(Some(busy)))
                })
                .collect();
            handles.into_iter().for_each(|h| h.join().unwrap());
            assert_eq!(ended.load(Ordering::SeqCst), 20);
        });
    });
    let _ = std::panic::take_hook();
}

#[test]
fn values_that_make_each_other_come_to_an_end() {
    struct Again(
        &'static runtime::LocalKey<RefCell<Option<Again>>>,
        Arc<AtomicUsize>,
    );
    impl Drop for Again {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            let other = if std::ptr::eq(self.0, &LEFT) {
                &RIGHT
            } else {
                &LEFT
            };
            let again = Again(other, self.1.clone());
            // Fails once the other one is gone; then `again` is dropped, and tries the first.
            let depth = COUNT
                .try_with(|c| c.replace(c.get() + 1))
                .unwrap_or(u32::MAX);
            if depth < 100 {
                let _ = other.try_with(|o| o.replace(Some(again)));
            } else {
                std::mem::forget(again);
            }
        }
    }
    goroutine_local! {
        static LEFT: RefCell<Option<Again>> = RefCell::new(None);
        static RIGHT: RefCell<Option<Again>> = RefCell::new(None);
    }
    with_procs(|rt| {
        let drops = Arc::new(AtomicUsize::new(0));
        let d = drops.clone();
        rt.spawn(move || LEFT.set(Some(Again(&LEFT, d))))
            .join()
            .unwrap();
        assert!(drops.load(Ordering::SeqCst) > 1);
    });
}

#[test]
fn a_destructor_that_panics_does_not_keep_the_others() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("bad"));
        }
    }
    goroutine_local! {
        static BAD: RefCell<Option<Bad>> = RefCell::new(None);
    }
    with_procs(|rt| {
        let alive = Alive::default();
        let token = alive.token();
        let h = rt.spawn(move || {
            TOKEN.set(Some(token));
            BAD.set(Some(Bad));
            5
        });
        assert_eq!(h.join().unwrap(), 5);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn an_initial_value_may_use_others_and_itself() {
    goroutine_local! {
        static SUM: Cell<u32> = Cell::new(COUNT.get() + DEPTH.get());
        static OWN: Cell<u32> = {
            if COUNT.replace(COUNT.get() + 1) == 10 {
                OWN.set(1); // is replaced
                Cell::new(OWN.get() + 1)
            } else {
                Cell::new(50)
            }
        };
    }
    with_procs(|rt| {
        rt.run(|| {
            assert_eq!(SUM.get(), 10);
            assert_eq!(OWN.get(), 2);
        });
    });
}

#[test]
fn a_shutdown_drops_all_of_them() {
    with_procs(|rt| {
        let other = runtime::start(rt.num_procs());
        let alive = Alive::default();
        goroutine_local! {
            static inherit HELD: RefCell<Vec<Arc<Token>>> = RefCell::new(Vec::new());
        }
        let a = alive.clone();
        other.run(move || {
            HELD.with_borrow_mut(|h| h.push(Arc::new(a.token())));
            for _ in 0..200 {
                let token = a.token();
                go!(move || {
                    TOKEN.set(Some(token));
                    HELD.with_borrow_mut(|h| h.push(h[0].clone()));
                    sleep(HOUR);
                });
            }
            sleep(MS);
            for _ in 0..200 {
                go!(|| sleep(HOUR)); // some of them never start
            }
        });
        assert!(alive.count() > 0);
        drop(other);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_destructor_that_waits_while_the_runtime_stops_ends_at_its_wait() {
    struct Waits(Token);
    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = &self.0;
            sleep(HOUR);
            unreachable!("the runtime stops");
        }
    }
    goroutine_local! {
        static WAITS: RefCell<Option<Waits>> = RefCell::new(None);
    }
    within_minute(|| {
        let rt = runtime::start(2);
        let alive = Alive::default();
        for _ in 0..20 {
            let token = alive.token();
            let waits = Waits(alive.token());
            rt.spawn(move || {
                TOKEN.set(Some(token));
                WAITS.set(Some(waits));
                sleep(HOUR);
            });
        }
        sleep(5 * MS);
        drop(rt);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_late_cancel_does_not_cut_destructors_short() {
    struct Slow(Arc<AtomicUsize>);
    impl Drop for Slow {
        fn drop(&mut self) {
            sleep(MS);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    goroutine_local! {
        static SLOW: RefCell<Option<Slow>> = RefCell::new(None);
    }
    with_procs(|rt| {
        rt.run(|| {
            let ended = Arc::new(AtomicUsize::new(0));
            let e = ended.clone();
            let cancelled = Arc::new(AtomicBool::new(false));
            let c = cancelled.clone();
            let (tx, rx) = channels::bounded(1);
            let h = go!(move || {
                SLOW.set(Some(Slow(e)));
                tx.send(()).unwrap();
                while !c.load(Ordering::SeqCst) {
                    std::thread::sleep(MS); // no wait of the runtime's
                }
                5
            });
            rx.recv().unwrap();
            h.cancel();
            cancelled.store(true, Ordering::SeqCst);
            assert_eq!(h.join().unwrap(), 5);
            assert_eq!(ended.load(Ordering::SeqCst), 1);
        });
    });
}

#[test]
fn memory_stays_flat() {
    within_minute(|| {
        let rt = runtime::start(2);
        let round = || {
            rt.run(|| {
                TRACE.set("x".repeat(1000));
                for _ in 0..1000 {
                    go!(|| WORDS.with_borrow_mut(|w| w.push("y".repeat(1000))));
                }
            });
            assert!(eventually(|| rt.num_goroutines() == 0));
        };
        (0..20).for_each(|_| round());
        let before = status_kib("VmRSS");
        (0..scale(500)).for_each(|_| round());
        let after = status_kib("VmRSS");
        assert!(after < before + 32_768, "{before} KiB, then {after}");
    });
}
