//! The experiment: the same URL, fetched n times in one of three ways.

use super::client::Client;
use crate::httpd;
use channels::Sender;
use runtime::net::{SocketAddr, TcpListener};
use runtime::{JoinHandle, Runtime, go};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many URLs are fetched at once, row by row.
pub const ROWS: [usize; 5] = [1, 10, 50, 100, 500];

/// How they are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a pool of so many threads, each of which takes the next URL when it is done with one.
    Pool(usize),
    /// By a thread for each.
    Threads,
    /// By a goroutine for each.
    Goroutines,
}

impl Way {
    /// The three, with a pool of as many threads as there are CPUs.
    pub fn all() -> [Way; 3] {
        let cpus = thread::available_parallelism().map_or(1, |n| n.get());
        [Way::Pool(cpus), Way::Threads, Way::Goroutines]
    }

    /// Its name in tables and plots.
    pub fn name(self) -> String {
        match self {
            Way::Pool(1) => "pool of 1 thread".into(),
            Way::Pool(n) => format!("pool of {n} threads"),
            Way::Threads => "a thread each".into(),
            Way::Goroutines => "goroutines".into(),
        }
    }
}

/// The server of the experiment: an HTTP server of this process, at a free port of this machine.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    shutdown: Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts it on goroutines of `rt`.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(rt: &Runtime) -> io::Result<Server> {
        let (shutdown, asked) = channels::bounded(1);
        rt.run(|| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            Ok(Server {
                addr: listener.local_addr()?,
                shutdown,
                serving: go!(name = "server", move || {
                    if let Err(e) = httpd::serve(&listener, &asked, httpd::Options::default()) {
                        eprintln!("the server ended early: {e}");
                    }
                }),
            })
        })
    }

    /// What to fetch: it is answered after `latency`.
    pub fn url(&self, latency: Duration) -> String {
        format!("http://{}/sleep?ms={}", self.addr, latency.as_millis())
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.shutdown);
        // It has said what was wrong.
        let _ = self.serving.join();
    }
}

/// Fetches `url` so many times, and returns how long it took. Call it on a plain thread; `done`
/// is called after each fetch.
///
/// # Errors
/// The first error of a fetch, in words.
pub fn run(
    rt: &Runtime,
    way: Way,
    client: &Client,
    url: &str,
    times: usize,
    done: &(impl Fn() + Sync),
) -> Result<Duration, String> {
    let fetch = || {
        let result = client.fetch(url).map(drop).map_err(|e| e.to_string());
        done();
        result
    };
    let begin = Instant::now();
    match way {
        Way::Pool(n) => pool(n, times, &fetch),
        Way::Threads => thread::scope(|s| {
            let all: Vec<_> = (0..times)
                .map(|_| thread::Builder::new().spawn_scoped(s, fetch))
                .collect();
            all.into_iter().try_for_each(|one| {
                let one = one.map_err(|e| format!("no thread: {e}"))?;
                one.join().expect("a fetch does not panic")
            })
        }),
        Way::Goroutines => rt.run(|| {
            runtime::scope(|s| {
                let all: Vec<_> = (0..times).map(|_| s.spawn(fetch)).collect();
                all.into_iter()
                    .try_for_each(|one| one.join().expect("a fetch does not panic"))
            })
        }),
    }?;
    Ok(begin.elapsed())
}

fn pool(
    threads: usize,
    times: usize,
    fetch: &(impl Fn() -> Result<(), String> + Sync),
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    thread::scope(|s| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                s.spawn(|| {
                    // Relaxed: each takes another number, and no more is said by it.
                    while next.fetch_add(1, Ordering::Relaxed) < times {
                        fetch()?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a fetch does not panic"))
    })
}
