//! Children of the process, whose pipes and whose end are waited for as goroutines wait.
//!
//! A child's end is waited for by a pidfd (Linux 5.3), so no signal handler is needed and nobody else's
//! children are touched.

use crate::api::calls::{blocking, blocking_quietly};
use crate::api::io::Registered;
use crate::api::join::current;
use crate::api::scope::scope;
use crate::api::time::sleep;
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicBool;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process as std_process;
use std::time::{Duration, Instant};

#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};

/// A process to be started: `std::process::Command`, whose child's pipes and end park a goroutine, or
/// block a plain thread.
///
/// What is not here is done with [`Command::as_std_mut`].
///
/// ```
/// use runtime::process::{Command, Stdio};
/// use std::io::{Read, Write};
///
/// let rt = runtime::start(1);
/// rt.run(|| {
///     let output = Command::new("echo").arg("hello").output()?;
///     assert_eq!(output.stdout, b"hello\n");
///
///     let mut cat = Command::new("cat")
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .spawn()?;
///     cat.stdin.take().unwrap().write_all(b"there and back")?;
///     let mut text = String::new();
///     cat.stdout.take().unwrap().read_to_string(&mut text)?;
///     assert_eq!(text, "there and back");
///     assert!(cat.wait()?.success());
///     Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct Command {
    inner: std_process::Command,
    /// Whether something was said of standard input, output and error.
    said: [bool; 3],
}

impl Command {
    /// A process of this program, by name or path.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            inner: std_process::Command::new(program),
            said: [false; 3],
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Command {
        self.inner.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Command {
        self.inner.envs(vars);
        self
    }

    /// Removes a variable of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env_remove(key);
        self
    }

    /// Starts with an empty environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.inner.env_clear();
        self
    }

    /// The directory in which it starts.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Command {
        self.inner.current_dir(dir);
        self
    }

    /// Its standard input; inherited if nothing is said, but null for [`Command::output`].
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.inner.stdin(stdin);
        self.said[0] = true;
        self
    }

    /// Its standard output; inherited if nothing is said, but piped for [`Command::output`].
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.inner.stdout(stdout);
        self.said[1] = true;
        self
    }

    /// Its standard error; inherited if nothing is said, but piped for [`Command::output`].
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.inner.stderr(stderr);
        self.said[2] = true;
        self
    }

    /// The command as std has it, for what is not here. (Standard input, output and error are set by the
    /// methods of this type: [`Command::output`] takes them for not set otherwise.)
    pub fn as_std_mut(&mut self) -> &mut std_process::Command {
        &mut self.inner
    }

    /// Starts the process.
    ///
    /// # Errors
    /// If there is no such program, or the system gives no process or no pipes.
    pub fn spawn(&mut self) -> io::Result<Child> {
        orphans::reap();
        // Some milliseconds, until the child has executed the program.
        let mut child = blocking(|| self.inner.spawn())?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut owned = Owned::new(Child {
            inner: child,
            stdin: None,
            stdout: None,
            stderr: None,
        });
        let child = owned.get();
        child.stdin = pipes.0.map(|p| ChildStdin::new(p.into())).transpose()?;
        child.stdout = pipes.1.map(|p| ChildStdout::new(p.into())).transpose()?;
        child.stderr = pipes.2.map(|p| ChildStderr::new(p.into())).transpose()?;
        Ok(owned.give())
    }

    /// Starts the process, and waits until it has ended. If the wait is cut short (by a `timeout`, say), the process
    /// goes on; when it has ended, a later start of another one puts it away.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = Owned::new(self.spawn()?);
        child.get().wait()
    }

    /// Starts the process, waits until it has ended, and returns what it wrote. If that is cut short, see
    /// [`Command::status`].
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn output(&mut self) -> io::Result<Output> {
        /// As std does it; for this time only, however it ends.
        struct Piped<'a>(&'a mut Command);
        impl Drop for Piped<'_> {
            fn drop(&mut self) {
                self.0.set_unsaid(Stdio::inherit, Stdio::inherit);
            }
        }
        self.set_unsaid(Stdio::null, Stdio::piped);
        let child = Piped(self).0.spawn();
        child?.wait_with_output()
    }

    /// Sets those of standard input, and of output and error, of which nothing was said.
    fn set_unsaid(&mut self, input: fn() -> Stdio, outputs: fn() -> Stdio) {
        let [stdin, stdout, stderr] = self.said;
        if !stdin {
            self.inner.stdin(input());
        }
        if !stdout {
            self.inner.stdout(outputs());
        }
        if !stderr {
            self.inner.stderr(outputs());
        }
    }
}

/// A process that was started. Dropping it neither ends it nor waits for it, as in std.
#[derive(Debug)]
pub struct Child {
    inner: std_process::Child,
    /// Writes to its standard input, if that is piped.
    pub stdin: Option<ChildStdin>,
    /// Reads from its standard output, if that is piped.
    pub stdout: Option<ChildStdout>,
    /// Reads from its standard error, if that is piped.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// The system's number of the process.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Kills it (`SIGKILL`), if it has not ended.
    ///
    /// # Errors
    /// If it may not be killed by this process any more.
    pub fn kill(&mut self) -> io::Result<()> {
        self.inner.kill()
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// If somebody else has waited for it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.inner.try_wait()
    }

    /// Closes its standard input, and waits until it has ended. A wait that is cut short (by a `timeout`,
    /// say) can be repeated.
    ///
    /// # Errors
    /// If somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        if let Some(status) = self.inner.try_wait()? {
            return Ok(status);
        }
        let ended = pidfd(self.inner.id())
            .and_then(Registered::new)
            .and_then(|pidfd| pidfd.readable());
        match ended {
            Ok(()) => self.inner.wait(),
            Err(e) if std::thread::panicking() => Err(e), // it must not wait
            // No pidfd can be had, or waited for: the thread waits, and the P goes to others.
            Err(_) => blocking_quietly(|| self.inner.wait()),
        }
    }

    /// Waits until it has ended, and returns what it wrote to those outputs that are piped. If that is cut short, see
    /// [`Command::status`].
    ///
    /// # Errors
    /// As [`Child::wait`], and those of reading.
    pub fn wait_with_output(self) -> io::Result<Output> {
        let mut owned = Owned::new(self);
        let child = owned.get();
        drop(child.stdin.take());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = match (stdout, stderr) {
            (Some(out), Some(err)) if current().is_some() => scope(|s| {
                let err = s.spawn(|| read(Some(err)));
                (
                    read(Some(out)),
                    err.join()
                        .unwrap_or_else(|e| Err(io::Error::other(e.to_string()))),
                )
            }),
            (Some(out), Some(err)) => read_both(out, err)?,
            (out, err) => (read(out), read(err)),
        };
        Ok(Output {
            stdout: stdout?,
            stderr: stderr?,
            status: child.wait()?,
        })
    }
}

/// A child whose only owner is a call that may be cut short.
struct Owned(Option<Child>);

impl Owned {
    fn new(child: Child) -> Owned {
        Owned(Some(child))
    }

    fn get(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is taken last")
    }

    /// It has another owner from here on.
    fn give(mut self) -> Child {
        self.0.take().expect("it is taken last")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            orphans::adopt(child.inner);
        }
    }
}

/// Children that nobody waits for any more. Those that have ended are put away (the system keeps their numbers until
/// then) when the next one comes, or is started.
mod orphans {
    use crate::atomics::Mutex;
    use std::process::Child;

    static ORPHANS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

    pub(super) fn adopt(child: Child) {
        ORPHANS.lock().push(child);
        reap();
    }

    pub(super) fn reap() {
        let mut orphans = ORPHANS.lock();
        // How one has ended that was waited for is known, and asks nobody. An error means that somebody else has put it
        // away.
        orphans.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// What was read, or why not.
type Bytes = io::Result<Vec<u8>>;

/// Reads both, by a plain thread, which another helps. An error if that one cannot be had.
fn read_both(out: ChildStdout, err: ChildStderr) -> io::Result<(Bytes, Bytes)> {
    /// Ends the helper, however the reading ends.
    struct Cut<'a>(&'a AtomicBool);
    impl Drop for Cut<'_> {
        fn drop(&mut self) {
            // Relaxed: says nothing of anything else.
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let cut = AtomicBool::new(false);
    std::thread::scope(|s| {
        let helper = std::thread::Builder::new().name("weft-output".into());
        let err = helper.spawn_scoped(s, || read_unless(err, &cut))?;
        let _cut = Cut(&cut);
        let out = read(Some(out));
        // Not by a join, which a timeout would not end.
        let mut pause = Duration::from_micros(50);
        while !err.is_finished() {
            sleep(pause);
            pause = (pause * 2).min(SLICE);
        }
        let panicked = |_| Err(io::Error::other("the reader of standard error panicked"));
        Ok((out, err.join().unwrap_or_else(panicked)))
    })
}

/// Reads all, unless it is `cut` short: that is noticed within [`SLICE`].
fn read_unless(err: ChildStderr, cut: &AtomicBool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    while !cut.load(Ordering::Relaxed) {
        let end = Instant::now() + SLICE;
        match err.0.read_deadline(end, |mut pipe| pipe.read(&mut piece)) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::TimedOut => {}
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// How long a helper reads before it looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(20);

fn read(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A descriptor that is readable when the child, which was not waited for yet, has ended.
fn pidfd(child: u32) -> io::Result<OwnedFd> {
    // SAFETY: no preconditions. (The number is the child's as long as nobody has waited for it.)
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    match fd {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a new descriptor, that nobody else has.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
    }
}

macro_rules! pipes {
    ($($(#[$doc:meta])* $name:ident: $pipe:ty,)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Registered<$pipe>);

        impl $name {
            fn new(fd: OwnedFd) -> io::Result<$name> {
                Registered::new(fd.into()).map($name)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl From<$name> for OwnedFd {
            fn from(pipe: $name) -> OwnedFd {
                pipe.0.into_inner().into()
            }
        }

        /// For another child.
        impl From<$name> for Stdio {
            fn from(pipe: $name) -> Stdio {
                OwnedFd::from(pipe).into()
            }
        }
    )*};
}

pipes! {
    /// The pipe to a child's standard input.
    ChildStdin: PipeWriter,
    /// The pipe from a child's standard output.
    ChildStdout: PipeReader,
    /// The pipe from a child's standard error.
    ChildStderr: PipeReader,
}

macro_rules! reads {
    ($($name:ty),*) => {$(
        impl Read for $name {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.read_vectored(bufs)
            }
        }
    )*};
}

reads!(ChildStdout, ChildStderr);

macro_rules! writes {
    ($($name:ty),*) => {$(
        impl Write for $name {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&self.0).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&self.0).write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

writes!(ChildStdin, &ChildStdin);
