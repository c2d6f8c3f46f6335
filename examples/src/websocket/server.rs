//! The server: `/echo` sends each message back, `/broadcast` sends it to all who are there.
//!
//! A broadcast waits for nobody. Who takes messages so slowly that those kept for it are too many
//! is cut off.

use super::{Bytes, Half, encode, encode_close};
use crate::net::{Shutdown, TcpStream};
use crate::serve::{Guest, Stream};
use channels::{Receiver, Sender, TrySendError, bounded};
use runtime::sync::Mutex;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, accept_hdr_with_config};

/// The largest message that is taken.
const MAX_MESSAGE: usize = 1024 * 1024;

/// For a client to say what it wants, and to take something of what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who listen to broadcasts.
#[derive(Debug)]
pub struct Room {
    listeners: Mutex<HashMap<u64, Listener>>,
    next: AtomicU64,
    kept: usize,
}

/// How a broadcast gets at one of them.
#[derive(Debug)]
struct Listener {
    /// To its writer.
    out: Sender<Bytes>,
    /// To cut it off.
    stream: Arc<TcpStream>,
}

impl Room {
    /// An empty one, in which up to `kept` messages are kept for each until it takes them.
    pub fn new(kept: usize) -> Arc<Room> {
        Arc::new(Room {
            listeners: Mutex::default(),
            next: AtomicU64::new(0),
            kept: kept.max(1),
        })
    }

    fn broadcast(&self, frame: &Bytes) {
        self.listeners.lock().unwrap().retain(|_, listener| {
            match listener.out.try_send(Bytes::clone(frame)) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    let _ = listener.stream.shutdown(Shutdown::Both);
                    false
                }
                // It is about to leave.
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }
}

/// A client of the server.
#[derive(Debug)]
pub struct Peer {
    stream: Arc<TcpStream>,
    room: Arc<Room>,
    number: u64,
    /// The way to its writer, while it is there.
    out: Mutex<Option<Sender<Bytes>>>,
}

/// What the path asks for.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Echo,
    Broadcast,
}

impl Peer {
    /// A client that has come.
    pub fn new(stream: TcpStream, room: Arc<Room>) -> Peer {
        Peer {
            stream: Arc::new(stream),
            // Relaxed: only distinct numbers matter.
            number: room.next.fetch_add(1, Ordering::Relaxed),
            room,
            out: Mutex::new(None),
        }
    }

    fn read(&self, out: &Sender<Bytes>) -> Result<(), Error> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        // A failed send means that a close has been sent, and after it nothing may be.
        let half = Half::new(&self.stream, |bytes| {
            let _ = out.send(bytes.into());
            Ok(())
        });
        let mut mode = Mode::Echo;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let accepted = accept_hdr_with_config(half, Choose(&mut mode), Some(config));
        let Ok(mut socket) = accepted else {
            return Ok(()); // it has been told why, if it was there to hear it
        };
        self.stream.set_read_timeout(None)?;
        if let Mode::Broadcast = mode {
            let listener = Listener {
                out: out.clone(),
                stream: Arc::clone(&self.stream),
            };
            self.room
                .listeners
                .lock()
                .unwrap()
                .insert(self.number, listener);
        }
        let ended = loop {
            let frame = match socket.read().map(encode) {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(e) => break e,
            };
            match mode {
                Mode::Broadcast => self.room.broadcast(&frame),
                Mode::Echo => {
                    let _ = out.send(frame);
                }
            }
        };
        // The answer to a close is written and not flushed.
        let _ = socket.get_mut().flush();
        Err(ended)
    }
}

/// Reads the mode off the path.
struct Choose<'a>(&'a mut Mode);

impl Callback for Choose<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.0 = match request.uri().path() {
            "/echo" => Mode::Echo,
            "/broadcast" => Mode::Broadcast,
            _ => {
                let what = "There are /echo and /broadcast.\n";
                let mut refusal = ErrorResponse::new(Some(what.into()));
                *refusal.status_mut() = StatusCode::NOT_FOUND;
                return Err(refusal);
            }
        };
        Ok(response)
    }
}

/// What to tell a client that broke the rules.
fn close_for(e: &Error) -> Option<CloseFrame> {
    let code = match e {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Protocol(_) => CloseCode::Protocol,
        _ => return None,
    };
    Some(CloseFrame {
        code,
        reason: e.to_string().into(),
    })
}

fn write(stream: &TcpStream, frames: &Receiver<Bytes>) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    for frame in frames {
        stream.write_shared(&frame)?;
    }
    // All is said. The client may still have to say that it has understood.
    stream.shutdown(Shutdown::Write)
}

impl Guest for Peer {
    fn run(&self) {
        let (out, frames) = bounded(self.room.kept);
        *self.out.lock().unwrap() = Some(out.clone());
        runtime::scope(|s| {
            s.spawn(|| {
                if write(&self.stream, &frames).is_err() {
                    // The reader ends, too; nobody waits for room in the channel any more.
                    drop(frames);
                    let _ = self.stream.shutdown(Shutdown::Both);
                }
            });
            let ended = self.read(&out);
            self.room.listeners.lock().unwrap().remove(&self.number);
            *self.out.lock().unwrap() = None;
            if let Some(close) = ended.err().as_ref().and_then(close_for) {
                let _ = out.send(encode_close(close));
            }
            drop(out);
        });
    }

    fn drain(&self) {
        let close = encode_close(CloseFrame {
            code: CloseCode::Away,
            reason: "the server ends".into(),
        });
        let out = self.out.lock().unwrap().take();
        match out {
            // After the close nothing more may be sent.
            Some(out) if out.try_send(close).is_ok() => {
                out.close();
            }
            _ => self.cut(),
        }
    }

    fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
