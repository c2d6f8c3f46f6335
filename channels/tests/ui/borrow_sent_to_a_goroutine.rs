//! A goroutine that may outlive its parent receives nothing borrowed from it.

fn main() {
    let rt = runtime::start(2);
    rt.run(|| {
        let text = String::from("short");
        let (tx, rx) = channels::bounded::<&str>(1);
        runtime::go!(move || rx.recv().map(str::len));
        tx.send(&text).unwrap();
    });
}
