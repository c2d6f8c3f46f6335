//! Names and lines of frames, and which of them a reader wants to see.

use std::collections::HashMap;
use std::sync::Arc;

/// A function, at a line: a frame, or one that was inlined into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol {
    pub(crate) function: String,
    pub(crate) file: Option<String>,
    pub(crate) line: u32,
    pub(crate) address: usize,
}

/// What was looked up already.
#[derive(Default)]
pub(crate) struct Symbols {
    known: HashMap<usize, Arc<[Symbol]>>,
}

impl Symbols {
    /// The functions at an address, the innermost inlined one first.
    fn at(&mut self, address: usize) -> Arc<[Symbol]> {
        let look_up = || {
            let mut found = Vec::new();
            backtrace::resolve(std::ptr::with_exposed_provenance_mut(address), |symbol| {
                found.push(Symbol {
                    function: match symbol.name() {
                        Some(name) => format!("{name:#}"),
                        None => format!("{address:#x}"),
                    },
                    file: symbol.filename().map(|f| f.display().to_string()),
                    line: symbol.lineno().unwrap_or(0),
                    address,
                });
            });
            if found.is_empty() {
                found.push(Symbol {
                    function: format!("{address:#x}"),
                    file: None,
                    line: 0,
                    address,
                });
            }
            found.into()
        };
        Arc::clone(self.known.entry(address).or_insert_with(look_up))
    }

    /// The frames of a goroutine as a reader wants them: from the call into the runtime on, to the
    /// goroutine's closure.
    pub(crate) fn of_goroutine(&mut self, frames: &[usize]) -> Arc<[Symbol]> {
        let mut all = Vec::new();
        for &frame in frames {
            all.extend(self.at(frame).iter().cloned());
        }
        cut(&all).into()
    }
}

/// The name of the crate that a function belongs to, and whether it is one that users do not want to see
/// inside of.
fn is_ours(function: &str) -> bool {
    const OURS: [&str; 6] = ["runtime", "channels", "corosensei", "core", "std", "alloc"];
    let path = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let first = path.split("::").next().unwrap_or(path);
    OURS.contains(&first) || function.starts_with("__rust") || function.starts_with("_R")
}

/// Whether it is what a user called.
fn is_interface(function: &str) -> bool {
    let path = function.trim_start_matches(['<', '&']);
    (path.starts_with("runtime::") || path.starts_with("channels::"))
        && !path.starts_with("runtime::sched::")
        && !path.starts_with("runtime::fiber::")
        && !path.starts_with("runtime::g::")
        && !function.ends_with("{{closure}}")
        // As the newer mangling has it: `{closure#0}`.
        && !function.rsplit("::").next().is_some_and(|last| last.starts_with("{closure"))
}

fn cut(all: &[Symbol]) -> Vec<Symbol> {
    // The goroutine's closure is called by the task, through std's catch_unwind.
    let root = all
        .iter()
        .position(|s| s.function.starts_with("runtime::g::task::"))
        .unwrap_or(all.len());
    let mut body = &all[..root];
    while let Some((last, rest)) = body.split_last() {
        let glue = is_ours(&last.function) && !is_interface(&last.function);
        if !glue {
            break;
        }
        body = rest;
    }
    let first = body
        .iter()
        .position(|s| !is_ours(&s.function))
        .unwrap_or(body.len());
    // Of what the user called, the outermost.
    let called = body[..first]
        .iter()
        .rposition(|s| is_interface(&s.function))
        .unwrap_or(first);
    match body.is_empty() {
        true => all.to_vec(),
        false => body[called..].to_vec(),
    }
}
