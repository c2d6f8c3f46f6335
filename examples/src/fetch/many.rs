//! Fetching any URLs with goroutines: so many at once, each tried again when that may help, and
//! none in the way of another.

use super::client::Client;
use runtime::sync::Semaphore;
use runtime::time::sleep;
use std::io::ErrorKind;
use std::time::Duration;
use ureq::Error;

/// The pause before the second attempt, doubled before each further one, up to the second of
/// these.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// What became of a URL.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// Which.
    pub url: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// The bytes of it, or what went wrong the last time.
    pub result: Result<u64, String>,
}

/// Fetches all of `urls`, at most `limit` at once, each with at most `retries` attempts after the
/// first. `done` is called after each.
///
/// Call it on a goroutine.
pub fn fetch_all<'a>(
    client: &Client,
    urls: &'a [String],
    limit: usize,
    retries: u32,
    done: &(impl Fn() + Sync),
) -> Vec<Outcome<'a>> {
    let limit = Semaphore::new(limit.max(1));
    runtime::scope(|s| {
        let all: Vec<_> = urls
            .iter()
            .map(|url| {
                let permit = limit.acquire();
                let one = s.spawn(move || {
                    let _permit = permit;
                    let outcome = fetch_one(client, url, retries);
                    done();
                    outcome
                });
                (url, one)
            })
            .collect();
        all.into_iter()
            .map(|(url, one)| {
                one.join().unwrap_or_else(|e| Outcome {
                    url,
                    attempts: 1,
                    result: Err(e.to_string()),
                })
            })
            .collect()
    })
}

fn fetch_one<'a>(client: &Client, url: &'a str, retries: u32) -> Outcome<'a> {
    let mut pause = PAUSES[0];
    let mut attempts = 1;
    loop {
        match client.fetch(url) {
            Err(e) if attempts <= retries && may_pass(&e) => {}
            result => {
                return Outcome {
                    url,
                    attempts,
                    result: result.map_err(|e| e.to_string()),
                };
            }
        }
        sleep(pause);
        pause = (2 * pause).min(PAUSES[1]);
        attempts += 1;
    }
}

/// Whether the same request may succeed a little later.
fn may_pass(e: &Error) -> bool {
    match e {
        Error::StatusCode(code) => matches!(code, 408 | 429 | 500..=599),
        // A certificate that is not trusted comes as this one.
        Error::Io(e) if e.kind() == ErrorKind::InvalidData => false,
        Error::Io(_) | Error::Timeout(_) | Error::HostNotFound | Error::ConnectionFailed => true,
        // The others say that the URL, the certificate or the server is wrong.
        _ => false,
    }
}
