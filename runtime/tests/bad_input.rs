//! Wrong numbers, wrong places, wrong environment: each gives an error or a panic whose text says
//! what to do, and none a hang.

mod support;

use runtime::{Builder, JoinHandle, StackGuard, StartError, go};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use support::{child, eventually, in_child, is_child, within_minute};

const LIMIT: Duration = Duration::from_secs(60);

/// The text of the panic that `f` must make.
fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        panic!("no panic");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

fn refusal(builder: Builder) -> String {
    let e: StartError = within_minute(|| builder.build().map(drop).unwrap_err());
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(e);
    boxed.to_string()
}

#[test]
fn absurd_numbers_of_ps_are_refused() {
    for n in [5000, 1 << 32, usize::MAX] {
        let text = refusal(Builder::new().procs(n).max_threads(usize::MAX));
        assert_says(
            &text,
            &[&n.to_string(), "at most", "0 means one per usable CPU"],
        );
        let text = panic_of(|| runtime::start(n));
        assert_says(&text, &["cannot start the runtime", &n.to_string()]);
    }
}

#[test]
fn a_large_number_of_ps_is_no_trouble() {
    within_minute(|| {
        let rt = runtime::start(512);
        assert_eq!(rt.num_procs(), 512);
        assert_eq!(rt.run(|| go!(|| 1).join().unwrap()), 1);
    });
}

#[test]
fn stacks_that_are_too_small_or_too_large_are_refused() {
    for bytes in [0, 1, 4096, runtime::MIN_STACK_SIZE - 1] {
        let text = refusal(Builder::new().procs(1).stack_size(bytes));
        let min = runtime::MIN_STACK_SIZE.to_string();
        assert_says(
            &text,
            &[&format!("{bytes} bytes"), "below the minimum", &min],
        );
    }
    for bytes in [
        runtime::MAX_STACK_SIZE + 1,
        1 << 47,
        usize::MAX / 2 + 2,
        usize::MAX,
    ] {
        let text = refusal(Builder::new().procs(1).stack_size(bytes));
        assert_says(
            &text,
            &[&format!("{bytes} bytes"), "beyond the address space"],
        );
    }
}

/// Held by tests that fill the address space.
static ADDRESS_SPACE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn stacks_of_odd_and_extreme_sizes_work() {
    let _alone = ADDRESS_SPACE.lock();
    for guard in [StackGuard::Auto, StackGuard::Mprotect] {
        for bytes in [
            runtime::MIN_STACK_SIZE,
            100_001,
            1 << 30,
            runtime::MAX_STACK_SIZE,
        ] {
            within_minute(|| {
                let builder = Builder::new().procs(1).stack_size(bytes).stack_guard(guard);
                let rt = builder.build().unwrap_or_else(|e| panic!("{bytes}: {e}"));
                let h = rt.spawn(|| [1u8; 2000].iter().map(|&b| u32::from(b)).sum::<u32>());
                assert_eq!(h.join().unwrap(), 2000);
            });
        }
    }
}

#[test]
fn stacks_that_do_not_fit_the_address_space_fail_one_by_one() {
    let _alone = ADDRESS_SPACE.lock();
    within_minute(|| {
        let builder = Builder::new().procs(2).stack_size(runtime::MAX_STACK_SIZE);
        let rt = builder.build().unwrap();
        // 128 TiB hold 127 of these at most.
        let (tx, rx) = channels::bounded::<()>(0);
        let hs: Vec<_> = (0..300)
            .map(|_| {
                let rx = rx.clone();
                rt.spawn(move || rx.recv().is_err())
            })
            .collect();
        assert!(eventually(
            || hs.iter().filter(|h| h.is_finished()).count() > 150
        ));
        drop(tx);
        let mut refused = 0;
        for h in hs {
            match h.join() {
                Ok(closed) => assert!(closed),
                Err(e) => {
                    assert_says(&e.to_string(), &["goroutine never ran", "cannot map"]);
                    refused += 1;
                }
            }
        }
        assert!(refused > 150, "{refused}");
        assert_eq!(rt.spawn(|| 4).join().unwrap(), 4);
    });
}

#[test]
fn fewer_threads_than_ps_are_refused() {
    for (procs, threads) in [(1, 0), (2, 1), (8, 3)] {
        let text = refusal(Builder::new().procs(procs).max_threads(threads));
        assert_says(
            &text,
            &["max_threads", &threads.to_string(), &procs.to_string()],
        );
    }
    assert_says(
        &panic_of(|| runtime::start(600)),
        &["max_threads", "512", "600"],
    );
}

/// Runs the test `name` as a child with one setting; its standard output.
fn with_env(name: &str, key: &str, value: &str) -> String {
    let out = child(name, &[(key, value)], LIMIT);
    assert!(
        out.status.success(),
        "{key}={value}: {}\n{}",
        out.stdout,
        out.stderr
    );
    out.stdout
}

fn say_what_start_does() {
    match Builder::new().build() {
        Ok(rt) => println!("started {}", rt.run(|| rt.num_procs())),
        Err(e) => println!("refused: {e}"),
    }
}

#[test]
fn nonsense_in_the_environment_is_refused_by_name() {
    const NAME: &str = "nonsense_in_the_environment_is_refused_by_name";
    if is_child(NAME) {
        return say_what_start_does();
    }
    for (key, value) in [
        ("RUNTIME_PROCS", "0"),
        ("RUNTIME_PROCS", "-1"),
        ("RUNTIME_PROCS", "many"),
        ("RUNTIME_PROCS", "2 "),
        ("RUNTIME_PROCS", "99999999999999999999999"),
        ("RUNTIME_DEBUG", "schedtrace"),
        ("RUNTIME_DEBUG", "schedtrace=often"),
        ("RUNTIME_DEBUG", "schedtrace=-5"),
        ("RUNTIME_DEBUG", "scheddetail=yes"),
        ("RUNTIME_DEBUG", "migrate=never"),
        ("RUNTIME_DEBUG", "gctrace=1"),
        ("RUNTIME_STACK_GUARD", "none"),
    ] {
        let text = with_env(NAME, key, value);
        assert_says(
            &text,
            &["refused: ", key, value, "makes no sense", "wanted"],
        );
    }
    assert_says(
        &with_env(NAME, "RUNTIME_PROCS", "4097"),
        &["refused: ", "4097", "at most"],
    );
}

#[test]
fn settings_in_the_environment_are_obeyed() {
    const NAME: &str = "settings_in_the_environment_are_obeyed";
    if is_child(NAME) {
        assert_eq!(
            runtime::start(2).num_procs(),
            2,
            "a number in the program goes first"
        );
        return say_what_start_does();
    }
    let cpus = std::thread::available_parallelism().unwrap();
    for (key, value, procs) in [
        ("RUNTIME_PROCS", "3", 3),
        ("RUNTIME_PROCS", "", cpus.get()),
        ("RUNTIME_DEBUG", "", cpus.get()),
        ("RUNTIME_DEBUG", ",migrate=always,", cpus.get()),
        ("RUNTIME_STACK_GUARD", "mprotect", cpus.get()),
    ] {
        let text = with_env(NAME, key, value);
        assert_says(&text, &[&format!("started {procs}\n")]);
    }
}

#[test]
fn without_a_runtime_a_spawn_says_what_to_do() {
    const NAME: &str = "without_a_runtime_a_spawn_says_what_to_do";
    in_child(NAME, &[], LIMIT, || {
        let check = || {
            let dropped = Arc::new(());
            let theirs = dropped.clone();
            let text = panic_of(|| go!(move || drop(theirs)));
            assert_says(&text, &["no runtime runs", "runtime::start"]);
            assert_eq!(Arc::strong_count(&dropped), 1);
            assert_says(&panic_of(|| runtime::spawn(|| ())), &["no runtime runs"]);
            let text = panic_of(|| runtime::scope(|s| s.spawn(|| ()).id()));
            assert_says(&text, &["no runtime runs"]);
            assert_eq!(runtime::num_goroutines(), 0);
            assert!(runtime::current().is_none());
            runtime::yield_now();
            runtime::blocking(|| drop(runtime::lock_os_thread()));
        };
        check();
        let rt = runtime::start(1);
        assert_eq!(go!(|| 3).join().unwrap(), 3);
        drop(rt);
        check();
    });
}

#[test]
fn a_spawn_into_a_runtime_that_stops_says_so() {
    within_minute(|| {
        let rt = Arc::new(runtime::start(2));
        let (up, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (his, her) = (up.clone(), stop.clone());
        let h = rt.spawn(move || {
            his.store(true, SeqCst);
            while !her.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            // The runtime stops: the first call ends this goroutine, with what it was to spawn.
            go!(|| unreachable!("it is not started"));
            unreachable!("it is not returned from");
        });
        assert!(eventually(|| up.load(SeqCst)));
        let ender = std::thread::spawn(move || Arc::into_inner(rt).unwrap().shutdown());
        std::thread::sleep(Duration::from_millis(20));
        stop.store(true, SeqCst);
        ender.join().unwrap();
        assert!(matches!(h.join(), Err(runtime::JoinError::Cancelled)));
    });
}

#[test]
fn dropped_on_its_own_goroutine_a_runtime_says_so_and_stops() {
    const NAME: &str = "dropped_on_its_own_goroutine_a_runtime_says_so_and_stops";
    in_child(NAME, &[], LIMIT, || {
        for (procs, unwinding) in [(1, false), (4, false), (1, true), (4, true)] {
            let threads = support::threads();
            let (tx, rx) = std::sync::mpsc::channel::<runtime::Runtime>();
            let rt = runtime::start(procs);
            let parked: JoinHandle<bool> = rt.spawn(|| channels::bounded::<u8>(0).1.recv().is_ok());
            let h = rt.spawn(move || {
                let rt = rx.recv().unwrap();
                if unwinding {
                    let _rt = rt;
                    std::panic::resume_unwind(Box::new("first".to_string()));
                }
                drop(rt);
            });
            tx.send(rt).unwrap();
            let text = h.join().unwrap_err().to_string();
            match unwinding {
                true => assert_says(&text, &["first"]),
                false => assert_says(
                    &text,
                    &["dropped on one of its own goroutines", "drop it on"],
                ),
            }
            assert!(matches!(parked.join(), Err(runtime::JoinError::Cancelled)));
            assert!(
                eventually(|| support::threads() == threads),
                "{}",
                support::threads()
            );
        }
    });
}

#[test]
fn run_on_a_goroutine_says_what_to_do() {
    within_minute(|| {
        let (a, b) = (runtime::start(1), runtime::start(1));
        for other in [&a, &b] {
            let text = a.run(|| panic_of(|| other.run(|| 5)));
            assert_says(
                &text,
                &["Runtime::run was called on a goroutine", "use go!"],
            );
        }
    });
}

#[test]
fn a_goroutine_that_joins_itself_panics() {
    support::with_procs(|rt| {
        let (tx, rx) = std::sync::mpsc::channel::<JoinHandle<()>>();
        let (said_tx, said) = std::sync::mpsc::channel();
        let h = rt.spawn(move || {
            let me = rx.recv().unwrap();
            said_tx.send(panic_of(|| me.join())).unwrap();
        });
        tx.send(h).unwrap();
        let text = said.recv().unwrap();
        assert_says(&text, &["a goroutine cannot join itself"]);
        assert!(eventually(|| rt.num_goroutines() == 0));
    });
}

#[test]
fn a_name_may_be_anything() {
    within_minute(|| {
        let long = "x".repeat(300);
        for name in ["", "ä ö ü", long.as_str()] {
            let rt = Builder::new().procs(1).name(name).build().unwrap();
            rt.run(|| {
                let h = go!(name = name, || runtime::current().unwrap());
                assert_eq!(h.name().as_deref(), Some(name));
                assert_eq!(h.join().unwrap().name(), Some(name));
            });
        }
    });
}
