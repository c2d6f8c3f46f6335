//! Sends back what it receives.

use crate::serve::{Guest, Stream, say_goodbye};
use runtime::net::Shutdown;

/// What is read at once. Larger ones only cost memory per connection.
const PIECE: usize = 16 * 1024;

/// A connection of the echo server.
#[derive(Debug)]
pub struct Echo<S>(pub S);

impl<S: Stream> Guest for Echo<S> {
    fn run(&self) {
        let mut piece = vec![0; PIECE];
        // Its end or an error of either direction ends the conversation.
        while let Ok(n @ 1..) = self.0.read_shared(&mut piece) {
            if self.0.write_shared(&piece[..n]).is_err() {
                break;
            }
        }
        say_goodbye(&self.0);
    }

    fn drain(&self) {
        // What has come is still sent back; then there is the end to be read.
        let _ = self.0.shutdown(Shutdown::Read);
    }

    fn cut(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
