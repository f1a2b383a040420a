//! What all sockets share: a socket of std's, made non-blocking, with its registration and its
//! timeouts. A kind of socket adds its system calls, and no loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::host::{Attempt, Direction};
use crate::io::deadline_after;
use crate::io::registration::Registration;

/// A non-blocking socket, of which `S` is std's type.
pub(super) struct Socket<S> {
    /// Stands before the descriptor, so that its source ends before that is closed.
    registration: Registration,
    inner: S,
    pub(super) read_timeout: Timeout,
    pub(super) write_timeout: Timeout,
}

impl<S: AsFd> Socket<S> {
    /// A socket around one that is non-blocking already.
    pub(super) fn new(inner: S) -> Socket<S> {
        let (read_timeout, write_timeout) = (Timeout::none(), Timeout::none());
        Socket { registration: Registration::new(), inner, read_timeout, write_timeout }
    }

    /// A socket around one whose mode may be any.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub(super) fn adopt(inner: S) -> io::Result<Socket<S>> {
        crate::io::set_nonblocking(&inner, true)?;
        Ok(Socket::new(inner))
    }

    /// A second handle, around a duplicate of the descriptor.
    pub(super) fn duplicate(&self, inner: S) -> Socket<S> {
        let (read_timeout, write_timeout) = (self.read_timeout.copy(), self.write_timeout.copy());
        Socket { registration: Registration::new(), inner, read_timeout, write_timeout }
    }

    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the socket up, still non-blocking.
    pub(super) fn into_inner(self) -> S {
        let Socket { registration, inner, .. } = self;
        drop(registration);
        inner
    }

    /// Waits with the read timeout.
    pub(super) fn read(&self, attempt: impl FnMut() -> io::Result<Attempt>) -> io::Result<usize> {
        self.run(Direction::Read, self.read_timeout.deadline(), attempt)
    }

    /// Waits with the write timeout.
    pub(super) fn write(&self, attempt: impl FnMut() -> io::Result<Attempt>) -> io::Result<usize> {
        self.run(Direction::Write, self.write_timeout.deadline(), attempt)
    }

    /// See [`Registration::run`].
    pub(super) fn run(
        &self,
        direction: Direction,
        deadline: Option<Instant>,
        attempt: impl FnMut() -> io::Result<Attempt>,
    ) -> io::Result<usize> {
        self.registration.run(self.as_fd(), direction, deadline, attempt)
    }

    /// See [`Registration::poll`].
    pub(super) fn poll(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        self.registration.poll(self.as_fd(), direction, cx, attempt)
    }
}

impl<S: AsFd> AsFd for Socket<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// How long a wait may take: nanoseconds, zero for no limit.
pub(super) struct Timeout(AtomicU64);

impl Timeout {
    const fn none() -> Timeout {
        Timeout(AtomicU64::new(0))
    }

    fn copy(&self) -> Timeout {
        Timeout(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero, as in std.
    pub(super) fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(zero_timeout());
        }
        // 585 years serve for more.
        let nanos = timeout.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn span(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.span().and_then(deadline_after)
    }
}

/// The error for a timeout of zero, with which nothing could ever wait.
pub(super) fn zero_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero: use None for no limit")
}

/// The conversions of a type with a field `socket: Socket<$std>`.
macro_rules! conversions {
    ($type:ident, $std:ty) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(self))
            }
        }

        /// Makes the socket non-blocking.
        ///
        /// # Panics
        /// If the system refuses that: it is not a socket, then.
        impl From<std::os::fd::OwnedFd> for $type {
            fn from(fd: std::os::fd::OwnedFd) -> $type {
                let socket = Socket::adopt(<$std>::from(fd));
                $type { socket: socket.expect("a socket can be made non-blocking") }
            }
        }

        /// The socket stays non-blocking.
        impl From<$type> for std::os::fd::OwnedFd {
            fn from(this: $type) -> std::os::fd::OwnedFd {
                this.socket.into_inner().into()
            }
        }

        /// Makes the socket non-blocking, and with it all duplicates.
        impl TryFrom<$std> for $type {
            type Error = std::io::Error;

            fn try_from(inner: $std) -> std::io::Result<$type> {
                Ok($type { socket: Socket::adopt(inner)? })
            }
        }

        /// Makes the socket blocking, and with it all duplicates: do not convert one of several
        /// clones. Timeouts are not carried over.
        impl TryFrom<$type> for $std {
            type Error = std::io::Error;

            fn try_from(this: $type) -> std::io::Result<$std> {
                let inner = this.socket.into_inner();
                crate::io::set_nonblocking(&inner, false)?;
                Ok(inner)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.socket.inner().fmt(f)
            }
        }
    };
}
pub(super) use conversions;
