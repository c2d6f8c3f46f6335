//! What a child process does with a kernel. It has no thread but the one in `Runtime::run`, and the runtime's.

use crate::stage::{Bug, Stage, Twin};
use runtime::{Builder, Leak, go};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a kernel is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The main goroutine waits for all: they hang, and so does it.
    Whole,
    /// The main goroutine goes on, and asks; a goroutine that has ended set the kernel up.
    Partial,
    /// As `Partial`, but the main goroutine has set it up itself.
    Direct,
    /// A twin; the main goroutine waits.
    Quiet,
    /// A twin; the main goroutine asks all the time.
    Asked,
}

pub const MODES: [(Mode, &str); 5] = [
    (Mode::Whole, "whole"),
    (Mode::Partial, "partial"),
    (Mode::Direct, "direct"),
    (Mode::Quiet, "quiet"),
    (Mode::Asked, "asked"),
];

/// What a child writes when it has come to its end.
pub const END: &str = "end of the kernel";
/// Before the name of a goroutine that was found, and may be.
pub const FOUND: &str = "found ";
/// Before the name of a goroutine that was found, and may not be.
pub const FALSE: &str = "false alarm ";
/// Before what is wrong with the kernel itself.
pub const BROKEN: &str = "broken kernel ";

/// So often whoever asks for bugs asks, until all were found.
const ASK: usize = 14;

pub fn whole(bug: &Bug, procs: usize) {
    start(procs).run(|| {
        let stage = Stage::default();
        (bug.run)(&stage);
        stage.wait_for_all();
    });
    println!("{END}");
}

pub fn partial(bug: &Bug, procs: usize, direct: bool) {
    start(procs).run(|| {
        let stage = Stage::default();
        if direct {
            (bug.run)(&stage);
        } else {
            let (stage, run) = (stage.clone(), bug.run);
            let ended = go!(name = "set up", move || run(&stage)).join();
            assert!(ended.is_ok(), "the kernel panicked");
        }
        let mut seen = Seen::default();
        let mut hang = bug.hang.to_vec();
        hang.sort_unstable();
        let limit = Instant::now() + Duration::from_secs(10);
        while stage.here() != hang {
            seen.look(bug.lost);
            if Instant::now() > limit {
                println!("{BROKEN}{:?} are here, not {hang:?}", stage.here());
                break;
            }
            runtime::time::sleep(Duration::from_millis(3));
        }
        for _ in 0..ASK {
            runtime::time::sleep(Duration::from_millis(12));
            seen.look(bug.lost);
            if seen.found.len() >= bug.lost.len() {
                break;
            }
        }
        if stage.here() != hang {
            println!("{BROKEN}at last {:?} are here, not {hang:?}", stage.here());
        }
        for leak in seen.found.values() {
            println!("{FOUND}{leak}");
        }
    });
    println!("{END}");
}

/// Who was found.
#[derive(Default)]
struct Seen {
    found: BTreeMap<u64, String>,
}

impl Seen {
    fn look(&mut self, lost: &[&str]) {
        for leak in runtime::leaks().unwrap_or_default() {
            let id = leak.goroutine().as_u64();
            let name = leak.name().unwrap_or("?");
            if lost.contains(&name) {
                self.found.insert(id, leak.to_string());
            } else {
                println!("{FALSE}{leak}");
            }
        }
        for &name in lost {
            let many = |l: &&String| match name {
                "?" => !l.contains('"'),
                _ => l.contains(&format!("{name:?}")),
            };
            let (found, of) = (
                self.found.values().filter(many).count(),
                lost.iter().filter(|&&n| n == name).count(),
            );
            if found > of {
                println!("{FALSE}{found} of {of} {name:?}");
            }
        }
    }
}

pub fn twin(twin: &Twin, procs: usize, asked: bool) {
    start(procs).run(|| {
        let stage = Stage::default();
        let (there, run) = (stage.clone(), twin.run);
        let kernel = go!(name = "kernel", move || run(&there));
        while asked && !(kernel.is_finished() && stage.here().is_empty()) {
            let alarm = |leak: &Leak| println!("{FALSE}{leak}");
            runtime::leaks().unwrap_or_default().iter().for_each(alarm);
            runtime::time::sleep(Duration::from_millis(1));
        }
        if let Err(e) = kernel.join() {
            println!("{BROKEN}{e}");
        }
        stage.wait_for_all();
    });
    println!("{END}");
}

fn start(procs: usize) -> runtime::Runtime {
    let builder = Builder::new().procs(procs).name("corpus");
    builder.build().expect("a runtime")
}
