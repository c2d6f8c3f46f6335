//! What asyncio offers, one after the other, done by goroutines: the lines that
//! `docs/from-asyncio.md` shows beside their Python.

use clap::Parser;
use examples::from_asyncio::{objects, tasks};

/// Do what asyncio does, and print what came of it.
#[derive(Parser)]
struct Args {
    /// Number of Ps, that is of goroutines that run at once; 0 means one per usable CPU
    #[arg(long, default_value_t = 0)]
    procs: usize,
}

fn main() {
    let args = Args::parse();
    let rt = runtime::start(args.procs);
    rt.run(|| {
        println!("create_task, await: {}", tasks::create_task());
        println!("an exception: {}", tasks::exception());
        println!("sleep, a hundred times 20 ms: {:?}", tasks::sleeps());
        println!("gather: {:?}", tasks::gathered());
        println!(
            "gather, return_exceptions: {:?}",
            tasks::gathered_with_errors()
        );
        let [first, all, failed, limited] = tasks::waits();
        println!(
            "wait, FIRST_COMPLETED: {} done, {} pending",
            first.0, first.1
        );
        println!("wait, ALL_COMPLETED: {} done, {} pending", all.0, all.1);
        println!(
            "wait, FIRST_EXCEPTION: {} done, {} pending",
            failed.0, failed.1
        );
        println!("wait, for 1 ms: {} done, {} pending", limited.0, limited.1);
        println!("as_completed: {:?}", tasks::completed());
        let (in_time, too_late) = tasks::waited_for();
        println!("wait_for: {in_time:?}, then: {too_late}");
        println!("timeout: {:?}", tasks::timeouts());
        println!("join_timeout: {}", tasks::join_with_timeout());
        let (late, saved) = tasks::shielded();
        println!("shield: {late}, but {saved}");
        let (in_time, error, log) = tasks::cancelled();
        println!("cancel: in time: {in_time}, {error}, {log}");
        println!("TaskGroup: {}", tasks::task_group());
        let (_, failed) = tasks::failing_task_group();
        println!("TaskGroup, one fails: all ended, failed: {failed}");
        println!("to_thread: {}", tasks::to_thread());
        println!("contextvars: {}", tasks::context());
        println!("Queue: {}", objects::queue());
        println!(
            "Queue, without waiting: {:?}",
            objects::queue_without_waiting()
        );
        println!("Queue, join: {}", objects::queue_join());
        let (early, woken) = objects::event();
        println!("Event: set before: {early}, then {woken} went on");
        println!("Lock: counted to {}", objects::lock());
        println!("Semaphore: at most {} at once", objects::semaphore());
        println!("Condition: {:?}", objects::condition());
        let (leaders, all) = objects::barrier();
        println!("Barrier: {leaders} was last, all had come: {all}");
        print!("three tasks:\n{}", tasks::three_tasks());
    });
}
