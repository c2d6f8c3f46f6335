//! Every public item of crossbeam-channel 0.5 has a counterpart of the same name and signature.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// The interface, said once, as function pointers of exactly these types, and instantiated for both
/// crates. What does not fit does not compile.
macro_rules! interface {
    ($name:ident, $chan:ident) => {
        #[allow(
            dead_code,
            clippy::type_complexity,
            reason = "it is enough that it compiles"
        )]
        mod $name {
            use std::error::Error;
            use std::fmt::{Debug, Display};
            use std::iter::FusedIterator;
            use std::panic::{RefUnwindSafe, UnwindSafe};
            use std::time::{Duration, Instant};
            use $chan::*;

            fn functions<T>() {
                let _: fn(usize) -> (Sender<T>, Receiver<T>) = bounded;
                let _: fn() -> (Sender<T>, Receiver<T>) = unbounded;
                let _: fn(Duration) -> Receiver<Instant> = after;
                let _: fn(Instant) -> Receiver<Instant> = at;
                let _: fn(Duration) -> Receiver<Instant> = tick;
                let _: fn() -> Receiver<T> = never;
            }

            fn sender<T>() {
                type S<T> = Sender<T>;
                let _: fn(&S<T>, T) -> Result<(), TrySendError<T>> = S::try_send;
                let _: fn(&S<T>, T) -> Result<(), SendError<T>> = S::send;
                let _: fn(&S<T>, T, Duration) -> Result<(), SendTimeoutError<T>> = S::send_timeout;
                let _: fn(&S<T>, T, Instant) -> Result<(), SendTimeoutError<T>> = S::send_deadline;
                let _: fn(&S<T>) -> bool = S::is_empty;
                let _: fn(&S<T>) -> bool = S::is_full;
                let _: fn(&S<T>) -> usize = S::len;
                let _: fn(&S<T>) -> Option<usize> = S::capacity;
                let _: fn(&S<T>, &S<T>) -> bool = S::same_channel;
                let _: fn(&S<T>) -> S<T> = Clone::clone;
            }

            fn receiver<T: 'static>() {
                type R<T> = Receiver<T>;
                let _: fn(&R<T>) -> Result<T, TryRecvError> = R::try_recv;
                let _: fn(&R<T>) -> Result<T, RecvError> = R::recv;
                let _: fn(&R<T>, Duration) -> Result<T, RecvTimeoutError> = R::recv_timeout;
                let _: fn(&R<T>, Instant) -> Result<T, RecvTimeoutError> = R::recv_deadline;
                let _: fn(&R<T>) -> bool = R::is_empty;
                let _: fn(&R<T>) -> bool = R::is_full;
                let _: fn(&R<T>) -> usize = R::len;
                let _: fn(&R<T>) -> Option<usize> = R::capacity;
                let _: for<'a> fn(&'a R<T>) -> Iter<'a, T> = R::iter;
                let _: for<'a> fn(&'a R<T>) -> TryIter<'a, T> = R::try_iter;
                let _: fn(&R<T>, &R<T>) -> bool = R::same_channel;
                let _: fn(&R<T>) -> R<T> = Clone::clone;
                let _: fn(R<T>) -> IntoIter<T> = IntoIterator::into_iter;
                let _: fn(&'static R<T>) -> Iter<'static, T> = IntoIterator::into_iter;
            }

            fn select<'a, T: 'a>() {
                type S<'a> = Select<'a>;
                type O<'a> = SelectedOperation<'a>;
                let _: fn() -> S<'a> = S::new;
                let _: fn() -> S<'a> = S::new_biased;
                let _: fn() -> S<'a> = Default::default;
                let _: fn(&S<'a>) -> S<'a> = Clone::clone;
                let _: fn(&mut S<'a>, &'a Sender<T>) -> usize = S::send;
                let _: fn(&mut S<'a>, &'a Receiver<T>) -> usize = S::recv;
                let _: fn(&mut S<'a>, usize) = S::remove;
                let _: fn(&mut S<'a>) -> Result<O<'a>, TrySelectError> = S::try_select;
                let _: fn(&mut S<'a>) -> O<'a> = S::select;
                let _: fn(&mut S<'a>, Duration) -> Result<O<'a>, SelectTimeoutError> =
                    S::select_timeout;
                let _: fn(&mut S<'a>, Instant) -> Result<O<'a>, SelectTimeoutError> =
                    S::select_deadline;
                let _: fn(&mut S<'a>) -> Result<usize, TryReadyError> = S::try_ready;
                let _: fn(&mut S<'a>) -> usize = S::ready;
                let _: fn(&mut S<'a>, Duration) -> Result<usize, ReadyTimeoutError> =
                    S::ready_timeout;
                let _: fn(&mut S<'a>, Instant) -> Result<usize, ReadyTimeoutError> =
                    S::ready_deadline;
                let _: fn(&O<'a>) -> usize = O::index;
                let _: fn(O<'a>, &Sender<T>, T) -> Result<(), SendError<T>> = O::send;
                let _: fn(O<'a>, &Receiver<T>) -> Result<T, RecvError> = O::recv;
            }

            fn errors<T>() {
                let _: fn(T) -> SendError<T> = SendError;
                let _: fn(SendError<T>) -> T = SendError::into_inner;
                let _: fn(T) -> TrySendError<T> = TrySendError::Full;
                let _: fn(T) -> TrySendError<T> = TrySendError::Disconnected;
                let _: fn(TrySendError<T>) -> T = TrySendError::into_inner;
                let _: fn(&TrySendError<T>) -> bool = TrySendError::is_full;
                let _: fn(&TrySendError<T>) -> bool = TrySendError::is_disconnected;
                let _: fn(T) -> SendTimeoutError<T> = SendTimeoutError::Timeout;
                let _: fn(T) -> SendTimeoutError<T> = SendTimeoutError::Disconnected;
                let _: fn(SendTimeoutError<T>) -> T = SendTimeoutError::into_inner;
                let _: fn(&SendTimeoutError<T>) -> bool = SendTimeoutError::is_timeout;
                let _: fn(&SendTimeoutError<T>) -> bool = SendTimeoutError::is_disconnected;
                let _: [TryRecvError; 2] = [TryRecvError::Empty, TryRecvError::Disconnected];
                let _: fn(&TryRecvError) -> bool = TryRecvError::is_empty;
                let _: fn(&TryRecvError) -> bool = TryRecvError::is_disconnected;
                let _: [RecvTimeoutError; 2] =
                    [RecvTimeoutError::Timeout, RecvTimeoutError::Disconnected];
                let _: fn(&RecvTimeoutError) -> bool = RecvTimeoutError::is_timeout;
                let _: fn(&RecvTimeoutError) -> bool = RecvTimeoutError::is_disconnected;
                let _: RecvError = RecvError;
                let _: fn(SendError<T>) -> TrySendError<T> = From::from;
                let _: fn(SendError<T>) -> SendTimeoutError<T> = From::from;
                let _: fn(RecvError) -> TryRecvError = From::from;
                let _: fn(RecvError) -> RecvTimeoutError = From::from;
                let _ = (
                    TrySelectError,
                    SelectTimeoutError,
                    TryReadyError,
                    ReadyTimeoutError,
                );
            }

            fn traits<'a, T: Send + 'a>() {
                fn handle<H: Clone + Debug + Send + Sync + UnwindSafe + RefUnwindSafe>() {}
                fn list<L: Clone + Debug + Default + Send + Sync>() {}
                fn unit<E: Error + Copy + Eq + Send + Sync + 'static>() {}
                fn plain<E: Copy + Eq + Debug + Send + Sync + 'static>() {}
                fn carrying<E: Error + Debug + Display>() {}
                fn debug<D: Debug>() {}
                fn fused<I: FusedIterator>() {}
                handle::<Sender<T>>();
                handle::<Receiver<T>>();
                list::<Select<'a>>();
                debug::<SelectedOperation<'a>>();
                unit::<RecvError>();
                unit::<TryRecvError>();
                unit::<RecvTimeoutError>();
                unit::<TrySelectError>();
                unit::<SelectTimeoutError>();
                plain::<TryReadyError>();
                plain::<ReadyTimeoutError>();
                carrying::<SendError<T>>();
                carrying::<TrySendError<T>>();
                carrying::<SendTimeoutError<T>>();
                fused::<Iter<'a, T>>();
                fused::<IntoIter<T>>();
                debug::<TryIter<'a, T>>();
            }

            pub fn texts() -> Vec<String> {
                let unit: [&dyn Error; 2] = [&TrySelectError, &SelectTimeoutError];
                let mut texts: Vec<_> = unit.iter().map(|e| format!("{e} {e:?}")).collect();
                texts.push(format!("{TryReadyError:?} {ReadyTimeoutError:?}"));
                let (s, r) = unbounded();
                let mut select = Select::new();
                select.send(&s);
                let oper = select.select();
                texts.push(format!("{oper:?} {r:?}"));
                oper.send(&s, 1).unwrap();
                texts.push(format!("{select:?}"));
                texts
            }
        }
    };
}

interface!(theirs, crossbeam_channel);
interface!(ours, channels);

#[test]
fn both_crates_print_the_same() {
    assert_eq!(ours::texts(), theirs::texts());
}

/// Public names in the sources of crossbeam-channel that are not part of its interface: what is in
/// private modules.
const INTERNAL: [&str; 12] = [
    "hook",
    "init",
    "read",
    "write",
    "new",
    "select",
    "try_select",
    "select_timeout",
    "select_deadline",
    "capacity",
    "Token",
    "Operation",
];

#[test]
fn nothing_of_crossbeams_sources_is_missing_in_the_list() {
    let Some(sources) = sources() else {
        eprintln!("skipped: the sources of crossbeam-channel are not in the registry's cache");
        return;
    };
    let listed = include_str!("interface.rs");
    let mut missing = BTreeSet::new();
    for file in ["channel.rs", "err.rs", "select.rs"] {
        let text = std::fs::read_to_string(sources.join(file)).unwrap();
        // The select's machinery comes before its public part in the file.
        for line in text.lines().map(str::trim_start) {
            let name = ["pub fn ", "pub struct ", "pub enum "]
                .iter()
                .find_map(|what| line.strip_prefix(what))
                .map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .unwrap()
                });
            if let Some(name) = name
                && !INTERNAL.contains(&name)
                && !listed.contains(name)
            {
                missing.insert(name.to_owned());
            }
        }
    }
    missing.remove("Selected"); // an enum of the machinery
    assert!(missing.is_empty(), "not in the list: {missing:?}");
}

fn sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .filter_map(|r| std::fs::read_dir(r.ok()?.path()).ok())
        .flatten()
        .filter_map(|dir| Some(dir.ok()?.path()))
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("crossbeam-channel-0.5"))
        })
        .map(|p| p.join("src"))
}
