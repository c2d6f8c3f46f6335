//! Selects in every form, written once over the name of the crate: crossbeam-channel on threads, ours
//! on threads, and ours on goroutines do the same.

mod common;

use common::support::{PROCS, within_minute};

/// A program of selects, as a module with a function `run` that returns what it saw.
macro_rules! program {
    ($name:ident, $chan:ident, $spawn:path) => {
        mod $name {
            use channel::{
                Receiver, RecvError, Select, SendError, Sender, after, at, bounded, never, select,
                select_biased, tick, unbounded,
            };
            use std::cell::{Cell, RefCell};
            use std::ops::Deref;
            use std::rc::Rc;
            use std::sync::LazyLock;
            use std::time::{Duration, Instant};
            use $chan as channel;
            use $spawn as spawn;

            const SHORT: Duration = Duration::from_millis(10);
            const LONG: Duration = Duration::from_secs(30);

            pub fn run() -> Vec<String> {
                let mut out = Vec::new();
                arms(&mut out);
                defaults(&mut out);
                values(&mut out);
                evaluation(&mut out);
                handles(&mut out);
                jumps(&mut out);
                biased(&mut out);
                results(&mut out);
                times(&mut out);
                lists(&mut out);
                readiness(&mut out);
                waiting(&mut out);
                out
            }

            /// Commas or not, blocks or expressions.
            fn arms(out: &mut Vec<String>) {
                let (s, r) = bounded::<i32>(1);
                for round in 0..2 {
                    select! {
                        recv(r) -> v => out.push(format!("a {round} {v:?}")),
                        send(s, 1) -> v => out.push(format!("b {round} {v:?}")),
                    }
                    select! {
                        recv(r) -> v => { out.push(format!("a {round} {v:?}")) }
                        send(s, 2) -> v => { out.push(format!("b {round} {v:?}")) }
                    }
                    select! {
                        recv(r) -> v => { out.push(format!("a {round} {v:?}")); },
                        send(s, 3) -> v => out.push(format!("b {round} {v:?}"))
                    }
                    select! {
                        send(s, 4) -> v => { out.push(format!("b {round} {v:?}")) }
                        recv(r,) -> v => { out.push(format!("a {round} {v:?}")) },
                        default => unreachable!()
                    }
                    select! { recv(&r) -> v => out.push(format!("c {round} {v:?}")), default => {} }
                    select! { send(&s, 5,) -> v => out.push(format!("c {round} {v:?}")) }
                    select! { recv(&&r) -> v => out.push(format!("c {round} {v:?}")) }
                }
                select! { recv(r) -> _ => unreachable!(), send(s, 1) -> _ => {} }
                select! { recv(r) -> _ => {} send(s, 1) -> _ => unreachable!(), }
                // An arm's pattern may take things apart that cannot be refused.
                let (s, r) = bounded::<(i32, &str)>(1);
                s.send((1, "x")).unwrap();
                select! { recv(r) -> mut v => { v = v.map(|(n, t)| (n + 1, t)); out.push(format!("{v:?}")) } }
                select! { recv(r) -> (Ok((_, _)) | Err(_)) => unreachable!(), default => {} }
            }

            fn defaults(out: &mut Vec<String>) {
                let (s, r) = bounded::<i32>(0);
                select! { default => out.push("d1".into()) }
                select! { default => { out.push("d2".into()) } }
                select! { default() => out.push("d3".into()), }
                select! { default() => { out.push("d4".into()) }, }
                select! { default(SHORT) => out.push("d5".into()) }
                select! { default(SHORT,) => { out.push("d6".into()) } }
                select! { default => out.push("d7".into()), recv(r) -> _ => unreachable!() }
                select! { default(SHORT) => { out.push("d8".into()) } send(s, 1) -> _ => unreachable!() }
                select! { recv(r) -> _ => unreachable!(), default => out.push("d9".into()), send(s, 1) -> _ => unreachable!() }
                select! { recv(r) -> _ => { unreachable!() } send(s, 1) -> _ => { unreachable!() } default(SHORT) => out.push("d10".into()), }
                let v = select! { recv(r) -> v => v.unwrap(), default() => 11 };
                out.push(format!("d{v}"));
                drop(s);
                select! { recv(r) -> v => out.push(format!("{v:?}")), default => unreachable!() }
                select! { recv(r) -> v => out.push(format!("{v:?}")), default(LONG) => unreachable!() }
            }

            /// A select is an expression.
            fn values(out: &mut Vec<String>) {
                let (s, r) = unbounded::<i32>();
                for _ in 0..3 {
                    let v = select! {
                        recv(r) -> _ => "recv".into(),
                        send(no_room(), 0) -> _ => "send".to_owned(),
                        default => "default".to_string(),
                    };
                    out.push(v);
                    s.send(1).unwrap();
                }
                let n: i32 = 1 + select! { recv(r) -> v => v.unwrap(), default => panic!() };
                let unit: () = select! { recv(r) -> _ => (), default => return };
                out.push(format!("{n} {unit:?}"));
                let found = (|| -> Option<i32> {
                    Some(select! { recv(r) -> v => v.ok()? + 10, default => 0 })
                })();
                out.push(format!("{found:?}"));
                let big = [7u64; 40];
                let (s, r) = bounded(1);
                select! { send(s, big) -> v => v.unwrap(), recv(r) -> _ => unreachable!() }
                out.push(format!("{}", select! { recv(r) -> v => v.unwrap().iter().sum::<u64>() }));
                let (s, r) = bounded::<()>(1);
                select! { send(s, ()) -> v => v.unwrap() }
                select! { recv(r) -> v => v.unwrap() }
            }

            /// A sender without room.
            fn no_room() -> &'static Sender<i32> {
                static FULL: LazyLock<(Sender<i32>, Receiver<i32>)> = LazyLock::new(|| bounded(0));
                &FULL.0
            }

            /// What is evaluated, and when.
            fn evaluation(out: &mut Vec<String>) {
                let (s, r) = bounded::<String>(1);
                let order = RefCell::new(Vec::new());
                let note = |what: &'static str| order.borrow_mut().push(what);
                let sender = || { note("s"); &s };
                let receiver = || { note("r"); &r };
                let value = || { note("v"); "value".to_owned() };
                let limit = || { note("t"); SHORT };
                for _ in 0..3 {
                    select! {
                        recv(receiver()) -> v => { note("R"); drop(v) }
                        send(sender(), value()) -> v => { note("S"); v.unwrap() }
                        recv({ note("n"); never::<i32>() }) -> _ => unreachable!(),
                        default(limit()) => unreachable!(),
                    }
                    note("|");
                }
                let (full, _open) = bounded::<i32>(0);
                select! {
                    default({ note("T"); SHORT }) => note("D"),
                    send({ note("f"); &full }, { note("never"); 1 }) -> _ => unreachable!(),
                    recv(never::<()>()) -> _ => unreachable!(),
                }
                out.push(order.borrow().join(" "));

                // A value may be moved by several arms: only one takes it.
                let (a, ra) = bounded(1);
                let (b, rb) = bounded(1);
                let text = "moved".to_owned();
                select! {
                    send(a, text) -> v => { v.unwrap() }
                    send(b, text) -> v => { v.unwrap() }
                }
                out.push(format!("{}", ra.len() + rb.len()));
                let taken = Cell::new(0);
                let run = Rc::new(move || taken.get());
                select! {
                    recv(ra) -> _ => drop(run),
                    recv(rb) -> _ => drop(run),
                }
            }

            /// Anything that dereferences to a handle; temporaries that live as long as they must.
            fn handles(out: &mut Vec<String>) {
                struct Mine<T>(T);
                impl<T> Deref for Mine<T> {
                    type Target = T;
                    fn deref(&self) -> &T {
                        &self.0
                    }
                }
                let (s, r) = bounded::<i32>(1);
                let (ms, mr) = (Mine(s.clone()), Mine(r.clone()));
                select! { send(ms, 1) -> v => v.unwrap(), recv(mr) -> _ => unreachable!() }
                select! { recv(Rc::new(r.clone())) -> v => out.push(format!("{v:?}")) }
                select! { send(Box::new(s.clone()), 2) -> v => out.push(format!("{v:?}")) }
                let all = [r.clone(), r.clone()];
                select! { recv(all[1]) -> v => out.push(format!("{v:?}")), recv(never()) -> v => { let _: Result<i32, RecvError> = v; } }
                let maybe: Option<&Receiver<i32>> = None;
                select! { recv(maybe.unwrap_or(&never())) -> _ => unreachable!(), default => {} }
                select! { send(s, 3) -> v => v.unwrap() }
                // The handle is free again when an arm runs.
                select! { recv(r) -> v => { drop(r); out.push(format!("{v:?}")) } }
                let (s, r) = bounded::<i32>(1);
                drop(r);
                select! { send(s, 4) -> v => { drop(s); out.push(format!("{v:?}")); let SendError(n) = v.unwrap_err(); out.push(n.to_string()) } }
            }

            fn jumps(out: &mut Vec<String>) {
                let (s, r) = unbounded();
                (0..10).for_each(|i| s.send(i).unwrap());
                let mut sum = 0;
                let found = 'outer: loop {
                    loop {
                        select! {
                            recv(r) -> v => match v.unwrap() {
                                n if n % 2 == 0 => continue,
                                9 => break 'outer sum,
                                n => sum += n,
                            },
                            default => break,
                        }
                    }
                };
                out.push(format!("{found}"));
            }

            fn biased(out: &mut Vec<String>) {
                let (s1, r1) = unbounded();
                let (s2, r2) = unbounded();
                (0..3).for_each(|i| { s1.send(i).unwrap(); s2.send(10 + i).unwrap() });
                for _ in 0..7 {
                    select_biased! {
                        recv(r1) -> v => out.push(format!("first {v:?}")),
                        recv(r2) -> v => { out.push(format!("second {v:?}")) }
                        default => out.push("none".into()),
                    }
                }
                let mut list = Select::new_biased();
                let (b, a) = (list.recv(&r2), list.recv(&r1));
                s1.send(1).unwrap();
                s2.send(2).unwrap();
                let oper = list.select();
                assert_eq!(oper.index(), b);
                out.push(format!("{:?}", oper.recv(&r2)));
                assert_eq!(list.ready(), a);
                s2.send(2).unwrap();
                assert_eq!(list.try_ready(), Ok(b));
                select_biased! { recv(r2) -> _ => {} default(SHORT) => unreachable!() }
            }

            fn results(out: &mut Vec<String>) {
                let (s, r) = bounded::<i32>(0);
                let (s2, r2) = (s.clone(), r.clone());
                drop(r);
                select! { default => {}, send(s, 0) -> v => { let _: Result<(), SendError<i32>> = v; unreachable!() } }
                drop(r2);
                select! { send(s, 7) -> v => out.push(format!("{:?}", v.map_err(SendError::into_inner))) }
                drop((s, s2));
                let (s, r) = bounded::<i32>(2);
                s.send(1).unwrap();
                drop(s);
                for _ in 0..2 {
                    select! { recv(r) -> v => out.push(format!("{v:?}")) }
                }
            }

            fn times(out: &mut Vec<String>) {
                let start = Instant::now();
                let when = start + SHORT;
                select! { recv(at(when)) -> v => assert_eq!(v, Ok(when)), recv(after(LONG)) -> _ => unreachable!() }
                assert!(start.elapsed() >= SHORT);
                let start = Instant::now();
                let ticks = tick(SHORT);
                for n in 1..4 {
                    select! { recv(ticks) -> v => assert!(v.unwrap() >= start + SHORT * n), default(LONG) => unreachable!() }
                }
                let r = after(SHORT);
                let copy = r.clone();
                out.push(format!("{:?} {} {} {} {}", r.capacity(), r.len(), r.is_empty(), r.is_full(), r.same_channel(&copy)));
                std::thread::sleep(SHORT);
                out.push(format!("{:?} {} {} {}", r.capacity(), r.len(), r.is_empty(), r.is_full()));
                assert!(copy.recv().is_ok());
                out.push(format!("{} {} {} {:?}", r.len(), r.is_empty(), r.is_full(), r.try_recv()));
                out.push(format!("{:?}", r.recv_timeout(SHORT)));
                out.push(format!("{}", after(SHORT).same_channel(&after(SHORT))));
                let n = never::<i32>();
                out.push(format!("{:?} {} {} {} {}", n.capacity(), n.len(), n.is_empty(), n.is_full(), n.same_channel(&never())));
                out.push(format!("{:?} {:?}", n.try_recv(), n.recv_timeout(SHORT)));
                let t = tick(Duration::ZERO);
                out.push(format!("{:?} {} {}", t.capacity(), t.len(), t.iter().take(3).count()));
                out.push(format!("{}", after(Duration::MAX).same_channel(&never())));
                out.push(format!("{}", tick(Duration::MAX).same_channel(&never())));
                let (s, r) = bounded(1);
                out.push(format!("{:?}", s.send_timeout(1, Duration::MAX)));
                out.push(format!("{:?}", s.send_timeout(2, SHORT)));
                out.push(format!("{:?}", s.send_deadline(3, Instant::now())));
                out.push(format!("{:?}", r.recv_timeout(Duration::MAX)));
                out.push(format!("{:?}", r.recv_timeout(SHORT)));
                out.push(format!("{:?}", r.recv_deadline(Instant::now())));
                drop(s);
                out.push(format!("{:?}", r.recv_timeout(LONG)));
                let (s, r) = bounded(1);
                drop(r);
                out.push(format!("{:?}", s.send_timeout(4, LONG)));
            }

            fn lists(out: &mut Vec<String>) {
                let (s, r) = bounded::<String>(1);
                let mut list = Select::new();
                out.push(format!("{:?} {:?}", list.try_select().err(), list.try_ready()));
                out.push(format!("{:?} {:?}", list.select_timeout(SHORT).err(), list.ready_timeout(SHORT)));
                out.push(format!("{:?}", list.select_deadline(Instant::now()).err()));
                let (a, b) = (list.send(&s), list.recv(&r));
                for round in 0..4 {
                    let oper = match round {
                        0 | 1 => list.select(),
                        2 => list.try_select().unwrap(),
                        _ => list.select_timeout(LONG).unwrap(),
                    };
                    match oper.index() {
                        i if i == a => out.push(format!("{:?}", oper.send(&s, format!("x{round}")))),
                        i if i == b => out.push(format!("{:?}", oper.recv(&r))),
                        _ => unreachable!(),
                    }
                }
                list.remove(a);
                out.push(format!("{:?} {:?}", list.try_select().err(), list.ready_deadline(Instant::now() + SHORT)));
                let mut copy = list.clone();
                out.push(format!("{} {}", list.send(&s), copy.send(&s)));
                copy.remove(b);
                out.push(format!("{:?}", copy.ready_timeout(LONG)));
                drop(list);
                let (s, r) = unbounded::<[u8; 100]>();
                drop(s);
                let mut list = Select::default();
                list.recv(&r);
                out.push(format!("{:?} {:?}", list.ready(), list.select().recv(&r)));
                let (s, r) = bounded::<i32>(1);
                drop(r);
                let mut list = Select::default();
                list.send(&s);
                out.push(format!("{:?}", list.select().send(&s, 1)));
                // Larger values than a few words.
                let (s, r) = bounded(3);
                let mut list = Select::new();
                list.recv(&r);
                for i in 0..3u64 {
                    s.send([i; 20]).unwrap();
                    s.send([i; 20]).unwrap();
                    out.push(format!("{:?} {:?}", list.select().recv(&r), list.select().recv(&r)));
                }
            }

            fn readiness(out: &mut Vec<String>) {
                let (s, r) = bounded(1);
                let mut sending = Select::new();
                sending.send(&s);
                let mut receiving = Select::new();
                receiving.recv(&r);
                for _ in 0..3 {
                    out.push(format!("{:?} {:?}", sending.try_ready(), receiving.try_ready()));
                    s.send(1).unwrap();
                    out.push(format!("{:?} {:?}", sending.try_ready(), receiving.try_ready()));
                    out.push(format!("{:?} {:?}", sending.ready_timeout(SHORT), receiving.ready_timeout(LONG)));
                    out.push(format!("{:?}", r.recv()));
                }
                let t = after(SHORT);
                let mut timer = Select::new();
                timer.recv(&t);
                out.push(format!("{:?} {:?} {:?}", timer.try_ready(), timer.ready(), t.try_recv().is_ok()));
            }

            /// With a peer at the other end, who waits or is waited for.
            fn waiting(out: &mut Vec<String>) {
                let (s1, r1) = bounded::<u64>(0);
                let (s2, r2) = bounded::<u64>(0);
                let (s3, r3) = bounded::<u64>(2);
                let peer = spawn(move || {
                    let mut got = 0;
                    for i in 0..300 {
                        select! {
                            send(s1, i) -> v => v.unwrap(),
                            send(s3, i) -> v => v.unwrap(),
                            recv(r2) -> v => got += v.unwrap(),
                        }
                    }
                    drop((s1, s3));
                    got + r2.iter().sum::<u64>()
                });
                let (mut sent, mut got) = (0, 0);
                let mut open = 2;
                let (mut r1, mut r3) = (r1, r3);
                while open > 0 {
                    select! {
                        recv(r1) -> v => match v { Ok(_) => got += 1, Err(_) => { open -= 1; r1 = never() } },
                        recv(r3) -> v => match v { Ok(_) => got += 1, Err(_) => { open -= 1; r3 = never() } },
                        send(s2, 1) -> v => { v.unwrap(); sent += 1 }
                    }
                }
                // How many went which way is chance; that none is lost is not.
                drop(s2);
                let received = peer.join().ok().unwrap();
                out.push(format!("{}", received == sent && got + received >= 300));

                let (s, r) = bounded::<String>(0);
                let peer = spawn(move || (0..5).map(|_| r.recv().unwrap()).collect::<Vec<_>>().join(" "));
                for i in 0..5 {
                    select! { send(s, { std::thread::sleep(Duration::from_millis(1)); i.to_string() }) -> v => v.unwrap(), default(LONG) => unreachable!() }
                }
                out.push(peer.join().ok().unwrap());

                let (s, r) = bounded::<i32>(0);
                let peer = spawn(move || { let v = s.send_timeout(1, LONG); (v, s.send_timeout(2, SHORT).map_err(|e| e.is_timeout())) });
                out.push(format!("{:?}", r.recv_timeout(LONG)));
                out.push(format!("{:?}", peer.join().ok().unwrap()));
            }
        }
    };
}

program!(crossbeam_on_threads, crossbeam_channel, std::thread::spawn);
program!(ours_on_threads, channels, std::thread::spawn);
program!(ours_on_goroutines, channels, runtime::spawn);

#[test]
fn selects_do_the_same_with_either_crate_on_threads() {
    within_minute(|| assert_eq!(ours_on_threads::run(), crossbeam_on_threads::run()));
}

#[test]
fn selects_do_the_same_on_goroutines() {
    let expected = within_minute(crossbeam_on_threads::run);
    for procs in PROCS {
        within_minute(|| {
            let rt = runtime::start(procs);
            for _ in 0..3 {
                assert_eq!(rt.run(ours_on_goroutines::run), expected);
            }
            assert_eq!(rt.run(ours_on_threads::run), expected);
        });
    }
}
