//! Many sockets, none left, and numbers that are used again.

mod support;

use runtime::net::{TcpListener, TcpStream, UnixStream};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use support::{
    alone, child_command, eventually, fds, is_child, migrating, scale, status_kib, status_kib_of,
    with_procs, within, within_minute,
};

/// Sets how many descriptors the process may have; how many it has now.
fn limit_fds(soft: u64) -> u64 {
    // SAFETY: plain values in and out.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = soft;
        if soft > limit.rlim_max {
            limit.rlim_max = soft; // only root may
            if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0 {
                return soft;
            }
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            limit.rlim_cur = limit.rlim_max;
        }
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        limit.rlim_cur
    }
}

const MANY: usize = 10_000;

/// Echoes to all who come, until its standard input ends. Says where.
#[test]
fn child_echoes_to_many() {
    if !is_child("child_echoes_to_many") {
        return;
    }
    limit_fds(MANY as u64 + 200);
    let rt = runtime::start(2);
    let at = rt.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        runtime::go!(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                runtime::go!(move || {
                    let mut buf = [0; 8];
                    while (&stream).read_exact(&mut buf).is_ok() {
                        (&stream).write_all(&buf).unwrap();
                    }
                });
            }
        });
        at
    });
    println!("\nat {at}"); // libtest has begun the line
    let _ = std::io::stdin().read(&mut [0]);
    rt.shutdown();
}

/// Both ends in one process would need 20,000 descriptors, which not everybody may have.
#[test]
fn ten_thousand_connections_at_once() {
    let _alone = alone();
    let n = if migrating() { 500 } else { MANY };
    let may = limit_fds(n as u64 + 200);
    assert!(
        may >= n as u64 + 200,
        "no more than {may} descriptors: ulimit -Hn"
    );
    let mut command = child_command("child_echoes_to_many", &[]);
    let mut server = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let at = said
        .by_ref()
        .map(Result::unwrap)
        .find_map(|l| l.strip_prefix("at ")?.parse().ok());
    let at: SocketAddr = at.expect("it says where");
    let kib = {
        let id = server.id();
        move || status_kib_of(id, "VmRSS")
    };
    within(Duration::from_secs(120), move || {
        let before = [kib(), status_kib("VmRSS")];
        runtime::start(2).run(move || {
            let streams: Vec<_> = (0..n).map(|_| TcpStream::connect(at).unwrap()).collect();
            for round in 0..2u64 {
                for (i, mut stream) in streams.iter().enumerate() {
                    stream.write_all(&(i as u64 + round).to_ne_bytes()).unwrap();
                }
                for (i, mut stream) in streams.iter().enumerate() {
                    let mut buf = [0; 8];
                    stream.read_exact(&mut buf).unwrap();
                    assert_eq!(u64::from_ne_bytes(buf), i as u64 + round);
                }
            }
            let now = [kib(), status_kib("VmRSS")];
            let [server, client] = [0, 1].map(|i| now[i].saturating_sub(before[i]) * 1024 / n);
            // Past libtest, which keeps what tests print that go well.
            let said = writeln!(
                std::io::stderr(),
                "{n} connections: {server} bytes each for the server and its goroutines, {client} for a client"
            );
            said.unwrap();
            assert!(server > 0 && server < 16 << 10, "{server} bytes");
        });
    });
    drop(server.stdin.take());
    said.for_each(drop); // it may say more
    assert!(server.wait().unwrap().success());
}

#[test]
fn a_server_without_descriptors_serves_on() {
    let _alone = alone();
    within_minute(|| {
        for procs in support::PROCS {
            let rt = runtime::start(procs);
            rt.run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let at = listener.local_addr().unwrap();
                // They are connected by the system, and wait to be accepted.
                let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
                // The poller, and what a thread needs when it starts, is there before.
                clients[0]
                    .set_read_deadline(Some(std::time::Instant::now() + Duration::from_millis(2)));
                (&clients[0]).read(&mut [0]).unwrap_err();
                clients[0].set_read_deadline(None);
                let before = limit_fds(4_000);
                let highest = clients
                    .iter()
                    .map(std::os::fd::AsRawFd::as_raw_fd)
                    .max()
                    .unwrap();
                limit_fds(highest as u64 + 6);
                let (mut held, mut served, mut refused) = (Vec::new(), 0, 0);
                while served < 20 {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            stream.write_all(b"hello").unwrap();
                            served += 1;
                            held.push(stream);
                        }
                        Err(e) => {
                            assert_eq!(e.raw_os_error(), Some(libc::EMFILE));
                            refused += 1;
                            assert!(!held.is_empty());
                            held.clear();
                        }
                    }
                }
                limit_fds(before);
                assert!(refused > 0);
                for mut client in clients {
                    client.read_exact(&mut [0; 5]).unwrap();
                }
            });
        }
    });
}

/// The number of a descriptor that was closed belongs to another at once: no event of the one wakes the
/// other, and none is lost.
#[test]
fn descriptors_are_reused_without_stale_wakes() {
    let _alone = alone();
    with_procs(|rt| {
        rt.run(|| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    runtime::go!(|| {
                        for i in 0..scale(25_000) / support::PROCS.len() {
                            let (a, mut b) = UnixStream::pair().unwrap();
                            let h = runtime::go!(move || {
                                let mut byte = [0];
                                let n = (&a).read(&mut byte).unwrap();
                                (n, byte[0], a)
                            });
                            if i % 2 == 0 {
                                runtime::yield_now();
                            }
                            b.write_all(&[i as u8]).unwrap();
                            let (n, byte, a) = h.join().unwrap();
                            assert_eq!((n, byte), (1, i as u8));
                            a.set_nonblocking(true).unwrap();
                            let nothing = (&a).read(&mut [0]).unwrap_err();
                            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
                            if i % 3 == 0 {
                                // An event that nobody waits for, as late as can be.
                                b.write_all(b"late").unwrap();
                            }
                        }
                    })
                })
                .collect();
            workers.into_iter().for_each(|h| h.join().unwrap());
        });
    });
}

#[test]
fn runtimes_end_with_sockets_in_use_and_leave_none() {
    let _alone = alone();
    within_minute(|| {
        drop(runtime::start(1));
        let before = fds();
        for i in 0..scale(1_000) {
            let rt = runtime::start(i % 4 + 1);
            let h = rt.run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (b, _) = listener.accept().unwrap();
                runtime::go!(move || (&a).read(&mut [0]));
                runtime::go!(move || while (&b).write(&[0; 1000]).is_ok() {});
                let h = runtime::go!(move || listener.accept().map(drop));
                runtime::yield_now();
                h
            });
            drop(rt);
            assert!(h.join().is_err());
        }
        assert!(eventually(|| fds() == before), "{} of {before}", fds());
    });
}

#[test]
fn sockets_outlive_their_runtimes() {
    let _alone = alone();
    within_minute(|| {
        let (a, mut b) = UnixStream::pair().unwrap();
        let a = Arc::new(a);
        let read = |a: Arc<UnixStream>| {
            let mut byte = [0];
            (&*a).read_exact(&mut byte).unwrap();
            byte[0]
        };
        for i in 0..20u8 {
            let rt = runtime::start(usize::from(i % 3) + 1);
            let shared = a.clone();
            let h = rt.spawn(move || read(shared));
            std::thread::sleep(Duration::from_millis(1));
            b.write_all(&[i]).unwrap();
            assert_eq!(h.join().unwrap(), i);
            drop(rt);
            b.write_all(&[i]).unwrap();
            assert_eq!(read(a.clone()), i);
        }
    });
}
