//! Readiness: one direction of a descriptor (`netpoll/direction.rs`) between those who read, who report
//! what the kernel says, and a deadline.
//!
//! Written out here: the loop of `api/io/pollable.rs`, with one waiter at a time, as its turns see to.
//! The kernel's socket is a lock with a number of items and a mark of their end; each change is followed
//! by a report, by whichever thread polls.

use super::{Sleeper, check, spawn};
use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicBool;
use crate::g::parker::{Claimed, Token};
use crate::netpoll::direction::{Begin, Direction, REPORTED};
use loom::sync::Mutex;
use std::sync::Arc;

#[derive(Default)]
struct Socket {
    items: u32,
    ended: bool,
}

struct World {
    direction: Direction,
    socket: Mutex<Socket>,
    /// As `Desc::closed`.
    closed: AtomicBool,
    /// As `Desc::boundary`.
    boundary: AtomicBool,
    reader: Sleeper,
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// So many items.
    Items(u32),
    End,
    Closed,
    Late,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            direction: Direction::new(),
            socket: Mutex::new(Socket::default()),
            closed: AtomicBool::new(false),
            boundary: AtomicBool::new(false),
            reader: Sleeper::new(),
        })
    }

    /// Something comes, and is reported.
    fn arrive(&self, change: impl FnOnce(&mut Socket)) {
        let ended = {
            let mut socket = self.socket.lock().unwrap();
            change(&mut socket);
            socket.ended
        };
        if ended {
            self.boundary.store(true, Ordering::Relaxed);
        }
        self.report();
    }

    fn report(&self) {
        self.direction.report().into_iter().for_each(Claimed::ready);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.report();
    }

    /// One attempt to read at most `max` items, without waiting. `None`: it would block.
    fn attempt(&self, max: u32) -> Option<Read> {
        let Begin::Try(attempt) = self.direction.begin() else {
            return None;
        };
        if self.closed.load(Ordering::Relaxed) {
            return Some(Read::Closed);
        }
        let (read, ended) = {
            let mut socket = self.socket.lock().unwrap();
            let n = socket.items.min(max);
            socket.items -= n;
            (n, socket.ended)
        };
        match read {
            0 if ended => Some(Read::End),
            0 => {
                self.direction.drained(attempt);
                None
            }
            n => {
                if n < max && !self.boundary.load(Ordering::Relaxed) {
                    self.direction.drained(attempt);
                }
                Some(Read::Items(n))
            }
        }
    }

    /// Reads, waiting if there is nothing: the one who has the turn.
    fn read(&self, max: u32) -> Read {
        loop {
            if let Some(read) = self.attempt(max) {
                return read;
            }
            let Begin::Drained(attempt) = self.direction.begin() else {
                continue;
            };
            let parker = &self.reader.parker;
            let waiter = parker.episode();
            parker.arm(waiter);
            if !self.direction.publish(attempt, waiter) && waiter.claim(Token::NOT_PARKED).is_some()
            {
                continue;
            }
            self.reader.wait();
            match parker.token() {
                REPORTED => {}
                token => {
                    assert_eq!(token, Token::TIMEOUT);
                    self.direction.leave();
                    return Read::Late;
                }
            }
        }
    }

    /// Reads until the end; how many items.
    fn read_all(&self, max: u32) -> u32 {
        let mut sum = 0;
        loop {
            match self.read(max) {
                Read::Items(n) => sum += n,
                Read::End => return sum,
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_comes_before_and_during_a_wait_is_read() {
    check(3, || {
        let world = World::new();
        let kernel = spawn(&world, |w| {
            w.arrive(|s| s.items += 1);
            w.arrive(|s| s.ended = true);
        });
        assert_eq!(world.read_all(8), 1);
        kernel.join().unwrap();
    });
}

#[test]
fn two_who_report_at_once_lose_nothing() {
    check(3, || {
        let world = World::new();
        let poller = spawn(&world, |w| w.arrive(|s| s.items += 1));
        let other = spawn(&world, |w| w.arrive(|s| s.items += 1));
        let mut sum = 0;
        while sum < 2 {
            match world.read(2) {
                Read::Items(n) => sum += n,
                other => panic!("{other:?}"),
            }
        }
        poller.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_short_read_beside_another_reader_hides_nothing() {
    check(3, || {
        let world = World::new();
        let kernel = spawn(&world, |w| {
            w.arrive(|s| s.items += 1);
            w.arrive(|s| {
                s.items += 2;
                s.ended = true;
            });
        });
        // Somebody who reads without waiting, one item, and leaves the rest.
        let passer_by = spawn(&world, |w| {
            w.attempt(1);
        });
        world.read_all(2);
        kernel.join().unwrap();
        passer_by.join().unwrap();
        assert_eq!(world.socket.lock().unwrap().items, 0);
    });
}

#[test]
fn a_wait_that_ends_late_loses_nothing() {
    check(3, || {
        let world = World::new();
        let kernel = spawn(&world, |w| w.arrive(|s| s.items += 1));
        let deadline = spawn(&world, |w| {
            let waiter = w.reader.parker.armed();
            if let Some(claimed) = waiter.and_then(|w| w.claim(Token::TIMEOUT)) {
                claimed.ready();
            }
        });
        let mut read = world.read(8);
        if read == Read::Late {
            read = world.read(8);
        }
        assert_eq!(read, Read::Items(1));
        kernel.join().unwrap();
        deadline.join().unwrap();
    });
}

#[test]
fn a_close_ends_a_wait_beside_a_report() {
    check(3, || {
        let world = World::new();
        let poller = spawn(&world, |w| w.report());
        let closer = spawn(&world, |w| w.close());
        assert_eq!(world.read(8), Read::Closed);
        poller.join().unwrap();
        closer.join().unwrap();
    });
}
