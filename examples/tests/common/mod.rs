//! What the tests of the examples share: running a program with a time limit, directories
//! that clean up after themselves, and a second, single-threaded way to count words.

#![allow(dead_code, reason = "every test program uses its own part of this")]

pub mod program;
pub mod served;

use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// An address at which nobody listens, as long as its socket lives. (A port that was just given up may soon be another's.)
pub fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port");
    let addr = socket.local_addr().expect("bound").as_socket();
    (socket, addr.expect("of the Internet"))
}

/// Says why a test does nothing, past the capture of what tests print.
pub fn skipped(why: &str) {
    // Without a standard error nobody reads it anyway.
    let _ = writeln!(io::stderr(), "\nSKIPPED: {why}");
}

/// No program may take longer than this, on a slow and busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The numbers of Ps that everything is tried with.
pub const PROCS: [usize; 4] = [1, 2, 4, 8];

/// What a program wrote, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Fails unless the program ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }
}

/// Runs a program to its end. Kills it and fails when that takes longer than the limit.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Output {
    run_command(Command::new(program).args(args))
}

/// Like [`run`], for a command that needs more than arguments.
#[track_caller]
pub fn run_command(command: &mut Command) -> Output {
    for name in ["RUNTIME_PROCS", "RUNTIME_DEBUG"] {
        // Not of this process, but maybe of the test.
        if command.get_envs().all(|(of, _)| of != name) {
            command.env_remove(name);
        }
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Both pipes are emptied while it runs, a full one would block it.
    let stdout = collect(child.stdout.take().expect("piped above"));
    let stderr = collect(child.stderr.take().expect("piped above"));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break Some(status);
        }
        if begin.elapsed() > TIME_LIMIT {
            // It may end at this very moment, then there is nothing to kill.
            let _ = child.kill();
            child.wait().expect("a killed child ends");
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let stdout = stdout.join().expect("the pipe is readable");
    let stderr = stderr.join().expect("the pipe is readable");
    match status {
        Some(status) => Output {
            status,
            stdout,
            stderr,
        },
        None => panic!("{command:?} was killed after {TIME_LIMIT:?}\n{stdout}\n{stderr}"),
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("the pipe is readable");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A new, empty directory that is removed when this is dropped.
pub struct TempTree(PathBuf);

impl TempTree {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only distinct numbers matter.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tree-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        TempTree(path)
    }

    /// Writes a file, and the directories above it.
    pub fn file(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
        fs::write(&path, contents).expect("writable");
        path
    }
}

impl Deref for TempTree {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempTree {
    fn drop(&mut self) {
        // A test that failed half-way may have left it in any state; it is only disk space.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A count made in one thread, by recursion and one character at a time.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Census {
    pub files: u64,
    pub bytes: u64,
    pub words: u64,
    pub counts: BTreeMap<String, u64>,
    pub not_utf8: u64,
    pub unreadable: u64,
}

impl Census {
    pub fn of(path: &Path) -> Self {
        let mut census = Census::default();
        census.visit(path);
        census
    }

    fn visit(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.file(path);
        }
        let Ok(entries) = fs::read_dir(path) else {
            self.unreadable += 1;
            return;
        };
        for path in entries.map(|e| e.expect("readable to its end").path()) {
            let left_out = path.ends_with(".git") || path.ends_with("target");
            if path.is_dir() && (left_out || path.is_symlink()) {
                continue;
            }
            self.visit(&path);
        }
    }

    fn file(&mut self, path: &Path) {
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(&text),
            Ok(Err(_)) => self.not_utf8 += 1,
            Err(_) => self.unreadable += 1,
        }
    }

    /// A state machine: letters are collected, apostrophes wait for a letter to follow.
    pub fn text(&mut self, text: &str) {
        self.files += 1;
        self.bytes += text.len() as u64;
        let mut word = String::new();
        let mut apostrophes = 0;
        for c in text.chars().chain(['\n']) {
            if c == '\'' {
                apostrophes += usize::from(!word.is_empty());
            } else if c == '_' || c.is_alphanumeric() {
                word.extend(std::iter::repeat_n('\'', apostrophes));
                word.push(c);
                apostrophes = 0;
            } else {
                if !word.is_empty() {
                    self.words += 1;
                    *self.counts.entry(word.to_lowercase()).or_insert(0) += 1;
                }
                word.clear();
                apostrophes = 0;
            }
        }
    }
}
