//! gdb sees goroutines: the script `gdb/weft-gdb.py`, on a live process and on its core file.

mod support;

use channels::{Receiver, bounded};
use runtime::{DumpedGoroutine, GoroutineState, go};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::within;

/// gdb reads all debug information of the test, which takes seconds on a machine that does nothing else.
const LIMIT: Duration = Duration::from_secs(300);

#[inline(never)]
fn receive_the_order(rx: &Receiver<u32>) -> u32 {
    let order = rx.recv().unwrap();
    order + 1
}

#[inline(never)]
fn serve_one_customer(rx: Receiver<u32>) -> u32 {
    let table = 4711_u32;
    receive_the_order(&rx) * 2 + std::hint::black_box(table)
}

#[inline(never)]
fn sleep_through_the_day() {
    runtime::time::sleep(Duration::from_secs(600));
    std::hint::black_box(());
}

#[inline(never)]
fn compute_without_end() {
    loop {
        std::hint::spin_loop();
    }
}

/// The process that is looked at: says its number of goroutines, then waits to be killed.
#[test]
fn child_with_goroutines() {
    if !support::is_child("child_with_goroutines") {
        return;
    }
    let rt = runtime::start(2);
    rt.run(|| {
        let (_tx, rx) = bounded(0);
        let ids = [
            go!(name = "waiter", move || serve_one_customer(rx)).id(),
            go!(name = "sleeper", sleep_through_the_day()).id(),
        ];
        let computing = go!(name = "computer", compute_without_end()).id();
        while !["waiter", "sleeper"].iter().all(|name| is_parked(name)) {
            runtime::yield_now();
        }
        runtime::time::sleep(Duration::from_millis(100));
        println!("\nready {} {} {computing}", ids[0], ids[1]);
        runtime::time::sleep(Duration::from_secs(600));
    });
}

fn is_parked(name: &str) -> bool {
    let waits = |g: &DumpedGoroutine| matches!(g.state(), GoroutineState::Waiting(_));
    let dump = runtime::dump_without_stacks();
    dump.goroutines()
        .any(|g| g.name() == Some(name) && waits(g))
}

struct Target {
    child: Child,
    waiter: String,
    sleeper: String,
    computer: String,
}

impl Target {
    fn start(env: &[(&str, &str)]) -> Target {
        let name = "child_with_goroutines";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env("WEFT_CHILD", name)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let ready = lines.find(|line| line.starts_with("ready "));
        let ready = ready.expect("the child gets ready");
        let mut ids = ready.split(' ').skip(1).map(str::to_owned);
        let mut id = || ids.next().unwrap();
        Target {
            child,
            waiter: id(),
            sleeper: id(),
            computer: id(),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs gdb with the script on what `at` says, and these commands.
fn gdb(at: &[&str], commands: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/gdb/weft-gdb.py");
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off"]);
    gdb.args(at).args(["-ex", "set width 0"]);
    gdb.args(["-ex", &format!("source {script}")]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let out = gdb.stdin(Stdio::null()).output().unwrap();
    let all = [out.stdout, out.stderr].map(|o| String::from_utf8_lossy(&o).into_owned());
    all.join("\n")
}

/// Whether gdb can be used at all; it is said if not.
fn usable() -> bool {
    let python = ["-nx", "-batch", "-ex", "python print('has ' + 'python')"];
    let why = match Command::new("gdb").args(python).output() {
        Err(_) => "gdb is not installed",
        Ok(o) if !String::from_utf8_lossy(&o.stdout).contains("has python") => {
            "this gdb has no Python"
        }
        Ok(_) if cfg!(not(target_arch = "x86_64")) => "the script knows x86-64 only",
        Ok(_) => return true,
    };
    eprintln!("skipped: {why}");
    false
}

/// Whether gdb was not allowed to look at the process; it is said if so.
fn forbidden(text: &str) -> bool {
    let forbidden = text.contains("ptrace: Operation not permitted");
    if forbidden {
        eprintln!("skipped: processes may not be traced here");
    }
    forbidden
}

fn position(text: &str, what: &str) -> usize {
    text.find(what)
        .unwrap_or_else(|| panic!("no {what:?} in:\n{text}"))
}

/// Looks at what `at` says, a process or a core file of it. (All at once: gdb takes seconds to begin.)
fn check(at: &[&str], target: &Target) {
    let bt = |id: &str| format!("goroutine {id} bt");
    let (waiter, sleeper, computer) = (
        bt(&target.waiter),
        bt(&target.sleeper),
        bt(&target.computer),
    );
    let frame = format!(
        "goroutine {} frame function gdb::serve_one_customer",
        target.waiter
    );
    let registers = ["thread", "frame", "info registers"];
    let sections: [&[&str]; 9] = [
        &registers,
        &["info goroutines"],
        &[&waiter],
        &[&frame],
        &[&sleeper],
        &[&computer],
        &["goroutine all bt", "goroutine all info registers"],
        &registers,
        &["goroutine 99999999 bt"],
    ];
    let mut commands = Vec::new();
    for section in sections {
        commands.push("echo \\n--- \\n");
        commands.extend(section);
    }
    let text = gdb(at, &commands);
    if forbidden(&text) {
        return;
    }
    let parts: Vec<&str> = text.split("\n--- \n").collect();
    let [
        _,
        before,
        list,
        bt,
        frame,
        sleeper,
        computer,
        all,
        after,
        none,
    ] = parts[..]
    else {
        panic!("{} parts in:\n{text}", parts.len());
    };
    let line = |name: &str| {
        let line = list.lines().find(|l| l.contains(&format!("\"{name}\"")));
        line.unwrap_or_else(|| panic!("no {name} in:\n{list}"))
    };
    let id = |name: &str| line(name).split_whitespace().next().unwrap().to_owned();
    assert_eq!(id("waiter"), target.waiter);
    assert!(line("waiter").contains("[chan receive]"), "{list}");
    assert!(line("sleeper").contains("[sleep]"), "{list}");
    assert!(line("computer").contains("[running]"), "{list}");
    assert!(line("waiter").contains("receive_the_order"), "{list}");
    assert!(line("waiter").contains("gdb.rs:"), "{list}");
    assert!(line("sleeper").contains("sleep_through_the_day"), "{list}");
    assert!(line("computer").contains("compute_without_end"), "{list}");
    // The caller after the callee, with its line, and an end at the goroutine's root.
    let (inner, outer) = ("receive_the_order", "serve_one_customer");
    assert!(position(bt, inner) < position(bt, outer), "{bt}");
    assert!(
        position(bt, outer) < position(bt, "stack_init_trampoline"),
        "{bt}"
    );
    assert!(!bt.contains("run_loop"), "no thread's frames:\n{bt}");
    assert!(!bt.contains("Backtrace stopped"), "{bt}");
    assert!(frame.contains("serve_one_customer"), "{frame}");
    assert!(sleeper.contains("sleep_through_the_day"), "{sleeper}");
    assert!(!sleeper.contains("receive_the_order"), "{sleeper}");
    assert!(computer.contains("compute_without_end"), "{computer}");
    for function in [inner, outer, "sleep_through_the_day", "compute_without_end"] {
        position(all, function);
    }
    // The registers and the selected frame are what they were.
    assert!(before.contains("rip"), "{before}");
    assert_eq!(before.trim(), after.trim());
    assert!(none.contains("there is no goroutine 99999999"), "{none}");
}

#[test]
fn a_live_process_is_seen_and_not_changed() {
    if !usable() {
        return;
    }
    within(LIMIT, || {
        let mut target = Target::start(&[]);
        check(&["-p", &target.child.id().to_string()], &target);
        assert!(target.child.try_wait().unwrap().is_none(), "it lives on");
    });
}

#[test]
fn a_core_file_is_seen() {
    if !usable() {
        return;
    }
    within(LIMIT, || {
        // gdb's own core files (not the kernel's) end a mapping at the first byte that cannot be read: with guard
        // markers, at the first stack. With protected pages each stack is a mapping.
        let target = Target::start(&[("RUNTIME_STACK_GUARD", "mprotect")]);
        let dir = std::env::temp_dir().join(format!("weft-core-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let core = dir.join("core");
        let made = Command::new("gdb")
            .args(["-nx", "-batch", "-readnever", "-p"])
            .arg(target.child.id().to_string())
            .args(["-ex", &format!("generate-core-file {}", core.display())])
            .output()
            .unwrap();
        if core.exists() {
            let exe = std::env::current_exe().unwrap();
            check(&[exe.to_str().unwrap(), core.to_str().unwrap()], &target);
        } else if !forbidden(&String::from_utf8_lossy(&made.stderr)) {
            eprintln!("skipped: gdb makes no core file here");
        }
        let _ = std::fs::remove_dir_all(&dir);
    });
}
