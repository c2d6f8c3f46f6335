//! What a kernel is, and what it is made on: goroutines with names, of which it is known who is still there.
//!
//! Nothing here may lead to the channels and locks of a kernel, or the searched memory would.

use channels::{Receiver, Sender};
use runtime::JoinHandle;
use runtime::go;
use runtime::sync::WaitGroup;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A bug: who gets into it never gets out.
pub struct Bug {
    pub name: &'static str,
    pub run: fn(&Stage),
    /// The goroutines that hang, by name, once for each; `?` is one without a name.
    pub hang: &'static [&'static str],
    /// Those of them that are lost while the main goroutine goes on. The others could be cancelled.
    pub lost: &'static [&'static str],
}

/// A program that looks like a bug, and is none: all its goroutines end.
pub struct Twin {
    pub name: &'static str,
    pub run: fn(&Stage),
}

/// Bugs of one kind, and their twins.
pub struct Class {
    pub name: &'static str,
    pub bugs: &'static [Bug],
    pub twins: &'static [Twin],
    /// So many of the bugs are found when everybody hangs, at least.
    pub whole: usize,
    /// So many of the lost goroutines are found beside a main goroutine that goes on, at least.
    pub partial: usize,
}

/// `bugs![f: ["a", "b"], g: ["a"] lost [], ...]`: kernels with who hangs, and, where that differs, who is lost.
macro_rules! bugs {
    (@lost $hang:expr) => { &$hang };
    (@lost $hang:expr, $lost:expr) => { &$lost };
    ($($f:ident: $hang:expr $(, lost $lost:expr)?;)*) => {
        &[$($crate::stage::Bug {
            name: stringify!($f),
            run: $f,
            hang: &$hang,
            lost: $crate::stage::bugs!(@lost $hang $(, $lost)?),
        }),*]
    };
}

/// `twins![f, g, ...]`
macro_rules! twins {
    ($($f:ident),* $(,)?) => {
        &[$($crate::stage::Twin { name: stringify!($f), run: $f }),*]
    };
}

pub(crate) use {bugs, twins};

/// Where a kernel plays.
#[derive(Clone, Default)]
pub struct Stage(Arc<Inner>);

#[derive(Default)]
struct Inner {
    all: WaitGroup,
    here: Mutex<Vec<&'static str>>,
}

impl Stage {
    /// A goroutine of which nobody keeps the handle.
    #[track_caller]
    pub fn go<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl FnOnce() -> T + Send + 'static,
    ) {
        drop(self.keep(name, f));
    }

    /// A goroutine, and its handle.
    #[track_caller]
    pub fn keep<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let present = self.enter(name);
        go!(name = name, move || {
            let _present = present;
            f()
        })
    }

    /// Notes somebody as here, who is made otherwise.
    pub fn enter(&self, name: &'static str) -> Present {
        self.0.all.add(1);
        self.lock().push(name);
        Present(self.clone(), name)
    }

    /// Who is here, sorted.
    pub fn here(&self) -> Vec<&'static str> {
        let mut here = self.lock().clone();
        here.sort_unstable();
        here
    }

    /// Waits until all have left.
    pub fn wait_for_all(&self) {
        self.0.all.wait();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        self.0.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody is here, until this is dropped.
pub struct Present(Stage, &'static str);

impl Drop for Present {
    fn drop(&mut self) {
        let mut here = self.0.lock();
        if let Some(at) = here.iter().position(|&n| n == self.1) {
            here.swap_remove(at);
        }
        drop(here);
        self.0.0.all.done();
    }
}

/// Both ends of a channel as one value, as Go's channels are. Who has it keeps both ends open.
pub struct Chan<T> {
    pub tx: Sender<T>,
    pub rx: Receiver<T>,
}

impl<T> Chan<T> {
    pub fn new(cap: usize) -> Chan<T> {
        let (tx, rx) = channels::bounded(cap);
        Chan { tx, rx }
    }

    pub fn send(&self, value: T) {
        let _ = self.tx.send(value);
    }

    pub fn recv(&self) -> Option<T> {
        self.rx.recv().ok()
    }
}

/// So that a closure that uses one end takes both.
impl<T> Drop for Chan<T> {
    fn drop(&mut self) {}
}

impl<T> Clone for Chan<T> {
    fn clone(&self) -> Self {
        let (tx, rx) = (self.tx.clone(), self.rx.clone());
        Chan { tx, rx }
    }
}

/// A place where so many meet before they go on, without waiting for anything that the runtime knows.
#[derive(Clone)]
pub struct Meet(Arc<AtomicUsize>);

impl Meet {
    pub fn of(n: usize) -> Meet {
        Meet(Arc::new(AtomicUsize::new(n)))
    }

    pub fn arrive(&self) {
        // SeqCst: also orders what the kernels do before and after, without a thought for each.
        self.0.fetch_sub(1, Ordering::SeqCst);
        while self.0.load(Ordering::SeqCst) > 0 {
            runtime::yield_now();
        }
    }
}

/// Long enough for others to come to their waits.
pub fn pause() {
    runtime::time::sleep(Duration::from_millis(8));
}

/// Long enough for whoever looks for bugs to look several times.
pub fn a_while() {
    runtime::time::sleep(Duration::from_millis(60));
}

/// As long, without the runtime: the thread computes.
pub fn compute() -> u64 {
    let start = std::time::Instant::now();
    let mut x = 1u64;
    while start.elapsed() < Duration::from_millis(60) {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
    x
}
