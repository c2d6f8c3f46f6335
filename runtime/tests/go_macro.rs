//! The forms of `go!`, and what it evaluates when.

mod support;

use runtime::{go, yield_now};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use support::within_minute;

mod work {
    pub mod deep {
        pub fn add(a: i32, b: i32) -> i32 {
            a + b
        }
    }

    pub fn nothing() -> &'static str {
        "nothing"
    }

    pub fn via_self() -> i32 {
        runtime::go!(self::deep::add(1, 1)).join().unwrap()
            + runtime::go!(super::twice(4)).join().unwrap()
            + runtime::go!(crate::twice(5)).join().unwrap()
    }
}

fn twice(n: i32) -> i32 {
    2 * n
}

fn parse<T: std::str::FromStr + Send>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn convert<A: Send, B: From<A> + Send>(a: A) -> B {
    B::from(a)
}

fn seven(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> [u8; 7] {
    [a, b, c, d, e, f, g]
}

struct Counter(i32);

impl Counter {
    fn plus(self, n: i32) -> i32 {
        self.0 + n
    }
}

#[test]
fn closures_in_all_forms() {
    support::with_procs(|rt| {
        rt.run(|| {
            let n = 3;
            assert_eq!(go!(move || n).join().unwrap(), 3);
            assert_eq!(go!(move || n,).join().unwrap(), 3);
            assert_eq!(go!(|| -> i64 { 7 }).join().unwrap(), 7);
            let f = move || n + 1;
            assert_eq!(go!(f).join().unwrap(), 4);
            assert_eq!(go!(work::nothing).join().unwrap(), "nothing");
            let made = go!({
                let m = n * 10;
                move || m
            });
            assert_eq!(made.join().unwrap(), 30);
            go!(|| ());
        });
    });
}

#[test]
fn calls_in_all_forms() {
    support::with_procs(|rt| {
        rt.run(|| {
            assert_eq!(go!(twice(21)).join().unwrap(), 42);
            assert_eq!(go!(twice(21,)).join().unwrap(), 42);
            assert_eq!(go!(work::nothing()).join().unwrap(), "nothing");
            assert_eq!(go!(work::deep::add(1, 2)).join().unwrap(), 3);
            assert_eq!(go!(work::deep::add(1, 2,)).join().unwrap(), 3);
            assert_eq!(go!(::std::mem::size_of_val(&5u16)).join().unwrap(), 2);
            assert_eq!(go!(parse::<u32>("17")).join().unwrap(), Some(17));
            assert_eq!(go!(self::parse::<Vec2>("1")).join().unwrap(), None);
            assert_eq!(go!(convert::<u8, u64>(9)).join().unwrap(), 9u64);
            let nested = go!(convert::<Vec<Vec<u8>>, Vec<Vec<u8>>>(vec![vec![1]]));
            assert_eq!(nested.join().unwrap(), [[1]]);
            assert_eq!(go!(Counter::plus(Counter(1), 2)).join().unwrap(), 3);
            assert_eq!(go!(i32::from(3u8)).join().unwrap(), 3);
            assert_eq!(go!(Some(3)).join().unwrap(), Some(3));
            assert_eq!(go!((|a: i32| a + 1)(4)).join().unwrap(), 5);
            let f: fn(i32) -> i32 = twice;
            assert_eq!(go!(f(8)).join().unwrap(), 16);
            assert_eq!(go!((f)(8)).join().unwrap(), 16);
            let seven = go!(seven(1, 2, 3, 4, 5, 6, 7)).join().unwrap();
            assert_eq!(seven, [1, 2, 3, 4, 5, 6, 7]);
            assert_eq!(work::via_self(), 20);
        });
    });
}

#[derive(Debug, PartialEq)]
struct Vec2;

impl std::str::FromStr for Vec2 {
    type Err = ();

    fn from_str(_: &str) -> Result<Vec2, ()> {
        Err(())
    }
}

#[test]
fn names_in_all_forms() {
    support::with_procs(|rt| {
        rt.run(|| {
            let who = || runtime::current().unwrap().name().unwrap().to_owned();
            assert_eq!(go!(name = "a", who).join().unwrap(), "a");
            assert_eq!(go!(name = "a", who,).join().unwrap(), "a");
            assert_eq!(go!(name = String::from("b"), who).join().unwrap(), "b");
            assert_eq!(go!(name = format!("c{}", 1), who).join().unwrap(), "c1");
            let h = go!(name = "d", twice(2));
            assert_eq!(h.name().as_deref(), Some("d"));
            assert_eq!(h.join().unwrap(), 4);
            assert_eq!(go!(name = "e", parse::<u8>("3")).join().unwrap(), Some(3));
            assert_eq!(go!(name = "f", work::deep::add(1, 2,)).join().unwrap(), 3);
            let name = "a variable of that name";
            assert_eq!(go!(name = name, who).join().unwrap(), name);
            assert_eq!(go!(twice(3)).name(), None);
        });
    });
}

#[test]
fn arguments_are_evaluated_now_in_order_and_the_call_is_made_later() {
    within_minute(|| {
        runtime::start(1).run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let log = |n: i32| {
                order.lock().unwrap().push(n);
                n
            };
            let function = || {
                log(1);
                let order = order.clone();
                move |a: i32, b: i32| order.lock().unwrap().push(10 * a + b)
            };
            let h = go!((function())(log(2), log(3)));
            log(4);
            h.join().unwrap();
            assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 23]);

            let mut n = 1;
            let h = go!(twice(n));
            n += 10;
            assert_eq!((h.join().unwrap(), n), (2, 11));
        });
    });
}

#[test]
fn a_panic_in_an_argument_is_the_callers() {
    within_minute(|| {
        let rt = runtime::start(1);
        rt.run(|| {
            let bad = || -> i32 { std::panic::resume_unwind(Box::new("argument")) };
            let caught = std::panic::catch_unwind(|| drop(go!(work::deep::add(1, bad()))));
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "argument");
        });
        assert!(support::eventually(|| rt.num_goroutines() == 0));
    });
}

#[test]
fn variables_of_the_same_names_as_the_macros_own_are_no_trouble() {
    within_minute(|| {
        runtime::start(1).run(|| {
            let (function, argument, name) = (2, 3, 4);
            assert_eq!(go!(work::deep::add(argument, function)).join().unwrap(), 5);
            assert_eq!(go!(work::deep::add(function, name)).join().unwrap(), 6);
        });
    });
}

#[test]
fn dropping_the_handle_detaches() {
    support::with_procs(|rt| {
        let ran = Arc::new(AtomicBool::new(false));
        let seen = ran.clone();
        rt.run(|| {
            go!(move || {
                yield_now();
                seen.store(true, SeqCst);
            });
        });
        assert!(support::eventually(|| ran.load(SeqCst)));
    });
}

#[test]
fn a_plain_thread_spawns_into_the_first_runtime_that_runs() {
    const NAME: &str = "a_plain_thread_spawns_into_the_first_runtime_that_runs";
    support::in_child(NAME, &[], std::time::Duration::from_secs(60), || {
        let named = |name: &str| runtime::Builder::new().procs(1).name(name).build().unwrap();
        // Which of the runtime's threads it is does not matter (another one when goroutines migrate).
        let here = || {
            let name = std::thread::current().name().unwrap().to_owned();
            name.split("-m").next().unwrap().to_owned()
        };
        let (a, b) = (named("a"), named("b"));
        assert_eq!(go!(here).join().unwrap(), "a");
        // On a goroutine: its own.
        assert_eq!(b.run(|| go!(here).join().unwrap()), "b");
        drop(a);
        assert_eq!(go!(here).join().unwrap(), "b");
    });
}
