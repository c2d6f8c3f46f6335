//! The walker: turns the paths given into the paths of files to read.
//!
//! It keeps its own list of directories to do instead of recursing, so the depth of a tree costs
//! heap and not stack.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use channels::{SendError, Sender};

use super::{Event, LEFT_OUT, Problem, ProblemKind, Skipped};

/// The next stage is gone: it has panicked, which its join will report.
struct Disconnected;

impl<T> From<SendError<T>> for Disconnected {
    fn from(_: SendError<T>) -> Self {
        Disconnected
    }
}

/// Sends the path of every file named by or found under `roots`.
pub(super) fn walk(roots: Vec<PathBuf>, all: bool, files: Sender<PathBuf>, events: Sender<Event>) {
    let mut walker = Walker {
        all,
        files,
        events,
        skipped: Skipped::default(),
        todo: Vec::new(),
    };
    // An error means that nobody listens any more, so there is nobody to tell.
    let _ = walker.roots(roots);
}

struct Walker {
    all: bool,
    files: Sender<PathBuf>,
    events: Sender<Event>,
    skipped: Skipped,
    /// Directories found and not yet listed.
    todo: Vec<PathBuf>,
}

impl Walker {
    fn roots(&mut self, roots: Vec<PathBuf>) -> Result<(), Disconnected> {
        for root in roots {
            // A path that was given is taken as it is: links are followed, and a pipe or a
            // device is read.
            match fs::metadata(&root) {
                Ok(meta) if meta.is_dir() => self.tree(root)?,
                Ok(_) => self.files.send(root)?,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    self.problem(root, ProblemKind::Missing, &e)?;
                }
                Err(e) => self.problem(root, ProblemKind::Unreadable, &e)?,
            }
        }
        self.events
            .send(Event::Skipped(std::mem::take(&mut self.skipped)))?;
        Ok(())
    }

    fn tree(&mut self, root: PathBuf) -> Result<(), Disconnected> {
        self.todo.push(root);
        while let Some(dir) = self.todo.pop() {
            match fs::read_dir(&dir) {
                Ok(entries) => self.entries(&dir, entries)?,
                Err(e) => self.problem(dir, ProblemKind::Unlistable, &e)?,
            }
        }
        Ok(())
    }

    fn entries(&mut self, dir: &Path, entries: fs::ReadDir) -> Result<(), Disconnected> {
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                // The system may give the same error for ever, so this directory ends here.
                Err(e) => return self.problem(dir.to_owned(), ProblemKind::Unlistable, &e),
            };
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    if !self.all && LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                        self.skipped.left_out += 1;
                    } else {
                        self.todo.push(path);
                    }
                }
                Ok(kind) if kind.is_symlink() => match fs::metadata(&path) {
                    Ok(target) if target.is_dir() => self.skipped.linked_directories += 1,
                    Ok(target) => self.file(path, target.is_file())?,
                    Err(e) => self.problem(path, ProblemKind::Unreadable, &e)?,
                },
                Ok(kind) => self.file(path, kind.is_file())?,
                Err(e) => self.problem(path, ProblemKind::Unreadable, &e)?,
            }
        }
        Ok(())
    }

    /// Nobody asked for the pipes, sockets and devices that a walk meets, and reading one may
    /// never end.
    fn file(&mut self, path: PathBuf, regular: bool) -> Result<(), Disconnected> {
        if regular {
            self.files.send(path)?;
        } else {
            self.skipped.special_files += 1;
        }
        Ok(())
    }

    fn problem(
        &mut self,
        path: PathBuf,
        kind: ProblemKind,
        error: &io::Error,
    ) -> Result<(), Disconnected> {
        self.events.send(Event::Failed(Problem {
            path,
            kind,
            reason: error.to_string(),
        }))?;
        Ok(())
    }
}
