//! Where the other end may be, while somebody waits: wherever a Rust program can keep a value.

use crate::stage::{Chan, Class, Stage, Twin, a_while, compute, pause, twins};
use channels::{Receiver, Sender, bounded, unbounded};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const TWINS: &[Twin] = twins![
    in_a_box,
    in_a_vec_of_boxes,
    in_an_arc,
    in_an_rc_of_a_refcell,
    in_a_hash_map,
    in_a_tree,
    in_a_static,
    in_a_static_cell,
    in_a_boxed_closure,
    in_a_thread_local_of_a_plain_thread,
    in_a_thread_local_of_the_runtimes_thread,
    in_a_goroutine_local,
    on_the_stack_of_a_plain_thread,
    in_a_closure_that_a_plain_thread_will_run,
    in_another_channels_buffer,
    in_an_unbounded_channels_buffer,
    in_a_value_that_a_blocked_sender_holds,
    in_a_buffer_of_std_mpsc,
    in_a_buffer_of_crossbeam,
    in_a_goroutine_that_has_not_started,
    in_a_large_closure_that_has_not_started,
    in_a_result_that_was_not_joined,
    in_a_result_of_a_plain_thread,
    in_a_goroutine_that_computes,
    in_a_goroutine_that_spins_in_the_runtime,
    in_a_goroutine_that_blocks_its_thread,
    in_a_goroutine_with_a_thread_of_its_own,
    in_a_deep_frame,
    in_a_large_array,
    borrowed_by_a_scope,
    borrowed_by_a_scope_on_a_plain_thread,
    borrowed_by_a_thread_scope,
    in_a_lock,
    cloned_by_one_that_ended,
    moved_all_the_time,
];

pub const CLASS: Class = Class {
    name: "where the other end is",
    bugs: &[],
    twins: TWINS,
    whole: 0,
    partial: 0,
};

const VALUE: u32 = 7;

/// Some who wait for a value, and one who waits for somebody to take one: the other ends.
pub(crate) struct Ends {
    pub(crate) to: Sender<u32>,
    pub(crate) from: Receiver<u32>,
}

impl Ends {
    /// Waits of both kinds.
    #[inline(never)]
    pub(crate) fn new(stage: &Stage) -> Ends {
        let ((to, rx), (tx, from)) = (bounded(0), bounded(1));
        stage.go("receiver", move || {
            assert_eq!(rx.recv(), Ok(VALUE));
            assert!(rx.recv().is_err());
        });
        stage.go("sender", move || (0..4).for_each(|n| tx.send(n).unwrap()));
        Ends { to, from }
    }

    /// Ends them.
    #[inline(never)]
    pub(crate) fn serve(&self) {
        self.to.send(VALUE).unwrap();
        (0..4).for_each(|n| assert_eq!(self.from.recv(), Ok(n)));
    }
}

/// Moves the ends into what `keep` makes, sleeps, and takes them out again.
#[inline(never)]
pub(crate) fn keep<K>(stage: &Stage, keep: impl FnOnce(Ends) -> K, take: impl FnOnce(K) -> Ends) {
    let kept = keep(Ends::new(stage));
    a_while();
    take(kept).serve();
}

fn in_a_box(stage: &Stage) {
    keep(stage, Box::new, |kept| *kept);
}

fn in_a_vec_of_boxes(stage: &Stage) {
    keep(
        stage,
        |ends| vec![None, Some(Box::new(ends))],
        |mut kept| *kept.swap_remove(1).unwrap(),
    );
}

fn in_an_arc(stage: &Stage) {
    keep(stage, Arc::new, |kept| Arc::into_inner(kept).unwrap());
}

fn in_an_rc_of_a_refcell(stage: &Stage) {
    keep(
        stage,
        |ends| Rc::new(RefCell::new(Some(ends))),
        |kept| kept.borrow_mut().take().unwrap(),
    );
}

fn in_a_hash_map(stage: &Stage) {
    keep(
        stage,
        |ends| HashMap::from([("a", None), ("b", Some(ends))]),
        |mut kept| kept.remove("b").flatten().unwrap(),
    );
}

fn in_a_tree(stage: &Stage) {
    keep(
        stage,
        |ends| BTreeMap::from([(1, VecDeque::from([ends]))]),
        |mut kept| kept.get_mut(&1).unwrap().pop_front().unwrap(),
    );
}

static PLACE: Mutex<Option<Ends>> = Mutex::new(None);

fn in_a_static(stage: &Stage) {
    keep(
        stage,
        |ends| *PLACE.lock().unwrap() = Some(ends),
        |()| PLACE.lock().unwrap().take().unwrap(),
    );
}

fn in_a_static_cell(stage: &Stage) {
    static CELL: OnceLock<Mutex<Vec<Ends>>> = OnceLock::new();
    keep(
        stage,
        |ends| CELL.set(Mutex::new(vec![ends])).is_ok(),
        |_| CELL.get().unwrap().lock().unwrap().pop().unwrap(),
    );
}

fn in_a_boxed_closure(stage: &Stage) {
    let ends = Ends::new(stage);
    let jobs: Vec<Box<dyn FnOnce()>> = vec![Box::new(move || ends.serve())];
    a_while();
    jobs.into_iter().for_each(|job| job());
}

thread_local! {
    static LOCAL: Cell<Option<Ends>> = const { Cell::new(None) };
}

fn in_a_thread_local_of_a_plain_thread(stage: &Stage) {
    let ends = Ends::new(stage);
    std::thread::spawn(move || {
        LOCAL.set(Some(ends));
        std::thread::sleep(Duration::from_millis(60));
        LOCAL.take().unwrap().serve();
    });
}

/// The goroutine keeps its thread, and so the thread-local.
fn in_a_thread_local_of_the_runtimes_thread(stage: &Stage) {
    let _locked = runtime::lock_os_thread();
    keep(
        stage,
        |ends| LOCAL.set(Some(ends)),
        |()| LOCAL.take().unwrap(),
    );
}

fn in_a_goroutine_local(stage: &Stage) {
    runtime::goroutine_local! {
        static MINE: RefCell<Option<Ends>> = RefCell::new(None);
    }
    keep(
        stage,
        |ends| MINE.set(Some(ends)),
        |()| MINE.take().unwrap(),
    );
}

fn on_the_stack_of_a_plain_thread(stage: &Stage) {
    let ends = Ends::new(stage);
    std::thread::spawn(move || {
        let ends = std::hint::black_box(ends);
        std::thread::sleep(Duration::from_millis(60));
        ends.serve();
    });
}

fn in_a_closure_that_a_plain_thread_will_run(stage: &Stage) {
    let ends = Ends::new(stage);
    let (jobs, inbox) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let worker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        inbox.into_iter().for_each(|job| job());
    });
    jobs.send(Box::new(move || ends.serve())).unwrap();
    drop(jobs);
    runtime::blocking(|| worker.join()).unwrap();
}

fn in_another_channels_buffer(stage: &Stage) {
    let other = Chan::<Ends>::new(1);
    keep(stage, |ends| other.send(ends), |()| other.recv().unwrap());
}

fn in_an_unbounded_channels_buffer(stage: &Stage) {
    let (tx, rx) = unbounded();
    (0..100).for_each(|_| tx.send(None).unwrap());
    keep(
        stage,
        |ends| tx.send(Some(ends)).unwrap(),
        |()| rx.iter().flatten().next().unwrap(),
    );
}

/// It lies in the frame of a goroutine that waits, too, for somebody to take it.
fn in_a_value_that_a_blocked_sender_holds(stage: &Stage) {
    let (tx, rx) = bounded(0);
    let ends = Ends::new(stage);
    stage.go("hands over", move || tx.send(ends).map_err(drop).unwrap());
    a_while();
    rx.recv().unwrap().serve();
}

fn in_a_buffer_of_std_mpsc(stage: &Stage) {
    let (tx, rx) = std::sync::mpsc::channel();
    keep(
        stage,
        |ends| tx.send(ends).unwrap(),
        |()| rx.recv().unwrap(),
    );
}

fn in_a_buffer_of_crossbeam(stage: &Stage) {
    let (tx, rx) = crossbeam_channel::bounded(3);
    keep(
        stage,
        |ends| tx.send(ends).unwrap(),
        |()| rx.recv().unwrap(),
    );
}

/// All Ps are busy, so it waits in a queue.
fn in_a_goroutine_that_has_not_started(stage: &Stage) {
    for _ in 0..4 {
        stage.go("busy", || (0..3).for_each(|_| _ = compute()));
    }
    let ends = Ends::new(stage);
    stage.go("serves", move || ends.serve());
    compute();
}

/// The same; the closure does not fit into the goroutine's header.
fn in_a_large_closure_that_has_not_started(stage: &Stage) {
    for _ in 0..4 {
        stage.go("busy", || (0..3).for_each(|_| _ = compute()));
    }
    let (ends, padding) = (Ends::new(stage), std::hint::black_box([7u64; 40]));
    stage.go("serves", move || {
        assert_eq!(padding[39], 7);
        ends.serve();
    });
    compute();
}

fn in_a_result_that_was_not_joined(stage: &Stage) {
    let stage2 = stage.clone();
    let made = stage.keep("maker", move || Ends::new(&stage2));
    a_while();
    made.join().unwrap().serve();
}

fn in_a_result_of_a_plain_thread(stage: &Stage) {
    let ends = Ends::new(stage);
    let made = std::thread::spawn(move || ends);
    a_while();
    made.join().unwrap().serve();
}

fn in_a_goroutine_that_computes(stage: &Stage) {
    let ends = Ends::new(stage);
    stage.go("serves", move || {
        compute();
        ends.serve();
    });
}

fn in_a_goroutine_that_spins_in_the_runtime(stage: &Stage) {
    let ends = Ends::new(stage);
    stage.go("serves", move || {
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            runtime::yield_now();
        }
        ends.serve();
    });
}

fn in_a_goroutine_that_blocks_its_thread(stage: &Stage) {
    for announced in [true, false] {
        let ends = Ends::new(stage);
        stage.go("serves", move || {
            let sleep = || std::thread::sleep(Duration::from_millis(60));
            match announced {
                true => runtime::blocking(sleep),
                false => sleep(),
            }
            ends.serve();
        });
    }
}

fn in_a_goroutine_with_a_thread_of_its_own(stage: &Stage) {
    let ends = Ends::new(stage);
    stage.go("serves", move || {
        let _locked = runtime::lock_os_thread();
        a_while();
        ends.serve();
    });
}

fn in_a_deep_frame(stage: &Stage) {
    fn deep(n: usize, ends: &mut Option<Ends>) -> usize {
        let mut frame = std::hint::black_box([n; 100]);
        let mut mine = ends.take();
        if n == 0 {
            a_while();
            mine.take().unwrap().serve();
        } else {
            frame[n] += deep(n - 1, &mut mine);
        }
        frame[n]
    }
    let mut ends = Some(Ends::new(stage));
    assert!(deep(60, &mut ends) > 0);
}

fn in_a_large_array(stage: &Stage) {
    let ends = Ends::new(stage);
    stage.go("serves", move || {
        let mut places: [Option<Ends>; 1500] = [const { None }; 1500];
        places[701] = Some(ends);
        a_while();
        places.iter_mut().find_map(Option::take).unwrap().serve();
    });
}

/// It lies in a frame of the parent's, who waits for the child that uses it.
fn borrowed_by_a_scope(stage: &Stage) {
    let ends = Ends::new(stage);
    runtime::scope(|s| {
        s.spawn(|| {
            runtime::scope(|s| {
                s.spawn(|| {
                    a_while();
                    ends.serve();
                });
            });
        });
    });
}

/// The parent is a plain thread, and waits for the goroutines of its scope.
fn borrowed_by_a_scope_on_a_plain_thread(stage: &Stage) {
    let ends = Ends::new(stage);
    std::thread::spawn(move || {
        runtime::scope(|s| {
            s.spawn(|| {
                a_while();
                ends.serve();
            });
        });
    });
}

/// It lies in a goroutine's frame, and plain threads borrow it.
fn borrowed_by_a_thread_scope(stage: &Stage) {
    let ends = Ends::new(stage);
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(Duration::from_millis(60));
            ends.serve();
        });
    });
}

fn in_a_lock(stage: &Stage) {
    let shared = Arc::new(runtime::sync::Mutex::new(Some(Ends::new(stage))));
    let shared2 = shared.clone();
    stage.go("keeps", move || {
        let guard = shared2.lock();
        a_while();
        drop(guard);
    });
    stage.go("serves", move || {
        pause();
        shared.lock().unwrap().take().unwrap().serve();
    });
}

/// Who made the clone has ended, and its stack is another's.
fn cloned_by_one_that_ended(stage: &Stage) {
    let ends = Ends::new(stage);
    let made = stage.keep("clones", move || (ends.to.clone(), ends.from.clone(), ends));
    let (to, from, first) = made.join().unwrap();
    drop(first);
    keep(
        stage,
        |other| (other, Ends { to, from }),
        |(other, kept)| {
            other.serve();
            kept
        },
    );
}

/// From a goroutine to a thread to a goroutine, and so on: there is no moment at which it rests.
fn moved_all_the_time(stage: &Stage) {
    let (tx, rx) = bounded::<Option<Ends>>(0);
    let (back, returned) = bounded::<Option<Ends>>(0);
    let ends = Ends::new(stage);
    std::thread::spawn(move || rx.iter().for_each(|ends| back.send(ends).unwrap()));
    stage.go("juggles", move || {
        let mut ends = Some(ends);
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(80) {
            tx.send(ends).unwrap();
            ends = returned.recv().unwrap();
            let boxed = Box::new(ends);
            runtime::yield_now();
            ends = *boxed;
        }
        ends.unwrap().serve();
    });
}
