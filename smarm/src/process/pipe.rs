//! The parent's ends of a child's pipes.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::task::{Context, Poll};

use crate::host::sys::check;
use crate::host::{Attempt, Direction};
use crate::io::registration::{Registration, moved_of};
use crate::io::set_nonblocking;

/// A non-blocking end of a pipe.
pub(super) struct Pipe {
    /// Stands before the descriptor, so that its source ends before that is closed.
    registration: Registration,
    fd: OwnedFd,
}

impl Pipe {
    fn new(fd: OwnedFd) -> io::Result<Pipe> {
        set_nonblocking(&fd, true)?;
        Ok(Pipe { registration: Registration::new(), fd })
    }

    /// Reads what is there, if anything is.
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<Attempt> {
        // SAFETY: the bytes of `buf` are writable for the call.
        let count = unsafe { libc::read(self.fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
        moved_of(buf.len(), check(count).map(isize::cast_unsigned))
    }

    fn try_write(&self, buf: &[u8]) -> io::Result<Attempt> {
        // SAFETY: the bytes of `buf` are readable for the call.
        let count = unsafe { libc::write(self.fd.as_raw_fd(), buf.as_ptr().cast(), buf.len()) };
        moved_of(buf.len(), check(count).map(isize::cast_unsigned))
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.registration.run(self.fd.as_fd(), Direction::Read, None, || self.try_read(buf))
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.registration.run(self.fd.as_fd(), Direction::Write, None, || self.try_write(buf))
    }

    async fn read_async(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.registration.operation(self.fd.as_fd(), Direction::Read, || self.try_read(buf)).await
    }

    async fn write_async(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.registration.operation(self.fd.as_fd(), Direction::Write, || self.try_write(buf)).await
    }

    /// Reading for poll functions; only the waker of the last call is kept. `buf` is not empty.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.registration.poll(self.fd.as_fd(), Direction::Read, cx, &mut || self.try_read(buf))
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

macro_rules! ends {
    ($($(#[$doc:meta])* $type:ident;)+) => {$(
        $(#[$doc])*
        pub struct $type {
            pub(super) pipe: Pipe,
        }

        /// Makes the pipe's end non-blocking.
        impl TryFrom<std::process::$type> for $type {
            type Error = io::Error;

            fn try_from(end: std::process::$type) -> io::Result<$type> {
                Ok($type { pipe: Pipe::new(end.into())? })
            }
        }

        /// It stays non-blocking.
        impl From<$type> for OwnedFd {
            fn from(end: $type) -> OwnedFd {
                let Pipe { registration, fd } = end.pipe;
                drop(registration);
                fd
            }
        }

        /// For another child, which gets it blocking.
        ///
        /// # Panics
        /// If the system refuses that.
        impl From<$type> for Stdio {
            fn from(end: $type) -> Stdio {
                let fd = OwnedFd::from(end);
                set_nonblocking(&fd, false).expect("an open pipe can be made blocking");
                fd.into()
            }
        }

        /// It stays non-blocking.
        impl IntoRawFd for $type {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.pipe.as_fd().as_raw_fd()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    )+};
}

ends! {
    /// Where a child's standard input comes from. Dropped, the child reads to the end.
    ChildStdin;
    /// Where a child's standard output goes.
    ChildStdout;
    /// Where a child's standard error goes.
    ChildStderr;
}

impl ChildStdin {
    /// `Write::write` for async code. Dropped half-way, nothing was written.
    ///
    /// # Errors
    /// Those of `write(2)`; [`Unsupported`](io::ErrorKind::Unsupported) if it has to wait on a thread without a
    /// reactor.
    pub async fn write_async(&self, buf: &[u8]) -> io::Result<usize> {
        self.pipe.write_async(buf).await
    }
}

macro_rules! readable {
    ($($type:ident)+) => {$(
        impl $type {
            /// `Read::read` for async code. Dropped half-way, nothing was read.
            ///
            /// # Errors
            /// Those of `read(2)`; [`Unsupported`](io::ErrorKind::Unsupported) if it has to wait on a thread
            /// without a reactor.
            pub async fn read_async(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.pipe.read_async(buf).await
            }
        }

        impl Read for $type {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.pipe.read(buf)
            }
        }

        impl Read for &$type {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.pipe.read(buf)
            }
        }
    )+};
}

readable!(ChildStdout ChildStderr);

impl Write for ChildStdin {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pipe.write(buf)
    }

    /// There is nothing to flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &ChildStdin {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pipe.write(buf)
    }

    /// There is nothing to flush.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
