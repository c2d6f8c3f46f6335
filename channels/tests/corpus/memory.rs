//! Where the other end may be, continued: behind raw pointers, in memory of its own, in what calls later.

use crate::holders::{Ends, keep};
use crate::stage::{Class, Stage, Twin, a_while, pause, twins};
use channels::{Sender, bounded};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TWINS: &[Twin] = twins![
    as_a_raw_pointer_in_a_foreign_structure,
    as_a_raw_arc,
    as_a_number,
    in_a_leaked_box,
    in_a_register_of_a_plain_thread,
    in_a_register_of_one_that_waits_for_its_turn,
    in_a_manually_dropped,
    in_a_huge_allocation,
    in_a_timers_closure,
    in_a_contexts_closure,
    in_the_other_runtime,
    a_weak_handle_upgraded_later,
    in_an_enum,
    in_memory_that_is_read_only_now,
    in_shared_memory,
    in_a_job_on_the_stack_of_who_waits,
];

pub const CLASS: Class = Class {
    name: "where the other end is (raw)",
    bugs: &[],
    twins: TWINS,
    whole: 0,
    partial: 0,
};

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

fn in_a_leaked_box(stage: &Stage) {
    keep(
        stage,
        |ends| Box::leak(Box::new(Some(ends))),
        |kept| kept.take().unwrap(),
    );
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

/// Optimised, the switch of stacks is inlined into this loop, and what is used behind it may be in registers that the
/// switch saves, and nowhere else.
fn in_a_register_of_one_that_waits_for_its_turn(stage: &Stage) {
    for _ in 0..4 {
        let stage2 = stage.clone();
        stage.go("yields", move || {
            let ends = Arc::new(Ends::new(&stage2));
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(60) {
                for _ in 0..100 {
                    runtime::yield_now();
                }
            }
            Arc::into_inner(ends).unwrap().serve();
        });
    }
}

fn in_a_manually_dropped(stage: &Stage) {
    keep(stage, ManuallyDrop::new, ManuallyDrop::into_inner);
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
        let page = mmap(
            std::ptr::null_mut(),
            PAGE,
            READ | WRITE,
            flags | ANONYMOUS,
            -1,
            0,
        );
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
        QUEUE
            .lock()
            .unwrap()
            .push_back(std::ptr::from_ref(&job).expose_provenance());
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
