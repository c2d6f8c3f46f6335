//! `goroutine_local!` with `inherit`: children begin with clones of what their spawner has.

mod support;

use runtime::{go, goroutine_local};
use std::cell::{Cell, RefCell};
use support::{Alive, Token, with_procs, within_minute};

goroutine_local! {
    static COUNT: Cell<u32> = Cell::new(10);
    static inherit TRACE: RefCell<String> = RefCell::new(String::from("none"));
    static inherit DEPTH: Cell<u32> = Cell::new(0);
}

#[test]
fn children_inherit_what_they_shall() {
    with_procs(|rt| {
        rt.run(|| {
            assert_eq!(go!(|| TRACE.take()).join().unwrap(), "none");
            TRACE.set("request 7".into());
            COUNT.set(77);
            let child = go!(|| {
                assert_eq!(COUNT.get(), 10, "not inherited");
                assert_eq!(TRACE.with_borrow(Clone::clone), "request 7");
                DEPTH.set(1);
                let grandchild = go!(|| (TRACE.with_borrow(Clone::clone), DEPTH.get()));
                TRACE.set("changed later".into());
                grandchild.join().unwrap()
            });
            TRACE.set("request 8".into());
            assert_eq!(child.join().unwrap(), ("request 7".into(), 1));
            let in_scope = runtime::scope(|s| s.spawn(|| TRACE.take()).join().unwrap());
            assert_eq!(in_scope, "request 8");
            assert_eq!(TRACE.with_borrow(Clone::clone), "request 8");
            // By name, and by a call.
            fn trace() -> String {
                TRACE.take()
            }
            assert_eq!(go!(name = "child", trace()).join().unwrap(), "request 8");
        });
    });
}

#[test]
fn threads_hand_down_and_other_runtimes_inherit() {
    within_minute(|| {
        let a = runtime::start(2);
        let b = runtime::start(2);
        std::thread::scope(|s| {
            s.spawn(|| {
                assert_eq!(a.run(|| TRACE.take()), "none");
                TRACE.set("of the thread".into());
                assert_eq!(a.run(|| TRACE.take()), "of the thread");
                let there = a.run(|| {
                    TRACE.set("of a".into());
                    b.spawn(|| TRACE.take()).join().unwrap()
                });
                assert_eq!(there, "of a");
            });
        });
    });
}

#[test]
fn clones_may_use_the_runtime_and_are_dropped_with_their_goroutines() {
    /// Spawns while it is cloned, but not while it is cloned for that.
    struct Busy {
        token: Token,
        cloning: Cell<bool>,
    }
    impl Clone for Busy {
        fn clone(&self) -> Busy {
            if !self.cloning.replace(true) {
                runtime::yield_now();
                go!(|| assert!(BUSY.with_borrow(Option::is_some)))
                    .join()
                    .unwrap();
                self.cloning.set(false);
            }
            Busy {
                token: self.token.0.token(),
                cloning: Cell::new(false),
            }
        }
    }
    goroutine_local! {
        static inherit BUSY: RefCell<Option<Busy>> = RefCell::new(None);
    }
    with_procs(|rt| {
        let alive = Alive::default();
        let a = alive.clone();
        rt.run(move || {
            BUSY.set(Some(Busy {
                token: a.token(),
                cloning: Cell::new(false),
            }));
            let handles: Vec<_> = (0..20)
                .map(|_| go!(|| BUSY.with_borrow(Option::is_some)))
                .collect();
            for h in handles {
                assert!(h.join().unwrap());
            }
            assert_eq!(a.count(), 1);
            // Never started.
            let h = go!(|| ());
            h.cancel();
            drop(h.join());
            assert_eq!(a.count(), 1);
        });
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_clone_that_panics_hits_the_spawner_alone() {
    #[derive(Default)]
    struct Bad(bool);
    impl Clone for Bad {
        fn clone(&self) -> Bad {
            if self.0 {
                std::panic::resume_unwind(Box::new("bad"));
            }
            Bad(false)
        }
    }
    goroutine_local! {
        static inherit BAD: RefCell<Bad> = RefCell::new(Bad(false));
    }
    with_procs(|rt| {
        rt.run(|| {
            let alive = Alive::default();
            DEPTH.set(3);
            BAD.set(Bad(true));
            let token = alive.token();
            let spawned =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| go!(move || drop(token))));
            assert!(spawned.is_err());
            assert_eq!(alive.count(), 0, "the closure was dropped");
            BAD.set(Bad(false));
            assert_eq!(go!(|| DEPTH.get()).join().unwrap(), 3);
        });
        assert_eq!(rt.num_goroutines(), 0);
    });
}
