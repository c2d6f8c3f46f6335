//! Memory of stacks: slots carved from large mappings, each with a guard page below it.
//!
//! Knows nothing of goroutines: a slot's header has one opaque `owner` word, and the overflow
//! report asks a callback to describe it.
//!
//! ```text
//!  slab (one mmap, MAP_NORESERVE, no huge pages)
//!  +--------------------------------+--------------------------------+----
//!  | slot 0                         | slot 1                         | ...
//!  +-------+-----------------+------+-------+-----------------+------+----
//!  | guard |  <-- stack grows| head | guard |  <-- stack grows| head |
//!  | 1 page|                 |  er  |       |                 |      |
//!  +-------+-----------------+------+-------+-----------------+------+----
//!  base     limit         top                                   base + slot_size
//! ```
//!
//! The guard is a guard *marker* (`MADV_GUARD_INSTALL`, Linux 6.13), which lives in the page
//! table and splits no mapping, or, where the kernel has none, an `mprotect`ed page. With the
//! latter every stack costs two mappings, so a process ends near 32,000 stacks
//! (`vm.max_map_count`); with markers a million stacks are a few hundred mappings.

mod overflow;
mod pool;
mod slab;

pub(crate) use overflow::{AltStack, call_handler, install_handler, serve_report};
pub(crate) use pool::StackPool;
pub(crate) use slab::{HEADER_WORDS, Slot, for_each_slab};

use std::fmt;

/// How stacks are guarded against overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StackGuard {
    /// Guard markers where the kernel has them, `mprotect` elsewhere. The environment variable
    /// `RUNTIME_STACK_GUARD` (`marker` or `mprotect`) overrides this choice.
    #[default]
    Auto,
    /// Guard markers (`MADV_GUARD_INSTALL`, Linux 6.13 and later): no limit on the number of
    /// stacks but memory. Starting a runtime fails where the kernel has none.
    Marker,
    /// A page without access rights: works everywhere, about 32,000 stacks per process with the
    /// default `vm.max_map_count`.
    Mprotect,
}

/// Smallest stack that [`Builder::stack_size`](crate::Builder::stack_size) accepts, in bytes.
///
/// A panic with a captured backtrace needs about 12 KiB in release; below 16 KiB the report of a
/// fault would itself fault.
pub const MIN_STACK_SIZE: usize = 16 * 1024;

/// Largest stack that is accepted, in bytes: a slab of them must fit the user address space.
pub const MAX_STACK_SIZE: usize = 1 << 40;

/// Default size of a goroutine's stack, in bytes of address space; memory is used only as it is
/// touched, 4 KiB at a time.
pub const DEFAULT_STACK_SIZE: usize = 256 * 1024;

/// Why there is no stack to be had.
#[derive(Clone, Debug)]
pub(crate) struct StackError(String);

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The page size of this machine, in bytes.
pub(crate) fn page_size() -> usize {
    static PAGE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    // SAFETY: sysconf has no preconditions.
    *PAGE.get_or_init(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize })
}
