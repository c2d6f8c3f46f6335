//! A sender of long-lived references does not turn into one of short-lived ones.

fn send<'a>(tx: channels::Sender<&'static str>, text: &'a str) {
    let tx: channels::Sender<&'a str> = tx;
    tx.send(text).unwrap();
}

fn main() {
    let (tx, rx) = channels::bounded(1);
    send(tx, &String::from("short"));
    println!("{}", rx.recv().unwrap());
}
