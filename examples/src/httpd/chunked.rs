//! A body in chunks, taken apart as it comes. Pure, like `request`: no input or output, no panic
//! for any input. Line ends are CR LF and nothing else, sizes hexadecimal digits and nothing else.

use super::status::Status;

/// A size line with its extensions, and all trailers together, must fit in this.
const MAX_LINES: usize = 4096;

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size; whether a digit was seen.
    Size(bool),
    /// In an extension, which is skipped.
    Extension,
    /// The LF after a size line.
    SizeLf,
    /// In the data.
    Data,
    /// The CR LF after the data.
    DataCr,
    DataLf,
    /// At the start of a trailer line, after the last chunk.
    TrailerStart,
    /// In a trailer line, which is skipped.
    Trailer,
    TrailerLf,
    /// The LF of the empty line that ends it all.
    LastLf,
    Done,
}

/// Takes a chunked body apart.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// What is left of the chunk.
    left: u64,
    /// Bytes of this size line, or of the trailers so far.
    line: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            state: State::Size(false),
            left: 0,
            line: 0,
        }
    }
}

impl Decoder {
    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body off the front of `bytes`, appends its data to `body`, and
    /// returns how many bytes it took: all, unless the body ends before.
    ///
    /// # Errors
    /// The status to refuse the request with: bad framing, or more than `max` bytes of data.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        max: usize,
    ) -> Result<usize, Status> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if self.state == State::Data {
                let rest = &bytes[at..];
                let n = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                body.extend_from_slice(&rest[..n]);
                at += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
                if self.state == State::Data && self.left > (max - body.len().min(max)) as u64 {
                    return Err(Status::BODY_TOO_LARGE);
                }
            }
        }
        Ok(at)
    }

    /// One byte outside the data.
    fn step(&mut self, byte: u8) -> Result<State, Status> {
        self.line += 1;
        if self.line > MAX_LINES {
            return Err(Status::HEAD_TOO_LARGE);
        }
        let next = match (self.state, byte) {
            (State::Size(_), b) if b.is_ascii_hexdigit() => {
                let digit = (b as char).to_digit(16).unwrap_or(0);
                let shifted = self.left.checked_mul(16).ok_or(Status::BODY_TOO_LARGE)?;
                self.left = shifted | u64::from(digit);
                State::Size(true)
            }
            (State::Size(true), b';') => State::Extension,
            (State::Size(true) | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b) if b != b'\n' => State::Extension,
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.line = 0;
                State::Size(false)
            }
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, b) if b != b'\n' => State::Trailer,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(Status::BAD_REQUEST),
        };
        Ok(next)
    }
}
