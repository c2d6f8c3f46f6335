//! Just enough of HTTP for servers that have no library for it: whole requests in, answers out.

use std::io::{self, Write};
use std::time::SystemTime;

/// How much a server reads at once; a request is smaller.
pub(super) const BUFFER: usize = 4096;

/// What every server answers.
pub(super) const BODY: &str = "Hello, World!";

/// How many headers a request may have.
const HEADERS: usize = 32;

/// Appends an answer to `output` for every whole request in `input`, and returns how much of
/// `input` they were.
pub(super) fn answer(input: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
    let mut consumed = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let rest = &input[consumed..];
        match request.parse(rest).map_err(io::Error::other)? {
            httparse::Status::Partial if rest.len() == BUFFER => {
                return Err(io::Error::other("a request is too long"));
            }
            httparse::Status::Partial => return Ok(consumed),
            httparse::Status::Complete(length) => {
                consumed += length;
                respond(request.path, output)?;
            }
        }
    }
}

fn respond(path: Option<&str>, output: &mut Vec<u8>) -> io::Result<()> {
    let (status, body) = match path {
        Some("/plaintext") => ("200 OK", BODY),
        _ => ("404 Not Found", ""),
    };
    let date = httpdate::HttpDate::from(SystemTime::now());
    let length = body.len();
    write!(
        output,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         date: {date}\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn whole_requests_are_answered_and_the_rest_is_kept() {
        let request = "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
        let input = format!("{request}{request}GET /pl");
        let mut output = Vec::new();
        let consumed = answer(input.as_bytes(), &mut output).unwrap();
        assert_eq!(consumed, 2 * request.len());
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
        assert!(text.ends_with("\r\n\r\nHello, World!"), "{text}");
    }

    #[test]
    fn another_path_is_not_found_and_nonsense_is_an_error() {
        let mut output = Vec::new();
        answer(b"GET / HTTP/1.1\r\n\r\n", &mut output).unwrap();
        assert!(output.starts_with(b"HTTP/1.1 404 "));
        assert!(answer(b"\0\0\0", &mut output).is_err());
    }
}
