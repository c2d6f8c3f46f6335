//! WebSockets: tungstenite, which is blocking code, at both ends of our sockets.
//!
//! tungstenite reads and writes through one `&mut`, and a conversation does both at once. So each
//! end has a goroutine that reads, and all that is to be written, its answers to pings and closes
//! too, goes in whole frames to where one at a time is written: see `Half`.

mod client;
mod server;

pub use client::talk;
pub use server::{Peer, Room};

use runtime::net::TcpStream;
use std::io::{self, Read, Write};
use std::sync::Arc;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};

/// Frames as they go over the wire, made once for many.
type Bytes = Arc<[u8]>;

/// What the reading side of a conversation takes for its socket: it reads from that, and what it
/// writes is delivered elsewhere, in whole frames.
struct Half<'a, F> {
    stream: &'a TcpStream,
    pending: Vec<u8>,
    deliver: F,
}

impl<'a, F: FnMut(&[u8]) -> io::Result<()>> Half<'a, F> {
    fn new(stream: &'a TcpStream, deliver: F) -> Half<'a, F> {
        Half {
            stream,
            pending: Vec::new(),
            deliver,
        }
    }
}

impl<F> Read for Half<'_, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Half<'_, F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let delivered = (self.deliver)(&self.pending);
        self.pending.clear();
        delivered
    }
}

/// A message as a server sends it; `None` for those that only tungstenite itself sends.
fn encode(message: Message) -> Option<Bytes> {
    let frame = match message {
        Message::Text(text) => Frame::message(text, OpCode::Data(Data::Text), true),
        Message::Binary(bytes) => Frame::message(bytes, OpCode::Data(Data::Binary), true),
        _ => return None,
    };
    Some(format(frame))
}

/// A close as a server sends it.
fn encode_close(close: CloseFrame) -> Bytes {
    format(Frame::close(Some(close)))
}

fn format(frame: Frame) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    // A Vec takes everything.
    let _ = frame.format(&mut bytes);
    bytes.into()
}
