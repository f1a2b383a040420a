//! TCP connections.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::ToSocketAddrs;
use super::addr::encode;
use super::socket::{Socket, conversions, zero_timeout};
use crate::host::sys::check;
use crate::host::{Attempt, Direction};
use crate::io::registration::{moved, moved_of};
use crate::io::{PollStream, attempt_to_find_ready, deadline_after};

/// A TCP connection: [`std::net::TcpStream`] for actors.
pub struct TcpStream {
    socket: Socket<std::net::TcpStream>,
}

conversions!(TcpStream, std::net::TcpStream);

impl TcpStream {
    pub(super) fn of_nonblocking(inner: std::net::TcpStream) -> TcpStream {
        TcpStream { socket: Socket::new(inner) }
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// Those of resolving `addr`; of the last address tried; [`io::ErrorKind::InvalidInput`] if
    /// there is no address; [`Cancelled`](crate::io::Cancelled).
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let none = io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address");
        let mut last = Err(none);
        for addr in addr.to_socket_addrs()? {
            last = connect_until(&addr, None);
            if last.is_ok() {
                break;
            }
        }
        last
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

    /// Reading for poll functions; timeouts do not apply. Only the waker of the last call is kept.
    ///
    /// # Errors
    /// Those of `recv(2)`; [`io::ErrorKind::Unsupported`] if it has to wait for the first time on a
    /// thread without a reactor.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut inner = self.socket.inner();
        self.socket.poll(Direction::Read, cx, &mut || moved_of(buf.len(), inner.read(buf)))
    }

    /// Writing for poll functions; timeouts do not apply. Only the waker of the last call is kept.
    ///
    /// # Errors
    /// Those of `send(2)`; [`io::ErrorKind::Unsupported`] if it has to wait for the first time on a
    /// thread without a reactor.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut inner = self.socket.inner();
        self.socket.poll(Direction::Write, cx, &mut || moved_of(buf.len(), inner.write(buf)))
    }

    /// Closes one direction or both, for all handles; waits in it end.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.inner().shutdown(how)
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

    /// A second handle to the same connection, with copies of the timeouts.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: out of descriptors.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(TcpStream { socket: self.socket.duplicate(self.socket.inner().try_clone()?) })
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.inner().take_error()
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

    /// The time to live (`IP_TTL`) of sent packets, in hops.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.inner().ttl()
    }

    /// Sets the time to live (`IP_TTL`) of sent packets, in hops.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.inner().set_ttl(ttl)
    }

    /// How long a read through this handle waits at most.
    ///
    /// # Errors
    /// None; the result is there for std's shape.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.read_timeout.span())
    }

    /// Limits each read through this handle; it then fails with [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.read_timeout.set(timeout)
    }

    /// How long a write through this handle waits at most.
    ///
    /// # Errors
    /// None; the result is there for std's shape.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.write_timeout.span())
    }

    /// Limits each write through this handle; it then fails with [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.write_timeout.set(timeout)
    }

    /// Reads with `call`, which asks for `wanted` bytes.
    fn read_with(
        &self,
        wanted: usize,
        mut call: impl FnMut(&mut &std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if wanted == 0 {
            return Ok(0);
        }
        self.socket.read(|| moved_of(wanted, call(&mut self.socket.inner())))
    }

    /// Writes with `call`, which offers `wanted` bytes.
    fn write_with(
        &self,
        wanted: usize,
        mut call: impl FnMut(&mut &std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if wanted == 0 {
            return Ok(0);
        }
        self.socket.write(|| moved_of(wanted, call(&mut self.socket.inner())))
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(buf.len(), |inner| inner.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        // The kernel takes no more buffers in one call: a count of theirs is not short.
        let count = bufs.len().min(IOV_MAX);
        let bufs = &mut bufs[..count];
        let wanted = total(bufs.iter().map(|buf| buf.len()));
        self.read_with(wanted, |inner| inner.read_vectored(bufs))
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(buf.len(), |inner| inner.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bufs = &bufs[..bufs.len().min(IOV_MAX)];
        let wanted = total(bufs.iter().map(|buf| buf.len()));
        self.write_with(wanted, |inner| inner.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PollStream for TcpStream {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        TcpStream::poll_read(self, cx, buf)
    }

    fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = bufs.len().min(IOV_MAX);
        let bufs = &mut bufs[..count];
        let wanted = total(bufs.iter().map(|buf| buf.len()));
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut inner = self.socket.inner();
        self.socket.poll(Direction::Read, cx, &mut || moved_of(wanted, inner.read_vectored(bufs)))
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        TcpStream::poll_write(self, cx, buf)
    }

    fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(IOV_MAX)];
        let wanted = total(bufs.iter().map(|buf| buf.len()));
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut inner = self.socket.inner();
        self.socket.poll(Direction::Write, cx, &mut || moved_of(wanted, inner.write_vectored(bufs)))
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

/// How many buffers one system call takes.
const IOV_MAX: usize = libc::UIO_MAXIOV as usize;

fn total(lens: impl Iterator<Item = usize>) -> usize {
    // The same bytes may be offered many times over.
    lens.fold(0, usize::saturating_add)
}

fn connect_until(addr: &SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let (stream, in_progress) = begin_connect(addr)?;
    if in_progress {
        stream.socket.run(Direction::Write, deadline, || attempt_to_find_connected(&stream))?;
    }
    Ok(stream)
}

/// A new socket on its way to `addr`, and whether it has yet to arrive.
fn begin_connect(addr: &SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    let stream = TcpStream::of_nonblocking(unsafe { OwnedFd::from_raw_fd(fd) }.into());
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
