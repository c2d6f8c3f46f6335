//! A server of the examples in a thread of the test, with a runtime and a `shutdown` of its own.

use channels::{Receiver, Sender};
use examples::httpd;
use examples::serve::Farewell;
use runtime::net::TcpListener;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic;
use std::process::Command;
use std::sync::{Mutex, Once, mpsc};
use std::thread;
use std::time::Duration;

/// No step of a test may wait longer than this, on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What goroutines have panicked with, since [`take_panics`].
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The panics of goroutines since the last call, of all servers here: a guest that panics is gone
/// alone, and its client cannot tell that from a close.
pub fn take_panics() -> Vec<String> {
    std::mem::take(&mut *PANICS.lock().expect("nobody panics with it"))
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A test that fails is none of them.
            if runtime::current().is_some() {
                let mut panics = PANICS.lock().expect("nobody panics with it");
                panics.push(info.to_string());
            }
            previous(info);
        }));
    });
}

/// A server that runs.
pub struct Served {
    pub addr: SocketAddr,
    shutdown: Sender<()>,
    thread: thread::JoinHandle<Farewell>,
}

impl Served {
    /// Starts one at a free port.
    pub fn start<F>(serve: F) -> Served
    where
        F: FnOnce(&TcpListener, &Receiver<()>) -> io::Result<Farewell> + Send + 'static,
    {
        watch_panics();
        let (shutdown, asked) = channels::bounded(1);
        let (tx, rx) = mpsc::channel();
        let thread = thread::spawn(move || {
            runtime::start(2).run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
                tx.send(listener.local_addr().expect("bound"))
                    .expect("the test waits");
                serve(&listener, &asked).expect("nothing is wrong with the listener")
            })
        });
        Served {
            addr: rx.recv_timeout(PATIENCE).expect("it starts"),
            shutdown,
            thread,
        }
    }

    /// Starts an HTTP server.
    pub fn http(options: httpd::Options) -> Served {
        Served::start(move |listener, shutdown| httpd::serve(listener, shutdown, options))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        stream
    }

    /// Sends `bytes` on a connection of their own, and returns what comes until its end.
    pub fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // It may refuse, and end, before it has read everything.
        let _ = stream.write_all(bytes.as_ref());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        rest(&mut stream)
    }

    /// Asks it to end; it may go on until [`Served::ended`].
    pub fn ask_to_end(&self) {
        self.shutdown.send(()).expect("it listens to us");
    }

    /// Waits for it to have ended.
    pub fn ended(self) -> Farewell {
        let (tx, rx) = mpsc::channel();
        thread::spawn(move || tx.send(self.thread.join()));
        let ended = rx.recv_timeout(PATIENCE).expect("it ends in time");
        ended.expect("it did not panic")
    }

    /// Ends it.
    pub fn stop(self) -> Farewell {
        self.ask_to_end();
        self.ended()
    }
}

/// All that comes, until the end.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("{e}, after {:?}", String::from_utf8_lossy(&bytes)),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes up to `end`, byte by byte: what follows is left where it is.
pub fn up_to(stream: &mut impl Read, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more");
        bytes.extend(byte);
    }
    bytes
}

/// Whether a program is there to test with; says so if not.
pub fn is_installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        super::skipped(&format!("{program} is not installed"));
    }
    there
}

/// Runs curl, and returns what it printed.
#[track_caller]
pub fn curl<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30"]);
    super::run_command(command.args(args)).expect_code(0).stdout
}

/// Status line, headers and body of the first response.
pub fn response(text: &str) -> (&str, &str, &str) {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let (line, headers) = head.split_once("\r\n").expect("headers");
    (line, headers, body)
}
