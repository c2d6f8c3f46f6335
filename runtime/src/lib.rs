//! An M:N green-thread runtime: Go's scheduler as a Rust library.
//!
//! Goroutines are stackful coroutines; G (goroutine), M (thread) and P (processor) multiplex them
//! over OS threads, with a run queue per P and work stealing. Code on a goroutine is plain
//! blocking-looking Rust: no `async`, no coloured functions. A goroutine that waits for a channel
//! or another goroutine parks and frees its thread; one that blocks its thread, by a system call,
//! a C library or a long computation, has its P taken away and given to another thread, so it
//! stalls nobody.
//!
//! ```
//! use runtime::go;
//!
//! let rt = runtime::start(4); // 4 Ps; 0 = one per usable CPU
//! let total: u64 = rt.run(|| {
//!     let parts: Vec<_> = (0..100u64).map(|i| go!(move || i * i)).collect();
//!     parts.into_iter().map(|h| h.join().unwrap()).sum()
//! });
//! assert_eq!(total, 328_350);
//! ```
//!
//! [`net`] is the network, by the names of `std::net`; [`io`] any descriptor that can be polled;
//! [`sync`] the locks, by the names of `std::sync`; [`time`] sleeping and deadlines; [`task`] groups of
//! goroutines. Channels are in the crate `channels`. How it works, and what it measures, is told in `docs/`.

#[cfg(not(any(loom, target_os = "linux")))]
compile_error!("this runtime needs Linux: futexes, membarrier and guard pages are used directly");

#[cfg(not(loom))]
mod api;
#[cfg_attr(loom, allow(dead_code, reason = "used by the models only"))]
mod atomics;
#[cfg(not(loom))]
mod fiber;
#[cfg(not(loom))]
mod g;
#[cfg(not(loom))]
mod inspect;
#[cfg(not(loom))]
mod m;
#[cfg(not(loom))]
mod netpoll;
#[cfg(not(loom))]
mod p;
#[cfg(not(loom))]
pub mod park;
#[cfg(not(loom))]
mod sched;
#[cfg(not(loom))]
mod stack;
#[cfg(not(loom))]
mod timer;
#[cfg(not(loom))]
pub mod trace;

// Under loom only the protocols are compiled, from the very files that the runtime uses, and the
// models that check them.
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod g {
    pub(crate) mod interrupt;
    pub(crate) mod join;
    pub(crate) mod parker;
    pub(crate) mod status;
    pub(crate) mod wait;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod m {
    pub(crate) mod retake;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod netpoll {
    pub(crate) mod direction;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod p {
    pub(crate) mod lock;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod sched {
    pub(crate) mod idle;
    pub(crate) mod watch;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod timer {
    pub(crate) type Nanos = u64;
    pub(crate) mod node;
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod api {
    pub(crate) mod sync {
        pub(crate) mod list;
        pub(crate) mod queue;
        pub(crate) mod raw_mutex;
        pub(crate) mod raw_rwlock;
        pub(crate) mod semaphore;
    }
}
#[cfg(all(loom, test))]
#[allow(dead_code, reason = "no model uses all of it")]
mod trace {
    pub(crate) mod event;
    pub(crate) mod ring;
    pub(crate) mod clock {
        pub(crate) use crate::models::ring::{settle, ticks};
    }
}
/// What `waitq.rs` of the channels and `api/sync` use of this crate.
#[cfg(all(loom, test))]
mod park {
    pub(crate) use crate::g::parker::{Claimed, Token, Waiter};
    pub(crate) use crate::g::status::WaitReason;
    pub(crate) use crate::g::wait::{Encoding, Field, Subject, Wait};
    pub(crate) use crate::models::ground::{
        Interrupt, Window, enter, enter_quietly, everybody_waited_long, interrupted,
    };
    pub(crate) use crate::p::lock::{Held, Lock};
}
#[cfg(all(loom, test))]
extern crate self as runtime;
#[cfg(all(loom, test))]
mod models;

#[cfg(not(loom))]
mod exports {
    pub use crate::api::builder::{Builder, DEFAULT_MAX_THREADS, start};
    pub use crate::api::calls::{OsThreadGuard, blocking, label, lock_os_thread, yield_now};
    pub use crate::api::cancellable::{Cancelled, Canceller, cancellable};
    #[doc(hidden)]
    pub use crate::api::join::spawn_named as __spawn_named;
    pub use crate::api::join::{Goroutine, JoinHandle, current, spawn};
    pub use crate::api::leaks::{Leak, LeakReason, LeaksError, leaks};
    pub use crate::api::local::{AccessError, LocalKey};
    #[doc(hidden)]
    pub use crate::api::runtime::current_m;
    pub use crate::api::runtime::{
        Runtime, SHUTDOWN_PATIENCE, ShutdownError, dump, dump_without_stacks, metrics,
        num_goroutines,
    };
    pub use crate::api::scope::{Scope, ScopedJoinHandle, scope};
    pub use crate::g::GoroutineId;
    pub use crate::g::task::JoinError;
    pub use crate::sched::{OnDeadlock, OnPanic, StartError};
    pub use crate::stack::{DEFAULT_STACK_SIZE, MAX_STACK_SIZE, MIN_STACK_SIZE, StackGuard};
    pub use crate::trace::dump::{
        Dump, DumpedFrame, DumpedGoroutine, DumpedThread, GoroutineState, Grouped,
    };
    pub use crate::trace::metrics::{Metrics, States, Threads, Times};
}
#[cfg(not(loom))]
pub use api::{io, net, process, signal, sync, task, time};
#[cfg(not(loom))]
pub use exports::*;
