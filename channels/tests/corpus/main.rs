//! A corpus of the kernels of concurrency bugs, and of programs that look like them and are none: what the
//! detection of deadlocks and leaks finds of the former, and that it never takes the latter for one.
//!
//! Each kernel runs in a process of its own. *Precision*: no twin is ever reported, and of a bug's goroutines
//! only those that are lost; any false alarm fails. *Recall*: how many were found, by class; less than when
//! this was written fails.
//!
//! ```text
//! cargo test -p weft-channels --test corpus                      # all, with 1, 2 or 4 Ps in turn
//! cargo test -p weft-channels --test corpus -- NAME ...          # those whose name, or class, contains it
//! WEFT_CORPUS_PROCS=1,2,4 WEFT_CORPUS_ROUNDS=100 cargo test ...  # all combinations, so often
//! WEFT_CORPUS_MODES=partial,asked cargo test ...                 # only these
//! ```

mod abandoned;
mod close;
mod conditions;
mod contexts;
mod counts;
mod holders;
mod joins;
mod locks;
mod memory;
mod mixed;
mod mixed_twins;
mod order;
mod phase;
mod pools;
mod report;
mod run;
mod rw;
mod selects;
mod stage;
mod world;

use report::{Case, Table};
use run::{MODES, Mode};
use stage::Class;
use std::process::ExitCode;

static CLASSES: [&Class; 14] = [
    &locks::CLASS,
    &order::CLASS,
    &rw::CLASS,
    &mixed::CLASS,
    &phase::CLASS,
    &close::CLASS,
    &abandoned::CLASS,
    &selects::CLASS,
    &pools::CLASS,
    &joins::CLASS,
    &contexts::CLASS,
    &conditions::CLASS,
    &counts::CLASS,
    &world::CLASS,
];

/// Those that are there for their twins only.
static MORE: [&Class; 2] = [&holders::CLASS, &memory::CLASS];

fn classes() -> impl Iterator<Item = &'static Class> {
    CLASSES.into_iter().chain(MORE)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, mode, name, procs] = &args[..]
        && flag == "--child"
    {
        child(mode, name, procs.parse().expect("a number of Ps"));
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|a| a == "--list") {
        println!("corpus: test");
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|a| a == "--ignored") {
        return ExitCode::SUCCESS;
    }
    let mut skip = false;
    let mut filters = Vec::new();
    for arg in &args {
        // What libtest would take an argument for.
        let takes_one = ["--test-threads", "--skip", "--format", "--color"].contains(&&arg[..]);
        if !arg.starts_with('-') && !skip && arg != "corpus" {
            filters.push(arg.as_str());
        }
        skip = takes_one;
    }
    let cases = cases(&filters);
    if cases.is_empty() {
        return ExitCode::SUCCESS;
    }
    let table: Table = report::run(&cases);
    println!("{}", table.markdown());
    table.judge(filters.is_empty() && env("WEFT_CORPUS_MODES").is_none())
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// What is to be run.
fn cases(filters: &[&str]) -> Vec<Case> {
    let rounds: usize = env("WEFT_CORPUS_ROUNDS").map_or(1, |v| v.parse().expect("a number"));
    let procs: Option<Vec<usize>> = env("WEFT_CORPUS_PROCS")
        .map(|v| v.split(',').map(|n| n.parse().expect("numbers")).collect());
    let modes = env("WEFT_CORPUS_MODES");
    let wanted = |mode: &str| {
        modes
            .as_ref()
            .is_none_or(|m| m.split(',').any(|m| m == mode))
    };
    let mut cases = Vec::new();
    let mut turn = 0;
    let mut add = |class: &'static Class, name: &'static str, twin: bool| {
        let all = filters.is_empty();
        if !all
            && !filters
                .iter()
                .any(|f| name.contains(f) || class.name.contains(f))
        {
            return;
        }
        turn += 1;
        let own = [[1, 2, 4][turn % 3]];
        for (mode, text) in MODES {
            if twin == matches!(mode, Mode::Quiet | Mode::Asked) && wanted(text) {
                for &procs in procs.as_deref().unwrap_or(&own) {
                    for _ in 0..rounds {
                        cases.push(Case {
                            class,
                            name,
                            mode,
                            procs,
                        });
                    }
                }
            }
        }
    };
    for class in classes() {
        class.bugs.iter().for_each(|b| add(class, b.name, false));
        class.twins.iter().for_each(|t| add(class, t.name, true));
    }
    cases
}

fn child(mode: &str, name: &str, procs: usize) {
    let mode = MODES.iter().find(|m| m.1 == mode).expect("a mode").0;
    match mode {
        Mode::Quiet | Mode::Asked => {
            let mut twins = classes().flat_map(|c| c.twins);
            let twin = twins.find(|t| t.name == name).expect("a twin");
            run::twin(twin, procs, mode == Mode::Asked);
        }
        _ => {
            let mut bugs = classes().flat_map(|c| c.bugs);
            let bug = bugs.find(|b| b.name == name).expect("a bug");
            match mode {
                Mode::Whole => run::whole(bug, procs),
                _ => run::partial(bug, procs, mode == Mode::Direct),
            }
        }
    }
}
