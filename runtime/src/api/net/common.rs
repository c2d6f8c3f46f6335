//! What the types have in common, written once: conversions, deadlines, closing, reading and writing.

/// For a type whose field `0` is a `Socket`: the traits of descriptors, and conversions from and into std's type.
macro_rules! descriptor {
    ($name:ident, $std:ty) => {
        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.fd().as_raw_fd()
            }
        }

        /// The descriptor is given up, blocking unless `set_nonblocking` said otherwise.
        impl IntoRawFd for $name {
            fn into_raw_fd(self) -> RawFd {
                self.0.into_fd().into_raw_fd()
            }
        }

        /// The descriptor is made non-blocking; if its user had made it so, that is kept as `set_nonblocking`.
        impl FromRawFd for $name {
            unsafe fn from_raw_fd(fd: RawFd) -> $name {
                // SAFETY: the caller's promise.
                $name(Socket::from_fd(unsafe { OwnedFd::from_raw_fd(fd) }))
            }
        }

        /// The descriptor is made non-blocking; if its user had made it so, that is kept as `set_nonblocking`.
        impl From<OwnedFd> for $name {
            fn from(fd: OwnedFd) -> $name {
                $name(Socket::from_fd(fd))
            }
        }

        /// The descriptor is given up, blocking unless `set_nonblocking` said otherwise.
        impl From<$name> for OwnedFd {
            fn from(socket: $name) -> OwnedFd {
                socket.0.into_fd()
            }
        }

        /// Timeouts and the non-blocking flag are kept.
        impl From<$std> for $name {
            fn from(socket: $std) -> $name {
                OwnedFd::from(socket).into()
            }
        }

        /// Timeouts and the non-blocking flag are kept.
        impl From<$name> for $std {
            fn from(socket: $name) -> $std {
                OwnedFd::from(socket).into()
            }
        }
    };
}

/// Methods that all types have.
macro_rules! any_socket {
    () => {
        /// The pending error of the socket (`SO_ERROR`), which is cleared by the question.
        ///
        /// # Errors
        /// If the system cannot tell.
        pub fn take_error(&self) -> io::Result<Option<io::Error>> {
            self.0.sock().take_error()
        }

        /// Whether operations fail with [`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock)
        /// where they would wait. Clones share it. The caller neither parks nor blocks then.
        ///
        /// # Errors
        /// Never: the answer is std's.
        pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            self.0.set_nonblocking(nonblocking);
            Ok(())
        }

        /// Ends the socket for all who use it: every wait for it, of goroutines and of threads, and
        /// every operation from now on fails with
        /// [`ErrorKind::NotConnected`](std::io::ErrorKind::NotConnected). The other end sees an end
        /// of the stream; for clones and other copies it is as after `shutdown` of both
        /// directions. The descriptor is given back when the value is dropped.
        pub fn close(&self) {
            self.0.close();
        }
    };
}

/// Methods of the types that carry data.
macro_rules! data_socket {
    () => {
        /// How long each operation that reads may wait. It then fails with
        /// [`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock), and can be repeated: nothing
        /// is lost. Clones share it.
        ///
        /// # Errors
        /// [`ErrorKind::InvalidInput`](std::io::ErrorKind::InvalidInput) for a duration of zero.
        pub fn set_read_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
            self.0.set_timeout(Side::Read, dur)
        }

        /// As [`Self::set_read_timeout`], for operations that write.
        ///
        /// # Errors
        /// As [`Self::set_read_timeout`].
        pub fn set_write_timeout(&self, dur: Option<Duration>) -> io::Result<()> {
            self.0.set_timeout(Side::Write, dur)
        }

        /// What [`Self::set_read_timeout`] has set.
        ///
        /// # Errors
        /// Never: the answer is std's.
        pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
            Ok(self.0.timeout(Side::Read))
        }

        /// What [`Self::set_write_timeout`] has set.
        ///
        /// # Errors
        /// Never: the answer is std's.
        pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
            Ok(self.0.timeout(Side::Write))
        }

        /// When operations of this handle that read end (Go's `SetReadDeadline`): from then on
        /// they fail with [`ErrorKind::TimedOut`](std::io::ErrorKind::TimedOut), also if there is
        /// something to read, until it is set anew. Goroutines that wait already are bound by it,
        /// too; a plain thread that waits may keep the deadline with which it began.
        pub fn set_read_deadline(&self, deadline: Option<Instant>) {
            self.0.set_deadline(Side::Read, deadline);
        }

        /// As [`Self::set_read_deadline`], for operations that write.
        pub fn set_write_deadline(&self, deadline: Option<Instant>) {
            self.0.set_deadline(Side::Write, deadline);
        }
    };
}

/// `shutdown`.
macro_rules! shutdown_socket {
    () => {
        /// Ends reading, writing, or both, for all handles of the socket. Those who wait to read find an
        /// end of the stream.
        ///
        /// # Errors
        /// If the socket is not connected.
        pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            self.0.sock().shutdown(how)
        }
    };
}

/// `Read` and `Write` of a stream; `$read` reads into one buffer.
macro_rules! stream_io {
    ($name:ident, $read:expr) => {
        impl Read for &$name {
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let read: fn(&Socket, &mut [u8]) -> io::Result<usize> = $read;
                read(&self.0, buf)
            }

            #[inline]
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.read_vectored(bufs)
            }
        }

        impl Write for &$name {
            #[inline]
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0.write(buf)
            }

            #[inline]
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.0.write_vectored(bufs)
            }

            #[inline]
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Read for $name {
            #[inline]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }

            #[inline]
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl Write for $name {
            #[inline]
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }

            #[inline]
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            #[inline]
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// The time to live of an IP socket.
macro_rules! ip_socket {
    () => {
        /// Sets the time to live of the packets sent (`IP_TTL`).
        ///
        /// # Errors
        /// Those of the system.
        pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
            self.0.sock().set_ttl_v4(ttl)
        }

        /// The time to live of the packets sent.
        ///
        /// # Errors
        /// Those of the system.
        pub fn ttl(&self) -> io::Result<u32> {
            self.0.sock().ttl_v4()
        }

        /// The address of this end.
        ///
        /// # Errors
        /// Those of the system.
        pub fn local_addr(&self) -> io::Result<SocketAddr> {
            ip_addr(&self.0.sock().local_addr()?)
        }
    };
}

pub(in crate::api::net) use {
    any_socket, data_socket, descriptor, ip_socket, shutdown_socket, stream_io,
};

/// The address of an IP socket.
pub(super) fn ip_addr(addr: &socket2::SockAddr) -> std::io::Result<std::net::SocketAddr> {
    addr.as_socket().ok_or_else(|| {
        // As std says of a descriptor that is something else.
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "invalid argument")
    })
}
