//! The non-blocking flag of what was opened, which copies share: it is set while one is registered, and comes back.

mod support;
#[path = "support/system.rs"]
mod system;

use runtime::io::Registered;
use runtime::net::UnixStream;
use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::time::{Duration, Instant};
use support::everywhere;
use system::event;

fn blocks(fd: &impl AsRawFd) -> bool {
    // SAFETY: asks for flags.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK == 0
}

/// Whether the system tells copies of what was opened from others: since Linux 6.10, or where `kcmp` is allowed.
fn tells_copies() -> bool {
    let (a, b) = (event(), event());
    let (a, b) = (a.as_raw_fd(), b.as_raw_fd());
    // SAFETY: these ask about descriptors. (F_DUPFD_QUERY, and KCMP_FILE.)
    let tells = unsafe {
        let me = libc::getpid();
        libc::fcntl(a, 1024 + 3, b) >= 0 || libc::syscall(libc::SYS_kcmp, me, me, 0, a, b) >= 0
    };
    if !tells {
        println!("skipped: this system does not tell copies from others");
    }
    tells
}

/// All eventfds have the same number, as if they were copies of one file.
#[test]
fn of_eventfds_copies_are_known_too() {
    if !tells_copies() {
        return;
    }
    everywhere(|| {
        let (event, other) = (event(), Registered::new(event()).unwrap());
        let first = Registered::new(event.try_clone().unwrap()).unwrap();
        let second = Registered::new(&event).unwrap();
        drop(first);
        let end = Instant::now() + Duration::from_millis(10);
        let e = second.read_deadline(end, |event| (&**event).read(&mut [0; 8]));
        assert_eq!(e.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(second);
        assert!(blocks(&event));
        assert!(!blocks(other.get_ref()));
    });
}

#[test]
fn a_crowd_of_eventfds_blocks_again() {
    if !tells_copies() {
        return;
    }
    everywhere(|| {
        let mut all: Vec<_> = (0..200)
            .map(|_| Registered::new(event()).unwrap())
            .collect();
        let copy = all[150].get_ref().try_clone().unwrap();
        let copy = Registered::new(copy).unwrap();
        let of_crowd = all.swap_remove(150);
        let back: Vec<_> = all.into_iter().map(Registered::into_inner).collect();
        assert!(back.iter().all(blocks));
        let of_crowd = of_crowd.into_inner();
        assert!(!blocks(&of_crowd));
        let twice = [&of_crowd; 2].map(|event| Registered::new(event).unwrap());
        for one in twice {
            one.into_inner();
            assert!(!blocks(&of_crowd));
        }
        assert!(blocks(&copy.into_inner()) && blocks(&of_crowd));
    });
}

/// One file, opened twice, has two flags.
#[test]
fn what_was_opened_twice_comes_back_as_it_was() {
    let open = |flags| {
        let mut options = File::options();
        let options = options.read(true).write(true).custom_flags(flags);
        options.open("/dev/null").unwrap()
    };
    if !tells_copies() {
        return;
    }
    everywhere(|| {
        let (a, b) = (open(0), open(libc::O_NONBLOCK));
        let copy = b.try_clone().unwrap();
        let [a, b, copy] = [a, b, copy].map(|f| Registered::new(f).unwrap());
        assert!(blocks(&a.into_inner()));
        assert!(!blocks(&b.into_inner()));
        assert!(!blocks(&copy.into_inner()));
    });
}

/// Copies of a descriptor share one flag.
#[test]
fn a_copy_that_is_dropped_leaves_the_other_one_non_blocking() {
    everywhere(|| {
        let (rx, _tx) = pipe().unwrap();
        let (watch, copy) = (rx.try_clone().unwrap(), rx.try_clone().unwrap());
        let (first, second) = (Registered::new(copy).unwrap(), Registered::new(rx).unwrap());
        drop(first);
        assert!(!blocks(&watch));
        let end = Instant::now() + Duration::from_millis(10);
        let e = second.read_deadline(end, |mut rx| rx.read(&mut [0]));
        assert_eq!(e.unwrap_err().kind(), ErrorKind::TimedOut);
        let back = second.into_inner();
        assert!(blocks(&watch) && blocks(&back));
        // The two ends of a pipe are no copies.
        let (rx, tx) = pipe().unwrap();
        let (rx, tx) = (Registered::new(rx).unwrap(), Registered::new(tx).unwrap());
        assert!(blocks(&rx.into_inner()));
        drop(tx);
    });
}

/// Among many, too, a copy that is left knows that the other one, which is only dropped, blocked.
#[test]
fn of_a_crowd_a_copy_blocks_again_after_one_that_was_dropped() {
    if !tells_copies() {
        return;
    }
    everywhere(|| {
        let _all: Vec<_> = (0..65).map(|_| Registered::new(event()).unwrap()).collect();
        let (one, watch) = (event(), event());
        let copy = one.try_clone().unwrap();
        let [one, copy, watch] = [one, copy, watch].map(|e| Registered::new(e).unwrap());
        drop(one);
        assert!(!blocks(copy.get_ref()));
        assert!(blocks(&copy.into_inner()));
        // Who has a copy that is not registered finds it as it was.
        let unregistered = watch.get_ref().try_clone().unwrap();
        drop(watch);
        assert!(blocks(&unregistered));
    });
}

/// The flag that was set for one that is registered is not its user's wish.
#[test]
fn a_socket_whose_copy_is_registered_waits() {
    everywhere(|| {
        let (a, mut b) = StdStream::pair().unwrap();
        let copy = Registered::new(a.try_clone().unwrap()).unwrap();
        let mut a = UnixStream::from(a);
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            b.write_all(b"x").unwrap();
            b
        });
        a.read_exact(&mut [0]).unwrap();
        let _b = writer.join().unwrap();
        // And back: the copy waits as before, until it goes.
        let a = StdStream::from(a);
        assert!(!blocks(copy.get_ref()));
        let end = Instant::now() + Duration::from_millis(5);
        let e = copy.read_deadline(end, |mut copy| copy.read(&mut [0]));
        assert_eq!(e.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(copy);
        assert!(blocks(&a));
    });
}

#[test]
fn a_socket_that_was_given_away_blocks_when_its_copy_goes() {
    everywhere(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        // Its flag is set already.
        let copy = Registered::new(a.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let a = StdStream::from(a);
        assert!(!blocks(copy.get_ref()));
        drop(copy);
        assert!(blocks(&a));
    });
}

/// What its user wanted stays, whoever is registered.
#[test]
fn a_socket_that_its_user_made_non_blocking_stays_so() {
    everywhere(|| {
        let (a, _b) = StdStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        let copy = Registered::new(a.try_clone().unwrap()).unwrap();
        let mut a = UnixStream::from(a);
        assert_eq!(a.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let a = StdStream::from(a);
        drop(copy);
        assert!(!blocks(&a));
    });
}
