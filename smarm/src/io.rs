//! Waiting for file descriptors, and running calls that block.
//!
//! | function | waits until |
//! |---|---|
//! | [`wait_readable`], [`wait_writable`] | a descriptor is ready |
//! | [`read`], [`write()`] | some bytes have moved |
//! | [`wait_poll`] | a poll function of somebody else's is ready |
//! | [`block_on_io`] | a closure has returned that blocks its thread |
//!
//! An actor that waits here parks, and its worker goes on with others. On a thread that is no
//! worker's, the same functions block that thread. Each wait has a form with a deadline
//! (`_deadline`) or a limit (`_timeout`), which ends with [`io::ErrorKind::TimedOut`]; a ready
//! descriptor wins over a deadline in the past. The `_async` forms are futures, which may be
//! dropped at any time.
//!
//! Descriptors are expected to be non-blocking ([`set_nonblocking`]): a read or write on one that
//! is not would block the worker with all its actors. Waiting alone is right for either kind.
//!
//! A wait in a destructor of an actor that is being killed fails with [`Cancelled`], unless the
//! descriptor is ready; and so does one in a [scope](crate::cancel) whose token was cancelled.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use std::time::Duration;
//!
//! let (mut near, mut far) = UnixStream::pair()?;
//! let nothing = smarm::io::wait_readable_timeout(&near, Duration::from_millis(1));
//! assert_eq!(nothing.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
//!
//! far.write_all(b"hello")?;
//! smarm::io::wait_readable(&near)?;
//! let mut buf = [0; 5];
//! near.read_exact(&mut buf)?;
//! assert_eq!(&buf, b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```

mod poll;
mod pool;
pub(crate) mod registration;

use std::error::Error;
use std::ffi::c_int;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::actor::park;
use crate::host::sys::{check, poll_fd};
use crate::host::{Attempt, Direction};
use registration::{Registration, moved};

pub use poll::{PollStream, wait_poll, with_reactor};
pub use pool::{block_on_io, block_on_io_async, set_block_on_io_threads};

/// The inner error of a wait that was given up because its actor is being killed, or a token of its
/// [scope](crate::cancel) was cancelled. The outer one is
/// of the kind [`io::ErrorKind::Other`], which std's helpers do not retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the wait was cancelled")
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> io::Error {
        io::Error::other(cancelled)
    }
}

/// Waits until `fd` can be read without blocking, is hung up, or has an error. A regular file
/// always can.
///
/// # Errors
/// `EBADF` for a closed descriptor; those of registering it, such as `ENOSPC` beyond
/// `fs.epoll.max_user_watches`; [`Cancelled`].
pub fn wait_readable(fd: impl AsFd) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Read, None)
}

/// Waits until `fd` can be written without blocking, is hung up, or has an error.
///
/// # Errors
/// As for [`wait_readable`].
pub fn wait_writable(fd: impl AsFd) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Write, None)
}

/// [`wait_readable`], until `deadline` at the latest.
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::TimedOut`].
pub fn wait_readable_deadline(fd: impl AsFd, deadline: Instant) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Read, Some(deadline))
}

/// [`wait_writable`], until `deadline` at the latest.
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::TimedOut`].
pub fn wait_writable_deadline(fd: impl AsFd, deadline: Instant) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Write, Some(deadline))
}

/// [`wait_readable`], for `timeout` at most.
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::TimedOut`].
pub fn wait_readable_timeout(fd: impl AsFd, timeout: Duration) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Read, deadline_after(timeout))
}

/// [`wait_writable`], for `timeout` at most.
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::TimedOut`].
pub fn wait_writable_timeout(fd: impl AsFd, timeout: Duration) -> io::Result<()> {
    wait(fd.as_fd(), Direction::Write, deadline_after(timeout))
}

/// The future of [`wait_readable`]. It is polled where a worker's turn is, natively or on tokio.
///
/// Dropped half-way, it takes its waker back; readiness that it was woken for stays with the descriptor.
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::Unsupported`] on a thread that has no reactor.
pub async fn wait_readable_async(fd: impl AsFd) -> io::Result<()> {
    wait_async(fd.as_fd(), Direction::Read).await
}

/// The future of [`wait_writable`]. It is polled where a worker's turn is, natively or on tokio.
///
/// Dropped half-way, as [`wait_readable_async`].
///
/// # Errors
/// As for [`wait_readable`], and [`io::ErrorKind::Unsupported`] on a thread that has no reactor.
pub async fn wait_writable_async(fd: impl AsFd) -> io::Result<()> {
    wait_async(fd.as_fd(), Direction::Write).await
}

/// Reads what is there into `buf`, and waits if nothing is. Gives the number of bytes; zero is the
/// end of the stream.
///
/// # Errors
/// Those of `read(2)` and of [`wait_readable`].
pub fn read(fd: impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    read_until(fd.as_fd(), buf, None)
}

/// [`read`], until `deadline` at the latest.
///
/// # Errors
/// As for [`read`], and [`io::ErrorKind::TimedOut`].
pub fn read_deadline(fd: impl AsFd, buf: &mut [u8], deadline: Instant) -> io::Result<usize> {
    read_until(fd.as_fd(), buf, Some(deadline))
}

/// Writes as much of `buf` as there is room for, and waits if there is none. Gives the number of
/// bytes.
///
/// # Errors
/// Those of `write(2)` and of [`wait_writable`].
pub fn write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    write_until(fd.as_fd(), buf, None)
}

/// [`write()`], until `deadline` at the latest.
///
/// # Errors
/// As for [`write()`], and [`io::ErrorKind::TimedOut`].
pub fn write_deadline(fd: impl AsFd, buf: &[u8], deadline: Instant) -> io::Result<usize> {
    write_until(fd.as_fd(), buf, Some(deadline))
}

/// Makes `fd` non-blocking, or blocking. The mode belongs to the open file, so duplicates of the
/// descriptor share it, also in other processes.
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL takes no argument.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let wanted: c_int = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted != flags {
        // SAFETY: F_SETFL takes an int.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, wanted) })?;
    }
    Ok(())
}

/// The deadline of a limit; one beyond the clock's range is none.
pub(crate) fn deadline_after(timeout: Duration) -> Option<Instant> {
    park::now().checked_add(timeout)
}

/// Asks the kernel, so that a wait ends only when the descriptor is ready at that moment.
pub(crate) fn attempt_to_find_ready(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<Attempt> {
    let ready = poll_fd(fd, direction, Some(Duration::ZERO))?;
    Ok(if ready { Attempt::Done(0) } else { Attempt::WouldBlock })
}

fn wait(fd: BorrowedFd<'_>, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
    Registration::new().run(fd, direction, deadline, || attempt_to_find_ready(fd, direction))?;
    Ok(())
}

async fn wait_async(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<()> {
    let registration = Registration::new();
    registration.operation(fd, direction, || attempt_to_find_ready(fd, direction)).await?;
    Ok(())
}

fn read_until(fd: BorrowedFd<'_>, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
    Registration::new().run(fd, Direction::Read, deadline, || {
        // SAFETY: the bytes of `buf` are writable for the call.
        let count = unsafe { libc::read(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
        moved(check(count).map(isize::cast_unsigned))
    })
}

fn write_until(fd: BorrowedFd<'_>, buf: &[u8], deadline: Option<Instant>) -> io::Result<usize> {
    Registration::new().run(fd, Direction::Write, deadline, || {
        // SAFETY: the bytes of `buf` are readable for the call.
        let count = unsafe { libc::write(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len()) };
        moved(check(count).map(isize::cast_unsigned))
    })
}

#[cfg(test)]
mod tests;
