//! `O_NONBLOCK`, a flag of what was opened, not of a descriptor: all copies of that share it. It comes back when the last
//! copy that is registered goes.

use crate::atomics::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Which file a descriptor is of, by its device and number, and for what it was opened. Copies agree in this, the two ends
/// of a pipe do not.
type File = (u64, u64, i32);

/// Something that was opened, and is registered.
struct Opened {
    /// By these.
    fds: Vec<RawFd>,
    /// One of them blocked when it came.
    blocked: bool,
}

/// All that is registered and is a file.
static OPENED: Mutex<BTreeMap<File, Vec<Opened>>> = Mutex::new(BTreeMap::new());

/// A descriptor that was made non-blocking, together with its copies.
#[derive(Debug)]
pub(super) struct NonBlocking {
    fd: RawFd,
    /// `None` for what is no file: all eventfds, pidfds and the like have the same number, and may be too many for a
    /// search among them.
    file: Option<File>,
    /// This one blocked when it came.
    blocked: bool,
}

impl NonBlocking {
    /// Sets the flag.
    pub(super) fn set(fd: BorrowedFd<'_>) -> io::Result<NonBlocking> {
        let mut all = OPENED.lock();
        let blocked = !set_nonblocking(fd, true)?;
        let (fd, file) = (fd.as_raw_fd(), file_of(fd));
        if let Some(file) = file {
            let alike = all.entry(file).or_default();
            match alike.iter_mut().find(|o| is_copy(o.fds[0], fd)) {
                Some(opened) => {
                    opened.fds.push(fd);
                    opened.blocked |= blocked;
                }
                None => alike.push(Opened {
                    fds: vec![fd],
                    blocked,
                }),
            }
        }
        Ok(NonBlocking { fd, file, blocked })
    }

    /// The descriptor, whose flag was set here, is to be used by somebody else, or (`closing`) by nobody: the flag is what
    /// it was, if there is no other copy here.
    pub(super) fn restore(&self, fd: BorrowedFd<'_>, closing: bool) {
        let mut all = OPENED.lock();
        let blocked = match self.file {
            Some(file) => self.leave(&mut all, file),
            // There may be copies, which must not block. If there are none, nobody sees the flag of what is closed.
            None => self.blocked && !closing,
        };
        if blocked {
            // It was set, so it can be set.
            let _ = set_nonblocking(fd, false);
        }
    }

    /// Whether the flag is to be cleared.
    fn leave(&self, all: &mut BTreeMap<File, Vec<Opened>>, file: File) -> bool {
        let alike = all.get_mut(&file).expect("it is among them");
        let place = |o: &Opened| o.fds.iter().position(|&fd| fd == self.fd);
        let found = alike.iter().enumerate();
        let (at, i) = found
            .filter_map(|(at, o)| Some((at, place(o)?)))
            .next()
            .expect("it is among them");
        alike[at].fds.swap_remove(i);
        let is_last = alike[at].fds.is_empty();
        let blocked = is_last && alike.swap_remove(at).blocked;
        if alike.is_empty() {
            all.remove(&file);
        }
        blocked
    }
}

fn file_of(fd: BorrowedFd<'_>) -> Option<File> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: writes one stat, or fails.
    let found = unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) } == 0;
    // SAFETY: written, if it was found.
    let stat = found.then(|| unsafe { stat.assume_init() })?;
    let file = (stat.st_dev, stat.st_ino, flags(fd).ok()? & libc::O_ACCMODE);
    (stat.st_mode & libc::S_IFMT != 0).then_some(file)
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
