//! What the servers' programs do alike: they say where they listen, what is wrong, and how they
//! ended, and they end when a signal asks them to.

use crate::serve::Farewell;
use crate::stop;
use channels::Receiver;
use runtime::net::{TcpListener, UnixListener, UnixStream};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

/// Listens at `addr`, says so on standard output, serves, and returns the exit code: a failure if
/// it cannot listen, stops listening by itself, or had to cut off anybody.
pub fn serve(
    program: &str,
    scheme: &str,
    addr: &str,
    serve: impl FnOnce(&TcpListener, &Receiver<()>) -> io::Result<Farewell>,
) -> ExitCode {
    let listener = match TcpListener::bind(addr) {
        Ok(listener) => listener,
        Err(e) => return failed(program, &format!("cannot listen at {addr}: {e}")),
    };
    let place = match listener.local_addr() {
        Ok(addr) => format!("{scheme}://{addr}"),
        Err(e) => return failed(program, &e.to_string()),
    };
    ended(
        program,
        until_signals(&place, |shutdown| serve(&listener, shutdown)),
    )
}

/// The same at a path, which is removed in the end.
pub fn serve_unix(
    program: &str,
    path: &Path,
    serve: impl FnOnce(&UnixListener, &Receiver<()>) -> io::Result<Farewell>,
) -> ExitCode {
    let listener = match listen_unix(path) {
        Ok(listener) => listener,
        Err(e) => {
            let what = format!("cannot listen at {}: {e}", path.display());
            return failed(program, &what);
        }
    };
    let ours = identity(path);
    let place = format!("unix:{}", path.display());
    let result = until_signals(&place, |shutdown| serve(&listener, shutdown));
    // Another may have removed ours, and listen there now. Gone already is as good.
    if ours.is_some() && identity(path) == ours {
        let _ = fs::remove_file(path);
    }
    ended(program, result)
}

/// A server that was killed leaves its path behind. One that nobody answers at is taken over, but
/// nothing else that may be there: no file is to be lost.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let in_use = match UnixListener::bind(path) {
        Err(e) if e.kind() == ErrorKind::AddrInUse => e,
        other => return other,
    };
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(in_use);
    }
    match UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        _ => return Err(in_use),
    }
    UnixListener::bind(path)
}

/// What tells a file from all others, whatever its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn until_signals(
    place: &str,
    serve: impl FnOnce(&Receiver<()>) -> io::Result<Farewell>,
) -> io::Result<Farewell> {
    let shutdown = stop::on_signals()?;
    // Only now: who reads it may send a signal at once.
    println!("listening at {place}");
    serve(&shutdown)
}

fn ended(program: &str, result: io::Result<Farewell>) -> ExitCode {
    match result {
        Ok(Farewell { cut: 0 }) => ExitCode::SUCCESS,
        Ok(Farewell { cut }) => failed(program, &format!("connections cut off: {cut}")),
        Err(e) => failed(program, &e.to_string()),
    }
}

/// Says what is wrong, on standard error.
pub fn failed(program: &str, what: &str) -> ExitCode {
    eprintln!("{program}: {what}");
    ExitCode::FAILURE
}
