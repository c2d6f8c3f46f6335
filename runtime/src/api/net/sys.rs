//! The system calls that carry data, each never blocking, whatever the descriptor's flags say: somebody
//! who has a copy of it may have changed them.
//!
//! They are made bare. The C library's functions are points at which a thread may be cancelled, as POSIX calls it: in a
//! program of several threads each of them exchanges two words atomically, which makes a call that never waits 40 to
//! 50 ns longer, or 3 % of an echo.

use crate::api::io::pollable::Done;
use libc::{SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto};
use libc::{c_long, sockaddr, socklen_t, syscall};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// As much as the kernel moves in one call. A call that asks for more is cut to it, which must not be
/// taken for a stream that ran dry.
const MAX_BYTES: usize = 0x7fff_f000;

/// As many slices as the kernel takes in one call (`UIO_MAXIOV`).
const MAX_SLICES: usize = 1024;

fn result(n: c_long) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// A stream gave or took `n` bytes of `asked`. An end of the stream (0) stays: it is no reason to wait.
#[inline]
fn done(n: usize, asked: usize) -> Done<usize> {
    match n {
        0 => Done::More(0),
        n if n < asked => Done::Short(n),
        n => Done::More(n),
    }
}

/// Receives, with flags beyond `MSG_DONTWAIT`.
#[inline]
pub(super) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8], flags: i32) -> io::Result<usize> {
    let (len, flags) = (buf.len().min(MAX_BYTES), flags | libc::MSG_DONTWAIT);
    let (from, from_len) = (ptr::null::<sockaddr>(), ptr::null::<socklen_t>());
    // SAFETY: writes at most `len` bytes into `buf`.
    result(unsafe {
        let (fd, buf) = (fd.as_raw_fd(), buf.as_mut_ptr());
        syscall(SYS_recvfrom, fd, buf, len, flags, from, from_len)
    })
}

#[inline]
pub(super) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    let (len, flags) = (
        buf.len().min(MAX_BYTES),
        libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
    );
    let (to, to_len): (*const sockaddr, c_long) = (ptr::null(), 0);
    // SAFETY: reads at most `len` bytes of `buf`.
    result(unsafe {
        let (fd, buf) = (fd.as_raw_fd(), buf.as_ptr());
        syscall(SYS_sendto, fd, buf, len, flags, to, to_len)
    })
}

/// Reads from a TCP stream.
#[inline]
pub(super) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Done<usize>> {
    recv(fd, buf, 0).map(|n| done(n, buf.len().min(MAX_BYTES)))
}

/// Writes to a stream.
#[inline]
pub(super) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<Done<usize>> {
    send(fd, buf).map(|n| done(n, buf.len().min(MAX_BYTES)))
}

/// A message of `slices`, which must live as long as it is used.
fn message(slices: *const libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zero is a message without anything.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = slices.cast_mut();
    message.msg_iovlen = count.min(MAX_SLICES) as _;
    message
}

/// How much one call moves at most.
fn asked(lens: impl Iterator<Item = usize>) -> usize {
    lens.take(MAX_SLICES)
        .fold(0, usize::saturating_add)
        .min(MAX_BYTES)
}

/// Reads from a stream of any kind. It does not say that the stream ran dry if it stopped at a message
/// that carries descriptors or credentials (which are lost, as in std).
#[inline]
pub(super) fn read_message(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> io::Result<Done<usize>> {
    let mut message = message(bufs.as_mut_ptr().cast_const().cast(), bufs.len());
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: an IoSliceMut is an iovec; writes into those of `bufs`.
    let n = result(unsafe { syscall(SYS_recvmsg, fd.as_raw_fd(), &raw mut message, flags) })?;
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Ok(Done::More(n));
    }
    Ok(done(n, asked(bufs.iter().map(|b| b.len()))))
}

/// Writes to a stream.
#[inline]
pub(super) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<Done<usize>> {
    let message = message(bufs.as_ptr().cast(), bufs.len());
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: an IoSlice is an iovec; reads those of `bufs`.
    let n = result(unsafe { syscall(SYS_sendmsg, fd.as_raw_fd(), &raw const message, flags) })?;
    Ok(done(n, asked(bufs.iter().map(|b| b.len()))))
}

/// The buffer, for calls that only write into it.
pub(super) fn uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the same memory. Those who are given it, socket2's calls that receive, write nothing but
    // bytes that are initialised.
    unsafe { &mut *(ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
}
