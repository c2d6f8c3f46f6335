//! What every server here does alike: it accepts, serves each connection on a goroutine of its
//! own, and ends gracefully.
//!
//! ```text
//!            accept            go!
//!   listener ------> acceptor -----> guest, guest, guest ...
//!                       ^                    ^
//!   shutdown ---> closer, closes       drain: no more input, finish
//!                 the listener         cut:   the time of grace is over
//! ```
//!
//! A guest that fails or panics is gone alone: the others and the acceptor never hear of it.

use channels::{Receiver, Sender, TrySendError, bounded, select};
use runtime::net::{Shutdown, TcpListener, TcpStream, UnixListener, UnixStream};
use runtime::sync::{Mutex, WaitGroup};
use runtime::time::sleep;
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long guests that were cut off may take to notice.
const AFTER_THE_CUT: Duration = Duration::from_secs(5);

/// A pause after an error of `accept` (no more files, no memory): Go's, 5 ms doubled up to a second.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// How long a peer may be silent before it is asked whether it is there, and between the questions:
/// Go's.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What a peer may still send, and how long, after the last that is said to it.
const LINGER: (usize, Duration) = (256 * 1024, Duration::from_millis(500));

/// How long those who write may need to get their turn, on a busy machine.
const MOMENT: Duration = Duration::from_millis(100);

/// A socket that connections arrive at.
pub trait Listener: Send + Sync {
    /// What arrives.
    type Stream: Stream;
    /// Waits for the next connection.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::NotConnected`] after `close`.
    fn accept(&self) -> io::Result<Self::Stream>;
    /// Ends the listening; who waits in `accept` gets an error.
    fn close(&self);
}

/// A connection that may be read, written and shut down from several goroutines.
pub trait Stream: Read + Write + Send + Sync + 'static {
    /// Shuts one direction or both.
    ///
    /// # Errors
    /// The system's, as that the peer is already gone.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    /// Reads through a shared reference.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of it through a shared reference.
    ///
    /// # Errors
    /// As [`Write::write_all`].
    fn write_shared(&self, bytes: &[u8]) -> io::Result<()>;
    /// When all reading ends, also that which waits already; `None`: never.
    fn set_read_deadline(&self, at: Option<Instant>);
    /// When all writing ends, also that which waits already; `None`: never.
    fn set_write_deadline(&self, at: Option<Instant>);
}

macro_rules! sockets {
    ($($listener:ident $stream:ident),*) => {$(
        impl Stream for $stream {
            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                $stream::shutdown(self, how)
            }
            fn read_shared(&self, buf: &mut [u8]) -> io::Result<usize> {
                let mut this = self;
                this.read(buf)
            }
            fn write_shared(&self, bytes: &[u8]) -> io::Result<()> {
                let mut this = self;
                this.write_all(bytes)
            }
            fn set_read_deadline(&self, at: Option<Instant>) {
                $stream::set_read_deadline(self, at);
            }
            fn set_write_deadline(&self, at: Option<Instant>) {
                $stream::set_write_deadline(self, at);
            }
        }
    )*};
}

sockets!(TcpListener TcpStream, UnixListener UnixStream);

/// What every TCP stream here wants: small messages are not held back for larger ones, and a peer
/// that has vanished without a word is noticed, though nothing is sent to it.
///
/// # Errors
/// The system's, as that the peer is already gone.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let asked = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&asked)
}

/// Ends what is said on a stream, and makes sure that it can be heard: the system answers input that
/// nobody reads with a reset, and that destroys what is still on its way. So what the peer still
/// sends is read, within limits, and thrown away.
pub fn say_goodbye(stream: &impl Stream) {
    let (mut left, time) = LINGER;
    stream.set_read_deadline(Some(Instant::now() + time));
    // It may have been shut before, and the peer be gone: then there is nothing to read.
    let _ = stream.shutdown(Shutdown::Write);
    let mut piece = [0; 1024];
    while left > 0
        && let Ok(n @ 1..) = stream.read_shared(&mut piece)
    {
        left = left.saturating_sub(n);
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self)?;
        // A peer that has already gone again shows itself at the first read.
        let _ = prepare(&stream);
        Ok(stream)
    }

    fn close(&self) {
        TcpListener::close(self);
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        UnixListener::accept(self).map(|(stream, _)| stream)
    }

    fn close(&self) {
        UnixListener::close(self);
    }
}

/// One connection of a server, and what is known about it.
pub trait Guest: Send + Sync + 'static {
    /// Serves it to its end.
    fn run(&self);
    /// The server is about to end: finish what was begun, and begin nothing.
    fn drain(&self);
    /// The patience is over: whatever waits for the peer must fail now.
    fn cut(&self);
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell {
    /// Connections that had to be cut off.
    pub cut: usize,
}

/// The guests that are there, by number.
type Guests<G> = Mutex<HashMap<u64, Arc<G>>>;

/// Serves until `shutdown` receives or its sender is gone; then closes the listener, lets all
/// guests finish, and after `grace` cuts off those that have not.
///
/// # Errors
/// If somebody else has closed the listener. Whatever else `accept` may fail with is said on standard
/// error, and it is tried again.
pub fn serve<L, G>(
    listener: &L,
    shutdown: &Receiver<()>,
    grace: Duration,
    welcome: impl Fn(L::Stream) -> G,
) -> io::Result<Farewell>
where
    L: Listener,
    G: Guest,
{
    let guests: Arc<Guests<G>> = Arc::default();
    let all = Arc::new(WaitGroup::new());
    let closing = AtomicBool::new(false);
    let accepted = runtime::scope(|s| {
        let (serving, over) = bounded::<()>(0);
        let closing = &closing;
        s.spawn(move || {
            select! {
                recv(shutdown) -> _ => {
                    // Release: pairs with the Acquire in `accept_all`.
                    closing.store(true, Ordering::Release);
                    listener.close();
                }
                recv(over) -> _ => {}
            }
        });
        let result = accept_all(listener, closing, |number, stream| {
            let guest = Arc::new(welcome(stream));
            guests.lock().unwrap().insert(number, Arc::clone(&guest));
            let leave = Leave(Arc::clone(&guests), number);
            all.go(move || {
                let _leave = leave;
                guest.run();
            });
        });
        drop(serving);
        result
    });
    each(&guests, G::drain);
    let mut cut = 0;
    if !all.wait_timeout(grace) {
        cut = each(&guests, G::cut);
        all.wait_timeout(AFTER_THE_CUT);
    }
    accepted.map(|()| Farewell { cut })
}

/// Takes a guest off the list, also when it panics.
struct Leave<G>(Arc<Guests<G>>, u64);

impl<G> Drop for Leave<G> {
    fn drop(&mut self) {
        let left = self.0.lock().unwrap().remove(&self.1);
        drop(left); // closes the connection, after the unlock
    }
}

fn each<G>(guests: &Guests<G>, tell: impl Fn(&G)) -> usize {
    let all: Vec<_> = guests.lock().unwrap().values().cloned().collect();
    all.iter().for_each(|guest| tell(guest));
    all.len()
}

fn accept_all<L: Listener>(
    listener: &L,
    closing: &AtomicBool,
    mut welcome: impl FnMut(u64, L::Stream),
) -> io::Result<()> {
    let mut pause = PAUSES[0];
    let mut number = 0;
    loop {
        let accepted = listener.accept();
        // Acquire: pairs with the Release before the close.
        if closing.load(Ordering::Acquire) {
            return Ok(());
        }
        match accepted {
            Ok(stream) => {
                pause = PAUSES[0];
                number += 1;
                welcome(number, stream);
            }
            // Somebody else has closed it.
            Err(e) if e.kind() == ErrorKind::NotConnected => return Err(e),
            Err(e) if concerns_one(&e) => {}
            // No more files, no memory: guests that leave make room. And whatever else there may be
            // is better said and tried again than the end of a server.
            Err(e) => {
                eprintln!("cannot accept: {e}; again in {pause:?}");
                sleep(pause);
                pause = (2 * pause).min(PAUSES[1]);
            }
        }
    }
}

/// The connection was gone again before it was accepted.
fn concerns_one(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// Sends to one of many who shall hear something, of whom none may hold up the others. Where there is
/// no room it waits a moment, since a writer that is ready may not have had its turn yet; but only one
/// moment for all: `end` is its end, once it has begun. Whether it was sent.
pub fn send_in_time<T>(to: &Sender<T>, value: T, end: &mut Option<Instant>) -> bool {
    match to.try_send(value) {
        Ok(()) => true,
        Err(TrySendError::Disconnected(_)) => false,
        Err(TrySendError::Full(value)) => {
            let end = *end.get_or_insert_with(|| Instant::now() + MOMENT);
            to.send_deadline(value, end).is_ok()
        }
    }
}
