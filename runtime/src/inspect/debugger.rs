//! What a debugger must know to find the goroutines of a process, or of its core file: one static table of where
//! things are, read by `runtime/gdb/weft-gdb.py` and by nothing in the program.
//!
//! Why not by the types in the debug information? A program that is built with `debug = 1` has none, and the insides
//! of `Vec`, of mutexes and of corosensei would have to be known to the script. A table needs no
//! more than its symbol.
//!
//! The script reads it as words, in this order: who changes it changes [`VERSION`], and the script.

use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicUsize;
use crate::fiber;
use crate::g::G;
use crate::g::registry::{CHUNK, LISTED, Listed};
use crate::g::status::{StatusWord, WaitReason};
use crate::g::tag::TagCell;
use crate::m::M;
use std::mem::offset_of;
use std::ptr;

/// Which table it is.
const VERSION: usize = 1;
/// Begins and ends the table, so that the script knows that it has found it.
const MAGIC: usize = usize::from_ne_bytes(*b"weft gdb");

/// A text, in words.
#[derive(Clone, Copy)]
#[repr(C)]
struct Text {
    at: *const u8,
    len: usize,
}

/// See the top of this file.
#[repr(C)]
struct Table {
    magic: usize,
    version: usize,
    /// Where the chunks of Gs are, and how many: see [`Listed`].
    chunks: &'static Listed,
    /// Gs in each.
    chunk: usize,
    /// A G: its size, and where in it things are. (Status: 32 bits. Reason: 8. The others: words.)
    size: usize,
    id: usize,
    status: usize,
    reason: usize,
    fiber: usize,
    m: usize,
    tag: usize,
    /// Where in what a fiber leads to the saved stack pointer is, plus one; 0: not known.
    saved: AtomicUsize,
    /// Where in a tag its name is: a text, whose address is null if there is none.
    name: usize,
    /// Where in an M its number and its thread's id are, both 32 bits.
    m_id: usize,
    m_tid: usize,
    /// The names of wait reasons, and how many.
    reasons_len: usize,
    reasons: [Text; WaitReason::COUNT],
    end: usize,
}

// SAFETY: the texts are static.
unsafe impl Sync for Table {}

const REASONS: [Text; WaitReason::COUNT] = {
    let mut all = [Text {
        at: ptr::null(),
        len: 0,
    }; WaitReason::COUNT];
    let mut i = 0;
    while i < all.len() {
        let text = WaitReason::ALL[i].as_str();
        all[i] = Text {
            at: text.as_ptr(),
            len: text.len(),
        };
        i += 1;
    }
    all
};

/// The table of this process. Found by its name.
#[used]
static WEFT_DEBUGGER_TABLE: Table = Table {
    magic: MAGIC,
    version: VERSION,
    chunks: &LISTED,
    chunk: CHUNK,
    size: size_of::<G>(),
    id: offset_of!(G, id),
    status: offset_of!(G, status) + StatusWord::STATUS,
    reason: offset_of!(G, status) + StatusWord::REASON,
    fiber: offset_of!(G, fiber),
    m: offset_of!(G, m),
    tag: offset_of!(G, tag),
    saved: AtomicUsize::new(0),
    name: TagCell::NAME,
    m_id: offset_of!(M, id),
    m_tid: offset_of!(M, tid),
    reasons_len: WaitReason::COUNT,
    reasons: REASONS,
    end: MAGIC,
};

/// Fills in what is known only at run time. (And it keeps the table in the program.)
pub(crate) fn prepare() {
    let saved = fiber::saved_stack_pointer().map_or(0, |at| at + 1);
    // Relaxed: who reads it has stopped the process, or looks at what is left of it.
    WEFT_DEBUGGER_TABLE.saved.store(saved, Ordering::Relaxed);
}
