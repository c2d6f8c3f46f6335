//! The line in front of a panic's report that says which goroutine it was.

use super::report;
use crate::atomics::Ordering;
use crate::m::current;
use std::sync::Once;

/// Puts a line in front of the report of a panic that says which goroutine it was. The report
/// itself stays with the hook that was there before.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return; // hooks cannot be changed now; the next start will
    }
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // SAFETY: the calling thread's own M, or null.
            if let Some(m) = unsafe { current().as_ref() }
                // SAFETY: the goroutine that runs here, and so is not finished.
                && let Some(g) = unsafe { m.curg.load(Ordering::Relaxed).as_ref() }
            {
                let mut who = String::new();
                // SAFETY: as above.
                let _ = unsafe { g.describe(&mut who) };
                // (Not by `eprintln!`, which panics if it cannot write: here that is the end of the process.)
                report::write(&format!("\n{who} panicked:\n"));
            }
            previous(info);
        }));
    });
}
