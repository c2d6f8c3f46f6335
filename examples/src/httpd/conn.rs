//! One connection: the only part that reads and writes the socket, and that knows about time.

use super::Shared;
use super::chunked::Decoder;
use super::files::Entry;
use super::input::Input;
use super::request::{Framing, Method, Request, parse};
use super::response::{self, Connection, Date};
use super::routes::{Answer, answer};
use super::status::Status;
use crate::serve::{Guest, say_goodbye};
use runtime::net::{Shutdown, TcpStream};
use runtime::time::sleep;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Responses are collected up to here before they are written; files above it are sent in pieces
/// of it.
const PIECE: usize = 64 * 1024;

/// A buffer that grew beyond this for one request is not kept.
const KEPT: usize = 4 * PIECE;

const TEXT: &str = "text/plain";

/// A connection, as the server sees it.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    shared: Arc<Shared>,
    /// It waits for the first byte of a request.
    idle: AtomicBool,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Conn {
        Conn {
            stream,
            shared,
            idle: AtomicBool::new(false),
        }
    }
}

impl Guest for Conn {
    fn run(&self) {
        // An error means that the client is gone: there is nobody to tell.
        let _ = Session::new(self).serve();
    }

    fn drain(&self) {
        // SeqCst, both here and in `read_first`: of the two who each store one flag and load the
        // other, at least one sees what the other stored.
        self.shared.draining.store(true, Ordering::SeqCst);
        if self.idle.load(Ordering::SeqCst) {
            // What has come is still read, and after it the end.
            let _ = self.stream.shutdown(Shutdown::Read);
        }
    }

    fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What only the connection's goroutine sees.
struct Session<'a> {
    conn: &'a Conn,
    input: Input,
    out: Vec<u8>,
    body: Vec<u8>,
    date: Date,
    /// The read timeout that the socket has, to set it only when it changes.
    read_time: Option<Duration>,
}

/// Why there is no request to answer.
enum Stop {
    /// The client has gone, or been silent, between requests.
    Gone,
    /// The request is refused.
    Refused(Status),
    /// The socket failed.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Stop {
        // Also a timeout of a write: a part of a response may have gone out, and nothing may follow.
        Stop::Failed(e)
    }
}

impl<'a> Session<'a> {
    fn new(conn: &'a Conn) -> Session<'a> {
        Session {
            conn,
            input: Input::new(),
            out: Vec::with_capacity(1024),
            body: Vec::new(),
            date: Date::new(),
            read_time: None,
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let limits = &self.conn.shared.limits;
        self.conn
            .stream
            .set_write_timeout(Some(limits.write_time))?;
        loop {
            match self.one() {
                Ok(true) => {}
                Ok(false) => return self.close(),
                // With its last response in flight, perhaps.
                Err(Stop::Gone) => return self.close(),
                Err(Stop::Refused(status)) => return self.refuse(status),
                Err(Stop::Failed(e)) => return Err(e),
            }
        }
    }

    /// Reads a request and answers it. Whether another may follow.
    fn one(&mut self) -> Result<bool, Stop> {
        let request = self.next_request()?;
        let head = &self.input.bytes()[..request.len];
        let shared = &self.conn.shared;
        let answer = answer(&request, head, shared.root.as_deref(), shared.debug);
        self.input.consume(request.len);
        let mut keep = request.keep_alive;
        if request.framing != Framing::None {
            keep &= self.body(&request, matches!(answer, Answer::Echo))?;
        } else {
            self.body.clear();
        }
        if let Answer::Sleep(time) = answer {
            self.flush()?;
            sleep(time);
        }
        // Relaxed: who misses it here sees it in `read_first`.
        keep &= !self.conn.shared.draining.load(Ordering::Relaxed);
        self.answer(answer, &request, keep)?;
        if self.body.capacity() > KEPT {
            self.body = Vec::new();
        }
        if self.out.len() > PIECE {
            self.flush()?;
        }
        Ok(keep)
    }

    fn next_request(&mut self) -> Result<Request, Stop> {
        let limits = &self.conn.shared.limits;
        let mut began = None;
        loop {
            match parse(self.input.bytes(), limits) {
                Ok(Some(request)) => return Ok(request),
                Ok(None) => self.flush()?,
                Err(status) => return Err(Stop::Refused(status)),
            }
            if self.input.bytes().is_empty() {
                self.read_first(limits.idle_time)?;
            } else {
                let began = *began.get_or_insert_with(Instant::now);
                self.read_by(began + limits.head_time)?;
            }
        }
    }

    /// Waits for the first byte of a request.
    fn read_first(&mut self, time: Duration) -> Result<(), Stop> {
        // SeqCst: see `drain`.
        self.conn.idle.store(true, Ordering::SeqCst);
        if self.conn.shared.draining.load(Ordering::SeqCst) {
            return Err(Stop::Gone);
        }
        let read = self.read(time);
        self.conn.idle.store(false, Ordering::SeqCst);
        match read {
            Ok(n) if n > 0 => Ok(()),
            _ => Err(Stop::Gone),
        }
    }

    /// Waits for more of a request, whose patience ends at `end`.
    fn read_by(&mut self, end: Instant) -> Result<(), Stop> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Stop::Refused(Status::TIMEOUT));
        }
        match self.read(left) {
            Ok(0) => Err(Stop::Gone),
            Ok(_) => Ok(()),
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Stop::Refused(Status::TIMEOUT)),
                _ => Err(Stop::Failed(e)),
            },
        }
    }

    fn read(&mut self, time: Duration) -> io::Result<usize> {
        if self.read_time != Some(time) {
            self.conn.stream.set_read_timeout(Some(time))?;
            self.read_time = Some(time);
        }
        self.input.fill(&self.conn.stream)
    }

    /// Reads the request's body. A client that asks first is told to send it only if it is
    /// wanted. Whether the connection can go on.
    fn body(&mut self, request: &Request, wanted: bool) -> Result<bool, Stop> {
        self.body.clear();
        if request.expects_continue && self.input.bytes().is_empty() {
            if !wanted {
                return Ok(false); // what comes next may be the body, or may not
            }
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let limits = &self.conn.shared.limits;
        let end = Instant::now() + limits.body_time;
        let mut chunks = Decoder::default();
        loop {
            let bytes = self.input.bytes();
            let (used, done) = match request.framing {
                Framing::None => (0, true),
                Framing::Length(n) => {
                    let left = usize::try_from(n).map_or(usize::MAX, |n| n - self.body.len());
                    let used = left.min(bytes.len());
                    self.body.extend_from_slice(&bytes[..used]);
                    (used, used == left)
                }
                Framing::Chunked => {
                    let used = chunks
                        .decode(bytes, &mut self.body, limits.body)
                        .map_err(Stop::Refused)?;
                    (used, chunks.is_done())
                }
            };
            self.input.consume(used);
            if done {
                return Ok(true);
            }
            self.flush()?;
            self.read_by(end)?;
        }
    }

    fn answer(&mut self, answer: Answer, request: &Request, keep: bool) -> io::Result<()> {
        let connection = match (keep, request.http_1_0) {
            (false, _) => Connection::Close,
            (true, true) => Connection::KeepAlive,
            (true, false) => Connection::Stays,
        };
        let with_body = request.method != Method::Head;
        match answer {
            Answer::Text(status, text) => self.text(status, connection, with_body, text),
            Answer::Sleep(_) => {
                self.text(
                    Status::OK,
                    connection,
                    with_body,
                    "That was a good sleep.\n",
                );
            }
            Answer::Echo => {
                let len = Some(self.body.len() as u64);
                let kind = "application/octet-stream";
                self.head(Status::OK, connection, kind, len, format_args!(""));
                self.out.append(&mut self.body);
            }
            Answer::File(status, entry, part) => {
                self.file(status, connection, with_body, entry, part)?;
            }
            Answer::NotModified(time) => {
                let time = httpdate::HttpDate::from(time);
                let more = format_args!("Last-Modified: {time}\r\n");
                self.head(Status::NOT_MODIFIED, connection, "", None, more);
            }
            Answer::BadRange(len) => {
                let more = format_args!("Content-Range: bytes */{len}\r\n");
                self.head(Status::RANGE, connection, TEXT, Some(0), more);
            }
            Answer::Moved(path) => {
                let more = format_args!("Location: {path}\r\n");
                self.head(Status::MOVED, connection, TEXT, Some(0), more);
            }
            Answer::Debug(kind, text) => {
                let len = Some(text.len() as u64);
                self.head(Status::OK, connection, kind, len, format_args!(""));
                if with_body {
                    self.out.extend_from_slice(text.as_bytes());
                }
            }
            Answer::Allow(methods) => {
                let more = format_args!("Allow: {methods}\r\n");
                self.head(Status::METHOD_NOT_ALLOWED, connection, TEXT, Some(0), more);
            }
        }
        Ok(())
    }

    fn head(
        &mut self,
        status: Status,
        connection: Connection,
        kind: &str,
        len: Option<u64>,
        more: std::fmt::Arguments<'_>,
    ) {
        response::head(
            &mut self.out,
            &mut self.date,
            status,
            connection,
            kind,
            len,
            more,
        );
    }

    fn text(&mut self, status: Status, connection: Connection, with_body: bool, text: &str) {
        let len = Some(text.len() as u64);
        self.head(status, connection, TEXT, len, format_args!(""));
        if with_body {
            self.out.extend_from_slice(text.as_bytes());
        }
    }

    fn file(
        &mut self,
        status: Status,
        connection: Connection,
        with_body: bool,
        mut entry: Entry,
        part: Range<u64>,
    ) -> io::Result<()> {
        let mut left = part.end - part.start;
        let before = self.out.len();
        let modified = Header(
            "Last-Modified",
            entry.modified.map(httpdate::HttpDate::from),
        );
        let range = Header(
            "Content-Range",
            (status == Status::PARTIAL)
                .then(|| format!("bytes {}-{}/{}", part.start, part.end - 1, entry.len)),
        );
        let more = format_args!("Accept-Ranges: bytes\r\n{modified}{range}");
        self.head(status, connection, entry.content_type, Some(left), more);
        if !with_body {
            return Ok(());
        }
        if part.start > 0 {
            entry.file.seek(SeekFrom::Start(part.start))?;
        }
        if left <= PIECE as u64 {
            let at = self.out.len();
            self.out.resize(at + left as usize, 0);
            if entry.file.read_exact(&mut self.out[at..]).is_err() {
                // Nothing of it has gone out yet.
                self.out.truncate(before);
                let why = "The file cannot be read.\n";
                self.text(Status::INTERNAL, connection, with_body, why);
            }
            return Ok(());
        }
        self.flush()?;
        while left > 0 {
            self.out
                .resize(PIECE.min(usize::try_from(left).unwrap_or(PIECE)), 0);
            let n = entry.file.read(&mut self.out)?;
            if n == 0 {
                // It has shrunk; only the end of the connection can say so now.
                self.out.clear();
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.out.truncate(n);
            self.flush()?;
            left -= n as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            let mut stream = &self.conn.stream;
            stream.write_all(&self.out)?;
            self.out.clear();
            if self.out.capacity() > KEPT {
                self.out = Vec::new();
            }
        }
        Ok(())
    }

    fn refuse(&mut self, status: Status) -> io::Result<()> {
        self.text(status, Connection::Close, true, status.reason());
        self.close()
    }

    /// Writes what is left and ends, so that it can be read.
    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        say_goodbye(&self.conn.stream);
        Ok(())
    }
}

/// A header line that may be missing.
struct Header<T>(&'static str, Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Header<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.1 {
            Some(value) => write!(f, "{}: {value}\r\n", self.0),
            None => Ok(()),
        }
    }
}
