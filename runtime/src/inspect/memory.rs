//! Copies of memory that others may be writing, or giving back, at the same time.

use std::mem::size_of_val;

/// Copies the words from the address on. False if any of them cannot be read.
pub(crate) fn read(at: usize, into: &mut [usize]) -> bool {
    let bytes = size_of_val(into);
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: bytes,
    };
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(at),
        iov_len: bytes,
    };
    // SAFETY: writes at most `bytes` to `into`. What is read is the kernel's to check: it copies, so
    // that no access of this program races with those who write there.
    let n = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    n == bytes as isize
}

/// One word.
pub(crate) fn read_word(at: usize) -> Option<usize> {
    let mut word = [0];
    read(at, &mut word).then_some(word[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_copied_and_what_is_not_is_an_error() {
        let words = [1, 2, 3usize];
        let mut copy = [0; 3];
        assert!(read(words.as_ptr().addr(), &mut copy));
        assert_eq!(copy, words);
        assert_eq!(read_word(words.as_ptr().addr() + 8), Some(2));
        assert_eq!(read_word(8), None);
        assert_eq!(read_word(usize::MAX - 7), None);
    }
}
