//! What is in a channel lives as long as the channel, whose end runs destructors.

struct Prints<'a>(&'a str);

impl Drop for Prints<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

fn main() {
    let (tx, _rx) = channels::bounded(1);
    let text = String::from("short");
    tx.send(Prints(&text)).unwrap();
}
