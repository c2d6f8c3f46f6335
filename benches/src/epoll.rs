//! The few lines of epoll that the load and the floor are made of. Edge-triggered.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// How many events are taken at once.
const EVENTS: usize = 1024;

/// An instance of epoll.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointer.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll {
            // SAFETY: the system has just made it, and nobody else has it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS],
        })
    }

    /// Tells by `token` when `file` becomes readable or ends. Closing the file takes it out.
    pub fn add(&self, file: &impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET | libc::EPOLLRDHUP) as u32,
            u64: token,
        };
        let file = file.as_fd().as_raw_fd();
        // SAFETY: `event` is read during the call only.
        check(unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, file, &mut event)
        })?;
        Ok(())
    }

    /// Waits until something is ready and puts its tokens into `ready`; none after `timeout`.
    pub fn wait(&mut self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        let millis = timeout.map_or(-1, |timeout| timeout.as_millis() as i32);
        ready.clear();
        // SAFETY: the system writes at most as many events as there is room for.
        let n = check(unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                millis,
            )
        });
        let n = match n {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            n => n? as usize,
        };
        ready.extend(self.events[..n].iter().map(|event| event.u64));
        Ok(())
    }
}

fn check(result: i32) -> io::Result<i32> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}
