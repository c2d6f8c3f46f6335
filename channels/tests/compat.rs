//! One program, written over the name of the crate, gives the same with crossbeam-channel on
//! threads, with ours on threads, and with ours on goroutines; and what must not compile does not.

mod common;

use common::support::{PROCS, within, within_minute};
use std::time::Duration;

/// A program that uses the whole interface, as a module `$name` with a function `run` that
/// returns what it saw. `$chan` is the crate of channels, `$spawn` starts a task.
macro_rules! program {
    ($name:ident, $chan:ident, $spawn:path) => {
        mod $name {
            use channel::{
                IntoIter, Iter, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
                Sender, TryIter, TryRecvError, TrySendError, bounded, unbounded,
            };
            use std::collections::BTreeMap;
            use std::iter::FusedIterator;
            use std::panic::{RefUnwindSafe, UnwindSafe};
            use $chan as channel;
            use $spawn as spawn;

            pub fn run() -> Vec<String> {
                let mut out = Vec::new();
                single(&mut out);
                ends(&mut out);
                meeting(&mut out);
                out.push(format!("primes {:?}", primes(30)));
                out.push(format!("words {:?}", count_words()));
                out.push(format!("pool {:?}", pool(6)));
                out.push(format!("replies {:?}", replies()));
                out.push(format!("total {}", many_to_many()));
                errors(&mut out);
                out
            }

            fn single(out: &mut Vec<String>) {
                for cap in [0, 1, 3] {
                    let (s, r): (Sender<i32>, Receiver<i32>) = bounded(cap);
                    for i in 0..4 {
                        let sent = s.try_send(i).map_err(|e| (e.is_full(), e.into_inner()));
                        out.push(format!("{cap} {i} {sent:?}"));
                        out.push(format!("{} {} {}", s.len(), s.is_empty(), s.is_full()));
                        out.push(format!("{} {} {}", r.len(), r.is_empty(), r.is_full()));
                    }
                    out.push(format!("{:?} {:?}", s.capacity(), r.capacity()));
                    out.push(format!("{:?}", r.try_iter().collect::<Vec<_>>()));
                    out.push(format!("{:?}", r.try_recv()));
                }
                let (s, r) = unbounded();
                (0..70).for_each(|i| s.send(i).unwrap());
                let (s2, r2) = (s.clone(), r.clone());
                out.push(format!("{} {}", s.same_channel(&s2), r.same_channel(&r2)));
                out.push(format!("{:?} {}", s2.capacity(), r2.len()));
                drop((s, s2));
                let first: Vec<i32> = r.iter().take(3).collect();
                let mut sum = 0;
                for v in &r2 {
                    sum += v;
                }
                out.push(format!("{first:?} {sum} {:?}", r.into_iter().next()));
                out.push(format!("{:?} {:?}", r2, r2.iter()));
            }

            fn ends(out: &mut Vec<String>) {
                let (s, r) = bounded(2);
                s.send("a".to_owned()).unwrap();
                drop(s);
                out.push(format!("{:?} {:?} {:?}", r.recv(), r.recv(), r.try_recv()));
                let (s, r) = bounded(2);
                s.send("a".to_owned()).unwrap();
                drop(r);
                let SendError(back) = s.send("b".to_owned()).unwrap_err();
                let why = s.try_send("c".to_owned()).unwrap_err();
                out.push(format!("{back} {why} {}", why.is_disconnected()));
                out.push(why.into_inner());
            }

            fn meeting(out: &mut Vec<String>) {
                let (s, r) = bounded(0);
                let (done, is_done) = bounded(1);
                let t = spawn(move || {
                    for v in ["x", "y", "z"] {
                        s.send(v).unwrap();
                    }
                    done.send(()).unwrap();
                });
                out.push(format!("{:?} {:?}", r.recv(), is_done.try_recv()));
                out.push(format!("{:?}", r.iter().collect::<Vec<_>>()));
                out.push(format!("{:?} {:?}", is_done.recv(), is_done.recv()));
                assert!(t.join().is_ok());
            }

            fn primes(n: usize) -> Vec<u32> {
                let (s, mut r) = bounded(1);
                spawn(move || (2..).take_while(|&i| s.send(i).is_ok()).count());
                (0..n)
                    .map(|_| {
                        let prime = r.recv().unwrap();
                        let (s2, r2) = bounded(1);
                        let from = std::mem::replace(&mut r, r2);
                        spawn(move || {
                            let mut pass = from.iter().filter(|v| v % prime != 0);
                            pass.all(|v| s2.send(v).is_ok())
                        });
                        prime
                    })
                    .collect()
            }

            fn count_words() -> BTreeMap<String, usize> {
                let text = "what goes in comes out and what comes out went in";
                let (lines, words) = (bounded(2), unbounded());
                for _ in 0..3 {
                    let (r, s) = (lines.1.clone(), words.0.clone());
                    spawn(move || {
                        for line in r {
                            str::split(line, ' ').for_each(|w| s.send(w.to_owned()).unwrap());
                        }
                    });
                }
                drop((words.0, lines.1));
                for _ in 0..10 {
                    lines.0.send(text).unwrap();
                }
                drop(lines.0);
                let mut counts = BTreeMap::new();
                for word in words.1.iter() {
                    *counts.entry(word).or_default() += 1;
                }
                counts
            }

            fn pool(workers: usize) -> Vec<u64> {
                let (jobs, todo) = unbounded::<Box<dyn FnOnce() -> u64 + Send>>();
                let (results, done) = unbounded();
                let tasks: Vec<_> = (0..workers)
                    .map(|_| {
                        let (todo, results) = (todo.clone(), results.clone());
                        spawn(move || todo.iter().for_each(|job| results.send(job()).unwrap()))
                    })
                    .collect();
                drop(results);
                (0..50u64).for_each(|i| jobs.send(Box::new(move || i * i)).unwrap());
                drop(jobs);
                let mut all: Vec<_> = done.iter().collect();
                tasks.into_iter().for_each(|t| assert!(t.join().is_ok()));
                all.sort_unstable();
                all
            }

            fn replies() -> Vec<String> {
                let (ask, asked) = bounded::<(u32, Sender<String>)>(0);
                let server = spawn(move || {
                    for (n, reply) in asked {
                        let _ = reply.send(format!("<{n}>"));
                    }
                });
                let answers = (0..20)
                    .map(|n| {
                        let (reply, answer) = bounded((n % 2) as usize);
                        ask.send((n, reply)).unwrap();
                        answer.recv().unwrap()
                    })
                    .collect();
                drop(ask);
                assert!(server.join().is_ok());
                answers
            }

            fn many_to_many() -> u64 {
                let (s, r) = bounded(3);
                for id in 0..4u64 {
                    let s = s.clone();
                    spawn(move || (0..100).for_each(|i| s.send(id * 1000 + i).unwrap()));
                }
                drop(s);
                let summing: Vec<_> = (0..4)
                    .map(|_| {
                        let r = r.clone();
                        spawn(move || r.iter().sum::<u64>())
                    })
                    .collect();
                summing.into_iter().map(|t| t.join().unwrap()).sum()
            }

            fn errors(out: &mut Vec<String>) {
                let boxed: [Box<dyn std::error::Error + Send + Sync>; 9] = [
                    Box::new(SendError(1)),
                    Box::new(TrySendError::Full(1)),
                    Box::new(TrySendError::from(SendError(1))),
                    Box::new(SendTimeoutError::Timeout(1)),
                    Box::new(SendTimeoutError::from(SendError(1))),
                    Box::new(RecvError),
                    Box::new(TryRecvError::Empty),
                    Box::new(TryRecvError::from(RecvError)),
                    Box::new(RecvTimeoutError::from(RecvError)),
                ];
                out.extend(boxed.iter().map(|e| e.to_string()));
            }

            /// What the types can do, by the compiler's word.
            #[allow(dead_code, reason = "it is enough that it compiles")]
            fn types<'a, T: Send + 'a>() {
                fn handle<T: Clone + Send + Sync + UnwindSafe + RefUnwindSafe>() {}
                fn iterates<T: Iterator>() {}
                fn fused<T: FusedIterator + Send + Sync>() {}
                fn value<T: Copy + Eq + Send + Sync + 'static>() {}
                handle::<Sender<T>>();
                handle::<Receiver<T>>();
                handle::<Sender<std::cell::Cell<u8>>>();
                handle::<Receiver<std::cell::Cell<u8>>>();
                fused::<Iter<'a, T>>();
                fused::<IntoIter<T>>();
                iterates::<TryIter<'a, T>>();
                value::<SendError<u8>>();
                value::<TrySendError<u8>>();
                value::<SendTimeoutError<u8>>();
                value::<RecvError>();
                value::<TryRecvError>();
                value::<RecvTimeoutError>();
            }
        }
    };
}

program!(crossbeam_on_threads, crossbeam_channel, std::thread::spawn);
program!(ours_on_threads, channels, std::thread::spawn);
program!(ours_on_goroutines, channels, runtime::spawn);

#[test]
fn the_program_does_the_same_with_either_crate_on_threads() {
    within_minute(|| assert_eq!(ours_on_threads::run(), crossbeam_on_threads::run()));
}

#[test]
fn the_program_does_the_same_on_goroutines() {
    let expected = within_minute(crossbeam_on_threads::run);
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            for _ in 0..3 {
                assert_eq!(rt.run(ours_on_goroutines::run), expected);
            }
            // The main task is a goroutine, the others are threads; and goroutines without a P.
            assert_eq!(rt.run(ours_on_threads::run), expected);
            assert_eq!(
                rt.run(|| runtime::blocking(ours_on_goroutines::run)),
                expected
            );
        });
    }
}

/// The compiler whose messages `tests/ui` holds; another one words them differently.
const MESSAGES_OF: &str = "rustc 1.95.";

#[test]
fn programs_that_must_not_compile_do_not() {
    within(Duration::from_secs(900), || {
        let rustc = std::process::Command::new("rustc").arg("-V").output();
        let version = rustc.map_or_else(
            |e| e.to_string(),
            |out| String::from_utf8_lossy(&out.stdout).into_owned(),
        );
        if !version.starts_with(MESSAGES_OF) {
            eprintln!(
                "skipped: the expected messages are those of {MESSAGES_OF}x, not of {version}"
            );
            return;
        }
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    });
}
