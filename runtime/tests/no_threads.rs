//! A system that gives no thread, for a while: what is said, and that all goes on once there is one again.
//!
//! The `pthread_create` of this program is ours. It refuses while a [`NoThreads`] lives, as the system does at its
//! limit; so each test is a process of its own.

mod support;

use runtime::io::Registered;
use runtime::process::Command;
use runtime::{Builder, Runtime, blocking, go, time};
use std::ffi::{c_int, c_void};
use std::io::{ErrorKind, Read, Write, pipe};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};
use support::{in_child, within};

static REFUSES: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

type Start = extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Start,
    *mut c_void,
) -> c_int;

/// # Safety
/// As the function of this name in POSIX.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attr: *const libc::pthread_attr_t,
    start: Start,
    arg: *mut c_void,
) -> c_int {
    if REFUSES.load(SeqCst) {
        REFUSED.fetch_add(1, SeqCst);
        return libc::EAGAIN;
    }
    // SAFETY: the next function of this name is the system's, of this type; the arguments are the caller's.
    unsafe {
        let system = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
        assert!(!system.is_null());
        std::mem::transmute::<*mut c_void, Create>(system)(thread, attr, start, arg)
    }
}

/// While it lives, there is no thread to be had.
struct NoThreads(());

impl NoThreads {
    fn begin() -> NoThreads {
        REFUSES.store(true, SeqCst);
        NoThreads(())
    }

    /// Ends it, and says how often a thread was asked for.
    fn end(self) -> usize {
        drop(self);
        REFUSED.load(SeqCst)
    }
}

impl Drop for NoThreads {
    fn drop(&mut self) {
        REFUSES.store(false, SeqCst);
    }
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `f` in a process of its own.
#[track_caller]
fn alone(name: &str, f: impl FnOnce()) {
    in_child(name, &[], LIMIT * 2, || within(LIMIT, f));
}

/// On one P: a goroutine `waits` for what `ready` brings about, while the only thread is in a call that blocks it, and
/// while no other is to be had: for 100 ms, or for so long that the monitor would go to sleep in the meantime. It comes to
/// its turn once there is a thread, within that call.
#[track_caller]
fn goes_on<W, R>(make: impl Fn(Duration) -> (W, R))
where
    W: FnOnce() + Send + 'static,
    R: FnOnce(&Runtime) + Send,
{
    for missing in [100, 2500].map(Duration::from_millis) {
        let rt = runtime::start(1);
        let (waits, ready) = make(missing);
        rt.run(|| {
            let none = NoThreads::begin(); // before a P could change hands
            let done = Arc::new(AtomicBool::new(false));
            go!({
                let done = done.clone();
                move || {
                    waits();
                    done.store(true, SeqCst);
                }
            });
            support::settle(); // it waits
            let before = REFUSED.load(SeqCst);
            blocking(|| {
                ready(&rt);
                std::thread::sleep(missing);
                assert!(!done.load(SeqCst), "on which thread?");
                assert!(none.end() > before, "no thread was asked for");
                let began = Instant::now();
                while !done.load(SeqCst) {
                    assert!(began.elapsed() < LIMIT / 6, "it still waits");
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        });
    }
}

#[test]
fn a_late_timer_fires() {
    alone("a_late_timer_fires", || {
        goes_on(|missing| {
            let waits = move || time::sleep(missing * 3 / 5);
            (waits, |_: &_| ())
        });
    });
}

#[test]
fn a_descriptor_that_is_ready_is_seen() {
    alone("a_descriptor_that_is_ready_is_seen", || {
        goes_on(|missing| {
            let (rx, mut tx) = pipe().unwrap();
            let rx = Registered::new(rx).unwrap();
            let waits = move || assert_eq!((&rx).read(&mut [0]).unwrap(), 1);
            (waits, move |_: &_| {
                std::thread::sleep(missing * 3 / 5);
                tx.write_all(b"!").unwrap();
            })
        });
    });
}

#[test]
fn a_goroutine_from_elsewhere_comes_to_its_turn() {
    alone("a_goroutine_from_elsewhere_comes_to_its_turn", || {
        goes_on(|_| {
            let (tx, rx) = channels::bounded(0);
            let waits = move || assert_eq!(rx.recv(), Ok(1));
            (waits, move |rt: &Runtime| {
                drop(rt.spawn(move || tx.send(1)))
            })
        });
    });
}

#[test]
fn what_needs_a_thread_says_that_there_is_none() {
    alone("what_needs_a_thread_says_that_there_is_none", || {
        let said = |text: String| {
            assert!(text.contains("no thread"), "{text}");
            assert!(text.contains("limit on threads"), "{text}");
        };
        // On a plain thread, which has no other goroutine for the second stream.
        let talks = || {
            Command::new("sh")
                .args(["-c", "echo out; echo err >&2"])
                .output()
        };
        let none = NoThreads::begin();
        said(Builder::new().procs(2).build().unwrap_err().to_string());
        assert_eq!(talks().unwrap_err().kind(), ErrorKind::WouldBlock);
        said(
            runtime::trace::start(std::io::sink())
                .unwrap_err()
                .to_string(),
        );
        drop(none);
        let output = talks().unwrap();
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, b"err\n");

        runtime::start(2).run(|| {
            let none = NoThreads::begin();
            let error = runtime::leaks().unwrap_err();
            assert!(error.to_string().contains("no thread"), "{error}");
            drop(none);
            assert!(runtime::leaks().unwrap().is_empty());
        });
    });
}
