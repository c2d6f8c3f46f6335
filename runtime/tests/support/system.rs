//! What some tests of the runtime share that goes to the system itself: signals, and time on a CPU.
#![allow(dead_code, reason = "each test binary uses a part")]

use runtime::signal::Signal;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Sends a signal to this very process.
pub fn raise(signal: Signal) {
    // SAFETY: to our own process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal.as_raw()) }, 0);
}

/// A new eventfd, which blocks.
pub fn event() -> File {
    // SAFETY: a new descriptor, which is nobody's.
    unsafe { File::from_raw_fd(libc::eventfd(0, 0)) }
}

/// How much time on a CPU the calling thread has had.
pub fn cpu_time() -> Duration {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the time of the calling thread to `t`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Computes until the thread has had so much time on a CPU, however many others want one.
pub fn burn(time: Duration) -> u64 {
    let begin = cpu_time();
    let mut n = 0u64;
    while cpu_time() - begin < time {
        n = std::hint::black_box(n + 1);
    }
    n
}

/// Computes for so long.
pub fn spin(time: Duration) -> u64 {
    let begin = Instant::now();
    let mut n = 0u64;
    while begin.elapsed() < time {
        n = std::hint::black_box(n + 1);
    }
    n
}

/// Leaves the calling thread, and those that it starts, one CPU of those that it may use.
pub fn one_cpu() {
    // SAFETY: asks for and sets the mask of this thread; a mask is plain numbers.
    unsafe {
        let mut all = std::mem::zeroed::<libc::cpu_set_t>();
        let size = size_of_val(&all);
        assert_eq!(libc::sched_getaffinity(0, size, &mut all), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &all));
        let mut one = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(first.unwrap(), &mut one);
        assert_eq!(libc::sched_setaffinity(0, size, &one), 0);
    }
}

/// What tells of new files in `dir`: an inotify.
pub fn inotify(dir: &Path) -> File {
    let dir = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: a new descriptor, which is nobody's; the path ends in a zero.
    unsafe {
        let fd = libc::inotify_init1(libc::IN_CLOEXEC);
        assert!(libc::inotify_add_watch(fd, dir.as_ptr(), libc::IN_CREATE) >= 0);
        File::from_raw_fd(fd)
    }
}

/// A directory of a test's own, which goes with this.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static N: AtomicUsize = AtomicUsize::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("weft-test-{}-{n}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
