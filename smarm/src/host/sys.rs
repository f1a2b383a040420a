//! The few system calls that reactor, I/O and sockets share.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use super::Direction;

/// Turns the -1 of a system call into its error.
pub(crate) fn check<T: From<i8> + PartialEq>(result: T) -> io::Result<T> {
    if result == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The span as the kernel wants it; one beyond its range becomes its longest.
pub(crate) fn timespec(span: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}

/// Blocks this thread until `fd` is ready, hung up or in error, and says whether it is; for
/// `timeout` at most, for ever with `None`, and not at all with zero.
///
/// # Errors
/// `EBADF` for a closed descriptor; [`io::ErrorKind::Interrupted`] after a signal.
pub(crate) fn poll_fd(
    fd: BorrowedFd<'_>,
    direction: Direction,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let events = match direction {
        Direction::Read => libc::POLLIN | libc::POLLRDHUP,
        Direction::Write => libc::POLLOUT,
    };
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    let span = timeout.map(timespec);
    let span = span.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `entry` is one valid pollfd, `span` is null or points to a timespec that lives to
    // the end of this function, and the null mask leaves the signals alone.
    check(unsafe { libc::ppoll(&mut entry, 1, span, ptr::null()) })?;
    if entry.revents & libc::POLLNVAL != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    Ok(entry.revents != 0)
}
