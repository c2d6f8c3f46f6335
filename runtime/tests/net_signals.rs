//! Signals interrupt system calls; nobody sees it.

mod support;

use runtime::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::everywhere;

extern "C" fn nothing(_: i32) {}

/// Sends a signal to every thread of the process, over and over, while `f` runs.
fn under_fire(f: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    // SAFETY: a handler that does nothing, on the alternate stack where there is one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK; // and not SA_RESTART
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
    let fire = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let me = std::process::id() as i32;
            while !stop.load(Ordering::Relaxed) {
                for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
                    let id: i32 = task.file_name().to_str().unwrap().parse().unwrap();
                    // SAFETY: a thread that is gone is an error.
                    unsafe { libc::syscall(libc::SYS_tgkill, me, id, libc::SIGUSR1) };
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    });
    f();
    stop.store(true, Ordering::Relaxed);
    fire.join().unwrap();
}

#[test]
fn signals_are_not_seen() {
    everywhere(|| {
        under_fire(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let server = runtime::go!(move || {
                for _ in 0..20 {
                    let (stream, _) = listener.accept().unwrap();
                    std::io::copy(&mut &stream, &mut &stream).unwrap();
                }
            });
            for _ in 0..20 {
                let mut stream = TcpStream::connect(at).unwrap();
                for i in 0..20u8 {
                    stream.write_all(&[i; 500]).unwrap();
                    let mut buf = [0; 500];
                    let mut got = 0;
                    while got < buf.len() {
                        // Not `read_exact`, which would hide it.
                        got += stream.read(&mut buf[got..]).unwrap();
                    }
                    assert_eq!(buf, [i; 500]);
                }
            }
            server.join().unwrap();

            let (a, b) = UnixStream::pair().unwrap();
            let h = runtime::go!(move || {
                let mut total = 0;
                while total < 2_000_000 {
                    total += (&b).read(&mut [0; 3_000]).unwrap();
                }
            });
            let mut sent = 0;
            while sent < 2_000_000 {
                sent += (&a).write(&[0; 10_000]).unwrap();
            }
            h.join().unwrap();
            let u = UdpSocket::bind("127.0.0.1:0").unwrap();
            u.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let start = std::time::Instant::now();
            let e = u.recv(&mut [0]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
            assert!(start.elapsed() >= Duration::from_millis(20));
        });
    });
}
