//! `O_NONBLOCK`, a flag of what was opened, not of a descriptor: all copies of that share it. It comes back when the last
//! copy that is registered goes.
//!
//! Who blocked when it came has it cleared when it goes, or leaves that to a copy that is still there. Copies that come later
//! do not block any more, and so these are the ones to be looked at; where all blocked when they came, there is nothing to
//! look for, however many they are.

use crate::atomics::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Which file a descriptor is of, by its device and number, and for what it was opened. Copies agree in this, the two ends
/// of a pipe do not. (All eventfds do, all pidfds, and the like, which are no files.)
type File = (u64, u64, i32);

/// All that is registered of one file, by numbers of descriptors.
#[derive(Default)]
struct Alike {
    all: BTreeMap<RawFd, Member>,
    /// Those that did not block when they came: for their user's sake, or because a copy was here.
    late: BTreeSet<RawFd>,
}

#[derive(Default)]
struct Member {
    /// How often it is registered, by references to it.
    times: usize,
    /// It blocked when it came, or a copy did that was given back.
    blocked: bool,
}

/// Among so few all are looked at. It takes 0.1 µs for each, and finds copies that came when somebody had cleared the flag
/// under those that were here.
const FEW: usize = 64;
/// Among more that did not block when they came nobody is looked for, and one of them is taken for a copy.
const MANY: usize = 1000;

static ALL: Mutex<BTreeMap<File, Alike>> = Mutex::new(BTreeMap::new());

impl Alike {
    fn come(&mut self, fd: RawFd, blocked: bool) {
        let one = self.all.entry(fd).or_default();
        one.times += 1;
        one.blocked |= blocked;
        if one.times == 1 && !blocked {
            self.late.insert(fd);
        }
    }

    /// Whether the flag is to be cleared.
    fn go(&mut self, fd: RawFd, is_copy: impl Fn(RawFd, RawFd) -> Option<bool>) -> bool {
        let Some(one) = self.all.get_mut(&fd) else {
            return false; // somebody has put another descriptor in its place, with a number that was known
        };
        one.times -= 1;
        if one.times > 0 {
            return false;
        }
        let blocked = one.blocked;
        self.all.remove(&fd);
        self.late.remove(&fd);
        if blocked && self.late.len() > MANY {
            return false;
        }
        if blocked && let Some(copy) = self.copy_of(fd, is_copy) {
            copy.blocked = true;
            return false;
        }
        blocked
    }

    /// One that is a copy of `fd`, or may be one as far as the answers go: where the system does not say, some descriptor that
    /// stays non-blocking does less harm than a wait that blocks its thread.
    fn copy_of(
        &mut self,
        fd: RawFd,
        is_copy: impl Fn(RawFd, RawFd) -> Option<bool>,
    ) -> Option<&mut Member> {
        let few = if self.all.len() <= FEW { FEW } else { 0 };
        let mut candidates = self.all.keys().take(few).chain(&self.late);
        let maybe = |other| is_copy(other, fd).unwrap_or_else(|| self.late.contains(&other));
        let copy = *candidates.find(|&&other| maybe(other))?;
        self.all.get_mut(&copy)
    }
}

/// A descriptor that was made non-blocking, together with its copies.
#[derive(Debug)]
pub(super) struct NonBlocking {
    fd: RawFd,
    file: File,
}

impl NonBlocking {
    /// Sets the flag.
    pub(super) fn set(fd: BorrowedFd<'_>) -> io::Result<NonBlocking> {
        let file = file_of(fd)?;
        let mut all = ALL.lock();
        let blocked = !set_nonblocking(fd, true)?;
        let fd = fd.as_raw_fd();
        all.entry(file).or_default().come(fd, blocked);
        Ok(NonBlocking { fd, file })
    }

    /// The descriptor, whose flag was set here, goes: the flag is what it was, if there is no other copy here.
    pub(super) fn restore(&self, fd: BorrowedFd<'_>) {
        let mut all = ALL.lock();
        let Some(alike) = all.get_mut(&self.file) else {
            return; // as in `go`
        };
        // (Whoever put another one in its place has closed it.)
        let is_here = fd.as_raw_fd() == self.fd;
        let ask = |a, b| if is_here { is_copy(a, b) } else { Some(false) };
        if alike.go(self.fd, ask) && is_here {
            // It was set, so it can be set.
            let _ = set_nonblocking(fd, false);
        }
        if alike.all.is_empty() {
            all.remove(&self.file);
        }
    }
}

/// Makes a socket non-blocking for somebody who keeps elsewhere whether its user wanted that: whether it was, other than by a
/// copy of it that is registered.
pub(crate) fn take_flag(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let all = ALL.lock();
    let was = set_nonblocking(socket, true)?;
    // (No socket is opened twice: whatever is of this file is a copy.)
    let by_copy = || {
        let alike = all.get(&file_of(socket).ok()?)?;
        Some(alike.all.values().any(|copy| copy.blocked))
    };
    Ok(was && by_copy() != Some(true))
}

/// Makes a socket blocking again, as soon as no copy of it is registered.
pub(crate) fn give_flag_back(socket: BorrowedFd<'_>) {
    let mut all = ALL.lock();
    let alike = file_of(socket).ok().and_then(|file| all.get_mut(&file));
    match alike.and_then(|alike| alike.all.values_mut().next()) {
        Some(copy) => copy.blocked = true,
        // It was set, so it can be set.
        None => drop(set_nonblocking(socket, false)),
    }
}

fn file_of(fd: BorrowedFd<'_>) -> io::Result<File> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: writes one stat, or fails.
    if unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: written.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.st_dev, stat.st_ino, flags(fd)? & libc::O_ACCMODE))
}

/// Whether both are of the same opening, not only of the same file. `None`: the system does not say.
fn is_copy(a: RawFd, b: RawFd) -> Option<bool> {
    /// Since Linux 6.10; not in the libc crate.
    const F_DUPFD_QUERY: libc::c_int = 1024 + 3;
    const KCMP_FILE: libc::c_int = 0;
    let errno = || io::Error::last_os_error().raw_os_error();
    // SAFETY: these ask about descriptors.
    unsafe {
        match libc::fcntl(a, F_DUPFD_QUERY, b) {
            -1 => {
                let me = libc::getpid();
                match libc::syscall(libc::SYS_kcmp, me, me, KCMP_FILE, a, b) {
                    // One of them is closed already.
                    -1 if errno() == Some(libc::EBADF) => Some(false),
                    -1 => None,
                    order => Some(order == 0),
                }
            }
            same => Some(same == 1),
        }
    }
}

fn flags(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: asks for flags.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags),
    }
}

/// Changes the flag; what it was before.
fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<bool> {
    let flags = flags(fd)?;
    let was = flags & libc::O_NONBLOCK != 0;
    let wanted = match on {
        true => flags | libc::O_NONBLOCK,
        false => flags & !libc::O_NONBLOCK,
    };
    // SAFETY: sets flags.
    if wanted != flags && unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(was)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn where_the_system_does_not_say_each_that_blocked_blocks_again() {
        let unknown = |_, _| None;
        let mut alike = Alike::default();
        alike.come(3, true);
        alike.come(4, true);
        assert!(alike.go(3, unknown));
        assert!(alike.go(4, unknown));
        // Only one that came when it did not block may be a copy. It is given what is left to do.
        alike.come(3, true);
        alike.come(4, true);
        alike.come(5, false);
        assert!(!alike.go(3, unknown));
        assert!(alike.go(5, unknown));
        assert!(alike.go(4, unknown));
        assert!(alike.all.is_empty() && alike.late.is_empty());
    }

    /// However many they are, whoever goes is compared only with those that can be copies.
    #[test]
    fn a_crowd_is_not_searched_for_nothing() {
        let asked = Cell::new(0);
        let ask = |a, b| {
            asked.set(asked.get() + 1);
            Some((a, b) == (9_001, 0))
        };
        let mut alike = Alike::default();
        (0..4_000).for_each(|fd| alike.come(fd, true));
        (2_000..4_000).for_each(|fd| assert!(alike.go(fd, ask)));
        assert_eq!(asked.get(), 0);
        alike.come(9_000, false);
        alike.come(9_001, false);
        (1..1_000).for_each(|fd| assert!(alike.go(fd, ask)));
        assert_eq!(asked.get(), 2 * 999);
        assert!(!alike.go(0, ask));
        assert!(alike.go(9_001, ask));
        assert!(!alike.go(9_000, ask));
        // Nor for long.
        asked.set(0);
        alike.come(0, true);
        (10_000..12_000).for_each(|fd| alike.come(fd, false));
        assert!(!alike.go(0, ask));
        assert_eq!(asked.get(), 0);
    }
}
