//! The hub: who is there, and who hears what.

use super::{Event, Line, Member};
use crate::serve::send_in_time;
use channels::{Receiver, Sender, bounded};
use runtime::net::Shutdown;
use runtime::{JoinHandle, go};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events under way to the hub. Readers wait when it has that many to do.
const EVENTS: usize = 64;

/// The way to the hub, which is a goroutine. It ends when all ways to it are gone.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(super) events: Sender<Event>,
}

impl Hub {
    /// Starts one.
    pub fn start() -> (Hub, JoinHandle<()>) {
        let (events, inbox) = bounded(EVENTS);
        (Hub { events }, go!(name = "hub", run(inbox)))
    }
}

/// Those who are there, in the order of their names.
#[derive(Default)]
struct Room(BTreeMap<Line, Member>);

fn run(events: Receiver<Event>) {
    let mut room = Room::default();
    for event in events {
        match event {
            Event::Join {
                name,
                member,
                answer,
            } => {
                let free = !room.0.contains_key(&name);
                // Who asked may have gone; then nobody would ever say that it leaves.
                if answer.send(free).is_ok() && free {
                    room.0.insert(Line::clone(&name), member);
                    room.tell(&format!("* {name} has joined"), None);
                }
            }
            Event::Say { name, text } if room.has(&name) => {
                room.tell(&format!("{name}: {text}"), Some(&name));
            }
            Event::Who { name } if room.has(&name) => {
                let all: Vec<_> = room.0.keys().map(|name| &**name).collect();
                let line = format!("* here: {}", all.join(", "));
                room.tell_those(&line, |other| *other == name);
            }
            Event::Leave { name } if room.has(&name) => {
                room.0.remove(&name);
                room.tell(&format!("* {name} has left"), None);
            }
            // They have been sent away, and do not know it yet.
            Event::Say { .. } | Event::Who { .. } | Event::Leave { .. } => {}
        }
    }
}

impl Room {
    /// Whether this very one is there.
    fn has(&self, name: &Line) -> bool {
        let there = self.0.get_key_value(name);
        there.is_some_and(|(there, _)| Arc::ptr_eq(there, name))
    }

    /// Tells everybody but one.
    fn tell(&mut self, line: &str, but: Option<&Line>) {
        self.tell_those(line, |name| Some(name) != but);
    }

    /// Tells some; sends away those who do not keep up, and tells that to all others.
    fn tell_those(&mut self, line: &str, who: impl Fn(&Line) -> bool) {
        let mut slow = self.send(line.into(), who);
        while !slow.is_empty() {
            let line = format!("* {} did not keep up and has left", slow.join(", "));
            slow = self.send(line.into(), |_| true);
        }
    }

    fn send(&mut self, line: Line, who: impl Fn(&Line) -> bool) -> Vec<String> {
        let mut slow = Vec::new();
        let mut end = None;
        self.0.retain(|name, member| {
            let keeps_up = !who(name) || send_in_time(&member.lines, Line::clone(&line), &mut end);
            if !keeps_up {
                // Its writer may wait for the client, for ever.
                let _ = member.stream.shutdown(Shutdown::Both);
                slow.push(name.to_string());
            }
            keeps_up
        });
        slow
    }
}
