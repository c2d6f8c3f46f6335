//! Goroutines that keep the network busy.

use runtime::net::UnixStream;
use runtime::{JoinHandle, go};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Two goroutines that send a byte to and fro, until told to stop, and count.
pub fn exchange(stop: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let (stop, count) = (stop.clone(), count.clone());
    go!(move || {
        let mut byte = [0];
        while there.read(&mut byte).unwrap() == 1 {
            there.write_all(&byte).unwrap();
        }
    });
    go!(move || {
        while !stop.load(SeqCst) {
            here.write_all(b"!").unwrap();
            here.read_exact(&mut [0]).unwrap();
            count.fetch_add(1, SeqCst);
        }
    })
}
