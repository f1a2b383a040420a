//! TCP connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use super::addr::{encode, first_that_succeeds, open};
use super::byte_stream::byte_stream;
use super::handle::{conversions, handle, time_to_live, timeouts};
use super::socket::{Socket, zero_timeout};
use super::{ToSocketAddrs, stds};
use crate::host::sys::check;
use crate::host::{Attempt, Direction};
use crate::io::registration::moved;
use crate::io::{attempt_to_find_ready, deadline_after};

/// A TCP connection: [`std::net::TcpStream`] for actors.
pub struct TcpStream {
    socket: Socket<stds::TcpStream>,
}

conversions!(TcpStream, std::net::TcpStream);
handle!(TcpStream);
timeouts!(TcpStream);
time_to_live!(TcpStream);
byte_stream!(TcpStream);

impl TcpStream {
    pub(super) fn of_nonblocking(inner: stds::TcpStream) -> TcpStream {
        TcpStream { socket: Socket::new(inner) }
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// Those of resolving `addr`; of the last address tried; [`io::ErrorKind::InvalidInput`] if
    /// there is no address; [`Cancelled`](crate::io::Cancelled).
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        first_that_succeeds(addr, |addr| connect_until(addr, None))
    }

    /// Connects to `addr`, within `timeout`.
    ///
    /// # Errors
    /// As for [`connect`](TcpStream::connect); [`io::ErrorKind::TimedOut`];
    /// [`io::ErrorKind::InvalidInput`] if `timeout` is zero.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(zero_timeout());
        }
        connect_until(addr, deadline_after(timeout))
    }

    /// Waits for bytes and copies them into `buf` without taking them.
    ///
    /// # Errors
    /// Those of `recv(2)`; [`io::ErrorKind::TimedOut`] after the read timeout;
    /// [`Cancelled`](crate::io::Cancelled).
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // What was seen stays there: a short count says that there is more to read, not less.
        self.socket.read(|| moved(self.socket.inner().peek(buf)))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.inner().nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.inner().set_nodelay(nodelay)
    }
}

fn connect_until(addr: &SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        let stream = TcpStream::of_nonblocking(stds::TcpStream::connect(world, *addr)?);
        stream.socket.run(Direction::Write, deadline, || stream.socket.inner().finish_connect())?;
        return Ok(stream);
    }
    let (stream, in_progress) = begin_connect(addr)?;
    if in_progress {
        stream.socket.run(Direction::Write, deadline, || attempt_to_find_connected(&stream))?;
    }
    Ok(stream)
}

/// A new socket on its way to `addr`, and whether it has yet to arrive.
fn begin_connect(addr: &SocketAddr) -> io::Result<(TcpStream, bool)> {
    let stream = TcpStream::of_nonblocking(open(addr, libc::SOCK_STREAM)?.into());
    let (storage, len) = encode(addr);
    // SAFETY: the first `len` bytes of `storage` are an address, and live through the call.
    match check(unsafe { libc::connect(stream.as_raw_fd(), (&raw const storage).cast(), len) }) {
        Ok(_) => Ok((stream, false)),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((stream, true)),
        Err(error) => Err(error),
    }
}

/// A connection is made, or has failed, when the socket becomes writable.
fn attempt_to_find_connected(stream: &TcpStream) -> io::Result<Attempt> {
    let attempt = attempt_to_find_ready(stream.as_fd(), Direction::Write)?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(attempt),
    }
}

#[cfg(test)]
mod tests;
