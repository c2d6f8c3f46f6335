//! The interface apart from sending and receiving: what handles say of their channel, iterators,
//! nil channels, errors, and capacities out of the ordinary.

mod common;

use channels::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError, bounded, unbounded,
};
use common::support::{is_child, within_minute};
use common::{KINDS, Side, channel, each_world};
use std::error::Error;
use std::fmt::{Debug, Display};

#[test]
fn a_bounded_channel_counts_its_values_on_both_ends() {
    each_world(|_| {
        let (tx, rx) = bounded(3);
        assert_eq!((tx.capacity(), rx.capacity()), (Some(3), Some(3)));
        for i in 0..3 {
            assert_eq!((tx.len(), rx.len()), (i, i));
            assert_eq!((tx.is_empty(), rx.is_empty()), (i == 0, i == 0));
            assert!(!tx.is_full() && !rx.is_full());
            tx.send(i).unwrap();
        }
        assert!(tx.is_full() && rx.is_full() && !tx.is_empty() && !rx.is_empty());
        assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
        rx.recv().unwrap();
        assert_eq!((tx.len(), rx.len()), (2, 2));
        assert!(!tx.is_full());
    });
}

#[test]
fn an_unbounded_channel_is_never_full() {
    each_world(|_| {
        let (tx, rx) = unbounded();
        assert_eq!((tx.capacity(), rx.capacity()), (None, None));
        for i in 0..200 {
            assert_eq!(tx.len(), i);
            assert!(!tx.is_full() && !rx.is_full());
            tx.try_send(i).unwrap();
        }
        for i in 0..200 {
            assert_eq!(rx.len(), 200 - i);
            assert_eq!(rx.try_recv(), Ok(i));
        }
        assert!(tx.is_empty() && rx.is_empty());
    });
}

#[test]
fn an_unbuffered_channel_is_empty_and_full_at_once() {
    each_world(|world| {
        let (tx, rx) = bounded(0);
        assert_eq!((tx.capacity(), rx.capacity()), (Some(0), Some(0)));
        let looks = |tx: &Sender<u8>, rx: &Receiver<u8>| {
            assert!(tx.is_empty() && tx.is_full() && rx.is_empty() && rx.is_full());
            assert_eq!((tx.len(), rx.len()), (0, 0));
        };
        looks(&tx, &rx);
        assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        let tx2 = tx.clone();
        let sender = world.spawn(Side::Sends, move || tx2.send(2));
        world.wait_parked(1);
        looks(&tx, &rx); // one who waits is not a value in the channel
        assert_eq!(rx.try_recv(), Ok(2));
        sender.join().unwrap();
        let rx2 = rx.clone();
        let receiver = world.spawn(Side::Receives, move || rx2.recv());
        world.wait_parked(1);
        looks(&tx, &rx);
        assert_eq!(tx.try_send(3), Ok(()));
        assert_eq!(receiver.join(), Ok(3));
    });
}

#[test]
fn handles_know_whether_they_share_a_channel() {
    for kind in KINDS {
        let (tx, rx) = channel::<u8>(kind);
        let (tx2, rx2) = channel::<u8>(kind);
        assert!(tx.same_channel(&tx.clone()) && rx.same_channel(&rx.clone()));
        assert!(!tx.same_channel(&tx2) && !rx.same_channel(&rx2));
        assert!(!tx.same_channel(&Sender::nil()) && !rx.same_channel(&Receiver::nil()));
    }
    assert!(Sender::<u8>::nil().same_channel(&Sender::nil()));
    assert!(Receiver::<u8>::nil().same_channel(&Receiver::nil()));
}

#[test]
fn a_channel_lives_until_the_last_clone_of_a_side_goes() {
    for kind in [Some(2), None] {
        let (tx, rx) = channel(kind);
        let txs: Vec<_> = (0..5).map(|_| tx.clone()).collect();
        let rxs: Vec<_> = (0..5).map(|_| rx.clone()).collect();
        drop((tx, rx));
        for rx in rxs.into_iter().skip(1) {
            txs[0].send(1).unwrap();
            assert_eq!(rx.recv(), Ok(1));
            drop(rx);
        }
        // (skip(1) has dropped one, the loop the others.)
        assert_eq!(txs[0].send(2), Err(SendError(2)));

        let (tx, rx) = channel(kind);
        let txs: Vec<_> = (0..5).map(|_| tx.clone()).collect();
        drop(tx);
        for (i, tx) in txs.into_iter().enumerate() {
            assert!(!rx.is_closed());
            tx.send(i).unwrap();
            assert_eq!(rx.recv(), Ok(i));
        }
        assert_eq!(rx.recv(), Err(RecvError));
    }
}

#[test]
fn values_go_with_the_last_receiver_for_each_kind() {
    // crossbeam-channel keeps those of a bounded channel until the senders are gone too.
    for kind in [Some(1), Some(3), None] {
        let (tx, rx) = channel(kind);
        let value = std::sync::Arc::new(1);
        tx.send(value.clone()).unwrap();
        drop(rx);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
        assert!(tx.is_empty() && !tx.is_full());
        assert_eq!((tx.len(), tx.capacity()), (0, kind));
    }
}

#[test]
fn iterators_end_where_they_should() {
    each_world(|world| {
        let (tx, rx) = bounded(4);
        assert_eq!(rx.try_iter().next(), None);
        (0..4).for_each(|i| tx.send(i).unwrap());
        let mut try_iter = rx.try_iter();
        assert_eq!(try_iter.next(), Some(0));
        tx.send(4).unwrap();
        assert_eq!(try_iter.by_ref().collect::<Vec<_>>(), [1, 2, 3, 4]);
        tx.send(5).unwrap();
        assert_eq!(try_iter.next(), Some(5), "it goes on when there is more");

        let sender = world.spawn(Side::Sends, move || {
            (0..20).for_each(|i| tx.send(i).unwrap());
        });
        let mut iter = rx.iter();
        assert_eq!(iter.next(), Some(0));
        let mut sum = 0;
        for i in &rx {
            sum += i;
            if i == 10 {
                break;
            }
        }
        assert_eq!(sum, 55);
        let mut rest = rx.into_iter();
        assert_eq!(
            rest.by_ref().collect::<Vec<_>>(),
            (11..20).collect::<Vec<_>>()
        );
        assert_eq!(rest.next(), None);
        assert_eq!(rest.next(), None);
        sender.join();
    });
}

#[test]
fn dropping_an_owning_iterator_disconnects() {
    let (tx, rx) = unbounded();
    let mut iter = rx.into_iter();
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(iter.next(), Some(1));
    drop(iter);
    assert_eq!(tx.send(3), Err(SendError(3)));
    assert_eq!(tx.len(), 0);
}

#[test]
fn operations_on_nil_channels_that_do_not_wait() {
    const TX: Sender<String> = Sender::nil();
    const RX: Receiver<String> = Receiver::nil();
    each_world(|_| {
        let (tx, rx) = (TX.clone(), RX.clone());
        assert_eq!(tx.try_send("x".into()), Err(TrySendError::Full("x".into())));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(rx.try_iter().count(), 0);
        assert_eq!((tx.len(), rx.len()), (0, 0));
        assert_eq!((tx.capacity(), rx.capacity()), (Some(0), Some(0)));
        assert!(tx.is_empty() && tx.is_full() && rx.is_empty() && rx.is_full());
        assert!(!tx.close() && !rx.close());
        assert!(!tx.is_closed() && !rx.is_closed());
    });
}

#[test]
fn a_nil_channel_blocks_a_thread_for_ever() {
    within_minute(|| {
        // The thread is left behind; it ends with the process.
        let t = std::thread::spawn(|| Receiver::<u8>::nil().recv());
        let u = std::thread::spawn(|| Sender::<u8>::nil().send(1));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!t.is_finished() && !u.is_finished());
    });
}

/// The texts of an error.
fn texts(e: &(impl Display + Debug)) -> [String; 4] {
    [
        format!("{e}"),
        format!("{e:?}"),
        format!("{e:#?}"),
        format!("{e:>60}{e:<60?}"),
    ]
}

fn is_error<E: Error>(e: &E) -> bool {
    let _: &dyn Error = e;
    e.source().is_none()
}

#[test]
fn error_texts_are_those_of_crossbeam_channel() {
    use crossbeam_channel as xb;
    macro_rules! same {
        ($($name:ident $(($arg:expr))?;)*) => {
            $(assert_eq!(texts(&$name $(($arg))?), texts(&xb::$name $(($arg))?));)*
        };
        ($ty:ident: $($name:ident $(($arg:expr))?;)*) => {
            $(assert_eq!(texts(&$ty::$name $(($arg))?), texts(&xb::$ty::$name $(($arg))?));
            assert!(is_error(&$ty::$name $(($arg))?));)*
        };
    }
    same! { SendError(1); RecvError; }
    same! { TrySendError: Full(1); Disconnected(1); }
    same! { SendTimeoutError: Timeout(1); Disconnected(1); }
    same! { TryRecvError: Empty; Disconnected; }
    same! { RecvTimeoutError: Timeout; Disconnected; }
    assert!(is_error(&SendError(1)) && is_error(&RecvError));
    // The value in an error need not be printable.
    struct Opaque;
    assert!(format!("{:?}", SendError(Opaque)).contains("SendError(..)"));
}

#[test]
fn debug_texts_of_handles_and_iterators_are_those_of_crossbeam_channel() {
    use crossbeam_channel as xb;
    let (tx, rx) = bounded::<u8>(1);
    let (tx2, rx2) = xb::bounded::<u8>(1);
    assert_eq!(format!("{tx:?} {rx:?}"), format!("{tx2:?} {rx2:?}"));
    assert_eq!(
        format!(
            "{:?} {:?} {:?}",
            rx.iter(),
            rx.try_iter(),
            rx.clone().into_iter()
        ),
        format!(
            "{:?} {:?} {:?}",
            rx2.iter(),
            rx2.try_iter(),
            rx2.clone().into_iter()
        ),
    );
}

#[test]
fn errors_give_their_values_back_and_convert_into_each_other() {
    assert_eq!(SendError("v").into_inner(), "v");
    assert_eq!(TrySendError::Full("v").into_inner(), "v");
    assert_eq!(TrySendError::Disconnected("v").into_inner(), "v");
    assert_eq!(SendTimeoutError::Timeout("v").into_inner(), "v");
    assert_eq!(SendTimeoutError::Disconnected("v").into_inner(), "v");
    let full = TrySendError::Full(1);
    assert!(full.is_full() && !full.is_disconnected());
    let gone = TrySendError::from(SendError(1));
    assert!(gone == TrySendError::Disconnected(1) && gone.is_disconnected() && !gone.is_full());
    let late = SendTimeoutError::Timeout(1);
    assert!(late.is_timeout() && !late.is_disconnected());
    let gone = SendTimeoutError::from(SendError(1));
    assert!(gone == SendTimeoutError::Disconnected(1) && gone.is_disconnected());
    assert!(!gone.is_timeout());
    assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
    assert_eq!(
        RecvTimeoutError::from(RecvError),
        RecvTimeoutError::Disconnected
    );
    assert!(TryRecvError::Empty.is_empty() && TryRecvError::Disconnected.is_disconnected());
    assert!(!TryRecvError::Empty.is_disconnected() && !TryRecvError::Disconnected.is_empty());
    assert!(RecvTimeoutError::Timeout.is_timeout());
    assert!(RecvTimeoutError::Disconnected.is_disconnected());
    // Copy, Clone and Eq as far as the value allows.
    let e = SendError(1);
    let f = e;
    assert_eq!(e, f);
    assert_ne!(TrySendError::Full(1), TrySendError::Disconnected(1));
}

#[test]
fn a_capacity_beyond_the_address_space_panics_with_a_clear_text() {
    each_world(|_| {
        for cap in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8 + 1] {
            let payload = std::panic::catch_unwind(|| bounded::<u64>(cap)).unwrap_err();
            let text = payload.downcast_ref::<String>().unwrap();
            assert!(text.contains(&cap.to_string()), "{text}");
            assert!(text.contains("does not fit the address space"), "{text}");
        }
        // The thread or goroutine is in order afterwards.
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        assert_eq!(rx.recv(), Ok(1));
    });
}

#[test]
fn a_capacity_beyond_memory_ends_the_process_as_other_allocations_do() {
    const NAME: &str = "a_capacity_beyond_memory_ends_the_process_as_other_allocations_do";
    if is_child(NAME) {
        drop(bounded::<u8>(isize::MAX as usize / 2));
        return;
    }
    let limit = std::time::Duration::from_secs(60);
    let out = common::support::child(NAME, &[], limit);
    assert!(!out.status.success());
    assert!(
        out.stderr.contains("memory allocation of"),
        "{}",
        out.stderr
    );
}

#[test]
fn values_without_size_take_any_capacity() {
    each_world(|world| {
        let (tx, rx) = bounded::<()>(usize::MAX);
        assert_eq!(tx.capacity(), Some(usize::MAX));
        let sender = world.spawn(Side::Sends, move || {
            (0..1000).for_each(|_| tx.try_send(()).unwrap());
            assert_eq!(tx.len(), 1000);
            assert!(!tx.is_full());
        });
        sender.join();
        assert_eq!(rx.iter().count(), 1000);
        let (tx, rx) = bounded::<()>(2);
        tx.send(()).unwrap();
        tx.send(()).unwrap();
        assert!(tx.is_full() && tx.try_send(()).is_err());
        drop(tx);
        assert_eq!(rx.iter().count(), 2);
    });
}
