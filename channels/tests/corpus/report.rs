//! Runs the children, judges what they said, and counts.

use crate::CLASSES;
use crate::run::{BROKEN, END, FALSE, FOUND, MODES, Mode};
use crate::stage::{Bug, Class};
use std::fmt::Write as _;
use std::io::Read;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A child that takes longer hangs. (They take a tenth of a second, on a machine that has nothing else to do.)
const LIMIT: Duration = Duration::from_secs(60);

/// Twins of which it is known that the search errs: it does not follow pointers from the heap into the stack of
/// one that waits (`inspect/graph.rs` says why). Who lends its stack so, with `unsafe`, and not by a scope, may be
/// taken for lost.
const KNOWN: [&str; 1] = ["in_a_job_on_the_stack_of_who_waits"];

const DEADLOCK: &str = "fatal error: all goroutines are asleep - deadlock!";

/// One child.
pub struct Case {
    pub class: &'static Class,
    pub name: &'static str,
    pub mode: Mode,
    pub procs: usize,
}

impl Case {
    fn mode_name(&self) -> &'static str {
        MODES.iter().find(|m| m.0 == self.mode).map_or("", |m| m.1)
    }

    fn bug(&self) -> Option<&'static Bug> {
        self.class.bugs.iter().find(|b| b.name == self.name)
    }

    fn title(&self) -> String {
        let Case { name, procs, .. } = self;
        format!(
            "{} {name} ({} Ps, {})",
            self.class.name,
            procs,
            self.mode_name()
        )
    }
}

/// What came of one child.
#[derive(Default)]
struct Outcome {
    found: usize,
    of: usize,
    /// What may never be.
    wrong: Vec<String>,
    /// False alarms of the kind that is known.
    known: usize,
}

/// What came of all.
pub struct Table {
    rows: Vec<Row>,
    wrong: Vec<String>,
    known: usize,
    twins: usize,
    twin_runs: usize,
}

struct Row {
    class: &'static Class,
    /// Found and of how many, by `Mode::{Whole, Partial, Direct}`, and the number of rounds.
    counts: [(usize, usize); 3],
}

pub fn run(cases: &[Case]) -> Table {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    // They sleep most of the time.
    let workers = std::thread::available_parallelism().map_or(4, |n| 3 * n.get().min(8));
    std::thread::scope(|s| {
        for _ in 0..workers {
            s.spawn(|| {
                loop {
                    // Relaxed: a ticket.
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(i) else { break };
                    let outcome = look(case);
                    outcomes.lock().expect("no panic").push((i, outcome));
                }
            });
        }
    });
    let mut table = Table {
        rows: CLASSES
            .iter()
            .map(|&class| Row {
                class,
                counts: [(0, 0); 3],
            })
            .collect(),
        wrong: Vec::new(),
        known: 0,
        twins: crate::classes().map(|c| c.twins.len()).sum(),
        twin_runs: 0,
    };
    let mut outcomes = outcomes.into_inner().expect("no panic");
    outcomes.sort_by_key(|o| o.0);
    for (i, outcome) in outcomes {
        let case = &cases[i];
        if outcome.found < outcome.of && std::env::var_os("WEFT_CORPUS_VERBOSE").is_some() {
            println!(
                "missed {}: {} of {}",
                case.title(),
                outcome.found,
                outcome.of
            );
        }
        table.wrong.extend(outcome.wrong);
        table.known += usize::from(outcome.known > 0);
        let column = match case.mode {
            Mode::Whole => 0,
            Mode::Partial => 1,
            Mode::Direct => 2,
            Mode::Quiet | Mode::Asked => {
                table.twin_runs += 1;
                continue;
            }
        };
        let row = table
            .rows
            .iter_mut()
            .find(|r| std::ptr::eq(r.class, case.class));
        let count = &mut row.expect("a class with bugs has a row").counts[column];
        count.0 += outcome.found;
        count.1 += outcome.of;
    }
    table
}

/// Runs one child, and judges it.
fn look(case: &Case) -> Outcome {
    let start = Instant::now();
    let (status, stdout, stderr) = spawn(case);
    let mut outcome = Outcome::default();
    let mut wrong = |what: String| outcome.wrong.push(format!("{}: {what}", case.title()));
    let ended = stdout.contains(END);
    let told = stderr.contains(DEADLOCK);
    for line in stdout.lines() {
        if line.starts_with(FALSE) && KNOWN.contains(&case.name) {
            outcome.known += 1;
        } else if line.starts_with(FALSE) || line.starts_with(BROKEN) {
            wrong(line.to_owned());
        }
    }
    let panics = stderr.matches("panicked at").count();
    match case.mode {
        Mode::Whole => {
            outcome.of = 1;
            let bug = case.bug().expect("a bug");
            if ended {
                wrong(format!("{BROKEN}it did not hang"));
            } else if told {
                outcome.found = 1;
                let missing = missing(bug, &stderr);
                if !missing.is_empty() {
                    wrong(format!("the report lacks {missing:?}:\n{stderr}"));
                }
                match status {
                    // Who is cancelled with a lock poisons it, and who gets it then may panic, too.
                    Some(s) if s.code() == Some(101) && panics > 0 => {}
                    Some(s) => wrong(format!("{s}, and not a panic of run:\n{stderr}")),
                    None => wrong(format!("it did not end after the report:\n{stderr}")),
                }
            } else if let Some(s) = status {
                wrong(format!("{s} without a report:\n{stderr}"));
            }
            return outcome;
        }
        Mode::Partial | Mode::Direct => {
            outcome.of = case.bug().map_or(0, |b| b.lost.len());
            outcome.found = stdout.lines().filter(|l| l.starts_with(FOUND)).count();
        }
        Mode::Quiet | Mode::Asked => {}
    }
    if told {
        wrong(format!("{FALSE}of a deadlock:\n{stderr}"));
    } else if !ended || !status.is_some_and(|s| s.success()) || panics > 0 {
        let took = start.elapsed();
        wrong(format!(
            "it ended with {status:?} after {took:?}:\n{stdout}\n{stderr}"
        ));
    }
    outcome
}

/// Who hangs and is not in the report, once for each.
fn missing(bug: &Bug, report: &str) -> Vec<&'static str> {
    let mut lines: Vec<&str> = report
        .lines()
        .filter(|l| l.starts_with("goroutine ") && l.contains('['))
        .collect();
    let mut missing = bug.hang.to_vec();
    missing.retain(|&name| {
        let is = |l: &&str| match name {
            "?" => !l.contains('"'),
            _ => l.contains(&format!(" {name:?} [")),
        };
        match lines.iter().position(is) {
            Some(at) => {
                lines.swap_remove(at);
                false
            }
            None => true,
        }
    });
    missing
}

/// The child's end (`None`: it had to be killed), and what it wrote.
fn spawn(case: &Case) -> (Option<ExitStatus>, String, String) {
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe)
        .args([
            "--child",
            case.mode_name(),
            case.name,
            &case.procs.to_string(),
        ])
        .env("RUST_BACKTRACE", "0")
        .env_remove("RUNTIME_PROCS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("piped")));
    let err = read(Box::new(child.stderr.take().expect("piped")));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child of our own") {
            Some(status) => break Some(status),
            None if start.elapsed() > LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(4)),
        }
    };
    (status, out.join().expect("read"), err.join().expect("read"))
}

fn share((found, of): (usize, usize)) -> String {
    match of {
        0 => "-".to_owned(),
        _ => format!("{found} of {of}"),
    }
}

impl Table {
    /// The table of recall, as it stands in docs/deadlocks.md.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| kind | bugs | everybody hangs | beside others | set up by who asks |\n|---|---|---|---|---|\n",
        );
        let mut total = [(0, 0); 3];
        for row in &self.rows {
            let [whole, partial, direct] = row.counts.map(share);
            let (name, bugs) = (row.class.name, row.class.bugs.len());
            let _ = writeln!(text, "| {name} | {bugs} | {whole} | {partial} | {direct} |");
            for (sum, n) in total.iter_mut().zip(row.counts) {
                *sum = (sum.0 + n.0, sum.1 + n.1);
            }
        }
        let bugs: usize = self.rows.iter().map(|r| r.class.bugs.len()).sum();
        let [whole, partial, direct] = total.map(share);
        let _ = writeln!(text, "| all | {bugs} | {whole} | {partial} | {direct} |");
        let alarms = self.wrong.iter().filter(|w| w.contains(FALSE)).count();
        let _ = writeln!(
            text,
            "\n{} twins ({} runs), {alarms} false alarms, and {} runs with one of the known kind",
            self.twins, self.twin_runs, self.known
        );
        text
    }

    /// Whether all is as it must be; the floors only if `all` kernels were run.
    pub fn judge(&self, all: bool) -> ExitCode {
        let mut bad = self.wrong.clone();
        for row in self.rows.iter().filter(|_| all) {
            let [whole, partial, _] = row.counts;
            let lost: usize = row.class.bugs.iter().map(|b| b.lost.len()).sum();
            // Several rounds count several times.
            // What is found beside others depends on stale words in memory, which another compiler, or a
            // busy machine, moves: half of what was measured is asked for.
            let floors = [
                (
                    "everybody hangs",
                    whole,
                    row.class.whole * 2,
                    row.class.bugs.len(),
                ),
                ("beside others", partial, row.class.partial, lost),
            ];
            for (what, (found, of), floor, once) in floors {
                if found * once * 2 < floor * of {
                    let name = row.class.name;
                    bad.push(format!(
                        "{name}, {what}: {found} of {of}, not {} of {once}",
                        floor.div_ceil(2)
                    ));
                }
            }
        }
        for what in &bad {
            println!("FAILED {what}");
        }
        match bad.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
