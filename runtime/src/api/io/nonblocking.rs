//! `O_NONBLOCK`, a flag of what was opened, not of a descriptor: all copies of that share it. It comes back when the last
//! copy that is registered goes.

use crate::atomics::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Which file a descriptor is of, by its device and number, and for what it was opened. Copies agree in this, the two ends
/// of a pipe do not. (All eventfds do, all pidfds, and the like, which are no files.)
type File = (u64, u64, i32);

/// Something that was opened, and is registered.
struct Opened {
    /// By these.
    fds: Vec<RawFd>,
    /// One of them blocked when it came.
    blocked: bool,
}

/// All that is registered of one file.
#[derive(Default)]
struct Alike {
    /// At most [`MOST`].
    known: Vec<Opened>,
    /// More than can be searched whenever one comes or goes. Which of them are copies is not known.
    crowd: BTreeMap<RawFd, OfCrowd>,
}

#[derive(Default)]
struct OfCrowd {
    /// How often it is registered, by references to it.
    times: usize,
    /// It blocked when it came, or a copy did that was given back.
    blocked: bool,
}

/// So many times one file may be opened and registered before copies are not told from others any more: a search takes 0.1 µs
/// for each.
const MOST: usize = 64;

static ALL: Mutex<BTreeMap<File, Alike>> = Mutex::new(BTreeMap::new());

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
        let alike = all.entry(file).or_default();
        // (Where there is a crowd, a copy may be in it.)
        let is_crowd = alike.known.len() >= MOST || !alike.crowd.is_empty();
        match alike.known.iter_mut().find(|o| is_copy(o.fds[0], fd)) {
            Some(opened) => {
                opened.fds.push(fd);
                opened.blocked |= blocked;
            }
            None if is_crowd => {
                let one = alike.crowd.entry(fd).or_default();
                one.times += 1;
                one.blocked |= blocked;
            }
            None => {
                let fds = vec![fd];
                alike.known.push(Opened { fds, blocked });
            }
        }
        Ok(NonBlocking { fd, file })
    }

    /// The descriptor, whose flag was set here, is to be used by somebody else, or (`closing`) probably by nobody: the flag is
    /// what it was, if there is no other copy here.
    pub(super) fn restore(&self, fd: BorrowedFd<'_>, closing: bool) {
        let mut all = ALL.lock();
        let Some(alike) = all.get_mut(&self.file) else {
            return; // somebody has put another descriptor in its place, with a number that was known
        };
        let blocked = match self.leave(&mut alike.known) {
            Some(blocked) => blocked,
            None => self.leave_crowd(&mut alike.crowd, closing),
        };
        if alike.known.is_empty() && alike.crowd.is_empty() {
            all.remove(&self.file);
        }
        // (Whoever put another one in its place has closed it.)
        if blocked && fd.as_raw_fd() == self.fd {
            // It was set, so it can be set.
            let _ = set_nonblocking(fd, false);
        }
    }

    /// As [`NonBlocking::leave`], of a crowd. There is no search for copies if it is closed: all of a crowd may be, one after
    /// the other.
    fn leave_crowd(&self, crowd: &mut BTreeMap<RawFd, OfCrowd>, closing: bool) -> bool {
        let Some(one) = crowd.get_mut(&self.fd) else {
            return false; // as above
        };
        one.times -= 1;
        if one.times > 0 {
            return false;
        }
        let blocked = one.blocked;
        crowd.remove(&self.fd);
        if closing || !blocked {
            return false;
        }
        match crowd
            .iter_mut()
            .find(|(other, _)| is_copy(**other, self.fd))
        {
            Some((_, copy)) => {
                copy.blocked = true;
                false
            }
            None => true,
        }
    }

    /// It goes, if it is one of these; whether the flag is to be cleared.
    fn leave(&self, known: &mut Vec<Opened>) -> Option<bool> {
        let place = |o: &Opened| o.fds.iter().position(|&fd| fd == self.fd);
        let mut found = known.iter().enumerate();
        let (at, i) = found.find_map(|(at, o)| Some((at, place(o)?)))?;
        known[at].fds.swap_remove(i);
        let is_last = known[at].fds.is_empty();
        Some(is_last && known.swap_remove(at).blocked)
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

/// Whether both are of the same opening, not only of the same file. True where the system does not say: that some
/// descriptor stays non-blocking does less harm than that a wait blocks its thread.
fn is_copy(a: RawFd, b: RawFd) -> bool {
    /// Since Linux 6.10; not in the libc crate.
    const F_DUPFD_QUERY: libc::c_int = 1024 + 3;
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: these ask about descriptors.
    unsafe {
        match libc::fcntl(a, F_DUPFD_QUERY, b) {
            -1 => {
                let me = libc::getpid();
                libc::syscall(libc::SYS_kcmp, me, me, KCMP_FILE, a, b) <= 0
            }
            same => same == 1,
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
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<bool> {
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
