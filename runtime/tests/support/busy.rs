//! Goroutines that keep Ps busy.
#![allow(dead_code, reason = "each test binary uses a part")]

use runtime::{JoinHandle, go, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Goroutines that do the same again and again, until they are told to end.
pub struct Busy {
    pub stop: Arc<AtomicBool>,
    /// How often they have done it, all together.
    pub turns: Arc<AtomicUsize>,
    all: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Starts so many, by `spawn`, that do `turn`.
    pub fn start(
        n: usize,
        spawn: impl Fn(Box<dyn FnOnce() + Send>) -> JoinHandle<()>,
        turn: fn(),
    ) -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicUsize::new(0));
        let one = |_| {
            let (stop, turns) = (stop.clone(), turns.clone());
            spawn(Box::new(move || {
                while !stop.load(SeqCst) {
                    turns.fetch_add(1, SeqCst);
                    turn();
                }
            }))
        };
        let all = (0..n).map(one).collect();
        Busy { stop, turns, all }
    }

    /// Starts so many goroutines of the calling one, which yield.
    pub fn yield_here(n: usize) -> Busy {
        Busy::start(n, |f| go!(f), yield_now)
    }

    pub fn turns(&self) -> usize {
        self.turns.load(SeqCst)
    }

    pub fn end(self) {
        self.stop.store(true, SeqCst);
        self.all.into_iter().for_each(|h| h.join().unwrap());
    }
}
