//! The chat server: who hears what, and what becomes of those who do not listen.

mod common;

use common::served::{PATIENCE, Served, rest};
use examples::chat::{Client, Hub};
use examples::serve::serve;
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

fn chat(patience: usize) -> Served {
    Served::start(move |listener, shutdown| {
        let (hub, running) = Hub::start();
        let ended = serve(listener, shutdown, PATIENCE, |stream| {
            Client::new(stream, hub.clone(), patience)
        });
        drop(hub);
        running.join().expect("the hub does not panic");
        ended
    })
}

/// A connection for which the system keeps little.
fn deaf_stream(served: &Served) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&served.addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

struct Person(BufReader<TcpStream>);

impl Person {
    fn come(stream: TcpStream) -> Person {
        let mut person = Person(BufReader::new(stream));
        person.hears("Your name?");
        person
    }

    fn join(served: &Served, name: &str) -> Person {
        Person::join_by(served.connect(), name)
    }

    fn join_by(stream: TcpStream, name: &str) -> Person {
        let mut person = Person::come(stream);
        person.says(name);
        person.hears(&format!("* {name} has joined"));
        person
    }

    fn says(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }
}

#[test]
fn what_one_says_the_others_hear() {
    let served = chat(64);
    let mut ann = Person::join(&served, "ann");
    let mut bob = Person::join(&served, "bob");
    ann.hears("* bob has joined");
    ann.says("hello");
    bob.hears("ann: hello");
    bob.says("  ");
    bob.says("h\u{e4}?\r");
    ann.hears("bob: h\u{e4}?");
    ann.says("/who");
    ann.hears("* here: ann, bob");
    ann.says("/quit");
    bob.hears("* ann has left");
    assert_eq!(rest(ann.0.get_mut()), "");
    let mut ann = Person::join(&served, "ann");
    bob.hears("* ann has joined");
    drop(bob);
    ann.hears("* bob has left");
    assert_eq!(served.stop().cut, 0);
    ann.hears("");
}

#[test]
fn names_are_checked() {
    let served = chat(64);
    let _ann = Person::join(&served, "ann");
    let mut other = Person::come(served.connect());
    for bad in ["", "two words", "a:b", &"x".repeat(33), "/who"] {
        other.says(bad);
        other.hears("A name is 1 to 32 letters, digits, - and _. Your name?");
    }
    other.says("ann");
    other.hears("That name is taken. Your name?");
    other.says("Zo\u{eb}_2");
    other.hears("* Zo\u{eb}_2 has joined");
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn long_lines_come_in_parts() {
    let served = chat(64);
    let mut ann = Person::join(&served, "ann");
    let mut bob = Person::join(&served, "bob");
    ann.says(&"x".repeat(2500));
    let parts: Vec<_> = (0..3).map(|_| bob.line()).collect();
    let long = "x".repeat(1000);
    assert_eq!(
        parts,
        [
            format!("ann: {long}"),
            format!("ann: {long}"),
            format!("ann: {}", "x".repeat(500))
        ]
    );
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn who_does_not_listen_is_sent_away_and_holds_nobody_up() {
    let served = chat(16);
    let mut ann = Person::join(&served, "ann");
    let mut bob = Person::join(&served, "bob");
    let deaf = Person::join_by(deaf_stream(&served), "deaf");
    ann.hears("* bob has joined");
    ann.hears("* deaf has joined");
    bob.hears("* deaf has joined");
    // More than the system's buffers hold. Bob hears all before Ann goes on, so he keeps up.
    let begin = Instant::now();
    let long = format!("{}\n", "x".repeat(900)).repeat(8);
    let mut sent_away = 0;
    while sent_away == 0 {
        ann.0.get_mut().write_all(long.as_bytes()).unwrap();
        for _ in 0..8 {
            if bob.line().starts_with("* deaf did not keep up") {
                sent_away += 1;
                bob.line();
            }
        }
        assert!(begin.elapsed() < PATIENCE, "it takes everything");
    }
    assert_eq!(sent_away, 1);
    ann.hears("* deaf did not keep up and has left");
    // The name is free again, and the old one's end does not concern the new one.
    let mut new = Person::join(&served, "deaf");
    drop(deaf);
    new.says("here again");
    ann.hears("* deaf has joined");
    ann.hears("deaf: here again");
    assert_eq!(served.stop().cut, 0);
}

#[test]
fn the_last_line_needs_no_end() {
    let served = chat(64);
    let mut ann = Person::join(&served, "ann");
    let mut bob = Person::join(&served, "bob");
    ann.0.get_mut().write_all(b"bye").unwrap();
    ann.0.get_mut().shutdown(Shutdown::Write).unwrap();
    bob.hears("ann: bye");
    bob.hears("* ann has left");
    assert_eq!(served.stop().cut, 0);
}
