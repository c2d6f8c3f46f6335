//! A plain request to the HTTP server allocates nothing, once its connection has its buffers.

mod common;

use common::served::Served;
use examples::httpd::Options;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counted.
struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all of it; counting does not allocate.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

#[test]
fn a_plain_request_allocates_nothing() {
    let served = Served::http(Options::default());
    let mut stream = served.connect();
    let mut response = [0; 4096];
    let mut ask = |times: usize| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..times {
            stream
                .write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
                .unwrap();
            let mut n = 0;
            while !response[..n].ends_with(b"Hello, World!") {
                n += stream.read(&mut response[n..]).unwrap();
            }
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    ask(1000);
    let allocations = ask(10_000);
    // The runtime may have to enlarge a table of its own now and then.
    assert!(allocations < 20, "{allocations} in 10000 requests");
    drop(stream);
    assert_eq!(served.stop().cut, 0);
}
