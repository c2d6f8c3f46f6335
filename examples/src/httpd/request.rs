//! From bytes to a request: the head, and how its body is framed. Pure: no input or output, no
//! allocation, no panic for any input.
//!
//! Where the standard (RFC 9112) leaves a choice between tolerance and refusal, it refuses: two
//! programs that read the same bytes differently is what request smuggling is made of.

use super::Limits;
use super::status::Status;
use std::mem::MaybeUninit;
use std::ops::Range;

/// More header lines than this are too many.
const MAX_HEADERS: usize = 64;

/// What the client asks to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// Another method of the standards, which nothing here allows.
    Other,
}

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes follow, not 0.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A request's head. All ranges are of the bytes that were parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Bytes of the head, with the empty line.
    pub len: usize,
    /// The method.
    pub method: Method,
    /// The target in origin form, up to the query.
    pub path: Range<usize>,
    /// What follows the question mark, empty if nothing does.
    pub query: Range<usize>,
    /// Whether the client wants to go on after the response.
    pub keep_alive: bool,
    /// Whether it says so in the old way, and wants to be told.
    pub http_1_0: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether it waits for `100 Continue`.
    pub expects_continue: bool,
    /// The value of the header `Range`.
    pub range: Option<Range<usize>>,
    /// The value of the header `If-Range`.
    pub if_range: Option<Range<usize>>,
    /// The value of the header `If-Modified-Since`.
    pub if_modified_since: Option<Range<usize>>,
}

/// Parses the request at the start of `bytes`; `None` if its head is not complete yet.
///
/// # Errors
/// The status to refuse it with. What follows in `bytes` cannot be told apart from it.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Request>, Status> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return too_long(bytes, limits).map_or(Ok(None), Err),
        Err(e) => {
            let target = too_long(bytes, limits).filter(|s| *s == Status::TARGET_TOO_LONG);
            return Err(target.unwrap_or_else(|| refusal(e, bytes)));
        }
    };
    if let Some(status) = too_long(&bytes[..len], limits) {
        return Err(status);
    }
    if has_bare_newline(&bytes[..len]) {
        return Err(Status::BAD_REQUEST);
    }
    let at = |part: &[u8]| {
        if part.is_empty() {
            return 0..0; // it may be none of our bytes
        }
        let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
        start..start + part.len()
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Status::BAD_REQUEST);
    };
    let method = method_of(method)?;
    let (path, query) = split_target(target, method)?;
    let mut request = Request {
        len,
        method,
        path: at(path.as_bytes()),
        query: at(query.as_bytes()),
        keep_alive: version == 1,
        http_1_0: version == 0,
        framing: Framing::None,
        expects_continue: false,
        range: None,
        if_range: None,
        if_modified_since: None,
    };
    let mut fields = Fields::default();
    for header in parsed.headers.iter() {
        let value = header.value;
        // The length tells most names apart before a byte is compared.
        match header.name.len() {
            4 if is(header.name, "host") => fields.hosts += 1,
            5 if is(header.name, "range") => request.range = Some(at(value)),
            6 if is(header.name, "expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Status::EXPECTATION);
                }
                request.expects_continue = version == 1;
            }
            8 if is(header.name, "if-range") => request.if_range = Some(at(value)),
            10 if is(header.name, "connection") => connection(&mut request, value),
            14 if is(header.name, "content-length") => fields.content_length(value)?,
            17 if is(header.name, "transfer-encoding") => fields.transfer_encoding(value)?,
            17 if is(header.name, "if-modified-since") => {
                request.if_modified_since = Some(at(value));
            }
            _ => {}
        }
    }
    request.framing = fields.framing(version, limits)?;
    if request.framing == Framing::None {
        request.expects_continue = false;
    }
    Ok(Some(request))
}

/// Refuses what is beyond the limits, complete or not.
fn too_long(bytes: &[u8], limits: &Limits) -> Option<Status> {
    if bytes.len() <= limits.target {
        return None;
    }
    let line = bytes.iter().position(|&b| b == b'\n');
    match line {
        Some(end) if end <= limits.target => {
            (bytes.len() > limits.head).then_some(Status::HEAD_TOO_LARGE)
        }
        _ => Some(Status::TARGET_TOO_LONG),
    }
}

/// Whether a line ends without a carriage return: not all take that for the end of one.
fn has_bare_newline(head: &[u8]) -> bool {
    let newlines = head.iter().filter(|&&b| b == b'\n').count();
    let pairs = head.iter().zip(&head[1..]);
    newlines != pairs.filter(|&pair| pair == (&b'\r', &b'\n')).count()
}

fn refusal(e: httparse::Error, bytes: &[u8]) -> Status {
    match e {
        httparse::Error::TooManyHeaders => Status::HEAD_TOO_LARGE,
        // A version that is none is bad syntax; one that we do not speak is told so.
        httparse::Error::Version if names_a_version(bytes) => Status::VERSION,
        _ => Status::BAD_REQUEST,
    }
}

/// Whether the first line is three words, of which the last is `HTTP/`, a digit, a dot and a digit.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start();
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|&b| b == b' ').skip(2);
    let version = words.next().and_then(|w| w.strip_prefix(b"HTTP/"));
    words.next().is_none()
        && matches!(
            version,
            Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit()
        )
}

fn method_of(name: &str) -> Result<Method, Status> {
    match name {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "POST" => Ok(Method::Post),
        "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" => Ok(Method::Other),
        _ => Err(Status::NOT_IMPLEMENTED),
    }
}

/// Path and query, of a target in origin form (`/a?b`) or absolute form (`http://host/a?b`).
fn split_target(target: &str, method: Method) -> Result<(&str, &str), Status> {
    let origin = if target.starts_with('/') {
        target
    } else if let Some((_, rest)) = target.split_once("://") {
        match rest.find(['/', '?']) {
            Some(at) if rest.as_bytes()[at] == b'/' => &rest[at..],
            _ => return Err(Status::BAD_REQUEST),
        }
    } else if method == Method::Other {
        target // `OPTIONS *`, `CONNECT host:port`: not allowed, but no bad requests
    } else {
        return Err(Status::BAD_REQUEST);
    };
    Ok(origin
        .split_once('?')
        .unwrap_or((origin, &origin[origin.len()..])))
}

fn is(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

fn connection(request: &mut Request, value: &[u8]) {
    for token in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        if token.eq_ignore_ascii_case(b"close") {
            request.keep_alive = false;
            request.http_1_0 = false; // `close` wins over a `keep-alive`, whatever comes first
        } else if token.eq_ignore_ascii_case(b"keep-alive") && request.http_1_0 {
            request.keep_alive = true;
        }
    }
}

/// What must fit together.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Fields {
    fn content_length(&mut self, value: &[u8]) -> Result<(), Status> {
        // Repeated, a list, a sign, or empty: who sends this means harm or is broken.
        if self.length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Status::BAD_REQUEST);
        }
        let number = std::str::from_utf8(value).ok().and_then(|s| s.parse().ok());
        self.length = Some(number.ok_or(Status::BODY_TOO_LARGE)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Status> {
        if self.chunked || value.is_empty() {
            return Err(Status::BAD_REQUEST);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        // Where chunked is not last there is no end; all else is a coding that is not known here.
        let mut codings = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
        let ends = codings
            .next_back()
            .is_some_and(|c| c.eq_ignore_ascii_case(b"chunked"));
        let twice = codings.any(|c| c.eq_ignore_ascii_case(b"chunked"));
        if ends && !twice {
            Err(Status::NOT_IMPLEMENTED)
        } else {
            Err(Status::BAD_REQUEST)
        }
    }

    fn framing(&self, version: u8, limits: &Limits) -> Result<Framing, Status> {
        if self.hosts > 1 || (self.hosts == 0 && version == 1) {
            return Err(Status::BAD_REQUEST);
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Status::BAD_REQUEST),
            (None, true) if version == 0 => Err(Status::BAD_REQUEST),
            (None, true) => Ok(Framing::Chunked),
            (Some(n), false) if n > limits.body as u64 => Err(Status::BODY_TOO_LARGE),
            (Some(n), false) if n > 0 => Ok(Framing::Length(n)),
            _ => Ok(Framing::None),
        }
    }
}
