//! The skynet tree: every inner goroutine starts ten children and adds up what they send, the
//! leaves send their number.

use channels::{Sender, bounded};
use runtime::go;

/// Children of every inner node.
pub const FANOUT: u64 = 10;

/// The number of goroutines in a tree with this many leaves, or `None` if `leaves` is not a
/// power of [`FANOUT`] (the tree would not be full).
pub fn goroutines(leaves: u64) -> Option<u64> {
    let mut width = 1;
    let mut total = 1;
    while width < leaves {
        width *= FANOUT;
        total += width;
    }
    (width == leaves).then_some(total)
}

/// The sum of the numbers of all leaves, `0..leaves`, found by a tree of goroutines.
///
/// `leaves` must be a power of [`FANOUT`].
pub fn sum(leaves: u64) -> u64 {
    let (tx, rx) = bounded(0);
    go!(node(tx, 0, leaves));
    rx.recv().expect("the root of the tree sends its sum")
}

fn node(parent: Sender<u64>, first: u64, leaves: u64) {
    let value = if leaves == 1 {
        first
    } else {
        let (tx, rx) = bounded(0);
        let share = leaves / FANOUT;
        for child in 0..FANOUT {
            go!(node(tx.clone(), first + child * share, share));
        }
        // Only the children can send from here on, so a child that died ends the sum below
        // rather than blocking it.
        drop(tx);
        rx.iter().take(FANOUT as usize).sum()
    };
    parent
        .send(value)
        .expect("a parent receives from all its children");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_tree_has_as_many_goroutines_as_nodes() {
        assert_eq!(goroutines(1), Some(1));
        assert_eq!(goroutines(10), Some(11));
        assert_eq!(goroutines(1_000_000), Some(1_111_111));
        assert_eq!(goroutines(0), None);
        assert_eq!(goroutines(11), None);
    }

    #[test]
    fn the_sum_is_that_of_the_numbers_of_the_leaves() {
        for procs in [1, 2, 4] {
            let rt = runtime::start(procs);
            for leaves in [1, 10, 100, 1000] {
                assert_eq!(rt.run(|| sum(leaves)), leaves * (leaves - 1) / 2);
            }
        }
    }
}
