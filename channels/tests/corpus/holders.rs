//! Where the other end may be, while somebody waits: wherever a Rust program can keep a value.

use crate::stage::{Chan, Class, Stage, Twin, a_while, compute, pause, twins};
use channels::{Receiver, Sender, bounded, unbounded};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem::ManuallyDrop;
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
    in_a_huge_allocation,
    in_a_leaked_box,
    in_a_boxed_closure,
    in_a_thread_local_of_a_plain_thread,
    in_a_thread_local_of_the_runtimes_thread,
    in_a_goroutine_local,
    on_the_stack_of_a_plain_thread,
    in_a_register_of_a_plain_thread,
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
    as_a_raw_pointer_in_a_foreign_structure,
    as_a_raw_arc,
    as_a_number,
    in_an_enum,
    in_a_manually_dropped,
    in_a_lock,
    in_a_timers_closure,
    in_a_contexts_closure,
    in_the_other_runtime,
    a_weak_handle_upgraded_later,
    cloned_by_one_that_ended,
    moved_all_the_time,
    in_memory_that_is_read_only_now,
    in_shared_memory,
    in_a_job_on_the_stack_of_who_waits,
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
struct Ends {
    to: Sender<u32>,
    from: Receiver<u32>,
}

impl Ends {
    /// Waits of both kinds.
    #[inline(never)]
    fn new(stage: &Stage) -> Ends {
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
    fn serve(&self) {
        self.to.send(VALUE).unwrap();
        (0..4).for_each(|n| assert_eq!(self.from.recv(), Ok(n)));
    }
}

/// Moves the ends into what `keep` makes, sleeps, and takes them out again.
#[inline(never)]
fn keep<K>(stage: &Stage, keep: impl FnOnce(Ends) -> K, take: impl FnOnce(K) -> Ends) {
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

/// One that has a mapping of its own, most of it never touched.
fn in_a_huge_allocation(stage: &Stage) {
    keep(
        stage,
        |ends| {
            let mut places: Vec<Option<Ends>> = Vec::with_capacity(4 << 20);
            places.extend((0..70_000).map(|_| None));
            places[69_999] = Some(ends);
            places
        },
        |mut kept| kept[69_999].take().unwrap(),
    );
}

fn in_a_leaked_box(stage: &Stage) {
    keep(
        stage,
        |ends| Box::leak(Box::new(Some(ends))),
        |kept| kept.take().unwrap(),
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
    keep(stage, |ends| LOCAL.set(Some(ends)), |()| LOCAL.take().unwrap());
}

fn in_a_goroutine_local(stage: &Stage) {
    runtime::goroutine_local! {
        static MINE: RefCell<Option<Ends>> = RefCell::new(None);
    }
    keep(stage, |ends| MINE.set(Some(ends)), |()| MINE.take().unwrap());
}

fn on_the_stack_of_a_plain_thread(stage: &Stage) {
    let ends = Ends::new(stage);
    std::thread::spawn(move || {
        let ends = std::hint::black_box(ends);
        std::thread::sleep(Duration::from_millis(60));
        ends.serve();
    });
}

/// The thread computes, and has its only pointer to the ends in registers, if the compiler likes.
fn in_a_register_of_a_plain_thread(stage: &Stage) {
    let ends = Box::new(Ends::new(stage));
    std::thread::spawn(move || {
        let place = std::ptr::from_mut(Box::leak(ends)).expose_provenance();
        // The number is changed with every step, and comes back.
        let (mut x, mut steps) = (place, 0usize);
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            for _ in 0..1000 {
                x = std::hint::black_box(x);
                steps += 1;
            }
        }
        assert!(steps > 0);
        // SAFETY: the box that was leaked above.
        unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Ends>(x)) }.serve();
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
    keep(stage, |ends| tx.send(ends).unwrap(), |()| rx.recv().unwrap());
}

fn in_a_buffer_of_crossbeam(stage: &Stage) {
    let (tx, rx) = crossbeam_channel::bounded(3);
    keep(stage, |ends| tx.send(ends).unwrap(), |()| rx.recv().unwrap());
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

/// As a C library would keep its user's data.
fn as_a_raw_pointer_in_a_foreign_structure(stage: &Stage) {
    #[repr(C)]
    struct Registration {
        version: u32,
        callback: extern "C" fn(*mut u8),
        user_data: *mut u8,
    }
    extern "C" fn callback(user_data: *mut u8) {
        // SAFETY: the box of `user_data`, once.
        unsafe { Box::from_raw(user_data.cast::<Ends>()) }.serve();
    }
    let registration = Box::new(Registration {
        version: 1,
        callback,
        user_data: Box::into_raw(Box::new(Ends::new(stage))).cast(),
    });
    a_while();
    assert_eq!(registration.version, 1);
    (registration.callback)(registration.user_data);
}

fn as_a_raw_arc(stage: &Stage) {
    keep(
        stage,
        |ends| Arc::into_raw(Arc::new(ends)),
        // SAFETY: the arc of the line above, once.
        |kept| unsafe { Arc::into_inner(Arc::from_raw(kept)).unwrap() },
    );
}

fn as_a_number(stage: &Stage) {
    keep(
        stage,
        |ends| Box::new(Box::into_raw(Box::new(ends)).expose_provenance()),
        // SAFETY: the box of the line above, once.
        |kept| unsafe { *Box::from_raw(std::ptr::with_exposed_provenance_mut::<Ends>(*kept)) },
    );
}

fn in_an_enum(stage: &Stage) {
    enum State {
        _Idle(u8),
        Connected { _since: u16, ends: Ends },
    }
    keep(
        stage,
        |ends| Box::new(State::Connected { _since: 1, ends }),
        |kept| match *kept {
            State::Connected { ends, .. } => ends,
            State::_Idle(_) => unreachable!(),
        },
    );
}

fn in_a_manually_dropped(stage: &Stage) {
    keep(stage, ManuallyDrop::new, ManuallyDrop::into_inner);
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

fn in_a_timers_closure(stage: &Stage) {
    let ends = Ends::new(stage);
    let stage2 = stage.clone();
    let mut ends = Some(ends);
    let call = move || {
        let ends = ends.take().unwrap();
        stage2.go("serves", move || ends.serve());
    };
    std::mem::forget(runtime::time::after_func(Duration::from_millis(60), call));
    a_while();
    pause();
}

fn in_a_contexts_closure(stage: &Stage) {
    let (ctx, cancel) = channels::Context::background().with_cancel();
    let ends = Ends::new(stage);
    let stage2 = stage.clone();
    let _called = ctx.after_func(move || stage2.go("serves", move || ends.serve()));
    a_while();
    cancel.cancel();
    pause();
}

/// It is on the stack of a goroutine of another runtime, whose threads are asleep.
fn in_the_other_runtime(stage: &Stage) {
    let (ends, present) = (Ends::new(stage), stage.enter("other runtime"));
    std::thread::spawn(move || {
        let _present = present;
        let other = runtime::start(1);
        let served = other.spawn(move || {
            a_while();
            ends.serve();
        });
        served.join().unwrap();
    });
}

fn a_weak_handle_upgraded_later(stage: &Stage) {
    let ends = Arc::new(Ends::new(stage));
    let weak = Arc::downgrade(&ends);
    stage.go("keeps", move || {
        a_while();
        pause();
        drop(ends);
    });
    stage.go("serves", move || {
        runtime::time::sleep(Duration::from_millis(40));
        weak.upgrade().unwrap().serve();
    });
}

/// Who made the clone has ended, and its stack is another's.
fn cloned_by_one_that_ended(stage: &Stage) {
    let ends = Ends::new(stage);
    let made = stage.keep("clones", move || (ends.to.clone(), ends.from.clone(), ends));
    let (to, from, first) = made.join().unwrap();
    drop(first);
    keep(stage, |other| (other, Ends { to, from }), |(other, kept)| {
        other.serve();
        kept
    });
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

unsafe extern "C" {
    fn mmap(at: *mut u8, len: usize, mode: i32, flags: i32, fd: i32, offset: i64) -> *mut u8;
    fn mprotect(at: *mut u8, len: usize, mode: i32) -> i32;
}

const PAGE: usize = 4096;
const READ: i32 = 1;
const WRITE: i32 = 2;
const SHARED: i32 = 1;
const PRIVATE: i32 = 2;
const ANONYMOUS: i32 = 32;

/// A page of its own, with the ends in it.
fn page(flags: i32, ends: Ends) -> *mut Ends {
    // SAFETY: a new mapping, written once.
    unsafe {
        let page = mmap(std::ptr::null_mut(), PAGE, READ | WRITE, flags | ANONYMOUS, -1, 0);
        assert!(page.addr() != usize::MAX);
        page.cast::<Ends>().write(ends);
        page.cast()
    }
}

/// An arena that was frozen when it was complete.
fn in_memory_that_is_read_only_now(stage: &Stage) {
    let place = page(PRIVATE, Ends::new(stage));
    // SAFETY: our own page, from now on only read, until the value is moved out.
    unsafe {
        assert_eq!(mprotect(place.cast(), PAGE, READ), 0);
        a_while();
        place.read().serve();
    }
}

/// Memory that another process could share.
fn in_shared_memory(stage: &Stage) {
    let place = page(SHARED, Ends::new(stage));
    a_while();
    // SAFETY: our own page; the value is moved out, once.
    unsafe { place.read() }.serve();
}

/// As the jobs of thread pools are: on the stack of who waits for it, and its address in a queue in the heap.
fn in_a_job_on_the_stack_of_who_waits(stage: &Stage) {
    struct Job {
        ends: Ends,
        done: Sender<()>,
    }
    static QUEUE: Mutex<VecDeque<usize>> = Mutex::new(VecDeque::new());
    let ends = Ends::new(stage);
    stage.go("submits", move || {
        let (done, end) = bounded(0);
        let job = Job { ends, done };
        QUEUE.lock().unwrap().push_back(std::ptr::from_ref(&job).expose_provenance());
        assert_eq!(end.recv(), Ok(()));
    });
    stage.go("worker", move || {
        a_while();
        let job = QUEUE.lock().unwrap().pop_front().unwrap();
        // SAFETY: who submitted it waits until it is done.
        let job = unsafe { &*std::ptr::with_exposed_provenance::<Job>(job) };
        job.ends.serve();
        job.done.clone().send(()).unwrap();
    });
}
