//! `Select`: a select over a list that is made at run time, and completed by hand.
//!
//! The types of its operations are erased until the chosen one is completed. What has been received
//! by then is inside the [`SelectedOperation`], as bytes; what will be sent comes with the call that
//! completes it (`meet.rs` says what is between the two).

use super::arm::{Arm, Won};
use super::run::{How, Until, run};
use super::selected::{Place, Release, SelectedOperation, release};
use crate::error::{ReadyTimeoutError, SelectTimeoutError, TryReadyError, TrySelectError};
use crate::head::Head;
use crate::meet::Sending;
use crate::{Receiver, Sender};
use runtime::park::WaitReason;
use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::time::{Duration, Instant};

/// Selects from a list of operations on channels: waits until one of them is ready, and does it. If
/// several are ready, a random one is chosen.
///
/// An operation is ready if it need not wait; also if it will fail, since its channel is closed or
/// disconnected. [`select!`](crate::select!) is easier to use where the list is known when the program
/// is written.
///
/// There are two ways to go on from a list:
///
/// * [`try_select`](Select::try_select), [`select`](Select::select) and
///   [`select_timeout`](Select::select_timeout) choose an operation, which has then begun, and must
///   be completed by [`SelectedOperation::send`] or [`SelectedOperation::recv`].
/// * [`try_ready`](Select::try_ready), [`ready`](Select::ready) and
///   [`ready_timeout`](Select::ready_timeout) say which operation is ready, and do nothing. Somebody
///   else may be faster, and the answer may be wrong: try the operation, and ask again.
///
/// ```
/// use channels::{Receiver, RecvError, Select};
///
/// fn recv_from_any<T>(receivers: &[Receiver<T>]) -> Result<T, RecvError> {
///     let mut select = Select::new();
///     for r in receivers {
///         select.recv(r);
///     }
///     let oper = select.select();
///     let index = oper.index();
///     oper.recv(&receivers[index])
/// }
///
/// let (tx, rx) = channels::unbounded();
/// tx.send(1).unwrap();
/// assert_eq!(recv_from_any(&[channels::never(), rx]), Ok(1));
/// ```
pub struct Select<'a> {
    /// In the order in which they were added.
    arms: Vec<Arm<'a>>,
    /// What goes with each of the arms.
    opers: Vec<Oper>,
    next_index: usize,
    biased: bool,
}

/// What is known of an operation beside its arm.
struct Oper {
    index: usize,
    /// The address of the handle.
    handle: *const (),
    place: Place,
    release: unsafe fn(&Head, Sending),
}

// SAFETY: the list itself holds no values but while it is borrowed by a call; values that it has taken
// are only moved as bytes, and dropped by nobody but who has the handle of their type.
unsafe impl Send for Select<'_> {}
// SAFETY: as above; all methods take it by unique reference.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// An empty list.
    ///
    /// ```
    /// assert!(channels::Select::new().try_select().is_err(), "there is nothing to select");
    /// ```
    pub fn new() -> Select<'a> {
        Select {
            arms: Vec::with_capacity(4),
            opers: Vec::with_capacity(4),
            next_index: 0,
            biased: false,
        }
    }

    /// An empty list, of which always the first operation that is ready is chosen.
    ///
    /// ```
    /// use channels::{Select, unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// tx.send(1).unwrap();
    /// let mut select = Select::new_biased();
    /// let first = select.recv(&rx);
    /// select.send(&tx); // ready, too
    /// assert_eq!(select.ready(), first);
    /// ```
    pub fn new_biased() -> Self {
        Select {
            biased: true,
            ..Select::new()
        }
    }

    fn add(&mut self, arm: Arm<'a>, handle: *const (), place: Place, release: Release) -> usize {
        let index = self.next_index;
        self.next_index += 1;
        self.arms.push(arm);
        self.opers.push(Oper {
            index,
            handle,
            place,
            release,
        });
        index
    }

    /// Adds a send, and returns its index.
    ///
    /// ```
    /// let (tx, _rx) = channels::unbounded::<i32>();
    /// let mut select = channels::Select::new();
    /// assert_eq!(select.send(&tx), 0);
    /// assert_eq!(select.send(&tx), 1);
    /// ```
    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        let handle = ptr::from_ref(s).cast();
        self.add(Arm::send(s), handle, Place::nothing(), release::<T>)
    }

    /// Adds a receive, and returns its index.
    ///
    /// ```
    /// let (_tx, rx) = channels::unbounded::<i32>();
    /// let mut select = channels::Select::new();
    /// assert_eq!(select.recv(&rx), 0);
    /// ```
    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        let handle = ptr::from_ref(r).cast();
        let arm = Arm::recv(r, ptr::null_mut::<T>());
        self.add(arm, handle, Place::new(Layout::new::<T>()), release::<T>)
    }

    /// Removes an operation. Indices are not used again.
    ///
    /// ```
    /// use channels::{Select, unbounded};
    ///
    /// let (tx, rx) = unbounded::<i32>();
    /// let (gone, closed) = unbounded::<i32>();
    /// drop(gone);
    ///
    /// let mut select = Select::new();
    /// let (a, b) = (select.recv(&rx), select.recv(&closed));
    /// let oper = select.select();
    /// assert_eq!(oper.index(), b);
    /// assert!(oper.recv(&closed).is_err());
    /// select.remove(b); // or it would be chosen again and again
    ///
    /// tx.send(1).unwrap();
    /// let oper = select.select();
    /// assert_eq!(oper.index(), a);
    /// assert_eq!(oper.recv(&rx), Ok(1));
    /// ```
    ///
    /// # Panics
    /// If there is no such operation, or it was removed before.
    pub fn remove(&mut self, index: usize) {
        let at = self.opers.binary_search_by_key(&index, |o| o.index);
        let at = at.expect("there is no operation with this index");
        self.arms.remove(at);
        self.opers.remove(at);
    }

    /// Chooses an operation if one is ready.
    ///
    /// ```
    /// use channels::{Select, unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert!(select.try_select().is_err());
    /// tx.send(1).unwrap();
    /// assert_eq!(select.try_select().unwrap().recv(&rx), Ok(1));
    /// ```
    ///
    /// # Errors
    /// If none is ready.
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.run_select(Until::Now).ok_or(TrySelectError)
    }

    /// Waits until an operation is ready, and chooses it.
    ///
    /// ```
    /// use channels::{Select, bounded};
    /// use std::thread;
    ///
    /// let (tx, rx) = bounded(0);
    /// let (tx2, rx2) = bounded::<i32>(0);
    /// thread::spawn(move || tx.send(1));
    ///
    /// let mut select = Select::new();
    /// let (first, _) = (select.recv(&rx), select.recv(&rx2));
    /// let oper = select.select();
    /// assert_eq!(oper.index(), first);
    /// assert_eq!(oper.recv(&rx), Ok(1));
    /// # drop(tx2);
    /// ```
    ///
    /// # Panics
    /// If the list is empty: it would wait for ever.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.must_not_be_empty();
        match self.run_select(Until::Forever) {
            Some(oper) => oper,
            None => self.failed(),
        }
    }

    /// Waits until an operation is ready, at most for a time, and chooses it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_tx, rx) = channels::bounded::<i32>(0);
    /// let mut select = channels::Select::new();
    /// select.recv(&rx);
    /// assert!(select.select_timeout(Duration::from_millis(5)).is_err());
    /// ```
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_until(Instant::now().checked_add(timeout))
    }

    /// Waits until an operation is ready, at most until a point in time, and chooses it.
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let (_tx, rx) = channels::bounded::<i32>(0);
    /// let mut select = channels::Select::new();
    /// select.recv(&rx);
    /// assert!(select.select_deadline(Instant::now()).is_err());
    /// ```
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_until(Some(deadline))
    }

    fn select_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let until = deadline.map_or(Until::Forever, Until::Deadline);
        self.run_select(until).ok_or(SelectTimeoutError)
    }

    /// The index of an operation that is ready now.
    ///
    /// ```
    /// let (tx, rx) = channels::unbounded();
    /// let mut select = channels::Select::new();
    /// let index = select.recv(&rx);
    /// assert!(select.try_ready().is_err());
    /// tx.send(1).unwrap();
    /// assert_eq!(select.try_ready(), Ok(index));
    /// ```
    ///
    /// # Errors
    /// If none is ready.
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.run_ready(Until::Now).ok_or(TryReadyError)
    }

    /// Waits until an operation is ready, and returns its index. It may be wrong: try the operation,
    /// and ask again.
    ///
    /// ```
    /// use channels::{Select, bounded};
    /// use std::thread;
    ///
    /// let (tx, rx) = bounded(0);
    /// thread::spawn(move || tx.send(1));
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// let value = loop {
    ///     select.ready();
    ///     if let Ok(value) = rx.try_recv() {
    ///         break value;
    ///     }
    /// };
    /// assert_eq!(value, 1);
    /// ```
    ///
    /// # Panics
    /// If the list is empty: it would wait for ever.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        self.must_not_be_empty();
        // Without an answer the goroutine unwinds already: as good as any.
        self.run_ready(Until::Forever)
            .unwrap_or(self.opers[0].index)
    }

    /// Waits until an operation is ready, at most for a time, and returns its index.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (tx, _rx) = channels::bounded(1);
    /// let mut select = channels::Select::new();
    /// let index = select.send(&tx);
    /// assert_eq!(select.ready_timeout(Duration::from_millis(5)), Ok(index));
    /// tx.send(1).unwrap();
    /// assert!(select.ready_timeout(Duration::from_millis(5)).is_err());
    /// ```
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Instant::now().checked_add(timeout))
    }

    /// Waits until an operation is ready, at most until a point in time, and returns its index.
    ///
    /// ```
    /// let (_tx, rx) = channels::bounded::<i32>(0);
    /// let mut select = channels::Select::new();
    /// select.recv(&rx);
    /// assert!(select.ready_deadline(std::time::Instant::now()).is_err());
    /// ```
    ///
    /// # Errors
    /// If none was ready in time.
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.ready_until(Some(deadline))
    }

    fn ready_until(&mut self, deadline: Option<Instant>) -> Result<usize, ReadyTimeoutError> {
        let until = deadline.map_or(Until::Forever, Until::Deadline);
        self.run_ready(until).ok_or(ReadyTimeoutError)
    }

    #[track_caller]
    fn must_not_be_empty(&self) {
        assert!(
            !self.opers.is_empty(),
            "no operations have been added to `Select`"
        );
    }

    fn how(&self, ready: bool) -> How {
        How {
            biased: self.biased,
            ready,
            reason: WaitReason::Select,
        }
    }

    fn run_ready(&mut self, until: Until) -> Option<usize> {
        let how = self.how(true);
        // SAFETY: nothing is received.
        let (at, _) = unsafe { run(&mut self.arms, how, until)? };
        Some(self.opers[at].index)
    }

    fn run_select(&mut self, until: Until) -> Option<SelectedOperation<'a>> {
        for (arm, oper) in self.arms.iter_mut().zip(&mut self.opers) {
            arm.elem = match oper.place.layout {
                Some(_) => oper.place.elem(),
                None => ptr::null_mut(),
            };
        }
        let how = self.how(false);
        // SAFETY: each arm that receives has a place.
        let (at, won) = unsafe { run(&mut self.arms, how, until)? };
        Some(self.selected(at, won))
    }

    fn selected(&mut self, at: usize, won: Won) -> SelectedOperation<'a> {
        let oper = &mut self.opers[at];
        SelectedOperation {
            index: oper.index,
            handle: oper.handle,
            head: self.arms[at].head(),
            place: match won {
                // The value goes with its place.
                Won::Received => oper.place.take(),
                Won::Closed | Won::Sending(_) => Place::nothing(),
            },
            won: Some(won),
            release: oper.release,
            _handles: PhantomData,
        }
    }

    /// What an endless select of a goroutine that is unwinding comes to: an operation that fails.
    #[cold]
    fn failed(&mut self) -> SelectedOperation<'a> {
        self.selected(0, Won::Closed)
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        let copy = |o: &Oper| Oper {
            place: o.place.layout.map_or_else(Place::nothing, Place::new),
            ..*o
        };
        Select {
            arms: self.arms.iter().map(Arm::again).collect(),
            opers: self.opers.iter().map(copy).collect(),
            ..*self
        }
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Select::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}
