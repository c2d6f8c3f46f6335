//! A value that must stay on its thread cannot go to another goroutine.

use std::rc::Rc;

fn main() {
    let rt = runtime::start(2);
    rt.run(|| {
        let (tx, rx) = channels::unbounded();
        runtime::go!(move || rx.recv().map(|v: Rc<u8>| *v));
        tx.send(Rc::new(1)).unwrap();
    });
}
