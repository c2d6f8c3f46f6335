//! Makes an HTML page of an execution trace, to be opened in a browser, without a network.
//!
//! The work is in `examples::trace_view`; here are only arguments and files.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use examples::trace_view::{self, duration_text};

/// Show an execution trace as one HTML page that needs nothing else.
///
/// FILE is what `runtime::trace`, a flight recorder or RUNTIME_DEBUG=trace=FILE has written, in
/// Perfetto's format or in Chrome's; which, is told by what is in it.
///
/// A file that breaks off is shown up to that place. The exit code is 1 when there is nothing to
/// show.
#[derive(Parser)]
struct Args {
    /// The trace
    file: PathBuf,

    /// Where to write the page; - is standard output [default: FILE.html]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match show(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trace-view: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &Args) -> Result<(), String> {
    let file = args.file.display();
    let bytes = fs::read(&args.file).map_err(|e| format!("cannot read {file}: {e}"))?;
    let trace = trace_view::read(&bytes).map_err(|e| format!("{file}: {e}"))?;
    drop(bytes);
    let name = args
        .file
        .file_name()
        .map_or_else(|| file.to_string(), |n| n.to_string_lossy().into());
    if let Some(why) = &trace.cut {
        eprintln!("trace-view: {file} is not complete: {why}");
    }
    if trace.lost() > 0 {
        eprintln!(
            "trace-view: {} events were lost when {file} was written",
            trace.lost()
        );
    }
    let page = trace_view::page(&trace, &name);
    let output = args.output.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".html");
        PathBuf::from(name)
    });
    if output == Path::new("-") {
        return match io::stdout().write_all(page.as_bytes()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("cannot write the page: {e}"))
            }
            _ => Ok(()),
        };
    }
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&output, &args.file) {
        return Err(format!(
            "the page would overwrite {file}; choose another place with -o"
        ));
    }
    fs::write(&output, page).map_err(|e| format!("cannot write {}: {e}", output.display()))?;
    println!(
        "{}: {} events in {}",
        output.display(),
        trace.events,
        duration_text(trace.duration)
    );
    Ok(())
}
