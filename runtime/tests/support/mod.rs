//! What the integration tests of all crates share: time limits, numbers of Ps, sizes, children.
#![allow(dead_code, reason = "each test binary uses a part")]

use runtime::{GoroutineId, Runtime};
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The numbers of Ps that every behaviour is tested with.
pub const PROCS: [usize; 4] = [1, 2, 4, 8];

/// Runs `f` with a time limit. A hang is the typical bug here, and a hanging test must neither
/// hang the suite nor pass: the process is aborted, with a word on which test it was.
pub fn within<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T) -> T {
    let (done, watch) = mpsc::channel::<()>();
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let dog = std::thread::spawn(move || {
        if watch.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Past the capture of what tests print, which an abort would lose.
            let mut err = std::io::stderr();
            let _ = writeln!(err, "\n{name}: still running after {limit:?}: aborting");
            // Who hangs, if it can be seen: in a moment, or not at all.
            std::thread::spawn(|| {
                let dump = std::panic::catch_unwind(runtime::dump);
                let _ = dump.map(|dump| writeln!(std::io::stderr(), "{}", dump.grouped()));
            });
            std::thread::sleep(Duration::from_secs(3));
            std::process::abort();
        }
    });
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    drop(done);
    let _ = dog.join();
    match result {
        Ok(v) => v,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Runs `f` on a runtime of 1, 2, 4 and 8 Ps, each within a minute.
pub fn with_procs(f: impl Fn(&Runtime)) {
    for n in PROCS {
        within_minute(|| f(&runtime::start(n)));
    }
}

/// Runs `f` on a goroutine of 1, 2, 4 and 8 Ps, and on a plain thread beside a runtime; see [`alone`].
pub fn everywhere(f: impl Fn() + Send + Sync) {
    let _alone = alone();
    with_procs(|rt| rt.run(&f));
    within_minute(|| {
        let _rt = runtime::start(2);
        f();
    });
}

/// Lets goroutines that were just spawned come to their waits.
pub fn settle() {
    runtime::time::sleep(Duration::from_millis(20));
}

/// One test at a time: the runtime of one must not be the default one of another's threads. (To be
/// held by *all* tests of a process that start runtimes.)
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The usual time limit.
pub fn within_minute<T: Send + 'static>(f: impl FnOnce() -> T) -> T {
    within(Duration::from_secs(60), f)
}

/// Whether each wake moves the goroutine to another thread (`RUNTIME_DEBUG=migrate=always`): some
/// 30 µs per switch.
pub fn migrating() -> bool {
    std::env::var("RUNTIME_DEBUG").is_ok_and(|v| v.contains("migrate=always"))
}

/// A number of repetitions: `n` in release or with `WEFT_STRESS` set, else a tenth, and a hundredth of that when each switch
/// changes threads.
pub fn scale(n: usize) -> usize {
    let all = !cfg!(debug_assertions) || std::env::var_os("WEFT_STRESS").is_some();
    let n = if all { n } else { n / 10 };
    let n = if migrating() { n / 100 } else { n };
    n.max(1)
}

/// Waits until `cond` holds, at most ten seconds; whether it does.
pub fn eventually(mut cond: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if cond() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    cond()
}

/// Runs `f` on so many goroutines and so many plain threads at once, each with a number, until all
/// have returned.
pub fn crowd(
    rt: &Runtime,
    goroutines: usize,
    threads: usize,
    f: impl Fn(usize) + Send + Sync + 'static,
) {
    let f = std::sync::Arc::new(f);
    let hs: Vec<_> = (0..goroutines)
        .map(|i| {
            let f = f.clone();
            rt.spawn(move || f(i))
        })
        .collect();
    let ts: Vec<_> = (goroutines..goroutines + threads)
        .map(|i| {
            let f = f.clone();
            std::thread::spawn(move || f(i))
        })
        .collect();
    hs.into_iter().for_each(|h| h.join().unwrap());
    ts.into_iter().for_each(|t| t.join().unwrap());
}

/// Ms that have both a P and a goroutine.
pub fn running(rt: &Runtime) -> usize {
    running_but(rt, None)
}

/// As `running`, but for the one whose goroutine is `not`.
pub fn running_but(rt: &Runtime, not: Option<GoroutineId>) -> usize {
    let not = not.map_or(String::new(), |id| format!(" curg={} ", id.as_u64()));
    let trace = rt.schedtrace(true);
    trace
        .lines()
        .filter(|l| l.starts_with("  M") && !l.contains(" p=nil") && !l.contains(" curg=nil"))
        .filter(|l| not.is_empty() || !l.contains(&not))
        .count()
}

/// Threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Open file descriptors of this process, but for those of /proc: monitors open some for a moment.
pub fn fds() -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let files = all.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    files.filter(|file| !file.starts_with("/proc")).count()
}

/// Lines of this process's table of mappings.
pub fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().count()
}

/// A number of KiB out of /proc/self/status, such as `VmRSS`.
pub fn status_kib(key: &str) -> usize {
    status_kib_of(std::process::id(), key)
}

/// The same of another process.
pub fn status_kib_of(process: u32, key: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What a child process left behind.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs this test binary again as a child that runs only the ignored-by-default body `name` (a
/// `#[test]` that returns at once unless `WEFT_CHILD` is its name), with `env`, within `limit`.
pub fn child(name: &str, env: &[(&str, &str)], limit: Duration) -> Output {
    let mut cmd = child_command(name, env);
    cmd.stdout(Stdio::piped()).stderr(Stdio::piped());
    wait(cmd.spawn().unwrap(), limit)
}

/// The command that does so, for a child that is talked to.
pub fn child_command(name: &str, env: &[(&str, &str)]) -> Command {
    let mut cmd = Command::new(std::env::current_exe().unwrap());
    cmd.args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env("WEFT_CHILD", name)
        .env("RUST_BACKTRACE", "0")
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    cmd
}

/// As [`child`], with a standard error that cannot be written to: its reader is gone, or the disk is full. How it ended.
pub fn child_without_stderr(
    name: &str,
    env: &[(&str, &str)],
    stderr: impl Into<Stdio>,
    limit: Duration,
) -> ExitStatus {
    let mut cmd = child_command(name, env);
    let mut child = cmd.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    end_of(&mut child, limit).unwrap()
}

/// Whether this process is the child that shall run the body `name`.
pub fn is_child(name: &str) -> bool {
    std::env::var("WEFT_CHILD").is_ok_and(|v| v == name)
}

/// Runs `f`, the body of the test `name`, in a child with `env`, which must end well within `limit`.
#[track_caller]
pub fn in_child(name: &str, env: &[(&str, &str)], limit: Duration, f: impl FnOnce()) {
    if is_child(name) {
        return f();
    }
    let out = child(name, env, limit);
    assert!(out.status.success(), "{}\n{}", out.stdout, out.stderr);
}

fn wait(mut child: Child, limit: Duration) -> Output {
    use std::io::Read;
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut r: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut s = Vec::new();
            r.read_to_end(&mut s).unwrap();
            String::from_utf8_lossy(&s).into_owned()
        })
    };
    let _ = (&mut out, &mut err);
    let (out, err) = (read(Box::new(out)), read(Box::new(err)));
    let status = end_of(&mut child, limit);
    let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
    let status = status.unwrap_or_else(|e| panic!("{e}; its standard error:\n{stderr}"));
    Output {
        status,
        stdout,
        stderr,
    }
}

/// How it ended; an error if it had to be killed.
fn end_of(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("the child did not end within {limit:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Calls it when it is dropped, also by a panic.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Counts what is alive.
#[derive(Clone, Default)]
pub struct Alive(pub std::sync::Arc<std::sync::atomic::AtomicUsize>);

pub struct Token(pub Alive);

impl Alive {
    pub fn token(&self) -> Token {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Token(self.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
    }
}
