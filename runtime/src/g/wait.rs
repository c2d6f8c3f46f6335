//! What a goroutine waits for, as it says itself when it parks: for dumps and traces, which look at it
//! from outside. Nobody's behaviour depends on it.
//!
//! Those who look copy plain words out of memory that may be gone at any moment, and believe them only
//! if the goroutine turns out to have been parked all the while (`inspect/`). So a [`Subject`] says
//! where an object's words are, and has no code to be run on it.

use super::status::WaitReason;
use std::ptr;

/// A kind of object that is waited on, and what of it a dump shows.
#[derive(Debug)]
pub struct Subject {
    /// What dumps call it: `chan`, `mutex`.
    pub kind: &'static str,
    /// How many bytes of it are its own bookkeeping: pointers in there keep nobody alive.
    pub size: usize,
    /// Its words, by name.
    pub fields: &'static [Field],
    /// It is a list of several objects, of which any may end the wait (a select).
    pub list: Option<List>,
}

impl Subject {
    /// A kind of object of which nothing but the address is shown.
    pub const fn named(kind: &'static str) -> Subject {
        Subject {
            kind,
            size: 0,
            fields: &[],
            list: None,
        }
    }
}

/// One word of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in dumps.
    pub name: &'static str,
    /// Where it is: bytes from the object's address.
    pub offset: usize,
    /// How it is to be read.
    pub as_: Encoding,
}

/// How a word is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// A number of 64 bits.
    U64,
    /// A number of 32 bits.
    U32,
    /// A `usize` of which the largest value means that there is no limit.
    Limit,
    /// An address; not shown.
    Address,
    /// How many bytes the object is from its address on: what leads there leads to it. Not shown.
    Size,
    /// A flag: whether these bits of the byte are set.
    Flag(u8),
}

/// How the objects of a list lie in memory: the address of a wait on one is that of a [`ListHead`], which
/// leads to items of this shape.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Bytes from one item to the next.
    pub stride: usize,
    /// Where the word is that says what an item is.
    pub tag: usize,
    /// Where its object's address is.
    pub object: usize,
    /// What it is, by its tag: what it is waited on for, and its kind. `None`: nothing that could ever
    /// become ready.
    pub kinds: &'static [Option<(WaitReason, &'static Subject)>],
}

/// The first words of a list of objects.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ListHead {
    /// The first of them.
    pub first: *const (),
    /// How many there are.
    pub len: usize,
}

/// A wait: why, and on what.
///
/// The object must exist while the caller waits. It is looked at as plain memory, and only then.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub(crate) reason: WaitReason,
    pub(crate) on: *const (),
    pub(crate) what: Option<&'static Subject>,
}

impl Wait {
    /// A wait on `object`, of which `what` says what it is.
    #[inline(always)]
    pub const fn on<T: ?Sized>(
        reason: WaitReason,
        object: *const T,
        what: &'static Subject,
    ) -> Wait {
        Wait {
            reason,
            on: object.cast(),
            what: Some(what),
        }
    }
}

/// A wait on nothing that others could see.
impl From<WaitReason> for Wait {
    #[inline(always)]
    fn from(reason: WaitReason) -> Wait {
        Wait {
            reason,
            on: ptr::null(),
            what: None,
        }
    }
}
