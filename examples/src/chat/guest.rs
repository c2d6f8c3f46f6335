//! One client: a reader and a writer.

use super::{Event, Hub, Line, Member};
use crate::serve::{Guest, Stream};
use channels::{Receiver, bounded};
use runtime::net::Shutdown;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer lines are taken in parts.
const LONGEST_LINE: usize = 1000;

/// Longer names are refused.
const LONGEST_NAME: usize = 32;

/// For a client to find a name.
const FOR_A_NAME: Duration = Duration::from_secs(60);

/// For a client that has left to take what was said before.
const TO_LISTEN: Duration = Duration::from_secs(5);

/// A client of the chat.
#[derive(Debug)]
pub struct Client<S> {
    stream: Arc<S>,
    hub: Hub,
    patience: usize,
}

impl<S: Stream> Client<S> {
    /// A client that has come, for which up to `patience` lines are kept until it takes them.
    pub fn new(stream: S, hub: Hub, patience: usize) -> Client<S> {
        Client {
            stream: Arc::new(stream),
            hub,
            patience,
        }
    }

    /// Asks for a name until there is a good one; `None` if the client leaves before.
    fn join(&self, input: &mut Lines<'_, S>) -> Option<(Line, Receiver<Line>)> {
        self.say("Your name?")?;
        loop {
            let name = Line::from(input.next()?);
            if !is_name(&name) {
                self.say("A name is 1 to 32 letters, digits, - and _. Your name?")?;
                continue;
            }
            let (lines, outbox) = bounded(self.patience.max(1));
            let (answer, is_free) = bounded(1);
            let event = Event::Join {
                name: Line::clone(&name),
                member: Member {
                    lines,
                    stream: Arc::<S>::clone(&self.stream),
                },
                answer,
            };
            self.hub.events.send(event).ok()?;
            if is_free.recv().ok()? {
                return Some((name, outbox));
            }
            self.say("That name is taken. Your name?")?;
        }
    }

    fn say(&self, line: &str) -> Option<()> {
        self.stream
            .write_shared(format!("{line}\n").as_bytes())
            .ok()
    }

    fn write(&self, lines: Receiver<Line>) {
        let mut text = String::new();
        for line in &lines {
            text.clear();
            // What has gathered goes out at once.
            for line in std::iter::once(line).chain(lines.try_iter()) {
                // A String takes everything.
                let _ = writeln!(text, "{line}");
            }
            if self.stream.write_shared(text.as_bytes()).is_err() {
                break;
            }
        }
        // The reader ends, too.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn read(&self, name: &Line, input: &mut Lines<'_, S>) {
        while let Some(text) = input.next() {
            let name = Line::clone(name);
            let event = match text.trim() {
                "" => continue,
                "/quit" => return,
                "/who" => Event::Who { name },
                _ => Event::Say { name, text },
            };
            if self.hub.events.send(event).is_err() {
                return;
            }
        }
    }
}

impl<S: Stream> Guest for Client<S> {
    fn run(&self) {
        let mut input = Lines::new(&*self.stream);
        // Also to hear what is wrong with one.
        let end = Some(Instant::now() + FOR_A_NAME);
        self.stream.set_read_deadline(end);
        self.stream.set_write_deadline(end);
        let Some((name, outbox)) = self.join(&mut input) else {
            return;
        };
        self.stream.set_read_deadline(None);
        self.stream.set_write_deadline(None);
        runtime::scope(|s| {
            s.spawn(|| self.write(outbox));
            self.read(&name, &mut input);
            // The hub drops the writer's channel. If the hub is gone, so is that.
            let _ = self.hub.events.send(Event::Leave { name });
            // What was said before may still be read, but not for ever.
            let end = Instant::now() + TO_LISTEN;
            self.stream.set_write_deadline(Some(end));
        });
    }

    fn drain(&self) {
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

/// The lines of a stream, without their ends and without control characters.
struct Lines<'a, S> {
    stream: &'a S,
    bytes: Vec<u8>,
    /// Where the line ends that was returned last.
    used: usize,
}

impl<'a, S: Stream> Lines<'a, S> {
    fn new(stream: &'a S) -> Lines<'a, S> {
        Lines {
            stream,
            bytes: Vec::new(),
            used: 0,
        }
    }

    fn next(&mut self) -> Option<String> {
        loop {
            let rest = &self.bytes[self.used..];
            let end = rest.iter().position(|&b| b == b'\n');
            if let Some(n) = end
                .map(|n| n + 1)
                .or((rest.len() >= LONGEST_LINE).then_some(LONGEST_LINE))
            {
                self.used += n;
                let text = String::from_utf8_lossy(&rest[..n]);
                return Some(text.chars().filter(|c| !c.is_control()).collect());
            }
            self.bytes.drain(..self.used);
            self.used = 0;
            let mut piece = [0; 1024];
            match self.stream.read_shared(&mut piece) {
                Ok(n @ 1..) => self.bytes.extend_from_slice(&piece[..n]),
                // The last line may have no end.
                Ok(_) if !self.bytes.is_empty() => self.bytes.push(b'\n'),
                _ => return None,
            }
        }
    }
}
