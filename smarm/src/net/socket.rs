//! What all sockets share: a socket of std's, made non-blocking, with its registration and its
//! timeouts. A kind of socket adds its system calls, and no loop.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::host::sys::check;
use crate::host::{Attempt, Direction};
use crate::io::deadline_after;
use crate::io::registration::{Registration, uninterrupted};

/// A non-blocking socket, of which `S` is std's type.
pub(in crate::net) struct Socket<S> {
    /// Stands before the descriptor, so that its source ends before that is closed.
    registration: Registration,
    inner: S,
    pub(in crate::net) read_timeout: Timeout,
    pub(in crate::net) write_timeout: Timeout,
    /// Calls that would wait fail instead.
    nonblocking: AtomicBool,
}

/// What a [`Socket`] may be around.
#[cfg(not(feature = "sim"))]
pub(in crate::net) trait Inner: AsFd {}

#[cfg(not(feature = "sim"))]
impl<S: AsFd> Inner for S {}

#[cfg(feature = "sim")]
pub(in crate::net) use super::simulated::Inner;

impl<S: Inner> Socket<S> {
    /// A socket around one that is non-blocking already.
    pub(in crate::net) fn new(inner: S) -> Socket<S> {
        Socket {
            registration: Registration::new(),
            inner,
            read_timeout: Timeout::none(),
            write_timeout: Timeout::none(),
            nonblocking: AtomicBool::new(false),
        }
    }

    /// A socket around one whose mode may be any.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub(in crate::net) fn adopt(inner: S) -> io::Result<Socket<S>> {
        crate::io::set_nonblocking(&inner, true)?;
        Ok(Socket::new(inner))
    }

    /// A second handle, around a duplicate of the descriptor, with the same settings.
    pub(in crate::net) fn duplicate(&self, inner: S) -> Socket<S> {
        Socket {
            registration: Registration::new(),
            inner,
            read_timeout: self.read_timeout.copy(),
            write_timeout: self.write_timeout.copy(),
            nonblocking: AtomicBool::new(self.nonblocking.load(Ordering::Relaxed)),
        }
    }

    pub(in crate::net) fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Whether a call that would block waits.
    pub(in crate::net) fn waits(&self) -> bool {
        !self.nonblocking.load(Ordering::Relaxed)
    }

    pub(in crate::net) fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the socket up, still non-blocking.
    pub(in crate::net) fn into_inner(self) -> S {
        let Socket { registration, inner, .. } = self;
        drop(registration);
        inner
    }

    /// Waits with the read timeout.
    pub(in crate::net) fn read(&self, attempt: impl FnMut() -> io::Result<Attempt>) -> io::Result<usize> {
        self.run(Direction::Read, self.read_timeout.deadline(), attempt)
    }

    /// Waits with the write timeout.
    pub(in crate::net) fn write(&self, attempt: impl FnMut() -> io::Result<Attempt>) -> io::Result<usize> {
        self.run(Direction::Write, self.write_timeout.deadline(), attempt)
    }

    /// See [`Registration::run`]; without a wait if the handle is set so.
    pub(in crate::net) fn run(
        &self,
        direction: Direction,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> io::Result<Attempt>,
    ) -> io::Result<usize> {
        if !self.waits() {
            return uninterrupted(&mut attempt)?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
        }
        #[cfg(feature = "sim")]
        if let Some(simulated) = self.inner.simulated() {
            return crate::sim::wait(simulated, direction, deadline, attempt);
        }
        self.registration.run(self.as_fd(), direction, deadline, attempt)
    }

    /// See [`Registration::poll`].
    pub(in crate::net) fn poll(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        attempt: &mut dyn FnMut() -> io::Result<Attempt>,
    ) -> Poll<io::Result<usize>> {
        #[cfg(feature = "sim")]
        if let Some(simulated) = self.inner.simulated() {
            return crate::sim::poll(simulated, direction, cx, attempt);
        }
        self.registration.poll(self.as_fd(), direction, cx, attempt)
    }
}

impl<S: Inner> AsFd for Socket<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// How long a wait may take: nanoseconds, zero for no limit.
pub(in crate::net) struct Timeout(AtomicU64);

impl Timeout {
    const fn none() -> Timeout {
        Timeout(AtomicU64::new(0))
    }

    fn copy(&self) -> Timeout {
        Timeout(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero, as in std.
    pub(in crate::net) fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(zero_timeout());
        }
        // 585 years serve for more.
        let nanos = timeout.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    pub(in crate::net) fn span(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(in crate::net) fn deadline(&self) -> Option<Instant> {
        self.span().and_then(deadline_after)
    }
}

/// The error for a timeout of zero, with which nothing could ever wait.
pub(in crate::net) fn zero_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero: use None for no limit")
}

/// Accepts one connection, non-blocking from the start; `None` if there is none. The peer's address goes
/// into `storage`.
pub(in crate::net) fn accept(
    listener: BorrowedFd<'_>,
    storage: Option<&mut libc::sockaddr_storage>,
) -> io::Result<Option<OwnedFd>> {
    let mut len = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let (address, len) = match storage {
        Some(storage) => (ptr::from_mut(storage).cast(), &raw mut len),
        None => (ptr::null_mut(), ptr::null_mut()),
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: `address` is null, or has room for `len` bytes; both live through the call.
    match check(unsafe { libc::accept4(listener.as_raw_fd(), address, len, flags) }) {
        // SAFETY: the descriptor was opened just now, and nobody else knows it.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
