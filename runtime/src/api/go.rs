//! The `go!` macro.

/// Spawns a goroutine, as [`spawn`](crate::spawn()), and returns its
/// [`JoinHandle`](crate::JoinHandle). Three forms:
///
/// * `go!(closure)` runs the closure.
/// * `go!(f(a, b))` evaluates `f`, `a` and `b` now and makes the call later, on the goroutine, as
///   Go's `go f(a, b)` does. `f` is a path (`work`, `my::module::work`, `parse::<u32>`) or an
///   expression in parentheses.
/// * `go!(name = "reader", ...)` gives the goroutine a name, which panics and traces show.
///
/// ```
/// use runtime::go;
///
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let mut n = 1;
///     let sum = go!(add(n, 2)); // n is read here
///     n = 100;
///     let text = go!(name = "formatter", move || format!("{n}"));
///     assert_eq!(sum.join().unwrap(), 3);
///     assert_eq!(text.name().as_deref(), Some("formatter"));
///     assert_eq!(text.join().unwrap(), "100");
/// });
/// ```
///
/// What a goroutine captures must be [`Send`] and `'static`; a goroutine may move to another
/// thread at each wait, so values that are tied to a thread (a guard of `std::sync::Mutex`, an
/// `Rc` out of a thread-local) must not live across one. Rust's types cannot say this for
/// values made inside the goroutine: see docs/soundness.md.
///
/// # Panics
/// On a plain thread, if no runtime runs.
#[macro_export]
macro_rules! go {
    (name = $name:expr, $($what:tt)+) => {
        $crate::__go!(@form (::core::option::Option::Some(::std::boxed::Box::<str>::from($name))) $($what)+)
    };
    ($($what:tt)+) => {
        $crate::__go!(@form (::core::option::Option::None) $($what)+)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __go {
    // A call by path: bind the function, then each argument, in source order.
    (@form $name:tt $f:ident $(:: $g:ident)* ($($args:tt)*)) => {
        $crate::__go!(@call $name ($f $(:: $g)*) ($($args)*))
    };
    (@form $name:tt $f:ident $(:: $g:ident)* ::<$($t:ty),* $(,)?> ($($args:tt)*)) => {
        $crate::__go!(@call $name ($f $(:: $g)* ::<$($t),*>) ($($args)*))
    };
    (@form $name:tt :: $f:ident $(:: $g:ident)* ($($args:tt)*)) => {
        $crate::__go!(@call $name (:: $f $(:: $g)*) ($($args)*))
    };
    (@form $name:tt ($f:expr) ($($args:tt)*)) => {
        $crate::__go!(@call $name ($f) ($($args)*))
    };
    (@form ($name:expr) $closure:expr $(,)?) => {
        $crate::__spawn_named($name, $closure)
    };
    (@call $name:tt ($($f:tt)*) ($($args:tt)*)) => {{
        let function = $($f)*;
        $crate::__go!(@bind $name function () ($($args)*))
    }};
    // The name `argument` differs in each expansion, by hygiene.
    (@bind $name:tt $f:ident ($($bound:ident)*) ($next:expr $(, $($more:tt)*)?)) => {{
        let argument = $next;
        $crate::__go!(@bind $name $f ($($bound)* argument) ($($($more)*)?))
    }};
    (@bind ($name:expr) $f:ident ($($bound:ident)*) ()) => {
        $crate::__spawn_named($name, move || $f($($bound),*))
    };
}
