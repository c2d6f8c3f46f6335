//! The lines of `docs/from-asyncio.md`, run; and that the page shows the very lines that are.

mod common;

use common::{PROCS, run};
use examples::from_asyncio::{objects, tasks};
use runtime::JoinError;
use runtime::task::WaitError;
use runtime::time::Elapsed;
use std::time::Duration;

/// Runs `f` as the main goroutine, with 1, 2, 4 and 8 Ps.
fn everywhere(f: impl Fn() + Sync) {
    for procs in PROCS {
        runtime::start(procs).run(&f);
    }
}

#[test]
fn create_task_and_await() {
    everywhere(|| {
        assert_eq!(
            tasks::create_task(),
            r#"["a after 10 ms", "b after 5 ms"], the second by Some("b")"#
        );
        let error = tasks::exception();
        assert_eq!(error.to_string(), "goroutine panicked: boom");
    });
}

#[test]
fn sleep() {
    everywhere(|| {
        let took = tasks::sleeps();
        assert!(took >= Duration::from_millis(20));
        assert!(took < Duration::from_millis(1900), "{took:?}");
    });
}

#[test]
fn gather() {
    everywhere(|| {
        assert_eq!(
            tasks::gathered().unwrap(),
            ["a after 30 ms", "b after 10 ms"]
        );
        let results = tasks::gathered_with_errors();
        assert_eq!(results.len(), 4);
        assert!(results[..3].iter().all(Result::is_ok));
        assert!(matches!(results[3], Err(JoinError::Panicked(_))));
    });
}

#[test]
fn wait() {
    everywhere(|| {
        let [first, all, failed, limited] = tasks::waits();
        assert!(first.0 >= 1 && first.0 + first.1 == 3, "{first:?}");
        assert_eq!(all, (3, 0));
        assert!(failed.0 >= 1 && failed.0 + failed.1 == 4, "{failed:?}");
        assert_eq!(limited.0 + limited.1, 3);
    });
}

#[test]
fn as_completed() {
    everywhere(|| {
        let mut texts = tasks::completed();
        texts.sort();
        assert_eq!(texts, ["a after 30 ms", "b after 10 ms", "c after 20 ms"]);
    });
}

#[test]
fn wait_for_and_timeout() {
    everywhere(|| {
        let (in_time, too_late) = tasks::waited_for();
        assert_eq!(in_time, "a after 5 ms");
        assert!(matches!(too_late, WaitError::Elapsed));
        let (slow, quick) = tasks::timeouts();
        assert_eq!(slow, Err(Elapsed));
        assert_eq!(quick.unwrap(), "c after 1 ms");
        assert_eq!(
            tasks::join_with_timeout(),
            "a after 30 ms, having looked before"
        );
    });
}

#[test]
fn shield() {
    everywhere(|| {
        let (late, saved) = tasks::shielded();
        assert!(matches!(late, WaitError::Elapsed));
        assert_eq!(saved, "saved all the same");
    });
}

#[test]
fn cancel() {
    everywhere(|| {
        let (in_time, error, log) = tasks::cancelled();
        assert!(in_time);
        assert!(matches!(error, JoinError::Cancelled));
        assert_eq!(log, "cleaned up");
    });
}

#[test]
fn task_group() {
    everywhere(|| {
        assert_eq!(
            tasks::task_group(),
            r#"13 letters, the longest is "borrowed""#
        );
        let (took, failed) = tasks::failing_task_group();
        assert!(failed);
        assert!(took < Duration::from_secs(30), "{took:?}");
    });
}

#[test]
fn to_thread() {
    everywhere(|| assert_eq!(tasks::to_thread(), "blocked, meanwhile after 1 ms"));
}

#[test]
fn contextvars() {
    everywhere(|| assert_eq!(tasks::context(), "the child saw 7, we have 7"));
}

#[test]
fn three_tasks() {
    everywhere(|| {
        let text = tasks::three_tasks();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        for name in ["taskA", "taskB", "taskC"] {
            let own: Vec<_> = lines.iter().filter(|l| l.starts_with(name)).collect();
            assert!(
                own[0].ends_with("begins") && own[1].ends_with("ends"),
                "{text}"
            );
        }
    });
}

#[test]
fn queue() {
    everywhere(|| {
        assert_eq!(objects::queue(), 5050);
        let (full, empty, late, len) = objects::queue_without_waiting();
        assert!(full.is_full());
        assert!(empty.is_empty());
        assert_eq!(late, Elapsed);
        assert_eq!(len, 1000);
        assert_eq!(objects::queue_join(), 5050);
    });
}

#[test]
fn event() {
    everywhere(|| assert_eq!(objects::event(), (false, 3)));
}

#[test]
fn lock() {
    everywhere(|| assert_eq!(objects::lock(), 10));
}

#[test]
fn semaphore() {
    everywhere(|| assert!((1..=3).contains(&objects::semaphore())));
}

#[test]
fn condition() {
    everywhere(|| assert_eq!(objects::condition(), [0, 1, 2]));
}

#[test]
fn barrier() {
    everywhere(|| assert_eq!(objects::barrier(), (1, true)));
}

#[test]
fn the_tour_tells_it_all() {
    for procs in PROCS {
        let procs = procs.to_string();
        let out = run(env!("CARGO_BIN_EXE_asyncio_tour"), ["--procs", &procs]).expect_code(0);
        // The scope that fails says so.
        assert!(out.stderr.contains("nobody joined it"), "{}", out.stderr);
        for topic in [
            "create_task",
            "sleep",
            "gather",
            "wait",
            "as_completed",
            "wait_for",
            "timeout",
            "shield",
            "cancel",
            "TaskGroup",
            "to_thread",
            "contextvars",
            "Queue",
            "Event",
            "Lock",
            "Semaphore",
            "Condition",
            "Barrier",
        ] {
            let told = out.stdout.lines().any(|l| l.starts_with(topic));
            assert!(told, "{topic}: {}", out.stdout);
        }
    }
}

/// The Rust lines of the page, without their indentation.
fn lines_of_the_page(page: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in page.lines().map(str::trim) {
        match line {
            "```rust" => inside = true,
            "```" => inside = false,
            _ if inside && !line.is_empty() => lines.push(line),
            _ => (),
        }
    }
    lines
}

#[test]
fn the_page_shows_what_is_run() {
    let page = include_str!("../../docs/from-asyncio.md");
    let run: Vec<_> = [
        include_str!("../src/from_asyncio/tasks.rs"),
        include_str!("../src/from_asyncio/objects.rs"),
        include_str!("../src/bin/asyncio_tour.rs"),
    ]
    .iter()
    .flat_map(|source| source.lines().map(str::trim))
    .collect();
    let shown = lines_of_the_page(page);
    assert!(shown.len() > 50, "{}", shown.len());
    for line in shown {
        assert!(
            run.contains(&line),
            "the page shows what nobody runs: {line}"
        );
    }
}
