//! The load that servers are under: one program for all of them, so that only the server differs.
//! It starts the server as a child, drives it, and stops it.
//!
//! ```text
//! server   the child that serves
//! echo     round trips, one message in flight on each connection; idle connections
//! once     one long stream; many short connections
//! wrk      requests by HTTP, which are wrk's
//! ```

mod echo;
mod once;
mod server;
pub mod wrk;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::compare::stats::{median, percentile_99};
use crate::compare::workloads::Traffic;
use crate::peers::{Measurement, Peer, Unit, resident_memory_of};
use echo::Echo;
use server::Server;

/// After this time without an answer a server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server whose memory is measured is left alone before.
const SETTLE: Duration = Duration::from_millis(200);

/// How many connections warm up a server whose memory is measured.
const MEMORY_WARM_UP: usize = 10;

/// One measurement of one server.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is asked of the server.
    pub traffic: Traffic,
    /// Whose server.
    pub peer: Peer,
    /// Its number of Ps.
    pub procs: usize,
    /// The size of a pass.
    pub size: usize,
    /// How long the passes last at least.
    pub min_time: Duration,
    /// Go's program, if the peer is Go.
    pub go: Option<PathBuf>,
}

/// Starts the server and measures it; the error is one line.
pub fn run(task: &Task) -> Result<Measurement, String> {
    raise_file_limit();
    let unix = matches!(task.traffic, Traffic::Echo { unix: true, .. });
    let measured = Server::start(task, unix).and_then(|server| measure(task, &server));
    measured.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the server gave no answer for {} s", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    })
}

fn measure(task: &Task, server: &Server) -> io::Result<Measurement> {
    let size = task.size;
    match task.traffic {
        Traffic::Echo { connections, .. } | Traffic::EchoTail { connections, .. } => {
            let mut echo = Echo::new()?;
            echo.connect(server.address(), connections)?;
            let passes = passes(task.min_time, |singles| echo.pass(size, singles))?;
            Ok(match task.traffic {
                Traffic::EchoTail { .. } => passes.tail(),
                _ => passes.mean(),
            })
        }
        Traffic::Stream => {
            passes(task.min_time, |_| once::stream(server.address(), size)).map(|p| p.mean())
        }
        Traffic::ConnectClose => {
            let mut visits = once::Visits::new(server.address())?;
            passes(task.min_time, |_| visits.pass(size)).map(|p| p.mean())
        }
        Traffic::Http { connections } => wrk::measure(server.address(), connections, size),
        Traffic::IdleMemory => {
            let mut echo = Echo::new()?;
            echo.connect(server.address(), MEMORY_WARM_UP)?;
            echo.pass(MEMORY_WARM_UP, &mut Vec::new())?;
            std::thread::sleep(SETTLE);
            let before = resident_memory_of(server.process());
            echo.connect(server.address(), size)?;
            // Every one of them gets its turn.
            echo.pass(MEMORY_WARM_UP + size, &mut Vec::new())?;
            std::thread::sleep(SETTLE);
            let grown = resident_memory_of(server.process()).saturating_sub(before);
            Ok(Measurement {
                unit: Unit::BytesPerGoroutine,
                value: grown as f64 / size as f64,
                p50: None,
                p99: None,
                ops: size as u64,
            })
        }
    }
}

/// What the passes after the one that warms up took, and the operations one by one, in
/// nanoseconds, where the pass looks at them.
#[derive(Debug, Default)]
struct Passes {
    ops: usize,
    elapsed: Duration,
    singles: Vec<f64>,
}

/// One pass to warm up, then passes until they have lasted `min_time`. A pass returns how many
/// operations it was, and adds what the single ones took.
fn passes(
    min_time: Duration,
    mut pass: impl FnMut(&mut Vec<f64>) -> io::Result<usize>,
) -> io::Result<Passes> {
    pass(&mut Vec::new())?;
    let mut passes = Passes::default();
    let start = Instant::now();
    loop {
        passes.ops += pass(&mut passes.singles)?;
        passes.elapsed = start.elapsed();
        if passes.elapsed >= min_time {
            return Ok(passes);
        }
    }
}

impl Passes {
    fn mean(&self) -> Measurement {
        Measurement {
            unit: Unit::NsPerOp,
            value: self.elapsed.as_nanos() as f64 / self.ops as f64,
            p50: median(&self.singles),
            p99: percentile_99(&self.singles),
            ops: self.ops as u64,
        }
    }

    fn tail(&self) -> Measurement {
        let mean = self.mean();
        Measurement {
            unit: Unit::P99Ns,
            value: mean.p99.expect("single operations were looked at"),
            p99: None,
            p50: None,
            ..mean
        }
    }
}

/// As many files as the system allows: a connection is one.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the system writes to and reads from `limit` during the calls only. If it refuses, the
    // load says where it got stuck.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
