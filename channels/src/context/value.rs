//! Values that travel with a context.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::AtomicU8;

/// The key of values of type `T`: a `static`, whose place is its identity. (Go's keys are values of an
/// unexported type, compared; and what comes back must be asserted to be of the right type.)
///
/// ```
/// use channels::context::{Context, Key};
///
/// static USER: Key<String> = Key::new("user");
/// static DEPTH: Key<u32> = Key::new("depth");
///
/// let ctx = Context::background().with_value(&USER, "ann".to_owned());
/// let inner = ctx.with_value(&DEPTH, 1);
/// assert_eq!(inner.value(&USER).unwrap(), "ann");
/// assert_eq!(ctx.value(&DEPTH), None);
/// ```
///
/// A `const` would be a new place at each use, and is refused by the compiler:
///
/// ```compile_fail,E0716
/// use channels::context::{Context, Key};
///
/// const USER: Key<String> = Key::new("user");
/// let key: &'static Key<String> = &USER;
/// Context::background().with_value(key, "ann".to_owned());
/// ```
pub struct Key<T> {
    name: &'static str,
    /// Something that may change has a place of its own: the compiler neither merges two of it, nor
    /// lends out a constant for ever.
    _place: AtomicU8,
    _value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key. The name is for what [`Context`](super::Context) prints as; keys of the same name are
    /// different ones.
    pub const fn new(name: &'static str) -> Key<T> {
        Key {
            name,
            _place: AtomicU8::new(0),
            _value: PhantomData,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn place(&'static self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// A value and its key.
pub(super) struct Value {
    key: usize,
    pub(super) name: &'static str,
    value: Box<dyn Any + Send + Sync>,
}

impl Value {
    pub(super) fn new<T: Send + Sync + 'static>(key: &'static Key<T>, value: T) -> Value {
        Value {
            key: key.place(),
            name: key.name,
            value: Box::new(value),
        }
    }

    /// The value, if this is its key.
    pub(super) fn get<T: 'static>(&self, key: &'static Key<T>) -> Option<&T> {
        (self.key == key.place()).then(|| self.value.downcast_ref())?
    }
}
