//! From a status and what goes with it to bytes, appended to the connection's buffer. Nothing
//! here allocates once that buffer has its size.

use super::status::Status;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The `Date` header, formatted once a second.
///
/// Each connection has its own: it is 29 bytes, and nothing is shared.
#[derive(Debug)]
pub struct Date {
    second: Option<u64>,
    text: String,
}

impl Date {
    /// One that has not been asked yet.
    pub fn new() -> Date {
        Date {
            second: None,
            text: String::with_capacity(29),
        }
    }

    fn now(&mut self) -> &str {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        if self.second != Some(now) {
            self.second = Some(now);
            self.text.clear();
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(now));
            // A String takes everything.
            let _ = write!(self.text, "{date}");
        }
        &self.text
    }
}

impl Default for Date {
    fn default() -> Date {
        Date::new()
    }
}

/// What the head of a response says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It stays, and that needs no word.
    Stays,
    /// It stays, and a client of HTTP/1.0 is told so.
    KeepAlive,
    /// It ends after this response.
    Close,
}

/// A buffer of bytes that text can be formatted into.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

/// Appends a head, with a body of `length` bytes to follow if there is one.
pub fn head(
    out: &mut Vec<u8>,
    date: &mut Date,
    status: Status,
    connection: Connection,
    content_type: &str,
    length: Option<u64>,
    more: fmt::Arguments<'_>,
) {
    if status == Status::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: weft\r\nDate: ");
    } else {
        let _ = write!(Text(out), "HTTP/1.1 {status}\r\nServer: weft\r\nDate: ");
    }
    out.extend_from_slice(date.now().as_bytes());
    out.extend_from_slice(match connection {
        Connection::Stays => b"\r\n",
        Connection::KeepAlive => b"\r\nConnection: keep-alive\r\n",
        Connection::Close => b"\r\nConnection: close\r\n",
    });
    if let Some(length) = length {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
        number(out, length);
        out.extend_from_slice(b"\r\n");
    }
    let _ = Text(out).write_fmt(more);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break out.extend_from_slice(&digits[at..]);
        }
    }
}
