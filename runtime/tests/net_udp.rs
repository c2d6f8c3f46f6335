//! UDP: datagrams of all sizes, many senders, groups.

mod support;

use runtime::net::{Ipv4Addr, UdpSocket};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use support::everywhere;

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn datagrams_of_all_sizes_arrive_whole() {
    everywhere(|| {
        let (a, b) = (socket(), socket());
        let at = b.local_addr().unwrap();
        a.connect(at).unwrap();
        b.connect(a.local_addr().unwrap()).unwrap();
        let echo = runtime::go!(move || {
            let mut buf = vec![0; 70_000];
            loop {
                let n = b.recv(&mut buf).unwrap();
                b.send(&buf[..n]).unwrap();
                if n == 65_507 {
                    return;
                }
            }
        });
        let mut buf = vec![0; 70_000];
        let sizes = (0..32)
            .chain((32..65_507).step_by(1_499))
            .chain([65_506, 65_507]);
        for n in sizes {
            let sent: Vec<u8> = (0..n).map(|i| (i * 7 + n) as u8).collect();
            assert_eq!(a.send(&sent).unwrap(), n);
            assert_eq!(a.recv(&mut buf).unwrap(), n);
            assert!(buf[..n] == sent);
        }
        echo.join().unwrap();
    });
}

#[test]
fn many_send_to_one() {
    everywhere(|| {
        let server = Arc::new(socket());
        let at = server.local_addr().unwrap();
        let echoes: Vec<_> = (0..4)
            .map(|_| {
                let server = server.clone();
                runtime::go!(move || {
                    let mut buf = [0; 64];
                    while let Ok((n, from)) = server.recv_from(&mut buf) {
                        server.send_to(&buf[..n], from).unwrap();
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..20u32)
            .map(|id| {
                runtime::go!(move || {
                    let me = socket();
                    for i in 0..50u32 {
                        let sent = [id.to_ne_bytes(), i.to_ne_bytes()].concat();
                        me.send_to(&sent, at).unwrap();
                        let mut got = [0; 8];
                        assert_eq!(me.peek_from(&mut got).unwrap(), (8, at));
                        assert_eq!(me.recv_from(&mut got).unwrap(), (8, at));
                        assert_eq!(got, sent[..]);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|h| h.join().unwrap());
        server.close();
        echoes.into_iter().for_each(|h| h.join().unwrap());
    });
}

#[test]
fn clones_share_what_comes() {
    everywhere(|| {
        let a = socket();
        let b = a.try_clone().unwrap();
        let at = a.local_addr().unwrap();
        let hs = [a, b].map(|s| {
            runtime::go!(move || {
                let mut got = 0;
                s.set_read_timeout(Some(Duration::from_millis(200)))
                    .unwrap();
                while let Ok(1) = s.recv(&mut [0; 4]) {
                    got += 1;
                }
                got
            })
        });
        let c = socket();
        for _ in 0..100 {
            c.send_to(b"x", at).unwrap();
            runtime::yield_now();
        }
        let got: i32 = hs.into_iter().map(|h| h.join().unwrap()).sum();
        assert_eq!(got, 100);
    });
}

#[test]
fn what_became_of_a_datagram_is_told_later() {
    everywhere(|| {
        // It hears nobody but another one, and so keeps the port for nobody.
        let (deaf, other) = (socket(), socket());
        let at = deaf.local_addr().unwrap();
        deaf.connect(other.local_addr().unwrap()).unwrap();
        let a = Arc::new(socket());
        a.connect(at).unwrap();
        let h = runtime::go!({
            let a = a.clone();
            move || a.recv(&mut [0]).unwrap_err().kind()
        });
        runtime::time::sleep(Duration::from_millis(1));
        let _ = a.send(b"x");
        assert_eq!(h.join().unwrap(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_group_gets_what_is_sent_to_it() {
    everywhere(|| {
        let member = UdpSocket::bind("0.0.0.0:0").unwrap();
        let group = Ipv4Addr::new(239, 255, 77, 9);
        let local = Ipv4Addr::LOCALHOST;
        if member.join_multicast_v4(&group, &local).is_err() {
            return; // this host has no groups
        }
        let port = member.local_addr().unwrap().port();
        let h = runtime::go!(move || {
            member
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let mut buf = [0; 16];
            let got = member.recv(&mut buf).map(|n| buf[..n].to_vec());
            member.leave_multicast_v4(&group, &local).unwrap();
            got
        });
        let sender = socket();
        socket2::SockRef::from(&sender)
            .set_multicast_if_v4(&local)
            .unwrap();
        sender.set_multicast_loop_v4(true).unwrap();
        sender.send_to(b"all", (group, port)).unwrap();
        assert_eq!(h.join().unwrap().unwrap(), b"all");
    });
}
