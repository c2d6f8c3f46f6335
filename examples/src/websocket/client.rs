//! A client, for `ws://` URLs.

use super::Half;
use crate::serve::Stream;
use channels::Receiver;
use runtime::net::{Shutdown, TcpStream};
use runtime::sync::Mutex;
use std::io;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::UrlError;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, HandshakeError, Message, client};

/// Opens a conversation: what `say` receives is sent, what comes is heard, until the other end
/// closes, or `say` has ended and the other end has agreed to close.
///
/// Call it on a goroutine.
///
/// # Errors
/// If there is no conversation, or it ends in any other way.
pub fn talk(url: &str, say: &Receiver<String>, mut hear: impl FnMut(Message)) -> Result<(), Error> {
    let request = url.into_client_request()?;
    let uri = request.uri();
    if uri.scheme_str() != Some("ws") {
        return Err(Error::Url(UrlError::UnsupportedUrlScheme));
    }
    let host = uri.host().ok_or(Error::Url(UrlError::NoHostName))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))?;
    stream.set_nodelay(true)?;
    // One frame after the other, whoever writes it; and whether the last has been.
    let closed = Mutex::new(false);
    let answers = Half::new(&stream, |bytes: &[u8]| {
        let closed = closed.lock().unwrap();
        if *closed {
            return Ok(());
        }
        stream.write_shared(bytes)
    });
    let messages = Half::new(&stream, |bytes: &[u8]| {
        let _turn = closed.lock().unwrap();
        stream.write_shared(bytes)
    });
    let (mut socket, _) = client(request, answers).map_err(|e| match e {
        HandshakeError::Failure(e) => e,
        HandshakeError::Interrupted(_) => io::Error::from(io::ErrorKind::TimedOut).into(),
    })?;
    let mut sending = WebSocket::from_raw_socket(messages, Role::Client, None);
    runtime::scope(|s| {
        let sender = s.spawn(|| {
            for text in say {
                sending.send(Message::text(text))?;
            }
            let agreed = sending.close(None);
            *closed.lock().unwrap() = true;
            agreed
        });
        let ended = loop {
            match socket.read() {
                Ok(Message::Close(_)) => {} // it is answered, and the end follows
                Ok(message) => hear(message),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        // What is still to be said has nobody to hear it.
        sender.cancel();
        let _ = stream.shutdown(Shutdown::Both);
        ended
    })
}
