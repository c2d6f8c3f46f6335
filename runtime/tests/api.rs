//! The public interface on a sunny day: spawning, joining, scopes, names, bound threads.

mod support;

use runtime::{go, scope, spawn, yield_now};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use support::{eventually, within_minute};

#[test]
fn a_scope_lends_and_returns() {
    support::with_procs(|rt| {
        let mut sums = [0u64; 20];
        let base = String::from("abc");
        rt.run(|| {
            let total = scope(|s| {
                let hs: Vec<_> = sums
                    .iter_mut()
                    .enumerate()
                    .map(|(i, slot)| {
                        let base = &base;
                        s.spawn(move || {
                            yield_now();
                            *slot = i as u64 * base.len() as u64;
                            &*slot
                        })
                    })
                    .collect();
                assert!(hs[0].id() != hs[1].id());
                hs.into_iter().map(|h| *h.join().unwrap()).sum::<u64>()
            });
            assert_eq!(total, 3 * 190);
            assert_eq!(sums[19], 57);
        });
    });
}

#[test]
fn scopes_nest_and_children_spawn_into_them() {
    support::with_procs(|rt| {
        let count = AtomicUsize::new(0);
        rt.run(|| {
            scope(|s| {
                for _ in 0..5 {
                    s.spawn(|| {
                        scope(|inner| {
                            for _ in 0..5 {
                                inner.spawn(|| count.fetch_add(1, SeqCst));
                            }
                        });
                        // After its parent's body may have ended.
                        s.spawn(|| {
                            yield_now();
                            s.spawn(|| count.fetch_add(100, SeqCst));
                        });
                    });
                }
            });
        });
        assert_eq!(count.load(SeqCst), 525);
    });
}

#[test]
fn a_scope_without_goroutines_is_a_call() {
    support::with_procs(|rt| assert_eq!(rt.run(|| scope(|_| scope(|_| 4))), 4));
}

/// In a child: the default runtime of this process belongs to whichever test runs.
#[test]
fn a_scope_works_on_a_plain_thread() {
    const NAME: &str = "a_scope_works_on_a_plain_thread";
    support::in_child(NAME, &[], std::time::Duration::from_secs(60), || {
        let rt = runtime::start(2);
        let mut parts = [[1u8; 10]; 10];
        scope(|s| {
            for part in &mut parts {
                s.spawn(|| {
                    yield_now();
                    part.fill(3);
                });
            }
        });
        assert!(parts.iter().flatten().all(|&b| b == 3));
        // A shutdown meanwhile is not passed over in silence.
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(rt);
        });
        let cut = std::panic::catch_unwind(|| {
            scope(|s| {
                s.spawn(|| channels::Receiver::<u8>::nil().recv());
            });
        });
        let text = *cut.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("was cancelled"), "{text}");
        stopper.join().unwrap();
    });
}

#[test]
fn scoped_handles_tell_when_their_goroutine_has_finished() {
    support::with_procs(|rt| {
        rt.run(|| {
            scope(|s| {
                let (tx, rx) = channels::bounded::<()>(0);
                let h = s.spawn(move || rx.recv().unwrap());
                yield_now();
                assert!(!h.is_finished());
                tx.send(()).unwrap();
                while !h.is_finished() {
                    yield_now();
                }
                h.join().unwrap();
            });
        });
    });
}

#[test]
fn handles_work_on_plain_threads() {
    support::with_procs(|rt| {
        let h = rt.spawn(|| {
            std::thread::sleep(Duration::from_millis(5));
            String::from("slow")
        });
        assert!(!h.is_finished());
        assert_eq!(h.join().unwrap(), "slow");
        let h = rt.spawn(|| 5);
        assert!(eventually(|| h.is_finished()));
        // A handle may be asked by several threads and joined on another.
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| assert!(h.is_finished()));
            }
        });
        assert_eq!(
            std::thread::spawn(move || h.join().unwrap())
                .join()
                .unwrap(),
            5
        );
    });
}

#[test]
fn ids_are_unique_in_the_process() {
    within_minute(|| {
        let (a, b) = (runtime::start(4), runtime::start(2));
        let ids = |rt: &runtime::Runtime| {
            let n = support::scale(5_000);
            let mut ids: Vec<u64> = (0..n / 10).map(|_| rt.spawn(|| ()).id().as_u64()).collect();
            ids.extend(rt.run(|| {
                let hs: Vec<_> = (0..n)
                    .map(|_| go!(|| runtime::current().unwrap().id()))
                    .collect();
                let (mut seen, mut own) = (Vec::new(), Vec::new());
                for h in hs {
                    seen.push(h.id().as_u64());
                    own.push(h.join().unwrap().as_u64());
                }
                assert_eq!(seen, own);
                own
            }));
            ids
        };
        let (x, y) = std::thread::scope(|s| {
            let x = s.spawn(|| ids(&a));
            let y = s.spawn(|| ids(&b));
            (x.join().unwrap(), y.join().unwrap())
        });
        let all: HashSet<u64> = x.iter().chain(&y).copied().collect();
        assert_eq!(all.len(), x.len() + y.len());
        assert!(!all.contains(&0));
    });
}

#[test]
fn a_goroutine_knows_itself() {
    support::with_procs(|rt| {
        assert!(runtime::current().is_none());
        rt.run(|| {
            let me = runtime::current().unwrap();
            assert_eq!(me.name(), None);
            let line = line!() + 1;
            let h = go!(name = String::from("first"), || {
                yield_now();
                runtime::current().unwrap()
            });
            let (id, name) = (h.id(), h.name());
            let g = h.join().unwrap();
            assert_eq!((g.id(), g.name()), (id, name.as_deref()));
            assert_eq!(name.as_deref(), Some("first"));
            assert_eq!(
                (g.spawn_site().file(), g.spawn_site().line()),
                (file!(), line)
            );
            assert!(g.id() != me.id());
            assert_eq!(id.to_string(), id.as_u64().to_string());
        });
    });
}

#[test]
fn spawn_sites_are_the_callers() {
    fn site() -> u32 {
        runtime::current().unwrap().spawn_site().line()
    }
    within_minute(|| {
        let rt = runtime::start(1);
        let sites = [line!() + 1, line!() + 2];
        let seen = rt.run(site);
        let h = rt.spawn(site);
        assert_eq!([seen, h.join().unwrap()], sites);
        rt.run(|| {
            let sites = [line!() + 1, line!() + 2, line!() + 3];
            let call = go!(site());
            let closure = go!(site);
            let function = spawn(site);
            let seen = [call, closure, function].map(|h| h.join().unwrap());
            assert_eq!(seen, sites);
            scope(|s| {
                let line = line!() + 1;
                let h = s.spawn(site);
                assert_eq!(h.join().unwrap(), line);
            });
        });
    });
}

#[test]
fn goroutines_are_counted_until_they_finish() {
    support::with_procs(|rt| {
        assert_eq!(rt.num_goroutines(), 0);
        let (tx, rx) = channels::bounded::<()>(0);
        let seen = rt.run(|| {
            for _ in 0..10 {
                let rx = rx.clone();
                go!(move || rx.recv().unwrap());
            }
            runtime::num_goroutines()
        });
        assert_eq!(seen, 11);
        assert!(eventually(|| rt.num_goroutines() == 10));
        (0..4).for_each(|_| tx.send(()).unwrap());
        assert!(eventually(|| rt.num_goroutines() == 6));
        (0..6).for_each(|_| tx.send(()).unwrap());
        assert!(eventually(|| rt.num_goroutines() == 0));
    });
}

#[test]
fn a_yield_of_a_plain_thread_is_harmless() {
    yield_now();
    let _rt = runtime::start(1);
    yield_now();
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn results_are_dropped_once() {
    support::with_procs(|rt| {
        let drops = Arc::new(AtomicUsize::new(0));
        let n = support::scale(1000);
        let make = |late: bool| {
            let (drops, leave) = (drops.clone(), Arc::new(AtomicBool::new(!late)));
            let gate = leave.clone();
            let h = rt.spawn(move || {
                while !gate.load(SeqCst) {
                    yield_now();
                }
                Counted(drops)
            });
            (h, leave)
        };
        // Joined.
        for _ in 0..n {
            let (h, _) = make(false);
            let result = h.join().unwrap();
            drop(result);
        }
        assert_eq!(drops.swap(0, SeqCst), n);
        // The handle goes before the end.
        for _ in 0..n {
            let (h, leave) = make(true);
            drop(h);
            leave.store(true, SeqCst);
        }
        assert!(eventually(|| drops.load(SeqCst) == n));
        // After.
        for _ in 0..n {
            let (h, _) = make(false);
            while !h.is_finished() {
                std::thread::yield_now();
            }
            drop(h);
        }
        assert_eq!(drops.load(SeqCst), 2 * n);
        // At the same time, or nearly.
        for _ in 0..n {
            let (h, leave) = make(true);
            leave.store(true, SeqCst);
            drop(h);
        }
        assert!(eventually(|| drops.load(SeqCst) == 3 * n));
        // Detached on a goroutine, where both are on one P.
        rt.run(|| {
            for i in 0..n {
                let drops = drops.clone();
                let h = go!(move || Counted(drops));
                if i % 2 == 0 {
                    yield_now();
                }
                drop(h);
            }
        });
        assert!(eventually(|| rt.num_goroutines() == 0));
        assert_eq!(drops.load(SeqCst), 4 * n);
    });
}

#[test]
fn captures_are_dropped_once_on_the_goroutine() {
    support::with_procs(|rt| {
        let drops = Arc::new(AtomicUsize::new(0));
        rt.run(|| {
            for _ in 0..100 {
                let captured = Counted(drops.clone());
                let before = go!(move || drop(captured));
                let unused = Counted(drops.clone());
                let at_end = go!(move || {
                    let _unused = &unused;
                });
                before.join().unwrap();
                at_end.join().unwrap();
            }
        });
        assert_eq!(drops.load(SeqCst), 200);
    });
}

#[test]
fn closures_and_results_of_all_sizes_pass() {
    #[repr(align(64))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Aligned(u8);

    fn round_trip<const N: usize>() {
        let mut data = [0u8; N];
        for (i, b) in data.iter_mut().enumerate() {
            *b = (i * 7 + N) as u8;
        }
        let small = go!(move || data.iter().map(|&b| u64::from(b)).sum::<u64>());
        let large = go!(move || data);
        assert_eq!(
            small.join().unwrap(),
            data.iter().map(|&b| u64::from(b)).sum::<u64>()
        );
        assert_eq!(large.join().unwrap(), data);
        drop(go!(move || data)); // nobody fetches it
    }

    support::with_procs(|rt| {
        rt.run(|| {
            for _ in 0..20 {
                round_trip::<0>();
                round_trip::<1>();
                round_trip::<56>();
                round_trip::<64>();
                round_trip::<71>();
                round_trip::<72>();
                round_trip::<73>();
                round_trip::<80>();
                round_trip::<4096>();
                let x = Aligned(3);
                assert_eq!(go!(move || Aligned(x.0 + 1)).join().unwrap(), Aligned(4));
                assert_eq!(go!(|| ()).join().unwrap(), ());
                assert_eq!(go!(|| (u128::MAX, 1u8)).join().unwrap(), (u128::MAX, 1));
                let boxed: Box<dyn FnOnce() -> String + Send> = Box::new(|| "boxed".into());
                assert_eq!(go!(boxed).join().unwrap(), "boxed");
            }
        });
    });
}
