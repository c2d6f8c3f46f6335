//! Static files: from the path of a request to a file below the root, never to one beside it.
//!
//! Plain `std::fs`: a goroutine that waits for the disk keeps its thread, and the scheduler hands
//! its P to the others.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Entry),
    /// A directory, asked for without the slash at its end.
    Directory,
    /// Nothing that may be served.
    Nothing,
}

/// A file to be served.
#[derive(Debug)]
pub struct Entry {
    /// Open for reading.
    pub file: File,
    /// Its size when it was opened.
    pub len: u64,
    /// When it was changed, to the second as the headers have it.
    pub modified: Option<SystemTime>,
    /// What its name says it contains.
    pub content_type: &'static str,
}

/// Looks up the path of a request (still with its percent signs) below `root`, which must be
/// canonical.
///
/// # Errors
/// What the system says, except that something is not there or may not be read.
pub fn find(root: &Path, path: &[u8]) -> io::Result<Found> {
    let Some(relative) = relative(path) else {
        return Ok(Found::Nothing);
    };
    match open(root, &relative, path.ends_with(b"/")) {
        Err(e) if is_nothing(&e) => Ok(Found::Nothing),
        other => other,
    }
}

fn is_nothing(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    matches!(
        e.kind(),
        NotFound | NotADirectory | PermissionDenied | InvalidInput | InvalidFilename
    ) || e.raw_os_error() == Some(libc::ELOOP)
}

fn open(root: &Path, relative: &Path, as_directory: bool) -> io::Result<Found> {
    let mut place = Place::find(&root.join(relative))?;
    if place.is_within(root) && place.meta.is_dir() {
        if !as_directory {
            return Ok(Found::Directory);
        }
        place = Place::find(&place.real.join("index.html"))?;
    } else if as_directory {
        return Ok(Found::Nothing);
    }
    // Links are followed, but not out of the root. To open a pipe would be to wait for its writer.
    if !place.is_within(root) || !place.meta.is_file() {
        return Ok(Found::Nothing);
    }
    let file = place.open()?;
    let meta = file.metadata()?;
    Ok(Found::File(Entry {
        len: meta.len(),
        modified: meta.modified().ok().and_then(to_the_second),
        content_type: content_type(place.name()),
        file,
    }))
}

/// Something in the file system that is held, but not opened: what is judged is what is opened then, whatever becomes of
/// the links on the way.
struct Place {
    held: File,
    real: PathBuf,
    meta: Metadata,
}

impl Place {
    fn find(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let held = options.read(true).custom_flags(libc::O_PATH).open(path)?;
        let real = fs::read_link(Self::link(&held))
            .map_err(|e| io::Error::other(format!("/proc/self/fd cannot be read: {e}")))?;
        let meta = held.metadata()?;
        Ok(Self { held, real, meta })
    }

    /// Its path; of a file that was replaced meanwhile, with what the kernel says of that.
    fn name(&self) -> &Path {
        let name = self.real.as_os_str().as_bytes();
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        Path::new(OsStr::from_bytes(name))
    }

    fn is_within(&self, root: &Path) -> bool {
        self.real.starts_with(root)
    }

    fn open(&self) -> io::Result<File> {
        File::open(Self::link(&self.held))
    }

    /// Leads to what is held itself, not by its path.
    fn link(held: &File) -> String {
        format!("/proc/self/fd/{}", held.as_raw_fd())
    }
}

fn to_the_second(time: SystemTime) -> Option<SystemTime> {
    /// The year 10000, which no header can tell.
    const END: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (since < END).then(|| UNIX_EPOCH + Duration::from_secs(since))
}

/// The path without its percent signs and empty parts; `None` if it is broken or climbs.
fn relative(path: &[u8]) -> Option<PathBuf> {
    let decoded = String::from_utf8(percent_decode(path)?).ok()?;
    let mut relative = PathBuf::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            _ if part.contains('\0') => return None,
            _ => relative.push(part),
        }
    }
    Some(relative)
}

/// Each `%XX` becomes a byte; `None` if a percent sign is followed by anything else.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let hex = |b: u8| (b as char).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(if byte == b'%' {
            let (high, low) = (hex(*rest.next()?)?, hex(*rest.next()?)?);
            (high << 4 | low) as u8
        } else {
            byte
        });
    }
    Some(decoded)
}

/// The bytes that a `Range` header asks for of a file of `len`: `None` if it asks for nothing
/// that is understood here (then the whole file is the answer), an error if for what is not there.
///
/// # Errors
/// If no byte of the file is in the range.
pub fn range(value: &[u8], len: u64) -> Result<Option<Range<u64>>, ()> {
    let Some(spec) = std::str::from_utf8(value)
        .ok()
        .and_then(|v| v.strip_prefix("bytes="))
        .and_then(|v| v.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |s: &str| {
        let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| s.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(spec.0), number(spec.1)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(len),
        (Some(first), None) if spec.1.is_empty() => first..len,
        (None, Some(last)) if spec.0.is_empty() => len.saturating_sub(last)..len,
        _ => return Ok(None),
    };
    if range.is_empty() {
        Err(())
    } else {
        Ok(Some(range))
    }
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "rs" | "toml" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
