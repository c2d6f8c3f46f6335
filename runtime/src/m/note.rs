//! A one-shot sleep for one thread: Go's note, on a futex; or on something else, which the waker is told
//! to poke (an M that sleeps in the poller).

use crate::atomics::Ordering;
use crate::atomics::atomic::AtomicU32;
use std::ptr;
use std::time::Duration;

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;
/// The sleeper sleeps elsewhere.
const ELSEWHERE: u32 = 3;

/// One thread sleeps on it, any other may wake it; a wake that comes first is not lost.
#[derive(Debug)]
pub(crate) struct Note(AtomicU32);

impl Note {
    pub(crate) const fn new() -> Note {
        Note(AtomicU32::new(CLEAR))
    }

    /// Wakes the sleeper, or lets its next sleep end at once.
    pub(crate) fn wake(&self) {
        self.wake_or(|| unreachable!("it sleeps nowhere else"));
    }

    /// As [`Note::wake`], of a sleeper that may sleep elsewhere, from where `poke` gets it.
    pub(crate) fn wake_or(&self, poke: impl FnOnce()) {
        // Release: pairs with the Acquire in `sleep`: what was handed over is visible there.
        match self.0.swap(SET, Ordering::Release) {
            // SAFETY: a futex wake on our own word.
            SLEEPING => unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                );
            },
            ELSEWHERE => poke(),
            _ => {}
        }
    }

    /// The sleeper goes to sleep elsewhere. False: it was woken meanwhile, and the note is clear.
    pub(crate) fn begin_elsewhere(&self) -> bool {
        // Acquire: pairs with the Release in `wake_or`, as in `end_elsewhere`.
        let clear = self
            .0
            .compare_exchange(CLEAR, ELSEWHERE, Ordering::Acquire, Ordering::Acquire)
            .is_ok();
        if !clear {
            self.0.store(CLEAR, Ordering::Relaxed);
        }
        clear
    }

    /// It is back: whether it was woken.
    pub(crate) fn end_elsewhere(&self) -> bool {
        // Acquire: pairs with the Release in `wake_or`.
        self.0.swap(CLEAR, Ordering::Acquire) == SET
    }

    /// Takes a wake that has come already.
    pub(crate) fn try_take(&self) -> bool {
        // Acquire: pairs with the Release in `wake`.
        self.0.load(Ordering::Relaxed) == SET && self.0.swap(CLEAR, Ordering::Acquire) == SET
    }

    /// Sleeps until woken, and clears the note. False if `timeout` passed first.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|t| std::time::Instant::now() + t);
        loop {
            // Acquire: pairs with the Release in `wake`.
            if self
                .0
                .compare_exchange(SET, CLEAR, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return true;
            }
            let left = match deadline {
                None => None,
                Some(d) => {
                    let left = d.saturating_duration_since(std::time::Instant::now());
                    if left.is_zero() {
                        // A wake that came just now is still taken.
                        return self.0.swap(CLEAR, Ordering::Acquire) == SET;
                    }
                    Some(libc::timespec {
                        tv_sec: left.as_secs() as libc::time_t,
                        tv_nsec: left.subsec_nanos().into(),
                    })
                }
            };
            let _ = self
                .0
                .compare_exchange(CLEAR, SLEEPING, Ordering::Relaxed, Ordering::Relaxed);
            // SAFETY: a futex wait on our own word; it returns at once if the word is not
            // SLEEPING any more.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    SLEEPING,
                    left.as_ref().map_or(ptr::null(), ptr::from_ref),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn a_wake_before_the_sleep_is_not_lost() {
        let n = Note::new();
        n.wake();
        assert!(n.sleep(None));
        assert!(!n.sleep(Some(Duration::from_millis(1))));
    }

    #[test]
    fn a_sleeper_is_woken_and_a_timeout_is_kept() {
        let n = Arc::new(Note::new());
        let t = Instant::now();
        assert!(!n.sleep(Some(Duration::from_millis(20))));
        assert!(t.elapsed() >= Duration::from_millis(20));
        let m = n.clone();
        let h = std::thread::spawn(move || m.sleep(Some(Duration::from_secs(30))));
        std::thread::sleep(Duration::from_millis(20));
        n.wake();
        assert!(h.join().unwrap());
    }
}
