//! A value that must stay on its thread cannot go to another thread.

use std::rc::Rc;

fn needs_send<T: Send>(_: T) {}

fn main() {
    let (tx, rx) = channels::bounded::<Rc<u8>>(1);
    needs_send(rx);
    needs_send(tx);
}
