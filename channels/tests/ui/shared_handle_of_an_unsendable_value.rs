//! Sharing a handle is as good as sending one.

use std::cell::Cell;

fn needs_sync<T: Sync>(_: &T) {}

fn main() {
    let (tx, rx) = channels::bounded::<&'static Cell<u8>>(1);
    needs_sync(&tx);
    needs_sync(&rx);
}
