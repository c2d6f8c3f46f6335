//! Values of which each goroutine has its own: what `thread_local!` is to threads, and `contextvars` to
//! the tasks of asyncio.

use crate::g::locals::{self, Gone, Inherit, KeyId, Table};
use crate::m::locals::own_table;
use std::cell::{Cell, RefCell};
use std::fmt;

/// Declares values of which each goroutine has its own, as [`std::thread_local!`] does for threads. (A
/// `thread_local!` itself belongs to the thread, and a goroutine finds that of another one after a wait.)
///
/// ```
/// use std::cell::{Cell, RefCell};
///
/// runtime::goroutine_local! {
///     /// Lines that this goroutine has logged.
///     static LOG: RefCell<Vec<String>> = RefCell::new(Vec::new());
///     /// What this goroutine works for; its children work for the same.
///     pub static inherit REQUEST: Cell<u64> = Cell::new(0);
/// }
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     REQUEST.set(7);
///     LOG.with_borrow_mut(|log| log.push("begun".into()));
///     let child = runtime::go!(|| {
///         assert_eq!(REQUEST.get(), 7, "inherited");
///         REQUEST.set(8);
///         LOG.with_borrow(Vec::len)
///     });
///     assert_eq!(child.join().unwrap(), 0, "a log of its own");
///     assert_eq!(REQUEST.get(), 7);
/// });
/// ```
///
/// A value is made at a goroutine's first use of it, and dropped when the goroutine ends: on the
/// goroutine, after its closure has returned and been dropped, and before a `join` of it (or the end of its
/// scope) returns; the last made is the first dropped. Destructors may wait, and use other such values,
/// also ones that were not used before; a value that is gone is not made again. If one panics, the panic
/// is reported, and the next is dropped.
///
/// With `static inherit`, a goroutine that is spawned begins with a clone of its spawner's present value
/// (if the spawner has used it), made by the spawner while it spawns; the type must be [`Clone`] and
/// [`Send`]. Functions that a timer calls ([`after_func`](crate::time::after_func)) inherit nothing.
///
/// On plain threads it is the same, with the thread in the place of the goroutine; what a thread spawns
/// inherits from the thread.
#[macro_export]
macro_rules! goroutine_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static inherit $name:ident: $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::goroutine_local!($(#[$attr])* $vis static inherit $name: $t = $init);
        $crate::goroutine_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static inherit $name:ident: $t:ty = $init:expr) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$t> = {
            fn first() -> $t {
                $init
            }
            $crate::LocalKey::new_inherited(first)
        };
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::goroutine_local!($(#[$attr])* $vis static $name: $t = $init);
        $crate::goroutine_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr) => {
        $(#[$attr])*
        $vis static $name: $crate::LocalKey<$t> = {
            fn first() -> $t {
                $init
            }
            $crate::LocalKey::new(first)
        };
    };
}

/// The name of a value of which each goroutine has its own. Made by
/// [`goroutine_local!`](crate::goroutine_local!); the methods are those of [`std::thread::LocalKey`].
pub struct LocalKey<T: 'static> {
    id: KeyId,
    first: fn() -> T,
    inherit: Option<Inherit>,
}

/// The value is gone: the goroutine (or thread) is about to end, and has dropped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the goroutine-local value is gone: its goroutine is about to end")
    }
}

impl std::error::Error for AccessError {}

impl From<Gone> for AccessError {
    fn from(Gone: Gone) -> AccessError {
        AccessError
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

impl<T: 'static> LocalKey<T> {
    /// For `goroutine_local!`.
    #[doc(hidden)]
    pub const fn new(first: fn() -> T) -> LocalKey<T> {
        LocalKey {
            id: KeyId::new(),
            first,
            inherit: None,
        }
    }

    /// For `goroutine_local!`.
    #[doc(hidden)]
    pub const fn new_inherited(first: fn() -> T) -> LocalKey<T>
    where
        T: Clone + Send,
    {
        LocalKey {
            id: KeyId::new(),
            first,
            inherit: Some(locals::inherit::<T>),
        }
    }

    /// Calls `f` with the caller's value, which is made first if need be. `f` may wait.
    ///
    /// # Panics
    /// If the value is gone: in a destructor at the end of the goroutine.
    #[inline]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.value(&mut None) {
            Ok(value) => f(value),
            Err(gone) => panic!("{gone}"),
        }
    }

    /// As [`LocalKey::with`], where the value may be gone.
    ///
    /// # Errors
    /// If the value is gone.
    #[inline]
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        Ok(f(self.value(&mut None)?))
    }

    /// The caller's value; it begins with what is in `first`, if there is anything, which is then
    /// taken.
    ///
    /// The reference is good until the caller's end, so it must not be handed out: `with` limits
    /// it to a call.
    #[inline]
    fn value<'a>(&'static self, first: &mut Option<T>) -> Result<&'a T, AccessError> {
        let table: *const Table = own_table().ok_or(AccessError)?;
        let id = self.id.get();
        // SAFETY: the caller's own table; the number is this key's, whose type is T. The value is
        // used in a call of a method of this key, which ends before the caller does; it is not moved
        // or dropped before.
        unsafe {
            match locals::get::<T>(&*table, id)? {
                Some(value) => Ok(&*value),
                None => {
                    let make = || first.take().unwrap_or_else(self.first);
                    Ok(&*locals::init(&*table, id, self.inherit, make)?)
                }
            }
        }
    }

    /// Sets the value: by `set`, if it was used before.
    fn set_with(&'static self, new: T, set: impl FnOnce(&T, T)) {
        let mut new = Some(new);
        match self.value(&mut new) {
            Ok(value) => {
                if let Some(new) = new {
                    set(value, new);
                }
            }
            Err(gone) => panic!("{gone}"),
        }
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the value. If it was not used before, its initial value is not made.
    ///
    /// # Panics
    /// As [`LocalKey::with`].
    pub fn set(&'static self, value: T) {
        self.set_with(Cell::new(value), |cell, new| cell.set(new.into_inner()));
    }

    /// The value.
    ///
    /// # Panics
    /// As [`LocalKey::with`].
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value, and leaves the default one.
    ///
    /// # Panics
    /// As [`LocalKey::with`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Replaces the value, and returns the old one.
    ///
    /// # Panics
    /// As [`LocalKey::with`].
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with the value.
    ///
    /// # Panics
    /// If it is borrowed mutably, and as [`LocalKey::with`].
    pub fn with_borrow<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with the value, which it may change.
    ///
    /// # Panics
    /// If it is borrowed, and as [`LocalKey::with`].
    pub fn with_borrow_mut<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&mut T) -> R,
    {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the value. If it was not used before, its initial value is not made.
    ///
    /// # Panics
    /// If it is borrowed, and as [`LocalKey::with`].
    pub fn set(&'static self, value: T) {
        self.set_with(RefCell::new(value), |cell, new| {
            *cell.borrow_mut() = new.into_inner();
        });
    }

    /// Takes the value, and leaves the default one.
    ///
    /// # Panics
    /// If it is borrowed, and as [`LocalKey::with`].
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Replaces the value, and returns the old one.
    ///
    /// # Panics
    /// If it is borrowed, and as [`LocalKey::with`].
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
