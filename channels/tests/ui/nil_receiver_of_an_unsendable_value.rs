//! A nil channel has a type like any other.

fn needs_send<T: Send>(_: T) {}

fn main() {
    needs_send(channels::Receiver::<std::rc::Rc<u8>>::nil());
}
