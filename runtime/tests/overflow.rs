//! Stack overflow: caught by the guard of the goroutine's stack and reported by name; other faults
//! go where they went before.

mod support;

use runtime::{Builder, go};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use support::{Output, child, is_child};

const LIMIT: Duration = Duration::from_secs(60);
const SIZE: usize = 64 * 1024;

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the test")]
fn runaway_recursion(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 16]);
    runaway_recursion(n + 1) + frame[3]
}

/// What a report of an overflow in the goroutine "deep" must say.
fn assert_report(out: &Output) {
    assert_eq!(
        out.status.signal(),
        Some(libc::SIGABRT),
        "{}\n{}",
        out.status,
        out.stderr
    );
    let site = out
        .stdout
        .split("site=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let id = out
        .stdout
        .split("id=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    for text in [
        "stack overflow",
        &format!("goroutine {id} \"deep\" (spawned at {site}:"),
        &format!("{SIZE} bytes"),
        "Builder::stack_size",
        "runaway_recursion",
    ] {
        assert!(out.stderr.contains(text), "no {text:?} in:\n{}", out.stderr);
    }
    assert!(!out.stdout.contains("went on"), "{}", out.stdout);
}

/// The body of most of these children: overflows in a goroutine, while `others` go on.
fn overflow(procs: usize, others: usize) {
    let rt = Builder::new()
        .procs(procs)
        .stack_size(SIZE)
        .build()
        .unwrap();
    rt.run(|| {
        for _ in 0..others {
            let (a_tx, a_rx) = channels::bounded::<u64>(0);
            let (b_tx, b_rx) = channels::bounded::<u64>(0);
            go!(move || {
                for n in 0.. {
                    a_tx.send(n).unwrap();
                    b_rx.recv().unwrap();
                }
            });
            go!(move || a_rx.iter().for_each(|n| b_tx.send(n).unwrap()));
        }
        for _ in 0..100 {
            runtime::yield_now();
        }
        println!("site={}:{}", file!(), line!() + 1);
        let h = go!(name = "deep", || runaway_recursion(0));
        println!("id={}", h.id());
        let _ = h.join();
        println!("went on");
    });
}

#[test]
fn an_overflow_is_reported_with_guard_markers() {
    const NAME: &str = "an_overflow_is_reported_with_guard_markers";
    if is_child(NAME) {
        return overflow(1, 0);
    }
    let markers = Builder::new()
        .procs(1)
        .stack_guard(runtime::StackGuard::Marker)
        .build();
    if let Err(e) = markers {
        return eprintln!("not tested: {e}");
    }
    assert_report(&child(NAME, &[("RUNTIME_STACK_GUARD", "marker")], LIMIT));
}

#[test]
fn an_overflow_is_reported_with_mprotect() {
    const NAME: &str = "an_overflow_is_reported_with_mprotect";
    if is_child(NAME) {
        return overflow(1, 0);
    }
    assert_report(&child(NAME, &[("RUNTIME_STACK_GUARD", "mprotect")], LIMIT));
}

#[test]
fn an_overflow_is_reported_while_other_goroutines_run() {
    const NAME: &str = "an_overflow_is_reported_while_other_goroutines_run";
    if is_child(NAME) {
        return overflow(4, 20);
    }
    assert_report(&child(NAME, &[], LIMIT));
}

#[test]
fn an_overflow_of_the_main_goroutine_is_reported() {
    const NAME: &str = "an_overflow_of_the_main_goroutine_is_reported";
    if is_child(NAME) {
        let rt = Builder::new().procs(2).stack_size(SIZE).build().unwrap();
        rt.run(|| runaway_recursion(0));
        return;
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{}", out.stderr);
    for text in [
        "stack overflow in goroutine 1 ",
        "overflow.rs:",
        "runaway_recursion",
    ] {
        assert!(out.stderr.contains(text), "no {text:?} in:\n{}", out.stderr);
    }
}

#[test]
fn several_overflows_at_once_end_the_process() {
    const NAME: &str = "several_overflows_at_once_end_the_process";
    if is_child(NAME) {
        let rt = Builder::new().procs(4).stack_size(SIZE).build().unwrap();
        rt.run(|| {
            let hs: Vec<_> = (0..40).map(|_| go!(runaway_recursion(0))).collect();
            hs.into_iter().for_each(|h| drop(h.join()));
        });
        return;
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{}", out.stderr);
    assert!(
        out.stderr.contains("stack overflow in goroutine"),
        "{}",
        out.stderr
    );
}

#[test]
fn a_deep_recursion_that_fits_is_no_overflow() {
    #[inline(never)]
    fn depth(n: u64) -> u64 {
        let frame = std::hint::black_box([n; 16]);
        if n == 0 {
            0
        } else {
            depth(n - 1) + frame[3] / n
        }
    }
    support::with_procs(|rt| {
        rt.run(|| {
            // Some 150 KiB of the 256 KiB that each has.
            let hs: Vec<_> = (0..50).map(|_| go!(depth(500))).collect();
            hs.into_iter()
                .for_each(|h| assert_eq!(h.join().unwrap(), 500));
        });
    });
}

#[test]
fn an_overflow_of_a_plain_thread_stays_the_business_of_std() {
    const NAME: &str = "an_overflow_of_a_plain_thread_stays_the_business_of_std";
    if is_child(NAME) {
        let _rt = runtime::start(1);
        std::thread::Builder::new()
            .name("plain".into())
            .spawn(|| runaway_recursion(0))
            .unwrap()
            .join()
            .unwrap();
        return;
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{}", out.stderr);
    assert!(
        out.stderr.contains("has overflowed its stack"),
        "{}",
        out.stderr
    );
    assert!(!out.stderr.contains("goroutine"), "{}", out.stderr);
}

/// Writes to an address that is nobody's.
fn fault() {
    // SAFETY: none: the fault is the test, in a process of its own.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
}

extern "C" fn with_info(sig: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's siginfo; write and _exit may be called in a handler.
    unsafe {
        if sig == libc::SIGSEGV && (*info).si_addr() as usize == 16 {
            libc::write(1, c"my handler".as_ptr().cast(), 10);
            libc::_exit(42);
        }
        libc::_exit(43);
    }
}

extern "C" fn without_info(sig: libc::c_int) {
    // SAFETY: _exit may be called in a handler.
    unsafe { libc::_exit(if sig == libc::SIGSEGV { 44 } else { 43 }) }
}

/// Makes `handler` (or SIG_DFL, SIG_IGN) the action for SIGSEGV.
fn install(handler: usize, flags: libc::c_int) {
    // SAFETY: a valid action for a signal that nobody else changes in this process.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(
            libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()),
            0
        );
    }
}

fn fault_on_a_goroutine() {
    runtime::start(2).run(|| {
        let h = go!(|| {
            runtime::yield_now();
            fault();
        });
        let _ = h.join();
    });
}

#[test]
fn another_fault_reaches_the_handler_that_was_there() {
    const NAME: &str = "another_fault_reaches_the_handler_that_was_there";
    if is_child(NAME) {
        install(
            with_info as *const () as usize,
            libc::SA_SIGINFO | libc::SA_ONSTACK,
        );
        return fault_on_a_goroutine();
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(
        out.status.code(),
        Some(42),
        "{}\n{}",
        out.status,
        out.stderr
    );
    assert!(out.stdout.contains("my handler"));
    assert!(!out.stderr.contains("overflow"), "{}", out.stderr);
}

#[test]
fn another_fault_reaches_a_handler_of_one_argument() {
    const NAME: &str = "another_fault_reaches_a_handler_of_one_argument";
    if is_child(NAME) {
        install(without_info as *const () as usize, 0);
        return fault_on_a_goroutine();
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(
        out.status.code(),
        Some(44),
        "{}\n{}",
        out.status,
        out.stderr
    );
}

#[test]
fn another_fault_of_a_plain_thread_reaches_the_handler_too() {
    const NAME: &str = "another_fault_of_a_plain_thread_reaches_the_handler_too";
    if is_child(NAME) {
        install(
            with_info as *const () as usize,
            libc::SA_SIGINFO | libc::SA_ONSTACK,
        );
        let _rt = runtime::start(1);
        return fault();
    }
    let out = child(NAME, &[], LIMIT);
    assert_eq!(
        out.status.code(),
        Some(42),
        "{}\n{}",
        out.status,
        out.stderr
    );
}

#[test]
fn without_a_handler_a_fault_ends_the_process_as_ever() {
    const NAME: &str = "without_a_handler_a_fault_ends_the_process_as_ever";
    if is_child(NAME) {
        match std::env::var("WEFT_ACTION").unwrap().as_str() {
            "default" => install(libc::SIG_DFL, 0),
            "ignore" => install(libc::SIG_IGN, 0),
            _ => (), // the handler of std
        }
        return fault_on_a_goroutine();
    }
    for action in ["default", "ignore", "std"] {
        let out = child(NAME, &[("WEFT_ACTION", action)], LIMIT);
        let signal = out.status.signal();
        assert_eq!(
            signal,
            Some(libc::SIGSEGV),
            "{action}: {}\n{}",
            out.status,
            out.stderr
        );
        assert!(!out.stderr.contains("overflow"), "{action}: {}", out.stderr);
    }
}
