//! The server: `/echo` sends each message back, `/broadcast` sends it to all who are there.
//!
//! A broadcast waits no longer than a moment, for all together. Who takes messages so slowly that
//! those kept for it are too many even then is cut off. An echo waits for who asked for it.

use super::{Bytes, Half, encode, encode_close};
use crate::serve::{Guest, Stream, say_goodbye, send_in_time};
use channels::{Receiver, Sender, bounded};
use runtime::net::{Shutdown, TcpStream};
use runtime::sync::Mutex;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, WebSocket, accept_hdr_with_config};

/// The largest message that is taken.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Messages that are sent back and not written yet: each may be large, and all are one client's.
const ECHOES: usize = 2;

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
        let mut end = None;
        self.listeners.lock().unwrap().retain(|_, listener| {
            let keeps_up = send_in_time(&listener.out, Bytes::clone(frame), &mut end);
            if !keeps_up {
                // One that is about to leave has closed its channel, and finishes what it says.
                if !listener.out.is_closed() {
                    let _ = listener.stream.shutdown(Shutdown::Both);
                }
            }
            keeps_up
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

    /// From the handshake to the end.
    fn converse(&self) -> Result<(), Error> {
        self.stream
            .set_read_deadline(Some(Instant::now() + PATIENCE));
        self.stream.set_write_timeout(Some(PATIENCE))?;
        // The handshake is written at once, all frames are on their way to the writer.
        let to_writer = OnceCell::<Sender<Bytes>>::new();
        let half = Half::new(&self.stream, |bytes| match to_writer.get() {
            None => self.stream.write_shared(bytes),
            Some(out) => {
                // If this fails a close has been sent, and after it nothing may be.
                let _ = out.send(bytes.into());
                Ok(())
            }
        });
        let mut mode = Mode::Echo;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let accepted = accept_hdr_with_config(half, Choose(&mut mode), Some(config));
        let Ok(mut socket) = accepted else {
            return Ok(()); // it has been told why, if it was there to hear it
        };
        self.stream.set_read_deadline(None);
        let (out, frames) = bounded(match mode {
            Mode::Echo => ECHOES,
            Mode::Broadcast => self.room.kept,
        });
        let out = to_writer.get_or_init(|| out);
        *self.out.lock().unwrap() = Some(out.clone());
        runtime::scope(|s| {
            s.spawn(|| {
                if write(&self.stream, &frames).is_err() {
                    // The reader ends, too; nobody waits for room in the channel any more.
                    drop(frames);
                    let _ = self.stream.shutdown(Shutdown::Both);
                }
            });
            if let Mode::Broadcast = mode {
                let listener = Listener {
                    out: out.clone(),
                    stream: Arc::clone(&self.stream),
                };
                let mut listeners = self.room.listeners.lock().unwrap();
                listeners.insert(self.number, listener);
            }
            let ended = self.read(&mut socket, mode, out);
            self.room.listeners.lock().unwrap().remove(&self.number);
            *self.out.lock().unwrap() = None;
            if let Some(close) = close_for(&ended) {
                let _ = out.send(encode_close(close));
            }
            out.close();
        });
        Ok(())
    }

    /// Reads to the end, and returns which that was.
    fn read<S: Read + Write>(
        &self,
        socket: &mut WebSocket<S>,
        mode: Mode,
        out: &Sender<Bytes>,
    ) -> Error {
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
        ended
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
    for frame in frames {
        stream.write_shared(&frame)?;
    }
    // All is said. The client may still have to say that it has understood.
    stream.shutdown(Shutdown::Write)
}

impl Guest for Peer {
    fn run(&self) {
        // An error means that the client is gone: there is nobody to tell.
        let _ = self.converse();
        say_goodbye(&*self.stream);
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
