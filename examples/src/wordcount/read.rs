//! The readers: a path in, the text of the file out.
//!
//! A reader takes a buffer before it opens a file, so the number of buffers bounds both the
//! memory and the open files. A buffer comes back from the counter that is done with the text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use channels::{Receiver, Sender};

use super::{Event, Problem, ProblemKind};

/// A buffer that has grown beyond this is not kept for the next file, which is likely small.
const KEEP: usize = 1 << 20;

/// Reads files until there are no more paths.
pub(super) fn read(
    paths: Receiver<PathBuf>,
    buffers: Receiver<Vec<u8>>,
    texts: Sender<String>,
    events: Sender<Event>,
) {
    // The buffer of a file that failed stays here. It cannot go back to the channel, since with
    // a sender in the hands of the readers that channel would never end.
    let mut spare = None;
    for path in paths {
        let Some(buffer) = spare.take().or_else(|| buffers.recv().ok()) else {
            return;
        };
        let sent = match read_text(&path, buffer) {
            Ok(text) => texts.send(text).is_ok(),
            Err((buffer, kind, reason)) => {
                spare = Some(recycle(buffer));
                events
                    .send(Event::Failed(Problem { path, kind, reason }))
                    .is_ok()
            }
        };
        if !sent {
            return;
        }
    }
}

/// Makes a buffer ready for the next file.
pub(super) fn recycle(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > KEEP {
        buffer = Vec::new();
    }
    buffer
}

fn read_text(path: &Path, mut buffer: Vec<u8>) -> Result<String, (Vec<u8>, ProblemKind, String)> {
    if let Err(e) = File::open(path).and_then(|mut file| file.read_to_end(&mut buffer)) {
        return Err((buffer, ProblemKind::Unreadable, e.to_string()));
    }
    String::from_utf8(buffer).map_err(|e| {
        let reason = format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to());
        (e.into_bytes(), ProblemKind::NotUtf8, reason)
    })
}
