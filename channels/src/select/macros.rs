//! `select!` and `select_biased!`, and what they expand to.
//!
//! Everything is on the stack of whoever selects: the arms, and a slot for each value that may be
//! received. Handles are evaluated once each, in the order of the source, and borrowed until the
//! choice is made; the value of a send is evaluated when it is chosen, and only then.

use super::arm::{Arm, Won};
use super::run::{How, Until, run};
use crate::error::{RecvError, SendError};
use crate::meet::Sending;
use crate::{Receiver, Sender};
use runtime::park::WaitReason;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// An arm that receives.
pub struct RecvArm<'a, T> {
    receiver: &'a Receiver<T>,
    slot: MaybeUninit<T>,
}

/// An arm that sends.
pub struct SendArm<'a, T> {
    sender: &'a Sender<T>,
}

/// A send that has been chosen.
pub struct Chosen<'a, T> {
    sender: &'a Sender<T>,
    /// `None`: done, or the channel is closed.
    sending: Option<Sending>,
}

/// An arm of `recv(receiver)`.
#[inline(always)]
pub fn recv_arm<T>(receiver: &Receiver<T>) -> RecvArm<'_, T> {
    RecvArm {
        receiver,
        slot: MaybeUninit::uninit(),
    }
}

/// An arm of `send(sender, ...)`.
#[inline(always)]
pub fn send_arm<T>(sender: &Sender<T>) -> SendArm<'_, T> {
    SendArm { sender }
}

impl<T> RecvArm<'_, T> {
    #[inline(always)]
    pub fn arm(&mut self) -> Arm<'_> {
        Arm::recv(self.receiver, self.slot.as_mut_ptr())
    }

    /// # Safety
    /// This arm was chosen.
    #[inline(always)]
    pub unsafe fn finish(self, won: Won) -> Result<T, RecvError> {
        match won {
            // SAFETY: received into this slot.
            Won::Received => Ok(unsafe { self.slot.assume_init() }),
            Won::Closed | Won::Sending(_) => Err(RecvError),
        }
    }
}

impl<'a, T> SendArm<'a, T> {
    #[inline(always)]
    pub fn arm(&mut self) -> Arm<'_> {
        Arm::send(self.sender)
    }

    /// # Safety
    /// This arm was chosen.
    #[inline(always)]
    pub unsafe fn finish(self, won: Won) -> Chosen<'a, T> {
        Chosen {
            sender: self.sender,
            sending: match won {
                Won::Sending(sending) => Some(sending),
                Won::Closed | Won::Received => None,
            },
        }
    }
}

impl<T> Chosen<'_, T> {
    #[inline(always)]
    pub fn send(mut self, value: T) -> Result<(), SendError<T>> {
        match (self.sending.take(), self.sender.chan()) {
            (Some(sending), Some(chan)) => chan.complete(sending, value).map_err(SendError),
            _ => Err(SendError(value)),
        }
    }
}

impl<T> Drop for Chosen<'_, T> {
    /// Only if the value was not made: its expression has panicked, or jumped out of the select.
    #[inline]
    fn drop(&mut self) {
        if let (Some(sending), Some(chan)) = (self.sending.take(), self.sender.chan()) {
            chan.release(sending);
        }
    }
}

const fn how(biased: bool) -> How {
    How {
        biased,
        ready: false,
        reason: WaitReason::Select,
    }
}

/// # Safety
/// Each arm is that of a `RecvArm` or a `SendArm` which is there.
#[inline]
pub unsafe fn select<const N: usize>(mut arms: [Arm<'_>; N], biased: bool) -> (usize, Won) {
    // SAFETY: the caller's promise.
    match unsafe { run(&mut arms, how(biased), Until::Forever) } {
        Some(chosen) => chosen,
        // The goroutine is unwinding: an operation that fails.
        None => (0, Won::Closed),
    }
}

/// # Safety
/// As for `select`.
#[inline]
pub unsafe fn try_select<const N: usize>(
    mut arms: [Arm<'_>; N],
    biased: bool,
) -> Option<(usize, Won)> {
    // SAFETY: the caller's promise.
    unsafe { run(&mut arms, how(biased), Until::Now) }
}

/// # Safety
/// As for `select`.
#[inline]
pub unsafe fn select_timeout<const N: usize>(
    mut arms: [Arm<'_>; N],
    biased: bool,
    timeout: Duration,
) -> Option<(usize, Won)> {
    let deadline = Instant::now().checked_add(timeout);
    let until = deadline.map_or(Until::Forever, Until::Deadline);
    // SAFETY: the caller's promise.
    unsafe { run(&mut arms, how(biased), until) }
}

/// What is after the last arm.
#[cold]
pub fn no_such_arm() -> ! {
    unreachable!("the chosen arm is one of the list")
}

/// Selects from a set of operations on channels: waits until one of them is ready, does it, and runs
/// the code of its arm. If several are ready, a random one is chosen;
/// [`select_biased!`](crate::select_biased!) takes the first.
///
/// ```text
/// select! {
///     recv(receiver) -> pattern => code,       // the pattern gets a Result<T, RecvError>
///     send(sender, value) -> pattern => code,  // a Result<(), SendError<T>>
///     default => code,                         // if none is ready; or
///     default(timeout) => code,                // if none is ready for a Duration
/// }
/// ```
///
/// There may be any number of `recv` and `send` arms, in any order, and at most one `default`. An arm
/// whose code is a block needs no comma. Of what the arms' code evaluates to, the chosen one's is
/// the value of the whole.
///
/// An operation is ready if it need not wait; also if it will fail, since its channel is closed or
/// disconnected. Nil channels ([`never`](crate::never)) are never ready. Receivers and senders are
/// evaluated once, in their order, the timeout after them; the value to be sent only if its arm is
/// chosen.
///
/// ```
/// use channels::{bounded, select};
/// use runtime::go;
///
/// let rt = runtime::start(2);
/// rt.run(|| {
///     let (numbers, next) = bounded(0);
///     let (quit, quitting) = bounded::<()>(0);
///     go!(move || {
///         for _ in 0..10 {
///             print!("{} ", next.recv().unwrap());
///         }
///         drop(quit);
///     });
///     let (mut x, mut y) = (0, 1);
///     loop {
///         select! {
///             send(numbers, x) -> _ => (x, y) = (y, x + y),
///             recv(quitting) -> _ => break,
///         }
///     }
///     assert_eq!(x, 55);
/// });
/// ```
///
/// Without waiting, and with a time limit:
///
/// ```
/// use channels::{select, unbounded};
/// use std::time::Duration;
///
/// let (tx, rx) = unbounded::<i32>();
/// let found = select! {
///     recv(rx) -> value => value.ok(),
///     default => None,
/// };
/// assert_eq!(found, None);
/// select! {
///     recv(rx) -> _ => unreachable!("nobody sends"),
///     default(Duration::from_millis(10)) => println!("timed out"),
/// }
/// # drop(tx);
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {
        $crate::__select!(@parse (false) [] [] $($arms)*)
    };
}

/// As [`select!`](crate::select!), but if several operations are ready, the first of them is chosen.
///
/// ```
/// use channels::{select_biased, unbounded};
///
/// let (urgent, first) = unbounded();
/// let (_, second) = unbounded::<i32>();
/// urgent.send(1).unwrap();
/// select_biased! {
///     recv(first) -> value => assert_eq!(value, Ok(1)),
///     recv(second) -> _ => unreachable!("it is disconnected, and so ready, but not the first"),
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => {
        $crate::__select!(@parse (true) [] [] $($arms)*)
    };
}

/// `@parse` makes a list of the arms, `@bind` nests a scope for each in which its handle is
/// evaluated, `@run` is what happens in the innermost, `@pick` the code of the arm that was chosen.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (@parse $biased:tt [] []) => {
        compile_error!("a `select!` block must not be empty")
    };
    (@parse $biased:tt $arms:tt $default:tt) => {
        $crate::__select!(@bind $biased [] $default $arms)
    };

    // The four ways to end an arm: with a comma, at the end, or after a block.
    (@parse $biased:tt $arms:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $pat:pat)? => $code:block, $($rest:tt)*) => {
        $crate::__select!(@arm $biased $arms $default
            ($kind ($($($args)*)?) ($($pat)?) ($code)) $($rest)*)
    };
    (@parse $biased:tt $arms:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $pat:pat)? => $code:expr, $($rest:tt)*) => {
        $crate::__select!(@arm $biased $arms $default
            ($kind ($($($args)*)?) ($($pat)?) ($code)) $($rest)*)
    };
    (@parse $biased:tt $arms:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $pat:pat)? => $code:expr) => {
        $crate::__select!(@arm $biased $arms $default
            ($kind ($($($args)*)?) ($($pat)?) ($code)))
    };
    (@parse $biased:tt $arms:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $pat:pat)? => $code:block $($rest:tt)*) => {
        $crate::__select!(@arm $biased $arms $default
            ($kind ($($($args)*)?) ($($pat)?) ($code)) $($rest)*)
    };
    (@parse $biased:tt $arms:tt $default:tt $($rest:tt)*) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> pattern => code`, `send(sender, value) -> pattern => code`, ",
            "`default => code` or `default(timeout) => code`, found `", stringify!($($rest)*), "`",
        ))
    };

    (@arm $biased:tt [$($arms:tt)*] $default:tt
        (recv ($receiver:expr $(,)?) ($pat:pat) $code:tt) $($rest:tt)*) => {
        $crate::__select!(@parse $biased
            [$($arms)* (recv ($receiver) () ($pat) $code)] $default $($rest)*)
    };
    (@arm $biased:tt [$($arms:tt)*] $default:tt
        (send ($sender:expr, $value:expr $(,)?) ($pat:pat) $code:tt) $($rest:tt)*) => {
        $crate::__select!(@parse $biased
            [$($arms)* (send ($sender) ($value) ($pat) $code)] $default $($rest)*)
    };
    (@arm $biased:tt $arms:tt [] (default () () $code:tt) $($rest:tt)*) => {
        $crate::__select!(@parse $biased $arms [try_select () $code] $($rest)*)
    };
    (@arm $biased:tt $arms:tt [] (default ($timeout:expr $(,)?) () $code:tt) $($rest:tt)*) => {
        $crate::__select!(@parse $biased $arms [select_timeout ($timeout) $code] $($rest)*)
    };
    (@arm $biased:tt $arms:tt [$($default:tt)+] (default $($any:tt)*) $($rest:tt)*) => {
        compile_error!("there can be only one `default` arm in a `select!` block")
    };
    (@arm $biased:tt $arms:tt $default:tt ($kind:ident ($($args:tt)*) $($any:tt)*) $($rest:tt)*) => {
        compile_error!(concat!(
            "expected `recv(receiver) -> pattern`, `send(sender, value) -> pattern`, `default` or ",
            "`default(timeout)`, found `", stringify!($kind), "(", stringify!($($args)*), ")`",
        ))
    };

    (@bind $biased:tt $bound:tt $default:tt []) => {
        $crate::__select!(@run $biased $bound $default)
    };
    (@bind $biased:tt [$($bound:tt)*] $default:tt
        [(recv ($receiver:expr) () $pat:tt $code:tt) $($rest:tt)*]) => {
        match $receiver {
            ref receiver => {
                let mut arm = $crate::internal::recv_arm(receiver);
                $crate::__select!(@bind $biased
                    [$($bound)* (arm recv () $pat $code)] $default [$($rest)*])
            }
        }
    };
    (@bind $biased:tt [$($bound:tt)*] $default:tt
        [(send ($sender:expr) $value:tt $pat:tt $code:tt) $($rest:tt)*]) => {
        match $sender {
            ref sender => {
                let mut arm = $crate::internal::send_arm(sender);
                $crate::__select!(@bind $biased
                    [$($bound)* (arm send $value $pat $code)] $default [$($rest)*])
            }
        }
    };

    (@run ($biased:tt) [$(($arm:ident $($of:tt)*))*] []) => {{
        // SAFETY: these are the arms.
        let (index, won) = unsafe { $crate::internal::select([$($arm.arm()),*], $biased) };
        $crate::__select!(@pick index won (0) [$(($arm $($of)*))*])
    }};
    (@run ($biased:tt) [$(($arm:ident $($of:tt)*))*] [$how:ident ($($timeout:expr)?) ($code:expr)]) => {{
        // SAFETY: these are the arms.
        let chosen = unsafe {
            $crate::internal::$how([$($arm.arm()),*], $biased $(, $timeout)?)
        };
        match chosen {
            $crate::internal::None => $code,
            #[allow(unused_variables)]
            $crate::internal::Some((index, won)) => {
                $crate::__select!(@pick index won (0) [$(($arm $($of)*))*])
            }
        }
    }};

    (@pick $index:ident $won:ident $n:tt []) => {
        $crate::internal::no_such_arm()
    };
    (@pick $index:ident $won:ident ($n:expr)
        [($arm:ident recv () ($pat:pat) ($code:expr)) $($rest:tt)*]) => {
        if $index == $n {
            // SAFETY: this arm was chosen.
            let $pat = unsafe { $arm.finish($won) };
            $code
        } else {
            $crate::__select!(@pick $index $won ($n + 1) [$($rest)*])
        }
    };
    (@pick $index:ident $won:ident ($n:expr)
        [($arm:ident send ($value:expr) ($pat:pat) ($code:expr)) $($rest:tt)*]) => {
        if $index == $n {
            // SAFETY: this arm was chosen.
            let chosen = unsafe { $arm.finish($won) };
            let $pat = chosen.send($value);
            $code
        } else {
            $crate::__select!(@pick $index $won ($n + 1) [$($rest)*])
        }
    };
}
