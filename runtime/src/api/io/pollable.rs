//! How an operation on a descriptor waits: it is tried first, and parks only if it would block.
//!
//! A goroutine's wait goes by the poller of its runtime (the protocol is in `netpoll/direction.rs`); a
//! descriptor is registered when somebody first has to wait for it, and then stays so. A plain thread
//! waits by `ppoll`, which tells states and not edges: where it goes on to call ready what the operation finds
//! not to be (there is an error, or urgent data, for somebody else to fetch), the thread asks with pauses.

use super::pauses::Pauses;
use crate::api::sync::queue::{Wait, enter};
use crate::api::sync::raw_mutex::RawMutex;
use crate::atomics::atomic::{AtomicU32, Ordering};
use crate::g::parker::Token;
use crate::g::status::WaitReason;
pub(crate) use crate::netpoll::Side;
use crate::netpoll::desc::Desc;
use crate::netpoll::direction::{Attempt, Begin, Direction, REPORTED};
use crate::netpoll::epoll::timespec;
use crate::park::{self, Encoding, Field, Interrupt, Subject};
use crate::sched::interrupt;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an attempt that succeeded says of the descriptor.
pub(crate) enum Done<T> {
    /// There may be more.
    More(T),
    /// A stream gave, or took, less than it was asked for: there is no more for now.
    Short(T),
}

/// How long an operation may wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limit {
    /// Not at all.
    pub(crate) nonblocking: bool,
    /// From its beginning on. Its end is `WouldBlock`, as that of `SO_RCVTIMEO`.
    pub(crate) timeout: Option<Duration>,
    /// Its end is `TimedOut`.
    pub(crate) deadline: Option<Instant>,
}

impl Limit {
    /// Until when an operation that began at `since` may wait; `None`: without end.
    fn end(&self, since: Instant) -> Option<Instant> {
        let timeout = self.timeout.and_then(|t| since.checked_add(t));
        timeout.into_iter().chain(self.deadline).min()
    }

    fn over(&self) -> io::Error {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => ErrorKind::TimedOut.into(),
            _ => would_block(),
        }
    }
}

/// As the system says it, with its number.
fn would_block() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

pub(crate) fn closed() -> io::Error {
    io::Error::new(
        ErrorKind::NotConnected,
        "use of a closed network connection: it was closed by another goroutine or thread",
    )
}

/// The goroutine is being unwound, and does not wait any more.
fn unwinding() -> io::Error {
    io::Error::other("the goroutine is being stopped and cannot wait for the network")
}

/// What a descriptor needs in order to be waited for.
pub(crate) struct Pollable {
    desc: Arc<Desc>,
    /// Who may wait: the word of a direction has room for one.
    turns: [RawMutex; 2],
    /// How often the limit of those who wait was changed.
    renewals: [AtomicU32; 2],
}

/// The limit of a wait, which somebody may change meanwhile.
struct LiveLimit<'a, L> {
    limit: &'a L,
    renewals: &'a AtomicU32,
    seen: u32,
    /// When it began; known if there is, or was, a limit.
    since: Option<Instant>,
    now: Limit,
    end: Option<Instant>,
}

impl<'a, L: Fn() -> Limit> LiveLimit<'a, L> {
    fn new(limit: &'a L, renewals: &'a AtomicU32) -> Self {
        // Acquire: pairs with the Release in `renew`: the limit is read after.
        let seen = renewals.load(Ordering::Acquire);
        let now = limit();
        let mut new = LiveLimit {
            limit,
            renewals,
            seen,
            since: None,
            now,
            end: None,
        };
        new.set_end();
        new
    }

    fn set_end(&mut self) {
        self.end = match self.now.timeout.is_some() || self.now.deadline.is_some() {
            true => self.now.end(*self.since.get_or_insert_with(Instant::now)),
            false => None,
        };
    }

    /// Whether it was changed since it was looked at.
    fn is_new(&mut self) -> bool {
        // Acquire: as above.
        let renewals = self.renewals.load(Ordering::Acquire);
        let new = renewals != self.seen;
        if new {
            self.seen = renewals;
            self.now = (self.limit)();
            self.set_end();
        }
        new
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }
}

impl fmt::Debug for Pollable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollable")
            .field("registered", &self.desc.is_registered(Side::Read))
            .field("closed", &self.desc.is_closed())
            .finish_non_exhaustive()
    }
}

/// The right to wait.
struct Turn<'a>(&'a RawMutex);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // SAFETY: whoever has a Turn has locked it.
        unsafe { self.0.unlock() };
    }
}

impl Pollable {
    pub(crate) fn new() -> Pollable {
        Pollable {
            desc: Desc::new(),
            turns: [RawMutex::new(), RawMutex::new()],
            renewals: [AtomicU32::new(0), AtomicU32::new(0)],
        }
    }

    fn direction(&self, side: Side) -> &Direction {
        match side {
            Side::Read => &self.desc.read,
            Side::Write => &self.desc.write,
        }
    }

    /// Ends all waits on the descriptor, now and later, with an error.
    pub(crate) fn close(&self) {
        for claimed in self.desc.close().into_iter().flatten() {
            claimed.ready();
        }
    }

    /// What comes are messages: one that is shorter than asked for says nothing of the next.
    pub(crate) fn keep_messages(&self) {
        self.desc.set_boundary();
    }

    /// `other` is of the same kind.
    pub(crate) fn pass_messages(&self, other: &Pollable) {
        if self.desc.has_boundary() {
            other.keep_messages();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.desc.is_closed()
    }

    /// The limit has changed, also for the goroutines that wait already. Who has the turn is woken; the
    /// others look when they get it, and when what they knew as their end has come.
    pub(crate) fn renew(&self, side: Side) {
        // Release: pairs with the Acquire in `LiveLimit`.
        self.renewals[side as usize].fetch_add(1, Ordering::Release);
        if let Some(claimed) = self.direction(side).report() {
            claimed.ready();
        }
    }

    /// To be called before the descriptor is closed, or given to somebody else.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        self.desc.deregister(fd);
    }

    /// Does `op`, which does not block, as soon as it can be done.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        fd: BorrowedFd<'_>,
        side: Side,
        limit: impl Fn() -> Limit,
        mut op: impl FnMut() -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        let begin = self.direction(side).begin();
        if let Begin::Try(attempt) = begin {
            if self.desc.is_closed() {
                return Err(closed());
            }
            if let Some(result) = self.attempt(side, attempt, &mut op) {
                return result;
            }
        }
        self.run_slow(fd, side, begin, &limit, &mut op)
    }

    /// Tries once. `None`: it would block.
    #[inline]
    fn attempt<T>(
        &self,
        side: Side,
        attempt: Attempt,
        op: &mut impl FnMut() -> io::Result<Done<T>>,
    ) -> Option<io::Result<T>> {
        loop {
            match op() {
                Ok(Done::More(value)) => return Some(Ok(value)),
                Ok(Done::Short(value)) => {
                    if self.desc.short_drains(side) {
                        self.direction(side).drained(attempt);
                    }
                    return Some(Ok(value));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if self.desc.is_registered(side) {
                        self.direction(side).drained(attempt);
                    }
                    return None;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn run_slow<T>(
        &self,
        fd: BorrowedFd<'_>,
        side: Side,
        begun: Begin,
        limit: &impl Fn() -> Limit,
        op: &mut impl FnMut() -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        let mut limit = LiveLimit::new(limit, &self.renewals[side as usize]);
        if limit.now.nonblocking {
            // Whatever was reported so far: the caller wants to know it of the kernel.
            let result = match begun {
                _ if self.desc.is_closed() => return Err(closed()),
                Begin::Try(_) => None, // it has just said so
                Begin::Drained(attempt) => self.attempt(side, attempt, op),
            };
            return result.unwrap_or_else(|| Err(would_block()));
        }
        let on_goroutine = enter().is_goroutine();
        if !on_goroutine {
            return self.run_on_thread(fd, side, limit, op);
        }
        let turn = &self.turns[side as usize];
        while !turn.lock(|| Wait::until(WaitReason::IoWait, limit.end)) {
            if !limit.is_over() {
                return Err(unwinding());
            }
            if !limit.is_new() {
                return Err(limit.now.over());
            }
        }
        let turn = Turn(turn);
        let direction = self.direction(side);
        loop {
            let attempt = match direction.begin() {
                Begin::Drained(attempt) => attempt,
                Begin::Try(attempt) => {
                    if self.desc.is_closed() {
                        return Err(closed());
                    }
                    if !self.desc.is_registered(side) {
                        self.register(fd, side)?;
                    }
                    if let Some(result) = self.attempt(side, attempt, op) {
                        return result;
                    }
                    attempt
                }
            };
            limit.is_new(); // here: whoever changes it from now on makes a report that ends the wait
            match park(fd, direction, attempt, limit.end) {
                Token::TIMEOUT if limit.is_new() => {}
                Token::TIMEOUT => {
                    let over = limit.now.over();
                    if over.kind() == ErrorKind::TimedOut {
                        return Err(over); // a deadline hides what is there
                    }
                    // As in the kernel, what has come by now is taken, though nobody has reported it yet.
                    let (Begin::Try(attempt) | Begin::Drained(attempt)) = direction.begin();
                    return self.attempt(side, attempt, op).unwrap_or(Err(over));
                }
                Token::INTERRUPTED => {
                    drop(turn);
                    interrupt::interrupted();
                    return Err(unwinding());
                }
                _ => {}
            }
        }
    }

    /// Registers the descriptor with the poller of the calling goroutine's runtime.
    #[cold]
    fn register(&self, fd: BorrowedFd<'_>, side: Side) -> io::Result<()> {
        let poller = enter().poller().expect("a goroutine has a runtime");
        match self.desc.register(&poller, fd, side)? {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::Unsupported,
                "this kind of descriptor says that it would block, but cannot be waited for",
            )),
        }
    }

    fn run_on_thread<T, L: Fn() -> Limit>(
        &self,
        fd: BorrowedFd<'_>,
        side: Side,
        mut limit: LiveLimit<'_, L>,
        op: &mut impl FnMut() -> io::Result<Done<T>>,
    ) -> io::Result<T> {
        let mut pauses = None; // some once it was waited for
        loop {
            let (Begin::Try(attempt) | Begin::Drained(attempt)) = self.direction(side).begin();
            if self.desc.is_closed() {
                return Err(closed());
            }
            if let Some(result) = self.attempt(side, attempt, op) {
                return result;
            }
            interrupt::unwind_if_asked();
            limit.is_new();
            if limit.is_over() {
                return Err(limit.now.over());
            }
            let slice = interrupt::thread_patience(SLICE);
            let end = limit.end.into_iter().chain(slice).min();
            match &mut pauses {
                Some(pauses) if is_ready(fd, side).unwrap_or(true) => pause_thread(pauses, end),
                _ => {
                    poll_thread(fd, side, end);
                    pauses = Some(Pauses::after_another_try());
                }
            }
        }
    }
}

/// How often a plain thread that waits for the network looks whether it was cancelled, if it can be.
const SLICE: Duration = Duration::from_millis(10);

/// A descriptor's number, as something that is waited on.
static DESCRIPTOR: Subject = Subject {
    kind: "fd",
    size: 0,
    fields: &[Field {
        name: "fd",
        offset: 0,
        as_: Encoding::U32,
    }],
    list: None,
};

/// Parks the calling goroutine, whose attempt found nothing, until there is a report.
fn park(
    fd: BorrowedFd<'_>,
    direction: &Direction,
    attempt: Attempt,
    end: Option<Instant>,
) -> Token {
    let fd = fd.as_raw_fd();
    let window = enter();
    // SAFETY: for the park below; published by its commit function, and forgotten by `leave`.
    let waiter = unsafe { window.waiter() };
    let commit = move || direction.publish(attempt, waiter);
    // SAFETY: the commit function only publishes; `direction` is not touched after that.
    let (window, token) = unsafe {
        let wait = park::Wait::on(WaitReason::IoWait, &raw const fd, &DESCRIPTOR);
        window.park_until(wait, Interrupt::Allowed, end, commit)
    };
    if token != REPORTED && token != Token::NOT_PARKED {
        direction.leave();
    }
    drop(window);
    token
}

/// Whether the descriptor is ready now.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, side: Side) -> io::Result<bool> {
    poll(fd, side, Some(Duration::ZERO))
}

fn left(end: Option<Instant>) -> Option<Duration> {
    end.map(|end| end.saturating_duration_since(Instant::now()))
}

/// Blocks the calling thread until the descriptor is ready, at most until `end`.
fn poll_thread(fd: BorrowedFd<'_>, side: Side, end: Option<Instant>) {
    // Whatever comes of it, the operation is tried again.
    let _ = poll(fd, side, left(end));
}

/// Blocks the calling thread for the next pause, at most until `end`.
fn pause_thread(pauses: &mut Pauses, end: Option<Instant>) {
    let pause = left(end).into_iter().fold(pauses.take(), Duration::min);
    std::thread::sleep(pause);
}

fn poll(fd: BorrowedFd<'_>, side: Side, timeout: Option<Duration>) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: match side {
            Side::Read => libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP,
            Side::Write => libc::POLLOUT,
        },
        revents: 0,
    };
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: one pollfd, and a timeout or none.
    match unsafe { libc::ppoll(&mut poll, 1, timeout, ptr::null()) } {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n > 0),
    }
}
