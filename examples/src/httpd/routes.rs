//! Which request gets which answer. It decides and does not write: an answer says what to send,
//! and `conn` sends it.

use super::files::{self, Entry, Found};
use super::request::{Method, Request};
use super::status::Status;
use httpdate::HttpDate;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The longest that `/sleep` sleeps.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// What to answer.
#[derive(Debug)]
pub enum Answer {
    /// A status with a text.
    Text(Status, &'static str),
    /// A text after so long.
    Sleep(Duration),
    /// The body of the request.
    Echo,
    /// These bytes of a file; whether they are all that was asked for is for the status to say.
    File(Status, Entry, Range<u64>),
    /// The client has the file, which was changed then.
    NotModified(SystemTime),
    /// The file has so many bytes, and none of those that were asked for.
    BadRange(u64),
    /// Look at this path.
    Moved(String),
    /// Only these methods are allowed.
    Allow(&'static str),
    /// What the runtime says of itself: its type, and the text.
    Debug(&'static str, String),
}

/// The answer to a request whose head is in `head`. `debug`: to those who want to see inside, too.
pub fn answer(request: &Request, head: &[u8], root: Option<&Path>, debug: bool) -> Answer {
    let path = &head[request.path.clone()];
    if path == b"/echo" {
        return match request.method {
            Method::Post => Answer::Echo,
            _ => Answer::Allow("POST"),
        };
    }
    if !matches!(request.method, Method::Get | Method::Head) {
        return Answer::Allow("GET, HEAD");
    }
    match path {
        b"/plaintext" => Answer::Text(Status::OK, "Hello, World!"),
        b"/sleep" => sleep(&head[request.query.clone()]),
        b"/" if root.is_none() => Answer::Text(Status::OK, "Hello, World!"),
        _ if debug && path.starts_with(b"/debug/") => inside(path),
        _ => root.map_or(NOTHING, |root| file(request, head, root)),
    }
}

/// What a person wants to see whose server hangs, is slow or leaks.
fn inside(path: &[u8]) -> Answer {
    const TEXT: &str = "text/plain; charset=utf-8";
    match path {
        b"/debug/metrics" => {
            let metrics = runtime::metrics().map(|m| m.to_prometheus());
            Answer::Debug("text/plain; version=0.0.4", metrics.unwrap_or_default())
        }
        b"/debug/goroutines" => Answer::Debug(TEXT, runtime::dump().to_string()),
        b"/debug/goroutines/grouped" => Answer::Debug(TEXT, runtime::dump().grouped().to_string()),
        b"/debug/goroutines.json" => Answer::Debug("application/json", runtime::dump().to_json()),
        b"/debug/leaks" => {
            let text = match runtime::leaks() {
                Ok(leaks) => {
                    let lines = leaks.iter().map(|leak| format!("{leak}\n"));
                    format!("{} found\n{}", leaks.len(), lines.collect::<String>())
                }
                Err(e) => format!("{e}\n"),
            };
            Answer::Debug(TEXT, text)
        }
        _ => NOTHING,
    }
}

const NOTHING: Answer = Answer::Text(Status::NOT_FOUND, "There is nothing here.\n");

fn file(request: &Request, head: &[u8], root: &Path) -> Answer {
    let path = &head[request.path.clone()];
    let entry = match files::find(root, path) {
        Ok(Found::File(entry)) => entry,
        Ok(Found::Directory) => return Answer::Moved(with_slash(path)),
        Ok(Found::Nothing) => return NOTHING,
        Err(_) => return Answer::Text(Status::INTERNAL, "The file cannot be read.\n"),
    };
    let header = |at: &Option<Range<usize>>| at.clone().map(|at| &head[at]);
    if let (Some(since), Some(modified)) = (header(&request.if_modified_since), entry.modified)
        && let Some(since) = std::str::from_utf8(since).ok()
        && httpdate::parse_http_date(since).is_ok_and(|since| modified <= since)
    {
        return Answer::NotModified(modified);
    }
    let len = entry.len;
    // A part is of use only to one who has the rest of this very file.
    let is_this = |tag: &[u8]| {
        let modified = entry.modified.map(|time| HttpDate::from(time).to_string());
        modified.is_some_and(|modified| modified.as_bytes() == tag)
    };
    let range = header(&request.range)
        .filter(|_| request.method == Method::Get && header(&request.if_range).is_none_or(is_this));
    match range.map_or(Ok(None), |value| files::range(value, len)) {
        Ok(None) => Answer::File(Status::OK, entry, 0..len),
        Ok(Some(part)) => Answer::File(Status::PARTIAL, entry, part),
        Err(()) => Answer::BadRange(len),
    }
}

/// One slash at the start: two would name another host.
fn with_slash(path: &[u8]) -> String {
    format!("/{}/", String::from_utf8_lossy(path).trim_matches('/'))
}

fn sleep(query: &[u8]) -> Answer {
    let ms = query
        .split(|&b| b == b'&')
        .find_map(|pair| pair.strip_prefix(b"ms="))
        .and_then(|ms| std::str::from_utf8(ms).ok()?.parse().ok())
        .map(Duration::from_millis);
    match ms {
        Some(time) if time <= MAX_SLEEP => Answer::Sleep(time),
        _ => Answer::Text(Status::BAD_REQUEST, "/sleep?ms=N, with N up to 60000\n"),
    }
}
