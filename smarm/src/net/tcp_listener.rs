//! Accepting TCP connections.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::addr::decode;
use super::socket::{Socket, conversions};
use super::{TcpStream, ToSocketAddrs};
use crate::host::sys::check;
use crate::host::{Attempt, Direction};

/// A TCP socket that listens: [`std::net::TcpListener`] for actors.
pub struct TcpListener {
    socket: Socket<std::net::TcpListener>,
}

conversions!(TcpListener, std::net::TcpListener);

impl TcpListener {
    /// Listens at the first of the addresses that can be bound, with `SO_REUSEADDR` and std's
    /// backlog. Port 0 lets the system choose one.
    ///
    /// # Errors
    /// Those of resolving `addr`; of the last address tried; [`io::ErrorKind::InvalidInput`] if
    /// there is no address.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        std::net::TcpListener::bind(&addr.to_socket_addrs()?[..])?.try_into()
    }

    /// Waits for a connection and gives it with its peer's address.
    ///
    /// # Errors
    /// Those of `accept4(2)`, among them `EMFILE` (out of descriptors: the connection stays in the
    /// queue, so wait a little before the next try) and `ECONNABORTED` (the peer has given up);
    /// [`Cancelled`](crate::io::Cancelled).
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept_until(None)
    }

    /// [`accept`](TcpListener::accept), until `deadline` at the latest.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::TimedOut`].
    pub fn accept_deadline(&self, deadline: Instant) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept_until(Some(deadline))
    }

    /// [`accept`](TcpListener::accept) for poll functions. Only the waker of the last call is kept.
    ///
    /// # Errors
    /// As for `accept`, and [`io::ErrorKind::Unsupported`] if it has to wait for the first time on
    /// a thread without a reactor.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut accepted = None;
        ready!(self.socket.poll(Direction::Read, cx, &mut || accept_into(self.as_fd(), &mut accepted)))?;
        Poll::Ready(Ok(accepted.expect(ACCEPTED)))
    }

    /// The connections, one after the other, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address listened at.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// A second handle to the same socket: each connection goes to one of them.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: out of descriptors.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener { socket: self.socket.duplicate(self.socket.inner().try_clone()?) })
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.inner().take_error()
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

    fn accept_until(&self, deadline: Option<Instant>) -> io::Result<(TcpStream, SocketAddr)> {
        let mut accepted = None;
        self.socket.run(Direction::Read, deadline, || accept_into(self.as_fd(), &mut accepted))?;
        Ok(accepted.expect(ACCEPTED))
    }
}

/// The connections of a [`TcpListener`]; it never ends, and an error is not its end.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl std::iter::FusedIterator for Incoming<'_> {}

const ACCEPTED: &str = "an accept that is done has left its connection";

/// Accepts one connection, non-blocking from the start.
fn accept_into(
    listener: BorrowedFd<'_>,
    accepted: &mut Option<(TcpStream, SocketAddr)>,
) -> io::Result<Attempt> {
    // SAFETY: a sockaddr_storage of zeros is valid: integers and bytes.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = mem::size_of_val(&storage) as libc::socklen_t;
    // SAFETY: `storage` has room for `len` bytes, and both live through the call.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            (&raw mut storage).cast(),
            &mut len,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    });
    let fd = match fd {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Attempt::WouldBlock),
        result => result?,
    };
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    *accepted = Some((TcpStream::of_nonblocking(fd.into()), decode(&storage)?));
    Ok(Attempt::Done(0))
}

#[cfg(test)]
mod tests;
